//! The reference meaning of a rule: true, false or unknown, as the language defines it.
//!
//! In: a [`Typed`] rule and the facts of a request. Out: a [`Truth`], and for people the clause that made it so. Absent:
//! effects; whether an unknown opens or closes is said by who asks (only `True` permits, anything but `False` forbids).

use crate::check::{Leaf, Term, Test, Typed, TypedPath};
use crate::decision::Observed;
use crate::ir::eval::{Env, look};
use crate::ir::like::like;
use crate::syntax::ast::CompareOp;
use crate::value::{IpRange, Value, ValueRef};

/// Three-valued truth, after Kleene: as SQL has it.
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
        Test::Contains(set, item) => match (there(set), term(item, env)) {
            (Some(set), Some(item)) => Some(contains(&set, &item)),
            _ => None,
        },
        Test::OneOf(path, list) => there(path).map(|found| list.iter().any(|item| found.same_as(&item.as_ref()))),
        Test::InRange(path, range) => there(path).map(|found| matches!(found, ValueRef::Ip(ip) if within(&ip, range))),
        Test::Like(path, pattern) => there(path).map(|found| match found {
            ValueRef::Text(text) => like(pattern, text),
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
