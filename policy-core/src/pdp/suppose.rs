//! What would be decided if a scope's set were another one, and what the policies of a set are about.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::current::Current;
use super::set::{TierSet, named};
use super::stack::Snapshot;
use super::{Engine, SetError, SetSource, admit};
use crate::decision::{Decision, Revision};
use crate::name::{Scope, Tier};
use crate::policy::{ActionConstraint, Effect};
use crate::request::Request;

/// A policy of a set, as far as two sets are compared by it.
///
/// ```
/// # use policy_core::Scope;
/// # use policy_core::pdp::Engine;
/// # use policy_core::registry::Registry;
/// # let engine = Engine::new(Registry::of(&[], &[]).unwrap().into()).unwrap();
/// use policy_core::policy::Effect;
/// let shipped = engine.written(&Scope::System);
/// let administrator = &shipped["system.administrator"];
/// assert!(administrator.effect == Effect::Permit && administrator.administers);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// Its effect.
    pub effect: Effect,
    /// Its Cedar text.
    pub text: String,
    /// Whether it can apply to actions on the platform or on an organization.
    pub administers: bool,
}

/// A set that was checked and does not decide: what it would decide can be asked beside what does.
///
/// ```
/// # use policy_core::{Context, Facts, Participant, Request, Scope, value::Millis};
/// # use policy_core::pdp::{Baseline, Engine, SetSource};
/// # use policy_core::registry::Registry;
/// # let engine = Engine::new(Registry::of(&[], &[]).unwrap().into()).unwrap();
/// # let facts = Facts { mfa: true, ..Facts::default() };
/// # let operator = Participant::builder(Scope::System, "u-1").role("operator").build();
/// # let request = Request { participant: &operator, action: engine.action("Platform.createOrganization").unwrap(),
/// #     scope: &Scope::System, resource: None, context: Context { time: Millis(0), facts: &facts }, args: &[] };
/// let empty = SetSource { baseline: Baseline::Replaced, ..SetSource::default() };
/// let draft = engine.suppose(&Scope::System, &empty).unwrap();
/// assert!(!engine.decide_supposing(&draft, &request).is_allowed());
/// assert!(engine.decide(&request).is_allowed(), "nothing has changed");
/// ```
#[derive(Debug, Clone)]
pub struct Supposition {
    scope: Scope,
    set: Arc<TierSet>,
}

impl Supposition {
    /// Whose set it would be.
    pub const fn scope(&self) -> &Scope {
        &self.scope
    }
}

impl Engine {
    /// Checks a set, to be asked beside those that decide.
    ///
    /// # Errors
    /// As [`Engine::replace`].
    pub fn suppose(&self, scope: &Scope, source: &SetSource) -> Result<Supposition, SetError> {
        let (members, _) = admit::admit(&self.registry, &self.shipped, scope, source, &self.beside(scope))?;
        // No revision is given out for it.
        let set = TierSet::new(members, &self.registry, Revision::default());
        Ok(Supposition { scope: scope.clone(), set: Arc::new(set) })
    }

    /// What would be decided if a supposed set were its scope's, beside the sets that decide now for all others.
    pub fn decide_supposing(&self, supposition: &Supposition, request: &Request<'_>) -> Decision {
        self.current.read(|snapshot| {
            let entry = self.registry.action(request.action);
            match entry.map(|entry| (entry, snapshot.sets(entry, request))) {
                Some((entry, Ok(sets))) if supposition.scope.covers(request.scope) => {
                    let stack = sets.stack.with(supposition.scope.tier(), supposition.set.clone());
                    self.decide_by(&sets.on(&stack), entry, request)
                }
                _ => self.decide_in(snapshot, request),
            }
        })
    }

    /// The engine as it would be with another set for a scope; this one stays as it is.
    ///
    /// ```
    /// # use policy_core::{Context, Facts, Participant, Scope, value::Millis};
    /// # use policy_core::pdp::{Baseline, Engine, SetSource};
    /// # use policy_core::registry::Registry;
    /// # let engine = Engine::new(Registry::of(&[], &[]).unwrap().into()).unwrap();
    /// let empty = SetSource { baseline: Baseline::Replaced, ..SetSource::default() };
    /// let supposed = engine.supposing(&Scope::System, &empty).unwrap();
    /// assert!(supposed.written(&Scope::System).is_empty());
    /// assert!(engine.knows(&Scope::System) && !engine.written(&Scope::System).is_empty());
    /// ```
    ///
    /// # Errors
    /// As [`Engine::replace`].
    pub fn supposing(&self, scope: &Scope, source: &SetSource) -> Result<Self, SetError> {
        let supposed = Self {
            registry: self.registry.clone(),
            shipped: self.shipped.clone(),
            current: Current::new(Snapshot::clone(&self.current.load())),
            epoch: self.epoch,
            writing: Mutex::default(),
            both: self.both,
            beside: Mutex::new(self.beside.lock().unwrap_or_else(PoisonError::into_inner).clone()),
        };
        supposed.replace(scope, source)?;
        Ok(supposed)
    }

    /// Whether there are sets for a scope.
    pub fn knows(&self, scope: &Scope) -> bool {
        self.current.load().stack(scope).is_some()
    }

    /// The policies of a scope's set, by id.
    pub fn written(&self, scope: &Scope) -> BTreeMap<Arc<str>, Written> {
        let snapshot = self.current.load();
        let Some(set) = snapshot.stack(scope).and_then(|stack| stack.set(scope.tier())) else {
            return BTreeMap::new();
        };
        let upper = |constraint: &ActionConstraint| {
            let actions = named(constraint, &self.registry);
            actions.iter().filter_map(|id| self.registry.action(*id)).any(|entry| entry.tier != Tier::Application)
        };
        let written = |member: &super::set::Member| Written {
            effect: member.policy.effect,
            text: member.cedar_text(),
            administers: match &member.policy.action {
                ActionConstraint::Any => true,
                constraint @ (ActionConstraint::Eq(_) | ActionConstraint::In(_)) => upper(constraint),
            },
        };
        set.members().map(|member| (member.policy.id.clone(), written(member))).collect()
    }
}
