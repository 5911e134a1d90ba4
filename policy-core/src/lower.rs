//! From a typed rule to the one representation: negations at the leaves, and guards so that nothing can err.
//!
//! In: a [`Typed`] rule and what it is for. Out: an [`Ir`] that is true exactly where the rule opens (or closes). Absent:
//! evaluation. In a permit a leaf that reads what may be absent becomes `present and leaf`, in a forbid `absent or leaf`; as
//! negations stand at the leaves, missing data never opens and always closes.

#![expect(clippy::wildcard_enum_match_arm, reason = "every other condition is negated as it is")]

use crate::check::{Leaf, Term, Test, Typed, TypedPath};
use crate::ir::{Binary, Ir, Path};
use crate::syntax::ast::CompareOp;
use crate::value::Value;

/// What an unknown leaf counts as.
///
/// ```
/// use policy_core::lower::Unknown;
/// // A permit opens only where its rule is true; a forbid closes where its rule is not false.
/// let (permit, forbid) = (Unknown::Fails, Unknown::Holds);
/// assert_ne!(format!("{permit:?}"), format!("{forbid:?}"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "an unknown counts as one or the other")]
pub enum Unknown {
    /// As not satisfied: for what permits.
    Fails,
    /// As satisfied: for what forbids.
    Holds,
}

/// Lowers a rule; the result is true where the rule is `True`, and where it is `Unknown` if that holds.
///
/// ```
/// # use policy_core::check::{RootType, RuleEnv, check};
/// # use policy_core::ir::Root;
/// # use policy_core::kind::{Described, Kind};
/// # use policy_core::{participant, syntax};
/// # let ty = Described::required(Kind::Record(participant::BUILT_IN.clone().into()));
/// # let root = RootType { name: "participant".into(), rust_name: "participant".into(), root: Root::Participant, ty: Some(ty), open: true };
/// # let roots = RuleEnv { roots: vec![root], ..RuleEnv::default() };
/// use policy_core::ir::Ir;
/// use policy_core::lower::{Unknown, lower};
///
/// let rule = check(&syntax::parse("participant.tenant == 'a'").unwrap(), &roots).unwrap();
/// let Ir::And(parts) = lower(&rule, Unknown::Fails) else { panic!("a guarded leaf") };
/// assert!(matches!(parts[0], Ir::Has(_)));
/// ```
pub fn lower(rule: &Typed, unknown: Unknown) -> Ir {
    walk(rule, false, unknown)
}

/// The truth of a condition that reads nothing that could change it: such a rule is a mistake.
///
/// ```
/// use policy_core::ir::Ir;
/// use policy_core::lower::constant;
/// use policy_core::value::Value;
/// assert_eq!(constant(&Ir::Or(vec![Ir::Const(Value::Bool(true))])), Some(true));
/// ```
pub fn constant(ir: &Ir) -> Option<bool> {
    let all = |items: &[Ir], settles: bool| {
        let known: Vec<Option<bool>> = items.iter().map(constant).collect();
        if known.contains(&Some(settles)) {
            Some(settles)
        } else {
            known.iter().all(Option::is_some).then_some(!settles)
        }
    };
    match ir {
        Ir::Const(Value::Bool(b)) => Some(*b),
        Ir::Not(inner) => constant(inner).map(|b| !b),
        Ir::And(items) => all(items, false),
        Ir::Or(items) => all(items, true),
        Ir::Const(_)
        | Ir::Duration(_)
        | Ir::Entity(_)
        | Ir::Var(_)
        | Ir::Path(_)
        | Ir::Has(_)
        | Ir::If(_)
        | Ir::Unary(..)
        | Ir::Binary(..)
        | Ir::Like(..)
        | Ir::Is(..)
        | Ir::Set(_)
        | Ir::Record(_) => None,
    }
}

fn walk(rule: &Typed, negated: bool, unknown: Unknown) -> Ir {
    let all = |items: &[Typed]| items.iter().map(|item| walk(item, negated, unknown)).collect();
    match (rule, negated) {
        (Typed::And(items), false) | (Typed::Or(items), true) => Ir::And(all(items)),
        (Typed::Or(items), false) | (Typed::And(items), true) => Ir::Or(all(items)),
        (Typed::Not(inner), _) => walk(inner, !negated, unknown),
        (Typed::Leaf(leaf), _) => guarded(leaf, negated, unknown),
    }
}

