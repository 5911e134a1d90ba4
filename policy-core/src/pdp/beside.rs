//! What a scope's set is checked beside the program: what other programs declare, and what waits for an administrator.
//!
//! In: registries of other programs. Out: [`Beside`], which says what a policy may name although this program lacks it, and
//! what of a policy is left to decide here. Absent: where registries come from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::set::Member;
use crate::cedar::Loaded;
use crate::ir::Ir;
use crate::name::EntityUid;
use crate::policy::{ActionConstraint, Constraint, Effect, Policy};
use crate::registry::Registry;

/// What stands beside a program where a scope's set is checked.
///
/// A policy about actions that only other programs have decides nothing here, and is checked there. A closed action is denied
/// in an application, whatever its policies say, until its list is empty.
///
/// ```
/// use policy_core::Scope;
/// use policy_core::pdp::{Beside, Engine, SetSource};
/// use policy_core::registry::Registry;
///
/// let engine = Engine::new(Registry::of(&[], &[]).unwrap().into()).unwrap();
/// let acme = Scope::organization("acme").unwrap();
/// let rule = ("mfa".to_owned(), "forbid com.example.Orders.place unless participant.mfa".to_owned());
/// let set = SetSource { rules: vec![rule], ..SetSource::default() };
/// assert!(engine.check(&acme, &set).is_err(), "nobody has that action");
///
/// let mut beside = Beside::default();
/// beside.add(engine.registry()); // of each other program
/// assert!(beside.closed().is_empty());
/// let read: Beside = serde_json::from_str(r#"{"actions": {"com::example::Action": ["Orders.place"]}}"#).unwrap();
/// beside.join(&read);
/// beside.leave_out(&Beside::default());
/// engine.set_beside(&acme, beside.close(["com.example.Orders.place"]));
/// assert!(engine.check(&acme, &set).is_ok(), "another program has it");
/// assert!(engine.check_beside(&acme, &set, &Beside::default()).is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Beside {
    /// Actions and groups, by the Cedar type of their uids.
    actions: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    /// Entity types.
    types: BTreeSet<Arc<str>>,
    /// Full names of actions that are denied.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    closed: BTreeSet<Arc<str>>,
}

impl Beside {
    /// Adds what another program declares.
    pub fn add(&mut self, other: &Registry) {
        for uid in other.uids().filter(|uid| uid.kind() != PLATFORM) {
            self.actions.entry(uid.kind().into()).or_default().insert(uid.id().into());
        }
        let types = other.model().entities.iter().map(|entity| entity.name.clone());
        self.types.extend(types.filter(|name| !name.starts_with("Platform::")));
    }

    /// Adds what stands beside another one.
    pub fn join(&mut self, other: &Self) {
        for (kind, ids) in &other.actions {
            self.actions.entry(kind.clone()).or_default().extend(ids.iter().cloned());
        }
        self.types.extend(other.types.iter().cloned());
        self.closed.extend(other.closed.iter().cloned());
    }

    /// Takes away what stands beside another one.
    pub fn leave_out(&mut self, other: &Self) {
        for (kind, ids) in &other.actions {
            if let Some(own) = self.actions.get_mut(kind) {
                own.retain(|id| !ids.contains(id));
            }
        }
        self.types.retain(|name| !other.types.contains(name));
    }

