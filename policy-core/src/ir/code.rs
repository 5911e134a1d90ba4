//! Conditions made ready to be decided: each form that rules are made of has a short way of its own, and names are compared
//! by hashes that they keep. What has no short way is evaluated as it is.
//!
//! In: an [`Ir`]. Out: a [`Code`], which is true, false or fails exactly where the [`Ir`] is true, false or an error; why it
//! fails is asked of the [`Ir`]. Absent: any allocation, and any uid that the condition does not ask for.

#![expect(clippy::wildcard_enum_match_arm, reason = "all other forms and values go the long way")]

use std::cmp::Ordering;
use std::sync::Arc;

use super::eval::{Facts, MAX_DEPTH, fetch, holds, step};
use super::operators::{Val, binary_of_values, set_contains};
use super::{Binary, Ir, Path, Root, Var};
use crate::name::hash_of;
use crate::value::{Slot, Value, ValueRef};

/// A condition that is ready to be decided.
#[derive(Debug, Clone)]
pub(crate) enum Code {
    Const(bool),
    /// It nests too deeply.
    Fails,
    All(Box<[Self]>),
    Any(Box<[Self]>),
    Not(Box<Self>),
    /// `principal.roles.contains("..")`
    Role(Arc<str>, u64),
    /// A Bool stands for itself.
    Truth(Place),
    Has(Place),
    /// A Long (or what else there is) beside a constant.
    Long(Place, Binary, i64),
    /// A Text beside a constant.
    Text(Place, Binary, Arc<str>),
    /// Two attributes.
    Both(Box<(Place, Place)>, Binary),
    /// Whether a set has an item.
    Contains(Place, Box<Value>),
    /// Whether a constant set has what is there.
    Among(Box<(Box<[Value]>, Place)>),
    Other(Box<Ir>),
}

/// Where a value is found.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// An attribute of an argument.
    Arg(u16, Slot),
    Participant(Slot),
    Other(Box<Path>),
}

impl Place {
    fn of(path: &Path) -> Self {
        match (&path.root, path.slots.as_slice()) {
            (Root::Arg(place, _), [slot]) => Self::Arg(*place, slot.clone()),
            (Root::Participant, [slot]) => Self::Participant(slot.clone()),
            _ => Self::Other(Box::new(path.clone())),
        }
    }

    #[inline]
    fn fetch<'a>(&self, facts: &impl Facts<'a>) -> ValueRef<'a> {
        match self {
            Self::Arg(place, slot) => match facts.args().get(usize::from(*place)) {
                Some(ValueRef::Record(record)) => record.field(slot),
                Some(other) => step(*other, slot),
                None => ValueRef::Absent,
            },
            Self::Participant(slot) => facts.participant().attribute(slot),
            Self::Other(path) => fetch(path, facts),
        }
    }

    const fn is_open(&self, seen: Seen) -> bool {
        match self {
            Self::Arg(..) => true,
            Self::Participant(_) => false,
            Self::Other(path) => seen.leaves(&path.root),
        }
    }
}

/// What is known of a call before it is made, beside who makes it and when. Its arguments are not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    /// Which resource it is about.
    pub(crate) uid: bool,
    /// The attributes of the resource.
    pub(crate) attributes: bool,
}

impl Seen {
    /// Whether what starts from a root is not known.
    const fn leaves(self, root: &Root) -> bool {
        match root {
            Root::Arg(..) => true,
            Root::Resource => !self.attributes,
            Root::Participant | Root::Context => false,
        }
    }
}

impl Code {
    pub(crate) fn of(ir: &Ir) -> Self {
        ready(ir, 0)
    }

