//! Policies of this crate as Cedar's.
//!
//! In: a [`Policy`] whose condition is lowered. Out: Cedar's policy, built as a tree, and its text for people to read. Absent:
//! any text pasted together.

use std::collections::BTreeMap;
use std::sync::Arc;

use cedar_policy::pst::{self, Expr, Literal, NonEmpty, SmolStr};

use super::load::{on_large_stack, parse};
use super::names;
use super::scan::scan;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::ir::{Binary, Ir, Path, Root, Unary, Var};
use crate::name::EntityUid;
use crate::policy::{ActionConstraint, Constraint, Effect, Policy};
use crate::source::Span;
use crate::syntax::ast::PatternPart;
use crate::value::{Millis, Slot, Value, uuid_text};

/// Makes Cedar's policy, with the same id and annotations. A condition that is an `And` of nothing but `And`s becomes one
/// `when` for each of them, so that several rules on one target stay apart.
///
/// # Errors
/// When Cedar cannot spell a name, or the policy has no lowered condition.
///
/// ```
/// use policy_core::cedar;
/// use policy_core::ir::{Binary, Ir, Path, Root};
/// use policy_core::policy::{ActionConstraint, Constraint, Effect, Policy};
/// use policy_core::value::{Slot, Value};
/// use policy_core::EntityUid;
///
/// let path = Path { root: Root::Arg(0, "order".into()), slots: vec![Slot::named("amount")] };
/// let policy = Policy {
///     id: "limit".into(),
///     effect: Effect::Permit,
///     principal: Constraint::Any,
///     action: ActionConstraint::Eq(EntityUid::new("com::example::Action", "OrderService.placeOrder")),
///     resource: Constraint::Any,
///     condition: Some(Ir::Binary(Binary::Less, Box::new([Ir::Path(path), Ir::Const(Value::Long(50_000))]))),
///     annotations: vec![],
/// };
/// assert_eq!(cedar::to_pst(&policy).unwrap().id().to_string(), "limit");
/// assert!(cedar::render(&policy).unwrap().contains("context.args.order.amount < 50000"));
/// ```
pub fn to_pst(policy: &Policy) -> Result<cedar_policy::Policy, Diagnostic> {
    let Some(condition) = &policy.condition else {
        return Err(refuse("not-lowered", format!("`{}` has no lowered condition to write as Cedar", policy.id)));
    };
    let effect = match policy.effect {
        Effect::Permit => pst::Effect::Permit,
        Effect::Forbid => pst::Effect::Forbid,
    };
    let action = match &policy.action {
        ActionConstraint::Any => pst::ActionConstraint::Any,
        ActionConstraint::Eq(uid) => pst::ActionConstraint::Eq(names::uid(uid)?),
        ActionConstraint::In(uids) => {
            pst::ActionConstraint::In(uids.iter().map(names::uid).collect::<Result<_, Diagnostic>>()?)
        }
    };
    let mut annotations: BTreeMap<String, SmolStr> =
        policy.annotations.iter().map(|(name, text)| (name.to_string(), SmolStr::new(text))).collect();
    annotations.insert("id".to_owned(), SmolStr::new(&policy.id));
    #[expect(clippy::wildcard_enum_match_arm, reason = "every other condition is one clause")]
    let clauses = match condition {
        // No condition at all.
        Ir::And(items) if items.is_empty() => vec![],
        Ir::And(items) if items.iter().all(|item| matches!(item, Ir::And(_))) => {
            items.iter().map(expr).collect::<Result<_, Diagnostic>>()?
        }
        _ => vec![expr(condition)?],
    };
    let id = pst::PolicyID(SmolStr::new(&policy.id));
    let refused = |e: &dyn std::fmt::Display| refuse("cedar-policy", format!("`{}`: {e}", policy.id));
    let template = pst::Template::new(id, effect, principal(&policy.principal)?, action, resource(&policy.resource)?)
        .try_with_clauses(clauses.into_iter().map(|e| pst::Clause::When(Arc::new(e))))
        .map_err(|e| refused(&e))?
        .with_annotations(annotations);
    let built = pst::StaticPolicy::try_from(template).map_err(|e| refused(&e))?;
    cedar_policy::Policy::from_pst(pst::Policy::Static(built)).map_err(|e| refused(&e))
}

