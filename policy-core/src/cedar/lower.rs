//! Cedar that a person wrote, lowered to the representation that is decided without Cedar.
//!
//! In: Cedar's syntax tree and the model. Out: an [`Ir`] with exactly Cedar's meaning, or what stands in the way; then Cedar
//! itself decides the policy. Absent: any change of meaning, also where Cedar's is surprising.

#![expect(clippy::wildcard_enum_match_arm, reason = "Cedar's tree may grow; what is not known here is not lowered")]

use std::sync::Arc;

use cedar_policy::pst::{self, BinaryOp, Expr, Literal, UnaryOp};

use super::names;
use crate::ir::{Binary, Ir, Path, Root, Unary, Var};
use crate::kind::{Field, Kind};
use crate::model::{ActionModel, EntityModel, Model};
use crate::name::EntityUid;
use crate::policy::{ActionConstraint, Constraint};
use crate::syntax::ast::PatternPart;
use crate::value::{Slot, Value, parse_instant};
use crate::{context, participant};

/// Why a part is left to Cedar.
type NotLowered = String;

/// What a policy can be about: its names have meaning only there.
pub(super) struct Lowering<'m> {
    actions: Vec<&'m ActionModel>,
    resources: Vec<&'m EntityModel>,
}

impl<'m> Lowering<'m> {
    pub(super) fn new(model: &'m Model, action: &ActionConstraint, resource: &Constraint) -> Self {
        let named = |a: &ActionModel, uid: &EntityUid| {
            a.name.cedar_type() == uid.kind() && (a.name.id() == uid.id() || a.groups.iter().any(|g| **g == *uid.id()))
        };
        let of_kind = |a: &ActionModel| match resource {
            Constraint::Eq(uid) => *a.resource == *uid.kind(),
            Constraint::Is(kind) | Constraint::IsIn(kind, _) => a.resource == *kind,
            Constraint::Any | Constraint::In(_) => true,
        };
        let actions: Vec<&ActionModel> = model
            .actions
            .iter()
            .filter(|a| match action {
                ActionConstraint::Any => true,
                ActionConstraint::Eq(uid) => a.name.cedar_type() == uid.kind() && a.name.id() == uid.id(),
                ActionConstraint::In(uids) => uids.iter().any(|uid| named(a, uid)),
            })
            .filter(|a| of_kind(a))
            .collect();
        let resources = model.entities.iter().filter(|e| actions.iter().any(|a| a.resource == e.name)).collect();
        Self { actions, resources }
    }

    pub(super) fn clauses(&self, clauses: &[pst::Clause]) -> Result<Ir, NotLowered> {
        let lowered = clauses.iter().map(|clause| {
            let ir = match clause {
                pst::Clause::When(e) => self.expr(e)?,
                pst::Clause::Unless(e) => Ir::Not(Box::new(self.expr(e)?)),
            };
            Ok(if matches!(ir, Ir::And(_)) { ir } else { Ir::And(vec![ir]) })
        });
        Ok(Ir::And(lowered.collect::<Result<_, NotLowered>>()?))
    }

    fn expr(&self, e: &Expr) -> Result<Ir, NotLowered> {
        Ok(match e {
            Expr::Literal(Literal::Bool(b)) => Ir::Const(Value::Bool(*b)),
            Expr::Literal(Literal::Long(n)) => Ir::Const(Value::Long(*n)),
            Expr::Literal(Literal::String(s)) => Ir::Const(Value::text(s)),
            Expr::Literal(Literal::EntityUID(uid)) => Ir::Entity(names::from_uid(uid)),
            Expr::Var(pst::Var::Principal) => Ir::Var(Var::Principal),
            Expr::Var(pst::Var::Action) => Ir::Var(Var::Action),
            Expr::Var(pst::Var::Resource) => Ir::Var(Var::Resource),
            Expr::Var(pst::Var::Context) => return Err("`context` as a whole".to_owned()),
            Expr::GetAttr { .. } => Ir::Path(self.path(&Chain::of(e)?)?),
            Expr::HasAttr { expr, attrs } => self.has(expr, attrs)?,
            Expr::UnaryOp { op, expr } => self.unary(*op, expr)?,
            Expr::BinaryOp { op, left, right } => self.binary(*op, e, left, right)?,
            Expr::Like { expr, pattern } => {
                let parts = pattern.iter().map(|part| match part {
                    pst::PatternElem::Char(c) => PatternPart::Char(*c),
                    pst::PatternElem::Wildcard => PatternPart::AnyRun,
                });
                Ir::Like(Box::new(self.expr(expr)?), parts.collect())
            }
            Expr::Is { expr, entity_type, in_expr } => {
                let entity = self.expr(expr)?;
                let is = Ir::Is(Box::new(entity.clone()), entity_type.to_string().into());
                match in_expr {
                    None => is,
                    Some(group) => Ir::And(vec![is, Ir::Binary(Binary::In, Box::new([entity, self.expr(group)?]))]),
                }
            }
            Expr::IfThenElse { cond, then_expr, else_expr } => {
                Ir::If(Box::new([self.expr(cond)?, self.expr(then_expr)?, self.expr(else_expr)?]))
            }
            Expr::Set(items) => {
                let items = items.iter().map(|item| self.expr(item)).collect::<Result<Vec<_>, NotLowered>>()?;
                constant_set(&items).unwrap_or(Ir::Set(items))
            }
            Expr::Record(fields) => Ir::Record(
                fields.iter().map(|(name, field)| Ok((Arc::from(name.as_str()), self.expr(field)?))).collect::<Result<
                    _,
                    NotLowered,
                >>(
                )?,
            ),
            _ => return Err(format!("`{e}`")),
        })
    }