    /// Whether the condition is true; `None` where it has no truth.
    pub(crate) fn holds<'a>(&self, facts: &impl Facts<'a>) -> Option<bool> {
        let (items, on) = match self {
            Self::All(items) => (&**items, true),
            Self::Any(items) => (&**items, false),
            one => (std::slice::from_ref(one), true),
        };
        for item in items {
            match item.leaf(facts) {
                Some(truth) if truth == on => {}
                other => return other,
            }
        }
        Some(on)
    }

    /// What rules have most has its way here; all else is elsewhere, so that this stays small.
    #[inline]
    fn leaf<'a>(&self, facts: &impl Facts<'a>) -> Option<bool> {
        match self {
            Self::Role(role, hash) => Some(facts.participant().participant().has_role(role, *hash)),
            Self::Long(place, op, constant) => match place.fetch(facts) {
                ValueRef::Long(found) => Some(ordered(*op, found.cmp(constant))),
                found => odd(*op, found, ValueRef::Long(*constant)),
            },
            Self::Text(place, op, constant) => match place.fetch(facts) {
                ValueRef::Text(found) => Some((*found == **constant) == (*op == Binary::Eq)),
                found => odd(*op, found, ValueRef::Text(constant)),
            },
            Self::Both(places, op) => {
                let (left, right) = &**places;
                match (left.fetch(facts), right.fetch(facts), op) {
                    (ValueRef::Text(a), ValueRef::Text(b), Binary::Eq) => Some(a == b),
                    (a, b, op) => odd(*op, a, b),
                }
            }
            Self::Truth(place) => match place.fetch(facts) {
                ValueRef::Bool(b) => Some(b),
                _ => None,
            },
            other => other.single(facts),
        }
    }

    #[inline(never)]
    fn single<'a>(&self, facts: &impl Facts<'a>) -> Option<bool> {
        match self {
            Self::Has(place) => match place.fetch(facts) {
                ValueRef::Absent => Some(false),
                ValueRef::Unusable(_) => None,
                _ => Some(true),
            },
            Self::Contains(place, item) => match place.fetch(facts) {
                ValueRef::Set(set) => set_contains(set, item.as_ref().as_ref()).ok(),
                _ => None,
            },
            Self::Among(both) => {
                let (items, place) = &**both;
                let found = place.fetch(facts);
                match found {
                    ValueRef::Absent | ValueRef::Unusable(_) => None,
                    found => Some(items.iter().any(|item| item.as_ref().same_as(&found))),
                }
            }
            Self::Const(truth) => Some(*truth),
            Self::Not(inner) => inner.holds(facts).map(|truth| !truth),
            Self::Fails => None,
            Self::Other(ir) => long_way(ir, facts),
            joined_or_leaf => joined_or_leaf.holds(facts),
        }
    }

    /// The truth of the condition where no more is `seen` of the call; `None` when it depends on the call, or may fail.
    pub(crate) fn settled<'a>(&self, facts: &impl Facts<'a>, seen: Seen) -> Option<bool> {
        match self {
            Self::All(items) => joined(items, facts, seen, true),
            Self::Any(items) => joined(items, facts, seen, false),
            Self::Not(inner) => inner.settled(facts, seen).map(|truth| !truth),
            leaf if leaf.is_open(seen) => None,
            leaf => leaf.holds(facts),
        }
    }

    /// What is left of the condition when no more is `seen` of the call: it is true, false or fails where the whole is.
    pub(crate) fn rest<'a>(&self, facts: &impl Facts<'a>, seen: Seen) -> Self {
        match self {
            Self::All(items) => left(items, facts, seen, true),
            Self::Any(items) => left(items, facts, seen, false),
            Self::Not(inner) => match inner.rest(facts, seen) {
                Self::Const(truth) => Self::Const(!truth),
                Self::Fails => Self::Fails,
                inner => Self::Not(Box::new(inner)),
            },
            leaf if leaf.is_open(seen) => leaf.clone(),
            leaf => leaf.holds(facts).map_or(Self::Fails, Self::Const),
        }
    }

    /// Whether a leaf asks for what is not known.
    fn is_open(&self, seen: Seen) -> bool {
        match self {
            Self::Truth(place)
            | Self::Has(place)
            | Self::Long(place, ..)
            | Self::Text(place, ..)
            | Self::Contains(place, _) => place.is_open(seen),
            Self::Both(places, _) => places.0.is_open(seen) || places.1.is_open(seen),
            Self::Among(both) => both.1.is_open(seen),
            Self::Other(ir) => is_open(ir, seen),
            _ => false,
        }
    }

    /// Whether there may be no truth although all data is as it was declared: where numbers are computed.
    fn may_fail(&self) -> bool {
        match self {
            Self::Other(_) | Self::Fails => true,
            Self::All(items) | Self::Any(items) => items.iter().any(Self::may_fail),
            Self::Not(inner) => inner.may_fail(),
            _ => false,
        }
    }
}