/// Writes a policy as formatted Cedar text.
///
/// # Errors
/// As [`to_pst`].
///
/// ```
/// use policy_core::{cedar, model::Model};
/// let schema = cedar::schema(&Model::default()).unwrap();
/// let loaded = cedar::load("forbid(principal,action,resource) unless{principal.mfa};", "a.cedar", &schema).unwrap();
/// let text = cedar::render(&loaded[0].policy).unwrap();
/// assert!(text.ends_with("unless { principal.mfa };") || text.contains("principal.mfa"), "{text}");
/// ```
pub fn render(policy: &Policy) -> Result<String, Diagnostic> {
    let text = to_pst(policy)?.to_string();
    let formatted = cedar_policy_formatter::policies_str_to_pretty(&text, &FORMAT);
    Ok(formatted.map_or(text, |formatted| formatted.trim_end().to_owned()))
}

const FORMAT: cedar_policy_formatter::Config = cedar_policy_formatter::Config { line_width: 100, indent_width: 2 };

/// Formats Cedar text as [`render`] writes it; comments stay.
///
/// # Errors
/// When it is larger or deeper than policies may be, or does not parse.
///
/// ```
/// use policy_core::cedar;
/// let text = "// why\nforbid(principal,action,resource) unless{principal.mfa};";
/// assert!(cedar::format(text).unwrap().starts_with("// why\nforbid (principal, action, resource)\n"));
/// assert!(cedar::format("forbid(").is_err());
/// ```
pub fn format(text: &str) -> Result<String, Diagnostics> {
    let places = scan(text)?;
    if places.is_empty() {
        return Ok(text.to_owned());
    }
    on_large_stack(|| {
        parse(text)?;
        let formatted = cedar_policy_formatter::policies_str_to_pretty(text, &FORMAT);
        formatted.map_err(|e| Diagnostics::from(refuse("cedar-syntax", e.to_string())))
    })
    .unwrap_or_else(|d| Err(d.into()))
}

fn refuse(code: &'static str, message: String) -> Diagnostic {
    Diagnostic::error(code, Span::default(), message)
}

macro_rules! constraint {
    ($name:ident, $to:ident) => {
        fn $name(constraint: &Constraint) -> Result<pst::$to, Diagnostic> {
            let entity = |uid: &EntityUid| names::uid(uid).map(pst::EntityOrSlot::Entity);
            Ok(match constraint {
                Constraint::Any => pst::$to::Any,
                Constraint::Eq(uid) => pst::$to::Eq(entity(uid)?),
                Constraint::In(uid) => pst::$to::In(entity(uid)?),
                Constraint::Is(kind) => pst::$to::Is(names::type_name(kind)?),
                Constraint::IsIn(kind, uid) => pst::$to::IsIn(names::type_name(kind)?, entity(uid)?),
            })
        }
    };
}
constraint!(principal, PrincipalConstraint);
constraint!(resource, ResourceConstraint);

fn expr(ir: &Ir) -> Result<Expr, Diagnostic> {
    Ok(match ir {
        Ir::Const(value) => constant(value)?,
        Ir::Duration(millis) => extension(pst::UnaryOp::Duration, duration_text(*millis)),
        Ir::Entity(uid) => Expr::Literal(Literal::EntityUID(names::uid(uid)?)),
        Ir::Var(var) => Expr::Var(match var {
            Var::Principal => pst::Var::Principal,
            Var::Action => pst::Var::Action,
            Var::Resource => pst::Var::Resource,
        }),
        Ir::Path(path) => {
            let (root, slots) = root(path);
            slots.iter().fold(root, |at, slot| Expr::GetAttr { expr: Arc::new(at), attr: SmolStr::new(&slot.name) })
        }
        Ir::Has(path) => has(path)?,
        Ir::Not(inner) => not(expr(inner)?),
        Ir::And(items) => join(items, pst::BinaryOp::And, true)?,
        Ir::Or(items) => join(items, pst::BinaryOp::Or, false)?,
        Ir::If(parts) => {
            let [test, then, otherwise] = &**parts;
            Expr::IfThenElse {
                cond: Arc::new(expr(test)?),
                then_expr: Arc::new(expr(then)?),
                else_expr: Arc::new(expr(otherwise)?),
            }
        }
        Ir::Unary(op, operand) => unary(*op, operand)?,
        Ir::Binary(op, operands) => binary(*op, operands)?,
        Ir::Like(text, pattern) => {
            Expr::Like { expr: Arc::new(expr(text)?), pattern: pattern.iter().map(pattern_part).collect() }
        }
        Ir::Is(entity, kind) => {
            Expr::Is { expr: Arc::new(expr(entity)?), entity_type: names::type_name(kind)?, in_expr: None }
        }
        Ir::Set(items) => Expr::Set(items.iter().map(|i| expr(i).map(Arc::new)).collect::<Result<_, Diagnostic>>()?),
        Ir::Record(fields) => Expr::Record(
            fields
                .iter()
                .map(|(name, field)| Ok((name.to_string(), Arc::new(expr(field)?))))
                .collect::<Result<_, Diagnostic>>()?,
        ),
    })
}

