//! `policy explain`: a request that nobody made, decided; why, and what would have to be otherwise.

use std::fmt::Write as _;

use policy_core::pdp::{Engine, Explanation, May, Nearest, PolicyReport, TierFilter};
use policy_core::policy::Effect;
use policy_core::registry::Registry;
use policy_core::value::Millis;
use policy_core::{Decision, Request, Tier};
use serde::Deserialize;
use serde_json::{Value, json};

use super::folder::{Folder, FolderError};
use super::hypothetical::Hypothetical;
use super::plain::{self, Plain, Wrong};
use super::report::{Report, Status, count, put};
use crate::json::Json;

/// Why a request cannot be tried.
///
/// ```
/// use policy_runtime::offline::TryError;
/// # let registry = policy_core::registry::Registry::of(&[], &[]).unwrap();
/// # let wrong = policy_runtime::offline::Hypothetical::parse("{}", &registry, policy_runtime::value::Millis(0)).unwrap_err();
/// assert_eq!(TryError::from(wrong).to_string(), "`action` is missing");
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TryError {
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// What was asked is wrong.
    #[error(transparent)]
    Asked(#[from] Wrong),
}

/// Decides a request under the policies of a folder and says which tier, rule, clause and values made it so, and which change
/// of the request is the nearest that opens it.
///
/// ```
/// use policy_runtime::offline::{Folder, Status, explain};
/// use policy_runtime::value::Millis;
/// # let folder = std::env::temp_dir().join(format!("policy-explain-{}", std::process::id()));
/// # std::fs::create_dir_all(folder.join("sys")).unwrap();
/// # let manifest = policy_core::registry::Registry::program().unwrap().manifest().to_string();
/// # std::fs::write(folder.join("manifest.json"), manifest).unwrap();
/// std::fs::write(folder.join("sys/mfa.rule"), "forbid Platform.organizations.* unless participant.mfa").unwrap();
/// let asked = "{ participant: { roles: [operator] }, action: Platform.createOrganization }";
/// let report = explain(&Folder::read(&folder, None).unwrap(), asked, Millis(0)).unwrap();
/// assert_eq!(report.status, Status::Findings);
/// assert!(report.text.contains("participant.mfa (it is false)"), "{report}");
/// # std::fs::remove_dir_all(&folder).unwrap();
/// ```
///
/// # Errors
/// When the policies are not in order, or the request is not one.
pub fn explain(folder: &Folder, asked: &str, now: Millis) -> Result<Report, TryError> {
    let engine = folder.engine()?;
    let asked = Hypothetical::parse(asked, folder.registry(), now)?;
    known(&engine, &asked)?;
    Ok(asked.ask(|request| told(&engine, request)))
}

/// Makes the request's scope known, with nothing but baselines where the folder has no set for it.
pub(super) fn known(engine: &Engine, asked: &Hypothetical) -> Result<(), FolderError> {
    let scope = asked.scope();
    let refused = |why| FolderError::Refused { scope: scope.clone(), why };
    match scope.organization_id() {
        Some(_) if scope.application_id().is_some() => engine.add_application(scope).map_err(refused),
        Some(organization) => engine.add_organization(organization).map_err(refused),
        None => Ok(()),
    }
}

/// Decides a request, and says why and what would have to be otherwise.
pub(crate) fn told(engine: &Engine, request: &Request<'_>) -> Report {
    if request.resource.is_none()
        && let Some(Ok(tiers)) = engine.rows_of(request)
    {
        return listed(engine, request, &tiers);
    }
    let explanation = engine.explain(request);
    let action = engine.registry().action(request.action).map(|entry| entry.name.to_string()).unwrap_or_default();
    let nearest = engine.nearest(request);
    let mut out = String::new();
    let mut json = json!({
        "action": action,
        "scope": request.scope.to_string(),
        "participant": request.participant.uid_id(),
        "tiers": explanation.tiers.iter().map(tier_json).collect::<Vec<_>>(),
    });
    // Writing to a `String` cannot fail.
    let status = match &explanation.decision {
        Decision::Allow(_) => {
            let _ = writeln!(out, "ALLOW {action} on {}", request.scope);
            put(&mut json, "decision", "allow".into());
            Status::Good
        }
        Decision::Deny(denial) => {
            let _ = writeln!(out, "DENY {action} on {}", request.scope);
            let tier = denial.tier.map(|tier| format!("{tier}: ")).unwrap_or_default();
            let _ = writeln!(out, "  {tier}{}", denial.message);
            if let Some(source) = &denial.source {
                let _ = writeln!(out, "  written at {source}");
            }
            put(&mut json, "decision", "deny".into());
            put(&mut json, "denial", denial_json(denial));
            Status::Findings
        }
    };
    tiers(&mut out, &explanation);
    change(&mut out, &mut json, &nearest);
    let next = match status {
        Status::Good => "policy test",
        Status::Findings => "policy schema",
    };
    Report::new(status, out, json).next(next)
}

/// Of a list, what each tier asks of a row, and which of its policies.
fn listed(engine: &Engine, request: &Request<'_>, all: &[TierFilter]) -> Report {
    let action = engine.registry().action(request.action).map(|entry| entry.name.to_string()).unwrap_or_default();
    let mut out = format!("LIST {action} on {}\n", request.scope);
    let mut rows = Vec::new();
    for part in all {
        // What holds beside the policies is of values that their kinds cannot hold.
        let tier = part.tier.map_or("beside", Tier::as_str);
        let _ = writeln!(out, "{tier}: {}", part.predicate);
        let mut policies = Vec::new();
        for policy in &part.policies {
            let _ = writeln!(out, "  `{}`: {}", policy.id, policy.predicate);
            let (effect, filter) = (policy.effect.to_string(), policy.predicate.to_string());
            policies.push(json!({ "id": &*policy.id, "effect": effect, "filter": filter }));
        }
        rows.push(json!({ "tier": tier, "filter": part.predicate.to_string(), "policies": policies }));
    }
    let json = json!({
        "action": action,
        "scope": request.scope.to_string(),
        "participant": request.participant.uid_id(),
        "decision": "list",
        "tiers": rows,
    });
    Report::new(Status::Good, out, json).next("policy test")
}

fn denial_json(denial: &policy_core::Denial) -> Value {
    json!({
        "tier": denial.tier.map(Tier::as_str),
        "policy": denial.policy.as_deref(),
        "source": denial.source.as_deref(),
        "clause": denial.clause,
        "values": observed(&denial.values),
        "message": denial.message,
    })
}

fn observed(values: &[policy_core::decision::Observed]) -> Vec<Value> {
    values.iter().map(|seen| json!({ "path": seen.path, "value": seen.value })).collect()
}

fn tier_json(tier: &policy_core::pdp::TierReport) -> Value {
    let policy = |policy: &PolicyReport| {
        json!({
            "id": &*policy.id,
            "effect": policy.effect.to_string(),
            "satisfied": policy.outcome.as_ref().ok(),
            "error": policy.outcome.as_ref().err(),
            "source": policy.source.as_deref(),
            "clause": policy.clause,
            "values": observed(&policy.values),
        })
    };
    json!({
        "tier": tier.tier.as_str(),
        "answer": if tier.answer == policy_core::TierAnswer::Allow { "allow" } else { "deny" },
        "policies": tier.policies.iter().map(policy).collect::<Vec<_>>(),
    })
}

fn tiers(out: &mut String, explanation: &Explanation) {
    for tier in &explanation.tiers {
        let _ = writeln!(out, "{}: {}", tier.tier, tier.answer);
        let permits = tier.policies.iter().any(|p| p.effect == Effect::Permit && p.outcome == Ok(true));
        // Where one permits, those that do not say nothing.
        let silent = |p: &&PolicyReport| permits && p.effect == Effect::Permit && p.outcome == Ok(false);
        for policy in tier.policies.iter().filter(|p| !silent(p)) {
            let said = match (&policy.outcome, policy.effect) {
                (Ok(true), Effect::Permit) => "permits",
                (Ok(false), Effect::Permit) => "does not permit",
                (Ok(true), Effect::Forbid) => "forbids",
                (Ok(false), Effect::Forbid) => "does not forbid",
                (Err(_), _) => "cannot be decided",
            };
            let _ = write!(out, "  `{}` {said}", policy.id);
            if let (Some(clause), false) = (&policy.clause, policy.values.is_empty()) {
                let values: Vec<String> = policy.values.iter().map(|v| format!("{} is {}", v.path, v.value)).collect();
                // Cedar has no clause of the language, and is called by its id.
                let clause = if **clause == *policy.id { String::new() } else { format!("`{clause}`, ") };
                let _ = write!(out, ": {clause}{}", values.join(", "));
            }
            out.push('\n');
        }
    }
}

fn change(out: &mut String, json: &mut Value, nearest: &Nearest) {
    match nearest {
        Nearest::Allowed => {}
        Nearest::Change { flips, edits } => {
            out.push_str("nearest change that opens it:\n");
            for flip in flips {
                let now: Vec<String> = match flip.now.as_slice() {
                    [one] => vec![format!("it is {}", one.value)],
                    many => many.iter().map(|seen| format!("{} is {}", seen.path, seen.value)).collect(),
                };
                let _ = writeln!(out, "  {} ({}), for `{}`", flip.wanted, now.join(", "), flip.policy);
            }
            let edits: Vec<String> = edits.iter().map(ToString::to_string).collect();
            let _ = writeln!(out, "  tried with {}: allowed", edits.join(", "));
            let flips =
                flips.iter().map(|f| json!({ "policy": &*f.policy, "wanted": f.wanted, "now": observed(&f.now) }));
            put(json, "nearest", json!({ "flips": flips.collect::<Vec<_>>(), "edits": edits }));
        }
        Nearest::None { because } => {
            let _ = writeln!(out, "{because}");
            put(json, "nearest", json!({ "none": because }));
        }
    }
}

/// What the participant of a request may do in its scope: every action, as far as it can be told without arguments.
///
/// ```
/// use policy_runtime::offline::{Folder, may};
/// use policy_runtime::value::Millis;
/// # let folder = std::env::temp_dir().join(format!("policy-may-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).unwrap();
/// # let manifest = policy_core::registry::Registry::program().unwrap().manifest().to_string();
/// # std::fs::write(folder.join("manifest.json"), manifest).unwrap();
/// let asked = "{ participant: { roles: [operator] }, action: Platform.createOrganization }";
/// let report = may(&Folder::read(&folder, None).unwrap(), asked, Millis(0)).unwrap();
/// assert!(report.text.contains("always   Platform.createOrganization"), "{report}");
/// # std::fs::remove_dir_all(&folder).unwrap();
/// ```
///
/// # Errors
/// As [`explain`].
pub fn may(folder: &Folder, asked: &str, now: Millis) -> Result<Report, TryError> {
    let engine = folder.engine()?;
    let asked = Hypothetical::parse(asked, folder.registry(), now)?;
    known(&engine, &asked)?;
    let possible = asked.ask(|request| engine.possible(request.participant, request.scope, request.context));
    let mut out = String::new();
    let open = possible.iter().filter(|one| one.may != May::Never);
    for one in open.clone() {
        let _ = writeln!(out, "{:<8} {}", word(one.may), one.action);
    }
    let _ = writeln!(
        out,
        "`{}` may do {} of {} on {}",
        asked.participant().id(),
        open.count(),
        count(possible.len(), "action"),
        asked.scope()
    );
    let all: Vec<Value> =
        possible.iter().map(|one| json!({ "action": one.action.to_string(), "may": word(one.may) })).collect();
    Ok(Report::new(Status::Good, out, json!({ "actions": all })).next("policy explain --action ACTION"))
}

pub(crate) const fn word(may: May) -> &'static str {
    match may {
        May::Always => "always",
        May::Depends => "depends",
        May::Never => "never",
    }
}

