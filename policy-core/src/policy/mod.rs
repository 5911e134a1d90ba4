//! A policy: an effect, whom and what it is about, and a condition.
//!
//! In: rules of annotations and of administrators. Out: [`Policy`], the unit that has an id. Absent: how it is evaluated.

use std::fmt;
use std::sync::Arc;

use crate::ir::Ir;
use crate::ir::eval::{EntityRef, Env, EvalError, holds};
use crate::name::EntityUid;

/// What a policy says.
///
/// ```
/// use policy_core::policy::Effect;
/// assert_eq!(Effect::Forbid.to_string(), "forbid");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "Cedar has these two")]
pub enum Effect {
    /// Access is given where the condition is true.
    Permit,
    /// Access is refused where the condition is true, or cannot be told.
    Forbid,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Permit => "permit",
            Self::Forbid => "forbid",
        })
    }
}

/// Whom or what a policy is about.
///
/// ```
/// use policy_core::EntityUid;
/// use policy_core::ir::eval::EntityRef;
/// use policy_core::policy::Constraint;
/// let admins = EntityUid::new("Platform::Role", "org:acme/admin");
/// let alice = EntityRef { kind: "Platform::Participant", id: "org:acme/u-1" };
/// assert!(Constraint::In(admins.clone()).admits(alice, std::slice::from_ref(&admins)));
/// assert!(!Constraint::Eq(admins).admits(alice, &[]));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "Cedar has these")]
pub enum Constraint {
    /// Anything.
    Any,
    /// `== uid`
    Eq(EntityUid),
    /// `in uid`
    In(EntityUid),
    /// `is Type`
    Is(Arc<str>),
    /// `is Type in uid`
    IsIn(Arc<str>, EntityUid),
}

impl Constraint {
    /// Whether an entity with these parents is meant.
    pub fn admits(&self, own: EntityRef<'_>, parents: &[EntityUid]) -> bool {
        let is = |uid: &EntityUid| own.id == uid.id() && own.kind == uid.kind();
        let within = |uid: &EntityUid| is(uid) || parents.contains(uid);
        match self {
            Self::Any => true,
            Self::Eq(uid) => is(uid),
            Self::In(uid) => within(uid),
            Self::Is(kind) => *own.kind == **kind,
            Self::IsIn(kind, uid) => *own.kind == **kind && within(uid),
        }
    }
}

/// Which actions a policy is about.
///
/// ```
/// use policy_core::EntityUid;
/// use policy_core::ir::eval::EntityRef;
/// use policy_core::policy::ActionConstraint;
/// let group = EntityUid::new("com::example::Action", "Photo.allRead");
/// let find = EntityRef { kind: "com::example::Action", id: "Photo.findAll" };
/// assert!(ActionConstraint::In(vec![group.clone()]).admits(find, &[group]));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "Cedar has these")]
pub enum ActionConstraint {
    /// Any action.
    Any,
    /// `== uid`
    Eq(EntityUid),
    /// `in uid` or `in [uid, ..]`: these actions and those of these groups.
    In(Vec<EntityUid>),
}

impl ActionConstraint {
    /// Whether an action in these groups is meant.
    pub fn admits(&self, own: EntityRef<'_>, groups: &[EntityUid]) -> bool {
        let is = |uid: &EntityUid| own.id == uid.id() && own.kind == uid.kind();
        match self {
            Self::Any => true,
            Self::Eq(uid) => is(uid),
            Self::In(uids) => uids.iter().any(|uid| is(uid) || groups.contains(uid)),
        }
    }
}

/// One policy.
///
/// ```
/// use policy_core::{cedar, model::Model};
/// let schema = cedar::schema(&Model::default()).unwrap();
/// let text = r#"@id("mfa") @reason("audit") forbid (principal, action, resource) unless { principal.mfa };"#;
/// let policy = &cedar::load(text, "a.cedar", &schema).unwrap()[0].policy;
/// assert_eq!((&*policy.id, policy.annotation("reason")), ("mfa", Some("audit")));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Unique in its tier's set.
    pub id: Arc<str>,
    /// Permit or forbid.
    pub effect: Effect,
    /// Whom it is about.
    pub principal: Constraint,
    /// Which actions.
    pub action: ActionConstraint,
    /// Which resources.
    pub resource: Constraint,
    /// The condition, lowered; `None` when a part of it is not lowered, so that Cedar itself decides the policy.
    pub condition: Option<Ir>,
    /// Other annotations, `@source` and `@rule` among them, in order of name.
    pub annotations: Vec<(Arc<str>, Arc<str>)>,
}

impl Policy {
    /// The text of an annotation.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.iter().find(|(n, _)| &**n == name).map(|(_, text)| &**text)
    }

    /// Whether the principal, the action and the resource are those that the policy is about.
    pub(crate) fn is_about(&self, env: &Env<'_>) -> bool {
        self.principal.admits(env.principal, env.principal_parents)
            && self.action.admits(env.action, env.action_groups)
            && self.resource.admits(env.resource, env.resource_parents)
    }

    /// Whether the policy is satisfied, where its condition is lowered: `None` where Cedar has to be asked.
    ///
    /// # Errors
    /// As [`holds`].
    ///
    /// ```
    /// use policy_core::ir::eval::{EntityRef, Env};
    /// use policy_core::policy::{ActionConstraint, Constraint, Effect, Policy};
    /// use policy_core::{Context, Facts, Participant, Scope, value::Millis};
    /// let alice = Participant::builder(Scope::System, "u-1").build();
    /// let uid = EntityRef { kind: "Platform::System", id: "system" };
    /// let env = Env { principal: uid, principal_parents: &[], participant: (&alice).into(), action: uid, action_groups: &[], resource: uid,
    ///     resource_parents: &[], attributes: None, context: Context { time: Millis(0), facts: &Facts::default() }, args: &[] };
    /// let policy = Policy { id: "p".into(), effect: Effect::Permit, principal: Constraint::Any, action: ActionConstraint::Any,
    ///     resource: Constraint::Any, condition: None, annotations: vec![] };
    /// assert_eq!(policy.satisfied(&env), None, "Cedar has to be asked");
    /// ```
    pub fn satisfied(&self, env: &Env<'_>) -> Option<Result<bool, EvalError>> {
        let condition = self.condition.as_ref()?;
        Some(if self.is_about(env) { holds(condition, env) } else { Ok(false) })
    }
}
