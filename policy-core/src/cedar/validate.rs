//! What is wrong with policies: Cedar's strict validator, and what this project adds to it.
//!
//! In: Cedar policies and a schema. Out: findings, with places in the text where the policies were read from text. Absent:
//! whether a warning refuses; the caller knows whether a set is being saved or started.

#![expect(clippy::wildcard_enum_match_arm, reason = "Cedar's tree may grow, and all other forms guard nothing")]

use std::collections::BTreeMap;
use std::sync::Arc;

use cedar_policy::pst::{self, BinaryOp, Expr, UnaryOp};
use cedar_policy::{PolicySet, ValidationMode, ValidationWarning, Validator};

use super::load::on_large_stack;
use super::names;
use super::schema::CedarSchema;
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::name::EntityUid;
use crate::policy::{ActionConstraint, Constraint, Effect, Policy};
use crate::source::Span;

/// The code of the finding that a policy can never apply: an error when a set is saved, a warning when a program starts.
pub const IMPOSSIBLE: &str = "impossible-policy";
/// The code of the finding that a forbid does not apply where an attribute is absent.
pub const LETS_ABSENCE_THROUGH: &str = "forbid-lets-absence-through";
/// The code of the finding that a permit names no principal, action or resource.
pub const UNSCOPED: &str = "permit-without-scope";

/// Validates policies strictly. Each is tried against the part of the schema that its action needs, and against all of it
/// only if that finds something, since Cedar's validator tries every combination of types.
///
/// ```
/// use policy_core::cedar;
/// use policy_core::model::Model;
/// let schema = cedar::schema(&Model::default()).unwrap();
/// let rule = r#"@id("x") forbid (principal, action == Platform::Action::"createOrganization", resource)
///               when { principal.mffa };"#;
/// let policies: Vec<_> = rule.parse::<cedar_policy::PolicySet>().unwrap().policies().cloned().collect();
/// let found = cedar::validate(&policies, &schema);
/// assert!(found.has_errors());
/// assert!(found.to_string().contains("did you mean `mfa`?"), "{found}");
/// ```
pub fn validate(policies: &[cedar_policy::Policy], schema: &CedarSchema) -> Diagnostics {
    on_large_stack(|| validate_here(policies, schema)).unwrap_or_else(Diagnostics::from)
}

fn validate_here(policies: &[cedar_policy::Policy], schema: &CedarSchema) -> Diagnostics {
    let mut by_action: BTreeMap<Option<EntityUid>, Vec<&cedar_policy::Policy>> = BTreeMap::new();
    for policy in policies {
        let action = match policy.to_pst().map(|p| p.body().action.clone()) {
            Ok(pst::ActionConstraint::Eq(uid)) => Some(names::from_uid(&uid)),
            Ok(pst::ActionConstraint::In(uids)) if uids.len() == 1 => uids.first().map(names::from_uid),
            _ => None,
        };
        by_action.entry(action).or_default().push(policy);
    }
    let mut out = Diagnostics::default();
    for (action, policies) in by_action {
        let slice = action.and_then(|action| schema.of_action(&action));
        let clean = slice.is_some_and(|slice| run(&slice, &policies).0.is_empty());
        if !clean {
            out.0.extend(run(&schema.whole, &policies).0);
        }
    }
    out.0.sort_by_key(|d| (std::cmp::Reverse(d.severity), d.span));
    out
}

fn run(validator: &Validator, policies: &[&cedar_policy::Policy]) -> Diagnostics {
    let set = match PolicySet::from_policies(policies.iter().map(|p| (*p).clone())) {
        Ok(set) => set,
        Err(e) => return Diagnostic::error("duplicate-id", Span::default(), e.to_string()).into(),
    };
    let result = validator.validate(&set, ValidationMode::Strict);
    let errors = result.validation_errors().map(|e| finding(Severity::Error, "cedar", e));
    let warnings = result.validation_warnings().map(|w| {
        let impossible =
            matches!(w, ValidationWarning::ImpossiblePolicy(_) | ValidationWarning::InvalidActionApplication(_));
        finding(Severity::Warning, if impossible { IMPOSSIBLE } else { "cedar" }, w)
    });
    Diagnostics(errors.chain(warnings).collect())
}

/// Keeps Cedar's message, help and place.
pub(super) fn finding(severity: Severity, code: &'static str, found: &dyn miette::Diagnostic) -> Diagnostic {
    Diagnostic {
        severity,
        code,
        span: found.labels().and_then(|mut labels| labels.next()).map_or_else(Span::default, |l| span(l.inner())),
        message: found.to_string(),
        help: found.help().map(|help| help.to_string()),
    }
}

fn span(place: &miette::SourceSpan) -> Span {
    let at = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Span::new(at(place.offset()), at(place.offset().saturating_add(place.len())))
}

/// Finds that a permit is for anyone, anything and any action: only a shipped baseline may say that.
///
/// ```
/// use policy_core::{cedar, model::Model};
/// let schema = cedar::schema(&Model::default()).unwrap();
/// let loaded = cedar::load("permit (principal, action, resource);", "a.cedar", &schema).unwrap();
/// assert_eq!(cedar::unscoped_permit(&loaded[0].policy).unwrap().code, cedar::UNSCOPED);
/// ```
pub fn unscoped_permit(policy: &Policy) -> Option<Diagnostic> {
    let unscoped = policy.effect == Effect::Permit
        && policy.principal == Constraint::Any
        && policy.action == ActionConstraint::Any
        && policy.resource == Constraint::Any;
    unscoped.then(|| {
        Diagnostic::error(UNSCOPED, Span::default(), format!("`{}` permits everyone everything", policy.id))
            .with_help("name a principal, an action or a resource: `principal in ..`, `action == ..`, `resource is ..`")
    })
}