    /// Denies actions of the application, by their full names.
    #[must_use]
    pub fn close<'a>(mut self, actions: impl IntoIterator<Item = &'a str>) -> Self {
        self.closed.extend(actions.into_iter().map(Arc::from));
        self
    }

    /// The actions that are denied.
    pub const fn closed(&self) -> &BTreeSet<Arc<str>> {
        &self.closed
    }

    fn has(&self, uid: &EntityUid) -> bool {
        self.actions.get(uid.kind()).is_some_and(|ids| ids.contains(uid.id()))
    }

    /// The uids that other programs have, for targets and for names that are near.
    pub(super) fn uids(&self) -> impl Iterator<Item = EntityUid> {
        self.actions.iter().flat_map(|(kind, ids)| ids.iter().map(move |id| EntityUid::new(kind, id)))
    }

    /// What of a constraint is to be decided here; `None` where that is nothing, because other programs have it or it is closed.
    pub(super) fn here(&self, registry: &Registry, action: &ActionConstraint) -> Option<ActionConstraint> {
        if self.actions.is_empty() && self.closed.is_empty() {
            return Some(action.clone());
        }
        let uids = match action {
            ActionConstraint::Any => return Some(ActionConstraint::Any),
            ActionConstraint::Eq(uid) => std::slice::from_ref(uid),
            ActionConstraint::In(uids) => uids,
        };
        let is_here = |uid: &&EntityUid| {
            let mut own = registry.by_uid(uid).into_iter().chain(registry.members(uid).iter().copied()).peekable();
            // What nobody has is told by the validator.
            (own.peek().is_none() && !self.has(uid))
                || own.filter_map(|id| registry.action(id)).any(|entry| !self.is_closed(&entry.name.to_string()))
        };
        let left: Vec<EntityUid> = uids.iter().filter(is_here).cloned().collect();
        match left.len() {
            all if all == uids.len() => Some(action.clone()),
            0 => None,
            _ => Some(ActionConstraint::In(left)),
        }
    }

    /// Whether a policy is about entities of a type that only other programs have.
    pub(super) fn is_foreign(&self, registry: &Registry, constraint: &Constraint) -> bool {
        let kind = match constraint {
            Constraint::Any => return false,
            Constraint::Is(kind) | Constraint::IsIn(kind, _) => &**kind,
            Constraint::Eq(uid) | Constraint::In(uid) => uid.kind(),
        };
        self.types.contains(kind) && registry.model().entities.iter().all(|entity| &*entity.name != kind)
    }

    fn is_closed(&self, action: &str) -> bool {
        self.closed.contains(action)
    }

    /// A Cedar policy, as far as it is to be decided here.
    pub(super) fn narrow(&self, registry: &Registry, mut one: Loaded) -> Result<Loaded, Box<Member>> {
        let foreign =
            self.is_foreign(registry, &one.policy.principal) || self.is_foreign(registry, &one.policy.resource);
        let here = if foreign { None } else { self.here(registry, &one.policy.action) };
        match here {
            None => {
                let text = one.text();
                Err(Box::new(idle(one.policy, text)))
            }
            Some(here) => {
                if here != one.policy.action {
                    one.narrow(here);
                }
                Ok(one)
            }
        }
    }

    /// What denies the closed actions.
    pub(super) fn closing(&self, registry: &Registry) -> Option<Member> {
        let closed = self.closed.iter().filter_map(|name| registry.action(registry.find(name)?));
        let closed: Vec<EntityUid> = closed.map(|entry| entry.uid.clone()).collect();
        let policy = Policy {
            id: "manifest.unaccepted".into(),
            effect: Effect::Forbid,
            principal: Constraint::Any,
            action: ActionConstraint::In(closed.clone()),
            resource: Constraint::Any,
            condition: Some(Ir::And(Vec::new())),
            annotations: vec![(
                "rule".into(),
                "an administrator of the organization has not accepted what the program declares".into(),
            )],
        };
        (!closed.is_empty()).then(|| Member { policy, fallback: None, rules: Vec::new(), written: None })
    }
}

/// A policy that decides nothing in this program, and is shown as it was written.
pub(super) fn idle(policy: Policy, written: Arc<str>) -> Member {
    let policy = Policy { action: ActionConstraint::In(Vec::new()), condition: None, ..policy };
    Member { policy, fallback: None, rules: Vec::new(), written: Some(written) }
}

/// The type of the platform's own actions, which every program has.
const PLATFORM: &str = "Platform::Action";
