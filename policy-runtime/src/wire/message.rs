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
pub fn connect(heart_beat: HeartBeat) -> Frame {
    Frame::new(Command::Connect).with(header::ACCEPT_VERSION, "1.2").with(header::HEART_BEAT, heart_beat.render())
}

/// Answers CONNECT.
pub fn connected(info: &ConnectedInfo, heart_beat: HeartBeat) -> Frame {
    Frame::new(Command::Connected)
        .with(header::VERSION, "1.2")
        .with(header::HEART_BEAT, heart_beat.render())
        .with(header::CONNECTED_INFO, serde_json::to_string(info).unwrap_or_default())
}

/// A protocol violation or a refused CONNECT; the connection ends after it. The text loses what unescaped readers stumble over.
pub fn error(message: &str) -> Frame {
    let plain: String = message.chars().map(|c| if c == ':' || c.is_control() { ' ' } else { c }).collect();
    Frame::new(Command::Error).with(header::MESSAGE, plain).with(header::CONTENT_TYPE, "text/plain")
}

/// Confirms a frame.
pub fn receipt(id: &str) -> Frame {
    Frame::new(Command::Receipt).with(header::RECEIPT_ID, id)
}

/// The address of the replies of a connection, for one subscriber.
pub fn reply_address(reply_to_id: &str, subscriber: &str) -> String {
    format!("reply://{reply_to_id}:{subscriber}@{REPLY_RESOURCE}/replyHandler")
}

/// Asks for what arrives at an address.
pub fn subscribe(id: &str, destination: &str) -> Frame {
    Frame::new(Command::Subscribe).with(header::ID, id).with(header::DESTINATION, destination)
}

/// Takes a subscription back.
pub fn unsubscribe(id: &str) -> Frame {
    Frame::new(Command::Unsubscribe).with(header::ID, id)
}

/// Calls a service with a JSON array of arguments.
pub fn request(destination: &str, reply_to: &str, correlation_id: &str, arguments: impl Into<Bytes>) -> Frame {
    Frame::new(Command::Send)
        .with(header::DESTINATION, destination)
        .with(header::REPLY_TO, reply_to)
        .with(header::CORRELATION_ID, correlation_id)
        .with_body(header::JSON, arguments)
}

/// Ends a stream early; never answered.
pub fn cancel(destination: &str, correlation_id: &str) -> Frame {
    Frame::new(Command::Send)
        .with(header::DESTINATION, destination)
        .with(header::CONTROL, "cancel")
        .with(header::CORRELATION_ID, correlation_id)
}

/// Says good-bye.
pub fn disconnect(receipt: &str) -> Frame {
    Frame::new(Command::Disconnect).with(header::RECEIPT, receipt)
}

/// A MESSAGE to a subscription, with the headers of the request that are to be copied.
pub fn reply(subscription: &str, message_id: u64, destination: &str, request: &Headers) -> Frame {
    let frame = Frame::new(Command::Message)
        .with(header::SUBSCRIPTION, subscription)
        .with(header::MESSAGE_ID, message_id.to_string())
        .with(header::DESTINATION, destination);
    copied(request).fold(frame, |frame, (name, value)| frame.with(name.to_owned(), value))
}

/// The headers of a request that belong on its replies.
pub fn copied(request: &Headers) -> impl Iterator<Item = (&str, &str)> {
    request.iter().filter(|(name, _)| name.starts_with(header::COPIED_PREFIX))
}

/// Makes a reply a value.
#[must_use]
pub fn value(reply: Frame, json: impl Into<Bytes>) -> Frame {
    let json = json.into();
    // An empty JSON body breaks readers: nothing is `null`.
    let json = if json.is_empty() { Bytes::from_static(b"null") } else { json };
    reply.with_body(header::JSON, json)
}

/// Makes a reply an error.
#[must_use]
pub fn failure(reply: Frame, body: &ErrorBody) -> Frame {
    let message = body.error_message.replace('\0', "\u{fffd}");
    let reply = reply.with(header::ERROR, message);
    reply.with_body(header::JSON, serde_json::to_vec(body).unwrap_or_default())
}

/// Makes a reply the end of a stream.
#[must_use]
pub fn complete(reply: Frame) -> Frame {
    reply.with(header::CONTROL, "complete")
}
