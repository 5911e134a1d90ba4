//! Operators on values, with Cedar's meaning.
//!
//! In: values that are borrowed or were just computed. Out: a value or an error. Absent: expressions.

#![expect(clippy::wildcard_enum_match_arm, reason = "all other kinds of values are one error")]

use super::eval::{EntityRef, Env, EvalError};
use super::like::like;
use super::{Binary, Unary};
use crate::name::EntityUid;
use crate::syntax::ast::PatternPart;
use crate::value::{IpRange, Millis, SetRef, ValueRef, uuid_text};

const DAY: i64 = 86_400_000;

/// A value while an expression is evaluated: data, or what only expressions make.
#[derive(Clone)]
pub(super) enum Val<'a> {
    /// Data of the request or a constant; never absent or unusable.
    Ref(ValueRef<'a>),
    /// A duration in milliseconds.
    Duration(i64),
    /// An entity.
    Entity(EntityRef<'a>),
    /// A set that was built.
    Set(Vec<Self>),
    /// A record that was built.
    Record(Vec<(&'a str, Self)>),
}

impl Val<'_> {
    pub(super) fn truth(&self) -> Result<bool, EvalError> {
        match self {
            Val::Ref(ValueRef::Bool(b)) => Ok(*b),
            _ => Err(EvalError::kind_needed("a truth")),
        }
    }

    const fn is_set(&self) -> bool {
        matches!(self, Val::Set(_) | Val::Ref(ValueRef::Set(_)))
    }
}

const fn bool_val<'a>(b: bool) -> Val<'a> {
    Val::Ref(ValueRef::Bool(b))
}

const fn long_val<'a>(n: i64) -> Val<'a> {
    Val::Ref(ValueRef::Long(n))
}

fn long(v: &Val<'_>) -> Result<i64, EvalError> {
    match v {
        Val::Ref(ValueRef::Long(n)) => Ok(*n),
        _ => Err(EvalError::kind_needed("a Long")),
    }
}

fn instant(v: &Val<'_>) -> Result<i64, EvalError> {
    match v {
        Val::Ref(ValueRef::Datetime(t)) => Ok(t.0),
        _ => Err(EvalError::kind_needed("a Datetime")),
    }
}

fn duration(v: &Val<'_>) -> Result<i64, EvalError> {
    match v {
        Val::Duration(d) => Ok(*d),
        _ => Err(EvalError::kind_needed("a duration")),
    }
}

fn ip(v: &Val<'_>) -> Result<IpRange, EvalError> {
    match v {
        Val::Ref(ValueRef::Ip(ip)) => Ok(*ip),
        _ => Err(EvalError::kind_needed("an Ip")),
    }
}

pub(super) fn entity<'a>(v: &Val<'a>) -> Result<EntityRef<'a>, EvalError> {
    match v {
        Val::Entity(uid) => Ok(*uid),
        _ => Err(EvalError::kind_needed("an entity")),
    }
}

/// An operator of two operands.
pub(super) fn binary<'a>(op: Binary, left: &Val<'a>, right: &Val<'a>, env: &Env<'_>) -> Result<Val<'a>, EvalError> {
    if op == Binary::In { is_in(left, right, env).map(bool_val) } else { binary_of_values(op, left, right) }
}

/// An operator of two operands that needs no hierarchy; `In` is settled by equality alone.
pub(super) fn binary_of_values<'a>(op: Binary, left: &Val<'a>, right: &Val<'a>) -> Result<Val<'a>, EvalError> {
    let overflow = |name| move || EvalError::overflow(name);
    Ok(match op {
        Binary::Eq => bool_val(same(left, right)?),
        Binary::Ne => bool_val(!same(left, right)?),
        Binary::Less => bool_val(order(left, right)?.is_lt()),
        Binary::LessEq => bool_val(order(left, right)?.is_le()),
        Binary::Greater => bool_val(order(left, right)?.is_gt()),
        Binary::GreaterEq => bool_val(order(left, right)?.is_ge()),
        Binary::DecimalLess => bool_val(decimal_order(left, right)?.is_lt()),
        Binary::DecimalLessEq => bool_val(decimal_order(left, right)?.is_le()),
        Binary::DecimalGreater => bool_val(decimal_order(left, right)?.is_gt()),
        Binary::DecimalGreaterEq => bool_val(decimal_order(left, right)?.is_ge()),
        Binary::Add => long_val(long(left)?.checked_add(long(right)?).ok_or_else(overflow("+"))?),
        Binary::Sub => long_val(long(left)?.checked_sub(long(right)?).ok_or_else(overflow("-"))?),
        Binary::Mul => long_val(long(left)?.checked_mul(long(right)?).ok_or_else(overflow("*"))?),
        Binary::In => return Err(EvalError::kind_needed("an entity")),
        Binary::Contains => bool_val(match left {
            Val::Ref(ValueRef::Set(set)) => match right {
                Val::Ref(item) => set_contains(*set, *item)?,
                item => any(left, &mut |x| same(x, item))?,
            },
            Val::Set(_) => any(left, &mut |x| same(x, right))?,
            _ => return Err(EvalError::kind_needed("a set")),
        }),
        Binary::ContainsAll => bool_val(contains_all(left, right)?),
        Binary::ContainsAny => bool_val(contains_any(left, right)?),
        Binary::IsInRange => {
            let (child, range) = (ip(left)?, ip(right)?);
            let ((from, to), (first, last)) = (child.bounds(), range.bounds());
            bool_val(from.is_ipv4() == first.is_ipv4() && first <= from && to <= last)
        }
        Binary::Offset => {
            let moved = instant(left)?.checked_add(duration(right)?).ok_or_else(overflow("offset"))?;
            Val::Ref(ValueRef::Datetime(Millis(moved)))
        }
        Binary::DurationSince => {
            Val::Duration(instant(left)?.checked_sub(instant(right)?).ok_or_else(overflow("durationSince"))?)
        }
    })
}

