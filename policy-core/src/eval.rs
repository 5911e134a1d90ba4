//! The reference meaning of a rule: true, false or unknown, as the language defines it.
//!
//! In: a [`Typed`] rule and the facts of a request. Out: a [`Truth`], and for people the clause that made it so. Absent:
//! effects; whether an unknown opens or closes is said by who asks (only `True` permits, anything but `False` forbids).

#![expect(clippy::wildcard_enum_match_arm, reason = "all other kinds of values are not as the test wants them")]

use crate::check::{Leaf, Term, Test, Typed, TypedPath};
use crate::decision::Observed;
use crate::ir::eval::{Env, look};
use crate::ir::like::like;
use crate::syntax::ast::CompareOp;
use crate::value::{IpRange, Value, ValueRef};

/// Three-valued truth, after Kleene: as SQL has it.
///
/// ```
/// use policy_core::eval::Truth;
/// assert_eq!(!Truth::Unknown, Truth::Unknown, "missing data never opens a door, not even under `not`");
/// assert_eq!(!Truth::from(true), Truth::False);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "there are three")]
pub enum Truth {
    /// Certainly.
    True,
    /// Certainly not.
    False,
    /// Something that is read is absent.
    Unknown,
}

impl std::ops::Not for Truth {
    type Output = Self;

    fn not(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Unknown => Self::Unknown,
        }
    }
}

impl From<bool> for Truth {
    fn from(b: bool) -> Self {
        if b { Self::True } else { Self::False }
    }
}

/// Evaluates a rule. A value that is unusable counts as absent here; a request that has one is refused before.
///
/// ```
/// # use policy_core::context::{Context, Facts};
/// # use policy_core::ir::eval::{EntityRef, Env};
/// # use policy_core::value::Millis;
/// # use policy_core::{Participant, Scope};
/// # let alice = Participant::builder(Scope::System, "u-1").role("finance").build();
/// # let facts = Facts::default();
/// # let context = Context { time: Millis(0), facts: &facts };
/// # let principal = EntityRef { kind: "Platform::Participant", id: alice.uid_id() };
/// # let action = EntityRef { kind: "Platform::Action", id: "createOrganization" };
/// # let resource = EntityRef { kind: "Platform::System", id: "system" };
/// # let env = Env { principal, principal_parents: alice.parents(), participant: (&alice).into(), action, action_groups: &[], resource,
/// #     resource_parents: &[], attributes: None, context, args: &[] };
/// # use policy_core::check::{RootType, RuleEnv, check};
/// # use policy_core::ir::Root;
/// # use policy_core::kind::{Described, Kind};
/// # use policy_core::{participant, syntax};
/// # let ty = Described::required(Kind::Record(participant::BUILT_IN.clone().into()));
/// # let root = RootType { name: "participant".into(), rust_name: "participant".into(), root: Root::Participant, ty: Some(ty), open: true };
/// # let roots = RuleEnv { roots: vec![root], ..RuleEnv::default() };
/// use policy_core::eval::{Truth, truth};
///
/// let of = |rule: &str| truth(&check(&syntax::parse(rule).unwrap(), &roots).unwrap(), &env);
/// assert_eq!(of("participant.roles contains 'finance'"), Truth::True);
/// assert_eq!(of("not participant.email == 'a@example.com'"), Truth::Unknown);
/// ```
pub fn truth(rule: &Typed, env: &Env<'_>) -> Truth {
    match rule {
        Typed::And(items) => items.iter().map(|item| truth(item, env)).fold(Truth::True, |a, b| match (a, b) {
            (Truth::False, _) | (_, Truth::False) => Truth::False,
            (Truth::True, Truth::True) => Truth::True,
            _ => Truth::Unknown,
        }),
        Typed::Or(items) => items.iter().map(|item| truth(item, env)).fold(Truth::False, |a, b| match (a, b) {
            (Truth::True, _) | (_, Truth::True) => Truth::True,
            (Truth::False, Truth::False) => Truth::False,
            _ => Truth::Unknown,
        }),
        Typed::Not(inner) => !truth(inner, env),
        Typed::Leaf(leaf) => test(&leaf.test, env),
    }
}

fn find<'a>(path: &TypedPath, env: &Env<'a>) -> ValueRef<'a> {
    match look(&path.path, env) {
        Ok(ValueRef::Unusable(_)) | Err(_) => ValueRef::Absent,
        Ok(found) => found,
    }
}

