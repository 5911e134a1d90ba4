//! How often somebody may ask.
//!
//! In: who asks, from where, for what. Out: how much is left, or how long to wait. Each bucket holds a burst and refills
//! evenly (GCRA, by the crate `governor`); keys are kept as keyed hashes, so that no table of names grows in memory.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hash};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use governor::clock::{Clock as _, MonotonicClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use policy_core::Participant;

use crate::policy::Policy;
use crate::rate::{ActionRates, TooOften};

/// So many at once, and so many a second after that.
///
/// ```
/// use policy_runtime::edge::Rate;
/// assert_eq!(Rate::new(50, 10), Rate { burst: 50, per_second: 10 });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "two numbers")]
pub struct Rate {
    /// How many at once; 0 counts as 1.
    pub burst: u32,
    /// How many a second in the long run; 0 counts as 1.
    pub per_second: u32,
}

impl Rate {
    /// Makes a rate.
    pub const fn new(burst: u32, per_second: u32) -> Self {
        Self { burst, per_second }
    }

    fn quota(self) -> Quota {
        let at_least_one = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        Quota::per_second(at_least_one(self.per_second)).allow_burst(at_least_one(self.burst))
    }
}

/// How often somebody may ask; all are on by default, and `None` is no limit.
///
/// ```
/// use policy_runtime::edge::{Rate, Rates};
/// let rates = Rates { identity: Some(Rate::new(50, 10)), ..Rates::default() }
///     .action("com.example.OrderService.placeOrder", Rate::new(5, 1));
/// # let _ = rates;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a table; written with `..Rates::default()`")]
pub struct Rates {
    /// Calls of one participant, on all its connections together.
    pub identity: Option<Rate>,
    /// Calls of one API key, instead of `identity`.
    pub key: Option<Rate>,
    /// Calls from one address, whoever calls. IPv6 addresses of one /64 count together.
    pub address: Option<Rate>,
    /// HTTP requests from one address, of which each sign-in and each new connection is one.
    pub requests: Option<Rate>,
    /// Calls of one participant to any one action that `actions` does not name. A call counts for the action that it is of, once,
    /// and not for those that the called function asks for in turn.
    pub each_action: Option<Rate>,
    /// Calls of one participant to single actions, by their names. They are counted where the action's guard is asked, however
    /// the call came to it, and where rows are read and written; of services that clients host, by the gateway.
    pub actions: Vec<(String, Rate)>,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            identity: Some(Rate::new(2_000, 1_000)),
            key: Some(Rate::new(2_000, 1_000)),
            address: Some(Rate::new(20_000, 10_000)),
            requests: Some(Rate::new(4_000, 400)),
            each_action: Some(Rate::new(1_000, 500)),
            actions: Vec::new(),
        }
    }
}

impl Rates {
    /// No limit at all, such as for a measurement.
    pub const UNLIMITED: Self =
        Self { identity: None, key: None, address: None, requests: None, each_action: None, actions: Vec::new() };

    /// Limits a single action for each participant: a service's `com.example.Orders.place`, or a function's `shop.pay`.
    #[must_use]
    pub fn action(mut self, name: &str, rate: Rate) -> Self {
        self.actions.push((name.replace("::", "."), rate));
        self
    }
}

type Buckets = RateLimiter<u64, DashMapStateStore<u64>, MonotonicClock, StateInformationMiddleware>;

/// Beyond so many buckets those that are full again are forgotten; they are like new ones.
const KEPT: usize = 50_000;
/// How many questions pass between two looks at the number of buckets.
const LOOK_EVERY: usize = 1_024;

/// Counts who asks. Share one (behind an `Arc`) between whatever is to count together.
///
/// ```
/// use policy_runtime::edge::{Limiter, Rate, Rates};
/// use policy_runtime::{Participant, Scope};
///
/// let rates = Rates { identity: Some(Rate::new(2, 1)), ..Rates::default() };
/// let limiter = Limiter::new(&rates.action("shop.pay", Rate::new(1, 1)));
/// let alice = Participant::builder(Scope::application("acme", "shop")?, "alice").build();
/// assert_eq!(limiter.call(&alice, None), Ok(Some(1)), "one more may come at once");
/// assert_eq!(limiter.action(&alice, "shop.pay"), Ok(Some(0)));
/// assert!(limiter.action(&alice, "shop.pay").is_err());
/// # Ok::<(), policy_core::name::NameError>(())
/// ```
pub struct Limiter {
    identity: Option<Buckets>,
    key: Option<Buckets>,
    address: Option<Buckets>,
    requests: Option<Buckets>,
    each_action: Option<Buckets>,
    actions: Vec<(String, Buckets)>,
    hasher: RandomState,
    asked: AtomicUsize,
}

