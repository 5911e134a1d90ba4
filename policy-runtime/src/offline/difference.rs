//! `policy diff`: how two folders of policies differ, in words, and which requests they decide differently.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use policy_core::pdp::{Engine, SetSource};
use policy_core::syntax::ast::ExprKind;
use policy_core::syntax::rule::{Rule, RuleCondition, parse_rule};
use policy_core::value::Millis;
use policy_core::{Decision, Request, Scope, Tier};
use serde_json::{Value, json};

use super::explain::{TryError, known};
use super::folder::Folder;
use super::hypothetical::Hypothetical;
use super::plain::Wrong;
use super::report::{Report, Status, count, put};
use crate::shadow::blamed;

/// Says which policies were added, removed and changed, clause by clause; with `requests`, one in a line, also which of them are
/// decided otherwise, grouped by the rule that decides and by who asks.
///
/// ```
/// use policy_runtime::offline::{Folder, diff};
/// use policy_runtime::value::Millis;
/// # let root = std::env::temp_dir().join(format!("policy-diff-{}", std::process::id()));
/// # for side in ["a/sys", "b/sys"] { std::fs::create_dir_all(root.join(side)).unwrap(); }
/// # let manifest = policy_core::registry::Registry::program().unwrap().manifest().to_string();
/// # std::fs::write(root.join("b/manifest.json"), manifest).unwrap();
/// std::fs::write(root.join("b/sys/mfa.rule"), "forbid Platform.organizations.* unless participant.mfa").unwrap();
/// let after = Folder::read(&root.join("b"), None).unwrap();
/// let report = diff(&after.beside(&root.join("a")).unwrap(), &after, None, Millis(0)).unwrap();
/// assert!(report.text.contains("added `mfa`: forbid Platform.organizations.* unless participant.mfa"), "{report}");
/// # std::fs::remove_dir_all(&root).unwrap();
/// ```
///
/// # Errors
/// When the policies of one of them are not in order, or a line is no request.
pub fn diff(before: &Folder, after: &Folder, requests: Option<&str>, now: Millis) -> Result<Report, TryError> {
    let (engine_before, engine_after) = (before.engine()?, after.engine()?);
    let (mut out, mut changes) = (String::new(), Vec::new());
    let (sets_before, sets_after) = (before.sets(), after.sets());
    let scopes: BTreeSet<&Scope> = sets_before.keys().chain(sets_after.keys()).collect();
    for scope in scopes {
        let of = |engine: &Engine, sets: &BTreeMap<Scope, SetSource>| {
            policies(engine, scope, sets.get(scope).map_or(&[], |set| &set.rules))
        };
        changes.extend(tell(scope, &of(&engine_before, &sets_before), &of(&engine_after, &sets_after), &mut out));
    }
    if changes.is_empty() {
        out.push_str("the policies do not differ\n");
    }
    let mut json = json!({ "changes": changes });
    let mut flipped = 0;
    if let Some(requests) = requests {
        let flips = Flips::of(requests, &engine_before, &engine_after, now)?;
        flipped = flips.count;
        flips.tell(&mut out);
        put(&mut json, "requests", flips.as_json());
    }
    let good = changes.is_empty() && flipped == 0;
    let next = if requests.is_none() && !good { "policy diff --requests FILE" } else { "policy test" };
    Ok(Report::new(Status::of(good), out, json).next(next))
}

/// Says how two sets of a scope differ. One that does not check any more is compared as it was written.
#[cfg(feature = "admin")]
pub(crate) fn difference(engine: &Engine, scope: &Scope, before: &SetSource, after: &SetSource) -> (String, Value) {
    let all = |source: &SetSource| {
        if let Ok(engine) = engine.supposing(scope, source) {
            policies(&engine, scope, &source.rules)
        } else {
            let cedar = source.cedar.iter().map(|(name, text)| (name.as_str().into(), Written::Cedar(text.clone())));
            cedar.chain(parsed(&source.rules)).collect()
        }
    };
    let mut out = String::new();
    let changes = tell(scope, &all(before), &all(after), &mut out);
    if changes.is_empty() {
        out.push_str("the policies do not differ\n");
    }
    (out, json!({ "changes": changes }))
}

/// Writes the changes of a scope in words.
fn tell(
    scope: &Scope,
    old: &BTreeMap<Arc<str>, Written>,
    new: &BTreeMap<Arc<str>, Written>,
    out: &mut String,
) -> Vec<Value> {
    let told = compared(old, new);
    // Writing to a `String` cannot fail.
    if !told.is_empty() {
        let _ = writeln!(out, "{scope}");
    }
    for Change { what, id, lines } in &told {
        let _ = match lines.as_slice() {
            [one] if *what != "changed" => writeln!(out, "  {what} `{id}`: {one}"),
            _ => writeln!(out, "  {what} `{id}`"),
        };
        if *what == "changed" || lines.len() > 1 {
            for line in lines {
                let _ = writeln!(out, "    {line}");
            }
        }
    }
    let json = |change: &Change| json!({ "scope": scope.to_string(), "policy": &*change.id, "what": change.what, "lines": change.lines });
    told.iter().map(json).collect()
}

/// A policy: a rule, or Cedar.
#[derive(PartialEq)]
enum Written {
    Rule(Rule),
    Cedar(String),
}

/// What a scope's set has beside the program's own, by id. The shipped baseline counts: a set may replace it.
fn policies(engine: &Engine, scope: &Scope, rules: &[(String, String)]) -> BTreeMap<Arc<str>, Written> {
    let own = |id: &str| engine.registry().find(id).is_none();
    let cedar = engine.cedar_of(scope).into_iter().filter(|(id, _)| scope.tier() != Tier::Application || own(id));
    cedar.map(|(id, text)| (id, Written::Cedar(text))).chain(parsed(rules)).collect()
}

