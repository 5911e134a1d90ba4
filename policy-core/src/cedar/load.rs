//! Cedar text from outside, read without giving it a chance to hurt.
//!
//! In: text that an administrator wrote or that is shipped. Out: policies with ids, lowered where that keeps their meaning, or
//! every finding with its place. Absent: validation.

#![expect(clippy::wildcard_enum_match_arm, reason = "Cedar's tree may grow; what is not known here has no parts")]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr as _;
use std::sync::Arc;

use cedar_policy::PolicySet;
use cedar_policy::pst::{self, BinaryOp, Expr, Literal};

use super::lower::Lowering;
use super::scan::{scan, too_large};
use super::schema::CedarSchema;
use super::{names, validate};
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::model::Model;
use crate::policy::{ActionConstraint, Constraint, Effect, Policy};
use crate::source::Span;
use crate::syntax::LIMITS;

/// Enough for anything that the scan lets through, whatever thread asks.
const STACK: usize = 64 << 20;

/// A policy that was read.
///
/// ```
/// use policy_core::{cedar, model::Model};
/// let schema = cedar::schema(&Model::default()).unwrap();
/// let text = r#"@id("mfa") forbid (principal, action, resource) unless { principal.mfa };"#;
/// let loaded = cedar::load(text, "rules.cedar", &schema).unwrap();
/// assert!(loaded[0].not_lowered.is_none());
/// assert_eq!(&*loaded[0].text(), text);
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct Loaded {
    /// The policy; its condition is `None` where a part of it is not lowered.
    pub policy: Policy,
    /// The same, as Cedar has it.
    pub cedar: cedar_policy::Policy,
    /// What was not lowered; Cedar itself decides the policy then.
    pub not_lowered: Option<String>,
    /// Where it stands in its file.
    pub span: Span,
    text: Arc<str>,
    pub(super) model: Arc<Model>,
}

impl Loaded {
    /// Makes it about these actions alone, which are among its own. What Cedar cannot spell stays, and is told by the validator.
    pub(crate) fn narrow(&mut self, actions: ActionConstraint) {
        if let ActionConstraint::In(uids) = &actions
            && let Ok(cedar) = super::judge::about(&self.cedar, uids)
        {
            self.cedar = cedar;
            self.policy.action = actions;
        }
    }

    /// The policy as it was written.
    pub fn text(&self) -> Arc<str> {
        self.text.clone()
    }
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded")
            .field("id", &self.policy.id)
            .field("not_lowered", &self.not_lowered)
            .finish_non_exhaustive()
    }
}

/// Reads the policies of a file. Their ids are their `@id`, or else the file's name and their number.
///
/// # Errors
/// All findings: a policy too large, text that does not parse, a template, an id twice.
///
/// ```
/// use policy_core::cedar;
/// use policy_core::model::Model;
/// let schema = cedar::schema(&Model::default()).unwrap();
/// let text = r#"@id("mfa") forbid (principal, action, resource) unless { principal.mfa };"#;
/// let loaded = cedar::load(text, "rules.cedar", &schema).unwrap();
/// assert_eq!(&*loaded[0].policy.id, "mfa");
/// assert!(loaded[0].policy.condition.is_some());
/// ```
pub fn load(text: &str, file_name: &str, schema: &CedarSchema) -> Result<Vec<Loaded>, Diagnostics> {
    let places = scan(text)?;
    on_large_stack(|| read(text, file_name, &places, schema)).unwrap_or_else(|d| Err(d.into()))
}

thread_local! {
    static LARGE: Cell<bool> = const { Cell::new(false) };
}

/// Runs what is recursive in Cedar, dropping included, on a stack of known size; in place where it is on one already.
pub(crate) fn on_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, Diagnostic> {
    if LARGE.get() {
        return Ok(work());
    }
    let on_it = || {
        LARGE.set(true);
        work()
    };
    let failed = || Diagnostic::error("cedar", Span::default(), "no thread could be had to read Cedar");
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("cedar".to_owned()).stack_size(STACK);
        let handle = thread.spawn_scoped(scope, on_it).map_err(|_| failed())?;
        handle.join().map_err(|_| failed())
    })
}

