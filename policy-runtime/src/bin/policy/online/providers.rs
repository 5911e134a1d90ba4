//! Providers of identities; who is connected.

use std::path::PathBuf;

use ::http::Method;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::{As, At, Done, Trouble, encoded};
use crate::offline::read;
use crate::told::{Told, cell, rows, table};

#[derive(Subcommand)]
pub(crate) enum Provider {
    /// Lists the providers that a scope owns
    List {
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        who: As,
    },
    /// Makes or changes a provider, with settings as `[[provider]]` of policy.toml has them
    Add {
        /// Its name in the scope
        name: String,
        /// The issuer
        #[arg(long)]
        issuer: Option<String>,
        /// Whom its tokens are for; may be said again
        #[arg(long)]
        audience: Vec<String>,
        /// What it is: oidc, auth0, entra, ..
        #[arg(long, default_value = "oidc")]
        preset: String,
        /// All settings, as JSON in a file, instead
        #[arg(long, value_name = "FILE", conflicts_with_all = ["issuer", "audience", "preset"])]
        settings: Option<PathBuf>,
        /// Our id there, with which people sign in with a browser
        #[arg(long, conflicts_with = "settings")]
        client_id: Option<String>,
        /// Reads the secret of our client there from a file, `-` for the input; it is never shown again
        #[arg(long, value_name = "FILE")]
        client_secret_file: Option<PathBuf>,
        /// Reads a shared secret from a file, `-` for the input; it is never shown again
        #[arg(long, value_name = "FILE")]
        secret_file: Option<PathBuf>,
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        who: As,
    },
    /// Shows a provider, without its secret
    Show(Named),
    /// Removes a provider
    Remove(Named),
    /// Lets a scope use a provider
    Use {
        /// Its name in the deployment, as `policy provider list` shows it
        name: String,
        /// A role that everybody gets who signs in by it; may be said again
        #[arg(long = "everybody", value_name = "ROLE")]
        everybody: Vec<String>,
        /// All settings, as JSON in a file, instead
        #[arg(long, value_name = "FILE", conflicts_with = "everybody")]
        settings: Option<PathBuf>,
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        who: As,
    },
    /// Lets a scope use a provider no more
    Leave(Named),
    /// Lets another scope of the organization use a provider of this one
    Share(Shared),
    /// Lets it use the provider no more
    Unshare(Shared),
}

#[derive(Args)]
pub(crate) struct Named {
    /// Its name
    name: String,
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    who: As,
}

#[derive(Args)]
pub(crate) struct Shared {
    #[command(flatten)]
    named: Named,
    /// The other scope: `org:ORG` or `app:ORG/APP`
    #[arg(long, value_name = "SCOPE")]
    with: policy_runtime::Scope,
}

#[derive(Args)]
pub(crate) struct Connections {
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    pub(super) who: As,
}

pub(super) async fn provider(command: Provider) -> (bool, Done) {
    match command {
        Provider::List { at, who } => (who.json, list(&who, &at).await),
        Provider::Show(named) => (named.who.json, show(&named).await),
        Provider::Remove(named) => (named.who.json, drop(&named, "providers", "is gone").await),
        Provider::Leave(named) => (named.who.json, drop(&named, "uses", "is used no more").await),
        Provider::Share(shared) => (shared.named.who.json, share(&shared, Method::PUT).await),
        Provider::Unshare(shared) => (shared.named.who.json, share(&shared, Method::DELETE).await),
        Provider::Add {
            name,
            issuer,
            audience,
            preset,
            settings,
            client_id,
            client_secret_file,
            secret_file,
            at,
            who,
        } => {
            let said = match &settings {
                Some(path) => parsed(path),
                None => Ok(json!({ "preset": preset, "issuer": issuer, "audience": audience, "client_id": client_id })),
            };
            let secrets = [("secret", secret_file), ("clientSecret", client_secret_file)];
            let body = said.and_then(|said| {
                let mut body = Map::from_iter([("settings".to_owned(), said)]);
                for (name, file) in secrets {
                    if let Some(file) = file {
                        body.insert(name.to_owned(), text_of(&file)?.into());
                    }
                }
                Ok(Value::Object(body))
            });
            let done = match body {
                Ok(body) => add(&who, &at, &name, &body).await,
                Err(trouble) => Err(trouble),
            };
            (who.json, done)
        }
        Provider::Use { name, everybody, settings, at, who } => {
            let said = settings.as_ref().map_or_else(|| Ok(json!({ "everybody": everybody })), |path| parsed(path));
            let done = match said {
                Ok(said) => use_it(&who, &at, &name, &said).await,
                Err(trouble) => Err(trouble),
            };
            (who.json, done)
        }
    }
}

