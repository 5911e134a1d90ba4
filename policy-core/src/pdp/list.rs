//! What may this participant do here: for user interfaces, which show a button only where it can work.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Engine;
use super::asked::Asked;
use super::stack::{Sets, Snapshot};
use crate::context::Context;
use crate::ir::code::Seen;
use crate::ir::{Path, Root};
use crate::name::{ActionName, Scope};
use crate::participant::{BUILT_IN, Participant};
use crate::registry::ActionEntry;
use crate::request::{ActionId, Request, Resource};
use crate::value::{Record as _, ValueRef};

/// Whether an action is open, as far as it can be told without arguments and without a resource.
///
/// ```
/// # use std::sync::Arc;
/// # use policy_core::context::{Context, Facts};
/// # use policy_core::pdp::Engine;
/// # use policy_core::registry::Registry;
/// # use policy_core::value::Millis;
/// # use policy_core::{Participant, Request, Scope};
/// # let engine = Engine::new(Arc::new(Registry::of(&[], &[]).unwrap())).unwrap();
/// # let operator = Participant::builder(Scope::System, "u-1").role("operator").build();
/// # let facts = Facts { mfa: true, ..Facts::default() };
/// # let request = Request { participant: &operator, action: engine.action("Platform.createOrganization").unwrap(),
/// #     scope: &Scope::System, resource: None, context: Context { time: Millis(0), facts: &facts }, args: &[] };
/// use policy_core::pdp::May;
///
/// assert_eq!(engine.may(&request), May::Always);
/// let visitor = Participant::builder(Scope::System, "u-2").build();
/// assert_eq!(engine.may(&Request { participant: &visitor, ..request }), May::Never);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "there are three answers")]
pub enum May {
    /// Whatever the arguments are.
    Always,
    /// It depends on them.
    Depends,
    /// Whatever the arguments are, no.
    Never,
}

/// An action and whether it is open.
///
/// ```
/// # use std::sync::Arc;
/// # use policy_core::context::{Context, Facts};
/// # use policy_core::pdp::Engine;
/// # use policy_core::registry::Registry;
/// # use policy_core::value::Millis;
/// # use policy_core::{Participant, Request, Scope};
/// # let engine = Engine::new(Arc::new(Registry::of(&[], &[]).unwrap())).unwrap();
/// # let operator = Participant::builder(Scope::System, "u-1").role("operator").build();
/// # let facts = Facts { mfa: true, ..Facts::default() };
/// # let request = Request { participant: &operator, action: engine.action("Platform.createOrganization").unwrap(),
/// #     scope: &Scope::System, resource: None, context: Context { time: Millis(0), facts: &facts }, args: &[] };
/// use policy_core::pdp::May;
///
/// let open = engine.possible(&operator, &Scope::System, request.context);
/// assert!(open.iter().any(|one| one.action.id() == "createOrganization" && one.may == May::Always));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Possible<'e> {
    /// The action's name.
    pub action: &'e ActionName,
    /// Whether it is open.
    pub may: May,
}

impl Engine {
    /// Every action of the scope's tier, and whether it is open to the participant.
    pub fn possible(&self, participant: &Participant, scope: &Scope, context: Context<'_>) -> Vec<Possible<'_>> {
        self.listed(participant, scope, context, None)
    }

    /// Every action on entities of a type (as Cedar names it), and whether it is open to the participant on this one.
    ///
    /// ```
    /// # use policy_core::pdp::Engine;
    /// # use policy_core::registry::Registry;
    /// # use policy_core::value::Value;
    /// # use policy_core::{Context, Facts, Participant, Resource, Scope};
    /// # use std::collections::BTreeMap;
    /// # let engine = Engine::new(Registry::of(&[], &[]).unwrap().into()).unwrap();
    /// # let alice = Participant::builder(Scope::System, "u-1").build();
    /// # let context = Context { time: policy_core::value::Millis(0), facts: &Facts::default() };
    /// let attributes: BTreeMap<std::sync::Arc<str>, Value> = BTreeMap::new();
    /// let photo = Resource { id: "p-1", attributes: &attributes };
    /// // Nothing is declared about photos here.
    /// assert!(engine.possible_on(&alice, &Scope::System, context, "shop::Photo", photo).is_empty());
    /// ```
    pub fn possible_on(
        &self,
        participant: &Participant,
        scope: &Scope,
        context: Context<'_>,
        kind: &str,
        resource: Resource<'_>,
    ) -> Vec<Possible<'_>> {
        self.listed(participant, scope, context, Some((kind, resource)))
    }

