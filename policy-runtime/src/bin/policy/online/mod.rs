//! Commands that ask a server: who signs in, organizations, applications, users, keys, policies, audit.

mod files;
mod http;
mod manifests;
mod people;
mod policies;
mod profile;
mod providers;
mod rules;
mod sign_in;
mod trying;

use ::http::Method;
use clap::{Args, Subcommand};
use serde_json::Value;

use http::{Answer, Server};

use crate::told::{Done, Trouble};

#[derive(Subcommand)]
pub(crate) enum Online {
    /// Signs in, and keeps a token in a private file
    Login(sign_in::Login),
    /// Forgets the token
    Logout(As),
    /// Says who is signed in, and what it may do
    Whoami(As),
    /// Organizations of the platform
    #[command(subcommand)]
    Org(people::Org),
    /// Applications of an organization
    #[command(subcommand)]
    App(people::App),
    /// Users of the platform, an organization or an application
    #[command(subcommand)]
    User(people::User),
    /// API keys of machines
    #[command(subcommand)]
    Key(people::Key),
    /// Providers of identities, and which scopes use them
    #[command(subcommand)]
    Provider(providers::Provider),
    /// How people sign in to a scope: methods, registration, second factors
    SignIn(rules::SignIn),
    /// Who is connected to the server now
    Connections(providers::Connections),
    /// Writes the policies that decide as files, for git: a scope's, and an organization's with its applications'
    Export(files::Files),
    /// Saves files as drafts that are checked and not active yet
    Import(files::Files),
    /// Policies: written, tried, activated, explained and rolled back
    #[command(subcommand)]
    Policies(policies::Policies),
    /// Manifests that programs registered: what rules are written about
    #[command(subcommand)]
    Manifests(manifests::Manifests),
    /// Records of decisions, sign-ins and changes
    #[command(subcommand)]
    Audit(policies::Audit),
}

/// As whom, and how to answer.
#[derive(Args)]
pub(crate) struct As {
    /// Whose sign-in is used; `POLICY_URL` and `POLICY_KEY` win over it
    #[arg(long, default_value = "default", value_name = "NAME")]
    profile: String,
    /// Answers in JSON
    #[arg(long)]
    json: bool,
}

/// Where.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct At {
    /// On the platform itself
    #[arg(long)]
    system: bool,
    /// In an organization
    #[arg(long, value_name = "ORG")]
    org: Option<String>,
    /// In an application
    #[arg(long, value_name = "ORG/APP")]
    app: Option<String>,
}

impl At {
    /// A scope, as it would be said.
    fn of(scope: &policy_runtime::Scope) -> Self {
        let name = scope.to_string();
        let part = |kind: &str| name.strip_prefix(kind).map(str::to_owned);
        Self { system: name == "sys", org: part("org:"), app: part("app:") }
    }

    /// The scope's name.
    pub(crate) fn scope(&self) -> String {
        match (&self.org, &self.app) {
            (Some(org), _) => format!("org:{org}"),
            (_, Some(app)) => format!("app:{app}"),
            (None, None) => "sys".to_owned(),
        }
    }

    /// As it was said.
    pub(crate) fn flag(&self) -> String {
        match (&self.org, &self.app) {
            (Some(org), _) => format!("--org {org}"),
            (_, Some(app)) => format!("--app {app}"),
            (None, None) => "--system".to_owned(),
        }
    }

    fn path(&self, rest: &str) -> String {
        format!("/api/v1/scopes/{}{rest}", encoded(&self.scope()))
    }
}

/// A part of a path, whatever is in it.
fn encoded(part: &str) -> String {
    use std::fmt::Write as _;
    part.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a `String` cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

impl As {
    fn server(&self) -> Result<Server, Trouble> {
        profile::server(&self.profile)
    }

    async fn get(&self, path: &str) -> Result<Answer, Trouble> {
        self.server()?.send(Method::GET, path, &[], None).await
    }

    async fn post(&self, path: &str, body: Option<&Value>) -> Result<Answer, Trouble> {
        self.server()?.send(Method::POST, path, &[], body).await
    }

    /// All items of a list, page by page.
    async fn all(&self, path: &str) -> Result<Vec<Value>, Trouble> {
        self.all_of(&format!("{path}?")).await
    }

    /// The same of a path with a query.
    async fn all_of(&self, path: &str) -> Result<Vec<Value>, Trouble> {
        let mut items = Vec::new();
        let mut next = String::new();
        loop {
            let mut page = self.get(&format!("{path}&limit=1000{next}")).await?.body;
            let more = page.get("next").and_then(Value::as_str).map(encoded);
            if let Some(Value::Array(found)) = page.get_mut("items").map(Value::take) {
                items.extend(found);
            }
            match more {
                Some(after) => {
                    crate::output::progress(&format!("{} items", items.len()));
                    next = format!("&after={after}");
                }
                None => return Ok(items),
            }
        }
    }
}

/// Does it; says whether JSON is wanted, and what came of it.
pub(crate) async fn run(command: Online) -> (bool, Done) {
    match command {
        Online::Login(login) => (login.who.json, sign_in::login(&login).await),
        Online::Logout(who) => (who.json, sign_in::logout(&who)),
        Online::Whoami(who) => (who.json, sign_in::whoami(&who).await),
        Online::Org(command) => people::org(command).await,
        Online::App(command) => people::app(command).await,
        Online::User(command) => people::user(command).await,
        Online::Key(command) => people::key(command).await,
        Online::Provider(command) => providers::provider(command).await,
        Online::SignIn(asked) => (asked.who.json, rules::sign_in(&asked).await),
        Online::Connections(asked) => (asked.who.json, providers::connections(&asked).await),
        Online::Export(asked) => (asked.who.json, files::export(&asked).await),
        Online::Import(asked) => (asked.who.json, files::import(&asked).await),
        Online::Policies(command) => policies::policies(command).await,
        Online::Manifests(command) => manifests::manifests(command).await,
        Online::Audit(command) => policies::audit(command).await,
    }
}
