//! What an action settles of a condition, settled once, when a set of policies is built.
//!
//! In: an [`Ir`] and what is known of every request to one action. Out: an [`Ir`] that is true, false or an error exactly where
//! the first one is. Absent: anything that depends on the request.

#![expect(clippy::wildcard_enum_match_arm, reason = "what is not known here stays as it is")]

use super::{Binary, Ir, Var};
use crate::name::EntityUid;
use crate::value::Value;

/// What all requests to an action have in common.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Known<'a> {
    /// The action, if it is one.
    pub(crate) action: Option<&'a EntityUid>,
    /// All groups that it belongs to.
    pub(crate) groups: &'a [EntityUid],
    /// The type of its resource, where every request has the same.
    pub(crate) resource: Option<&'a str>,
}

const fn truth(b: bool) -> Ir {
    Ir::Const(Value::Bool(b))
}

/// Folds a condition, whose value is only asked for its truth.
pub(crate) fn fold(ir: &Ir, known: &Known<'_>) -> Ir {
    match ir {
        Ir::And(items) => joined(items, known, true),
        Ir::Or(items) => joined(items, known, false),
        Ir::Not(inner) => match fold(inner, known) {
            Ir::Const(Value::Bool(b)) => truth(!b),
            Ir::Not(twice) => *twice,
            inner => Ir::Not(Box::new(inner)),
        },
        Ir::If(parts) => {
            let [test, then, otherwise] = &**parts;
            match fold(test, known) {
                Ir::Const(Value::Bool(true)) => fold(then, known),
                Ir::Const(Value::Bool(false)) => fold(otherwise, known),
                test => Ir::If(Box::new([test, fold(then, known), fold(otherwise, known)])),
            }
        }
        Ir::Is(entity, kind) => match &**entity {
            Ir::Var(Var::Action) => known.action.map_or_else(|| ir.clone(), |uid| truth(uid.kind() == &**kind)),
            Ir::Var(Var::Resource) => known.resource.map_or_else(|| ir.clone(), |resource| truth(*resource == **kind)),
            _ => ir.clone(),
        },
        Ir::Binary(op, sides) => {
            let [left, right] = &**sides;
            settled(*op, left, right, known).map_or_else(|| ir.clone(), truth)
        }
        other => other.clone(),
    }
}

/// `and` (or `or`) from the left: what settles nothing is left out, and nothing is asked after what settles all. What may err
/// before it stays.
fn joined(items: &[Ir], known: &Known<'_>, all: bool) -> Ir {
    let mut left = Vec::new();
    for item in items {
        match fold(item, known) {
            Ir::Const(Value::Bool(b)) if b == all => {}
            Ir::Const(Value::Bool(b)) => {
                left.push(truth(b));
                break;
            }
            Ir::And(inner) if all => left.extend(inner),
            Ir::Or(inner) if !all => left.extend(inner),
            item => left.push(item),
        }
        if left.last().is_some_and(|last| *last == truth(!all)) {
            break;
        }
    }
    match left.pop() {
        None => truth(all),
        Some(only) if left.is_empty() => only,
        Some(last) => {
            left.push(last);
            left.shrink_to_fit();
            if all { Ir::And(left) } else { Ir::Or(left) }
        }
    }
}

/// The truth of a comparison that only asks about the action or the type of the resource.
fn settled(op: Binary, left: &Ir, right: &Ir, known: &Known<'_>) -> Option<bool> {
    let equal = match (left, right) {
        (Ir::Var(Var::Action), Ir::Entity(uid)) | (Ir::Entity(uid), Ir::Var(Var::Action)) => *uid == *known.action?,
        (Ir::Var(Var::Resource), Ir::Entity(uid)) | (Ir::Entity(uid), Ir::Var(Var::Resource))
            if known.resource.is_some_and(|kind| kind != uid.kind()) =>
        {
            false
        }
        _ => return among(op, left, right, known),
    };
    match op {
        Binary::Eq => Some(equal),
        Binary::Ne => Some(!equal),
        _ => among(op, left, right, known),
    }
}

