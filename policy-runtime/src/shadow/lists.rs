//! What another set would do to a list: how it changes what each row is asked.
//!
//! In: what is asked of rows by both sets. Out: whether there would be fewer rows, more or others, by whom. Absent: the rows.

use std::collections::BTreeSet;

use policy_core::filter::Predicate;
use policy_core::pdp::{Contribution, Engine, SupposedRows, TierFilter};
use policy_core::policy::Effect;
use policy_core::{Request, Scope, Tier};

use super::{ListTurn, Rows, blamed, caller_of};

/// A change, with the clauses that came and that went.
pub(crate) type Changed = (ListTurn, (Vec<String>, Vec<String>));

/// The kind of a change, of a list or, where a rule that is otherwise must see the row, of what cannot be told without rows.
pub(super) fn turned(engine: &Engine, set: &Scope, request: &Request<'_>, rows: &SupposedRows) -> Option<ListTurn> {
    if let Some(policy) = &rows.unsure {
        let (action, (caller, _)) = (name(engine, request), caller_of(set, request));
        return Some(ListTurn { becomes: Rows::Other, rule: format!("`{policy}`"), action, caller });
    }
    changed(engine, set, request, rows).map(|(turn, _)| turn)
}

fn name(engine: &Engine, request: &Request<'_>) -> String {
    engine.registry().action(request.action).map(|entry| entry.name.to_string()).unwrap_or_default()
}

/// What another set changes of a list; `None` where it is asked the same.
pub(crate) fn changed(engine: &Engine, set: &Scope, request: &Request<'_>, rows: &SupposedRows) -> Option<Changed> {
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
    let action = name(engine, request);
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
