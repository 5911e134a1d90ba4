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
mod conform;
mod explain;
mod index;
mod list;
mod set;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_replace;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::decision::{Allowed, Decision, Denial, Revision, TierAnswer};
use crate::ir::eval::{EntityRef, Env};
use crate::name::{EntityUid, Scope, Slug, Tier};
use crate::participant::{Participant, chain};
use crate::platform;
use crate::registry::{ActionEntry, Registry};
use crate::request::{ActionId, Request};

pub use admit::{Activation, Baseline, SetError, SetSource};
pub use explain::{Explanation, PolicyReport, TierReport};
pub use list::{May, Possible};

use conform::Misfit;
use set::TierSet;

/// Decides, for one program and the policy sets of its tiers.
#[derive(Debug)]
pub struct Engine {
    registry: Arc<Registry>,
    current: ArcSwap<Snapshot>,
    /// Held while a set is replaced; readers never wait for it.
    writing: Mutex<u64>,
}

/// The sets of all tiers at one moment. One decision reads one snapshot.
#[derive(Debug, Clone)]
struct Snapshot {
    /// The permits of the program's own annotations.
    code: Arc<TierSet>,
    system: Arc<TierSet>,
    system_chain: Arc<[EntityUid]>,
    organizations: HashMap<Slug, Organization>,
    applications: HashMap<Slug, Application>,
}

#[derive(Debug, Clone)]
struct Organization {
    set: Arc<TierSet>,
    chain: Arc<[EntityUid]>,
}

#[derive(Debug, Clone)]
struct Application {
    scope: Scope,
    /// What admins added: forbids only.
    forbids: Arc<TierSet>,
    chain: Arc<[EntityUid]>,
}

