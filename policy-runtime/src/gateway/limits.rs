//! How much of everything a peer may use.

use std::time::Duration;

use crate::wire;

/// The limits of a gateway; all of them are on by default.
///
/// ```
/// use policy_runtime::gateway::Limits;
/// let limits = Limits { connections_per_address: 10_000, ..Limits::default() };
/// # assert_eq!(limits.calls, 1024);
/// ```
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "a table of numbers; written with `..Limits::default()`")]
pub struct Limits {
    /// Frames, once a connection is open; before that, [`wire::Limits::CONNECT`].
    pub frame: wire::Limits,
    /// Octets of the headers of an HTTP request.
    pub http_head: usize,
    /// How long an HTTP request may take to arrive, and how long an idle HTTP connection is kept.
    pub http_head_time: Duration,
    /// How long a socket may wait with its CONNECT.
    pub connect_time: Duration,
    /// How long credentials may be checked.
    pub authenticate_time: Duration,
    /// Subscriptions of a connection.
    pub subscriptions: usize,
    /// Calls in flight on a connection, open streams included.
    pub calls: usize,
    /// Calls in flight to a connection that hosts services.
    pub hosted_calls: usize,
    /// Sockets of all peers.
    pub connections: usize,
    /// Sockets of one address.
    pub connections_per_address: usize,
    /// Open connections of one participant; with 0 there are none, and no address to connect to.
    pub connections_per_participant: usize,
    /// Octets that wait to be sent on a connection; beyond it nothing more is taken from its calls, nor read from it.
    pub outbound: usize,
    /// How long a peer may take nothing of what waits for it.
    pub stalled: Duration,
    /// How often this side shows that it lives, and wants to hear from the peer. A peer that is silent for two and a half
    /// of these is gone.
    pub heart_beat: Duration,
    /// How long connections go on while nobody can tell whether their participants changed (see [`Feed`](super::Feed)).
    pub unconfirmed: Duration,
    /// How long calls in flight may go on when the gateway shuts down.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame: wire::Limits::default(),
            http_head: 64 * 1024,
            http_head_time: Duration::from_secs(10),
            connect_time: Duration::from_secs(10),
            authenticate_time: Duration::from_secs(20),
            subscriptions: 256,
            calls: 1024,
            hosted_calls: 1024,
            connections: 20_000,
            connections_per_address: 2_000,
            connections_per_participant: 1_000,
            outbound: 1024 * 1024,
            stalled: Duration::from_secs(15),
            heart_beat: Duration::from_secs(30),
            unconfirmed: Duration::from_secs(30),
            drain: Duration::from_secs(10),
        }
    }
}
