//! Drafts tried before they decide, versions compared, decisions explained.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use ::http::Method;
use clap::Args;
use policy_runtime::offline::{Template, templates};
use serde_json::{Value, json};

use super::{As, At, Done, Trouble, encoded};
use crate::told::{Told, cell, list, rows, table};

#[derive(Args)]
pub(crate) struct Shadow {
    /// The version to ask beside the active one; without it, what was counted is told
    number: Option<i64>,
    /// Asks it no more
    #[arg(long, conflicts_with = "number")]
    end: bool,
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    pub(super) who: As,
}

#[derive(Args)]
pub(crate) struct Try {
    /// The version that would decide
    number: i64,
    /// Only decisions of this action
    #[arg(long)]
    action: Option<String>,
    /// Only decisions about this participant, `<scope>/<id>`
    #[arg(long)]
    actor: Option<String>,
    /// Only from this time on, in milliseconds since 1970
    #[arg(long)]
    from: Option<i64>,
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    pub(super) who: As,
}

#[derive(Args)]
pub(crate) struct Differ {
    /// The version as it is to be
    number: i64,
    /// The version as it was; the active one, if not said
    #[arg(long, value_name = "NUMBER")]
    from: Option<i64>,
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    pub(super) who: As,
}

#[derive(Args)]
pub(crate) struct Explain {
    /// The id that the caller was told, `d-..`
    #[arg(required_unless_present = "request")]
    decision: Option<String>,
    /// A supposed request instead, as JSON in a file, `-` for the input
    #[arg(long, value_name = "FILE", conflicts_with = "decision")]
    request: Option<PathBuf>,
    /// The request's participant is as the file says, and not a stored one
    #[arg(long, requires = "request")]
    hypothetical: bool,
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    pub(super) who: As,
}

#[derive(Args)]
pub(crate) struct About {
    /// `policies who`: an action's full name; `policies may`: a user's id
    what: String,
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    pub(super) who: As,
}

fn turned(body: &Value) -> String {
    let names = ["becomes", "rule", "action", "caller", "count"];
    let turns = list(body, "turns");
    if turns.is_empty() {
        return "it turns none of them\n".to_owned();
    }
    table(&["BECOMES", "BY", "ACTION", "CALLER", "COUNT"], &rows(turns, &names))
}

/// The lists that change, a line for each kind, with the clauses that come and go where they are known.
fn listed(found: &Value) -> String {
    let mut text = String::new();
    for one in list(found, "lists") {
        let [becomes, rule, action, caller, count] =
            ["becomes", "rule", "action", "caller", "count"].map(|name| cell(one, name));
        let _ = writeln!(text, "{count} lists of {action} by {caller} become {becomes}, by {rule}");
        for (sign, name) in [("+", "came"), ("-", "went")] {
            for clause in list(one, name).iter().filter_map(Value::as_str) {
                let _ = writeln!(text, "  {sign} {clause}");
            }
        }
    }
    text
}

pub(super) async fn shadow(asked: &Shadow) -> Done {
    let (at, who) = (&asked.at, &asked.who);
    let path = at.path("/shadow");
    if asked.end {
        let done = who.server()?.send(Method::DELETE, &path, &[], None).await?;
        let text = format!("no draft of {} is in shadow any more", at.scope());
        return Ok(Told::new(text, done.body, format!("policy policies list {}", at.flag())));
    }
    if let Some(number) = asked.number {
        let begun = who.post(&at.path(&format!("/policies/{number}/shadow")), None).await?.body;
        let text =
            format!("version {number} of {} is asked about each decision from now on, and only counted", at.scope());
        return Ok(Told::new(text, begun, format!("policy policies shadow {}", at.flag())));
    }
    let found = who.get(&path).await?.body;
    let number = cell(&found, "number");
    let (turned, listed) = (turned(&found), listed(&found));
    let text = format!("version {number} was asked about {} decisions\n{turned}{listed}", cell(&found, "decisions"));
    Ok(Told::new(text, found, format!("policy policies activate {number} {}", at.flag())))
}

