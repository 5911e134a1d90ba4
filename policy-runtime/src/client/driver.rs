//! Keeps a client connected: runs one connection after the other until the client is closed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::connection::{Connection, Ended};
use super::error::ConnectError;
use super::event::{Event, Events};
use super::hosting::Hosted;
use super::live::{Live, lost};
use super::open::{Opened, open};
use super::options::{ConnectOptions, Retry};
use crate::code::Code;
use crate::service::CallError;

/// A connection that lasted this long was a good one: the next attempts begin with the shortest wait again.
const GOOD: Duration = Duration::from_secs(10);

/// Where a client stands.
#[derive(Debug, Clone)]
pub(super) enum State {
    Live(Arc<Live>),
    /// Not connected; why the last attempt failed, if one was made.
    Down(Option<ConnectError>),
    /// Never connected again.
    Closed(ConnectError),
}

/// What the driver and the handles of a client share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: ConnectOptions,
    pub(super) events: Events,
    pub(super) state: watch::Sender<State>,
    pub(super) hosted: Arc<Hosted>,
}

/// Runs until the client is closed or gives up.
pub(super) async fn drive(shared: Arc<Shared>, first: Opened, mut stop: watch::Receiver<bool>) {
    let mut backoff = Backoff::new(shared.options.retry);
    let mut opened = first;
    loop {
        let began = Instant::now();
        let connection = Connection::new(opened, &shared.options, &shared.hosted);
        let live = Arc::clone(&connection.live);
        shared.state.send_replace(State::Live(Arc::clone(&live)));
        shared.events.publish(Event::Connected(Arc::clone(&live.info)));
        let ended = connection.run(&shared.options, &shared.events, &mut stop).await;
        let reason = match ended {
            Ended::Closed => {
                return shared.close(Some(&live), ConnectError::Closed);
            }
            Ended::Lost(reason) => reason,
        };
        // Calls that are told of the loss must find that there is no connection.
        shared.state.send_replace(State::Down(None));
        live.end(&CallError::new(Code::ConnectionLost, format!("{}: {reason}", lost().message())));
        tracing::info!(target: "policy", %reason, "the connection was lost");
        shared.events.publish(Event::Lost { reason: Arc::clone(&reason) });
        if began.elapsed() >= GOOD {
            backoff.reset();
        }
        let reopened = tokio::select! {
            reopened = shared.reopen(&mut backoff, &reason) => reopened,
            _ = stop.wait_for(|stop| *stop) => Err(ConnectError::Closed),
        };
        match reopened {
            Ok(again) => opened = again,
            Err(reason) => return shared.close(None, reason),
        }
    }
}

impl Shared {
    pub(super) fn new(options: ConnectOptions) -> Self {
        Self { options, events: Events::new(), state: watch::Sender::new(State::Down(None)), hosted: Arc::default() }
    }

    fn close(&self, live: Option<&Live>, reason: ConnectError) {
        self.state.send_replace(State::Closed(reason.clone()));
        if let Some(live) = live {
            live.end(&CallError::new(Code::ConnectionLost, "the client was closed before the answer came"));
        }
        self.events.publish(Event::Closed { reason });
    }

    /// Tries until there is a connection or it is no use.
    async fn reopen(&self, backoff: &mut Backoff, why: &Arc<str>) -> Result<Opened, ConnectError> {
        let mut last: Option<ConnectError> = None;
        let mut attempt: u32 = 0;
        loop {
            if self.options.retry.attempts.is_some_and(|most| attempt >= most) {
                return Err(last.unwrap_or_else(|| ConnectError::Lost(Arc::clone(why))));
            }
            attempt = attempt.saturating_add(1);
            let asked = match &last {
                Some(ConnectError::Refused(refusal)) => refusal.retry_after().unwrap_or_default(),
                _ => Duration::ZERO,
            };
            let after = backoff.next().max(asked.min(self.options.retry.max));
            self.events.publish(Event::Retrying { attempt, after, last: last.clone() });
            sleep(after).await;
            match open(&self.options).await {
                Ok(opened) => return Ok(opened),
                // The same credentials would be refused again, and count as an attack.
                Err(error @ ConnectError::Refused(_))
                    if matches!(error.code(), Code::Unauthenticated | Code::StepUpRequired)
                        && !self.options.source.can_change() =>
                {
                    return Err(error);
                }
                Err(error) => {
                    tracing::warn!(target: "policy", attempt, error = error.chain(), "no connection");
                    self.state.send_replace(State::Down(Some(error.clone())));
                    last = Some(error);
                }
            }
        }
    }
}

/// The time between attempts: doubling, and up to as much again by chance.
struct Backoff {
    retry: Retry,
    next: Duration,
}

impl Backoff {
    const fn new(retry: Retry) -> Self {
        Self { retry, next: retry.first }
    }

    const fn reset(&mut self) {
        self.next = self.retry.first;
    }

    fn next(&mut self) -> Duration {
        let base = self.next.min(self.retry.max);
        self.next = base.saturating_mul(2).min(self.retry.max);
        base.saturating_add(base.mul_f64(chance()))
    }
}

/// A number from 0 to 1.
fn chance() -> f64 {
    let (random, _) = uuid::Uuid::new_v4().as_u64_pair();
    // The version and variant bits are in the low half of the first and the top of the second number.
    f64::from(u32::try_from(random >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_differ() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(Retry { first: ms(100), max: ms(1_000), attempts: None });
        let waits: Vec<Duration> = (0..6).map(|_| backoff.next()).collect();
        for (wait, base) in waits.iter().zip([100, 200, 400, 800, 1_000, 1_000]) {
            assert!((ms(base)..=ms(base * 2)).contains(wait), "{waits:?}");
        }
        assert_ne!(waits[4], waits[5], "chance");
        backoff.reset();
        assert!(backoff.next() <= ms(200));
    }
}
