//! One comparison with what a row has: which predicate says the same.
//!
//! In: the two sides of a comparison, known or attributes of the row. Out: a [`Leaf`]. Absent: what combines comparisons, and what
//! guards them where an attribute is not there.

#![expect(clippy::wildcard_enum_match_arm, reason = "all other pairs of operands are alike, or an error")]

use super::predicate::{Operand, Predicate, RowField, Test};
use crate::ir::known::Known;
use crate::ir::{Ir, Path, Unary};
use crate::kind::Kind;
use crate::syntax::ast::{CompareOp, PatternPart};
use crate::value::{IpRange, Value, parse_uuid, uuid_text};

pub(super) const STRUCTURE: &str = "sets and records of the row are not compared as a whole in the database";
const FORM: &str = "an attribute in a nested record is stored in another form than the one it is compared with";

/// A comparison, when all that it reads is there.
pub(super) enum Leaf<'e> {
    /// It is true where the predicate holds, else false.
    Plain(Predicate, Vec<RowField>),
    /// It errs, whatever the row is.
    Error,
    /// Another expression says the same.
    Same(Ir),
    /// It cannot become a predicate.
    Opaque(&'static str, Vec<&'e Path>),
}

/// One side of a comparison.
pub(super) enum Side {
    Known(Known),
    Field(RowField),
    Resource,
    Error,
    Opaque(&'static str),
}

const fn is_textual(kind: &Kind) -> bool {
    matches!(kind, Kind::Text | Kind::Enum(_) | Kind::Uuid)
}

/// A value as the kind of an attribute holds it; `None` when no value of that kind equals it.
pub(super) fn value_as(kind: &Kind, value: &Value) -> Option<Value> {
    match (kind, value) {
        (Kind::Bool, Value::Bool(_))
        | (Kind::Long, Value::Long(_))
        | (Kind::Decimal, Value::Decimal(_))
        | (Kind::Datetime, Value::Datetime(_))
        | (Kind::Text, Value::Text(_))
        | (Kind::Uuid, Value::Uuid(_)) => Some(value.clone()),
        (Kind::Text, Value::Uuid(uuid)) => Some(Value::text(&uuid_text(*uuid))),
        (Kind::Enum(variants), Value::Text(text)) => variants.contains(text).then(|| value.clone()),
        (Kind::Enum(_), Value::Uuid(uuid)) => value_as(kind, &Value::text(&uuid_text(*uuid))),
        (Kind::Uuid, Value::Text(text)) => {
            let uuid = parse_uuid(text)?;
            (*uuid_text(uuid) == **text).then_some(Value::Uuid(uuid))
        }
        (Kind::Ip, Value::Ip(ip)) => ip.is_single().then(|| Value::Ip(IpRange::single(ip.address()))),
        _ => None,
    }
}

pub(super) fn id_value(kind: &Kind, id: &str) -> Option<Value> {
    match kind {
        Kind::Long => id.parse::<i64>().ok().filter(|n| n.to_string() == id).map(Value::Long),
        kind => value_as(kind, &Value::text(id)),
    }
}

pub(super) fn equals(field: &RowField, known: Known) -> Result<Predicate, &'static str> {
    match (&field.kind, known) {
        (Kind::Set(_), Known::Value(Value::Set(_)) | Known::Entities(_) | Known::Other)
        | (Kind::Record(_), Known::Value(Value::Record(_)) | Known::Other) => Err(STRUCTURE),
        (Kind::Bool, Known::Value(Value::Bool(wanted))) => Ok(Test::Truth { field: field.clone(), wanted }.into()),
        (kind, Known::Value(value)) => Ok(value_as(kind, &value).map_or(Predicate::Const(false), |value| {
            Test::Compare { op: CompareOp::Eq, left: field.clone(), right: Operand::Value(value) }.into()
        })),
        _ => Ok(Predicate::Const(false)),
    }
}

/// Whether values of two attributes can be equal; an error when they can, but not in the database.
pub(super) fn alike(a: &RowField, b: &RowField) -> Result<bool, &'static str> {
    match (&a.kind, &b.kind) {
        (Kind::Set(_), Kind::Set(_)) | (Kind::Record(_), Kind::Record(_)) => Err(STRUCTURE),
        (Kind::Text | Kind::Enum(_), Kind::Text | Kind::Enum(_)) | (Kind::Long, Kind::Long) => Ok(true),
        (x, y) if is_textual(x) && is_textual(y) || x == y => {
            if a.inner.is_empty() == b.inner.is_empty() {
                Ok(true)
            } else {
                Err(FORM)
            }
        }
        _ => Ok(false),
    }
}

