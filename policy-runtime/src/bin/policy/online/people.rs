//! Organizations, applications, users and keys.

use std::path::PathBuf;

use ::http::Method;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::sign_in::password;
use super::{As, At, Done, encoded};
use crate::told::{Told, cell, rows, table};

#[derive(Subcommand)]
pub(crate) enum Org {
    /// Lists organizations
    List(As),
    /// Creates an organization with its first owner
    Create {
        /// Its permanent id
        id: String,
        /// The owner's address
        #[arg(long, value_name = "EMAIL")]
        owner: String,
        /// Reads the owner's first password from a file, `-` for the input
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        #[command(flatten)]
        who: As,
    },
    /// Lets nobody of an organization sign in
    Suspend {
        /// Its id
        id: String,
        #[command(flatten)]
        who: As,
    },
    /// Lets them sign in again
    Resume {
        /// Its id
        id: String,
        #[command(flatten)]
        who: As,
    },
}

#[derive(Subcommand)]
pub(crate) enum App {
    /// Lists the applications of an organization
    List {
        /// The organization
        #[arg(long)]
        org: String,
        #[command(flatten)]
        who: As,
    },
    /// Creates an application
    Create {
        /// Its permanent id, unique in the deployment
        id: String,
        /// The organization
        #[arg(long)]
        org: String,
        #[command(flatten)]
        who: As,
    },
}

/// What rules read of somebody.
#[derive(Args)]
pub(crate) struct Attributes {
    /// An attribute, as JSON (`7`, `true`, `["a"]`, `"7"`) or else as text; `null` removes it from a user; may be said again
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = attribute)]
    attributes: Vec<(String, Value)>,
}

impl Attributes {
    fn json(self) -> Value {
        Value::Object(self.attributes.into_iter().collect())
    }
}

fn attribute(said: &str) -> Result<(String, Value), String> {
    let (name, value) = said.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("it is not `NAME=VALUE`")?;
    Ok((name.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| value.into())))
}

#[derive(Args)]
pub(crate) struct Selected {
    /// Its id
    id: String,
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    who: As,
}

#[derive(Subcommand)]
pub(crate) enum User {
    /// Lists users
    List {
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        who: As,
    },
    /// Adds a user
    Add {
        /// The address
        email: String,
        /// A role; may be said again
        #[arg(long = "role")]
        roles: Vec<String>,
        /// Reads a first password from a file, `-` for the input
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        #[command(flatten)]
        attributes: Attributes,
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        who: As,
    },
    /// Assigns roles or takes them away, lets in or locks out
    Change {
        /// The user's id
        id: String,
        /// A role to assign; may be said again
        #[arg(long = "add-role", value_name = "ROLE")]
        add_roles: Vec<String>,
        /// A role to take away; may be said again
        #[arg(long = "remove-role", value_name = "ROLE")]
        remove_roles: Vec<String>,
        /// Lets the user in again
        #[arg(long, conflicts_with = "disable")]
        enable: bool,
        /// Lets the user in no more
        #[arg(long)]
        disable: bool,
        #[command(flatten)]
        attributes: Attributes,
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        who: As,
    },
    /// Removes a user with everything it signs in with
    Remove(Selected),
    /// Makes an invitation for a user who signs in with a provider
    Invite(Selected),
    /// Removes a second factor that its user has lost
    RemoveSecondFactor(Selected),
    /// Writes everything that is stored about a user, but for secrets
    Export(Selected),
    /// Removes a user, and what the audit has of the person but an opaque id
    Erase(Selected),
    /// Lists the sessions of a user
    Sessions(Selected),
    /// Signs a user out everywhere
    SignOut(Selected),
}

#[derive(Subcommand)]
pub(crate) enum Key {
    /// Lists keys
    List {
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        who: As,
    },
    /// Makes a key, and shows it once
    Create {
        /// The name to show
        name: String,
        /// A role; may be said again
        #[arg(long = "role")]
        roles: Vec<String>,
        #[command(flatten)]
        attributes: Attributes,
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        who: As,
    },
    /// Revokes a key
    Revoke(Selected),
}

pub(super) async fn org(command: Org) -> (bool, Done) {
    match command {
        Org::List(who) => (who.json, list_orgs(&who).await),
        Org::Create { id, owner, password_file, who } => {
            (who.json, create_org(&who, &id, &owner, password_file.as_ref()).await)
        }
        Org::Suspend { id, who } => (who.json, suspend(&who, &id, "suspend").await),
        Org::Resume { id, who } => (who.json, suspend(&who, &id, "resume").await),
    }
}