#[derive(Deserialize)]
struct Participants {
    participants: std::collections::BTreeMap<String, Plain>,
}

/// Who of a list may do what a request says. Where it says no arguments, whether they may is told as far as it does not depend
/// on those.
///
/// ```
/// use policy_runtime::offline::{Folder, who};
/// use policy_runtime::value::Millis;
/// # let folder = std::env::temp_dir().join(format!("policy-who-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).unwrap();
/// # let manifest = policy_core::registry::Registry::program().unwrap().manifest().to_string();
/// # std::fs::write(folder.join("manifest.json"), manifest).unwrap();
/// let list = "participants: { ann: { roles: [operator] }, bob: {} }";
/// let report = who(&Folder::read(&folder, None).unwrap(), "action: Platform.createOrganization", list, Millis(0)).unwrap();
/// assert!(report.text.starts_with("yes      ann\nno       bob"), "{report}");
/// # std::fs::remove_dir_all(&folder).unwrap();
/// ```
///
/// # Errors
/// As [`explain`], and when the list is none.
pub fn who(folder: &Folder, asked: &str, list: &str, now: Millis) -> Result<Report, TryError> {
    let engine = folder.engine()?;
    let Plain(base) = plain::parse(asked)?;
    let Participants { participants } = plain::parse(list)?;
    let (mut out, mut all, mut open) = (String::new(), Vec::new(), 0);
    for (name, Plain(participant)) in &participants {
        let asked = with(&base, name, participant, folder.registry(), now)?;
        known(&engine, &asked)?;
        let (answer, why) = asked.ask(|request| {
            let entry = engine.registry().action(request.action);
            if entry.is_some_and(|entry| asked.is_whole(entry)) {
                return match engine.decide(request) {
                    Decision::Allow(_) => ("yes", None),
                    Decision::Deny(denial) => ("no", Some(denial.message)),
                };
            }
            match engine.may(request) {
                May::Always => ("yes", None),
                May::Depends => ("depends", None),
                May::Never => ("no", Some("whatever the arguments are".to_owned())),
            }
        });
        open += usize::from(answer == "yes");
        let because = why.as_ref().map(|why| format!("  ({why})")).unwrap_or_default();
        let _ = writeln!(out, "{answer:<8} {name}{because}");
        all.push(json!({ "participant": name, "may": answer, "because": why }));
    }
    let _ = writeln!(out, "{} of {} may", open, count(participants.len(), "participant"));
    Ok(Report::new(Status::Good, out, json!({ "participants": all })).next("policy explain"))
}

/// A request as somebody of a list would make it.
fn with(base: &Json, name: &str, participant: &Json, registry: &Registry, now: Millis) -> Result<Hypothetical, Wrong> {
    let Json::Object(mut all) = base.clone() else { return Err(Wrong::new("the request is no mapping")) };
    let mut participant = participant.clone();
    if let Json::Object(members) = &mut participant {
        members.entry("id".to_owned()).or_insert_with(|| Json::Text(name.to_owned()));
    }
    all.insert("participant".to_owned(), participant);
    let read = Hypothetical::read(&Json::Object(all), registry, now);
    read.map_err(|wrong| Wrong { message: format!("`{name}`: {}", wrong.message), ..wrong })
}
