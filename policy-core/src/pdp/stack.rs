//! The sets of all tiers at one moment, put together by scope: one look-up leads to all that a decision reads.
//!
//! In: sets. Out: [`Sets`], those that one request is put to, after the checks that no policy can switch off. Absent: what
//! the sets answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::asked::Asked;
use super::conform::Misfit;
use super::set::TierSet;
use crate::decision::{Denial, Revision};
use crate::name::{ByName, EntityUid, Scope, Slug, Tier, hash_of};
use crate::participant::chain;
use crate::registry::ActionEntry;
use crate::request::Request;

/// The sets of all tiers at one moment. One decision reads one snapshot.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    /// The permits of the program's own annotations.
    code: Arc<TierSet>,
    system: Stack,
    organizations: ByName<Slug, Stack>,
    applications: ByName<Slug, Stack>,
    /// Until when these sets are known to be the active ones, in milliseconds since 1970; shared by all snapshots.
    fresh_until: Arc<AtomicI64>,
}

/// What decides for a scope.
#[derive(Debug, Clone)]
pub(super) struct Stack {
    scope: Scope,
    /// From System down to the scope. An application's own set has what admins added: forbids only.
    sets: [Option<Arc<TierSet>>; 3],
    /// The uids of the scope and of all that it belongs to.
    pub(super) chain: Arc<[EntityUid]>,
    /// The hash of the id of the first of them.
    pub(super) id_hash: u64,
    pub(super) revisions: [Revision; 3],
    /// How many tiers have their set, from System down; an application may be known before its organization.
    complete: u8,
}

impl Stack {
    fn new(scope: &Scope, above: &[Option<Arc<TierSet>>; 3], own: Arc<TierSet>) -> Self {
        let mut stack = Self {
            scope: scope.clone(),
            sets: above.clone(),
            chain: chain(scope).into(),
            id_hash: hash_of(EntityUid::of_scope(scope).id()),
            revisions: Default::default(),
            complete: 0,
        };
        stack.put(scope.tier(), own);
        stack
    }

    fn put(&mut self, tier: Tier, set: Arc<TierSet>) {
        if let Some(slot) = self.sets.get_mut(tier as usize) {
            *slot = Some(set);
        }
        let revision = |set: &Option<Arc<TierSet>>| set.as_ref().map(|s| s.revision).unwrap_or_default();
        self.revisions = self.sets.each_ref().map(revision);
        self.complete = Tier::ALL
            .into_iter()
            .zip(&self.sets)
            .take_while(|(_, set)| set.is_some())
            .map(|(tier, _)| tier as u8 + 1)
            .last()
            .unwrap_or(0);
    }

    /// The same with another set of one tier.
    pub(super) fn with(&self, tier: Tier, set: Arc<TierSet>) -> Self {
        let mut stack = self.clone();
        stack.put(tier, set);
        stack
    }

    /// Whether there is a set for each tier down to this one.
    #[inline]
    const fn is_complete(&self, tier: Tier) -> bool {
        self.complete > tier as u8
    }

    #[inline]
    pub(super) fn set(&self, tier: Tier) -> Option<&TierSet> {
        self.sets.get(tier as usize)?.as_deref()
    }
}

/// An application of this name belongs to another organization.
pub(super) struct Taken;

impl Snapshot {
    pub(super) fn new(code: TierSet, system: Arc<TierSet>) -> Self {
        Self {
            code: Arc::new(code),
            system: Stack::new(&Scope::System, &[None, None, None], system),
            organizations: ByName::default(),
            applications: ByName::default(),
            fresh_until: Arc::new(AtomicI64::new(i64::MAX)),
        }
    }

    pub(super) fn fresh_until(&self, time: i64) {
        self.fresh_until.store(time, Ordering::Release);
    }

    #[inline]
    pub(super) fn is_fresh(&self, time: i64) -> bool {
        time <= self.fresh_until.load(Ordering::Acquire)
    }

    pub(super) const fn code(&self) -> &Arc<TierSet> {
        &self.code
    }

    /// What decides for a scope, if it is known.
    #[inline]
    pub(super) fn stack(&self, scope: &Scope) -> Option<&Stack> {
        match scope {
            Scope::System => Some(&self.system),
            Scope::Organization(id) => self.organizations.get(id),
            Scope::Application { organization, application } => {
                // The name of the application was compared to find it.
                self.applications.get(application).filter(|stack| stack.scope.organization_id() == Some(organization))
            }
        }
    }

    /// The revisions that decide for a scope; of one that is not known, those of the tiers above it.
    pub(super) fn revisions(&self, scope: &Scope) -> [Revision; 3] {
        let above = || scope.organization_id().and_then(|id| self.organizations.get(id));
        self.stack(scope).or_else(above).unwrap_or(&self.system).revisions
    }