/// An operator of one operand.
pub(super) fn unary<'a>(op: Unary, operand: &Val<'a>) -> Result<Val<'a>, EvalError> {
    Ok(match op {
        Unary::Neg => long_val(long(operand)?.checked_neg().ok_or_else(|| EvalError::overflow("-"))?),
        Unary::IsEmpty => bool_val(!any(operand, &mut |_| Ok(true))?),
        Unary::IsIpv4 => bool_val(ip(operand)?.address().is_ipv4()),
        Unary::IsIpv6 => bool_val(ip(operand)?.address().is_ipv6()),
        Unary::IsLoopback => {
            let ip = ip(operand)?;
            let least = if ip.address().is_ipv4() { 8 } else { 128 };
            bool_val(ip.address().is_loopback() && ip.prefix() >= least)
        }
        Unary::IsMulticast => {
            let ip = ip(operand)?;
            let least = if ip.address().is_ipv4() { 4 } else { 8 };
            bool_val(ip.address().is_multicast() && ip.prefix() >= least)
        }
        Unary::ToDate => {
            let t = instant(operand)?;
            let day = t.checked_sub(t.rem_euclid(DAY)).ok_or_else(|| EvalError::overflow("toDate"))?;
            Val::Ref(ValueRef::Datetime(Millis(day)))
        }
        Unary::ToTime => Val::Duration(instant(operand)?.rem_euclid(DAY)),
        Unary::ToMilliseconds => long_val(duration(operand)?),
        Unary::ToSeconds => long_val(duration(operand)? / 1_000),
        Unary::ToMinutes => long_val(duration(operand)? / 60_000),
        Unary::ToHours => long_val(duration(operand)? / 3_600_000),
        Unary::ToDays => long_val(duration(operand)? / DAY),
    })
}

/// `like` on something that is not plainly a text.
pub(super) fn like_value(text: &Val<'_>, pattern: &[PatternPart]) -> Result<bool, EvalError> {
    match text {
        Val::Ref(ValueRef::Text(text)) => Ok(like(pattern, text)),
        Val::Ref(ValueRef::Char(c)) => Ok(like(pattern, c.encode_utf8(&mut [0; 4]))),
        Val::Ref(ValueRef::Uuid(uuid)) => Ok(like(pattern, &uuid_text(*uuid))),
        _ => Err(EvalError::kind_needed("a Text")),
    }
}

/// `set.contains(item)` over data.
#[inline]
pub(super) fn set_contains(set: &(dyn SetRef + Sync), item: ValueRef<'_>) -> Result<bool, EvalError> {
    set.has(item).map_err(EvalError::unusable)
}

fn order(left: &Val<'_>, right: &Val<'_>) -> Result<std::cmp::Ordering, EvalError> {
    match (left, right) {
        (Val::Ref(ValueRef::Long(a)), Val::Ref(ValueRef::Long(b))) | (Val::Duration(a), Val::Duration(b)) => {
            Ok(a.cmp(b))
        }
        (Val::Ref(ValueRef::Datetime(a)), Val::Ref(ValueRef::Datetime(b))) => Ok(a.cmp(b)),
        _ => Err(EvalError::kind_needed("two Longs, two Datetimes or two durations")),
    }
}

fn decimal_order(left: &Val<'_>, right: &Val<'_>) -> Result<std::cmp::Ordering, EvalError> {
    match (left, right) {
        (Val::Ref(ValueRef::Decimal(a)), Val::Ref(ValueRef::Decimal(b))) => Ok(a.cmp(b)),
        _ => Err(EvalError::kind_needed("two Decimals")),
    }
}

