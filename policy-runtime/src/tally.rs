//! How many decisions there were, and how long they took.
//!
//! In: each decision of the guard. Out: counts, and the time of one in sixteen, so that the clock costs next to nothing.
//!
//! Each thread counts for itself: counters that threads share would make every decision wait for the other cores.

#[cfg(feature = "gateway")]
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
#[cfg(feature = "gateway")]
use std::time::Duration;
use std::time::Instant;

/// Upper ends of the classes of time, in nanoseconds.
const CLASSES: [u64; 9] = [500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 1_000_000, 10_000_000];
/// One decision of so many is timed.
const EVERY: u64 = 16;
/// Threads beyond so many share counters with others.
const SHARDS: usize = 32;

static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// The shard of this thread.
    static SHARD: usize = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
}

/// The counts of a process.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    shards: [Shard; SHARDS],
}

/// The counts of a thread. Two lines of memory are fetched together, so shards are that far apart.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    allowed: AtomicU64,
    denied: AtomicU64,
    timed: AtomicU64,
    nanos: AtomicU64,
    classes: [AtomicU64; CLASSES.len()],
}

impl Tally {
    fn shard(&self) -> Option<&Shard> {
        // A thread that is ending counts no more.
        SHARD.try_with(|n| *n).ok().and_then(|n| self.shards.get(n))
    }

    /// A decision begins; it may be one that is timed.
    pub(crate) fn begin(&self) -> Option<Instant> {
        let shard = self.shard()?;
        let number = shard.allowed.load(Ordering::Relaxed).wrapping_add(shard.denied.load(Ordering::Relaxed));
        number.is_multiple_of(EVERY).then(Instant::now)
    }

    /// It was made.
    pub(crate) fn end(&self, begun: Option<Instant>, is_allowed: bool) {
        let Some(shard) = self.shard() else { return };
        let count = if is_allowed { &shard.allowed } else { &shard.denied };
        count.fetch_add(1, Ordering::Relaxed);
        if let Some(begun) = begun {
            let nanos = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
            shard.timed.fetch_add(1, Ordering::Relaxed);
            shard.nanos.fetch_add(nanos, Ordering::Relaxed);
            for (_, class) in CLASSES.iter().zip(&shard.classes).filter(|(end, _)| nanos <= **end) {
                class.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Writes the numbers in the text format of Prometheus.
    #[cfg(feature = "gateway")]
    pub(crate) fn render(&self) -> String {
        let mut out = String::new();
        let read = |counter: fn(&Shard) -> &AtomicU64| -> u64 {
            self.shards.iter().map(|shard| counter(shard).load(Ordering::Relaxed)).sum()
        };
        let (name, seconds) = ("policy_decisions_total", "policy_decision_seconds");
        // Writing to a `String` cannot fail.
        let _ = writeln!(out, "# HELP {name} decisions of guards\n# TYPE {name} counter");
        let _ = writeln!(out, "{name}{{decision=\"allow\"}} {}", read(|shard| &shard.allowed));
        let _ = writeln!(out, "{name}{{decision=\"deny\"}} {}", read(|shard| &shard.denied));
        let _ =
            writeln!(out, "# HELP {seconds} how long decisions took, of every sixteenth\n# TYPE {seconds} histogram");
        for (place, end) in CLASSES.iter().enumerate() {
            let class: u64 =
                self.shards.iter().filter_map(|s| s.classes.get(place)).map(|c| c.load(Ordering::Relaxed)).sum();
            let _ = writeln!(out, "{seconds}_bucket{{le=\"{}\"}} {}", Duration::from_nanos(*end).as_secs_f64(), class);
        }
        let (timed, sum) = (read(|shard| &shard.timed), Duration::from_nanos(read(|shard| &shard.nanos)).as_secs_f64());
        let _ = writeln!(out, "{seconds}_bucket{{le=\"+Inf\"}} {timed}\n{seconds}_sum {sum}\n{seconds}_count {timed}");
        out
    }
}

#[cfg(all(test, feature = "gateway"))]
mod tests {
    use super::*;

    #[test]
    fn every_decision_is_counted_and_some_are_timed() {
        let tally = Tally::default();
        for n in 0..33 {
            let begun = tally.begin();
            assert_eq!(begun.is_some(), n % 16 == 0, "{n}");
            tally.end(begun, n % 3 == 0);
        }
        let text = tally.render();
        for line in [
            "policy_decisions_total{decision=\"allow\"} 11",
            "policy_decisions_total{decision=\"deny\"} 22",
            "policy_decision_seconds_count 3",
            "policy_decision_seconds_bucket{le=\"+Inf\"} 3",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}
