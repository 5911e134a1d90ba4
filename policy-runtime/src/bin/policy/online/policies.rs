//! Policies of a scope on the server, and its records.

use ::http::Method;
use clap::{Args, Subcommand};
use policy_runtime::offline::Template;
use serde_json::{Value, json};

use super::{As, At, Done, Trouble, encoded, rules, trying};
use crate::told::{Told, cell, rows, table};

/// A version of a scope's set.
#[derive(Args)]
pub(crate) struct Numbered {
    /// Its number
    number: i64,
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    who: As,
}

#[derive(Subcommand)]
pub(crate) enum Policies {
    /// Lists the versions of a scope's set
    List {
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        who: As,
    },
    /// Adds a rule to what is active, as a version that is checked and not active yet
    New {
        /// The rule's name, which explanations and the audit tell
        name: String,
        /// `forbid com.example.OrderService.placeOrder unless participant.mfa == true`
        #[arg(long, required_unless_present = "template")]
        rule: Option<String>,
        /// A common rule instead: `policy policies templates` lists them
        #[arg(long, conflicts_with = "rule", requires = "target")]
        template: Option<String>,
        /// What the template is about: an action, a service as `com.example.OrderService.*`, or a group
        #[arg(long, requires = "template")]
        target: Option<String>,
        /// A value of the template; may be said again
        #[arg(long = "set", value_name = "NAME=VALUE", requires = "template")]
        values: Vec<String>,
        /// Why
        #[arg(long, default_value = "")]
        comment: String,
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        who: As,
    },
    /// Shows a version; without a number, what decides now, baseline included
    Show {
        /// Its number
        number: Option<i64>,
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        who: As,
    },
    /// Checks a version, and says what is worth a look
    Validate(Numbered),
    /// Lets a version decide
    Activate(Numbered),
    /// Lets the version decide that did before
    Rollback {
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        who: As,
    },
    /// Asks a version beside the active one about each decision, and only counts what it would turn
    Shadow(trying::Shadow),
    /// Makes recorded decisions again under a version: which would turn, by rule and caller
    Try(trying::Try),
    /// Says how two versions differ, in words
    Diff(trying::Differ),
    /// Says why a decision was made, and what would open it; or decides a supposed request
    Explain(trying::Explain),
    /// Says what a user may do
    May(trying::About),
    /// Says who may do something
    Who(trying::About),
    /// Lists templates of common rules
    Templates {
        /// Answers in JSON
        #[arg(long)]
        json: bool,
    },
    /// Lists what there is to write rules about
    Targets {
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        who: As,
    },
}

pub(super) async fn policies(command: Policies) -> (bool, Done) {
    match command {
        Policies::List { at, who } => (who.json, list(&who, &at).await),
        Policies::New { name, rule, template, target, values, comment, at, who } => {
            let rule = match (rule, template, target) {
                (Some(rule), _, _) => Ok(rule),
                (None, template, target) => templated(template.as_deref(), target.as_deref(), &values),
            };
            let done = match rule {
                Ok(rule) => new(&who, &at, &name, &rule, &comment).await,
                Err(trouble) => Err(trouble),
            };
            (who.json, done)
        }
        Policies::Shadow(asked) => (asked.who.json, trying::shadow(&asked).await),
        Policies::Try(asked) => (asked.who.json, trying::dry_run(&asked).await),
        Policies::Diff(asked) => (asked.who.json, trying::difference(&asked).await),
        Policies::Explain(asked) => (asked.who.json, trying::explain(&asked).await),
        Policies::May(asked) => (asked.who.json, trying::may(&asked).await),
        Policies::Who(asked) => (asked.who.json, trying::who(&asked).await),
        Policies::Templates { json } => (json, Ok(trying::known())),
        Policies::Show { number, at, who } => (who.json, show(&who, &at, number).await),
        Policies::Validate(one) => (one.who.json, validate(&one.who, &one.at, one.number).await),
        Policies::Activate(one) => (one.who.json, activate(&one.who, &one.at, one.number).await),
        Policies::Rollback { at, who } => (who.json, rollback(&who, &at).await),
        Policies::Targets { at, who } => (who.json, targets(&who, &at).await),
    }
}

