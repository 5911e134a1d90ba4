//! How many decisions there were, and how long they took.
//!
//! In: each decision of the guard. Out: counts, and the time of one in sixteen, so that the clock costs next to nothing.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Upper ends of the classes of time, in nanoseconds.
const CLASSES: [u64; 9] = [500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 1_000_000, 10_000_000];
/// One decision of so many is timed.
const EVERY: u64 = 16;

/// The counts of a process.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    allowed: AtomicU64,
    denied: AtomicU64,
    timed: AtomicU64,
    nanos: AtomicU64,
    classes: [AtomicU64; CLASSES.len()],
}

impl Tally {
    /// A decision begins; it may be one that is timed.
    pub(crate) fn begin(&self) -> Option<Instant> {
        let number = self.allowed.load(Ordering::Relaxed).wrapping_add(self.denied.load(Ordering::Relaxed));
        number.is_multiple_of(EVERY).then(Instant::now)
    }

    /// It was made.
    pub(crate) fn end(&self, begun: Option<Instant>, is_allowed: bool) {
        let count = if is_allowed { &self.allowed } else { &self.denied };
        count.fetch_add(1, Ordering::Relaxed);
        if let Some(begun) = begun {
            let nanos = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.timed.fetch_add(1, Ordering::Relaxed);
            self.nanos.fetch_add(nanos, Ordering::Relaxed);
            for (_, class) in CLASSES.iter().zip(&self.classes).filter(|(end, _)| nanos <= **end) {
                class.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Writes the numbers in the text format of Prometheus.
    pub(crate) fn render(&self) -> String {
        let mut out = String::new();
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (name, seconds) = ("policy_decisions_total", "policy_decision_seconds");
        // Writing to a `String` cannot fail.
        let _ = writeln!(out, "# HELP {name} decisions of guards\n# TYPE {name} counter");
        let _ = writeln!(out, "{name}{{decision=\"allow\"}} {}", read(&self.allowed));
        let _ = writeln!(out, "{name}{{decision=\"deny\"}} {}", read(&self.denied));
        let _ =
            writeln!(out, "# HELP {seconds} how long decisions took, of every sixteenth\n# TYPE {seconds} histogram");
        for (end, class) in CLASSES.iter().zip(&self.classes) {
            let _ = writeln!(
                out,
                "{seconds}_bucket{{le=\"{}\"}} {}",
                Duration::from_nanos(*end).as_secs_f64(),
                read(class)
            );
        }
        let (timed, sum) = (read(&self.timed), Duration::from_nanos(read(&self.nanos)).as_secs_f64());
        let _ = writeln!(out, "{seconds}_bucket{{le=\"+Inf\"}} {timed}\n{seconds}_sum {sum}\n{seconds}_count {timed}");
        out
    }
}

#[cfg(test)]
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
