//! The answer to a request, with what made it so.
//!
//! In: nothing. Out: [`Decision`]: small and without allocation when it allows, with reasons when it denies. Absent: what
//! the caller is told of it, which is less.

use std::fmt;
use std::sync::Arc;

use crate::name::Tier;

/// Which version of a tier's policy set decided. Never reused, also after a restore: that starts a new epoch.
///
/// ```
/// use policy_core::Revision;
/// let first = Revision { epoch: 0, number: 1, hash: 0xabc };
/// assert_eq!(first.to_string(), "0.1-00000abc");
/// assert!(first < Revision { epoch: 1, number: 1, hash: 0 }, "a restore starts a new epoch");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Revision {
    /// When it began, where revisions were given out anew: at the start of a process that keeps none, and after a restore. 0 for
    /// what a scope begins with, which only its content tells apart.
    pub epoch: u64,
    /// Counts activations within the epoch, from 1; 0 means that there is no set.
    pub number: u64,
    /// A hash of the set's content.
    pub hash: u64,
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}-{:08x}", self.epoch, self.number, self.hash & 0xffff_ffff)
    }
}

/// What one tier answered.
///
/// ```
/// use policy_core::TierAnswer;
/// assert_eq!(format!("{:>4}{:>4}", TierAnswer::Allow, TierAnswer::Deny), " yes  NO");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[expect(clippy::exhaustive_enums, reason = "a tier is asked or not, and answers yes or no")]
pub enum TierAnswer {
    /// The tier was not asked: the request does not reach it.
    #[default]
    NotAsked,
    /// A permit is satisfied and no forbid.
    Allow,
    /// Anything else.
    Deny,
}

impl fmt::Display for TierAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NotAsked => "-",
            Self::Allow => "yes",
            Self::Deny => "NO",
        })
    }
}

/// The answer.
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
/// use policy_core::Decision;
///
/// match engine.decide(&request) {
///     Decision::Allow(allowed) => assert_eq!(allowed.revisions[0].number, 1),
///     Decision::Deny(denial) => panic!("{}", denial.message),
/// }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "an answer allows or denies")]
pub enum Decision {
    /// Every tier allows.
    Allow(Allowed),
    /// At least one tier does not, or the question never came to a tier.
    Deny(Box<Denial>),
}

impl Decision {
    /// Whether it allows.
    pub const fn is_allowed(&self) -> bool {
        matches!(self, Self::Allow(_))
    }

    /// The denial, if it is one.
    pub fn denial(&self) -> Option<&Denial> {
        match self {
            Self::Allow(_) => None,
            Self::Deny(denial) => Some(denial),
        }
    }
}

/// What allowed.
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
/// use policy_core::{Decision, Tier};
///
/// let Decision::Allow(allowed) = engine.decide(&request) else { panic!("an operator may") };
/// let permit = engine.policy_id(&Scope::System, &allowed, Tier::System).unwrap();
/// assert!(!permit.is_empty());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Allowed {
    /// The revisions that were asked, from System down.
    pub revisions: [Revision; 3],
    /// For each tier that was asked, the number of the first satisfied permit in its set: see `Engine::policy_id`.
    pub permits: [Option<u32>; 3],
}

/// Why a request is denied, in classes that stay.
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
/// use policy_core::decision::DenialKind;
///
/// let stranger = Participant::builder(Scope::organization("acme").unwrap(), "u-2").build();
/// let decision = engine.decide(&Request { participant: &stranger, ..request });
/// assert_eq!(decision.denial().unwrap().kind, DenialKind::Isolation);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DenialKind {
    /// The participant's scope never reaches the resource's scope.
    Isolation,
    /// The engine has no such action.
    UnknownAction,
    /// The engine has no policy set for the resource's organization or application.
    UnknownScope,
    /// The sets have not been confirmed to be the active ones for longer than the bound.
    Stale,
    /// A value that a rule reads cannot be held by its kind.
    Unusable,
    /// A forbid is satisfied.
    Forbidden,
    /// No permit is satisfied.
    NotPermitted,
    /// A forbid could not be decided.
    ForbidFailed,
    /// Cedar, which was asked too, does not say the same.
    Disagreement,
}

/// What denied, for logs, audit and `explain`; a caller is told only a code and an id.
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
/// let visitor = Participant::builder(Scope::System, "u-2").build();
/// let decision = engine.decide(&Request { participant: &visitor, ..request });
/// let denial = decision.denial().unwrap();
/// assert_eq!(denial.tier, Some(policy_core::Tier::System));
/// assert!(!denial.is_forbidden(), "nothing permits it: {}", denial.message);
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Denial {
    /// The class.
    pub kind: DenialKind,
    /// The first tier that denied.
    pub tier: Option<Tier>,
    /// The policy that made it so, when it is one.
    pub policy: Option<Arc<str>>,
    /// Where the policy was written: a file and line, or a policy file.
    pub source: Option<Arc<str>>,
    /// The clause that was not as needed: `order.amount < 50000`.
    pub clause: Option<String>,
    /// The clause's attributes and their values, secrets redacted.
    pub values: Vec<Observed>,
    /// One line for people: the clause and its values, or what else was wrong.
    pub message: String,
    /// Policies that could not be decided, with why: an erroring permit does not count, an erroring forbid denies.
    pub errors: Vec<(Arc<str>, String)>,
    /// What each tier answered, from System down.
    pub tiers: [TierAnswer; 3],
    /// The revisions that were asked, from System down.
    pub revisions: [Revision; 3],
}

impl Denial {
    /// Whether a forbid made it so, rather than the lack of a satisfied permit.
    pub const fn is_forbidden(&self) -> bool {
        matches!(self.kind, DenialKind::Forbidden | DenialKind::ForbidFailed)
    }
}

/// An attribute that a clause read.
///
/// ```
/// use policy_core::decision::Observed;
/// let seen = Observed::new("order.amount", "72000");
/// assert_eq!(format!("{} is {}", seen.path, seen.value), "order.amount is 72000");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Observed {
    /// As the rule wrote it: `order.amount`.
    pub path: String,
    /// Its value as a rule would write it, `absent`, or `(secret)`.
    pub value: String,
}

impl Observed {
    /// Makes an observation.
    pub fn new(path: impl Into<String>, value: impl Into<String>) -> Self {
        Self { path: path.into(), value: value.into() }
    }
}