/// Whether `test` holds for one element; an error when this is not a set, an element is unusable, or the test errs.
fn any(set: &Val<'_>, test: &mut dyn FnMut(&Val<'_>) -> Result<bool, EvalError>) -> Result<bool, EvalError> {
    match set {
        Val::Set(items) => {
            for item in items {
                if test(item)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Val::Ref(ValueRef::Set(items)) => {
            let mut answer = Ok(false);
            items.each(&mut |item| {
                answer = match item {
                    ValueRef::Unusable(why) => Err(EvalError::unusable(why)),
                    item => test(&Val::Ref(item)),
                };
                matches!(answer, Ok(false))
            });
            answer
        }
        _ => Err(EvalError::kind_needed("a set")),
    }
}

fn contains_all(left: &Val<'_>, right: &Val<'_>) -> Result<bool, EvalError> {
    if !left.is_set() {
        return Err(EvalError::kind_needed("a set"));
    }
    Ok(!any(right, &mut |x| Ok(!any(left, &mut |y| same(x, y))?))?)
}

/// Both sides are looked at even where one is empty: Cedar's error is about kinds, not about elements.
fn contains_any(left: &Val<'_>, right: &Val<'_>) -> Result<bool, EvalError> {
    if !left.is_set() {
        return Err(EvalError::kind_needed("a set"));
    }
    any(right, &mut |x| any(left, &mut |y| same(x, y)))
}

fn same(left: &Val<'_>, right: &Val<'_>) -> Result<bool, EvalError> {
    Ok(match (left, right) {
        (Val::Ref(a), Val::Ref(b)) => a.same_as(b),
        (Val::Duration(a), Val::Duration(b)) => a == b,
        (Val::Entity(a), Val::Entity(b)) => a == b,
        (a, b) if a.is_set() && b.is_set() => contains_all(a, b)? && contains_all(b, a)?,
        (Val::Record(a), b) | (b, Val::Record(a)) => same_record(a, b)?,
        _ => false,
    })
}

/// Whether a record that was built equals another value.
fn same_record(built: &[(&str, Val<'_>)], other: &Val<'_>) -> Result<bool, EvalError> {
    let field = |wanted: &str| built.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value);
    match other {
        Val::Record(fields) => {
            if fields.len() != built.len() {
                return Ok(false);
            }
            for (name, value) in fields {
                match field(name) {
                    Some(mine) if same(mine, value)? => {}
                    _ => return Ok(false),
                }
            }
            Ok(true)
        }
        Val::Ref(ValueRef::Record(record)) => {
            let (mut count, mut answer) = (0, Ok(true));
            record.each_field(&mut |name, value| {
                if matches!(answer, Ok(true)) && !matches!(value, ValueRef::Absent) {
                    count += 1;
                    answer = match (field(name), value) {
                        (_, ValueRef::Unusable(why)) => Err(EvalError::unusable(why)),
                        (Some(mine), value) => same(mine, &Val::Ref(value)),
                        (None, _) => Ok(false),
                    };
                }
            });
            Ok(answer? && count == built.len())
        }
        _ => Ok(false),
    }
}

/// Whether an entity is another one or belongs to it; only the three of the request belong to anything.
fn is_in(left: &Val<'_>, right: &Val<'_>, env: &Env<'_>) -> Result<bool, EvalError> {
    let child = entity(left)?;
    match right {
        Val::Entity(group) => Ok(belongs(child, *group, env)),
        Val::Set(_) | Val::Ref(ValueRef::Set(_)) => {
            // Cedar looks at the kind of every element before it looks for the entity.
            any(right, &mut |x| entity(x).map(|_| false))?;
            any(right, &mut |x| Ok(belongs(child, entity(x)?, env)))
        }
        _ => Err(EvalError::kind_needed("an entity or a set of entities")),
    }
}

fn belongs(child: EntityRef<'_>, group: EntityRef<'_>, env: &Env<'_>) -> bool {
    let among = |parents: &[EntityUid]| parents.iter().any(|p| p.id() == group.id && p.kind() == group.kind);
    child == group
        || (child == env.principal && among(env.principal_parents))
        || (child == env.resource && among(env.resource_parents))
        || (child == env.action && among(env.action_groups))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Found by the differential test: `true.containsAny([])` is an error to Cedar, not false.
    #[test]
    fn operators_of_sets_look_at_the_kind_even_where_a_side_is_empty() {
        let (truth, none) = (Val::Ref(ValueRef::Bool(true)), Val::Set(Vec::new()));
        assert!(contains_any(&truth, &none).is_err());
        assert!(contains_any(&none, &truth).is_err());
        assert!(contains_all(&truth, &none).is_err());
        assert!(contains_all(&none, &truth).is_err());
        assert_eq!(contains_any(&none, &none), Ok(false));
        assert_eq!(contains_all(&none, &none), Ok(true));
    }
}