fn guarded(Leaf { test, .. }: &Leaf, negated: bool, unknown: Unknown) -> Ir {
    if let Test::Exists(path) = test {
        // What is never absent needs no question.
        let has = if path.optional { Ir::Has(path.path.clone()) } else { Ir::Const(Value::Bool(true)) };
        return if negated { negate(has) } else { has };
    }
    let leaf = plain(test, negated);
    let mut guards: Vec<Path> = Vec::new();
    for path in test.paths() {
        if path.optional && !guards.contains(&path.path) {
            guards.push(path.path.clone());
        }
    }
    if guards.is_empty() {
        return leaf;
    }
    match unknown {
        Unknown::Fails => Ir::And(guards.into_iter().map(Ir::Has).chain([leaf]).collect()),
        // `absent or leaf`, in the one form that Cedar's validator follows: what `&&` has established holds to its right.
        Unknown::Holds => {
            let opposite = plain(test, !negated);
            Ir::Not(Box::new(Ir::And(guards.into_iter().map(Ir::Has).chain([opposite]).collect())))
        }
    }
}

fn negate(ir: Ir) -> Ir {
    match ir {
        Ir::Const(Value::Bool(b)) => Ir::Const(Value::Bool(!b)),
        other => Ir::Not(Box::new(other)),
    }
}

fn read(path: &TypedPath) -> Ir {
    Ir::Path(path.path.clone())
}

fn side(term: &Term) -> Ir {
    match term {
        Term::Path(path) => read(path),
        Term::Value(value) => Ir::Const(value.clone()),
    }
}

fn binary(op: Binary, left: Ir, right: Ir) -> Ir {
    Ir::Binary(op, Box::new([left, right]))
}

/// The test itself, where all that it reads is there.
fn plain(test: &Test, negated: bool) -> Ir {
    let ir = match test {
        Test::Compare(op, left, right) => {
            let op = if negated { op.opposite() } else { *op };
            // The attribute goes first: `50000 > order.amount` reads `order.amount < 50000` from then on.
            return match (left, right) {
                (Term::Value(_), Term::Path(path)) => {
                    binary(lowered(op.mirrored()).of_kind(&path.kind), side(right), side(left))
                }
                (Term::Path(path), _) => binary(lowered(op).of_kind(&path.kind), side(left), side(right)),
                (Term::Value(_), Term::Value(_)) => binary(lowered(op), side(left), side(right)),
            };
        }
        Test::Contains(set, item) => binary(Binary::Contains, read(set), side(item)),
        // Cedar's validator refuses an empty set, and nothing is in it anyway.
        Test::OneOf(_, list) if list.is_empty() => Ir::Const(Value::Bool(false)),
        Test::OneOf(path, list) => match list.as_slice() {
            [one] => return binary(if negated { Binary::Ne } else { Binary::Eq }, read(path), Ir::Const(one.clone())),
            _ => binary(Binary::Contains, Ir::Const(Value::Set(list.clone())), read(path)),
        },
        Test::InRange(path, range) => binary(Binary::IsInRange, read(path), Ir::Const(Value::Ip(*range))),
        Test::Like(path, pattern) => Ir::Like(Box::new(read(path)), pattern.clone()),
        Test::Truth(path) => read(path),
        // The caller decides about existence.
        Test::Exists(path) => Ir::Has(path.path.clone()),
    };
    if negated { negate(ir) } else { ir }
}

const fn lowered(op: CompareOp) -> Binary {
    match op {
        CompareOp::Eq => Binary::Eq,
        CompareOp::Ne => Binary::Ne,
        CompareOp::Lt => Binary::Less,
        CompareOp::Le => Binary::LessEq,
        CompareOp::Gt => Binary::Greater,
        CompareOp::Ge => Binary::GreaterEq,
    }
}