fn parsed(rules: &[(String, String)]) -> impl Iterator<Item = (Arc<str>, Written)> {
    rules.iter().filter_map(|(id, text)| Some((id.as_str().into(), Written::Rule(parse_rule(text).ok()?))))
}

struct Change {
    what: &'static str,
    id: Arc<str>,
    lines: Vec<String>,
}

fn compared(old: &BTreeMap<Arc<str>, Written>, new: &BTreeMap<Arc<str>, Written>) -> Vec<Change> {
    let whole = |written: &Written| match written {
        Written::Rule(rule) => vec![rule.to_string()],
        Written::Cedar(text) => text.lines().map(str::to_owned).collect(),
    };
    let ids: BTreeSet<&Arc<str>> = old.keys().chain(new.keys()).collect();
    let of = |id: &Arc<str>| match (old.get(id), new.get(id)) {
        (None, Some(written)) => Some(("added", whole(written))),
        (Some(written), None) => Some(("removed", whole(written))),
        (Some(a), Some(b)) if a != b => Some(("changed", changed(a, b))),
        (_, _) => None,
    };
    ids.into_iter().filter_map(|id| of(id).map(|(what, lines)| Change { what, id: id.clone(), lines })).collect()
}

fn changed(old: &Written, new: &Written) -> Vec<String> {
    let parts = |written: &Written| match written {
        Written::Rule(rule) => parts(rule),
        Written::Cedar(text) => text.lines().map(str::to_owned).collect(),
    };
    let (old, new) = (parts(old), parts(new));
    let gone = old.iter().filter(|part| !new.contains(part)).map(|part| format!("no longer: {part}"));
    let come = new.iter().filter(|part| !old.contains(part)).map(|part| format!("now: {part}"));
    let lines: Vec<String> = gone.chain(come).collect();
    if lines.is_empty() { vec!["the same clauses in another order".to_owned()] } else { lines }
}

/// What a rule is about, and its clauses; each is one that may change alone.
fn parts(rule: &Rule) -> Vec<String> {
    let mut out = vec![format!("{} {}", rule.effect, rule.target)];
    let (word, expr) = match &rule.condition {
        None => return out,
        Some(RuleCondition::When(expr)) => ("when", expr),
        Some(RuleCondition::Unless(expr)) => ("unless", expr),
    };
    #[expect(clippy::wildcard_enum_match_arm, reason = "every other condition is one clause")]
    match &expr.kind {
        ExprKind::And(items) => out.extend(items.iter().map(|item| format!("{word} .. and {item}"))),
        ExprKind::Or(items) => out.extend(items.iter().map(|item| format!("{word} .. or {item}"))),
        _ => out.push(format!("{word} {expr}")),
    }
    out
}

/// Requests that are decided otherwise, by what they become, by the rule that decides and by who asks.
#[derive(Default)]
struct Flips {
    asked: usize,
    count: usize,
    by_rule: BTreeMap<(&'static str, String), BTreeMap<String, Vec<usize>>>,
}

impl Flips {
    fn of(requests: &str, before: &Engine, after: &Engine, now: Millis) -> Result<Self, TryError> {
        let mut flips = Self::default();
        for (line, text) in (1..).zip(requests.lines()).filter(|(_, text)| !text.trim().is_empty()) {
            let asked = Hypothetical::parse(text, after.registry(), now).map_err(|wrong| {
                let column = wrong.at.map_or(1, |(_, column)| column);
                Wrong { at: Some((line as u64, column)), ..wrong }
            })?;
            known(before, &asked)?;
            known(after, &asked)?;
            flips.asked += 1;
            let (was, is) = asked.ask(|request| (decided(before, request), decided(after, request)));
            let becomes = match (was.0, is.0) {
                (true, false) => "allow becomes deny",
                (false, true) => "deny becomes allow",
                (_, _) => continue,
            };
            flips.count += 1;
            // Where it opens, the rule that closed it before is what changed.
            let rule = if is.0 { was.1 } else { is.1 };
            let callers = flips.by_rule.entry((becomes, rule)).or_default();
            callers.entry(asked.participant().id().to_owned()).or_default().push(line);
        }
        Ok(flips)
    }

    fn tell(&self, out: &mut String) {
        for ((becomes, rule), callers) in &self.by_rule {
            let _ = writeln!(out, "{becomes}, by {rule}");
            for (caller, lines) in callers {
                let shown: Vec<String> = lines.iter().take(10).map(ToString::to_string).collect();
                let more = if lines.len() > shown.len() { ", .." } else { "" };
                let what = count(lines.len(), "request");
                let _ = writeln!(out, "  `{caller}`: {what} (line {}{more})", shown.join(", "));
            }
        }
        let _ = writeln!(out, "{} of {} decided otherwise", self.count, count(self.asked, "request"));
    }

    fn as_json(&self) -> Value {
        let groups = self
            .by_rule
            .iter()
            .map(|((becomes, rule), callers)| json!({ "becomes": becomes, "rule": rule, "callers": callers }));
        json!({ "asked": self.asked, "flipped": self.count, "groups": groups.collect::<Vec<_>>() })
    }
}

/// Whether a request is allowed, and what denies it.
fn decided(engine: &Engine, request: &Request<'_>) -> (bool, String) {
    match engine.decide(request) {
        Decision::Allow(_) => (true, String::new()),
        Decision::Deny(denial) => (false, blamed(&denial)),
    }
}