async fn list_orgs(who: &As) -> Done {
    let items = who.all("/api/v1/organizations").await?;
    let text = table(&["ORGANIZATION", "SUSPENDED"], &rows(&items, &["id", "suspended"]));
    Ok(Told::new(text, Value::from(items), "policy org create ORG --owner EMAIL"))
}

async fn create_org(who: &As, id: &str, owner: &str, file: Option<&PathBuf>) -> Done {
    let password = file.map(|file| password(Some(file))).transpose()?;
    let owner = json!({ "email": owner, "password": password });
    let made = who.post("/api/v1/organizations", Some(&json!({ "id": id, "owner": owner }))).await?.body;
    let text = format!("organization `{id}` is there; {} owns it", cell(&made, "email"));
    Ok(Told::new(text, made, format!("policy login --org {id} --email {}", cell(&owner, "email"))))
}

async fn suspend(who: &As, id: &str, verb: &str) -> Done {
    who.post(&format!("/api/v1/organizations/{}/{verb}", encoded(id)), None).await?;
    let (told, other) = if verb == "suspend" { ("suspended", "resume") } else { ("resumed", "suspend") };
    Ok(Told::new(format!("organization `{id}` is {told}"), json!({}), format!("policy org {other} {id} undoes it")))
}

pub(super) async fn app(command: App) -> (bool, Done) {
    match command {
        App::List { org, who } => (who.json, list_apps(&who, &org).await),
        App::Create { id, org, who } => (who.json, create_app(&who, &org, &id).await),
    }
}

async fn list_apps(who: &As, org: &str) -> Done {
    let items = who.all(&format!("/api/v1/organizations/{}/applications", encoded(org))).await?;
    let text = table(&["APPLICATION", "SCOPE"], &rows(&items, &["id", "scope"]));
    Ok(Told::new(text, Value::from(items), format!("policy app create APP --org {org}")))
}

async fn create_app(who: &As, org: &str, id: &str) -> Done {
    let path = format!("/api/v1/organizations/{}/applications", encoded(org));
    let made = who.post(&path, Some(&json!({ "id": id }))).await?.body;
    Ok(Told::new(format!("application `{id}` is there"), made, format!("policy user add EMAIL --app {org}/{id}")))
}

pub(super) async fn user(command: User) -> (bool, Done) {
    match command {
        User::List { at, who } => (who.json, list_users(&who, &at).await),
        User::Add { email, roles, password_file, attributes, at, who } => {
            let new = json!({ "email": email, "roles": roles, "attributes": attributes.json() });
            (who.json, add_user(&who, &at, new, password_file.as_ref()).await)
        }
        User::Change { id, add_roles, remove_roles, enable, disable, attributes, at, who } => {
            let enabled = (enable || disable).then_some(enable);
            let change = json!({
                "addRoles": add_roles, "removeRoles": remove_roles, "enabled": enabled, "attributes": attributes.json(),
            });
            (who.json, change_user(&who, &at, &id, &change).await)
        }
        User::Remove(one) => (one.who.json, gone(&one, "users", "user").await),
        User::Invite(one) => (one.who.json, invite(&one).await),
        User::RemoveSecondFactor(one) => (one.who.json, remove_second_factor(&one).await),
        User::Export(one) => (one.who.json, export(&one).await),
        User::Erase(one) => (one.who.json, erase(&one).await),
        User::Sessions(one) => (one.who.json, sessions(&one).await),
        User::SignOut(one) => (one.who.json, sign_out(&one).await),
    }
}

const USER: [&str; 4] = ["id", "email", "roles", "enabled"];

async fn list_users(who: &As, at: &At) -> Done {
    let items = who.all(&at.path("/users")).await?;
    let text = table(&["ID", "EMAIL", "ROLES", "ENABLED"], &rows(&items, &USER));
    Ok(Told::new(text, Value::from(items), format!("policy user add EMAIL {}", at.flag())))
}

async fn add_user(who: &As, at: &At, mut new: Value, file: Option<&PathBuf>) -> Done {
    if let (Some(file), Some(new)) = (file, new.as_object_mut()) {
        new.insert("password".to_owned(), password(Some(file))?.into());
    }
    let made = who.post(&at.path("/users"), Some(&new)).await?.body;
    let id = cell(&made, "id");
    let email = cell(&made, "email");
    let text = format!("{email} is in {} as {id}, with roles: {}", at.scope(), cell(&made, "roles"));
    let next = match file {
        Some(_) => format!("policy user list {}", at.flag()),
        None => format!("policy user invite {id} {}", at.flag()),
    };
    Ok(Told::new(text, made, next))
}

