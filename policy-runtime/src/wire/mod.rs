//! The frames of the Kinotic connection protocol, shared by the gateway and the Rust client.
//!
//! In: bytes of WebSocket messages. Out: [`Frame`]s, and bytes again. Absent: sockets, time, who may do what.
//!
//! ```text
//! bytes ─► Decoder ─► Frame ─► (gateway or client) ─► Frame ─► encode ─► bytes
//! ```
//!
//! A frame with a body is sent as a binary message, one without as text; both are read alike. The names of headers are in
//! [`header`], whole frames are built in [`message`], addresses are [`Cri`]s.
//!
//! # Beyond Kinotic
//!
//! * `connected-info` also carries `expiresInMs`, how long the credential still lasts when the connection opens (absent: no
//!   end). It is relative, so that no clocks have to agree.
//! * **Renewal in place.** A call to [`message::RENEW`] (`srv://policy.runtime.Connection/renew`) whose headers carry a fresh
//!   credential (`Authorization`, or `login` and `passcode`), with `reply-to` and `__correlation-id` as in any call, replaces the
//!   participant of the connection as a whole. The answer is an ordinary value reply `{"expiresInMs": 60000}` (or `null` for no
//!   end), or an ordinary error reply; after an error the connection goes on with the credential it had. The new
//!   credential must be of the same scope and participant.
//! * An error reply's body also has `code` (one of the stable codes), `requestId`, `decision` (the id of a refusal by
//!   policy) and, where waiting helps, `retryAfterMs`. An ERROR that answers CONNECT may have the headers `code` and
//!   `retry-after-ms`; without a code it is the credentials that were refused.
//! * A value that is one of several carries [`header::STREAM`]`:true`, so that a reader can tell a stream from a single value;
//!   a host of ours that answers with a stream marks its values the same way and ends it with `control:complete`.

mod cri;
mod decode;
mod escape;
mod frame;
pub mod header;
mod heartbeat;
mod info;
pub mod message;

pub use cri::{Cri, CriError};
pub use decode::{Decoder, Incoming, Limits, WireError};
pub use frame::{Command, EncodeError, Frame, Headers};
pub use heartbeat::HeartBeat;
pub use info::{ConnectedInfo, ErrorBody, ParticipantInfo, sender_json};

/// The one sub-protocol that is spoken; selected if the client offers it, none is selected if it offers none.
pub const SUB_PROTOCOL: &str = "v12.stomp";

/// The port a gateway listens on if nothing else is said.
pub const DEFAULT_PORT: u16 = 58503;

/// The one path where connections are upgraded.
pub const PATH: &str = "/v1";

#[cfg(test)]
mod tests;