/// `and` (or `or`), where one operand settles all whatever stands before it, unless that may fail.
fn joined<'a>(items: &[Code], facts: &impl Facts<'a>, known: Seen, all: bool) -> Option<bool> {
    let mut open = false;
    for (at, item) in items.iter().enumerate() {
        match item.settled(facts, known) {
            Some(truth) if truth == all => {}
            Some(truth) => {
                let before = items.iter().take(if open { at } else { 0 });
                let fails = before.filter(|item| item.settled(facts, known).is_none()).any(Code::may_fail);
                return (!fails).then_some(truth);
            }
            None => open = true,
        }
    }
    (!open).then_some(all)
}

/// `and` (or `or`) from the left: what settles nothing is left out, and nothing is asked after what settles all or fails.
fn left<'a>(items: &[Code], facts: &impl Facts<'a>, seen: Seen, all: bool) -> Code {
    let mut out = Vec::new();
    for item in items {
        match item.rest(facts, seen) {
            Code::Const(truth) if truth == all => {}
            last @ (Code::Const(_) | Code::Fails) => {
                out.push(last);
                break;
            }
            item => out.push(item),
        }
    }
    match out.len() {
        0 => Code::Const(all),
        1 => out.pop().unwrap_or(Code::Const(all)),
        _ if all => Code::All(out.into()),
        _ => Code::Any(out.into()),
    }
}

/// Whether an expression asks for what is not known of the call.
fn is_open(ir: &Ir, seen: Seen) -> bool {
    match ir {
        Ir::Var(Var::Resource) => !seen.uid,
        Ir::Path(path) | Ir::Has(path) => seen.leaves(&path.root),
        // The type of the resource is known.
        Ir::Is(inner, _) => is_open(inner, Seen { uid: true, ..seen }),
        Ir::Not(inner) | Ir::Unary(_, inner) | Ir::Like(inner, _) => is_open(inner, seen),
        Ir::Const(_) | Ir::Duration(_) | Ir::Entity(_) | Ir::Var(_) => false,
        Ir::And(items) | Ir::Or(items) | Ir::Set(items) => items.iter().any(|item| is_open(item, seen)),
        Ir::If(parts) => parts.iter().any(|part| is_open(part, seen)),
        Ir::Binary(_, sides) => sides.iter().any(|side| is_open(side, seen)),
        Ir::Record(fields) => fields.values().any(|field| is_open(field, seen)),
    }
}

#[inline]
const fn ordered(op: Binary, order: Ordering) -> bool {
    match op {
        Binary::Eq => order.is_eq(),
        Binary::Less => order.is_lt(),
        Binary::LessEq => order.is_le(),
        Binary::Greater => order.is_gt(),
        Binary::GreaterEq => order.is_ge(),
        // The only other one that is made ready.
        _ => order.is_ne(),
    }
}

/// Two values for which there is no short way.
#[inline(never)]
fn odd(op: Binary, found: ValueRef<'_>, other: ValueRef<'_>) -> Option<bool> {
    let usable = |value: &ValueRef<'_>| !matches!(value, ValueRef::Absent | ValueRef::Unusable(_));
    if !usable(&found) || !usable(&other) {
        return None;
    }
    binary_of_values(op, &Val::Ref(found), &Val::Ref(other)).ok()?.truth().ok()
}