impl Engine {
    /// An engine over what a program declares, with the shipped baseline for System and no organization yet.
    ///
    /// # Errors
    /// When the shipped baseline does not validate against the program's schema.
    pub fn new(registry: Arc<Registry>) -> Result<Self, SetError> {
        let code = TierSet::of_code(&registry);
        let (system, _) = admit::admit(&registry, &Scope::System, &SetSource::default())?;
        let snapshot = Snapshot {
            code: Arc::new(code),
            system: Arc::new(TierSet::new(system, &registry, admit::revision(0, 1, &SetSource::default()))),
            system_chain: chain(&Scope::System).into(),
            organizations: HashMap::new(),
            applications: HashMap::new(),
        };
        Ok(Self { registry, current: ArcSwap::from_pointee(snapshot), writing: Mutex::new(0) })
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
            Tier::System => &snapshot.system,
            Tier::Organization => &snapshot.organizations.get(scope.organization_id()?)?.set,
            Tier::Application => &snapshot.code,
        };
        set.member(number).map(|m| m.policy.id.clone())
    }

    /// Decides one request. Allocates nothing when it allows.
    pub fn decide(&self, request: &Request<'_>) -> Decision {
        let snapshot = self.current.load();
        self.decide_in(&snapshot, request)
    }

    /// Decides many requests of one kind under one snapshot.
    pub fn decide_all(&self, requests: &[Request<'_>]) -> Vec<Decision> {
        let snapshot = self.current.load();
        requests.iter().map(|request| self.decide_in(&snapshot, request)).collect()
    }

    fn decide_in(&self, snapshot: &Snapshot, request: &Request<'_>) -> Decision {
        let Some(entry) = self.registry.action(request.action) else {
            return Decision::Deny(Box::new(Denial::unknown_action()));
        };
        let sets = match snapshot.sets(entry, request) {
            Ok(sets) => sets,
            Err(denial) => return Decision::Deny(Box::new(denial)),
        };
        let mut stranger = None;
        let env = env(entry, request, sets.chain, &mut stranger);
        let mut allowed = Allowed { revisions: sets.revisions(), permits: [None; 3] };
        let mut all = sets.misfit(request.action, &env).is_none();
        for tier in sets.tiers() {
            if !all {
                break;
            }
            match sets.quick(tier, request.action, &env) {
                Some(permit) => {
                    if let Some(slot) = allowed.permits.get_mut(tier as usize) {
                        *slot = Some(permit);
                    }
                }
                None => all = false,
            }
        }
        if all {
            return Decision::Allow(allowed);
        }
        Decision::Deny(Box::new(explain::denial(&sets, entry, request, &env)))
    }

    /// Says what every tier answered, and which policies, clauses and values made it so.
    pub fn explain(&self, request: &Request<'_>) -> Explanation {
        let snapshot = self.current.load();
        let decision = self.decide_in(&snapshot, request);
        let tiers = match self.registry.action(request.action) {
            Some(entry) => match snapshot.sets(entry, request) {
                Ok(sets) => {
                    let mut stranger = None;
                    let env = env(entry, request, sets.chain, &mut stranger);
                    sets.tiers().map(|tier| explain::report(&sets, tier, entry, request, &env)).collect()
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
        if self.current.load().organizations.contains_key(id) {
            return Ok(());
        }
        self.replace(&Scope::Organization(id.clone()), &SetSource::default()).map(|_| ())
    }

    /// Makes an application known; its organization is made known too.
    ///
    /// # Errors
    /// When the scope is not an application's, or the organization's baseline does not validate.
    pub fn add_application(&self, scope: &Scope) -> Result<(), SetError> {
        if let Some(id) = scope.organization_id() {
            self.add_organization(id)?;
        }
        if scope.application_id().is_some_and(|id| self.current.load().applications.contains_key(id)) {
            return Ok(());
        }
        self.replace(scope, &SetSource::default()).map(|_| ())
    }

    /// Replaces a scope's set as a whole. A bad set changes nothing.
    ///
    /// # Errors
    /// Every finding, with its place in the text.
    pub fn replace(&self, scope: &Scope, source: &SetSource) -> Result<Activation, SetError> {
        let (members, warnings) = admit::admit(&self.registry, scope, source)?;
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        *writing += 1;
        let mut next = Snapshot::clone(&self.current.load());
        let at = scope.tier() as usize;
        let before = next.revisions(scope).get(at).copied().unwrap_or_default();
        let revision = admit::revision(before.epoch, before.number + 1, source);
        let set = Arc::new(TierSet::new(members, &self.registry, revision));
        match scope {
            Scope::System => next.system = set,
            Scope::Organization(id) => {
                next.organizations.insert(id.clone(), Organization { set, chain: chain(scope).into() });
            }
            Scope::Application { application, .. } => {
                let known = next.applications.get(application);
                if known.is_some_and(|a| a.scope != *scope) {
                    return Err(SetError::one(
                        &scope.to_string(),
                        "an application of this name belongs to another organization",
                    ));
                }
                let chain = chain(scope).into();
                next.applications
                    .insert(application.clone(), Application { scope: scope.clone(), forbids: set, chain });
            }
        }
        self.current.store(Arc::new(next));
        Ok(Activation { revision, before, warnings })
    }

    /// Checks a set without activating it.
    ///
    /// # Errors
    /// As [`Engine::replace`].
    pub fn check(&self, scope: &Scope, source: &SetSource) -> Result<Vec<crate::registry::Finding>, SetError> {
        admit::admit(&self.registry, scope, source).map(|(_, warnings)| warnings)
    }

    /// The policies of a scope's set as formatted Cedar; those of the program for an application.
    pub fn cedar_of(&self, scope: &Scope) -> Vec<(Arc<str>, String)> {
        let snapshot = self.current.load();
        let sets: Vec<Arc<TierSet>> = match scope {
            Scope::System => vec![snapshot.system.clone()],
            Scope::Organization(id) => snapshot.organizations.get(id).map(|o| o.set.clone()).into_iter().collect(),
            Scope::Application { application, .. } => {
                let forbids = snapshot.applications.get(application).map(|a| a.forbids.clone());
                [snapshot.code.clone()].into_iter().chain(forbids).collect()
            }
        };
        sets.iter().flat_map(|set| set.members()).map(|m| (m.policy.id.clone(), m.cedar_text())).collect()
    }
}

impl Snapshot {
    fn revisions(&self, scope: &Scope) -> [Revision; 3] {
        let organization = scope.organization_id().and_then(|id| self.organizations.get(id));
        let application = scope.application_id().and_then(|id| self.applications.get(id));
        [
            self.system.revision,
            organization.map(|o| o.set.revision).unwrap_or_default(),
            application.map(|a| a.forbids.revision).unwrap_or_default(),
        ]
    }

    /// The sets to ask, after the structural checks that no policy can switch off.
    fn sets<'s>(&'s self, entry: &ActionEntry, request: &Request<'_>) -> Result<Sets<'s>, Denial> {
        let caller = request.participant.scope();
        if entry.tier != request.scope.tier()
            || !caller.covers(request.scope)
            || !entry.callers.contains(&caller.tier())
        {
            return Err(Denial::isolation(caller, request.scope, entry));
        }
        let organization = match request.scope.organization_id() {
            Some(id) => Some(self.organizations.get(id).ok_or_else(|| Denial::unknown_scope(request.scope))?),
            None => None,
        };
        let application = match request.scope.application_id() {
            Some(id) => {
                let known = self.applications.get(id).filter(|a| a.scope == *request.scope);
                Some(known.ok_or_else(|| Denial::unknown_scope(request.scope))?)
            }
            None => None,
        };
        let chain = match (application, organization) {
            (Some(application), _) => &application.chain,
            (None, Some(organization)) => &organization.chain,
            (None, None) => &self.system_chain,
        };
        Ok(Sets {
            code: entry.permit.is_some().then_some(&*self.code),
            system: &self.system,
            organization: organization.map(|o| &*o.set),
            application: application.map(|a| &*a.forbids),
            tier: entry.tier,
            chain,
        })
    }
}

/// The sets that one request is put to.
struct Sets<'s> {
    /// The program's own permits: they count as part of the tier that the action belongs to.
    code: Option<&'s TierSet>,
    system: &'s TierSet,
    organization: Option<&'s TierSet>,
    application: Option<&'s TierSet>,
    tier: Tier,
    chain: &'s [EntityUid],
}

impl<'s> Sets<'s> {
    fn tiers(&self) -> impl Iterator<Item = Tier> + use<> {
        let last = self.tier;
        Tier::ALL.into_iter().filter(move |tier| *tier <= last)
    }

    fn of(&self, tier: Tier) -> Option<&'s TierSet> {
        match tier {
            Tier::System => Some(self.system),
            Tier::Organization => self.organization,
            Tier::Application => self.application,
        }
    }

    fn revisions(&self) -> [Revision; 3] {
        let revision = |set: Option<&TierSet>| set.map(|s| s.revision).unwrap_or_default();
        [self.system.revision, revision(self.organization), revision(self.application)]
    }

    /// All sets that take part in a tier's answer.
    fn parts(&self, tier: Tier) -> impl Iterator<Item = &'s TierSet> + use<'s> {
        let code = if tier == self.tier { self.code } else { None };
        self.of(tier).into_iter().chain(code)
    }

    /// The sets of which each must have a satisfied permit. An application's own set only forbids.
    fn permitting(&self, tier: Tier) -> impl Iterator<Item = &'s TierSet> + use<'s> {
        let code = if tier == self.tier { self.code } else { None };
        let own = if tier == Tier::Application { None } else { self.of(tier) };
        own.into_iter().chain(code)
    }

    /// The first value that is not what the rules were checked against.
    fn misfit<'e>(&'e self, action: ActionId, env: &Env<'_>) -> Option<Misfit<'e>> {
        self.tiers().flat_map(|tier| self.parts(tier)).find_map(|set| set.misfit(action, env))
    }

    /// The number of a satisfied permit, when no forbid is satisfied or failed.
    fn quick(&self, tier: Tier, action: ActionId, env: &Env<'_>) -> Option<u32> {
        let own = self.of(tier)?;
        if !own.no_forbid(action, env) {
            return None;
        }
        let code = if tier == self.tier { self.code } else { None };
        match (tier, code) {
            // An application's own set only forbids; its permits are the program's.
            (Tier::Application, code) => code?.permit(action, env),
            (Tier::System | Tier::Organization, Some(code)) => code.permit(action, env).and(own.permit(action, env)),
            (Tier::System | Tier::Organization, None) => own.permit(action, env),
        }
    }
}

/// The facts of a request as conditions read them. `stranger` is a place for a caller whose own attributes do not count.
fn env<'a>(
    entry: &'a ActionEntry,
    request: &Request<'a>,
    chain: &'a [EntityUid],
    stranger: &'a mut Option<Participant>,
) -> Env<'a> {
    // A caller of another tier is no instance of the participant type that the service declares.
    let native = request.participant.scope().tier() == entry.tier;
    let principal = if native { &*entry.participant } else { platform::PARTICIPANT };
    let participant = if principal == &*entry.participant {
        request.participant
    } else {
        &*stranger.insert(request.participant.without_own_attributes())
    };
    let own = entry.resource.starts_with("Platform::");
    let (resource, parents) = match (&request.resource, chain.split_first()) {
        (Some(resource), _) => (EntityRef { kind: &entry.resource, id: resource.id }, chain),
        // The scope itself is not a member of itself.
        (None, Some((scope, above))) if own => (EntityRef::from(scope), above),
        (None, Some((scope, _))) => (EntityRef { kind: &entry.resource, id: scope.id() }, chain),
        (None, None) => (EntityRef { kind: &entry.resource, id: "" }, chain),
    };
    Env {
        principal: EntityRef { kind: principal, id: request.participant.uid_id() },
        principal_parents: request.participant.parents(),
        participant,
        action: EntityRef::from(&entry.uid),
        action_groups: &entry.groups,
        resource,
        resource_parents: parents,
        attributes: request.resource.map(|r| r.attributes),
        context: request.context,
        args: request.args,
    }
}

fn not_asked() -> [TierAnswer; 3] {
    [TierAnswer::NotAsked; 3]
}