fn test(test: &Test, env: &Env<'_>) -> Truth {
    let there = |path: &TypedPath| match find(path, env) {
        ValueRef::Absent => None,
        found => Some(found),
    };
    let known = match test {
        // A root as a whole is always there; of an argument it depends.
        Test::Exists(path) if path.path.slots.is_empty() && !path.optional => Some(true),
        Test::Exists(path) => Some(there(path).is_some()),
        Test::Compare(op, a, b) => match (term(a, env), term(b, env)) {
            (Some(a), Some(b)) => Some(compare(*op, &a, &b)),
            _ => None,
        },
        Test::Contains(set, wanted) => match (there(set), term(wanted, env)) {
            (Some(all), Some(one)) => Some(contains(&all, &one)),
            _ => None,
        },
        Test::OneOf(path, list) => there(path).map(|found| list.iter().any(|item| found.same_as(&item.as_ref()))),
        Test::InRange(path, range) => there(path).map(|found| matches!(found, ValueRef::Ip(ip) if within(&ip, range))),
        Test::Like(path, pattern) => there(path).map(|found| match found {
            ValueRef::Text(t) => like(pattern, t),
            ValueRef::Char(c) => like(pattern, c.encode_utf8(&mut [0; 4])),
            _ => false,
        }),
        Test::Truth(path) => there(path).map(|found| matches!(found, ValueRef::Bool(true))),
    };
    known.map_or(Truth::Unknown, Truth::from)
}

/// A value of an application may itself be a range; it lies in another when it is part of it.
fn within(ip: &IpRange, range: &IpRange) -> bool {
    let (first, last) = ip.bounds();
    range.contains(first) && range.contains(last)
}

fn term<'a>(term: &'a Term, env: &Env<'a>) -> Option<ValueRef<'a>> {
    match term {
        Term::Path(path) => match find(path, env) {
            ValueRef::Absent => None,
            found => Some(found),
        },
        Term::Value(value) => Some(Value::as_ref(value)),
    }
}

fn contains(set: &ValueRef<'_>, wanted: &ValueRef<'_>) -> bool {
    let mut found = false;
    if let ValueRef::Set(set) = set {
        set.each(&mut |item| {
            found = item.same_as(wanted);
            !found
        });
    }
    found
}

fn compare(op: CompareOp, a: &ValueRef<'_>, b: &ValueRef<'_>) -> bool {
    let order = match (a, b) {
        (ValueRef::Long(a), ValueRef::Long(b)) => Some(a.cmp(b)),
        (ValueRef::Decimal(a), ValueRef::Decimal(b)) => Some(a.cmp(b)),
        (ValueRef::Datetime(a), ValueRef::Datetime(b)) => Some(a.cmp(b)),
        _ => None,
    };
    match op {
        CompareOp::Eq => a.same_as(b),
        CompareOp::Ne => !a.same_as(b),
        CompareOp::Lt => order.is_some_and(std::cmp::Ordering::is_lt),
        CompareOp::Le => order.is_some_and(std::cmp::Ordering::is_le),
        CompareOp::Gt => order.is_some_and(std::cmp::Ordering::is_gt),
        CompareOp::Ge => order.is_some_and(std::cmp::Ordering::is_ge),
    }
}

/// The smallest clause that made a rule not true (or, for `wanted` false, not false), and what it read.
///
/// ```
/// # use policy_core::context::{Context, Facts};
/// # use policy_core::ir::eval::{EntityRef, Env};
/// # use policy_core::value::Millis;
/// # use policy_core::{Participant, Scope};
/// # let alice = Participant::builder(Scope::System, "u-1").role("finance").build();
/// # let facts = Facts::default();
/// # let context = Context { time: Millis(0), facts: &facts };
/// # let principal = EntityRef { kind: "Platform::Participant", id: alice.uid_id() };
/// # let action = EntityRef { kind: "Platform::Action", id: "createOrganization" };
/// # let resource = EntityRef { kind: "Platform::System", id: "system" };
/// # let env = Env { principal, principal_parents: alice.parents(), participant: (&alice).into(), action, action_groups: &[], resource,
/// #     resource_parents: &[], attributes: None, context, args: &[] };
/// # use policy_core::check::{RootType, RuleEnv, check};
/// # use policy_core::ir::Root;
/// # use policy_core::kind::{Described, Kind};
/// # use policy_core::{participant, syntax};
/// # let ty = Described::required(Kind::Record(participant::BUILT_IN.clone().into()));
/// # let root = RootType { name: "participant".into(), rust_name: "participant".into(), root: Root::Participant, ty: Some(ty), open: true };
/// # let roots = RuleEnv { roots: vec![root], ..RuleEnv::default() };
/// let rule = check(&syntax::parse("participant.roles contains 'finance' and participant.mfa").unwrap(), &roots).unwrap();
/// let clause = policy_core::eval::blame(&rule, policy_core::eval::Truth::True, &env).unwrap();
/// assert_eq!((clause.text.as_str(), &*clause.values[0].value), ("participant.mfa", "false"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Clause {
    /// As the rule says it: `order.amount < 50000`.
    pub text: String,
    /// What it read, secrets redacted.
    pub values: Vec<Observed>,
    /// Whether it was unknown, because something is absent.
    pub unknown: bool,
}