/// Whether the action is in a group, or in one of several.
fn among(op: Binary, left: &Ir, right: &Ir, known: &Known<'_>) -> Option<bool> {
    let (Binary::In, Ir::Var(Var::Action)) = (op, left) else { return None };
    let action = known.action?;
    let belongs = |uid: &EntityUid| uid == action || known.groups.contains(uid);
    match right {
        Ir::Entity(uid) => Some(belongs(uid)),
        Ir::Set(items) => {
            let uids: Option<Vec<&EntityUid>> = items
                .iter()
                .map(|item| match item {
                    Ir::Entity(uid) => Some(uid),
                    _ => None,
                })
                .collect();
            Some(uids?.into_iter().any(belongs))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::context::{Context, Facts};
    use crate::ir::eval::{EntityRef, Env, holds};
    use crate::ir::{Path, Root};
    use crate::name::Scope;
    use crate::participant::Participant;
    use crate::value::{Millis, Slot};

    fn path(name: &str) -> Ir {
        Ir::Path(Path { root: Root::Participant, slots: vec![Slot::named(name)] })
    }

    fn uid(kind: &str, id: &str) -> Ir {
        Ir::Entity(EntityUid::new(kind, id))
    }

    fn leaf() -> impl Strategy<Value = Ir> {
        let both = |op, left, right| Ir::Binary(op, Box::new([left, right]));
        let is = |var, kind: &str| Ir::Is(Box::new(Ir::Var(var)), kind.into());
        proptest::sample::select(vec![
            truth(true),
            truth(false),
            // True, absent (an error), and of the wrong kind (another error).
            path("mfa"),
            path("email"),
            path("id"),
            is(Var::Resource, "Shop"),
            is(Var::Resource, "Platform::System"),
            is(Var::Action, "Action"),
            is(Var::Principal, "Shop"),
            both(Binary::Eq, Ir::Var(Var::Action), uid("Action", "buy")),
            both(Binary::Ne, uid("Action", "sell"), Ir::Var(Var::Action)),
            both(Binary::In, Ir::Var(Var::Action), uid("Action", "trade")),
            both(Binary::In, Ir::Var(Var::Action), Ir::Set(vec![uid("Action", "sell"), uid("Action", "trade")])),
            both(Binary::In, Ir::Var(Var::Action), truth(true)),
            both(Binary::Eq, Ir::Var(Var::Resource), uid("Shop", "s")),
            both(Binary::Eq, Ir::Var(Var::Resource), uid("Photo", "s")),
            both(Binary::Ne, Ir::Var(Var::Resource), uid("Photo", "s")),
            both(Binary::Less, Ir::Var(Var::Resource), uid("Photo", "s")),
        ])
    }

    fn condition() -> impl Strategy<Value = Ir> {
        leaf().prop_recursive(5, 40, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Ir::And),
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Ir::Or),
                inner.clone().prop_map(|i| Ir::Not(Box::new(i))),
                [inner.clone(), inner.clone(), inner].prop_map(|parts| Ir::If(Box::new(parts))),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn what_is_folded_means_the_same(ir in condition(), resource in any::<bool>(), action in any::<bool>()) {
            let (buy, groups) = (EntityUid::new("Action", "buy"), [EntityUid::new("Action", "trade")]);
            let participant = Participant::builder(Scope::System, "u").mfa(true).build();
            let env = Env {
                principal: EntityRef { kind: "Platform::Participant", id: participant.uid_id() },
                principal_parents: participant.parents(),
                participant: (&participant).into(),
                action: EntityRef::from(&buy),
                action_groups: &groups,
                resource: EntityRef { kind: "Shop", id: "s" },
                resource_parents: &[],
                attributes: None,
                context: Context { time: Millis(0), facts: &Facts::default() },
                args: &[],
            };
            let known = Known {
                action: action.then_some(&buy),
                groups: if action { &groups } else { &[] },
                resource: resource.then_some("Shop"),
            };
            prop_assert_eq!(holds(&ir, &env), holds(&fold(&ir, &known), &env));
        }
    }
}