impl std::fmt::Debug for Limiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limiter").field("asked", &self.asked).finish_non_exhaustive()
    }
}

impl Default for Limiter {
    fn default() -> Self {
        Self::new(&Rates::default())
    }
}

fn buckets(rate: Rate) -> Buckets {
    RateLimiter::new(rate.quota(), DashMapStateStore::default(), MonotonicClock)
}

/// How many more may come at once, this one not counted.
fn take(buckets: &Buckets, key: u64) -> Result<u32, TooOften> {
    match buckets.check_key(&key) {
        Ok(state) => Ok(state.remaining_burst_capacity()),
        Err(until) => Err(TooOften::new(until.wait_time_from(MonotonicClock.now()))),
    }
}

/// IPv4 as it is, IPv6 by its first 64 bits: whoever has one address there has them all.
fn network(address: IpAddr) -> (u64, bool) {
    match address.to_canonical() {
        IpAddr::V4(address) => (u64::from(u32::from(address)), false),
        IpAddr::V6(address) => ((u128::from(address) >> 64) as u64, true),
    }
}

impl Limiter {
    /// Starts with all buckets full.
    pub fn new(rates: &Rates) -> Self {
        Self {
            identity: rates.identity.map(buckets),
            key: rates.key.map(buckets),
            address: rates.address.map(buckets),
            requests: rates.requests.map(buckets),
            each_action: rates.each_action.map(buckets),
            actions: rates.actions.iter().map(|(name, rate)| (name.clone(), buckets(*rate))).collect(),
            hasher: RandomState::new(),
            asked: AtomicUsize::new(0),
        }
    }

    fn hash(&self, of: impl Hash) -> u64 {
        self.hasher.hash_one(of)
    }

    /// Counts a call, and says how many more of this caller may come at once: what rules read as `context.quota`. `None`
    /// where callers are not limited.
    ///
    /// # Errors
    /// When this one comes too early.
    pub fn call(&self, caller: &Participant, address: Option<IpAddr>) -> Result<Option<u32>, TooOften> {
        self.look();
        if let (Some(buckets), Some(address)) = (&self.address, address) {
            take(buckets, self.hash(network(address)))?;
        }
        let of_caller = if caller.auth_type() == "api-key" { &self.key } else { &self.identity };
        of_caller.as_ref().map(|buckets| take(buckets, self.hash(caller.uid_id()))).transpose()
    }

    /// Counts a call to an action; `None` where the action is not limited.
    ///
    /// # Errors
    /// When this one comes too early.
    pub fn action(&self, caller: &Participant, action: &str) -> Result<Option<u32>, TooOften> {
        self.take(caller, action, true)
    }

    /// What guards count single actions by, if any is limited.
    pub(crate) fn of_actions(self: &Arc<Self>) -> Option<Arc<dyn ActionRates>> {
        let limits_some = self.each_action.is_some() || !self.actions.is_empty();
        limits_some.then(|| -> Arc<dyn ActionRates> { self.clone() })
    }

    /// Tells of rates whose actions the program does not have: they limit nothing, unless a client hosts a service of the name.
    pub(crate) fn tell_of_unknown(&self, policy: &Policy) {
        for (action, _) in self.actions.iter().filter(|(name, _)| policy.engine().action(name).is_none()) {
            tracing::warn!(target: "policy", action, "a rate is set for an action that is not in the program");
        }
    }

    /// Counts an HTTP request before anything of it is looked at.
    ///
    /// # Errors
    /// When this one comes too early.
    pub fn request(&self, address: IpAddr) -> Result<(), TooOften> {
        self.look();
        self.requests.as_ref().map_or(Ok(()), |buckets| take(buckets, self.hash(network(address))).map(drop))
    }

    /// Looks now and then whether there are too many buckets.
    fn look(&self) {
        if !self.asked.fetch_add(1, Ordering::Relaxed).is_multiple_of(LOOK_EVERY) {
            return;
        }
        let single =
            [&self.identity, &self.key, &self.address, &self.requests, &self.each_action].into_iter().flatten();
        for buckets in single.chain(self.actions.iter().map(|(_, buckets)| buckets)) {
            if buckets.len() > KEPT {
                buckets.retain_recent();
                buckets.shrink_to_fit();
            }
        }
    }
}

