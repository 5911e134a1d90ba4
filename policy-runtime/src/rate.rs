//! How often one action may be called: what guards ask, whoever counts.
//!
//! In: a caller and the name of an action. Out: how much is left, or [`TooOften`]. Absent: counting, which is `edge`'s.

use std::fmt;
use std::time::Duration;

use policy_core::Participant;

/// Counts calls to single actions.
pub(crate) trait ActionRates: fmt::Debug + Send + Sync {
    /// Counts a question of a guard, and says how many more calls may come at once; `None` where the action is not limited.
    /// `is_called` is the first action of a piece of work, and not one that it asks for in turn.
    fn take(&self, caller: &Participant, action: &str, is_called: bool) -> Result<Option<u32>, TooOften>;
}

/// Somebody asks too often.
///
/// ```
/// use std::time::Duration;
/// use policy_runtime::edge::{Limiter, Rate, Rates};
///
/// let limiter = Limiter::new(&Rates { requests: Some(Rate::new(1, 1)), ..Rates::default() });
/// let address = [192, 0, 2, 7].into();
/// assert!(limiter.request(address).is_ok());
/// let wait = limiter.request(address).unwrap_err().wait();
/// assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many requests, the next one may come in {} ms", self.wait.as_millis())]
#[cfg_attr(
    not(any(feature = "gateway", feature = "tower")),
    expect(unnameable_types, reason = "`edge` names it, and without that nothing counts")
)]
pub struct TooOften {
    wait: Duration,
}

impl TooOften {
    #[cfg(any(feature = "gateway", feature = "tower"))]
    pub(crate) const fn new(wait: Duration) -> Self {
        Self { wait }
    }

    /// How long to wait.
    pub const fn wait(self) -> Duration {
        self.wait
    }
}
