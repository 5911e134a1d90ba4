//! A server that follows: it decides by the active sets, and denies when it cannot confirm that they are.
//!
//! An activation is announced where the database can do that, and what is announced is only that it is time to look: what a
//! server decides by, and that this is the active revision, it reads from the tables. It looks now and then in any case, so
//! that a lost announcement costs time and nothing else.
//!
//! The bound is measured by two clocks. The one that people set tells a request when it is too late to be decided, and notices
//! that a machine was asleep; the steady one goes on when the other is set back. Whichever comes first denies, and the next
//! look ends it.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::num::NonZero;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::{self, BoxFuture};
use futures_util::stream;
use policy_core::Scope;
use policy_core::pdp::SetSource;
use policy_core::value::Millis;

use super::currency::Currency;
use super::store::{FIRST, Head, PolicySets, SetVersion, SetsError, load};
use crate::clock::Moment;
use crate::database::{DatabaseError, Listener};
use crate::policy::Policy;

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
/// let follower = Follower::new(&policy, sets).bound(Duration::from_secs(30)).report_stale(true);
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
    reports: bool,
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
    unusable: HashMap<String, Moment>,
    /// When the sets were last confirmed.
    confirmed: Option<Moment>,
    failing: bool,
    /// Scopes whose sets are to be loaded again.
    again: HashSet<Scope>,
}

/// What decides for a scope whose active set cannot be used: nothing is allowed there, and elsewhere all goes on.
const CLOSED: &str = "@id(\"closed\") forbid (principal, action, resource);";

impl Follower {
    /// Follows for a policy, with a bound of 30 seconds. Nothing is decided before the first [`Follower::confirm`].
    pub fn new(policy: &Policy, sets: PolicySets) -> Self {
        policy.engine().fresh_until(Millis(i64::MIN));
        Self {
            policy: policy.clone(),
            sets,
            scopes: None,
            bound: Duration::from_secs(30),
            reports: true,
            state: Arc::default(),
        }
    }

    /// Says for how long the server goes on deciding without a confirmation.
    #[must_use]
    pub const fn bound(mut self, time: Duration) -> Self {
        self.bound = time;
        self
    }