#[cfg(test)]
#[cfg(feature = "engine")]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::policy::{ActionConstraint, Constraint, Effect, Policy};
    use crate::testdata::{place_order, registry};

    fn check(rule: &str, permit: &Expect, forbid: &Expect) {
        static ENV: std::sync::LazyLock<crate::check::RuleEnv> = std::sync::LazyLock::new(|| {
            let registry = registry(vec![place_order(&["order.amount > 0"])]).unwrap();
            let id = registry.find("com.example.OrderService.placeOrder").unwrap();
            registry.action(id).unwrap().env.clone()
        });
        let typed = crate::check::check(&crate::syntax::parse(rule).unwrap(), &ENV).unwrap();
        let condition = |unknown| {
            let policy = Policy {
                id: "p".into(),
                effect: Effect::Permit,
                principal: Constraint::Any,
                action: ActionConstraint::Any,
                resource: Constraint::Any,
                condition: Some(lower(&typed, unknown)),
                annotations: vec![],
            };
            let text = crate::cedar::render(&policy).unwrap();
            let (_, when) = text.split_once("when").unwrap();
            when.trim_matches(|c: char| c.is_whitespace() || "{};".contains(c))
                .replace("context.args.", "")
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        };
        permit.assert_eq(&condition(Unknown::Fails));
        forbid.assert_eq(&condition(Unknown::Holds));
    }

    #[test]
    fn what_is_required_needs_no_guard() {
        check(
            "order.amount < 5 and not order.rush",
            &expect!["(order.amount < 5) && (!order.rush)"],
            &expect!["(order.amount < 5) && (!order.rush)"],
        );
        check("5 > order.amount", &expect!["order.amount < 5"], &expect!["order.amount < 5"]);
        check(
            "order.status in ['open', 'paid']",
            &expect![[r#"["open", "paid"].contains(order.status)"#]],
            &expect![[r#"["open", "paid"].contains(order.status)"#]],
        );
        check(
            "order.status in ['open']",
            &expect![[r#"order.status == "open""#]],
            &expect![[r#"order.status == "open""#]],
        );
        check("not order.amount in []", &expect!["true"], &expect!["true"]);
    }

    #[test]
    fn what_may_be_absent_is_guarded_by_polarity() {
        check(
            "order.note == 'x'",
            &expect![[r#"(context.args has order.note) && (order.note == "x")"#]],
            &expect![[r#"!((context.args has order.note) && (order.note != "x"))"#]],
        );
        check(
            "not order.note == 'x'",
            &expect![[r#"(context.args has order.note) && (order.note != "x")"#]],
            &expect![[r#"!((context.args has order.note) && (order.note == "x"))"#]],
        );
        check(
            "not (order.note == 'x' or order.price < 5)",
            &expect![[
                r#"(context.args has order.note) && (order.note != "x") } when { (context.args has order.price) && order.price.greaterThanOrEqual(decimal("5.0"))"#
            ]],
            &expect![[
                r#"(!((context.args has order.note) && (order.note == "x"))) && (!((context.args has order.price) && order.price.lessThan(decimal("5.0"))))"#
            ]],
        );
        check(
            "order.note == order.ownerId",
            &expect![
                "(context.args has order.note) && (context.args has order.ownerId) && (order.note == order.ownerId)"
            ],
            &expect![
                "!((context.args has order.note) && (context.args has order.ownerId) && (order.note != order.ownerId))"
            ],
        );
        check(
            "order.customer.card == 'x'",
            &expect![[r#"(context.args has order.customer.card) && (order.customer.card == "x")"#]],
            &expect![[r#"!((context.args has order.customer.card) && (order.customer.card != "x"))"#]],
        );
        check(
            "not order.gift exists or order.gift == false",
            &expect!["(!(context.args has order.gift)) || ((context.args has order.gift) && (order.gift == false))"],
            &expect!["(!(context.args has order.gift)) || (!((context.args has order.gift) && (order.gift != false)))"],
        );
        check(
            "not not order.gift",
            &expect!["(context.args has order.gift) && order.gift"],
            &expect!["!((context.args has order.gift) && (!order.gift))"],
        );
        check(
            "not order.price >= 5.0",
            &expect![[r#"(context.args has order.price) && order.price.lessThan(decimal("5.0"))"#]],
            &expect![[r#"!((context.args has order.price) && order.price.greaterThanOrEqual(decimal("5.0")))"#]],
        );
        check(
            "participant.email == order.note and context.ip in '10.0.0.0/8'",
            &expect![[
                r#"(principal has email) && (context.args has order.note) && (principal.email == order.note) } when { (context has ip) && context.ip.isInRange(ip("10.0.0.0/8"))"#
            ]],
            &expect![[
                r#"(!((principal has email) && (context.args has order.note) && (principal.email != order.note))) && (!((context has ip) && (!context.ip.isInRange(ip("10.0.0.0/8")))))"#
            ]],
        );
    }
}