async fn change_user(who: &As, at: &At, id: &str, change: &Value) -> Done {
    let path = at.path(&format!("/users/{}", encoded(id)));
    let now = who.server()?.send(Method::PATCH, &path, &[], Some(change)).await?.body;
    let text = table(&["ID", "EMAIL", "ROLES", "ENABLED"], &rows(std::slice::from_ref(&now), &USER));
    Ok(Told::new(text, now, format!("policy user list {}", at.flag())))
}

async fn gone(one: &Selected, kind: &str, word: &str) -> Done {
    let path = one.at.path(&format!("/{kind}/{}", encoded(&one.id)));
    one.who.server()?.send(Method::DELETE, &path, &[], None).await?;
    Ok(Told::new(format!("{word} `{}` is gone", one.id), json!({}), format!("policy {word} list {}", one.at.flag())))
}

impl Selected {
    fn path(&self, below: &str) -> String {
        self.at.path(&format!("/users/{}/{below}", encoded(&self.id)))
    }
}

async fn export(one: &Selected) -> Done {
    let all = one.who.server()?.send(Method::GET, &one.path("export"), &[], None).await?.body;
    let next = format!("policy user erase {} {}", one.id, one.at.flag());
    Ok(Told::new(format!("{all:#}"), all, next))
}

async fn erase(one: &Selected) -> Done {
    let done = one.who.post(&one.path("erase"), None).await?.body;
    let text = format!("user `{}` is gone; {} details were erased from the audit", one.id, cell(&done, "removed"));
    Ok(Told::new(text, done, format!("policy user list {}", one.at.flag())))
}

async fn sessions(one: &Selected) -> Done {
    let all = one.who.server()?.send(Method::GET, &one.path("sessions"), &[], None).await?.body;
    let names = ["id", "method", "amr", "since", "ends"];
    let items = all.as_array().cloned().unwrap_or_default();
    let text = table(&["ID", "METHOD", "PROOFS", "SINCE", "ENDS"], &rows(&items, &names));
    Ok(Told::new(text, all, format!("policy user sign-out {} {}", one.id, one.at.flag())))
}

async fn sign_out(one: &Selected) -> Done {
    let done = one.who.server()?.send(Method::DELETE, &one.path("sessions"), &[], None).await?.body;
    let text = format!("{} sessions of `{}` have ended", cell(&done, "removed"), one.id);
    Ok(Told::new(text, done, format!("policy user sessions {} {}", one.id, one.at.flag())))
}

async fn invite(one: &Selected) -> Done {
    let made = one.who.post(&one.at.path(&format!("/users/{}/invitation", encoded(&one.id))), None).await?.body;
    let text = format!(
        "{}\n\nhand it to the user: it is good once, for a week, and is not shown again",
        cell(&made, "invitation")
    );
    Ok(Told::new(text, made, format!("policy user list {}", one.at.flag())))
}

async fn remove_second_factor(one: &Selected) -> Done {
    let path = one.at.path(&format!("/users/{}/second-factor", encoded(&one.id)));
    one.who.server()?.send(Method::DELETE, &path, &[], None).await?;
    let text = format!("user `{}` has no second factor any more, and is signed out", one.id);
    Ok(Told::new(text, json!({}), format!("policy user list {}", one.at.flag())))
}

pub(super) async fn key(command: Key) -> (bool, Done) {
    match command {
        Key::List { at, who } => (who.json, list_keys(&who, &at).await),
        Key::Create { name, roles, attributes, at, who } => {
            let new = json!({ "name": name, "roles": roles, "attributes": attributes.json() });
            (who.json, create_key(&who, &at, &new).await)
        }
        Key::Revoke(one) => (one.who.json, gone(&one, "keys", "key").await),
    }
}

async fn list_keys(who: &As, at: &At) -> Done {
    let items = who.all(&at.path("/keys")).await?;
    let names = ["id", "name", "roles", "lastUsed", "expiresAt"];
    let text = table(&["ID", "NAME", "ROLES", "LAST USED", "ENDS"], &rows(&items, &names));
    Ok(Told::new(text, Value::from(items), format!("policy key create NAME {}", at.flag())))
}

async fn create_key(who: &As, at: &At, new: &Value) -> Done {
    let made = who.post(&at.path("/keys"), Some(new)).await?.body;
    let text = format!("{}\n\nit is not shown again", cell(&made, "key"));
    Ok(Told::new(text, made, "POLICY_KEY=KEY policy whoami"))
}
