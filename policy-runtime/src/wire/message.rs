//! Whole frames, as the two sides send them.

use bytes::Bytes;

use super::frame::{Command, Frame, Headers};
use super::header;
use super::heartbeat::HeartBeat;
use super::info::{ConnectedInfo, ErrorBody};

/// Where a fresh credential is sent on a live connection.
pub const RENEW: &str = "srv://policy.runtime.Connection/renew";

/// The resource of reply addresses, as the npm client spells it.
pub const REPLY_RESOURCE: &str = "kinoitc.js.EventBus";

/// Opens a connection.
///
/// ```
/// use policy_runtime::wire::{Command, HeartBeat, message};
/// assert_eq!(message::connect(HeartBeat::default()).command, Command::Connect);
/// ```
pub fn connect(heart_beat: HeartBeat) -> Frame {
    Frame::new(Command::Connect).with(header::ACCEPT_VERSION, "1.2").with(header::HEART_BEAT, heart_beat.render())
}

/// Answers CONNECT.
///
/// ```
/// use policy_runtime::wire::{Command, ConnectedInfo, HeartBeat, ParticipantInfo, message};
/// use policy_runtime::{Participant, Scope};
/// let info = ParticipantInfo::from(&Participant::builder(Scope::System, "u-1").build());
/// let frame = message::connected(&ConnectedInfo::new("r-1".to_owned(), info), HeartBeat::default());
/// assert_eq!(frame.command, Command::Connected);
/// ```
pub fn connected(info: &ConnectedInfo, heart_beat: HeartBeat) -> Frame {
    Frame::new(Command::Connected)
        .with(header::VERSION, "1.2")
        .with(header::HEART_BEAT, heart_beat.render())
        .with(header::CONNECTED_INFO, serde_json::to_string(info).unwrap_or_default())
}

/// A protocol violation or a refused CONNECT; the connection ends after it. The text loses what unescaped readers stumble over.
///
/// ```
/// use policy_runtime::wire::{Command, message};
/// assert_eq!(message::error("no: such\nthing").command, Command::Error);
/// ```
pub fn error(message: &str) -> Frame {
    let plain: String = message.chars().map(|c| if c == ':' || c.is_control() { ' ' } else { c }).collect();
    Frame::new(Command::Error).with(header::MESSAGE, plain).with(header::CONTENT_TYPE, "text/plain")
}

/// Confirms a frame.
///
/// ```
/// use policy_runtime::wire::{Command, message};
/// assert_eq!(message::receipt("7").command, Command::Receipt);
/// ```
pub fn receipt(id: &str) -> Frame {
    Frame::new(Command::Receipt).with(header::RECEIPT_ID, id)
}

/// The address of the replies of a connection, for one subscriber.
///
/// ```
/// use policy_runtime::wire::message::reply_address;
/// assert!(reply_address("r-1", "s-1").starts_with("reply://r-1:s-1@"));
/// ```
pub fn reply_address(reply_to_id: &str, subscriber: &str) -> String {
    format!("reply://{reply_to_id}:{subscriber}@{REPLY_RESOURCE}/replyHandler")
}

/// Asks for what arrives at an address.
///
/// ```
/// use policy_runtime::wire::{Command, message};
/// assert_eq!(message::subscribe("s-1", "reply://r-1").command, Command::Subscribe);
/// ```
pub fn subscribe(id: &str, destination: &str) -> Frame {
    Frame::new(Command::Subscribe).with(header::ID, id).with(header::DESTINATION, destination)
}

/// Takes a subscription back.
///
/// ```
/// use policy_runtime::wire::{Command, message};
/// assert_eq!(message::unsubscribe("s-1").command, Command::Unsubscribe);
/// ```
pub fn unsubscribe(id: &str) -> Frame {
    Frame::new(Command::Unsubscribe).with(header::ID, id)
}