    /// Says whether [`Policy::is_stale`] tells that the last look has failed. Beyond the bound everything is denied in any case.
    #[must_use]
    pub const fn report_stale(mut self, reports: bool) -> Self {
        self.reports = reports;
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

    fn now(&self) -> Moment {
        Moment::of(&**self.policy.clock())
    }

    /// How much of the bound is left since a moment, by the steady clock.
    fn left(&self, since: Moment) -> Duration {
        self.bound.saturating_sub(self.now().steady.saturating_sub(since.steady))
    }

    fn is_over(&self, since: Moment) -> bool {
        self.left(since).is_zero() || self.now().wall.0.saturating_sub(since.wall.0) > self.bound_ms()
    }

    /// Looks which sets are active, and takes those that are new. On success all is confirmed for the bound from now.
    ///
    /// # Errors
    /// When the database cannot be read, or has gone back behind what this server decides by: the last sets go on deciding until
    /// the bound. When the active set of one scope does not check against this program: that scope's last one goes on until the
    /// bound, then everything is denied there, and at once where this server has none; the others are confirmed.
    pub async fn confirm(&self) -> Result<(), SetsError> {
        // From before the look: what is activated meanwhile is not confirmed by it.
        let now = self.now();
        let done = self.look(now).await;
        let mut state = self.state();
        state.failing = !matches!(done, Ok(None));
        // A look that took longer than one that began after it says nothing new.
        if done.is_ok() && state.confirmed.is_none_or(|last| last.steady <= now.steady) {
            state.confirmed = Some(now);
            self.policy.engine().fresh_until(Millis(now.wall.0.saturating_add(self.bound_ms())));
        }
        self.report(&state);
        drop(state);
        done?.map_or(Ok(()), Err)
    }

    /// Answers what is wrong with the last set that cannot be used.
    async fn look(&self, now: Moment) -> Result<Option<SetsError>, SetsError> {
        let added = self.add_scopes().await?;
        let changed = self.sets.know(&self.policy).await?;
        self.state().again.extend(changed);
        let (heads, mut new) = (self.sets.heads().await?, Vec::new());
        // What is checked beside has changed, or what is closed: sets are loaded again, and what scopes begin with too.
        let again = self.state().again.clone();
        for scope in again {
            let name = scope.to_string();
            self.state().loaded.remove(&name);
            if self.policy.engine().knows(&scope) && heads.iter().all(|(active, _)| *active != name) {
                self.policy.replace_as(&scope, &SetSource::default(), FIRST)?;
            }
            self.state().again.remove(&scope);
        }
        for (name, head) in heads {
            let Ok(scope) = name.parse::<Scope>() else { continue };
            if self.policy.engine().knows(&scope) && self.state().loaded.get(&name) != Some(&head) {
                new.push((name, scope, head));
            }
        }
        // Each is checked by a thread of its own, since a start has all of them before it.
        let at_once = std::thread::available_parallelism().map_or(1, NonZero::get);
        let taking = new.into_iter().map(async |(name, scope, head)| {
            let done = self.take(&scope, head).await;
            (name, scope, head, done)
        });
        let mut taken = stream::iter(taking).buffer_unordered(at_once);
        let (mut problem, mut behind) = (None, Vec::new());
        while let Some((name, scope, head, done)) = taken.next().await {
            match done {
                Ok(true) => {
                    let mut state = self.state();
                    state.unusable.remove(&name);
                    state.loaded.insert(name, head);
                }
                Ok(false) => behind.push(name),
                Err(SetsError::Database(error)) => return Err(error.into()),
                Err(error) => {
                    let (since, has_none) = {
                        let mut state = self.state();
                        let has_none = state.confirmed.is_none() || added.contains(&scope);
                        (*state.unusable.entry(name.clone()).or_insert(now), has_none)
                    };
                    if has_none || self.is_over(since) {
                        let closed =
                            SetSource { cedar: vec![("closed.cedar".into(), CLOSED.into())], ..SetSource::default() };
                        load(&self.policy, &scope, closed, head).await?;
                    }
                    tracing::error!(target: "policy", scope = name, %error, "the active set cannot be used");
                    problem = Some(error);
                }
            }
        }
        if !behind.is_empty() {
            self.refuse_to_go_back(&behind).await?;
        }
        Ok(problem)
    }

    /// Serves what another server has made.
    async fn add_scopes(&self) -> Result<HashSet<Scope>, SetsError> {
        let mut added = HashSet::new();
        let Some(scopes) = &self.scopes else { return Ok(added) };
        for scope in scopes().await? {
            if !self.policy.engine().knows(&scope) {
                self.policy.add(&scope)?;
                added.insert(scope);
            }
        }
        Ok(added)
    }

    /// Makes a scope's active set decide, unless a later one does already.
    async fn take(&self, scope: &Scope, head: Head) -> Result<bool, SetsError> {
        let SetVersion { number, author, source, .. } = self.sets.version(scope, head.active).await?;
        let revision = load(&self.policy, scope, source, head).await?.revision;
        tracing::info!(target: "policy", %scope, version = number, author, "the set is followed");
        Ok((revision.epoch, revision.number) <= head.revision())
    }

    /// What this server has activated itself since it looked is in the database by now, and nothing that it took from there is
    /// ever gone from it, unless the database was restored.
    async fn refuse_to_go_back(&self, behind: &[String]) -> Result<(), SetsError> {
        for (name, head) in self.sets.heads().await?.into_iter().filter(|(name, _)| behind.contains(name)) {
            let Ok(scope) = name.parse::<Scope>() else { continue };
            let decides = self.policy.engine().revisions(&scope).get(scope.tier() as usize).copied();
            if decides.is_some_and(|decides| (decides.epoch, decides.number) > head.revision()) {
                return Err(SetsError::Earlier(name));
            }
        }
        Ok(())
    }

    /// Confirms again and again, until it is dropped: when an activation is announced, and every so often in any case.
    pub async fn run(self, every: Duration) {
        let expire = async {
            loop {
                tokio::time::sleep(self.expire().min(every)).await;
            }
        };
        future::join(self.follow(every), expire).await;
    }

    async fn follow(&self, every: Duration) {
        let mut listener: Option<Listener> = None;
        loop {
            let done = self.confirm().await;
            if let Err(error) = &done {
                tracing::error!(target: "policy", %error, currency = ?self.currency(), "the active sets are not confirmed");
            }
            if matches!(done, Err(SetsError::Database(_))) {
                // Announcements come the same way, and the other end may be gone without a word.
                listener = None;
            } else if listener.is_none() {
                match self.sets.listen().await {
                    Ok(None) => {}
                    Ok(heard) => {
                        listener = heard;
                        // What was announced before.
                        continue;
                    }
                    Err(error) => {
                        tracing::warn!(target: "policy", %error, "activations are not heard of, only looked for");
                    }
                }
            }
            match &mut listener {
                None => tokio::time::sleep(every).await,
                Some(announcing) => {
                    if let Ok(Err(error)) = tokio::time::timeout(every, announcing.announced()).await {
                        tracing::info!(target: "policy", %error, "activations are not heard of until the next look");
                        listener = None;
                        tokio::time::sleep(every).await;
                    }
                }
            }
        }
    }

    /// Denies once the bound has passed by the steady clock, and answers how much of it is left.
    fn expire(&self) -> Duration {
        let state = self.state();
        self.report(&state);
        let left = state.confirmed.map_or(Duration::ZERO, |at| self.left(at));
        if left.is_zero() {
            self.policy.engine().fresh_until(Millis(i64::MIN));
            return self.bound;
        }
        left
    }

    fn report(&self, state: &State) {
        self.policy.report_stale(self.reports && self.currency_in(state) == Currency::Stale);
    }

    /// Whether this server knows that it decides by the active sets.
    pub fn currency(&self) -> Currency {
        self.currency_in(&self.state())
    }

    fn currency_in(&self, state: &State) -> Currency {
        match state.confirmed {
            Some(at) if self.is_over(at) => Currency::Denying,
            None => Currency::Denying,
            // A look that does not come back has not failed yet.
            Some(at) if state.failing || self.left(at) < self.bound / 2 => Currency::Stale,
            Some(_) => Currency::Current,
        }
    }
}
