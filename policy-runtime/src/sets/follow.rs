//! A server that follows: it decides by the active sets, and denies when it cannot confirm that they are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use policy_core::Scope;
use policy_core::value::Millis;

use super::store::{Head, PolicySets, SetsError};
use crate::policy::Policy;

/// Whether a server knows that it decides by the active sets.
///
/// ```
/// use policy_runtime::sets::Currency;
/// assert_ne!(Currency::Current, Currency::Stale);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there are three answers")]
pub enum Currency {
    /// It was confirmed a moment ago.
    Current,
    /// The last attempts failed; the bound has not passed, and decisions are made by the last sets.
    Stale,
    /// The bound has passed: everything is denied.
    Denying,
}

/// Follows the active sets of the scopes that a policy decides for.
///
/// ```
/// # #[cfg(feature = "sqlite")]
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use std::time::Duration;
/// use policy_runtime::Policy;
/// use policy_runtime::database::{Database, DatabaseAddress};
/// use policy_runtime::sets::{Currency, Follower, PolicySets};
///
/// let policy = Policy::for_application("shop").unwrap();
/// let sets = PolicySets::new(Database::open(&DatabaseAddress::Memory).await.unwrap());
/// let follower = Follower::new(&policy, sets).bound(Duration::from_secs(30));
/// follower.confirm().await.unwrap(); // once before the first request
/// assert_eq!(follower.currency(), Currency::Current);
/// tokio::spawn(follower.run(Duration::from_secs(1)));
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct Follower {
    policy: Policy,
    sets: PolicySets,
    bound: Duration,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// What each scope's set was when it was put into the engine.
    loaded: HashMap<String, Head>,
    /// When the sets were last confirmed.
    confirmed: Option<Millis>,
    failing: bool,
}

impl Follower {
    /// Follows for a policy, with a bound of 30 seconds. Nothing is decided before the first [`Follower::confirm`].
    pub fn new(policy: &Policy, sets: PolicySets) -> Self {
        policy.engine().fresh_until(Millis(i64::MIN));
        Self { policy: policy.clone(), sets, bound: Duration::from_secs(30), state: Arc::default() }
    }

    /// Says for how long the server goes on deciding without a confirmation.
    #[must_use]
    pub const fn bound(mut self, time: Duration) -> Self {
        self.bound = time;
        self
    }

    /// Looks which sets are active, and takes those that are new. On success all is confirmed for the bound from now.
    ///
    /// # Errors
    /// When the database cannot be read, or an active set does not check against this program: the last ones go on deciding until
    /// the bound.
    pub async fn confirm(&self) -> Result<(), SetsError> {
        // From before the look: what is activated meanwhile is not confirmed by it.
        let now = self.policy.clock().now();
        let done = self.look().await;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.failing = done.is_err();
        if done.is_ok() {
            state.confirmed = Some(now);
            let bound = i64::try_from(self.bound.as_millis()).unwrap_or(i64::MAX);
            self.policy.engine().fresh_until(Millis(now.0.saturating_add(bound)));
        }
        done
    }

    async fn look(&self) -> Result<(), SetsError> {
        let application = self.policy.application().clone();
        for scope in [Scope::System, self.policy.organization(), application] {
            let Some(head) = self.sets.head(&scope).await?.filter(|head| head.active > 0) else { continue };
            let name = scope.to_string();
            let known = self.state.lock().unwrap_or_else(PoisonError::into_inner).loaded.get(&name).copied();
            if known == Some(head) {
                continue;
            }
            let version = self.sets.version(&scope, head.active).await?;
            self.policy.replace_as(&scope, &version.source, head.revision())?;
            tracing::info!(target: "policy", scope = name, version = version.number, author = version.author, "the set is followed");
            self.state.lock().unwrap_or_else(PoisonError::into_inner).loaded.insert(name, head);
        }
        Ok(())
    }

    /// Confirms again and again, until it is dropped.
    pub async fn run(self, every: Duration) {
        loop {
            if let Err(error) = self.confirm().await {
                tracing::error!(target: "policy", %error, currency = ?self.currency(), "the active sets are not confirmed");
            }
            tokio::time::sleep(every).await;
        }
    }

    /// Whether this server knows that it decides by the active sets.
    pub fn currency(&self) -> Currency {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let bound = i64::try_from(self.bound.as_millis()).unwrap_or(i64::MAX);
        let now = self.policy.clock().now();
        match state.confirmed {
            Some(at) if now.0.saturating_sub(at.0) > bound => Currency::Denying,
            None => Currency::Denying,
            Some(_) if state.failing => Currency::Stale,
            Some(_) => Currency::Current,
        }
    }
}
