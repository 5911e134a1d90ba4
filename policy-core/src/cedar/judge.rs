//! A whole set as Cedar has it, for decisions by both.
//!
//! In: the policies of a set, as they were written. Out: a [`Judge`] over them. Absent: our own lowering of what was written
//! as Cedar, so that a mistake in it shows.

use cedar_policy::pst;

use super::load::on_large_stack;
use super::names;
use super::policy::to_pst;
use super::request::Judge;
use crate::diagnostic::Diagnostic;
use crate::model::Model;
use crate::name::EntityUid;
use crate::policy::{ActionConstraint, Policy};

/// A policy with the actions that it is about.
pub(crate) struct Written<'m> {
    pub(crate) policy: &'m Policy,
    /// Cedar as an administrator wrote it.
    pub(crate) text: Option<&'m str>,
    /// The actions by the names that they have now; `None` for any action.
    pub(crate) actions: Option<Vec<EntityUid>>,
}

/// Prepares a set.
pub(crate) fn judge_of(policies: Vec<Written<'_>>, model: &Model) -> Result<Judge, Diagnostic> {
    on_large_stack(|| {
        let policies = policies.into_iter().map(one).collect::<Result<Vec<_>, Diagnostic>>()?;
        Ok(Judge::new(policies, model))
    })?
}

fn one(written: Written<'_>) -> Result<cedar_policy::Policy, Diagnostic> {
    let Written { policy, text, actions } = written;
    let id = cedar_policy::PolicyId::new(&policy.id);
    let Some(text) = text else {
        let action = actions.map_or(ActionConstraint::Any, ActionConstraint::In);
        return to_pst(&Policy { action, ..policy.clone() });
    };
    let failed = |e: &dyn std::fmt::Display| names::unusable(&policy.id, e);
    let parsed = cedar_policy::Policy::parse(Some(id), text).map_err(|e| failed(&e))?;
    match actions {
        // A former name is not known to Cedar.
        Some(actions) => about(&parsed, &actions),
        None => Ok(parsed),
    }
}

/// The same policy about other actions.
pub(super) fn about(policy: &cedar_policy::Policy, actions: &[EntityUid]) -> Result<cedar_policy::Policy, Diagnostic> {
    let failed = |e: &dyn std::fmt::Display| names::unusable(policy.id().as_ref(), e);
    let pst::Policy::Static(parsed) = policy.to_pst().map_err(|e| failed(&e))? else {
        return Err(failed(&"it is a template"));
    };
    let mut body = parsed.body().clone();
    body.action = pst::ActionConstraint::In(actions.iter().map(names::uid).collect::<Result<_, Diagnostic>>()?);
    let body = pst::StaticPolicy::try_from(body).map_err(|e| failed(&e))?;
    let about = cedar_policy::Policy::from_pst(pst::Policy::Static(body)).map_err(|e| failed(&e))?;
    Ok(about.new_id(policy.id().clone()))
}
