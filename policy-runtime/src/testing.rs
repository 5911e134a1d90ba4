//! For tests of programs that use this crate: a caller without a sign-in, and assertions that name the clause.
//!
//! ```
//! use policy_runtime::{SecurityContext, assert_denied};
//! # use policy_runtime::{abac_policy, Denied};
//! #[abac_policy(participant.roles contains "finance" and amount < 50_000)]
//! fn pay(amount: i64) -> Result<(), Denied> {
//!     Ok(())
//! }
//!
//! let alice = SecurityContext::test().id("alice").role("finance");
//! assert!(alice.run(|| pay(100)).is_ok());
//! assert_denied!(alice.run(|| pay(50_000)), clause = "amount < 50000");
//! ```

#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod oracle;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod scratch;

use std::ops::Deref;
use std::sync::OnceLock;

use policy_core::participant::ParticipantBuilder;
use policy_core::value::Value;
use policy_core::{Facts, Participant};

#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use self::{
    oracle::{Oracle, assert_lists_agree},
    scratch::Scratch,
};
use crate::policy::{Policy, PolicyError, last};
use crate::security::SecurityContext;

/// A caller for tests; use it wherever a [`SecurityContext`] is wanted.
///
/// ```
/// use policy_core::value::Value;
/// use policy_runtime::{Policy, SecurityContext};
/// let policy = Policy::for_application("shop")?;
/// let alice = SecurityContext::test().policy(&policy).id("alice").role("clerk").email("a@example.com").mfa();
/// let alice = alice.attribute("level", Value::Long(3)).context("region", Value::text("eu"));
/// assert_eq!(alice.participant().id(), "alice");
/// # Ok::<(), policy_runtime::PolicyError>(())
/// ```
#[derive(Debug, Clone)]
pub struct TestContext {
    builder: ParticipantBuilder,
    policy: Policy,
    facts: Facts,
    built: SecurityContext,
}

impl Deref for TestContext {
    type Target = SecurityContext;

    fn deref(&self) -> &SecurityContext {
        &self.built
    }
}

impl SecurityContext {
    /// Starts a caller for tests: nobody in particular, in the application `test`, under the program's own policies and the
    /// shipped baselines.
    ///
    /// # Panics
    /// When the program's policies do not validate; the message says which.
    pub fn test() -> TestContext {
        static POLICY: OnceLock<Result<Policy, PolicyError>> = OnceLock::new();
        match POLICY.get_or_init(|| Policy::for_application("test")) {
            Ok(policy) => TestContext::new(policy.clone()),
            #[expect(clippy::panic, reason = "a test of a program whose policies do not validate has to fail")]
            Err(e) => panic!("{e}"),
        }
    }
}

impl TestContext {
    fn new(policy: Policy) -> Self {
        let builder = Participant::builder(policy.application().clone(), "test");
        let built = SecurityContext::new(&policy, builder.clone().build().into());
        Self { builder, policy, facts: Facts::default(), built }
    }

    fn with(mut self, change: impl FnOnce(ParticipantBuilder) -> ParticipantBuilder) -> Self {
        self.builder = change(self.builder);
        self.rebuilt()
    }

    fn rebuilt(mut self) -> Self {
        let participant = self.builder.clone().build();
        self.facts.mfa = participant.mfa();
        self.built = SecurityContext::new(&self.policy, participant.into()).with_facts(self.facts.clone());
        self
    }

    /// Sets the id.
    #[must_use]
    pub fn id(self, id: &str) -> Self {
        self.with(|b| b.id(id))
    }

    /// Adds a role.
    #[must_use]
    pub fn role(self, role: &str) -> Self {
        self.with(|b| b.role(role))
    }

    /// Sets an attribute of the application's own.
    #[must_use]
    pub fn attribute(self, name: &str, value: Value) -> Self {
        self.with(|b| b.attribute(name, value))
    }

    /// Sets an e-mail address.
    #[must_use]
    pub fn email(self, email: &str) -> Self {
        self.with(|b| b.email(email))
    }

    /// Says that a second factor was used.
    #[must_use]
    pub fn mfa(self) -> Self {
        self.with(|b| b.mfa(true))
    }

    /// Decides under these policies.
    #[must_use]
    pub fn policy(mut self, policy: &Policy) -> Self {
        self.policy = policy.clone();
        let scope = policy.application().clone();
        self.with(|b| b.scope(scope))
    }

    /// Sets an attribute of the request's context.
    #[must_use]
    pub fn context(mut self, name: &str, value: Value) -> Self {
        self.facts.attributes.insert(name, value);
        self.rebuilt()
    }
}

/// Fails a test when a policy of the program does not validate, and lists what is wrong. One line in a project's tests:
///
/// ```
/// policy_runtime::testing::assert_policies_valid();
/// ```
///
/// # Panics
/// When a policy does not validate.
pub fn assert_policies_valid() {
    if let Err(e) = Policy::for_application("test") {
        #[expect(clippy::panic, reason = "this is an assertion")]
        {
            panic!("{e}");
        }
    }
}

#[doc(hidden)]
pub fn forget() {
    let _ = last::take();
}

#[doc(hidden)]
#[expect(clippy::panic, reason = "this is an assertion")]
#[track_caller]
pub fn check_denied(refused: bool, clause: Option<&str>) {
    let last = last::take();
    match (refused, last, clause) {
        (false, _, _) => panic!("the call was allowed"),
        (true, None, _) => panic!("the call failed, but no policy refused it on this thread"),
        (true, Some(denial), Some(clause)) if denial.clause.as_deref() != Some(clause) => panic!(
            "the call was denied by another clause\n  expected: {clause}\n  found:    {}\n  because:  {}",
            denial.clause.as_deref().unwrap_or("-"),
            denial.message,
        ),
        (true, Some(_), _) => {}
    }
}

/// Asserts that a policy refused a call, and by which clause. The call runs on this thread (or is awaited in its test).
///
/// ```
/// use policy_runtime::{Denied, SecurityContext, abac_policy, assert_denied};
///
/// #[abac_policy(participant.roles contains "finance")]
/// fn pay() -> Result<(), Denied> {
///     Ok(())
/// }
/// let bob = SecurityContext::test().id("bob").role("support");
/// assert_denied!(bob.run(pay));
/// assert_denied!(bob.run(pay), clause = "participant.roles contains 'finance'");
/// ```
#[macro_export]
macro_rules! assert_denied {
    ($call:expr $(,)?) => {{
        $crate::testing::forget();
        let refused = ::core::result::Result::is_err(&$call);
        $crate::testing::check_denied(refused, ::core::option::Option::None);
    }};
    ($call:expr, clause = $clause:expr $(,)?) => {{
        $crate::testing::forget();
        let refused = ::core::result::Result::is_err(&$call);
        $crate::testing::check_denied(refused, ::core::option::Option::Some($clause));
    }};
}
