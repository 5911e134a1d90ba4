//! One comparison with what a row has: which predicate says the same.
//!
//! In: the two sides of a comparison, known or attributes of the row. Out: a [`Leaf`]. Absent: what combines comparisons, and what
//! guards them where an attribute is not there.

#![expect(clippy::wildcard_enum_match_arm, reason = "all other pairs of operands are alike, or an error")]

use super::predicate::{Items, Operand, Predicate, RowField, Test};
use crate::ir::known::Known;
use crate::ir::{Ir, Path, Unary};
use crate::kind::Kind;
use crate::syntax::ast::{CompareOp, PatternPart};
use crate::value::{IpRange, Value, parse_uuid, uuid_text};

pub(super) const STRUCTURE: &str = "records of the row, and sets of them, are not compared as a whole in the database";

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
        (Kind::Set(of), Known::Value(Value::Set(values))) if of.is_scalar() => {
            Ok(Predicate::all([has_all(field, of, &values), is_within(field, of, &values)]))
        }
        // No set of scalars equals one of entities, or of anything else.
        (Kind::Set(of), Known::Entities(_) | Known::Other) if of.is_scalar() => Ok(Predicate::Const(false)),
        (Kind::Set(_), Known::Value(Value::Set(_)) | Known::Entities(_) | Known::Other)
        | (Kind::Record(_), Known::Value(Value::Record(_)) | Known::Other) => Err(STRUCTURE),
        (Kind::Bool, Known::Value(Value::Bool(wanted))) => Ok(Test::Truth { field: field.clone(), wanted }.into()),
        (kind, Known::Value(value)) => Ok(value_as(kind, &value).map_or(Predicate::Const(false), |value| {
            Test::Compare { op: CompareOp::Eq, left: field.clone(), right: Operand::Value(value) }.into()
        })),
        _ => Ok(Predicate::Const(false)),
    }
}

/// Whether scalars of two kinds can be equal.
pub(super) fn alike(a: &Kind, b: &Kind) -> bool {
    is_textual(a) && is_textual(b) || a == b && a.is_scalar()
}

/// Where two attributes are equal.
pub(super) fn same(a: &RowField, b: &RowField) -> Result<Predicate, &'static str> {
    match (&a.kind, &b.kind) {
        (Kind::Set(_), Kind::Set(_)) => Ok(Predicate::all([among(a, b, true)?, among(b, a, true)?])),
        (Kind::Record(_), Kind::Record(_)) => Err(STRUCTURE),
        (x, y) if alike(x, y) => {
            Ok(Test::Compare { op: CompareOp::Eq, left: a.clone(), right: Operand::Field(b.clone()) }.into())
        }
        _ => Ok(Predicate::Const(false)),
    }
}

/// Where items of a set are among those of another: every one, or at least one.
fn among(set: &RowField, others: &RowField, every: bool) -> Result<Predicate, &'static str> {
    match (&set.kind, &others.kind) {
        (Kind::Set(a), Kind::Set(b)) if a.is_scalar() && b.is_scalar() => Ok(if alike(a, b) {
            Test::Among { set: set.clone(), others: Items::Field(others.clone()), every, wanted: true }.into()
        } else if every {
            Test::Empty { set: set.clone(), wanted: true }.into()
        } else {
            Predicate::Const(false)
        }),
        _ => Err(STRUCTURE),
    }
}

/// Where a set, of scalars of that kind, has every value.
fn has_all(set: &RowField, of: &Kind, values: &[Value]) -> Predicate {
    Predicate::all(values.iter().map(|value| contains(set, of, value)))
}

/// Where a set, of scalars of that kind, has a value.
pub(super) fn contains(set: &RowField, of: &Kind, value: &Value) -> Predicate {
    value_as(of, value).map_or(Predicate::Const(false), |value| {
        Test::Contains { set: set.clone(), item: Operand::Value(value), wanted: true }.into()
    })
}

/// Where a set, of scalars of that kind, has nothing but these values.
fn is_within(set: &RowField, of: &Kind, values: &[Value]) -> Predicate {
    let fitting: Vec<Value> = values.iter().filter_map(|value| value_as(of, value)).collect();
    if fitting.is_empty() {
        return Test::Empty { set: set.clone(), wanted: true }.into();
    }
    Test::Among { set: set.clone(), others: Items::Values(fitting), every: true, wanted: true }.into()
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
        (Side::Field(a), Side::Field(b)) if fits(&a.kind) && a.kind == b.kind => {
            let right = Operand::Field(b.clone());
            Leaf::Plain(Test::Compare { op, left: a.clone(), right }.into(), vec![a, b])
        }
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
    let (test, reads) = match (left, right) {
        (Side::Field(a), Side::Field(b)) => (among(&b, &a, all), vec![a, b]),
        (Side::Field(set), Side::Known(Known::Value(Value::Set(values)))) => {
            (known(&set, &values, all, false), vec![set])
        }
        (Side::Known(Known::Value(Value::Set(values))), Side::Field(set)) => {
            (known(&set, &values, all, true), vec![set])
        }
        _ => (Err(STRUCTURE), Vec::new()),
    };
    match test {
        Ok(test) => Leaf::Plain(test, reads),
        Err(why) => Leaf::Opaque(why, Vec::new()),
    }
}

/// `containsAll` and `containsAny` of a set of the row and values, or of values and a set of the row.
fn known(set: &RowField, values: &[Value], all: bool, turned: bool) -> Result<Predicate, &'static str> {
    let Kind::Set(of) = &set.kind else { return Err(STRUCTURE) };
    if !of.is_scalar() {
        return Err(STRUCTURE);
    }
    Ok(match (all, turned) {
        (true, false) => has_all(set, of, values),
        (true, true) => is_within(set, of, values),
        (false, _) => Predicate::any(values.iter().map(|value| contains(set, of, value))),
    })
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
        (Side::Field(a), Side::Field(b)) if a.kind == Kind::Ip && b.kind == Kind::Ip => {
            let right = Operand::Field(b.clone());
            Leaf::Plain(Test::Compare { op: CompareOp::Eq, left: a.clone(), right }.into(), vec![a, b])
        }
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