/// Parses what was scanned.
pub(super) fn parse(text: &str) -> Result<PolicySet, Diagnostics> {
    PolicySet::from_str(text).map_err(|errors| {
        Diagnostics(errors.iter().map(|e| validate::finding(Severity::Error, "cedar-syntax", e)).collect())
    })
}

fn read(text: &str, file_name: &str, places: &[Span], schema: &CedarSchema) -> Result<Vec<Loaded>, Diagnostics> {
    let set = parse(text)?;
    let place = |id: &str| {
        let number: usize = id.strip_prefix("policy").and_then(|n| n.parse().ok()).unwrap_or(0);
        (number, places.get(number).copied().unwrap_or_default())
    };
    let mut found = Diagnostics::default();
    for template in set.templates() {
        let message = "templates are not taken: a `?principal` or `?resource` names nobody";
        let (_, span) = place(template.id().as_ref());
        found.0.push(Diagnostic::error("template", span, message).with_help("write the entity itself"));
    }
    let mut policies: Vec<(usize, Span, &cedar_policy::Policy)> =
        set.policies().map(|policy| (policy, place(policy.id().as_ref()))).map(|(p, (n, span))| (n, span, p)).collect();
    policies.sort_by_key(|(number, ..)| *number);
    let mut seen: BTreeMap<Arc<str>, Span> = BTreeMap::new();
    let mut out = Vec::new();
    for (number, span, policy) in policies {
        match one(text, file_name, number, span, policy, schema) {
            Ok(loaded) => {
                if seen.insert(loaded.policy.id.clone(), span).is_some() {
                    let message = format!("two policies have the id `{}`", loaded.policy.id);
                    found.0.push(Diagnostic::error("duplicate-id", span, message).with_help("give each its own `@id`"));
                }
                out.push(loaded);
            }
            Err(diagnostic) => found.0.push(diagnostic),
        }
    }
    if found.has_errors() { Err(found) } else { Ok(out) }
}

fn one(
    text: &str,
    file_name: &str,
    number: usize,
    span: Span,
    policy: &cedar_policy::Policy,
    schema: &CedarSchema,
) -> Result<Loaded, Diagnostic> {
    let refuse = |code, message: String| Diagnostic::error(code, span, message);
    let id: Arc<str> = match policy.annotation("id") {
        Some("") => return Err(refuse("empty-id", "`@id` is empty".to_owned())),
        Some(id) => id.into(),
        None => format!("{}#{}", file_name.strip_suffix(".cedar").unwrap_or(file_name), number + 1).into(),
    };
    let tree = policy.to_pst().map_err(|e| refuse("cedar", e.to_string()))?;
    let body = tree.body();
    let mut nodes = 0;
    for clause in body.clauses() {
        let (pst::Clause::When(e) | pst::Clause::Unless(e)) = clause;
        count(e, false, &mut nodes);
        if depth(e) > LIMITS.depth {
            let message = format!("`{id}` nests deeper than {} levels", LIMITS.depth);
            return Err(too_large(span, message, "write several policies"));
        }
        if let Some(child) = foreign_child(e) {
            let message = format!("`{child} in ..` asks about an entity that is not of the request");
            return Err(refuse("foreign-entity", message)
                .with_help("only `principal`, `action` and `resource` are known with what they belong to"));
        }
    }
    if nodes > LIMITS.nodes {
        let message = format!("`{id}` has {nodes} conditions and elements, more than {}", LIMITS.nodes);
        return Err(too_large(span, message, "write several policies, or keep the list as an attribute"));
    }
    let action = match &body.action {
        pst::ActionConstraint::Any => ActionConstraint::Any,
        pst::ActionConstraint::Eq(uid) => ActionConstraint::Eq(names::from_uid(uid)),
        pst::ActionConstraint::In(uids) => ActionConstraint::In(uids.iter().map(names::from_uid).collect()),
    };
    let resource = resource(&body.resource);
    let lowered = Lowering::new(schema.model(), &action, &resource).clauses(body.clauses());
    let (condition, not_lowered) = match lowered {
        Ok(ir) => (Some(ir), None),
        Err(why) => (None, Some(why)),
    };
    Ok(Loaded {
        cedar: policy.new_id(cedar_policy::PolicyId::new(&id)),
        policy: Policy {
            id,
            effect: match body.effect {
                pst::Effect::Permit => Effect::Permit,
                pst::Effect::Forbid => Effect::Forbid,
            },
            principal: principal(&body.principal),
            action,
            resource,
            condition,
            annotations: body
                .annotations
                .iter()
                .filter(|(name, _)| *name != "id")
                .map(|(name, text)| (Arc::from(name.as_str()), Arc::from(text.as_str())))
                .collect(),
        },
        not_lowered,
        span,
        text: text.get(span.start as usize..span.end as usize).unwrap_or_default().into(),
        model: schema.shared_model(),
    })
}

