//! The only place that asks the system for time.
//!
//! In: nothing. Out: [`Clock`]. Absent: time zones.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use policy_core::value::Millis;

/// Tells the time.
///
/// ```
/// use policy_core::value::Millis;
/// use policy_runtime::clock::Clock;
///
/// #[derive(Debug)]
/// struct Noon;
///
/// impl Clock for Noon {
///     fn now(&self) -> Millis {
///         "2027-01-01T12:00:00Z".parse().unwrap()
///     }
/// }
/// ```
pub trait Clock: Send + Sync + fmt::Debug {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    fn now(&self) -> Millis;

    /// How long ago some moment was that is always the same: what goes on when somebody sets the clock.
    fn steady(&self) -> Duration {
        static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
        BEGUN.elapsed()
    }
}

/// A moment by the clock that people set, and by the one that goes on.
#[cfg(any(feature = "issue", feature = "sqlite", feature = "postgres"))]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) wall: Millis,
    pub(crate) steady: Duration,
}

#[cfg(any(feature = "issue", feature = "sqlite", feature = "postgres"))]
impl Moment {
    pub(crate) fn of(clock: &dyn Clock) -> Self {
        Self { wall: clock.now(), steady: clock.steady() }
    }

    /// Until when things are over at least, for whoever forgets them: no later than as long after this moment as went by, or what
    /// is good once would be so again when somebody sets the time ahead and back.
    #[cfg(feature = "issue")]
    pub(crate) fn over(self, clock: &dyn Clock) -> Millis {
        let by = clock.steady().saturating_sub(self.steady).as_millis();
        clock.now().min(Millis(self.wall.0.saturating_add(i64::try_from(by).unwrap_or(i64::MAX))))
    }
}

/// What goes on when somebody sets the clock, as milliseconds.
#[cfg(feature = "password")]
pub(crate) fn steady_millis(clock: &dyn Clock) -> Millis {
    Millis(i64::try_from(clock.steady().as_millis()).unwrap_or(i64::MAX))
}

/// The system's clock.
///
/// ```
/// use policy_runtime::clock::{Clock, SystemClock};
/// assert!(SystemClock.now().0 > 1_700_000_000_000);
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> Millis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// A clock that stands still until it is moved, for tests.
///
/// ```
/// use std::time::Duration;
/// use policy_runtime::clock::{Clock, FixedClock};
/// let clock = FixedClock::at(1_000);
/// clock.advance(500);
/// assert_eq!(clock.now().0, 1_500);
/// let steady = clock.steady();
/// clock.jump(-1_000); // somebody has set it
/// assert_eq!((clock.now().0, clock.steady()), (500, steady));
/// ```
#[derive(Debug, Clone)]
pub struct FixedClock(Arc<Moved>);

#[derive(Debug)]
struct Moved {
    now: AtomicI64,
    steady: AtomicI64,
}

impl FixedClock {
    /// Starts at these milliseconds.
    pub fn at(millis: i64) -> Self {
        Self(Arc::new(Moved { now: AtomicI64::new(millis), steady: AtomicI64::new(0) }))
    }

    /// Moves on by these milliseconds.
    pub fn advance(&self, millis: i64) {
        self.0.steady.fetch_add(millis, Ordering::SeqCst);
        self.jump(millis);
    }

    /// Sets the time to these milliseconds later, while none has gone by.
    pub fn jump(&self, millis: i64) {
        self.0.now.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Millis {
        Millis(self.0.now.load(Ordering::SeqCst))
    }

    fn steady(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.steady.load(Ordering::SeqCst)).unwrap_or(0))
    }
}