/// Finds the clause that kept `rule` from being what was wanted: `True` for a permit, `False` for a forbid.
///
/// ```
/// # use policy_core::context::{Context, Facts};
/// # use policy_core::ir::eval::{EntityRef, Env};
/// # use policy_core::value::Millis;
/// # use policy_core::{Participant, Scope};
/// # let alice = Participant::builder(Scope::System, "u-1").role("finance").build();
/// # let facts = Facts::default();
/// # let context = Context { time: Millis(0), facts: &facts };
/// # let principal = EntityRef { kind: "Platform::Participant", id: alice.uid_id() };
/// # let action = EntityRef { kind: "Platform::Action", id: "createOrganization" };
/// # let resource = EntityRef { kind: "Platform::System", id: "system" };
/// # let env = Env { principal, principal_parents: alice.parents(), participant: (&alice).into(), action, action_groups: &[], resource,
/// #     resource_parents: &[], attributes: None, context, args: &[] };
/// # use policy_core::check::{RootType, RuleEnv, check};
/// # use policy_core::ir::Root;
/// # use policy_core::kind::{Described, Kind};
/// # use policy_core::{participant, syntax};
/// # let ty = Described::required(Kind::Record(participant::BUILT_IN.clone().into()));
/// # let root = RootType { name: "participant".into(), rust_name: "participant".into(), root: Root::Participant, ty: Some(ty), open: true };
/// # let roots = RuleEnv { roots: vec![root], ..RuleEnv::default() };
/// use policy_core::eval::{Truth, blame};
///
/// let rule = check(&syntax::parse("participant.email exists").unwrap(), &roots).unwrap();
/// assert_eq!(blame(&rule, Truth::True, &env).unwrap().text, "participant.email exists");
/// assert_eq!(blame(&rule, Truth::False, &env), None);
/// ```
pub fn blame(rule: &Typed, wanted: Truth, env: &Env<'_>) -> Option<Clause> {
    if truth(rule, env) == wanted {
        return None;
    }
    match rule {
        // Of several conditions that fail the first false one is told before an unknown one.
        Typed::And(items) if wanted == Truth::True => first(items, wanted, env),
        Typed::Or(items) if wanted == Truth::False => first(items, wanted, env),
        Typed::Not(inner) => {
            let clause = blame(inner, !wanted, env)?;
            let text = if clause.text.contains(" and ") || clause.text.contains(" or ") {
                format!("not ({})", clause.text)
            } else {
                format!("not {}", clause.text)
            };
            Some(Clause { text, ..clause })
        }
        Typed::And(_) | Typed::Or(_) | Typed::Leaf(_) => Some(Clause {
            text: rule.to_string(),
            values: observe(rule, env),
            unknown: truth(rule, env) == Truth::Unknown,
        }),
    }
}

fn first(items: &[Typed], wanted: Truth, env: &Env<'_>) -> Option<Clause> {
    let certain = items.iter().find(|item| truth(item, env) == !wanted);
    certain.or_else(|| items.iter().find(|item| truth(item, env) != wanted)).and_then(|item| blame(item, wanted, env))
}

