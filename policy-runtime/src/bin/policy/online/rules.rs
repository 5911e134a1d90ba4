//! What administrators say of a scope beside its policies: how people sign in, and what must be recorded.

use std::collections::BTreeSet;

use ::http::Method;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::{As, At, Done};
use crate::told::{Told, cell, list};

/// Whether strangers register.
#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Registering {
    AsConfigured,
    Closed,
    Open,
}

/// Who needs a second factor, beside those of whom it is said elsewhere.
#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum SecondFactor {
    Optional,
    RequiredForAdmins,
    Required,
}

#[derive(Args)]
pub(crate) struct SignIn {
    /// The methods that are on, with commas between, or `all`
    #[arg(long, value_name = "METHODS")]
    methods: Option<String>,
    /// Whether strangers register
    #[arg(long)]
    registration: Option<Registering>,
    /// A role of who registers, where that is open
    #[arg(long = "role", value_name = "ROLE", requires = "registration")]
    roles: Vec<String>,
    /// Who needs a second factor, beside those of whom it is said elsewhere
    #[arg(long)]
    second_factor: Option<SecondFactor>,
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    pub(super) who: As,
}

#[derive(Args)]
pub(crate) struct Require {
    /// Full names of actions; without any, those of which it was said are listed
    actions: Vec<String>,
    /// Takes them away again
    #[arg(long, requires = "actions")]
    remove: bool,
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    pub(super) who: As,
}

fn word(of: &impl ValueEnum) -> Value {
    of.to_possible_value().map_or(Value::Null, |known| known.get_name().into())
}

pub(super) async fn sign_in(asked: &SignIn) -> Done {
    let (at, who) = (&asked.at, &asked.who);
    let (methods_path, rules_path) = (at.path("/methods"), at.path("/sign-in-rules"));
    let server = who.server()?;
    if let Some(methods) = &asked.methods {
        let on: Vec<&str> = methods.split(',').map(str::trim).filter(|one| !one.is_empty()).collect();
        let on = if on == ["all"] { Value::Null } else { json!(on) };
        server.send(Method::PUT, &methods_path, &[], Some(&json!({ "methods": on }))).await?;
    }
    let mut rules = who.get(&rules_path).await?.body;
    if let Some(said) = rules.as_object_mut().filter(|_| asked.registration.is_some() || asked.second_factor.is_some())
    {
        if let Some(registration) = asked.registration {
            said.insert("registration".to_owned(), word(&registration));
            said.insert("roles".to_owned(), json!(asked.roles));
        }
        if let Some(second_factor) = asked.second_factor {
            said.insert("secondFactor".to_owned(), word(&second_factor));
        }
        server.send(Method::PUT, &rules_path, &[], Some(&rules)).await?;
    }
    let methods = who.get(&methods_path).await?.body;
    let on = match methods.get("methods") {
        Some(Value::Array(_)) => cell(&methods, "methods"),
        _ => "all".to_owned(),
    };
    let as_whom = cell(&rules, "roles");
    let (registration, second_factor) = (cell(&rules, "registration"), cell(&rules, "secondFactor"));
    let scope = at.scope();
    let text = format!(
        "methods of {scope}: {on}\nregistration: {registration}, with roles: {as_whom}\nsecond factor: {second_factor}\n"
    );
    let all = json!({ "methods": methods.get("methods"), "rules": rules });
    Ok(Told::new(text, all, format!("policy user list {}", at.flag())))
}

pub(super) async fn require(asked: &Require) -> Done {
    let (at, path) = (&asked.at, asked.at.path("/required-audit"));
    let mut found = asked.who.get(&path).await?.body;
    if !asked.actions.is_empty() {
        let texts = list(&found, "actions").iter().filter_map(Value::as_str);
        let mut actions: BTreeSet<&str> = texts.collect();
        for action in &asked.actions {
            if asked.remove {
                actions.remove(&**action)
            } else {
                actions.insert(action)
            };
        }
        let new = json!({ "actions": actions });
        asked.who.server()?.send(Method::PUT, &path, &[], Some(&new)).await?;
        found = new;
    }
    let actions: Vec<&str> = list(&found, "actions").iter().filter_map(Value::as_str).collect();
    let text = match &actions[..] {
        [] => format!("in {} nothing is said at run time of what must be recorded", at.scope()),
        all => format!("in {} no call of these runs before its record:\n{}", at.scope(), all.join("\n")),
    };
    Ok(Told::new(text, found, format!("policy audit query {}", at.flag())))
}
