//! The names of the headers that mean something here.

/// The versions a client can speak.
pub const ACCEPT_VERSION: &str = "accept-version";
/// The version that was chosen.
pub const VERSION: &str = "version";
/// What either side promises and wants of heart-beats.
pub const HEART_BEAT: &str = "heart-beat";
/// The address of a frame.
pub const DESTINATION: &str = "destination";
/// The id of a subscription, in SUBSCRIBE and UNSUBSCRIBE.
pub const ID: &str = "id";
/// The id of the subscription that a MESSAGE is for.
pub const SUBSCRIPTION: &str = "subscription";
/// The id of a MESSAGE.
pub const MESSAGE_ID: &str = "message-id";
/// Asks for a RECEIPT.
pub const RECEIPT: &str = "receipt";
/// The receipt that is given.
pub const RECEIPT_ID: &str = "receipt-id";
/// The text of an ERROR.
pub const MESSAGE: &str = "message";
/// The stable code of an ERROR; ours, beyond Kinotic.
pub const CODE: &str = "code";
/// How long to wait before connecting again, in an ERROR; ours, beyond Kinotic.
pub const RETRY_AFTER_MS: &str = "retry-after-ms";
/// The number of octets of the body.
pub const CONTENT_LENGTH: &str = "content-length";
/// The kind of the body, compared exactly.
pub const CONTENT_TYPE: &str = "content-type";
/// Where a reply goes.
pub const REPLY_TO: &str = "reply-to";
/// What a reply belongs to.
pub const CORRELATION_ID: &str = "__correlation-id";
/// The address whose call made this value, so that a client can cancel what it no longer wants.
pub const ORIGIN_CRI: &str = "__origin-cri";
/// `complete` ends a stream, `cancel` asks for its end.
pub const CONTROL: &str = "control";
/// Marks an error reply; its value is the message.
pub const ERROR: &str = "error";
/// The authenticated caller, written by the gateway only.
pub const SENDER: &str = "sender";
/// What the client learns when it is connected.
pub const CONNECTED_INFO: &str = "connected-info";
/// What keeps a cookie's session alive.
pub const SESSION_KEEP_ALIVE: &str = "session-keep-alive";
/// Ties a request to the logs.
pub const REQUEST_ID: &str = "x-request-id";
/// The caller's trace.
pub const TRACEPARENT: &str = "traceparent";
/// What the systems that a trace went through say of it.
pub const TRACESTATE: &str = "tracestate";
/// Marks a value that is one of several; ours, beyond Kinotic.
pub const STREAM: &str = "stream";
/// Headers of this prefix are copied from a request to its replies.
pub const COPIED_PREFIX: &str = "__";

/// Credentials, in an upgrade, in a legacy CONNECT or in a renewal.
pub const AUTHORIZATION: &str = "Authorization";
/// The legacy name of the user.
pub const LOGIN: &str = "login";
/// The legacy password.
pub const PASSCODE: &str = "passcode";
/// The reply id that a legacy client chose.
pub const REPLY_TO_ID: &str = "reply-to-id";
/// The legacy session to resume; never honoured.
pub const SESSION: &str = "session";
/// The legacy wish for no session.
pub const DISABLE_STICKY_SESSION: &str = "disable-sticky-session";

/// JSON.
pub const JSON: &str = "application/json";

/// The names as they are spelled most, so that reading a frame allocates none of them.
pub(super) const KNOWN: &[&str] = &[
    DESTINATION,
    CONTENT_TYPE,
    CONTENT_LENGTH,
    REPLY_TO,
    CORRELATION_ID,
    SUBSCRIPTION,
    MESSAGE_ID,
    ORIGIN_CRI,
    STREAM,
    CONTROL,
    ERROR,
    ID,
    RECEIPT,
    REQUEST_ID,
    TRACEPARENT,
];
