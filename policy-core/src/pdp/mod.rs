//! The decision point: every tier from System down to the resource's scope is asked, and every one must answer Allow.
//!
//! ```text
//! Request ─► isolation ─► unusable values ─► System set ─► Organization set ─► Application set ─► Decision
//!               │no             │yes             └───────────── any NO ─────────────┘
//!               └──────────────►└────────────────────────────► Deny, with the clause and its values
//! ```
//!
//! In: a [`Request`]. Out: a [`Decision`]; sets of a tier are replaced as a whole, without stopping readers. Absent:
//! enforcement, storage, and the clock.

mod admit;
mod altered;
mod asked;
mod batch;
mod beside;
mod both;
mod clauses;
mod conform;
mod current;
mod explain;
mod filter;
mod index;
mod list;
mod moment;
mod nearest;
mod set;
mod stack;
mod suppose;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_baselines;
#[cfg(test)]
mod tests_batch;
#[cfg(test)]
mod tests_beside;
#[cfg(test)]
mod tests_both;
#[cfg(test)]
mod tests_filter;
#[cfg(test)]
mod tests_nearest;
#[cfg(test)]
mod tests_replace;
#[cfg(test)]
mod tests_suppose;
#[cfg(any(test, feature = "testing"))]
pub(crate) mod unchecked;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use crate::decision::{Allowed, Decision, Denial, Revision, TierAnswer};
use crate::name::{Scope, Slug, Tier};
use crate::registry::{ActionEntry, Registry};
use crate::request::Request;
use crate::value::Millis;

pub use admit::{Activation, Baseline, SetError, SetSource};
pub use altered::Edit;
pub use beside::Beside;
pub use clauses::{Heard, RuleClauses};
pub use explain::{Explanation, PolicyReport, TierReport};
pub use filter::{Contribution, Filter, TierFilter};
pub use list::{May, Possible};
pub use moment::{At, Moment};
pub use nearest::{Flip, Nearest};
pub use suppose::{SupposedRows, Supposition, Written};

use admit::Shipped;
use asked::Asked;
use current::Current;
use set::TierSet;
use stack::{Sets, Snapshot, Taken};

/// Decides, for one program and the policy sets of its tiers.
///
/// ```
/// use std::sync::Arc;
/// use policy_core::pdp::{Engine, SetSource};
/// use policy_core::registry::Registry;
/// use policy_core::{Context, Facts, Participant, Request, Scope, Slug, value::Millis};
///
/// let engine = Engine::new(Arc::new(Registry::of(&[], &[]).unwrap())).unwrap();
/// let acme = Scope::organization("acme").unwrap();
/// engine.add_organization(&Slug::new("acme").unwrap()).unwrap();
/// engine.add_application(&Scope::application("acme", "orders").unwrap()).unwrap();
///
/// let facts = Facts { mfa: true, ..Facts::default() };
/// let operator = Participant::builder(Scope::System, "u-1").role("operator").build();
/// let action = engine.action("Platform.createOrganization").unwrap();
/// let context = Context { time: Millis(0), facts: &facts };
/// let request = Request { participant: &operator, action, scope: &Scope::System, resource: None, context, args: &[] };
/// assert!(engine.decide_all(&[request, request]).iter().all(|decision| decision.is_allowed()));
///
/// assert!(engine.check(&acme, &SetSource::default()).is_ok(), "warnings refuse nothing");
/// assert!(!engine.cedar_of(&acme).is_empty());
/// ```
#[derive(Debug)]
pub struct Engine {
    registry: Arc<Registry>,
    shipped: Arc<Shipped>,
    current: Current,
    /// Of the revisions that are given out here.
    epoch: u64,
    /// The last revision of each scope that was given out elsewhere. Held while a set is replaced; readers never wait for it.
    writing: Mutex<BTreeMap<Scope, (u64, u64)>>,
    /// Whether Cedar is asked too.
    both: bool,
    /// What sets are checked beside, scope by scope.
    beside: Mutex<HashMap<Scope, Arc<Beside>>>,
}