    fn unary(&self, op: UnaryOp, operand: &Expr) -> Result<Ir, NotLowered> {
        let op = match op {
            UnaryOp::Not => return Ok(Ir::Not(Box::new(self.expr(operand)?))),
            UnaryOp::Decimal | UnaryOp::Datetime | UnaryOp::Duration | UnaryOp::Ip => return extension(op, operand),
            UnaryOp::Neg => Unary::Neg,
            UnaryOp::IsEmpty => Unary::IsEmpty,
            UnaryOp::IsIPv4 => Unary::IsIpv4,
            UnaryOp::IsIPV6 => Unary::IsIpv6,
            UnaryOp::IsLoopback => Unary::IsLoopback,
            UnaryOp::IsMulticast => Unary::IsMulticast,
            UnaryOp::ToDate => Unary::ToDate,
            UnaryOp::ToTime => Unary::ToTime,
            UnaryOp::ToMilliseconds => Unary::ToMilliseconds,
            UnaryOp::ToSeconds => Unary::ToSeconds,
            UnaryOp::ToMinutes => Unary::ToMinutes,
            UnaryOp::ToHours => Unary::ToHours,
            UnaryOp::ToDays => Unary::ToDays,
            _ => return Err(format!("`{op}`")),
        };
        Ok(Ir::Unary(op, Box::new(self.expr(operand)?)))
    }

    fn binary(&self, op: BinaryOp, whole: &Expr, left: &Expr, right: &Expr) -> Result<Ir, NotLowered> {
        let op = match op {
            BinaryOp::And | BinaryOp::Or => {
                let mut parts = Vec::new();
                flatten(whole, op, &mut parts);
                let parts = parts.into_iter().map(|part| self.expr(part)).collect::<Result<_, NotLowered>>()?;
                return Ok(if op == BinaryOp::And { Ir::And(parts) } else { Ir::Or(parts) });
            }
            BinaryOp::Eq => Binary::Eq,
            BinaryOp::NotEq => Binary::Ne,
            BinaryOp::Less => Binary::Less,
            BinaryOp::LessEq => Binary::LessEq,
            BinaryOp::Greater => Binary::Greater,
            BinaryOp::GreaterEq => Binary::GreaterEq,
            BinaryOp::DecimalLessThan => Binary::DecimalLess,
            BinaryOp::DecimalLessEq => Binary::DecimalLessEq,
            BinaryOp::DecimalGreater => Binary::DecimalGreater,
            BinaryOp::DecimalGreaterEq => Binary::DecimalGreaterEq,
            BinaryOp::Add => Binary::Add,
            BinaryOp::Sub => Binary::Sub,
            BinaryOp::Mul => Binary::Mul,
            BinaryOp::In => Binary::In,
            BinaryOp::Contains => Binary::Contains,
            BinaryOp::ContainsAll => Binary::ContainsAll,
            BinaryOp::ContainsAny => Binary::ContainsAny,
            BinaryOp::IsInRange => Binary::IsInRange,
            BinaryOp::Offset => Binary::Offset,
            BinaryOp::DurationSince => Binary::DurationSince,
            _ => return Err(format!("`{op}`")),
        };
        Ok(Ir::Binary(op, Box::new([self.expr(left)?, self.expr(right)?])))
    }