fn text_of(path: &std::path::Path) -> Result<String, Trouble> {
    Ok(read(path).map_err(|error| Trouble::Cannot(error.to_string()))?.trim().to_owned())
}

fn parsed(path: &std::path::Path) -> Result<Value, Trouble> {
    serde_json::from_str(&text_of(path)?).map_err(|error| Trouble::Cannot(format!("`{}`: {error}", path.display())))
}

async fn list(who: &As, at: &At) -> Done {
    let items = who.all(&at.path("/providers")).await?;
    let text = rows(&items, &["name", "hasSecret", "declared"]).into_iter().zip(&items).map(|(mut row, item)| {
        row.insert(1, item.pointer("/settings/issuer").and_then(Value::as_str).unwrap_or("-").to_owned());
        row
    });
    let text = table(&["PROVIDER", "ISSUER", "SECRET", "IN THE FILE"], &text.collect::<Vec<_>>());
    Ok(Told::new(text, Value::from(items), format!("policy provider add NAME --issuer URL {}", at.flag())))
}

async fn show(named: &Named) -> Done {
    let items = named.who.all(&named.at.path("/providers")).await?;
    let ends = format!("/{}", named.name);
    let meant = |item: &&Value| cell(item, "name") == named.name || cell(item, "name").ends_with(&ends);
    let found = items.iter().find(meant).cloned();
    let missing = || {
        Trouble::Cannot(format!(
            "there is no provider `{}`\nnext: policy provider list {}",
            named.name,
            named.at.flag()
        ))
    };
    let found = found.ok_or_else(missing)?;
    let text = serde_json::to_string_pretty(&found).unwrap_or_default();
    Ok(Told::new(text, found, format!("policy provider use {} {}", named.name, named.at.flag())))
}

async fn add(who: &As, at: &At, name: &str, body: &Value) -> Done {
    let path = at.path(&format!("/providers/{}", encoded(name)));
    let made = who.server()?.send(Method::PUT, &path, &[], Some(body)).await?.body;
    let full = cell(&made, "name");
    let text = format!("provider `{full}` is there; servers know it within seconds");
    Ok(Told::new(text, made, format!("policy provider use {full} {}", at.flag())))
}

async fn use_it(who: &As, at: &At, name: &str, settings: &Value) -> Done {
    let path = at.path(&format!("/uses/{}", encoded(name)));
    who.server()?.send(Method::PUT, &path, &[], Some(&json!({ "settings": settings }))).await?;
    let text = format!("{} uses `{name}`; servers know it within seconds", at.scope());
    Ok(Told::new(text, json!({ "name": name, "scope": at.scope() }), "policy doctor"))
}

async fn drop(named: &Named, what: &str, told: &str) -> Done {
    let path = named.at.path(&format!("/{what}/{}", encoded(&named.name)));
    named.who.server()?.send(Method::DELETE, &path, &[], None).await?;
    let text = format!("provider `{}` {told}", named.name);
    Ok(Told::new(text, json!({ "name": named.name }), format!("policy provider list {}", named.at.flag())))
}

async fn share(shared: &Shared, method: Method) -> Done {
    let Shared { named: Named { name, at, who }, with } = shared;
    let path = at.path(&format!("/providers/{}/shares/{}", encoded(name), encoded(&with.to_string())));
    let (can, next) = if method == Method::PUT { ("may use", "unshare") } else { ("uses no more", "share") };
    who.server()?.send(method, &path, &[], None).await?;
    let text = format!("{with} {can} provider `{name}`");
    let next = format!("policy provider {next} {name} {} --with {with} undoes it", at.flag());
    Ok(Told::new(text, json!({ "name": name, "with": with.to_string() }), next))
}

pub(super) async fn connections(asked: &Connections) -> Done {
    let items = asked.who.all(&asked.at.path("/connections")).await?;
    let names = ["participant", "email", "authType", "count"];
    let text = table(&["WHO", "ADDRESS", "SIGNED IN BY", "CONNECTIONS"], &rows(&items, &names));
    Ok(Told::new(text, Value::from(items), format!("policy audit query --kind sign-in {}", asked.at.flag())))
}