impl Engine {
    /// An engine over what a program declares, with the shipped baseline for System and no organization yet.
    ///
    /// # Errors
    /// When the shipped baseline does not validate against the program's schema.
    pub fn new(registry: Arc<Registry>) -> Result<Self, SetError> {
        let shipped = Arc::new(Shipped::default());
        let snapshot =
            Snapshot::new(TierSet::of_code(&registry), shipped.first(&registry, &Scope::System, &Beside::default())?);
        let (current, writing, beside) = (Current::new(snapshot), Mutex::default(), Mutex::default());
        Ok(Self { registry, shipped, current, epoch: 0, writing, both: false, beside })
    }

    /// Begins an epoch: what [`Engine::replace`] gives out is of it, so that no engine gives out a revision that one before it
    /// gave out. The time of the start is one that was never used. Epoch 0 is that of what scopes begin with.
    ///
    /// ```
    /// use policy_core::Scope;
    /// use policy_core::pdp::{Engine, SetSource};
    /// use policy_core::registry::Registry;
    /// let engine = Engine::new(Registry::of(&[], &[]).unwrap().into()).unwrap().in_epoch(1_800_000_000_000);
    /// assert_eq!(engine.revisions(&Scope::System)[0].epoch, 0);
    /// let done = engine.replace(&Scope::System, &SetSource::default()).unwrap();
    /// assert_eq!((done.revision.epoch, done.revision.number), (1_800_000_000_000, 2));
    /// ```
    #[must_use]
    pub const fn in_epoch(mut self, epoch: u64) -> Self {
        self.epoch = epoch;
        self
    }

    /// What the program declares.
    pub const fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// The revisions that decide for a scope, from System down.
    pub fn revisions(&self, scope: &Scope) -> [Revision; 3] {
        self.current.load().revisions(scope)
    }

    /// The id of a policy that [`Allowed::permits`] names, if its set is still the active one.
    pub fn policy_id(&self, scope: &Scope, allowed: &Allowed, tier: Tier) -> Option<Arc<str>> {
        let snapshot = self.current.load();
        let at = tier as usize;
        let revision = allowed.revisions.get(at)?;
        if snapshot.revisions(scope).get(at)? != revision {
            return None;
        }
        let number = (*allowed.permits.get(at)?)?;
        let set = match tier {
            Tier::System | Tier::Organization => snapshot.stack(scope)?.set(tier)?,
            Tier::Application => snapshot.code(),
        };
        set.member(number).map(|m| m.policy.id.clone())
    }

    /// Decides one request. Allocates nothing when it allows.
    pub fn decide(&self, request: &Request<'_>) -> Decision {
        self.current.read(|snapshot| self.decide_in(snapshot, request))
    }

    fn decide_in(&self, snapshot: &Snapshot, request: &Request<'_>) -> Decision {
        let Some(entry) = self.registry.action(request.action) else {
            return Decision::Deny(Box::new(Denial::unknown_action()));
        };
        match snapshot.sets(entry, request) {
            Ok(sets) => self.decide_by(&sets, entry, request),
            Err(denial) => Decision::Deny(denial),
        }
    }

    #[inline]
    fn decide_by(&self, sets: &Sets<'_>, entry: &ActionEntry, request: &Request<'_>) -> Decision {
        let asked = Asked::new(entry, request, sets.stack);
        let mut allowed = Allowed { revisions: sets.stack.revisions, permits: [None; 3] };
        for (tier, slot) in sets.tiers().zip(&mut allowed.permits) {
            *slot = sets.quick(tier, &asked, true);
            if slot.is_none() {
                let denial = explain::denial(sets, &asked);
                return if self.both {
                    self.judged(Err(denial), sets, &asked)
                } else {
                    Decision::Deny(Box::new(denial))
                };
            }
        }
        if self.both { self.judged(Ok(allowed), sets, &asked) } else { Decision::Allow(allowed) }
    }