pub(super) fn ordered<'e>(left: Side, right: Side, op: CompareOp, decimal: bool) -> Leaf<'e> {
    let fits = |kind: &Kind| match kind {
        Kind::Decimal => decimal,
        Kind::Long | Kind::Datetime => !decimal,
        _ => false,
    };
    let with = |field: RowField, value: Value, op: CompareOp| match value_as(&field.kind, &value) {
        Some(value) if fits(&field.kind) => {
            Leaf::Plain(Test::Compare { op, left: field.clone(), right: Operand::Value(value) }.into(), vec![field])
        }
        _ => Leaf::Error,
    };
    match (left, right) {
        (Side::Field(field), Side::Known(Known::Value(value))) => with(field, value, op),
        (Side::Known(Known::Value(value)), Side::Field(field)) => with(field, value, op.mirrored()),
        (Side::Field(a), Side::Field(b)) if fits(&a.kind) && a.kind == b.kind => match alike(&a, &b) {
            Ok(_) => {
                let right = Operand::Field(b.clone());
                Leaf::Plain(Test::Compare { op, left: a.clone(), right }.into(), vec![a, b])
            }
            Err(why) => Leaf::Opaque(why, Vec::new()),
        },
        _ => Leaf::Error,
    }
}

/// `containsAll` and `containsAny`.
pub(super) fn several<'e>(left: Side, right: Side, all: bool) -> Leaf<'e> {
    let is_set = |side: &Side| match side {
        Side::Field(field) => matches!(field.kind, Kind::Set(_)),
        Side::Known(known) => matches!(known, Known::Value(Value::Set(_)) | Known::Entities(_) | Known::Other),
        Side::Resource | Side::Error | Side::Opaque(_) => false,
    };
    if !is_set(&left) || !is_set(&right) {
        return Leaf::Error;
    }
    let (set, values) = match (left, right) {
        (Side::Field(set), Side::Known(Known::Value(Value::Set(values)))) => (set, values),
        (Side::Known(Known::Value(Value::Set(values))), Side::Field(set)) if !all => (set, values),
        _ => return Leaf::Opaque(STRUCTURE, Vec::new()),
    };
    let Kind::Set(of) = &set.kind else { return Leaf::Error };
    if !of.is_scalar() {
        return Leaf::Opaque(STRUCTURE, Vec::new());
    }
    let tests: Vec<Predicate> = values
        .iter()
        .map(|value| {
            value_as(of, value).map_or(Predicate::Const(false), |value| {
                Test::Contains { set: set.clone(), item: Operand::Value(value), wanted: true }.into()
            })
        })
        .collect();
    Leaf::Plain(if all { Predicate::all(tests) } else { Predicate::any(tests) }, vec![set])
}

pub(super) fn in_range<'e>(left: Side, right: Side) -> Leaf<'e> {
    let equal = |field: RowField, address: IpRange| {
        let right = Operand::Value(Value::Ip(address));
        Leaf::Plain(Test::Compare { op: CompareOp::Eq, left: field.clone(), right }.into(), vec![field])
    };
    match (left, right) {
        (Side::Field(field), Side::Known(Known::Value(Value::Ip(range)))) if field.kind == Kind::Ip => {
            Leaf::Plain(Test::InRange { field: field.clone(), range, wanted: true }.into(), vec![field])
        }
        // A row holds one address.
        (Side::Known(Known::Value(Value::Ip(range))), Side::Field(field)) if field.kind == Kind::Ip => {
            if range.is_single() {
                equal(field, IpRange::single(range.address()))
            } else {
                Leaf::Plain(Predicate::Const(false), vec![field])
            }
        }
        (Side::Field(a), Side::Field(b)) if a.kind == Kind::Ip && b.kind == Kind::Ip => match alike(&a, &b) {
            Ok(_) => {
                let right = Operand::Field(b.clone());
                Leaf::Plain(Test::Compare { op: CompareOp::Eq, left: a.clone(), right }.into(), vec![a, b])
            }
            Err(why) => Leaf::Opaque(why, Vec::new()),
        },
        _ => Leaf::Error,
    }
}

pub(super) fn like<'e>(field: RowField, pattern: &[PatternPart]) -> Leaf<'e> {
    if !is_textual(&field.kind) {
        return Leaf::Error;
    }
    let test = Test::Like { field: field.clone(), pattern: pattern.to_vec(), wanted: true };
    Leaf::Plain(test.into(), vec![field])
}

pub(super) fn unary<'e>(op: Unary, field: RowField) -> Leaf<'e> {
    let ranges: &[&str] = match op {
        Unary::IsEmpty => {
            return match field.kind {
                Kind::Set(_) => Leaf::Plain(Test::Empty { set: field.clone(), wanted: true }.into(), vec![field]),
                _ => Leaf::Error,
            };
        }
        Unary::IsIpv4 => &["0.0.0.0/0"],
        Unary::IsIpv6 => &["::/0"],
        Unary::IsLoopback => &["127.0.0.0/8", "::1/128"],
        Unary::IsMulticast => &["224.0.0.0/4", "ff00::/8"],
        Unary::Neg
        | Unary::ToDate
        | Unary::ToTime
        | Unary::ToMilliseconds
        | Unary::ToSeconds
        | Unary::ToMinutes
        | Unary::ToHours
        | Unary::ToDays => return Leaf::Error,
    };
    if field.kind != Kind::Ip {
        return Leaf::Error;
    }
    let ranges = ranges.iter().filter_map(|range| range.parse::<IpRange>().ok());
    let tests = ranges.map(|range| Test::InRange { field: field.clone(), range, wanted: true }.into());
    Leaf::Plain(Predicate::any(tests.collect::<Vec<Predicate>>()), vec![field])
}
