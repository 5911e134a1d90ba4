//! What one connection may say, and what becomes of it: frames in, [`Act`]s out.
//!
//! In: frames, the outcomes of calls. Out: frames to send and work to start. Absent: sockets, time, tasks, policies; whoever
//! drives it brings them.
//!
//! ```text
//! CONNECT ──► Act::Authenticate ──► accepted ──► CONNECTED
//! SEND ─────► Act::Call ──► outcome ──► MESSAGE
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::hosts::Forward;
use super::limits::Limits;
use crate::code::Code;
use crate::edge::is_plain;
use crate::service::CallError;
use crate::wire::{Command, ConnectedInfo, Cri, ErrorBody, Frame, Headers, HeartBeat, header, message};

/// Names a call within its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct CallId(pub(super) u64);

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Send a frame.
    Send(Frame),
    /// Check the credentials of a CONNECT, then say `accepted` or `refused`.
    Authenticate(Headers),
    /// Start a call.
    Call(Call),
    /// End a call; nothing more of it is sent.
    Cancel(CallId),
    /// Check a fresh credential, then give the outcome.
    Renew(CallId, Headers),
    /// The peer wants to host a service under this subscription.
    Host { subscription: String, address: String },
    /// It does not any more.
    Unhost { subscription: String },
    /// A host answers a request that it may have been given.
    HostReply { request: String, frame: Frame },
    /// Close the socket, after what is to be sent.
    Close(Farewell),
}

/// How the two sides part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Farewell {
    /// The peer said DISCONNECT.
    Left,
    /// It was told an ERROR.
    Refused,
}

/// A call as it was sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) id: CallId,
    pub(super) request_id: Arc<str>,
    pub(super) target: Cri,
    pub(super) headers: Headers,
    pub(super) body: Bytes,
}

/// What a call came to.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Its only value, as JSON.
    Value(Bytes),
    /// One of several values, as JSON.
    Item(Bytes),
    /// The end of several values.
    Complete,
    /// A value that a host sent, of its own kind.
    Foreign { content_type: Option<String>, more: bool, body: Bytes },
    /// It failed.
    Failed(CallError),
}

impl Outcome {
    /// Whether nothing more of the call follows.
    pub(super) const fn is_last(&self) -> bool {
        match self {
            Self::Item(_) | Self::Foreign { more: true, .. } => false,
            Self::Value(_) | Self::Complete | Self::Foreign { more: false, .. } | Self::Failed(_) => true,
        }
    }