    /// Says what every tier answered, and which policies, clauses and values made it so.
    pub fn explain(&self, request: &Request<'_>) -> Explanation {
        let snapshot = self.current.load();
        let decision = self.decide_in(&snapshot, request);
        let tiers = match self.registry.action(request.action) {
            Some(entry) => match snapshot.sets(entry, request) {
                Ok(sets) => {
                    let asked = Asked::new(entry, request, sets.stack);
                    sets.tiers().map(|tier| explain::report(&sets, tier, &asked)).collect()
                }
                Err(_) => Vec::new(),
            },
            None => Vec::new(),
        };
        Explanation { decision, tiers }
    }

    /// Makes an organization known, with the shipped baseline.
    ///
    /// # Errors
    /// When the baseline does not validate.
    pub fn add_organization(&self, id: &Slug) -> Result<(), SetError> {
        let scope = Scope::Organization(id.clone());
        if self.current.load().stack(&scope).is_some() {
            return Ok(());
        }
        self.begin(&scope)
    }

    /// Makes an application known; its organization is made known too.
    ///
    /// # Errors
    /// When the scope is not an application's, or the organization's baseline does not validate.
    pub fn add_application(&self, scope: &Scope) -> Result<(), SetError> {
        if let Some(id) = scope.organization_id() {
            self.add_organization(id)?;
        }
        if scope.application_id().is_some() && self.current.load().stack(scope).is_some() {
            return Ok(());
        }
        self.begin(scope)
    }

    fn begin(&self, scope: &Scope) -> Result<(), SetError> {
        let first = self.shipped.first(&self.registry, scope, &self.beside(scope))?;
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Snapshot::clone(&self.current.load());
        // Somebody may have been quicker, and have put another set in its place since.
        if now.stack(scope).is_some() { Ok(()) } else { self.put_in_place(now, scope, first) }
    }

    fn put_in_place(&self, mut next: Snapshot, scope: &Scope, set: Arc<TierSet>) -> Result<(), SetError> {
        if let Err(Taken) = next.replace(scope, set) {
            let message = "an application of this name belongs to another organization";
            return Err(SetError::one(&scope.to_string(), message));
        }
        self.current.replace(next);
        Ok(())
    }

    /// Replaces a scope's set as a whole. A bad set changes nothing.
    ///
    /// # Errors
    /// Every finding, with its place in the text.
    pub fn replace(&self, scope: &Scope, source: &SetSource) -> Result<Activation, SetError> {
        self.replace_with(scope, source, None)
    }

    /// Replaces a scope's set by one whose revision was given out elsewhere, so that all servers name it alike. Where a later one
    /// was put in its place meanwhile, that goes on, and is what the answer names: two who load at once never go back.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// use policy_core::Scope;
    /// use policy_core::pdp::{Engine, SetSource};
    /// use policy_core::registry::Registry;
    /// let engine = Engine::new(Arc::new(Registry::of(&[], &[]).unwrap())).unwrap();
    /// let done = engine.replace_as(&Scope::System, &SetSource::default(), 2, 17).unwrap();
    /// assert!(done.revision.to_string().starts_with("2.17-"));
    /// let late = engine.replace_as(&Scope::System, &SetSource::default(), 2, 16).unwrap();
    /// assert_eq!(late.revision, done.revision);
    /// ```
    ///
    /// # Errors
    /// As [`Engine::replace`].
    pub fn replace_as(
        &self,
        scope: &Scope,
        source: &SetSource,
        epoch: u64,
        number: u64,
    ) -> Result<Activation, SetError> {
        self.replace_with(scope, source, Some((epoch, number)))
    }