#[inline(never)]
fn long_way<'a>(ir: &Ir, facts: &impl Facts<'a>) -> Option<bool> {
    holds(ir, facts.env()).ok()
}

fn ready(ir: &Ir, depth: u32) -> Code {
    let all = |items: &[Ir]| items.iter().map(|item| ready(item, depth + 1)).collect();
    match ir {
        Ir::And(_) | Ir::Or(_) | Ir::Not(_) if depth >= MAX_DEPTH => Code::Fails,
        Ir::And(items) => Code::All(all(items)),
        Ir::Or(items) => Code::Any(all(items)),
        Ir::Not(inner) => Code::Not(Box::new(ready(inner, depth + 1))),
        Ir::Const(Value::Bool(truth)) if depth < MAX_DEPTH => Code::Const(*truth),
        Ir::Path(path) => Code::Truth(Place::of(path)),
        Ir::Has(path) => Code::Has(Place::of(path)),
        Ir::Binary(op, sides) => comparison(*op, sides).unwrap_or_else(|| other(ir, depth)),
        ir => other(ir, depth),
    }
}

/// What goes the long way starts to count its depth anew, so it must not be so deep that this matters.
fn other(ir: &Ir, depth: u32) -> Code {
    if depth == 0 || depth + height(ir) < MAX_DEPTH { Code::Other(Box::new(ir.clone())) } else { Code::Fails }
}

fn height(ir: &Ir) -> u32 {
    let tallest = |items: &[Ir]| items.iter().map(height).max().unwrap_or_default();
    1 + match ir {
        Ir::Not(inner) | Ir::Unary(_, inner) | Ir::Like(inner, _) | Ir::Is(inner, _) => height(inner),
        Ir::And(items) | Ir::Or(items) | Ir::Set(items) => tallest(items),
        Ir::If(parts) => tallest(&parts[..]),
        Ir::Binary(_, sides) => tallest(&sides[..]),
        Ir::Record(fields) => fields.values().map(height).max().unwrap_or_default(),
        Ir::Const(_) | Ir::Duration(_) | Ir::Entity(_) | Ir::Var(_) | Ir::Path(_) | Ir::Has(_) => 0,
    }
}

fn comparison(op: Binary, sides: &[Ir; 2]) -> Option<Code> {
    use Binary::{Contains, Eq, Greater, GreaterEq, Less, LessEq, Ne};
    Some(match (sides, op) {
        ([Ir::Path(path), Ir::Const(Value::Text(text))], Contains) if is_roles(path) => {
            Code::Role(text.clone(), hash_of(text))
        }
        ([Ir::Path(path), Ir::Const(item)], Contains) => Code::Contains(Place::of(path), Box::new(item.clone())),
        ([Ir::Path(path), Ir::Const(Value::Long(n))], Eq | Ne | Less | LessEq | Greater | GreaterEq) => {
            Code::Long(Place::of(path), op, *n)
        }
        ([Ir::Path(path), Ir::Const(Value::Text(text))], Eq | Ne) => Code::Text(Place::of(path), op, text.clone()),
        ([Ir::Path(left), Ir::Path(right)], Eq | Ne | Less | LessEq | Greater | GreaterEq) => {
            Code::Both(Box::new((Place::of(left), Place::of(right))), op)
        }
        ([Ir::Const(Value::Set(items)), Ir::Path(path)], Contains) => {
            Code::Among(Box::new((items.as_slice().into(), Place::of(path))))
        }
        _ => return None,
    })
}

/// The roles of a participant, which are built in.
fn is_roles(path: &Path) -> bool {
    match (&path.root, path.slots.as_slice()) {
        (Root::Participant, [slot]) => &*slot.name == "roles" && matches!(slot.index, 3 | Slot::BY_NAME),
        _ => false,
    }
}