const fn boolean(value: bool) -> Expr {
    Expr::Literal(Literal::Bool(value))
}

fn not(inner: Expr) -> Expr {
    Expr::UnaryOp { op: pst::UnaryOp::Not, expr: Arc::new(inner) }
}

fn extension(op: pst::UnaryOp, text: impl Into<SmolStr>) -> Expr {
    Expr::UnaryOp { op, expr: Arc::new(Expr::Literal(Literal::String(text.into()))) }
}

fn join(items: &[Ir], op: pst::BinaryOp, empty: bool) -> Result<Expr, Diagnostic> {
    let mut parts = items.iter().map(expr);
    let Some(first) = parts.next() else { return Ok(boolean(empty)) };
    parts.try_fold(first?, |left, right| Ok(Expr::BinaryOp { op, left: Arc::new(left), right: Arc::new(right?) }))
}

/// What a path starts from, in Cedar, and the attributes after it.
fn root(path: &Path) -> (Expr, &[Slot]) {
    let get = |at, attr: &str| Expr::GetAttr { expr: Arc::new(at), attr: SmolStr::new(attr) };
    let root = match &path.root {
        Root::Participant => Expr::Var(pst::Var::Principal),
        Root::Resource => Expr::Var(pst::Var::Resource),
        Root::Context => Expr::Var(pst::Var::Context),
        Root::Arg(_, name) => get(get(Expr::Var(pst::Var::Context), "args"), name),
    };
    (root, &path.slots)
}

fn has(path: &Path) -> Result<Expr, Diagnostic> {
    let (mut at, first, rest) = match (&path.root, path.slots.as_slice()) {
        (Root::Arg(_, name), rest) => {
            let args =
                Expr::GetAttr { expr: Arc::new(Expr::Var(pst::Var::Context)), attr: SmolStr::new_static("args") };
            (args, name.clone(), rest)
        }
        (_, [first, rest @ ..]) => (root(path).0, first.name.clone(), rest),
        (_, []) => return Err(refuse("cedar-policy", "`has` needs an attribute".to_owned())),
    };
    let attrs = NonEmpty { head: SmolStr::new(first), tail: rest.iter().map(|s| SmolStr::new(&s.name)).collect() };
    // Only identifiers may follow one another in Cedar's `has`.
    if attrs.len() == 1 || attrs.iter().all(|name| pst::Id::new(name).is_ok()) {
        return Ok(Expr::HasAttr { expr: Arc::new(at), attrs });
    }
    let mut all: Option<Expr> = None;
    for attr in attrs {
        let here = Expr::HasAttr { expr: Arc::new(at.clone()), attrs: NonEmpty { head: attr.clone(), tail: vec![] } };
        all = Some(match all {
            None => here,
            Some(left) => Expr::BinaryOp { op: pst::BinaryOp::And, left: Arc::new(left), right: Arc::new(here) },
        });
        at = Expr::GetAttr { expr: Arc::new(at), attr };
    }
    Ok(all.unwrap_or(boolean(true)))
}

const fn pattern_part(part: &PatternPart) -> pst::PatternElem {
    match part {
        PatternPart::Char(c) => pst::PatternElem::Char(*c),
        PatternPart::AnyRun => pst::PatternElem::Wildcard,
    }
}

fn is_empty_set(ir: &Ir) -> bool {
    matches!(ir, Ir::Const(Value::Set(items)) if items.is_empty()) || matches!(ir, Ir::Set(items) if items.is_empty())
}

fn unary(op: Unary, operand: &Ir) -> Result<Expr, Diagnostic> {
    use pst::UnaryOp as To;
    let op = match op {
        Unary::IsEmpty if is_empty_set(operand) => return Ok(boolean(true)),
        Unary::Neg => To::Neg,
        Unary::IsEmpty => To::IsEmpty,
        Unary::IsIpv4 => To::IsIPv4,
        Unary::IsIpv6 => To::IsIPV6,
        Unary::IsLoopback => To::IsLoopback,
        Unary::IsMulticast => To::IsMulticast,
        Unary::ToDate => To::ToDate,
        Unary::ToTime => To::ToTime,
        Unary::ToMilliseconds => To::ToMilliseconds,
        Unary::ToSeconds => To::ToSeconds,
        Unary::ToMinutes => To::ToMinutes,
        Unary::ToHours => To::ToHours,
        Unary::ToDays => To::ToDays,
    };
    Ok(Expr::UnaryOp { op, expr: Arc::new(expr(operand)?) })
}