/// What the predicates of a rule read, each attribute once.
///
/// ```
/// # use policy_core::context::{Context, Facts};
/// # use policy_core::ir::eval::{EntityRef, Env};
/// # use policy_core::value::Millis;
/// # use policy_core::{Participant, Scope};
/// # let alice = Participant::builder(Scope::System, "u-1").role("finance").build();
/// # let facts = Facts::default();
/// # let context = Context { time: Millis(0), facts: &facts };
/// # let principal = EntityRef { kind: "Platform::Participant", id: alice.uid_id() };
/// # let action = EntityRef { kind: "Platform::Action", id: "createOrganization" };
/// # let resource = EntityRef { kind: "Platform::System", id: "system" };
/// # let env = Env { principal, principal_parents: alice.parents(), participant: (&alice).into(), action, action_groups: &[], resource,
/// #     resource_parents: &[], attributes: None, context, args: &[] };
/// # use policy_core::check::{RootType, RuleEnv, check};
/// # use policy_core::ir::Root;
/// # use policy_core::kind::{Described, Kind};
/// # use policy_core::{participant, syntax};
/// # let ty = Described::required(Kind::Record(participant::BUILT_IN.clone().into()));
/// # let root = RootType { name: "participant".into(), rust_name: "participant".into(), root: Root::Participant, ty: Some(ty), open: true };
/// # let roots = RuleEnv { roots: vec![root], ..RuleEnv::default() };
/// let rule = check(&syntax::parse("participant.id == 'u-2' or participant.email exists").unwrap(), &roots).unwrap();
/// let seen = policy_core::eval::observe(&rule, &env);
/// assert_eq!(seen.iter().map(|s| s.value.as_str()).collect::<Vec<_>>(), ["'u-1'", "absent"]);
/// ```
pub fn observe(rule: &Typed, env: &Env<'_>) -> Vec<Observed> {
    let mut out: Vec<Observed> = Vec::new();
    rule.each_leaf(&mut |Leaf { test, .. }| {
        for path in test.paths() {
            let found = find(path, env);
            let value = if path.secret { "(secret)".to_owned() } else { shown(&found) };
            let seen = Observed::new(&*path.text, value);
            if !out.contains(&seen) {
                out.push(seen);
            }
        }
    });
    out
}

/// A value for people. Of a record only that it is there: something in it may be secret.
pub(crate) fn shown(value: &ValueRef<'_>) -> String {
    let mut records = matches!(value, ValueRef::Record(_));
    if let ValueRef::Set(items) = value {
        items.each(&mut |item| {
            records |= matches!(item, ValueRef::Record(_) | ValueRef::Set(_));
            !records
        });
    }
    if records { "present".to_owned() } else { value.to_string() }
}

impl Clause {
    /// Makes a clause.
    pub const fn new(text: String, values: Vec<Observed>, unknown: bool) -> Self {
        Self { text, values, unknown }
    }
}

#[cfg(test)]
#[cfg(feature = "engine")]
mod tests {
    use super::*;
    use crate::context::{Context, Facts};
    use crate::ir::eval::{EntityRef, holds};
    use crate::lower::{Unknown, lower};
    use crate::testdata::{Fields, alice, an_order, place_order, registry};
    use crate::value::Millis;

    fn typed(rule: &str) -> Typed {
        static ENV: std::sync::LazyLock<crate::check::RuleEnv> = std::sync::LazyLock::new(|| {
            let registry = registry(vec![place_order(&["order.amount > 0"])]).unwrap();
            let id = registry.find("com.example.OrderService.placeOrder").unwrap();
            registry.action(id).unwrap().env.clone()
        });
        crate::check::check(&crate::syntax::parse(rule).unwrap(), &ENV).unwrap()
    }

