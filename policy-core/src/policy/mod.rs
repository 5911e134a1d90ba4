//! A policy: an effect, whom and what it is about, and a condition.
//!
//! In: rules of annotations and of administrators. Out: [`Policy`], the unit that has an id. Absent: how it is evaluated.

use std::fmt;
use std::sync::Arc;

use crate::ir::Ir;
use crate::name::EntityUid;

/// What a policy says.
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

/// Which actions a policy is about.
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

/// One policy.
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
}