    /// Denies whatever is asked after this time, until it is moved on: whoever confirms that the sets are the active ones moves it.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use policy_core::{Context, Facts, Participant, Request, Scope};
    /// # use policy_core::pdp::Engine;
    /// # use policy_core::registry::Registry;
    /// use policy_core::decision::DenialKind;
    /// use policy_core::value::Millis;
    /// # let engine = Engine::new(Arc::new(Registry::of(&[], &[]).unwrap())).unwrap();
    /// # let operator = Participant::builder(Scope::System, "u-1").role("operator").build();
    /// # let facts = Facts { mfa: true, ..Facts::default() };
    /// # let request = Request { participant: &operator, action: engine.action("Platform.createOrganization").unwrap(),
    /// #     scope: &Scope::System, resource: None, context: Context { time: Millis(1_001), facts: &facts }, args: &[] };
    /// engine.fresh_until(Millis(1_000));
    /// assert_eq!(engine.decide(&request).denial().unwrap().kind, DenialKind::Stale);
    /// assert!(engine.is_fresh(Millis(1_000)) && !engine.is_fresh(Millis(1_001)));
    /// engine.fresh_until(Millis(2_000));
    /// assert!(engine.decide(&request).is_allowed());
    /// ```
    pub fn fresh_until(&self, time: Millis) {
        self.current.load().fresh_until(time.0);
    }

    /// Whether what is asked at this time is decided.
    pub fn is_fresh(&self, time: Millis) -> bool {
        self.current.load().is_fresh(time.0)
    }

    fn replace_with(
        &self,
        scope: &Scope,
        source: &SetSource,
        given: Option<(u64, u64)>,
    ) -> Result<Activation, SetError> {
        let (members, warnings) = admit::admit(&self.registry, &self.shipped, scope, source, &self.beside(scope))?;
        // Outside of the lock as well, so that several sets are loaded at once.
        let mut set = TierSet::new(members, &self.registry, Revision::default());
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let next = Snapshot::clone(&self.current.load());
        let before = next.revisions(scope).get(scope.tier() as usize).copied().unwrap_or_default();
        if given.is_some_and(|given| writing.get(scope).is_some_and(|last| *last > given)) {
            return Ok(Activation { revision: before, before, warnings });
        }
        let number = given.unwrap_or((before.epoch.max(self.epoch), before.number + 1));
        set.revision = admit::revision(scope, source, number);
        let revision = set.revision;
        self.put_in_place(next, scope, Arc::new(set))?;
        if let Some(given) = given {
            writing.insert(scope.clone(), given);
        }
        Ok(Activation { revision, before, warnings })
    }

    /// Checks a set without activating it.
    ///
    /// # Errors
    /// As [`Engine::replace`].
    pub fn check(&self, scope: &Scope, source: &SetSource) -> Result<Vec<crate::registry::Finding>, SetError> {
        self.check_beside(scope, source, &self.beside(scope))
    }

    /// As [`Engine::check`], beside something else than what was set.
    ///
    /// # Errors
    /// As [`Engine::replace`].
    pub fn check_beside(
        &self,
        scope: &Scope,
        source: &SetSource,
        beside: &Beside,
    ) -> Result<Vec<crate::registry::Finding>, SetError> {
        admit::admit(&self.registry, &self.shipped, scope, source, beside).map(|(_, warnings)| warnings)
    }

    /// Says what the sets of a scope are checked beside from now on; those that are there stay until they are replaced.
    pub fn set_beside(&self, scope: &Scope, beside: Beside) {
        self.beside.lock().unwrap_or_else(PoisonError::into_inner).insert(scope.clone(), Arc::new(beside));
    }

    /// What the sets of a scope are checked beside.
    pub fn beside(&self, scope: &Scope) -> Arc<Beside> {
        self.beside.lock().unwrap_or_else(PoisonError::into_inner).get(scope).cloned().unwrap_or_default()
    }

    /// The policies of a scope's set as formatted Cedar; those of the program for an application.
    pub fn cedar_of(&self, scope: &Scope) -> Vec<(Arc<str>, String)> {
        let snapshot = self.current.load();
        let own = snapshot.stack(scope).and_then(|stack| stack.set(scope.tier()));
        let code = (scope.tier() == Tier::Application).then(|| &**snapshot.code());
        let sets = code.into_iter().chain(own);
        sets.flat_map(TierSet::members).map(|m| (m.policy.id.clone(), m.cedar_text())).collect()
    }
}

fn not_asked() -> [TierAnswer; 3] {
    [TierAnswer::NotAsked; 3]
}