    fn on<T>(order: &Fields, ask: impl FnOnce(&Env<'_>) -> T) -> T {
        let (alice, facts) = (alice().build(), Facts::default());
        let context = Context { time: Millis(0), facts: &facts };
        let entity = EntityRef { kind: "X", id: "x" };
        ask(&Env {
            principal: entity,
            principal_parents: &[],
            participant: (&alice).into(),
            action: entity,
            action_groups: &[],
            resource: entity,
            resource_parents: &[],
            attributes: None,
            context,
            args: &[ValueRef::record(order)],
        })
    }

    fn of(rule: &str) -> Truth {
        let rule = typed(rule);
        on(&an_order(5), |env| {
            let meant = truth(&rule, env);
            // What is compiled says the same, for what permits and for what forbids.
            assert_eq!(holds(&lower(&rule, Unknown::Fails), env), Ok(meant == Truth::True), "{rule}");
            assert_eq!(holds(&lower(&rule, Unknown::Holds), env), Ok(meant != Truth::False), "{rule}");
            meant
        })
    }

    /// True, false and unknown in `an_order`.
    const T: &str = "order.amount == 5";
    const F: &str = "order.amount == 6";
    const U: &str = "order.note == 'x'";

    #[test]
    fn kleene() {
        use Truth::{False, True, Unknown};
        let table = [
            (T, T, True, True),
            (T, F, False, True),
            (T, U, Unknown, True),
            (F, F, False, False),
            (F, U, False, Unknown),
            (U, U, Unknown, Unknown),
        ];
        for (a, b, and, or) in table {
            for (a, b) in [(a, b), (b, a)] {
                assert_eq!((of(&format!("{a} and {b}")), of(&format!("{a} or {b}"))), (and, or), "{a}, {b}");
                // De Morgan holds in three values.
                assert_eq!(of(&format!("not ({a} and {b})")), !and);
                assert_eq!(of(&format!("not ({a} or {b})")), !or);
            }
        }
        assert_eq!([of(T), of(F), of(U)].map(|t| !t), [False, True, Unknown]);
    }

    #[test]
    fn absence_is_unknown_whatever_the_operator() {
        for rule in [
            "order.note == 'x'",
            "order.note != 'x'",
            "not order.note == 'x'",
            "not order.note != 'x'",
            "order.note like '*'",
            "not order.note like '*'",
            "order.note in []",
            "not order.note in []",
            "order.note in ['a', 'b']",
            "order.codes contains 1",
            "not order.codes contains 1",
            "order.amount in order.codes",
            "order.price < 5",
            "order.price >= 5",
            "order.gift",
            "not order.gift",
            "order.from in '10.0.0.0/8'",
            "order.note == order.ownerId",
            "order.note == participant.id",
            "participant.email == order.note",
            "order.customer.card == 'x'",
            "order.at < context.time",
        ] {
            assert_eq!(of(rule), Truth::Unknown, "{rule}");
        }
        for (rule, truth) in [
            ("order.note exists", Truth::False),
            ("not order.note exists", Truth::True),
            ("order exists", Truth::True),
            ("participant exists", Truth::True),
            ("order.amount exists", Truth::True),
            ("order.customer.card exists", Truth::False),
            ("order.amount in []", Truth::False),
            ("not order.amount in []", Truth::True),
            ("not order.gift exists or order.gift == false", Truth::True),
            ("order.tags contains 'new'", Truth::True),
            ("order.tags contains order.note", Truth::Unknown),
        ] {
            assert_eq!(of(rule), truth, "{rule}");
        }
    }

    fn told(rule: &str, wanted: Truth) -> String {
        let mut order = an_order(72_000);
        order.insert("pin".into(), Value::Long(4711));
        let rule = typed(rule);
        on(&order, |env| match blame(&rule, wanted, env) {
            None => "as wanted".to_owned(),
            Some(clause) => {
                let values: Vec<_> = clause.values.iter().map(|v| format!("{} is {}", v.path, v.value)).collect();
                format!("{}{}: {}", clause.text, if clause.unknown { " (unknown)" } else { "" }, values.join(", "))
            }
        })
    }

    #[test]
    fn the_smallest_clause_that_made_it_so_is_told() {
        use Truth::{False, True};
        for (rule, wanted, clause) in [
            ("order.amount < 50000 and participant.mfa", True, "order.amount < 50000: order.amount is 72000"),
            (
                "participant.roles contains 'finance' and order.amount < 50000",
                True,
                "order.amount < 50000: order.amount is 72000",
            ),
            ("order.note == 'x' and order.amount < 50000", True, "order.amount < 50000: order.amount is 72000"),
            ("order.note == 'x' and order.amount > 50000", True, "order.note == 'x' (unknown): order.note is absent"),
            (
                "order.amount < 1 or participant.mfa",
                True,
                "order.amount < 1 or participant.mfa: order.amount is 72000, participant.mfa is false",
            ),
            ("not (order.amount > 50000 or order.rush)", True, "not order.amount > 50000: order.amount is 72000"),
            (
                "not (order.amount > 50000 and order.amount > 1)",
                True,
                "not (order.amount > 50000 and order.amount > 1): order.amount is 72000",
            ),
            ("order.amount > 50000 or order.rush", False, "order.amount > 50000: order.amount is 72000"),
            ("order.pin == 1", True, "order.pin == 1: order.pin is (secret)"),
            ("order.customer exists", False, "order.customer exists: order.customer is present"),
            ("order.amount > 1", True, "as wanted"),
        ] {
            assert_eq!(told(rule, wanted), clause, "{rule}");
        }
    }
}
