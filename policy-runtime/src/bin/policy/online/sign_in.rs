//! Signing in: a password is exchanged for a token, which stands in a private file.

use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use ::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use policy_runtime::clock::{Clock as _, SystemClock};
use serde_json::json;

use super::http::Server;
use super::profile::{self, Profile};
use super::{As, Done, Trouble};
use crate::told::{Told, cell};

#[derive(Args)]
pub(crate) struct Login {
    #[command(flatten)]
    pub(super) who: As,
    /// The server
    #[arg(long)]
    url: Option<String>,
    /// The address to sign in with
    #[arg(long)]
    email: String,
    /// As a member of an organization; otherwise as an operator of the platform
    #[arg(long, value_name = "ORG")]
    org: Option<String>,
    /// Reads the password from a file, `-` for the input; otherwise it is asked for
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Makes the first operator, by the token that the server's first start has shown
    #[arg(long, value_name = "TOKEN", conflicts_with = "org")]
    bootstrap: Option<String>,
}

/// A password from a file or from whoever sits at the terminal.
pub(super) fn password(file: Option<&PathBuf>) -> Result<String, Trouble> {
    let unusable = |error: std::io::Error| Trouble::Cannot(format!("the password cannot be read: {error}"));
    let mut text = String::new();
    match file {
        Some(path) if path.as_os_str() != "-" => text = std::fs::read_to_string(path).map_err(unusable)?,
        None if std::io::stdin().is_terminal() => {
            eprint!("password: ");
            let _ = std::io::stderr().flush();
            let echo = |word: &str| Command::new("stty").arg(word).stdin(Stdio::inherit()).status();
            let hidden = echo("-echo").is_ok();
            let read = std::io::stdin().lock().read_line(&mut text);
            if hidden {
                let _ = echo("echo");
                eprintln!();
            }
            read.map_err(unusable)?;
        }
        Some(_) | None => drop(std::io::stdin().take(64 * 1024).read_to_string(&mut text).map_err(unusable)?),
    }
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

pub(super) async fn login(login: &Login) -> Done {
    let url = login.url.clone().unwrap_or_else(profile::usual_url);
    let url = url.trim_end_matches('/').to_owned();
    let password = password(login.password_file.as_ref())?;
    if let Some(token) = &login.bootstrap {
        let body = json!({ "token": token, "email": login.email, "password": password });
        Server::new(&url, vec![])?.send(Method::POST, "/api/auth/bootstrap", &[], Some(&body)).await?;
    }
    let basic = STANDARD.encode(format!("{}:{password}", login.email));
    let mut headers = vec![("authorization", format!("Basic {basic}"))];
    match &login.org {
        Some(org) => headers.push(("organizationid", org.clone())),
        None => headers.push(("authscopetype", "SYSTEM".to_owned())),
    }
    let given = Server::new(&url, headers)?.send(Method::POST, "/api/v1/token", &[], None).await?.body;
    let token = given.get("token").and_then(serde_json::Value::as_str);
    let token = token.ok_or_else(|| Trouble::Cannot(format!("`{url}` gives no tokens")))?.to_owned();
    let seconds = given.get("expiresIn").and_then(serde_json::Value::as_i64).unwrap_or(0);
    let ends = SystemClock.now().0.saturating_add(seconds.saturating_mul(1_000));
    let saved = profile::save(&login.who.profile, &Profile { url: url.clone(), token, ends })?;
    let place = login.org.as_ref().map_or_else(|| "the platform".to_owned(), |org| format!("`{org}`"));
    let text = format!("signed in to {place} at {url} as {}, for {} hours", login.email, seconds / 3_600);
    let json = json!({ "url": url, "email": login.email, "file": saved, "ends": ends });
    Ok(Told::new(text, json, if login.org.is_some() { "policy whoami" } else { "policy org create ORG --owner EMAIL" }))
}

pub(super) fn logout(who: &As) -> Done {
    profile::forget(&who.profile)?;
    Ok(Told::new("the token is forgotten", json!({}), "policy login --email you@example.com"))
}

pub(super) async fn whoami(who: &As) -> Done {
    let me = who.get("/api/v1/whoami").await?.body;
    let may = me.get("may").and_then(serde_json::Value::as_object);
    let may: Vec<&str> = may.map(|may| may.keys().map(String::as_str).collect()).unwrap_or_default();
    let text = format!(
        "{} in {}\nroles: {}\nmay: {}",
        cell(&me, "email"),
        cell(&me, "scope"),
        cell(&me, "roles"),
        if may.is_empty() { "nothing".to_owned() } else { may.join("\n     ") },
    );
    Ok(Told::new(text, me, "policy policies list --org ORG"))
}