    fn has(&self, base: &Expr, attrs: &pst::NonEmpty<pst::SmolStr>) -> Result<Ir, NotLowered> {
        let base = Chain::of(base)?;
        let mut full = base.clone();
        full.names.extend(attrs.iter().map(pst::SmolStr::as_str));
        let asked = Ir::Has(self.path(&full)?);
        let plain = match base.names.as_slice() {
            [] => true,
            ["args"] => base.var == pst::Var::Context,
            _ => false,
        };
        if plain {
            return Ok(asked);
        }
        // `a.b has c` is an error where `b` is absent, and `a has b.c` is false there. It is asked also where `b` is declared to be there: data need not be as declared.
        let base = self.path(&base)?;
        Ok(Ir::If(Box::new([Ir::Has(base.clone()), asked, Ir::Path(base)])))
    }

    fn path(&self, chain: &Chain<'_>) -> Result<Path, NotLowered> {
        let by_name = |names: &[&str]| names.iter().map(|name| Slot::named(name)).collect::<Vec<_>>();
        let built_in = |fields: &crate::kind::RecordType, names: &[&str]| {
            let mut slots = by_name(names);
            if let Some(first) = slots.first_mut() {
                first.index = fields.field(&first.name).map_or(Slot::BY_NAME, |(index, _)| index);
            }
            slots
        };
        Ok(match (&chain.var, chain.names.as_slice()) {
            (pst::Var::Principal, names @ [_, ..]) => {
                Path { root: Root::Participant, slots: built_in(&participant::BUILT_IN, names) }
            }
            (pst::Var::Resource, names @ [_, ..]) => {
                let types: Vec<&[Field]> = self.resources.iter().map(|e| e.attributes.as_slice()).collect();
                Path { root: Root::Resource, slots: slots(&types, names) }
            }
            (pst::Var::Context, ["args", name, rest @ ..]) => {
                let (place, types) = self.argument(name)?;
                Path { root: Root::Arg(place, Arc::from(*name)), slots: slots(&types, rest) }
            }
            (pst::Var::Context, ["args"]) => return Err("`context.args` as a whole".to_owned()),
            (pst::Var::Context, names @ [_, ..]) => {
                Path { root: Root::Context, slots: built_in(&context::BUILT_IN, names) }
            }
            (pst::Var::Action, _) => return Err("an attribute of `action`".to_owned()),
            (_, []) => return Err("a variable where an attribute is needed".to_owned()),
        })
    }

    /// The place of a parameter, which must be the same for every action that the policy is about, and its attributes.
    fn argument(&self, name: &str) -> Result<(u16, Vec<&'m [Field]>), NotLowered> {
        let (mut place, mut types) = (None, Vec::new());
        for action in &self.actions {
            let found = action.params.iter().position(|(n, ty)| **n == *name && ty.is_some());
            if found.is_none() || place.is_some_and(|p| Some(p) != found) {
                return Err(format!("`context.args.{name}`, which not all actions of the policy have in one place"));
            }
            place = found;
            let ty = found.and_then(|at| action.params.get(at)).and_then(|(_, ty)| ty.as_ref());
            types.push(ty.map_or(&[] as &[Field], |ty| fields(&ty.kind)));
        }
        let place = place.and_then(|p| u16::try_from(p).ok());
        place.map(|place| (place, types)).ok_or_else(|| format!("`context.args.{name}`, which no action has"))
    }
}

/// `principal.a.b`: a variable and the attributes after it.
#[derive(Clone)]
struct Chain<'e> {
    var: pst::Var,
    names: Vec<&'e str>,
}

impl<'e> Chain<'e> {
    fn of(mut e: &'e Expr) -> Result<Self, NotLowered> {
        let mut names = Vec::new();
        loop {
            match e {
                Expr::GetAttr { expr, attr } => {
                    names.push(attr.as_str());
                    e = expr;
                }
                Expr::Var(var) => {
                    names.reverse();
                    return Ok(Self { var: var.clone(), names });
                }
                _ => return Err(format!("an attribute of `{e}`")),
            }
        }
    }
}

fn flatten<'a>(e: &'a Expr, op: BinaryOp, parts: &mut Vec<&'a Expr>) {
    match e {
        Expr::BinaryOp { op: found, left, right } if *found == op => {
            flatten(left, op, parts);
            flatten(right, op, parts);
        }
        e => parts.push(e),
    }
}

fn fields(kind: &Kind) -> &[Field] {
    match kind {
        Kind::Record(record) => &record.fields,
        _ => &[],
    }
}