/// Calls a service with a JSON array of arguments.
///
/// ```
/// use policy_runtime::wire::{Command, message};
/// assert_eq!(message::request("srv://com.example.Orders/place", "reply://r-1", "c-1", "[5]").command, Command::Send);
/// ```
pub fn request(destination: &str, reply_to: &str, correlation_id: &str, arguments: impl Into<Bytes>) -> Frame {
    Frame::new(Command::Send)
        .with(header::DESTINATION, destination)
        .with(header::REPLY_TO, reply_to)
        .with(header::CORRELATION_ID, correlation_id)
        .with_body(header::JSON, arguments)
}

/// Ends a stream early; never answered.
///
/// ```
/// use policy_runtime::wire::{Command, message};
/// assert_eq!(message::cancel("srv://com.example.Prices/watch", "c-1").command, Command::Send);
/// ```
pub fn cancel(destination: &str, correlation_id: &str) -> Frame {
    Frame::new(Command::Send)
        .with(header::DESTINATION, destination)
        .with(header::CONTROL, "cancel")
        .with(header::CORRELATION_ID, correlation_id)
}

/// Says good-bye.
///
/// ```
/// use policy_runtime::wire::{Command, message};
/// assert_eq!(message::disconnect("7").command, Command::Disconnect);
/// ```
pub fn disconnect(receipt: &str) -> Frame {
    Frame::new(Command::Disconnect).with(header::RECEIPT, receipt)
}

/// A MESSAGE to a subscription, with the headers of the request that were [`copied`].
///
/// ```
/// use policy_runtime::wire::{Command, Headers, message};
/// assert_eq!(message::reply("s-1", 1, "reply://r-1", &Headers::default()).command, Command::Message);
/// ```
pub fn reply(subscription: &str, message_id: u64, destination: &str, request: &Headers) -> Frame {
    let mut frame = Frame::new(Command::Message)
        .with(header::SUBSCRIPTION, subscription)
        .with(header::MESSAGE_ID, message_id.to_string())
        .with(header::DESTINATION, destination);
    frame.headers.extend(request);
    frame
}

/// The headers of a request that belong on its replies.
///
/// ```
/// use policy_runtime::wire::{Headers, message};
/// let mut request = Headers::default();
/// request.add("id", "1");
/// assert!(message::copied(&request).is_empty());
/// ```
#[must_use]
pub fn copied(request: &Headers) -> Headers {
    request.only(|name| name.starts_with(header::COPIED_PREFIX))
}

/// Makes a reply a value.
///
/// ```
/// use policy_runtime::wire::{Headers, message};
/// let reply = message::reply("s-1", 1, "reply://r-1", &Headers::default());
/// let frame = message::value(reply, "5");
/// assert_eq!(&frame.body[..], b"5");
/// ```
#[must_use]
pub fn value(reply: Frame, json: impl Into<Bytes>) -> Frame {
    let json = json.into();
    // An empty JSON body breaks readers: nothing is `null`.
    let json = if json.is_empty() { Bytes::from_static(b"null") } else { json };
    reply.with_body(header::JSON, json)
}

/// Makes a reply an error.
///
/// ```
/// use policy_runtime::wire::{ErrorBody, Headers, message};
/// let reply = message::reply("s-1", 1, "reply://r-1", &Headers::default());
/// let frame = message::failure(reply, &ErrorBody::new("com.example.NotFound", "no such order"));
/// assert_eq!(frame.header("error"), Some("no such order"));
/// ```
#[must_use]
pub fn failure(reply: Frame, body: &ErrorBody) -> Frame {
    let message = body.error_message.replace('\0', "\u{fffd}");
    let reply = reply.with(header::ERROR, message);
    reply.with_body(header::JSON, serde_json::to_vec(body).unwrap_or_default())
}

/// Makes a reply the end of a stream.
///
/// ```
/// use policy_runtime::wire::{Headers, message};
/// let reply = message::reply("s-1", 1, "reply://r-1", &Headers::default());
/// let frame = message::complete(reply);
/// assert!(frame.body.is_empty());
/// ```
#[must_use]
pub fn complete(reply: Frame) -> Frame {
    reply.with(header::CONTROL, "complete")
}