macro_rules! constraint {
    ($name:ident, $from:ident) => {
        fn $name(constraint: &pst::$from) -> Constraint {
            // A static policy has no slots; one would match nothing.
            let uid = |e: &pst::EntityOrSlot| match e {
                pst::EntityOrSlot::Entity(uid) => names::from_uid(uid),
                pst::EntityOrSlot::Slot(slot) => crate::name::EntityUid::new("", &slot.to_string()),
            };
            match constraint {
                pst::$from::Any => Constraint::Any,
                pst::$from::Eq(e) => Constraint::Eq(uid(e)),
                pst::$from::In(e) => Constraint::In(uid(e)),
                pst::$from::Is(kind) => Constraint::Is(kind.to_string().into()),
                pst::$from::IsIn(kind, e) => Constraint::IsIn(kind.to_string().into(), uid(e)),
            }
        }
    };
}
constraint!(principal, PrincipalConstraint);
constraint!(resource, ResourceConstraint);

/// Counts conditions and elements of sets, as the limits of the policy language do.
fn count(e: &Expr, element: bool, nodes: &mut usize) {
    children(e, &mut |child| count(child, matches!(e, Expr::Set(_)), nodes));
    let operand = matches!(e, Expr::Literal(_) | Expr::Var(_) | Expr::GetAttr { .. });
    *nodes += usize::from(element || !operand);
}

/// How deep an expression nests; a chain of `&&` or of `||` is one level.
fn depth(e: &Expr) -> usize {
    fn below(e: &Expr, chain: Option<BinaryOp>) -> usize {
        let own = match e {
            Expr::BinaryOp { op: op @ (BinaryOp::And | BinaryOp::Or), .. } => Some(*op),
            _ => None,
        };
        let mut deepest = 0;
        children(e, &mut |child| deepest = deepest.max(below(child, own)));
        deepest + usize::from(own.is_none() || own != chain)
    }
    below(e, None)
}

/// An entity written out that is asked for what it belongs to: nothing of it is loaded, and Cedar would say no without a word.
fn foreign_child(e: &Expr) -> Option<&pst::EntityUID> {
    let mut found = match e {
        Expr::BinaryOp { op: BinaryOp::In, left, .. } | Expr::Is { expr: left, in_expr: Some(_), .. } => {
            match &**left {
                Expr::Literal(Literal::EntityUID(uid)) => Some(uid),
                _ => None,
            }
        }
        _ => None,
    };
    children(e, &mut |child| found = found.or_else(|| foreign_child(child)));
    found
}

fn children<'e>(e: &'e Expr, visit: &mut dyn FnMut(&'e Expr)) {
    match e {
        Expr::UnaryOp { expr, .. }
        | Expr::GetAttr { expr, .. }
        | Expr::HasAttr { expr, .. }
        | Expr::Like { expr, .. } => {
            visit(expr);
        }
        Expr::BinaryOp { left, right, .. } => {
            visit(left);
            visit(right);
        }
        Expr::Is { expr, in_expr, .. } => {
            visit(expr);
            if let Some(group) = in_expr {
                visit(group);
            }
        }
        Expr::IfThenElse { cond, then_expr, else_expr } => {
            visit(cond);
            visit(then_expr);
            visit(else_expr);
        }
        Expr::Set(items) => items.iter().for_each(|e| visit(e)),
        Expr::Record(fields) => fields.values().for_each(|e| visit(e)),
        _ => {}
    }
}