fn templated(template: Option<&str>, target: Option<&str>, values: &[String]) -> Result<String, Trouble> {
    let wrong = |told: String| Trouble::Cannot(format!("{told}\nnext: policy policies templates"));
    let pairs = values.iter().map(|pair| {
        let pair = pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        pair.ok_or_else(|| wrong("`--set` is NAME=VALUE".to_owned()))
    });
    let template = Template::find(template.unwrap_or_default()).map_err(|error| wrong(error.to_string()))?;
    template
        .rule(target.unwrap_or_default(), &pairs.collect::<Result<_, _>>()?)
        .map_err(|error| wrong(error.to_string()))
}

async fn list(who: &As, at: &At) -> Done {
    let items = who.all(&at.path("/policies")).await?;
    let text = if items.is_empty() {
        format!("{} decides by the shipped baseline alone\n", at.scope())
    } else {
        table(&["VERSION", "STATE", "AUTHOR", "COMMENT"], &rows(&items, &["number", "state", "author", "comment"]))
    };
    Ok(Told::new(text, Value::from(items), format!("policy policies new NAME {} --rule '...'", at.flag())))
}

/// What is active, as far as a rule is added to it, and its tag.
async fn active(who: &As, at: &At) -> Result<(Value, Option<String>, i64), Trouble> {
    let listed = who.get(&at.path("/policies?limit=1")).await?;
    let number = listed.body.get("active").and_then(Value::as_i64).unwrap_or(0);
    if number == 0 {
        return Ok((json!({ "baseline": "shipped", "rules": [], "cedar": [] }), listed.etag, number));
    }
    let version = who.get(&at.path(&format!("/policies/{number}"))).await?.body;
    let take = |name: &str| version.get(name).cloned().unwrap_or(Value::Null);
    let set = json!({ "baseline": take("baseline"), "rules": take("rules"), "cedar": take("cedar") });
    Ok((set, listed.etag, number))
}

/// Saves a version and checks it.
pub(super) async fn save(who: &As, at: &At, set: &Value, tag: Option<String>) -> Result<(i64, Value), Trouble> {
    let seen: Vec<_> = tag.map(|tag| ("if-match", tag)).into_iter().collect();
    let made = who.server()?.send(Method::POST, &at.path("/policies"), &seen, Some(set)).await?.body;
    let number = made.get("number").and_then(Value::as_i64).unwrap_or(0);
    let review = who.post(&at.path(&format!("/policies/{number}/validate")), None).await?.body;
    Ok((number, review))
}

async fn new(who: &As, at: &At, name: &str, rule: &str, comment: &str) -> Done {
    let (mut set, tag, before) = active(who, at).await?;
    if let Some(Value::Array(rules)) = set.get_mut("rules") {
        rules.retain(|one| one.get("id").and_then(Value::as_str) != Some(name));
        rules.push(json!({ "id": name, "text": rule }));
    }
    if let Some(set) = set.as_object_mut() {
        set.insert("comment".into(), if comment.is_empty() { name.into() } else { comment.into() });
    }
    let (number, review) = save(who, at, &set, tag).await?;
    let from = if before == 0 { "what is shipped".to_owned() } else { format!("version {before}") };
    let text = format!(
        "version {number} of {} is {from} with the rule `{name}`; it is checked, and not active\n{}",
        at.scope(),
        warnings(&review)
    );
    Ok(Told::new(text, review, format!("policy policies activate {number} {}", at.flag())))
}

pub(super) fn warnings(review: &Value) -> String {
    let found = review.get("warnings").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let lines = found.iter().map(|one| format!("warning: {}: {}\n", cell(one, "place"), cell(one, "message")));
    lines.collect::<Vec<_>>().concat()
}

