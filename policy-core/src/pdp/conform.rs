//! Whether the data of a request is what the rules were checked against; a request whose data is not is refused.
//!
//! In: declared kinds and borrowed values. Out: nothing, or the first [`Misfit`]. Absent: policies. A rule is lowered for the
//! kinds that were declared: a value of another kind would make `!=` true, and a missing one `exists`.

#![expect(clippy::wildcard_enum_match_arm, reason = "all other pairs do not fit")]

use crate::ir::eval::{Facts, fetch, look};
use crate::ir::{Binary, Ir, Path, Root};
use crate::kind::{Described, Kind, RecordType};
use crate::registry::ActionEntry;
use crate::value::{Slot, Value, ValueRef, parse_uuid, uuid_text};

/// An attribute that is looked at before the policies are asked.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Check {
    path: Path,
    kind: Kind,
    /// Whether it, or something before it, may be absent.
    optional: bool,
    fallible: bool,
}

/// An attribute whose value no rule may be put to.
#[derive(Debug)]
pub(super) struct Misfit<'c> {
    pub(super) path: &'c Path,
    pub(super) why: String,
}

impl Check {
    /// What is to be looked at when a policy reads `path`: nothing, where the type and the builder of the value rule it out.
    pub(super) fn of(path: &Path, entry: &ActionEntry) -> Option<Self> {
        let root = entry.env.roots.iter().find(|r| match (&r.root, &path.root) {
            (Root::Arg(a, _), Root::Arg(b, _)) => a == b,
            (a, b) => a == b,
        })?;
        let built_in = |record: &RecordType| path.slots.first().is_some_and(|s| record.field(&s.name).is_some());
        let (skip, name) = match path.root {
            Root::Participant => (built_in(&crate::participant::BUILT_IN), "participant"),
            Root::Context => (built_in(&crate::context::BUILT_IN), "context"),
            Root::Resource | Root::Arg(..) => (false, ""),
        };
        if skip {
            return None;
        }
        let mut ty = root.ty.clone()?;
        let mut optional = ty.optional;
        for (depth, slot) in path.slots.iter().enumerate() {
            let Kind::Record(record) = &ty.kind else { return None };
            let next = match record.field(&slot.name) {
                Some((_, field)) => field.ty.clone(),
                // An attribute that nothing declares has the kind that the program's rules give it.
                None if depth == 0 => {
                    Described::optional(entry.env.inferred.get(&(name.into(), slot.name.clone()))?.clone())
                }
                None => return None,
            };
            optional |= next.optional;
            ty = next;
        }
        Some(Self { path: path.clone(), kind: ty.kind, optional, fallible: ty.fallible })
    }

    /// What is to be looked at when nobody knows which attributes a policy reads: those of every root.
    pub(super) fn all(entry: &ActionEntry) -> Vec<Self> {
        let mut out = Vec::new();
        for root in &entry.env.roots {
            let mut paths = Vec::new();
            match root.ty.as_ref().map(|ty| &ty.kind) {
                Some(Kind::Record(record)) => paths.extend(record.fields.iter().map(|f| Slot::named(&f.name))),
                Some(_) => out.extend(Self::of(&Path { root: root.root.clone(), slots: Vec::new() }, entry)),
                None => {}
            }
            let inferred = entry.env.inferred.keys().filter(|(of, _)| root.open && *of == root.name);
            paths.extend(inferred.map(|(_, name)| Slot::named(name)));
            out.extend(
                paths.into_iter().filter_map(|s| Self::of(&Path { root: root.root.clone(), slots: vec![s] }, entry)),
            );
        }
        out
    }

    /// The parts of a parameter (or of the entity in one) that may be unusable, read by a rule or not: a call with a value
    /// that its kind cannot hold is refused.
    pub(super) fn fallible(root: &Root, ty: &Described) -> Vec<Self> {
        let mut out = Vec::new();
        parts(&Path { root: root.clone(), slots: Vec::new() }, ty, ty.optional, &mut out);
        out
    }

    /// Whether the value comes with the call.
    pub(super) const fn is_open(&self) -> bool {
        matches!(self.path.root, Root::Resource | Root::Arg(..))
    }

    /// The attribute.
    pub(super) const fn path(&self) -> &Path {
        &self.path
    }

