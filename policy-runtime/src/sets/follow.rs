//! A server that follows: it decides by the active sets, and denies when it cannot confirm that they are.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use policy_core::Scope;
use policy_core::pdp::SetSource;
use policy_core::value::Millis;

use super::store::{Head, PolicySets, SetsError};
use crate::database::DatabaseError;
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
#[derive(Clone)]
pub struct Follower {
    policy: Policy,
    sets: PolicySets,
    scopes: Option<Arc<Scopes>>,
    bound: Duration,
    state: Arc<Mutex<State>>,
}

type Scopes = dyn Fn() -> BoxFuture<'static, Result<Vec<Scope>, DatabaseError>> + Send + Sync;

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower").field("bound", &self.bound).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct State {
    /// What each scope's set was when it was put into the engine.
    loaded: HashMap<String, Head>,
    /// Scopes whose active set does not check against this program, and since when.
    unusable: HashMap<String, Millis>,
    /// When the sets were last confirmed.
    confirmed: Option<Millis>,
    failing: bool,
}

/// What decides for a scope whose active set cannot be used: nothing is allowed there, and elsewhere all goes on.
const CLOSED: &str = "@id(\"closed\") forbid (principal, action, resource);";

impl Follower {
    /// Follows for a policy, with a bound of 30 seconds. Nothing is decided before the first [`Follower::confirm`].
    pub fn new(policy: &Policy, sets: PolicySets) -> Self {
        policy.engine().fresh_until(Millis(i64::MIN));
        Self { policy: policy.clone(), sets, scopes: None, bound: Duration::from_secs(30), state: Arc::default() }
    }

    /// Says for how long the server goes on deciding without a confirmation.
    #[must_use]
    pub const fn bound(mut self, time: Duration) -> Self {
        self.bound = time;
        self
    }

    /// Serves the scopes that this answers, too: what another server has made is served by this one with the next look.
    #[must_use]
    pub fn scopes(
        mut self,
        all: impl Fn() -> BoxFuture<'static, Result<Vec<Scope>, DatabaseError>> + Send + Sync + 'static,
    ) -> Self {
        self.scopes = Some(Arc::new(all));
        self
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bound_ms(&self) -> i64 {
        i64::try_from(self.bound.as_millis()).unwrap_or(i64::MAX)
    }

    /// Looks which sets are active, and takes those that are new. On success all is confirmed for the bound from now.
    ///
    /// # Errors
    /// When the database cannot be read: the last sets go on deciding until the bound. When the active set of one scope does not
    /// check against this program: that scope's last one goes on until the bound, then everything is denied there; the others
    /// are confirmed.
    pub async fn confirm(&self) -> Result<(), SetsError> {
        // From before the look: what is activated meanwhile is not confirmed by it.
        let now = self.policy.clock().now();
        let done = self.look(now).await;
        let mut state = self.state();
        state.failing = !matches!(done, Ok(None));
        if done.is_ok() {
            state.confirmed = Some(now);
            self.policy.engine().fresh_until(Millis(now.0.saturating_add(self.bound_ms())));
        }
        drop(state);
        done?.map_or(Ok(()), Err)
    }

    /// Answers what is wrong with the last set that cannot be used.
    async fn look(&self, now: Millis) -> Result<Option<SetsError>, SetsError> {
        if let Some(scopes) = &self.scopes {
            for scope in scopes().await? {
                if !self.policy.engine().knows(&scope) {
                    self.policy.add(&scope)?;
                }
            }
        }
        let mut problem = None;
        for (name, head) in self.sets.heads().await? {
            let Ok(scope) = name.parse::<Scope>() else { continue };
            if !self.policy.engine().knows(&scope) || self.state().loaded.get(&name) == Some(&head) {
                continue;
            }
            match self.take(&scope, head).await {
                Ok(()) => {
                    let mut state = self.state();
                    state.unusable.remove(&name);
                    state.loaded.insert(name, head);
                }
                Err(SetsError::Database(error)) => return Err(error.into()),
                Err(error) => {
                    let since = *self.state().unusable.entry(name.clone()).or_insert(now);
                    if now.0.saturating_sub(since.0) > self.bound_ms() {
                        let closed =
                            SetSource { cedar: vec![("closed.cedar".into(), CLOSED.into())], ..SetSource::default() };
                        self.policy.replace_as(&scope, &closed, head.revision())?;
                    }
                    tracing::error!(target: "policy", scope = name, %error, "the active set cannot be used");
                    problem = Some(error);
                }
            }
        }
        Ok(problem)
    }

    async fn take(&self, scope: &Scope, head: Head) -> Result<(), SetsError> {
        let version = self.sets.version(scope, head.active).await?;
        self.policy.replace_as(scope, &version.source, head.revision())?;
        tracing::info!(target: "policy", %scope, version = version.number, author = version.author, "the set is followed");
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
        let state = self.state();
        let now = self.policy.clock().now();
        match state.confirmed {
            Some(at) if now.0.saturating_sub(at.0) > self.bound_ms() => Currency::Denying,
            None => Currency::Denying,
            Some(_) if state.failing => Currency::Stale,
            Some(_) => Currency::Current,
        }
    }
}