    fn listed(
        &self,
        participant: &Participant,
        scope: &Scope,
        context: Context<'_>,
        on: Option<(&str, Resource<'_>)>,
    ) -> Vec<Possible<'_>> {
        let (kind, resource) = (on.map(|(kind, _)| kind), on.map(|(_, resource)| resource));
        let (tier, caller) = (scope.tier(), participant.scope().tier());
        let meant = |entry: &ActionEntry| {
            entry.tier == tier && kind.is_none_or(|kind| entry.about_entity && *entry.resource == *kind)
        };
        self.current.read(|snapshot| {
            let stack = snapshot.stack(scope).filter(|_| participant.scope().covers(scope));
            let mut out = Vec::with_capacity(self.registry.len());
            for (action, entry) in self.registry.actions().filter(|(_, entry)| meant(entry)) {
                let sets = stack.and_then(|stack| snapshot.sets_within(entry, caller, stack));
                let request = Request { participant, action, scope, resource, context, args: &[] };
                let may = sets.map_or(May::Never, |sets| may(&sets, entry, &request, resource.is_some()));
                out.push(Possible { action: &entry.name, may });
            }
            out
        })
    }

    /// Whether the action is open when its arguments and its resource are not known yet; those of the request are not read.
    pub fn may(&self, request: &Request<'_>) -> May {
        let Some(entry) = self.registry.action(request.action) else { return May::Never };
        let sets = |snapshot: &Snapshot| {
            snapshot.sets(entry, request).map_or(May::Never, |sets| may(&sets, entry, request, false))
        };
        self.current.read(sets)
    }

    /// The attributes, but for built-in ones, that policies about the action read and that the participant does not have: whatever adds
    /// one of them may change the answer.
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
    /// assert!(engine.unknown_of(&request).is_empty(), "the platform's own rules read built-in attributes alone");
    /// ```
    pub fn unknown_of(&self, request: &Request<'_>) -> BTreeSet<Arc<str>> {
        let Some(entry) = self.registry.action(request.action) else { return BTreeSet::new() };
        self.current.read(|snapshot| {
            let mut out = BTreeSet::new();
            let Ok(sets) = snapshot.sets(entry, request) else { return out };
            let asked = Asked::new(entry, request, sets.stack);
            let mut visit = |path: &Path| {
                if let (Root::Participant, Some(slot)) = (&path.root, path.slots.first())
                    && BUILT_IN.field(&slot.name).is_none()
                    && matches!(request.participant.field(slot), ValueRef::Absent)
                {
                    out.insert(slot.name.clone());
                }
            };
            for set in sets.tiers().flat_map(|tier| sets.parts(tier)) {
                set.rows(&asked, &mut |member| {
                    if let Some(condition) = &member.policy.condition {
                        condition.each_path(&mut visit);
                    }
                });
            }
            out
        })
    }

    /// The action of a declaration's full dotted name.
    pub fn action(&self, full: &str) -> Option<ActionId> {
        self.registry().find(full)
    }
}

/// With `known`, the resource of the request is looked at.
fn may(sets: &Sets<'_>, entry: &ActionEntry, request: &Request<'_>, known: bool) -> May {
    let asked = Asked::new(entry, request, sets.stack);
    // What the request is about is known where it is a scope or a service, and not where it is an entity.
    let seen = Seen { uid: known || (request.resource.is_none() && !entry.about_entity), attributes: known };
    let (mut all, mut permitted) = (May::Always, false);
    for tier in sets.tiers() {
        for (set, permits) in sets.asked(tier) {
            permitted |= permits && tier == entry.tier;
            match set.allows(&asked, seen, permits) {
                Some(true) => {}
                Some(false) => return May::Never,
                None => all = May::Depends,
            }
        }
    }
    if permitted { all } else { May::Never }
}