fn binary(op: Binary, operands: &[Ir; 2]) -> Result<Expr, Diagnostic> {
    use pst::BinaryOp as To;
    let [left, right] = operands;
    // Cedar's validator refuses an empty set, so what would be written with one is written without.
    match (op, is_empty_set(left), is_empty_set(right)) {
        (Binary::Contains | Binary::ContainsAny, true, _)
        | (Binary::ContainsAny, _, true)
        | (Binary::Ne, true, true) => return Ok(boolean(false)),
        (Binary::ContainsAll, _, true) | (Binary::Eq, true, true) => return Ok(boolean(true)),
        (Binary::ContainsAll | Binary::Eq, true, false) => return unary(Unary::IsEmpty, right),
        (Binary::Eq, false, true) => return unary(Unary::IsEmpty, left),
        (Binary::Ne, true, false) => return unary(Unary::IsEmpty, right).map(not),
        (Binary::Ne, false, true) => return unary(Unary::IsEmpty, left).map(not),
        _ => {}
    }
    let op = match op {
        Binary::Eq => To::Eq,
        Binary::Ne => To::NotEq,
        Binary::Less => To::Less,
        Binary::LessEq => To::LessEq,
        Binary::Greater => To::Greater,
        Binary::GreaterEq => To::GreaterEq,
        Binary::DecimalLess => To::DecimalLessThan,
        Binary::DecimalLessEq => To::DecimalLessEq,
        Binary::DecimalGreater => To::DecimalGreater,
        Binary::DecimalGreaterEq => To::DecimalGreaterEq,
        Binary::Add => To::Add,
        Binary::Sub => To::Sub,
        Binary::Mul => To::Mul,
        Binary::In => To::In,
        Binary::Contains => To::Contains,
        Binary::ContainsAll => To::ContainsAll,
        Binary::ContainsAny => To::ContainsAny,
        Binary::IsInRange => To::IsInRange,
        Binary::Offset => To::Offset,
        Binary::DurationSince => To::DurationSince,
    };
    Ok(Expr::BinaryOp { op, left: Arc::new(expr(left)?), right: Arc::new(expr(right)?) })
}

fn constant(value: &Value) -> Result<Expr, Diagnostic> {
    Ok(match value {
        Value::Bool(b) => boolean(*b),
        Value::Long(n) => Expr::Literal(Literal::Long(*n)),
        Value::Decimal(d) => extension(pst::UnaryOp::Decimal, d.to_string()),
        Value::Text(t) => Expr::Literal(Literal::String(SmolStr::new(t))),
        Value::Uuid(u) => Expr::Literal(Literal::String(uuid_text(*u).into())),
        Value::Datetime(t) => datetime(*t),
        Value::Ip(ip) => extension(pst::UnaryOp::Ip, ip.to_string()),
        Value::Set(items) if items.is_empty() => {
            return Err(refuse("empty-set", "an empty set cannot be written in Cedar".to_owned()));
        }
        Value::Set(items) => {
            Expr::Set(items.iter().map(|i| constant(i).map(Arc::new)).collect::<Result<_, Diagnostic>>()?)
        }
        Value::Record(fields) => Expr::Record(
            fields
                .iter()
                .map(|(name, field)| Ok((name.to_string(), Arc::new(constant(field)?))))
                .collect::<Result<_, Diagnostic>>()?,
        ),
    })
}

/// Cedar writes years 0 to 9999; an instant outside is an offset.
fn datetime(t: Millis) -> Expr {
    match datetime_text(t) {
        Some(text) => extension(pst::UnaryOp::Datetime, text),
        None => Expr::BinaryOp {
            op: pst::BinaryOp::Offset,
            left: Arc::new(extension(pst::UnaryOp::Datetime, "1970-01-01")),
            right: Arc::new(extension(pst::UnaryOp::Duration, duration_text(t.0))),
        },
    }
}

/// The instant as Cedar reads it, as short as it can be; `None` outside the years 0 to 9999.
pub(super) fn datetime_text(t: Millis) -> Option<String> {
    const FIRST: i64 = -62_167_219_200_000;
    const LAST: i64 = 253_402_300_799_999;
    if !(FIRST..=LAST).contains(&t.0) {
        return None;
    }
    let text = t.to_string();
    let short = text.strip_suffix(".000Z").map(|rest| match rest.strip_suffix("T00:00:00") {
        Some(date) => date.to_owned(),
        None => format!("{rest}Z"),
    });
    Some(short.unwrap_or(text))
}

/// A duration as Cedar reads it: `1d2h`, `-5ms`.
pub(super) fn duration_text(millis: i64) -> String {
    let mut rest = millis.unsigned_abs();
    let mut out = String::from(if millis < 0 { "-" } else { "" });
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
        if rest >= size {
            out.push_str(&(rest / size).to_string());
            out.push_str(unit);
            rest %= size;
        }
    }
    if millis == 0 { "0ms".to_owned() } else { out }
}
