//! What a draft would do to lists that were recorded: which rows their records do not say, but which were asked for can be asked again.
//!
//! In: what an operation on rows was decided about. Out: how the draft changes what each row is asked. Absent: the rows.

use std::collections::BTreeSet;
use std::fmt;

use policy_core::filter::Predicate;
use policy_core::pdp::{Contribution, Engine, SupposedRows, Supposition, TierFilter};
use policy_core::policy::Effect;
use policy_core::{Request, Scope, Tier};

use super::trying::{TOLD, is_as_recorded, is_sure};
use crate::audit::journal::Stored;
use crate::offline::Hypothetical;
use crate::shadow::{blamed, caller_of};

/// What becomes of the rows of a list.
///
/// ```
/// use policy_runtime::admin::Rows;
/// assert_eq!(Rows::Narrower.to_string(), "narrower");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "there is no fourth")]
pub enum Rows {
    /// None that was not there before.
    Narrower,
    /// All that were there before, and perhaps more.
    Wider,
    /// Some may go, others come.
    Other,
}

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Narrower => "narrower",
            Self::Wider => "wider",
            Self::Other => "other",
        })
    }
}

/// A kind of lists that a draft changes.
///
/// ```
/// use policy_runtime::admin::{ListTurn, Rows};
/// fn takes_away(turn: &ListTurn) -> bool {
///     turn.becomes != Rows::Wider
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct ListTurn {
    /// What becomes of their rows.
    pub becomes: Rows,
    /// The policies of the draft's scope that ask otherwise, or the tier.
    pub rule: String,
    /// The action's full name.
    pub action: String,
    /// `<scope>/<id>` of the participant; of a System draft the scope alone, as for calls.
    pub caller: String,
}

/// How often, where it was recorded, and in which words.
///
/// ```
/// use policy_runtime::admin::ListChange;
/// fn told(change: &ListChange) -> String {
///     change.came.iter().map(|clause| format!("+ {clause}\n")).collect()
/// }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListChange {
    /// How many lists.
    pub count: u64,
    /// The ids of some.
    pub decisions: Vec<String>,
    /// Clauses that a row is asked with the draft and was not before; some of them, where callers' values make many.
    pub came: BTreeSet<String>,
    /// Clauses that it was asked before, and is not with the draft.
    pub went: BTreeSet<String>,
}

impl ListChange {
    pub(super) fn add(&mut self, decision: &str, (came, went): (Vec<String>, Vec<String>)) {
        self.count += 1;
        if self.decisions.len() < TOLD {
            self.decisions.push(decision.to_owned());
        }
        for (known, new) in [(&mut self.came, came), (&mut self.went, went)] {
            known.extend(new.into_iter().take(TOLD.saturating_sub(known.len())));
        }
    }
}

/// A change, with the clauses that came and that went.
pub(super) type Changed = (ListTurn, (Vec<String>, Vec<String>));

/// Asks again what was asked of rows; `None` where a draft changes nothing of it.
pub(super) fn again(
    engine: &Engine,
    draft: &Supposition,
    record: &Stored,
    asked: &Hypothetical,
    request: &Request<'_>,
) -> Result<Option<Changed>, String> {
    let rows = engine.rows_supposing(draft, request).ok_or("it is about no entity")?;
    // A clause that a value which is missing would have made is not to be missed.
    if !asked.is_unabridged() {
        return Err("it is a list for somebody of whom a secret is not kept".to_owned());
    }
    for denial in [&rows.active, &rows.supposed].into_iter().filter_map(|side| side.as_ref().err()) {
        is_sure(asked, denial)?;
    }
    let told = rows.active.as_ref().map_or(&[][..], Vec::as_slice).iter().all(|part| {
        let said = part.tier.and_then(|tier| record.personal(&format!("filter.{tier}")));
        said.is_none_or(|said| said == part.predicate.to_string())
    });
    is_as_recorded(engine, request, record, told && rows.active.is_err() == (record.outcome == "deny"))?;
    if let Some(policy) = &rows.unsure {
        return Err(format!("it is a list, whose rows `{policy}` must see"));
    }
    Ok(changed(engine, draft.scope(), request, &rows))
}

fn changed(engine: &Engine, set: &Scope, request: &Request<'_>, rows: &SupposedRows) -> Option<Changed> {
    let [active, supposed] = [&rows.active, &rows.supposed].map(|side| match side {
        // What stands beside the policies is of values that no kind can hold, which are no matter of rules.
        Ok(tiers) => Predicate::all(tiers.iter().filter(|part| part.tier.is_some()).map(|part| part.predicate.clone())),
        Err(_) => Predicate::Const(false),
    });
    let becomes = match (supposed.implies(&active), active.implies(&supposed)) {
        (true, true) => return None,
        (true, false) => Rows::Narrower,
        (false, true) => Rows::Wider,
        (false, false) => Rows::Other,
    };
    let rule = match (&rows.active, &rows.supposed) {
        (Ok(active), Ok(supposed)) => asking_otherwise(active, supposed, set.tier()),
        (Err(denial), _) | (_, Err(denial)) => blamed(denial),
    };
    let action = engine.registry().action(request.action).map(|entry| entry.name.to_string()).unwrap_or_default();
    let (caller, apart) = caller_of(set, request);
    // Clauses have values of whom operators may not look at.
    let clauses = if apart { Default::default() } else { (beyond(&supposed, &active), beyond(&active, &supposed)) };
    Some((ListTurn { becomes, rule, action, caller }, clauses))
}

/// The clauses that one has beyond the other.
fn beyond(one: &Predicate, other: &Predicate) -> Vec<String> {
    let clauses = |of: &Predicate| match of {
        Predicate::Const(true) => Vec::new(),
        Predicate::All(all) => all.iter().map(ToString::to_string).collect(),
        Predicate::Const(false) | Predicate::Any(_) | Predicate::Test(_) | Predicate::Row(_) => vec![of.to_string()],
    };
    // Where nothing is left, what went need not be said.
    if other.is_never() && !one.is_never() {
        return Vec::new();
    }
    let known = clauses(other);
    clauses(one).into_iter().filter(|clause| !known.contains(clause)).collect()
}

/// The policies of a tier that do not ask the same, by id; a forbid that leaves no row alone.
fn asking_otherwise(active: &[TierFilter], supposed: &[TierFilter], tier: Tier) -> String {
    fn of(side: &[TierFilter], tier: Tier) -> impl Iterator<Item = &Contribution> + Clone {
        side.iter().filter(move |part| part.tier == Some(tier)).flat_map(|part| &part.policies)
    }
    let (active, supposed) = (of(active, tier), of(supposed, tier));
    let came = supposed.clone().filter(|one| !active.clone().any(|other| other == *one));
    let went = active.clone().filter(|one| !supposed.clone().any(|other| other == *one));
    let moved: Vec<&Contribution> = came.chain(went).collect();
    let closes = |one: &&Contribution| one.effect == Effect::Forbid && one.predicate.is_never();
    let closing: Vec<&Contribution> = moved.iter().copied().filter(closes).collect();
    let blamed = if closing.is_empty() { moved } else { closing };
    let ids: BTreeSet<String> = blamed.into_iter().map(|one| format!("`{}`", one.id)).collect();
    if ids.is_empty() { tier.to_string() } else { ids.into_iter().collect::<Vec<_>>().join(", ") }
}