    /// Puts a scope's set in its place, for all scopes below it too.
    pub(super) fn replace(&mut self, scope: &Scope, set: Arc<TierSet>) -> Result<(), Taken> {
        match scope {
            Scope::System => {
                let below = self.organizations.values_mut().chain(self.applications.values_mut());
                for stack in std::iter::once(&mut self.system).chain(below) {
                    stack.put(Tier::System, set.clone());
                }
            }
            Scope::Organization(id) => {
                for stack in self.applications.values_mut().filter(|a| a.scope.organization_id() == Some(id)) {
                    stack.put(Tier::Organization, set.clone());
                }
                self.organizations.insert(id.clone(), Stack::new(scope, &self.system.sets, set));
            }
            Scope::Application { organization, application } => {
                if self.applications.get(application).is_some_and(|known| known.scope != *scope) {
                    return Err(Taken);
                }
                let above = self.organizations.get(organization).unwrap_or(&self.system);
                let stack = Stack::new(scope, &above.sets, set);
                self.applications.insert(application.clone(), stack);
            }
        }
        Ok(())
    }

    /// The sets to ask, after the structural checks that no policy can switch off.
    #[inline]
    pub(super) fn sets<'s>(&'s self, entry: &ActionEntry, request: &Request<'_>) -> Result<Sets<'s>, Box<Denial>> {
        let caller = request.participant.scope();
        if entry.tier != request.scope.tier() || !caller.covers(request.scope) || !entry.takes(caller.tier()) {
            return Err(Box::new(Denial::isolation(caller, request.scope, entry)));
        }
        if !self.is_fresh(request.context.time.0) {
            return Err(Box::new(Denial::stale()));
        }
        let Some(stack) = self.stack(request.scope).filter(|stack| stack.is_complete(entry.tier)) else {
            return Err(Box::new(Denial::unknown_scope(request.scope)));
        };
        Ok(self.sets_of(entry, stack))
    }

    /// The sets to ask of a scope that the caller reaches; `None` where the action is not open to callers of its tier.
    pub(super) fn sets_within<'s>(&'s self, entry: &ActionEntry, caller: Tier, stack: &'s Stack) -> Option<Sets<'s>> {
        (entry.takes(caller) && stack.is_complete(entry.tier)).then(|| self.sets_of(entry, stack))
    }

    #[inline]
    fn sets_of<'s>(&'s self, entry: &ActionEntry, stack: &'s Stack) -> Sets<'s> {
        Sets { code: entry.permit.is_some().then_some(&*self.code), stack, tier: entry.tier }
    }
}

/// The sets that one request is put to.
pub(super) struct Sets<'s> {
    /// The program's own permits: they count as part of the tier that the action belongs to.
    pub(super) code: Option<&'s TierSet>,
    pub(super) stack: &'s Stack,
    tier: Tier,
}

impl<'s> Sets<'s> {
    /// The same request's sets where another stack decides.
    pub(super) const fn on<'t>(&self, stack: &'t Stack) -> Sets<'t>
    where
        's: 't,
    {
        Sets { code: self.code, stack, tier: self.tier }
    }

    #[inline]
    pub(super) fn tiers(&self) -> impl Iterator<Item = Tier> + use<> {
        Tier::ALL.iter().copied().take(self.tier as usize + 1)
    }

    /// The program's own permits, where they belong to a tier.
    #[inline]
    pub(super) fn code_of(&self, tier: Tier) -> Option<&'s TierSet> {
        if tier == self.tier { self.code } else { None }
    }

    /// All sets that take part in a tier's answer, each with whether it must have a satisfied permit: an application's own
    /// set only forbids.
    #[inline]
    pub(super) fn asked(&self, tier: Tier) -> impl Iterator<Item = (&'s TierSet, bool)> + use<'s> {
        let own = self.stack.set(tier).map(|own| (own, tier != Tier::Application));
        own.into_iter().chain(self.code_of(tier).map(|code| (code, true)))
    }

    /// All sets that take part in a tier's answer.
    pub(super) fn parts(&self, tier: Tier) -> impl Iterator<Item = &'s TierSet> + use<'s> {
        self.asked(tier).map(|(set, _)| set)
    }

    /// The sets of which each must have a satisfied permit.
    pub(super) fn permitting(&self, tier: Tier) -> impl Iterator<Item = &'s TierSet> + use<'s> {
        self.asked(tier).filter_map(|(set, permits)| permits.then_some(set))
    }

    /// The first value that is not what the rules were checked against.
    pub(super) fn misfit<'e>(&'e self, asked: &Asked<'_>) -> Option<Misfit<'e>> {
        self.tiers().flat_map(|tier| self.parts(tier)).find_map(|set| set.misfit(asked))
    }

    /// The number of a satisfied permit, when no forbid is satisfied or failed; with `look`, only when the data is as declared.
    #[inline]
    pub(super) fn quick(&self, tier: Tier, asked: &Asked<'_>, look: bool) -> Option<u32> {
        // An application's own set only forbids; its permits are the program's.
        let own = self.stack.set(tier)?.quick(asked, tier != Tier::Application, look)?;
        match self.code_of(tier) {
            Some(code) => code.quick(asked, true, look).map(|code| if tier == Tier::Application { code } else { own }),
            None => (tier != Tier::Application).then_some(own),
        }
    }
}
