//! One question: may this principal do this action on this resource in this context.
//!
//! In: borrowed facts. Out: [`Request`]. Absent: the answer, and anything that owns.

use std::fmt;

use crate::context::Context;
use crate::name::Scope;
use crate::participant::Participant;
use crate::value::{Record, ValueRef};

/// An action that the registry knows, as a dense number of one engine.
///
/// ```
/// use policy_core::registry::Registry;
/// let registry = Registry::of(&[], &[]).unwrap();
/// let id = registry.find("Platform.createOrganization").unwrap();
/// assert_eq!(registry.action(id).unwrap().name.id(), "createOrganization");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionId(pub(crate) u32);

impl ActionId {
    /// The number, from 0: a place in a list of all actions.
    #[inline]
    pub const fn number(self) -> usize {
        self.0 as usize
    }
}

/// One question. Everything in it is borrowed; nothing is read that no rule reads.
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
/// assert!(engine.decide(&request).is_allowed());
/// ```
#[derive(Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "whoever asks must say all of it")]
pub struct Request<'a> {
    /// Who asks.
    pub participant: &'a Participant,
    /// For what.
    pub action: ActionId,
    /// The scope that the resource belongs to.
    pub scope: &'a Scope,
    /// The entity that the request is about; `None` for a service and for a free function.
    pub resource: Option<Resource<'a>>,
    /// The environment.
    pub context: Context<'a>,
    /// The arguments, in the order of the action's parameters.
    pub args: &'a [ValueRef<'a>],
}

/// An entity that a request is about.
///
/// ```
/// use std::collections::BTreeMap;
/// use std::sync::Arc;
/// use policy_core::Resource;
/// use policy_core::value::{Slot, Value, ValueRef};
///
/// let row: BTreeMap<Arc<str>, Value> = BTreeMap::from([("ownerId".into(), Value::text("u-1"))]);
/// let photo = Resource { id: "7", attributes: &row };
/// assert!(matches!(photo.attributes.field(&Slot::named("ownerId")), ValueRef::Text("u-1")));
/// ```
#[derive(Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "whoever asks must say all of it")]
pub struct Resource<'a> {
    /// Its id in its application.
    pub id: &'a str,
    /// Its attributes.
    pub attributes: &'a (dyn Record + Sync),
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("participant", &self.participant)
            .field("action", &self.action)
            .field("scope", &self.scope.to_string())
            .field("resource", &self.resource.map(|r| r.id))
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Resource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resource").field("id", &self.id).finish_non_exhaustive()
    }
}