async fn show(who: &As, at: &At, number: Option<i64>) -> Done {
    let Some(number) = number else {
        let all = who.get(&at.path("/effective")).await?.body;
        let policies = all.as_array().map(Vec::as_slice).unwrap_or_default();
        let text = policies.iter().map(|one| cell(one, "text").trim().to_owned() + "\n\n").collect::<Vec<_>>().concat();
        return Ok(Told::new(text, all, format!("policy policies list {}", at.flag())));
    };
    let version = who.get(&at.path(&format!("/policies/{number}"))).await?.body;
    let mut text = format!(
        "version {number} of {}, {}: {}\nbaseline: {}\n",
        at.scope(),
        cell(&version, "state"),
        cell(&version, "comment"),
        cell(&version, "baseline")
    );
    for (list, name) in [("rules", "id"), ("cedar", "name")] {
        for one in version.get(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default() {
            text.extend(["\n", &cell(one, name), ":\n  ", &cell(one, "text").trim().replace('\n', "\n  "), "\n"]);
        }
    }
    Ok(Told::new(text, version, format!("policy policies activate {number} {}", at.flag())))
}

async fn validate(who: &As, at: &At, number: i64) -> Done {
    let review = who.post(&at.path(&format!("/policies/{number}/validate")), None).await?.body;
    let text = format!("version {number} of {} is in order\n{}", at.scope(), warnings(&review));
    Ok(Told::new(text, review, format!("policy policies activate {number} {}", at.flag())))
}

async fn turn(who: &As, at: &At, number: i64, tag: Option<String>) -> Result<Value, Trouble> {
    let seen: Vec<_> = tag.map(|tag| ("if-match", tag)).into_iter().collect();
    let path = at.path(&format!("/policies/{number}/activate"));
    Ok(who.server()?.send(Method::POST, &path, &seen, None).await?.body)
}

async fn activate(who: &As, at: &At, number: i64) -> Done {
    let tag = who.get(&at.path("/policies?limit=1")).await?.etag;
    let done = turn(who, at, number, tag).await?;
    let text = format!("version {number} of {} decides now\n{}", at.scope(), warnings(&done));
    Ok(Told::new(text, done, format!("policy policies rollback {} undoes it", at.flag())))
}

async fn rollback(who: &As, at: &At) -> Done {
    let listed = who.get(&at.path("/policies?limit=1")).await?;
    let (active, before) = (listed.body.get("active"), listed.body.get("before").and_then(Value::as_i64));
    if active.and_then(Value::as_i64).unwrap_or(0) == 0 {
        return Err(Trouble::Cannot(format!(
            "{} decides by the shipped baseline already\nnext: policy policies list {}",
            at.scope(),
            at.flag()
        )));
    }
    let number = match before {
        Some(number) => number,
        // Nothing was active before: back to what the scope began with.
        None => save(who, at, &json!({ "comment": "as shipped" }), listed.etag.clone()).await?.0,
    };
    let done = turn(who, at, number, listed.etag).await?;
    let what = if before.is_some() { format!("version {number}") } else { "the shipped baseline".to_owned() };
    let text = format!("{what} of {} decides again\n{}", at.scope(), warnings(&done));
    Ok(Told::new(text, done, format!("policy policies list {}", at.flag())))
}

async fn targets(who: &As, at: &At) -> Done {
    let manifest = who.get(&at.path("/manifest")).await?.body;
    let actions = manifest.get("actions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let text = table(&["ACTION", "RULE IN THE CODE", "SOURCE"], &rows(actions, &["action", "rule", "source"]));
    Ok(Told::new(text, manifest, format!("policy policies new NAME {} --rule '...'", at.flag())))
}

/// Which records are wanted.
#[derive(Args)]
pub(crate) struct Wanted {
    /// decision, sign-in, change or end
    #[arg(long)]
    kind: Option<String>,
    /// `<scope>/<id>` of a participant
    #[arg(long)]
    actor: Option<String>,
    /// An action's full name
    #[arg(long)]
    action: Option<String>,
    /// Type and id of an entity
    #[arg(long)]
    resource: Option<String>,
    /// allow or deny
    #[arg(long)]
    outcome: Option<String>,
    /// The id of a decision
    #[arg(long)]
    decision: Option<String>,
    /// From this time on, in milliseconds since 1970
    #[arg(long)]
    from: Option<i64>,
    /// Before this time
    #[arg(long)]
    until: Option<i64>,
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    who: As,
}

impl Wanted {
    fn path(&self, rest: &str, after: i64) -> String {
        let texts = [
            ("kind", &self.kind),
            ("actor", &self.actor),
            ("action", &self.action),
            ("resource", &self.resource),
            ("outcome", &self.outcome),
            ("decision", &self.decision),
        ];
        let texts = texts.into_iter().filter_map(|(name, text)| Some(format!("&{name}={}", encoded(text.as_deref()?))));
        let times = [("from", self.from), ("until", self.until)];
        let times = times.into_iter().filter_map(|(name, time)| Some(format!("&{name}={}", time?)));
        self.at.path(&format!("{rest}?after={after}{}", texts.chain(times).collect::<String>()))
    }
}

#[derive(Subcommand)]
pub(crate) enum Audit {
    /// Shows records, the first thousand
    Query(Wanted),
    /// Writes all of them as JSON lines
    Export(Wanted),
    /// Counts decisions by action, caller and outcome
    Counts(Wanted),
    /// Follows the chain of a scope: nothing was changed, left out or put in
    Verify {
        /// A signed end of the chain that was kept elsewhere, as `policy audit anchor` writes it, or a file of them
        #[arg(long, value_name = "FILE")]
        anchor: Option<std::path::PathBuf>,
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        who: As,
    },
    /// Says of which actions no call runs before its record, or lists them
    Require(rules::Require),
    /// Writes the signed end of a chain, to be kept elsewhere
    Anchor {
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        who: As,
    },
}

pub(super) async fn audit(command: Audit) -> (bool, Done) {
    match command {
        Audit::Query(wanted) => (wanted.who.json, query(&wanted).await),
        Audit::Export(wanted) => (wanted.who.json, export(&wanted).await),
        Audit::Counts(wanted) => (wanted.who.json, counts(&wanted).await),
        Audit::Verify { anchor, at, who } => (who.json, verify(&who, &at, anchor.as_deref()).await),
        Audit::Require(asked) => (asked.who.json, rules::require(&asked).await),
        Audit::Anchor { at, who } => (who.json, sign(&who, &at).await),
    }
}

async fn query(wanted: &Wanted) -> Done {
    let mut found = wanted.who.get(&wanted.path("/audit", 0)).await?.body;
    let items = match found.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    };
    let records: Vec<Value> = items.iter().filter_map(|item| item.get("record").cloned()).collect();
    let names = ["kind", "outcome", "action", "actor", "decision"];
    let text = table(&["KIND", "OUTCOME", "ACTION", "ACTOR", "DECISION"], &rows(&records, &names));
    Ok(Told::new(text, Value::from(items), format!("policy audit verify {}", wanted.at.flag())))
}

/// The most records that a server gives at once.
const PAGE: usize = 1_000;

async fn export(wanted: &Wanted) -> Done {
    let mut after = 0;
    loop {
        let lines = wanted.who.get(&wanted.path("/audit/export", after)).await?.text;
        let last = lines.lines().last().and_then(|line| serde_json::from_str::<Value>(line).ok());
        after = last.and_then(|line| line.get("number")?.as_i64()).unwrap_or(after);
        crate::output::write(&lines);
        // That it is exported is recorded, too: whoever went on until there is no record would never end.
        if lines.lines().count() < PAGE {
            let next = format!("policy audit verify {}", wanted.at.flag());
            return Ok(Told::data("", json!({ "last": after }), next));
        }
        crate::output::progress(&format!("record {after}"));
    }
}

async fn counts(wanted: &Wanted) -> Done {
    let found = wanted.who.get(&wanted.path("/audit/counts", 0)).await?.body;
    let items = found.as_array().map(Vec::as_slice).unwrap_or_default();
    let text = table(&["ACTION", "CALLER", "OUTCOME", "COUNT"], &rows(items, &["action", "actor", "outcome", "count"]));
    let next = format!("policy audit query --outcome deny {}", wanted.at.flag());
    Ok(Told::new(text, found, next))
}

async fn verify(who: &As, at: &At, anchor: Option<&std::path::Path>) -> Done {
    let unusable = |error: String| Trouble::Cannot(format!("the anchor cannot be read: {error}"));
    let anchor: Value = match anchor {
        None => Value::Null,
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
            // The latest of this scope: servers add a line for each to the file of `anchors_file`.
            let lines = serde_json::Deserializer::from_str(&text).into_iter::<Value>().collect::<Result<Vec<_>, _>>();
            let mut lines = lines.map_err(|error| unusable(error.to_string()))?;
            lines.retain(|anchor| anchor.get("scope").and_then(Value::as_str) == Some(&*at.scope()));
            lines.pop().ok_or_else(|| unusable(format!("it has none of {}", at.scope())))?
        }
    };
    let found = who.post(&at.path("/audit/verify"), Some(&anchor)).await?.body;
    let text = format!(
        "{} records of {} are as they were written, up to number {}",
        cell(&found, "records"),
        at.scope(),
        cell(&found, "last")
    );
    Ok(Told::new(text, found, format!("policy audit anchor {} > anchor.json", at.flag())))
}

async fn sign(who: &As, at: &At) -> Done {
    let anchor = who.get(&at.path("/audit/anchor")).await?.body;
    let next = format!("policy audit verify --anchor FILE {}", at.flag());
    Ok(Told::data(format!("{anchor}\n"), anchor, next))
}
