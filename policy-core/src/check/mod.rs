//! From a tree to a typed rule: names are resolved, kinds agree, literals are of the kind of their other side.
//!
//! In: an [`Expr`] and the roots there are ([`RuleEnv`]). Out: a [`Typed`] rule, or every finding with its place.
//! Absent: what a rule means for given data (`eval`), and Cedar.

mod infer;
mod literal;
mod predicate;
mod resolve;
#[cfg(test)]
#[cfg(feature = "engine")]
mod tests;
mod typed;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::ir::Root;
use crate::kind::{Described, Kind};
use crate::syntax::ast::{Expr, ExprKind};

pub use infer::{Conflict, Evidence, collect, solve, undeclared};
pub use typed::{Leaf, Term, Test, Typed, TypedPath};

/// The roots that a rule may use, and what is known of them.
///
/// ```
/// # use policy_core::check::{RootType, RuleEnv, check};
/// # use policy_core::ir::Root;
/// # use policy_core::kind::{Described, Kind};
/// # use policy_core::{participant, syntax};
/// # let ty = Described::required(Kind::Record(participant::BUILT_IN.clone().into()));
/// # let root = RootType { name: "participant".into(), rust_name: "participant".into(), root: Root::Participant, ty: Some(ty), open: true };
/// # let roots = RuleEnv { roots: vec![root], ..RuleEnv::default() };
/// assert!(check(&syntax::parse("participant.mfa").unwrap(), &roots).is_ok());
/// let unknown = check(&syntax::parse("order.amount < 5").unwrap(), &roots).unwrap_err();
/// assert!(unknown.to_string().contains("no root `order`"), "{unknown}");
/// ```
#[derive(Debug, Clone, Default)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct RuleEnv {
    /// In the order in which messages list them.
    pub roots: Vec<RootType>,
    /// Kinds of attributes that no type declares, by root name and attribute; all of them may be absent.
    pub inferred: BTreeMap<(Arc<str>, Arc<str>), Kind>,
}

/// One root.
///
/// ```
/// use policy_core::check::{RootType, RuleEnv, check};
/// use policy_core::ir::Root;
/// use policy_core::kind::{Described, Kind};
///
/// let ty = Some(Described::required(Kind::Long));
/// let amount = RootType { name: "amount".into(), rust_name: "amount".into(), root: Root::Arg(0, "amount".into()), ty, open: false };
/// let env = RuleEnv { roots: vec![amount], ..RuleEnv::default() };
/// assert!(check(&policy_core::syntax::parse("amount < 5").unwrap(), &env).is_ok());
/// ```
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct RootType {
    /// As rules spell it.
    pub name: Arc<str>,
    /// As Rust spells it, for a parameter.
    pub rust_name: Arc<str>,
    /// What paths start from.
    pub root: Root,
    /// What it is; `None` when rules cannot read it.
    pub ty: Option<Described>,
    /// Whether attributes beside the declared ones may be read (and are absent where nobody supplies them).
    pub open: bool,
}

/// Checks a condition.
///
/// # Errors
/// All findings, each with its place in the rule.
///
/// ```
/// # use policy_core::check::{RootType, RuleEnv, check};
/// # use policy_core::ir::Root;
/// # use policy_core::kind::{Described, Kind};
/// # use policy_core::{participant, syntax};
/// # let ty = Described::required(Kind::Record(participant::BUILT_IN.clone().into()));
/// # let root = RootType { name: "participant".into(), rust_name: "participant".into(), root: Root::Participant, ty: Some(ty), open: true };
/// # let roots = RuleEnv { roots: vec![root], ..RuleEnv::default() };
/// let expr = syntax::parse("participant.rolse contains 'finance' and participant.email < 5").unwrap();
/// let RootType { ty, .. } = &roots.roots[0];
/// let closed = RuleEnv { roots: vec![RootType { ty: ty.clone(), open: false, ..roots.roots[0].clone() }], ..RuleEnv::default() };
/// assert_eq!(check(&expr, &closed).unwrap_err().0.len(), 2);
/// ```
pub fn check(expr: &Expr, env: &RuleEnv) -> Result<Typed, Diagnostics> {
    let mut found = Vec::new();
    let typed = walk(expr, env, &mut found);
    match typed {
        Some(typed) if found.is_empty() => Ok(typed),
        _ => Err(Diagnostics(found)),
    }
}

fn walk(expr: &Expr, env: &RuleEnv, found: &mut Vec<Diagnostic>) -> Option<Typed> {
    let mut all = |items: &[Expr]| -> Option<Vec<Typed>> {
        // Every operand is visited, so that all mistakes are told at once.
        let typed: Vec<_> = items.iter().map(|item| walk(item, env, found)).collect();
        typed.into_iter().collect()
    };
    match &expr.kind {
        ExprKind::And(items) => all(items).map(Typed::And),
        ExprKind::Or(items) => all(items).map(Typed::Or),
        ExprKind::Not(inner) => Some(Typed::Not(Box::new(walk(inner, env, found)?))),
        ExprKind::Compare { .. }
        | ExprKind::Contains { .. }
        | ExprKind::In { .. }
        | ExprKind::Like { .. }
        | ExprKind::Exists(_)
        | ExprKind::Truth(_) => match predicate::check(&expr.kind, env) {
            Ok(test) => Some(Typed::Leaf(Leaf { test, text: crate::syntax::format(expr).into() })),
            Err(diagnostics) => {
                found.extend(diagnostics);
                None
            }
        },
    }
}