    /// The code of a failure.
    pub(super) fn code(&self) -> Option<Code> {
        match self {
            Self::Failed(error) => Some(error.code()),
            Self::Value(_) | Self::Item(_) | Self::Complete | Self::Foreign { .. } => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing but CONNECT is taken.
    Waiting,
    /// A CONNECT is being checked; the peer must wait for the answer.
    Checking,
    Open,
    Closed,
}

#[derive(Debug)]
enum Subscription {
    /// Replies to an address of this connection.
    Replies { destination: String },
    /// A service of this connection, if that is granted.
    Hosts,
    /// An address from which nothing ever comes, such as another connection's replies. It costs the peer one of its
    /// subscriptions and tells it nothing.
    Idle,
}

/// What is kept of a request until its last reply.
#[derive(Debug)]
struct Pending {
    /// `None` when no reply is wanted.
    reply_to: Option<String>,
    /// The one that was sent, if it is plain, or one of ours.
    request_id: Arc<str>,
    /// Values carry the id back to whoever sent it; failures always do.
    echoes: bool,
    correlation: Option<String>,
    destination: String,
    /// The headers that are copied to every reply.
    copied: Headers,
}

/// The state of one connection.
#[derive(Debug)]
pub(super) struct Connection {
    phase: Phase,
    /// Begins the ids of its requests.
    name: String,
    reply_to_id: String,
    /// The reply id that a legacy client chose: a private name for `reply_to_id`, which no other connection sees.
    alias: Option<String>,
    max_subscriptions: usize,
    max_calls: usize,
    subscriptions: HashMap<String, Subscription>,
    /// Which subscription the replies to an address go to.
    by_destination: HashMap<String, String>,
    calls: HashMap<CallId, Pending>,
    next_call: u64,
    next_message: u64,
    draining: bool,
}

impl Connection {
    /// Starts a connection of this name, whose replies have this fresh, unguessable id.
    pub(super) fn new(name: String, reply_to_id: String, limits: &Limits) -> Self {
        Self {
            phase: Phase::Waiting,
            name,
            reply_to_id,
            alias: None,
            max_subscriptions: limits.subscriptions,
            max_calls: limits.calls,
            subscriptions: HashMap::new(),
            by_destination: HashMap::new(),
            calls: HashMap::new(),
            next_call: 0,
            next_message: 0,
            draining: false,
        }
    }

    pub(super) fn reply_to_id(&self) -> &str {
        &self.reply_to_id
    }

    pub(super) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    pub(super) const fn is_draining(&self) -> bool {
        self.draining
    }

    pub(super) fn calls_in_flight(&self) -> usize {
        self.calls.len()
    }

    /// From now on no call is started.
    pub(super) const fn drain(&mut self) {
        self.draining = true;
    }

    /// The CONNECT was accepted. A legacy client's own reply id becomes an alias.
    pub(super) fn accepted(&mut self, mut info: ConnectedInfo, heart_beat: HeartBeat, alias: Option<String>) -> Act {
        if let Some(alias) = &alias {
            info.reply_to_id.clone_from(alias);
        }
        self.alias = alias;
        self.phase = Phase::Open;
        Act::Send(message::connected(&info, heart_beat))
    }

    /// The connection ends with an ERROR: a refused CONNECT, or a violation of the protocol.
    pub(super) fn refused(&mut self, why: &CallError, acts: &mut Vec<Act>) {
        self.phase = Phase::Closed;
        let mut frame = message::error(why.message()).with(header::CODE, why.code().as_str());
        if let Some(wait) = why.retry_after() {
            frame = frame.with(header::RETRY_AFTER_MS, wait.as_millis().to_string());
        }
        acts.push(Act::Send(frame));
        acts.push(Act::Close(Farewell::Refused));
    }

    /// The peer broke the protocol.
    pub(super) fn violated(&mut self, how: &str, acts: &mut Vec<Act>) {
        self.refused(&CallError::new(Code::BadArguments, how), acts);
    }

    /// Takes a frame of the peer.
    pub(super) fn receive(&mut self, frame: Frame, acts: &mut Vec<Act>) {
        match (self.phase, frame.command) {
            (Phase::Closed, _) => {}
            (Phase::Waiting, Command::Connect) => self.connect(frame, acts),
            (Phase::Waiting, _) => self.violated("CONNECT must come first", acts),
            (Phase::Checking, _) => self.violated("CONNECT has not been answered yet", acts),
            (Phase::Open, command) => self.open(command, frame, acts),
        }
    }

    fn connect(&mut self, frame: Frame, acts: &mut Vec<Act>) {
        let versions = frame.header(header::ACCEPT_VERSION).unwrap_or_default();
        if !versions.split(',').any(|version| version.trim() == "1.2") {
            return self.violated("the version spoken here is 1.2", acts);
        }
        if HeartBeat::parse(frame.header(header::HEART_BEAT)).is_none() {
            return self.violated("malformed heart-beat", acts);
        }
        if !matches!(frame.header(header::SESSION_KEEP_ALIVE), None | Some("NONE" | "ACTIVITY" | "CONNECTION")) {
            return self.violated("unknown session-keep-alive", acts);
        }
        if frame.header(header::SESSION).is_some() && frame.header(header::DISABLE_STICKY_SESSION).is_some() {
            return self.violated("session and disable-sticky-session exclude each other", acts);
        }
        self.phase = Phase::Checking;
        acts.push(Act::Authenticate(frame.headers));
    }

    fn open(&mut self, command: Command, frame: Frame, acts: &mut Vec<Act>) {
        let receipt = frame.header(header::RECEIPT).map(str::to_owned);
        match command {
            Command::Send => self.send(frame, acts),
            Command::Subscribe => self.subscribe(&frame, acts),
            Command::Unsubscribe => self.unsubscribe(&frame, acts),
            Command::Ack | Command::Nack => {}
            Command::Disconnect => self.phase = Phase::Closed,
            Command::Begin | Command::Commit | Command::Abort => {
                return self.violated("transactions are not spoken here", acts);
            }
            Command::Connect => return self.violated("the connection is open already", acts),
            Command::Connected | Command::Message | Command::Receipt | Command::Error => {
                return self.violated("a frame that only a server sends", acts);
            }
        }
        if self.phase == Phase::Closed && command != Command::Disconnect {
            return;
        }
        if let Some(receipt) = receipt {
            acts.push(Act::Send(message::receipt(&receipt)));
        }
        if command == Command::Disconnect {
            acts.push(Act::Close(Farewell::Left));
        }
    }

    /// Whether an address is one for this connection's own replies.
    fn is_own_reply(&self, cri: &Cri) -> bool {
        let id = cri.scope_id();
        let by_alias = || {
            self.alias.as_deref() == id
                && matches!(cri.scheme(), "srv" | "reply")
                && cri.name() == message::REPLY_RESOURCE
        };
        id.is_some() && ((cri.scheme() == "reply" && id == Some(&*self.reply_to_id)) || by_alias())
    }

    fn subscribe(&mut self, frame: &Frame, acts: &mut Vec<Act>) {
        let (Some(id), Some(destination)) = (frame.header(header::ID), frame.header(header::DESTINATION)) else {
            return self.violated("SUBSCRIBE needs id and destination", acts);
        };
        if self.subscriptions.contains_key(id) {
            self.end_subscription(id, acts);
        }
        if self.subscriptions.len() >= self.max_subscriptions {
            return self.violated("too many subscriptions", acts);
        }
        let subscription = match Cri::parse(destination) {
            Ok(cri) if self.is_own_reply(&cri) => {
                self.by_destination.insert(destination.to_owned(), id.to_owned());
                Subscription::Replies { destination: destination.to_owned() }
            }
            // What looks like a reply address of some connection is never a service.
            Ok(cri) if cri.scheme() == "srv" && cri.name() != message::REPLY_RESOURCE => {
                acts.push(Act::Host { subscription: id.to_owned(), address: cri.base().to_owned() });
                Subscription::Hosts
            }
            Ok(_) | Err(_) => Subscription::Idle,
        };
        self.subscriptions.insert(id.to_owned(), subscription);
    }

    fn unsubscribe(&mut self, frame: &Frame, acts: &mut Vec<Act>) {
        match frame.header(header::ID) {
            Some(id) => self.end_subscription(id, acts),
            None => self.violated("UNSUBSCRIBE needs id", acts),
        }
    }

    fn end_subscription(&mut self, id: &str, acts: &mut Vec<Act>) {
        match self.subscriptions.remove(id) {
            Some(Subscription::Replies { destination }) => {
                // Another subscription may have taken the address over.
                if self.by_destination.get(&destination).is_some_and(|current| current == id) {
                    self.by_destination.remove(&destination);
                }
            }
            Some(Subscription::Hosts) => acts.push(Act::Unhost { subscription: id.to_owned() }),
            Some(Subscription::Idle) | None => {}
        }
    }

    fn send(&mut self, frame: Frame, acts: &mut Vec<Act>) {
        let Some(destination) = frame.header(header::DESTINATION).map(str::to_owned) else {
            return self.violated("SEND needs destination", acts);
        };
        match frame.header(header::CONTROL) {
            Some("cancel") => return self.cancel(&frame, acts),
            // Back-pressure is the socket's own; nothing else is known.
            Some(_) if destination.starts_with("srv:") => return,
            Some(_) | None => {}
        }
        let target = Cri::parse(&destination);
        // Only a host sends replies. Whether it was given the request is seen later; there is nothing to answer.
        if let Ok(target) = &target
            && target.scheme() == "reply"
        {
            if let Some(request) = target.scope_id().map(str::to_owned) {
                acts.push(Act::HostReply { request, frame });
            }
            return;
        }
        let reply_to = frame.header(header::REPLY_TO).map(str::to_owned);
        if let Some(reply_to) = &reply_to {
            // A reply address of an earlier connection: the caller was told long ago that this call failed. It must neither
            // be executed nor answered, and an ERROR would end the client for good. One of another connection is the same.
            // What was subscribed to was looked at then.
            let is_own = || Cri::parse(reply_to).is_ok_and(|cri| self.is_own_reply(&cri));
            if !self.by_destination.contains_key(reply_to) && !is_own() {
                return;
            }
        }
        let id = CallId(self.next_call);
        self.next_call = self.next_call.wrapping_add(1);
        let copied = message::copied(&frame.headers);
        let correlation = frame.header(header::CORRELATION_ID).map(str::to_owned);
        let in_flight = self.calls.len();
        let sent = frame.header(header::REQUEST_ID).filter(|id| is_plain(id));
        let request_id: Arc<str> = sent.map_or_else(|| format!("{}-{}", self.name, id.0).into(), Arc::from);
        let pending = Pending {
            reply_to,
            request_id: request_id.clone(),
            echoes: sent.is_some(),
            correlation,
            destination,
            copied,
        };
        self.calls.insert(id, pending);
        let refusal = if self.draining {
            Some(CallError::new(Code::ConnectionLost, "the server is shutting down"))
        } else if in_flight >= self.max_calls {
            Some(CallError::new(Code::RateLimited, "too many calls in flight on this connection"))
        } else {
            None
        };
        match (refusal, target) {
            (Some(error), _) => self.outcome(id, Outcome::Failed(error), acts),
            (None, Ok(target)) if target.scheme() == "srv" => {
                if target.as_str() == message::RENEW {
                    acts.push(Act::Renew(id, frame.headers));
                } else {
                    let mut headers = frame.headers;
                    headers.remove(header::SENDER);
                    acts.push(Act::Call(Call { id, request_id, target, headers, body: frame.body }));
                }
            }
            (None, Ok(_) | Err(_)) => {
                let error = CallError::new(Code::UnknownService, Code::UnknownService.text());
                self.outcome(id, Outcome::Failed(error), acts);
            }
        }
    }

    fn cancel(&mut self, frame: &Frame, acts: &mut Vec<Act>) {
        let Some(correlation) = frame.header(header::CORRELATION_ID) else { return };
        self.calls.retain(|id, pending| {
            let ends = pending.correlation.as_deref() == Some(correlation);
            if ends {
                acts.push(Act::Cancel(*id));
            }
            !ends
        });
    }

    /// A request for a service of this connection. Its reply address is made for this one request.
    pub(super) fn forwarded(&mut self, subscription: &str, request: &str, forward: &Forward) -> Frame {
        self.next_message = self.next_message.wrapping_add(1);
        let frame = Frame::new(Command::Message)
            .with(header::SUBSCRIPTION, subscription)
            .with(header::MESSAGE_ID, self.next_message.to_string())
            .with(header::DESTINATION, forward.target.as_str())
            .with(header::REPLY_TO, message::reply_address(request, "host"))
            .with(header::CORRELATION_ID, request)
            .with(header::SENDER, forward.sender.as_str());
        let frame = forward.headers.iter().fold(frame, |frame, (name, value)| frame.with(name.to_owned(), value));
        // A host takes nothing but JSON; no body at all is no arguments.
        let arguments = if forward.body.is_empty() { Bytes::from_static(b"[]") } else { forward.body.clone() };
        frame.with_body(header::JSON, arguments)
    }

    /// Takes what a call came to. What comes after its last outcome, or after it was cancelled, is passed over.
    pub(super) fn outcome(&mut self, id: CallId, outcome: Outcome, acts: &mut Vec<Act>) {
        let (pending, kept);
        if outcome.is_last() {
            kept = self.calls.remove(&id);
            pending = kept.as_ref();
        } else {
            pending = self.calls.get(&id);
        }
        let Some(Pending { reply_to: Some(reply_to), request_id, echoes, destination, copied, .. }) = pending else {
            return;
        };
        let Some(subscription) = self.by_destination.get(reply_to) else { return };
        self.next_message = self.next_message.wrapping_add(1);
        let mut reply = message::reply(subscription, self.next_message, reply_to, copied);
        if *echoes || matches!(outcome, Outcome::Failed(_)) {
            reply = reply.with(header::REQUEST_ID, &**request_id);
        }
        let item = |reply: Frame| reply.with(header::ORIGIN_CRI, destination.as_str()).with(header::STREAM, "true");
        acts.push(Act::Send(match outcome {
            Outcome::Value(json) => message::value(reply, json),
            Outcome::Item(json) => message::value(item(reply), json),
            Outcome::Complete => message::complete(reply),
            Outcome::Foreign { content_type, more, body } => {
                let reply = if more { item(reply) } else { reply };
                match content_type.as_deref() {
                    Some(header::JSON) => message::value(reply, body),
                    Some(other) => reply.with_body(other, body),
                    None => reply,
                }
            }
            Outcome::Failed(error) => message::failure(reply, &error_body(&error, request_id)),
        }));
    }
}

/// What machines read of a failure.
fn error_body(error: &CallError, request_id: &str) -> ErrorBody {
    let mut body = ErrorBody::new(error.code().exception_class(), error.message());
    body.code = Some(error.code().as_str().to_owned());
    body.decision = error.decision().map(str::to_owned);
    body.retry_after_ms = error.retry_after().and_then(|wait| u64::try_from(wait.as_millis()).ok());
    body.request_id = Some(request_id.to_owned());
    body
}

#[cfg(test)]
mod tests;
