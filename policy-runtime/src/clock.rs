//! The only place that asks the system for time.
//!
//! In: nothing. Out: [`Clock`]. Absent: time zones.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

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
/// use policy_runtime::clock::{Clock, FixedClock};
/// let clock = FixedClock::at(1_000);
/// clock.advance(500);
/// assert_eq!(clock.now().0, 1_500);
/// ```
#[derive(Debug, Clone)]
pub struct FixedClock(Arc<AtomicI64>);

impl FixedClock {
    /// Starts at these milliseconds.
    pub fn at(millis: i64) -> Self {
        Self(Arc::new(AtomicI64::new(millis)))
    }

    /// Moves on by these milliseconds.
    pub fn advance(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Millis {
        Millis(self.0.load(Ordering::SeqCst))
    }
}
