//! Manifests that programs registered: how they stand, what moved, and what is tidied up.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{As, At, encoded};
use crate::told::{Done, Told, Trouble, cell, rows, table};

/// How much of a hash is shown, and tells manifests apart.
const SHOWN: usize = 12;

#[derive(Args)]
pub(crate) struct Hashed {
    /// The first letters of its hash, as `policy manifests list` shows them
    hash: String,
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    who: As,
}

#[derive(Subcommand)]
pub(crate) enum Manifests {
    /// Lists the manifests that programs registered
    List {
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        who: As,
    },
    /// Shows a manifest: the rules that it broke, what is closed, what moved since the one before it
    Show(Hashed),
    /// Opens what a flagged manifest has closed; until then it stays closed
    Accept(Hashed),
    /// Removes manifests of programs that are gone for 90 days and that no active rule needs
    Prune {
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        who: As,
    },
}

pub(super) async fn manifests(command: Manifests) -> (bool, Done) {
    match command {
        Manifests::List { at, who } => (who.json, list(&who, &at).await),
        Manifests::Show(one) => (one.who.json, show(&one).await),
        Manifests::Accept(one) => (one.who.json, accept(&one).await),
        Manifests::Prune { at, who } => (who.json, prune(&who, &at).await),
    }
}

fn listed(items: &[Value]) -> String {
    let mut all = rows(items, &["scope", "version", "state", "hash"]);
    for hash in all.iter_mut().filter_map(|row| row.last_mut()) {
        *hash = hash.chars().take(SHOWN).collect();
    }
    table(&["APPLICATION", "VERSION", "STATE", "HASH"], &all)
}

async fn list(who: &As, at: &At) -> Done {
    let items = who.all(&at.path("/manifests")).await?;
    let text = if items.is_empty() { "no program has registered a manifest".to_owned() } else { listed(&items) };
    Ok(Told::new(text, Value::from(items), format!("policy manifests show HASH {}", at.flag())))
}

impl Hashed {
    /// The path of the one manifest that is meant.
    async fn path(&self) -> Result<String, Trouble> {
        let items = self.who.all(&self.at.path("/manifests")).await?;
        let meant: Vec<&Value> = items.iter().filter(|one| cell(one, "hash").starts_with(&self.hash)).collect();
        match meant.as_slice() {
            [one] => Ok(format!("/api/v1/scopes/{}/manifests/{}", encoded(&cell(one, "scope")), cell(one, "hash"))),
            found => {
                let told = if found.is_empty() { "no manifest's" } else { "more than one manifest's" };
                Err(Trouble::Cannot(format!(
                    "{told} hash begins with `{}`\nnext: policy manifests list {}",
                    self.hash,
                    self.at.flag()
                )))
            }
        }
    }
}

async fn show(one: &Hashed) -> Done {
    let found = one.who.get(&one.path().await?).await?.body;
    let mut text = format!(
        "version {} of {} is {}\n  {}\n",
        cell(&found, "version"),
        cell(&found, "scope"),
        cell(&found, "state"),
        cell(&found, "hash")
    );
    for (head, name) in [("rules that it broke", "broken"), ("closed", "closed"), ("moved", "moved")] {
        let all = found.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        if !all.is_empty() {
            text.extend([head, ":\n"]);
        }
        for line in all.iter().filter_map(Value::as_str) {
            text.extend(["  ", &line.replace('\n', "\n  "), "\n"]);
        }
    }
    let next = match cell(&found, "state").as_str() {
        "flagged" => format!("policy manifests accept {} {}", one.hash, one.at.flag()),
        _ => format!("policy policies targets {}", one.at.flag()),
    };
    Ok(Told::new(text, found, next))
}

async fn accept(one: &Hashed) -> Done {
    let done = one.who.post(&format!("{}/accept", one.path().await?), None).await?.body;
    let text = format!("version {} of {} is accepted: nothing is closed", cell(&done, "version"), cell(&done, "scope"));
    Ok(Told::new(text, done, format!("policy manifests list {}", one.at.flag())))
}

async fn prune(who: &As, at: &At) -> Done {
    let removed = who.post(&at.path("/manifests/prune"), None).await?.body;
    let items = removed.as_array().map(Vec::as_slice).unwrap_or_default();
    let text =
        if items.is_empty() { "there is nothing to remove".to_owned() } else { format!("removed\n{}", listed(items)) };
    Ok(Told::new(text, removed, format!("policy manifests list {}", at.flag())))
}