impl ActionRates for Limiter {
    fn take(&self, caller: &Participant, action: &str, is_called: bool) -> Result<Option<u32>, TooOften> {
        if let Some((_, buckets)) = self.actions.iter().find(|(name, _)| name == action) {
            return take(buckets, self.hash(caller.uid_id())).map(Some);
        }
        let each = self.each_action.as_ref().filter(|_| is_called);
        each.map(|buckets| take(buckets, self.hash((caller.uid_id(), action)))).transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use policy_core::Scope;

    use super::*;

    fn caller(id: &str) -> policy_core::participant::ParticipantBuilder {
        Participant::builder(Scope::application("default", "shop").unwrap(), id)
    }

    const HOME: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

    #[test]
    fn a_caller_has_a_burst_and_is_told_how_long_to_wait() {
        let limiter = Limiter::new(&Rates { identity: Some(Rate::new(3, 1)), ..Rates::UNLIMITED });
        let alice = caller("alice").build();
        let left: Vec<_> = (0..3).map(|_| limiter.call(&alice, HOME).unwrap()).collect();
        assert_eq!(left, [Some(2), Some(1), Some(0)]);
        let wait = limiter.call(&alice, HOME).unwrap_err().wait();
        assert!(wait > Duration::from_millis(500) && wait <= Duration::from_secs(1), "{wait:?}");
        assert!(limiter.call(&caller("bob").build(), HOME).is_ok());
    }

    #[test]
    fn keys_addresses_and_actions_have_rates_of_their_own() {
        let one = Some(Rate::new(1, 1));
        let alice = caller("alice").build();
        let key = caller("k").auth_type("api-key").build();

        let limiter = Limiter::new(&Rates { key: one, ..Rates::UNLIMITED });
        assert_eq!(limiter.call(&key, HOME), Ok(Some(0)));
        assert!(limiter.call(&key, HOME).is_err());
        assert_eq!(limiter.call(&alice, HOME), Ok(None));

        let limiter = Limiter::new(&Rates { address: Some(Rate::new(2, 1)), ..Rates::UNLIMITED });
        assert_eq!(limiter.call(&alice, HOME), Ok(None));
        assert_eq!(limiter.call(&key, HOME), Ok(None));
        assert!(limiter.call(&caller("bob").build(), HOME).is_err(), "whoever it is");
        assert!(limiter.call(&alice, Some([10, 0, 0, 1].into())).is_ok());

        let limiter = Limiter::new(&Rates::UNLIMITED.action("shop::pay", Rate::new(1, 1)));
        assert_eq!(limiter.action(&alice, "shop.pay"), Ok(Some(0)));
        assert!(limiter.action(&alice, "shop.pay").is_err());
        assert_eq!(limiter.action(&alice, "shop.list"), Ok(None));
        assert_eq!(limiter.action(&key, "shop.pay"), Ok(Some(0)));

        let each = Rates { each_action: one, ..Rates::UNLIMITED }.action("shop.list", Rate::new(2, 1));
        let limiter = Limiter::new(&each);
        assert_eq!(limiter.action(&alice, "shop.pay"), Ok(Some(0)));
        assert!(limiter.action(&alice, "shop.pay").is_err());
        assert_eq!(limiter.action(&alice, "shop.sell"), Ok(Some(0)), "each has its own");
        assert_eq!(limiter.action(&key, "shop.pay"), Ok(Some(0)), "and everybody");
        assert_eq!(
            limiter.action(&alice, "shop.list"),
            Ok(Some(1)),
            "one that is named has the rate that it was given"
        );
    }

    #[test]
    fn requests_are_counted_by_who_has_the_address() {
        let limiter = Limiter::new(&Rates { requests: Some(Rate::new(1, 1)), ..Rates::UNLIMITED });
        assert!(limiter.request("2001:db8::1".parse().unwrap()).is_ok());
        assert!(limiter.request("2001:db8::2".parse().unwrap()).is_err());
        assert!(limiter.request("2001:db8:0:1::1".parse().unwrap()).is_ok());
        assert!(Limiter::new(&Rates::UNLIMITED).request([10, 0, 0, 1].into()).is_ok());
    }

    #[test]
    fn full_buckets_are_forgotten() {
        let limiter = Limiter::new(&Rates { requests: Some(Rate::new(1_000, 1_000_000)), ..Rates::UNLIMITED });
        for n in 0..150_000_u32 {
            limiter.request(IpAddr::V4(n.into())).unwrap();
        }
        assert!(limiter.requests.unwrap().len() <= KEPT + LOOK_EVERY);
    }
}