/// Finds where a forbid does not apply because an attribute is absent: `resource has owner && resource.owner != ..`.
/// Each finding shows the form that closes.
///
/// ```
/// use policy_core::{cedar, model::Model};
/// let schema = cedar::schema(&Model::default()).unwrap();
/// let text = r#"forbid (principal, action, resource) when { principal has tenant && principal.tenant != "a" };"#;
/// let loaded = cedar::load(text, "a.cedar", &schema).unwrap();
/// assert_eq!(cedar::lets_absence_through(&loaded[0].cedar).0[0].code, cedar::LETS_ABSENCE_THROUGH);
/// ```
pub fn lets_absence_through(policy: &cedar_policy::Policy) -> Diagnostics {
    let mut out = Diagnostics::default();
    let Ok(policy) = policy.to_pst() else { return out };
    let body = policy.body();
    if body.effect == pst::Effect::Permit {
        return out;
    }
    for clause in body.clauses() {
        let mut open = Vec::new();
        match clause {
            pst::Clause::When(e) => guards(e, true, &mut open),
            pst::Clause::Unless(e) => guards(e, false, &mut open),
        }
        for Guard { attribute, closing } in open {
            let message = format!("`{}` does not forbid where `{attribute}` is absent", body.id);
            let help = format!("if absence should forbid too, write `{closing}`");
            out.0.push(Diagnostic::warning(LETS_ABSENCE_THROUGH, Span::default(), message).with_help(help));
        }
    }
    out
}

struct Guard {
    attribute: String,
    closing: String,
}

/// Walks the places where an absent attribute decides; `forbids` says whether truth here forbids.
fn guards(e: &Expr, forbids: bool, open: &mut Vec<Guard>) {
    match e {
        Expr::UnaryOp { op: UnaryOp::Not, expr } => guards(expr, !forbids, open),
        Expr::BinaryOp { op: op @ (BinaryOp::And | BinaryOp::Or), .. } => {
            let mut parts = Vec::new();
            flatten(e, *op, &mut parts);
            // `has x && reads x` is false where x is absent; `!(has x) || reads x` is true there.
            let loose = (*op == BinaryOp::And) == forbids;
            for (at, part) in parts.iter().enumerate() {
                if let Some(attribute) = guard(part, *op == BinaryOp::And).filter(|_| loose) {
                    let later: Vec<&Expr> =
                        parts.iter().skip(at + 1).copied().filter(|p| reads(p, &attribute)).collect();
                    if let Some(closing) = closing(part, &later, *op) {
                        open.push(Guard { attribute: attribute.to_string(), closing });
                    }
                }
                guards(part, forbids, open);
            }
        }
        Expr::IfThenElse { cond, then_expr, else_expr } => {
            let otherwise = Expr::Literal(pst::Literal::Bool(!forbids));
            if let Some(attribute) = guard(cond, true).filter(|a| **else_expr == otherwise && reads(then_expr, a)) {
                let closed = Expr::IfThenElse {
                    cond: cond.clone(),
                    then_expr: then_expr.clone(),
                    else_expr: Arc::new(Expr::Literal(pst::Literal::Bool(forbids))),
                };
                open.push(Guard { attribute: attribute.to_string(), closing: closed.to_string() });
            }
            guards(then_expr, forbids, open);
            guards(else_expr, forbids, open);
        }
        _ => {}
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

/// The attribute whose presence (or, for `positive == false`, absence) an expression asks for.
fn guard(e: &Expr, positive: bool) -> Option<Expr> {
    match e {
        Expr::HasAttr { expr, attrs } if positive => Some(
            attrs.iter().fold((**expr).clone(), |at, attr| Expr::GetAttr { expr: Arc::new(at), attr: attr.clone() }),
        ),
        Expr::UnaryOp { op: UnaryOp::Not, expr } => guard(expr, !positive),
        _ => None,
    }
}

fn reads(e: &Expr, attribute: &Expr) -> bool {
    e.reduce(&|x| (x == attribute).then_some(true), &|a, b| a || b, false)
}

/// The form that closes, as Cedar's validator follows it: what `&&` has established holds to its right.
fn closing(guard: &Expr, guarded: &[&Expr], op: BinaryOp) -> Option<String> {
    let join = |op, a: Expr, b: Expr| Expr::BinaryOp { op, left: Arc::new(a), right: Arc::new(b) };
    let not = |e: Expr| match e {
        Expr::UnaryOp { op: UnaryOp::Not, expr } => (*expr).clone(),
        e => Expr::UnaryOp { op: UnaryOp::Not, expr: Arc::new(e) },
    };
    let rest = guarded.iter().map(|e| (*e).clone()).reduce(|a, b| join(op, a, b))?;
    let closed = if op == BinaryOp::And {
        not(join(BinaryOp::And, guard.clone(), not(rest)))
    } else {
        join(BinaryOp::And, not(guard.clone()), rest)
    };
    Some(closed.to_string())
}
