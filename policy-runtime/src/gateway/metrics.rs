//! Numbers about connections and calls, in the text format of Prometheus.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::code::Code;

/// Upper ends of the classes of latency, in microseconds.
const CLASSES: [u64; 10] = [100, 250, 1_000, 2_500, 10_000, 25_000, 100_000, 250_000, 1_000_000, 10_000_000];

/// The counters of a gateway.
#[derive(Debug)]
pub(super) struct Metrics {
    pub(super) connections: AtomicU64,
    pub(super) refused_sign_ins: AtomicU64,
    pub(super) refused_sockets: AtomicU64,
    pub(super) refused_requests: AtomicU64,
    pub(super) protocol_errors: AtomicU64,
    pub(super) expired: AtomicU64,
    pub(super) revoked: AtomicU64,
    pub(super) changed: AtomicU64,
    pub(super) stalled: AtomicU64,
    calls: AtomicU64,
    streams: AtomicU64,
    /// By position in [`Code::ALL`].
    failures: Vec<AtomicU64>,
    /// Each call in the class that it ended in; what Prometheus reads adds them up.
    latencies: [AtomicU64; CLASSES.len()],
    latency_sum_micros: AtomicU64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            connections: AtomicU64::default(),
            refused_sign_ins: AtomicU64::default(),
            refused_sockets: AtomicU64::default(),
            refused_requests: AtomicU64::default(),
            protocol_errors: AtomicU64::default(),
            expired: AtomicU64::default(),
            revoked: AtomicU64::default(),
            changed: AtomicU64::default(),
            stalled: AtomicU64::default(),
            calls: AtomicU64::default(),
            streams: AtomicU64::default(),
            failures: Code::ALL.iter().map(|_| AtomicU64::default()).collect(),
            latencies: Default::default(),
            latency_sum_micros: AtomicU64::default(),
        }
    }
}

/// Adds one.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Metrics {
    /// Counts a call that has ended: with a value, with a stream, or with a code.
    pub(super) fn call(&self, took: Duration, streamed: bool, failed: Option<Code>) {
        count(&self.calls);
        if streamed {
            count(&self.streams);
        }
        let at = failed.and_then(|code| Code::ALL.iter().position(|other| *other == code));
        if let Some(counter) = at.and_then(|at| self.failures.get(at)) {
            count(counter);
        }
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.latency_sum_micros.fetch_add(micros, Ordering::Relaxed);
        let class = CLASSES.iter().position(|end| micros <= *end);
        if let Some(counter) = class.and_then(|class| self.latencies.get(class)) {
            count(counter);
        }
    }

    /// Writes the numbers, beside how many connections are open now.
    pub(super) fn render(&self, open: usize) -> String {
        let mut out = String::new();
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut one = |name: &str, kind: &str, help: &str, value: u64| {
            // Writing to a `String` cannot fail.
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
        };
        one("policy_connections_open", "gauge", "open connections", u64::try_from(open).unwrap_or(u64::MAX));
        one("policy_connections_total", "counter", "connections that were opened", read(&self.connections));
        one("policy_sign_ins_refused_total", "counter", "refused sign-ins", read(&self.refused_sign_ins));
        one("policy_sockets_refused_total", "counter", "sockets over a limit", read(&self.refused_sockets));
        one("policy_requests_refused_total", "counter", "HTTP requests over a rate", read(&self.refused_requests));
        one("policy_protocol_errors_total", "counter", "connections ended by a bad frame", read(&self.protocol_errors));
        one(
            "policy_credentials_expired_total",
            "counter",
            "connections ended with their credential",
            read(&self.expired),
        );
        one("policy_connections_revoked_total", "counter", "connections ended by revocation", read(&self.revoked));
        one(
            "policy_connections_changed_total",
            "counter",
            "connections whose participant changed",
            read(&self.changed),
        );
        one(
            "policy_connections_stalled_total",
            "counter",
            "connections of readers that were too slow",
            read(&self.stalled),
        );
        one("policy_streams_total", "counter", "calls that answered with a stream", read(&self.streams));
        let calls = read(&self.calls);
        let _ =
            writeln!(out, "# HELP policy_call_failures_total failed calls\n# TYPE policy_call_failures_total counter");
        for (code, counter) in Code::ALL.iter().zip(&self.failures) {
            let _ = writeln!(out, "policy_call_failures_total{{code=\"{code}\"}} {}", read(counter));
        }
        let name = "policy_call_seconds";
        let _ = writeln!(out, "# HELP {name} how long calls took\n# TYPE {name} histogram");
        let mut up_to = 0_u64;
        for (end, counter) in CLASSES.iter().zip(&self.latencies) {
            up_to = up_to.wrapping_add(read(counter));
            let _ = writeln!(out, "{name}_bucket{{le=\"{}\"}} {up_to}", Duration::from_micros(*end).as_secs_f64());
        }
        let sum = Duration::from_micros(read(&self.latency_sum_micros)).as_secs_f64();
        let _ = writeln!(out, "{name}_bucket{{le=\"+Inf\"}} {calls}\n{name}_sum {sum}\n{name}_count {calls}");
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_code_and_time() {
        let metrics = Metrics::default();
        metrics.call(Duration::from_micros(200), false, None);
        metrics.call(Duration::from_millis(2), true, Some(Code::AccessDenied));
        let text = metrics.render(3);
        for line in [
            "policy_connections_open 3",
            "policy_streams_total 1",
            "policy_call_failures_total{code=\"ACCESS_DENIED\"} 1",
            "policy_call_seconds_bucket{le=\"0.0001\"} 0",
            "policy_call_seconds_bucket{le=\"0.00025\"} 1",
            "policy_call_seconds_bucket{le=\"0.0025\"} 2",
            "policy_call_seconds_count 2",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in {text}");
        }
    }
}