pub(super) async fn dry_run(asked: &Try) -> Done {
    let (number, at) = (asked.number, &asked.at);
    let texts = [("action", &asked.action), ("actor", &asked.actor)];
    let texts = texts.into_iter().filter_map(|(name, text)| Some(format!("&{name}={}", encoded(text.as_deref()?))));
    let from = asked.from.map(|from| format!("&from={from}"));
    let query: String = texts.chain(from).collect();
    let query = query.strip_prefix('&').map(|query| format!("?{query}")).unwrap_or_default();
    crate::output::progress("the recorded decisions are made again");
    let found = asked.who.get(&at.path(&format!("/policies/{number}/dry-run{query}"))).await?.body;
    let mut text = format!(
        "{} of {} recorded decisions were made again under version {number}\n{}",
        cell(&found, "replayed"),
        cell(&found, "looked"),
        turned(&found)
    );
    text.push_str(&listed(&found));
    for (why, count) in found.get("notReplayed").and_then(Value::as_object).into_iter().flatten() {
        text.extend([&count.to_string(), " cannot be replayed: ", why, "\n"]);
    }
    if found.get("more") == Some(&Value::Bool(true)) {
        text.push_str("there are more records: say `--from`\n");
    }
    Ok(Told::new(text, found, format!("policy policies shadow {number} {}", at.flag())))
}

pub(super) async fn difference(asked: &Differ) -> Done {
    let from = asked.from.map(|from| format!("?from={from}")).unwrap_or_default();
    let path = asked.at.path(&format!("/policies/{}/difference{from}", asked.number));
    let found = asked.who.get(&path).await?.body;
    let next = format!("policy policies try {} {}", asked.number, asked.at.flag());
    Ok(Told::new(cell(&found, "text"), found, next))
}

pub(super) async fn explain(asked: &Explain) -> Done {
    let (at, who) = (&asked.at, &asked.who);
    if let Some(path) = &asked.request {
        let text = crate::offline::read(path).map_err(|error| Trouble::Cannot(error.to_string()))?;
        let request: Value =
            serde_json::from_str(&text).map_err(|error| Trouble::Cannot(format!("`{}`: {error}", path.display())))?;
        let body = json!({ "request": request, "hypothetical": asked.hypothetical });
        let found = who.post(&at.path("/explain"), Some(&body)).await?.body;
        return Ok(Told::new(cell(&found, "text"), found, format!("policy policies list {}", at.flag())));
    }
    let id = asked.decision.as_deref().unwrap_or_default();
    let found = who.get(&at.path(&format!("/decisions/{}", encoded(id)))).await?.body;
    Ok(Told::new(explained(&found), found, format!("policy policies show {}", at.flag())))
}

