//! What would be decided if a scope's set were another one, and what the policies of a set are about.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::current::Current;
use super::filter::{TierFilter, rows_by};
use super::set::{Member, TierSet, named};
use super::stack::Snapshot;
use super::{Engine, SetError, SetSource, admit};
use crate::decision::{Decision, Denial, Revision};
use crate::ir::Root;
use crate::name::{Scope, Tier};
use crate::policy::{ActionConstraint, Effect};
use crate::registry::ActionEntry;
use crate::request::Request;
use crate::table::Table;

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

/// What is asked of any row, by the sets that decide and with a supposed one.
///
/// ```
/// use policy_core::pdp::SupposedRows;
/// fn is_open(rows: &SupposedRows) -> bool {
///     rows.supposed.as_ref().is_ok_and(|tiers| tiers.iter().all(|tier| !tier.predicate.is_never()))
/// }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SupposedRows {
    /// From System down; or what no row can change.
    pub active: Result<Vec<TierFilter>, Box<Denial>>,
    /// The same with the supposed set.
    pub supposed: Result<Vec<TierFilter>, Box<Denial>>,
    /// A policy that needs the row itself and is not the same in both sets: what it moves cannot be told without rows.
    pub unsure: Option<Arc<str>>,
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

    /// What each tier asks of any row: by the sets that decide now, and if a supposed set were its scope's. Both are of one moment,
    /// and know no tenants, which no policy moves. `None` where the action is not about an entity.
    ///
    /// ```
    /// # use policy_core::{Context, Facts, Participant, Request, Scope, value::Millis};
    /// # use policy_core::pdp::{Engine, SetSource};
    /// # use policy_core::registry::Registry;
    /// # let engine = Engine::new(Registry::of(&[], &[]).unwrap().into()).unwrap();
    /// # let facts = Facts::default();
    /// # let operator = Participant::builder(Scope::System, "u-1").build();
    /// # let request = Request { participant: &operator, action: engine.action("Platform.createOrganization").unwrap(),
    /// #     scope: &Scope::System, resource: None, context: Context { time: Millis(0), facts: &facts }, args: &[] };
    /// let draft = engine.suppose(&Scope::System, &SetSource::default()).unwrap();
    /// assert!(engine.rows_supposing(&draft, &request).is_none(), "a platform has no rows");
    /// ```
    pub fn rows_supposing(&self, supposition: &Supposition, request: &Request<'_>) -> Option<SupposedRows> {
        let (entry, table) = self.entity(request)?;
        self.current.read(|snapshot| {
            let asked = |supposed: bool| {
                let sets = snapshot.sets(entry, request)?;
                let mut out = Vec::new();
                let mut visit = |part| out.push(part);
                if supposed && supposition.scope.covers(request.scope) {
                    let stack = sets.stack.with(supposition.scope.tier(), supposition.set.clone());
                    rows_by(&sets.on(&stack), entry, request, &table, &mut visit, true)?;
                } else {
                    rows_by(&sets, entry, request, &table, &mut visit, true)?;
                }
                Ok(out)
            };
            let (active, supposed) = (asked(false), asked(true));
            let checked: BTreeSet<Arc<str>> = [&active, &supposed]
                .into_iter()
                .flatten()
                .flatten()
                .flat_map(|part| part.predicate.row_checks())
                .map(|check| check.policy.clone())
                .collect();
            let own = snapshot.stack(&supposition.scope).and_then(|stack| stack.set(supposition.scope.tier()));
            let text = |set: Option<&TierSet>, id: &str| {
                set?.members().find(|member| *member.policy.id == *id).map(Member::cedar_text)
            };
            let differs = |id: &Arc<str>| text(own, id) != text(Some(&supposition.set), id);
            Some(SupposedRows { unsure: checked.into_iter().find(differs), active, supposed })
        })
    }

    /// What each tier asks of any row now, as [`Engine::rows_supposing`] has it.
    ///
    /// ```
    /// # use policy_core::{Context, Facts, Participant, Request, Scope, value::Millis};
    /// # use policy_core::pdp::Engine;
    /// # use policy_core::registry::Registry;
    /// # let engine = Engine::new(Registry::of(&[], &[]).unwrap().into()).unwrap();
    /// # let facts = Facts::default();
    /// # let operator = Participant::builder(Scope::System, "u-1").build();
    /// # let request = Request { participant: &operator, action: engine.action("Platform.createOrganization").unwrap(),
    /// #     scope: &Scope::System, resource: None, context: Context { time: Millis(0), facts: &facts }, args: &[] };
    /// assert!(engine.rows_of(&request).is_none(), "a platform has no rows");
    /// ```
    pub fn rows_of(&self, request: &Request<'_>) -> Option<Result<Vec<TierFilter>, Box<Denial>>> {
        let (_, table) = self.entity(request)?;
        Some(self.explain_filter(request, &table))
    }

    /// What a request is about, where that is an entity.
    fn entity(&self, request: &Request<'_>) -> Option<(&ActionEntry, Table)> {
        let entry = self.registry.action(request.action)?;
        let resource = entry.env.roots.iter().find(|root| root.root == Root::Resource)?;
        Some((entry, Table::of_kind(&entry.resource, &resource.ty.as_ref()?.kind)?))
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
        let written = |member: &Member| Written {
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