/// Places where all types agree on them, names where they do not.
fn slots(types: &[&[Field]], names: &[&str]) -> Vec<Slot> {
    let mut types = types.to_vec();
    let mut out = Vec::new();
    for name in names {
        let places: Vec<Option<usize>> = types.iter().map(|t| t.iter().position(|f| *f.name == **name)).collect();
        let agreed = match places.split_first() {
            Some((Some(first), rest)) if rest.iter().all(|p| *p == Some(*first)) => u16::try_from(*first).ok(),
            _ => None,
        };
        out.push(Slot { index: agreed.unwrap_or(Slot::BY_NAME), name: Arc::from(*name) });
        types = types.into_iter().zip(places).filter_map(|(t, p)| t.get(p?)).map(|f| fields(&f.ty.kind)).collect();
    }
    out
}

fn constant_set(items: &[Ir]) -> Option<Ir> {
    let values = items.iter().map(|item| match item {
        Ir::Const(value) => Some(value.clone()),
        _ => None,
    });
    values.collect::<Option<Vec<_>>>().map(|values| Ir::Const(Value::Set(values)))
}

/// A constructor over a literal, where Cedar and this crate read the literal alike.
fn extension(op: UnaryOp, operand: &Expr) -> Result<Ir, NotLowered> {
    let Expr::Literal(Literal::String(text)) = operand else {
        return Err(format!("`{op}` of something that is not a literal"));
    };
    let ir = match op {
        UnaryOp::Decimal => text.parse().ok().map(|d| Ir::Const(Value::Decimal(d))),
        UnaryOp::Datetime => instant(text).map(|t| Ir::Const(Value::Datetime(t))),
        UnaryOp::Duration => duration(text).map(Ir::Duration),
        UnaryOp::Ip => range(text).map(|ip| Ir::Const(Value::Ip(ip))),
        _ => None,
    };
    ir.ok_or_else(|| format!("`{op}(\"{text}\")`"))
}

/// Cedar has milliseconds or none, and an offset without a colon.
fn instant(text: &str) -> Option<crate::value::Millis> {
    let rest = text.get(10..)?;
    let after = rest.get(9..).unwrap_or_default();
    let zone = match after.strip_prefix('.') {
        Some(fraction) => fraction.get(3..)?,
        None => after,
    };
    let plain = rest.is_empty() || zone == "Z" || (zone.len() == 5 && zone.starts_with(['+', '-']));
    if plain { parse_instant(text) } else { None }
}

/// `1d2h3m4s5ms`, each part at most once, in this order.
fn duration(text: &str) -> Option<i64> {
    let (sign, mut rest) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    if rest.is_empty() {
        return None;
    }
    let mut total: i128 = 0;
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, after) = rest.split_at_checked(digits)?;
        let Some(after) = after.strip_prefix(unit).filter(|a| unit != "m" || !a.starts_with('s')) else { continue };
        // Cedar refuses a number that does not fit by itself.
        total += i128::from(number.parse::<i64>().ok()?.checked_mul(size)?) * sign;
        rest = after;
    }
    if rest.is_empty() { i64::try_from(total).ok() } else { None }
}

/// Cedar does not take an IPv4-mapped address for IPv4, and no prefix with a leading zero.
fn range(text: &str) -> Option<crate::value::IpRange> {
    let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
    let mapped = address.contains(':')
        && (address.contains('.') || address.parse::<std::net::Ipv6Addr>().ok()?.to_ipv4_mapped().is_some());
    let padded = prefix.is_some_and(|p| p.len() > 1 && p.starts_with('0'));
    if mapped || padded || text.len() > 43 { None } else { text.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_read_as_cedar_reads_them() {
        for (text, expect) in [
            ("1d2h3m4s5ms", Some(93_784_005)),
            ("5ms", Some(5)),
            ("-1h", Some(-3_600_000)),
            ("1m1ms", Some(60_001)),
            ("0ms", Some(0)),
            ("1h1d", None),
            ("", None),
            ("-", None),
            ("1", None),
            ("h", None),
            ("-106751991167d7h12m55s808ms", Some(i64::MIN)),
            ("106751991167d7h12m55s808ms", None),
        ] {
            assert_eq!(duration(text), expect, "{text}");
        }
        for text in ["2027-01-01T00:00:00+02:00", "2027-01-01T00:00:00.5Z", "2027-01-01T00:00:00"] {
            assert_eq!(instant(text), None, "{text}");
        }
        for text in ["2027-01-01", "2027-01-01T00:00:00Z", "2027-01-01T00:00:00.123+0230"] {
            assert!(instant(text).is_some(), "{text}");
        }
        for text in ["::ffff:10.0.0.1", "::ffff:a00:1", "10.0.0.0/08"] {
            assert_eq!(range(text), None, "{text}");
        }
        assert!(range("10.0.0.0/8").is_some() && range("2001:db8::/32").is_some());
    }
}