/// Evidence: who, what, which tier, rule and clause, its values, and what would have to be otherwise.
fn explained(found: &Value) -> String {
    let record = found.pointer("/record/record").cloned().unwrap_or_default();
    let details = record.get("details").cloned().unwrap_or_default();
    let mut text = format!(
        "{} {} by {}\n",
        cell(&record, "outcome").to_uppercase(),
        cell(&record, "action"),
        cell(&record, "actor")
    );
    for (name, of) in [("tier", "tier"), ("rule", "policy"), ("clause", "clause"), ("filter", "filter")] {
        if details.get(of).is_some() {
            text.extend(["  ", name, ": ", &cell(&details, of), "\n"]);
        }
    }
    let personal = found.pointer("/record/personal").and_then(Value::as_object).into_iter().flatten();
    for (name, value) in personal {
        if let Some(path) = name.strip_prefix("value.").or_else(|| name.starts_with("filter.").then_some(name)) {
            text.extend(["  ", path, " is ", &cell(value, "value"), "\n"]);
        }
    }
    for (name, _) in details.as_object().into_iter().flatten().filter(|(_, value)| value.get("secret").is_some()) {
        text.extend(["  ", name.strip_prefix("value.").unwrap_or(name), " is (secret)\n"]);
    }
    if found.get("samePolicies") == Some(&Value::Bool(false)) {
        text.push_str("the policies have changed since\n");
    }
    if let Some(rule) = found.get("rule").and_then(Value::as_str) {
        text.extend(["\n", rule.trim(), "\n"]);
    }
    let nearest = found.pointer("/now/nearest");
    for flip in nearest.map(|nearest| list(nearest, "flips")).unwrap_or_default() {
        text.extend(["\nnearest change that opens it now: ", &cell(flip, "wanted"), "\n"]);
    }
    if let Some(why) = nearest.and_then(|nearest| nearest.get("none")).and_then(Value::as_str) {
        text.extend(["\n", why, "\n"]);
    }
    if let Some(why) = found.get("notReplayed").and_then(Value::as_str) {
        text.extend(["\nwhat would open it cannot be said: ", why, "\n"]);
    }
    text
}

/// What the answers do not know.
fn unknown(all: &[Value]) -> String {
    let names: BTreeSet<&str> = all.iter().flat_map(|one| list(one, "unknown")).filter_map(Value::as_str).collect();
    if names.is_empty() {
        return String::new();
    }
    let names: Vec<String> = names.into_iter().map(|name| format!("`participant.{name}`")).collect();
    format!("as if absent, where it is not stored: {}; sign-in or a source may add it\n", names.join(", "))
}

pub(super) async fn may(asked: &About) -> Done {
    let found = asked.who.get(&asked.at.path(&format!("/users/{}/may", encoded(&asked.what)))).await?.body;
    let is_open = |one: &&Value| cell(one, "withMfa") != "never" || !list(one, "unknown").is_empty();
    let open: Vec<Value> = list(&found, "items").iter().filter(is_open).cloned().collect();
    let mut text = if open.is_empty() {
        "nothing\n".to_owned()
    } else {
        table(&["ACTION", "MAY", "WITH A SECOND FACTOR"], &rows(&open, &["action", "may", "withMfa"]))
    };
    text.push_str(&unknown(&open));
    Ok(Told::new(text, found, format!("policy policies who ACTION {}", asked.at.flag())))
}

pub(super) async fn who(asked: &About) -> Done {
    let path = asked.at.path(&format!("/who?action={}", encoded(&asked.what)));
    let found = asked.who.all_of(&path).await?;
    let names = ["name", "id", "scope", "may", "withMfa"];
    let mut text = if found.is_empty() {
        "nobody\n".to_owned()
    } else {
        table(&["WHO", "ID", "SCOPE", "MAY", "WITH A SECOND FACTOR"], &rows(&found, &names))
    };
    text.push_str(&unknown(&found));
    Ok(Told::new(text, Value::from(found), format!("policy policies may USER {}", asked.at.flag())))
}

/// The templates of common rules.
pub(super) fn known() -> Told {
    let values = |template: &Template| {
        let all = template.values.iter().map(|(name, example)| format!("--set {name}={example}"));
        all.collect::<Vec<_>>().join(" ")
    };
    let all: Vec<Vec<String>> = templates()
        .iter()
        .map(|template| vec![template.name.to_owned(), template.summary.to_owned(), values(template)])
        .collect();
    let json = templates().iter().map(|one| {
        let values: Vec<_> =
            one.values.iter().map(|(name, example)| json!({ "name": name, "example": example })).collect();
        json!({ "name": one.name, "summary": one.summary, "values": values })
    });
    let text = table(&["TEMPLATE", "LETS THROUGH", "VALUES"], &all);
    Told::new(text, json.collect(), "policy policies new NAME --template TEMPLATE --target ACTION --org ORG")
}