    /// Looks at the value.
    pub(super) fn look<'a>(&self, facts: &impl Facts<'a>) -> Result<(), Misfit<'_>> {
        let misfit = |why: String| Err(Misfit { path: &self.path, why });
        match look(&self.path, facts) {
            Ok(ValueRef::Absent) if self.optional => Ok(()),
            Ok(ValueRef::Absent) => misfit("it is missing, and its type requires it".to_owned()),
            Ok(found) => match unfit(&self.kind, &found, self.thorough()) {
                None => Ok(()),
                Some(why) => misfit(why),
            },
            Err(e) => misfit(e.to_string()),
        }
    }

    /// Whether there is nothing to be said about the value.
    #[inline]
    pub(super) fn fits<'a>(&self, facts: &impl Facts<'a>) -> bool {
        match (fetch(&self.path, facts), &self.kind) {
            (ValueRef::Absent, _) => self.optional,
            (ValueRef::Text(_), Kind::Text)
            | (ValueRef::Long(_), Kind::Long)
            | (ValueRef::Bool(_), Kind::Bool)
            | (ValueRef::Datetime(_), Kind::Datetime)
            | (ValueRef::Decimal(_), Kind::Decimal) => true,
            _ => self.look(facts).is_ok(),
        }
    }

    /// Whether a condition is true only of values that fit. Where it is true, all operands of its `and` are.
    pub(super) fn is_proven_by(&self, condition: &Ir) -> bool {
        let of = |ir: &Ir| matches!(ir, Ir::Path(path) if *path == self.path);
        match condition {
            Ir::And(items) => items.iter().any(|item| self.is_proven_by(item)),
            Ir::Path(_) => of(condition) && self.kind == Kind::Bool,
            Ir::Like(text, _) => of(text) && self.kind == Kind::Text,
            Ir::Binary(op, sides) => match &**sides {
                [left, Ir::Const(constant)] if of(left) => self.is_proven_by_constant(*op, constant),
                [Ir::Path(a), Ir::Path(b)] if *op == Binary::Eq && self.kind == Kind::Text => {
                    (*a == self.path && is_text(b)) || (*b == self.path && is_text(a))
                }
                _ => false,
            },
            _ => false,
        }
    }

    fn is_proven_by_constant(&self, op: Binary, constant: &Value) -> bool {
        use Binary::{
            Contains, DecimalGreater, DecimalGreaterEq, DecimalLess, DecimalLessEq, Eq, Greater, GreaterEq, IsInRange,
            Less, LessEq,
        };
        match (&self.kind, constant, op) {
            (Kind::Bool, Value::Bool(_), Eq)
            | (Kind::Text, Value::Text(_), Eq)
            | (Kind::Long, Value::Long(_), Eq | Less | LessEq | Greater | GreaterEq)
            | (Kind::Datetime, Value::Datetime(_), Eq | Less | LessEq | Greater | GreaterEq)
            | (
                Kind::Decimal,
                Value::Decimal(_),
                Eq | DecimalLess | DecimalLessEq | DecimalGreater | DecimalGreaterEq,
            )
            | (Kind::Ip, Value::Ip(_), Eq | IsInRange) => true,
            (Kind::Enum(variants), Value::Text(text), Eq) => variants.contains(text),
            (Kind::Set(_), _, Contains) => !self.thorough(),
            _ => false,
        }
    }

    /// The items of a set are looked at where a Rust type does not vouch for them.
    const fn thorough(&self) -> bool {
        self.fallible || matches!(self.path.root, Root::Participant | Root::Context)
    }
}

/// Whether an attribute is built in, and a text whenever it is there.
fn is_text(path: &Path) -> bool {
    let built_in: &RecordType = match path.root {
        Root::Participant => &crate::participant::BUILT_IN,
        Root::Context => &crate::context::BUILT_IN,
        Root::Resource | Root::Arg(..) => return false,
    };
    match path.slots.as_slice() {
        [slot] => built_in.field(&slot.name).is_some_and(|(_, field)| field.ty.kind == Kind::Text),
        _ => false,
    }
}

fn parts(at: &Path, ty: &Described, optional: bool, out: &mut Vec<Check>) {
    if !ty.fallible {
        return;
    }
    let Kind::Record(record) = &ty.kind else {
        out.push(Check { path: at.clone(), kind: ty.kind.clone(), optional, fallible: true });
        return;
    };
    for (index, field) in (0..).zip(&record.fields) {
        let mut path = at.clone();
        path.slots.push(Slot { index, name: field.name.clone() });
        parts(&path, &field.ty, optional || field.ty.optional, out);
    }
}

/// Why a value is not of a kind; `None` when it is.
fn unfit(kind: &Kind, value: &ValueRef<'_>, thorough: bool) -> Option<String> {
    let fits = match (kind, value) {
        (_, ValueRef::Unusable(why)) => return Some((*why).to_owned()),
        (Kind::Bool, ValueRef::Bool(_))
        | (Kind::Long, ValueRef::Long(_))
        | (Kind::Decimal, ValueRef::Decimal(_))
        | (Kind::Text, ValueRef::Text(_) | ValueRef::Char(_) | ValueRef::Uuid(_))
        | (Kind::Uuid, ValueRef::Uuid(_))
        | (Kind::Datetime, ValueRef::Datetime(_))
        | (Kind::Ip, ValueRef::Ip(_))
        | (Kind::Record(_), ValueRef::Record(_)) => true,
        (Kind::Uuid, ValueRef::Text(text)) => parse_uuid(text).is_some_and(|uuid| uuid_text(uuid) == **text),
        (Kind::Enum(variants), ValueRef::Text(text)) => variants.iter().any(|v| **v == **text),
        (Kind::Enum(variants), ValueRef::Char(c)) => variants.iter().any(|v| v.chars().eq([*c])),
        (Kind::Set(of), ValueRef::Set(items)) => {
            let mut why = None;
            if thorough {
                items.each(&mut |item| {
                    why = unfit(of, &item, true).map(|why| format!("an item of it: {why}"));
                    why.is_none()
                });
            }
            return why;
        }
        _ => false,
    };
    if !fits {
        return Some(format!("it is no {kind}"));
    }
    match value {
        ValueRef::Record(record) if thorough => {
            let mut why = None;
            record.each_field(&mut |_, value| why = why.or_else(|| value.unusable()));
            why.map(str::to_owned)
        }
        _ => None,
    }
}
