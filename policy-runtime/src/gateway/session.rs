//! Drives one connection: its socket, its calls, its timers.
//!
//! In: an upgraded socket and what the upgrade found out. Out: nothing; it ends when the connection does, and with it all
//! calls and streams of the connection. Calls that are in flight then are dropped where they wait, as HTTP servers do.
//!
//! ```text
//! socket ─► Decoder ─► Connection ─► Act ─► task ─► Event ─► Connection ─► Outbound ─► socket
//! ```

use std::collections::HashMap;
use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use policy_core::context::{Facts, OwnAttributes};
use policy_core::value::Millis;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::admission::{Admission, Returning};
use super::call::{self, Begun, Job, Running};
use super::connection::{Act, Call, CallId, Connection, Farewell, Outcome};
use super::hosts::{Forward, Hosting};
use super::meter::Metered;
use super::metrics::count;
use super::outbound::{Outbound, Step};
use super::sessions::{Order, Registration, SocketPermit};
use super::shared::{Run, Shared};
use super::signals::{Signal, Signals};
use crate::authn::Outcome as Checked;
use crate::code::Code;
use crate::security::SecurityContext;
use crate::service::CallError;
use crate::wire::{self, Decoder, Frame, Headers, Incoming};

mod hosting;
mod sign_in;
mod staying;

use staying::KeepAlive;

/// What the tasks of a connection tell it.
#[derive(Debug)]
pub(super) enum Event {
    /// A call came to something.
    Call(CallId, Outcome),
    /// A call of a hosted service turned out to be a stream.
    Stream(CallId, SecurityContext),
    /// The credentials of CONNECT were checked.
    Connect(Checked),
    /// A fresh credential was checked, from then on.
    Renew(CallId, Checked, Instant),
    /// Somebody calls a service that this connection hosts.
    Forward(Forward),
}

/// Who is on the other end, as the socket and the upgrade say.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) address: IpAddr,
    /// Names the connection in the log, and begins the ids of its requests.
    pub(super) connection: String,
    /// When it began to be found out who that is.
    pub(super) looked_up: Instant,
    pub(super) returning: Option<Returning>,
    /// What the application added to the context.
    pub(super) attributes: OwnAttributes,
    #[expect(dead_code, reason = "held as long as the socket is")]
    pub(super) permits: (Arc<SocketPermit>, Option<SocketPermit>),
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The peer said DISCONNECT.
    Left,
    /// The peer closed, or the network did.
    Lost,
    /// An ERROR was sent.
    Refused,
    /// The peer was silent.
    Silent,
    /// The peer does not read.
    Stalled,
    Expired,
    Revoked,
    /// The gateway shuts down.
    Drained,
}

impl End {
    /// What the socket is closed with; `None` when there is nobody to tell.
    const fn close_frame(self) -> Option<(CloseCode, &'static str)> {
        match self {
            Self::Left => Some((CloseCode::Normal, "")),
            Self::Refused => Some((CloseCode::Policy, "refused")),
            Self::Expired => Some((CloseCode::Policy, "the credential has expired")),
            Self::Revoked => Some((CloseCode::Policy, "the session was ended")),
            Self::Drained => Some((CloseCode::Away, "the server is shutting down")),
            Self::Lost | Self::Silent | Self::Stalled => None,
        }
    }
}

impl End {
    /// Whether what waits to be sent goes out first. Nothing that was computed for a participant leaves after its credential
    /// ended.
    const fn waits_for_the_rest(self) -> bool {
        match self {
            Self::Left | Self::Refused | Self::Drained => true,
            Self::Lost | Self::Silent | Self::Stalled | Self::Expired | Self::Revoked => false,
        }
    }
}

/// Who calls on this connection.
struct Caller {
    context: SecurityContext,
    facts: Facts,
    expires_at: Option<Millis>,
    /// When it expires whatever the clock is set to meanwhile.
    ends: Option<Instant>,
    /// The session of a cookie, and what keeps it alive.
    session: Option<(Arc<str>, KeepAlive)>,
}

impl Caller {
    /// The context of one call.
    fn calling(&self, request_id: Option<&Arc<str>>, quota: Option<u32>) -> SecurityContext {
        let facts = Facts { request_id: request_id.cloned(), quota, ..self.facts.clone() };
        self.context.clone().with_facts(facts)
    }
}

struct Session {
    shared: Arc<Shared>,
    peer: Peer,
    connection: Connection,
    decoder: Decoder,
    admission: Option<Admission>,
    caller: Option<Caller>,
    registration: Option<Registration>,
    signals: Signals,
    running: HashMap<CallId, Running>,
    /// The calls that may have an open stream; they are decided again when policies or the participant change.
    streams: HashMap<CallId, SecurityContext>,
    decided: Instant,
    /// What this connection hosts, by subscription.
    hosting: HashMap<String, Hosting>,
    /// How many more calls of this message may be made at once.
    at_once: usize,
    /// Where the answers go to what this connection was asked as a host.
    asked: HashMap<String, mpsc::Sender<Outcome>>,
    /// The check of credentials at CONNECT.
    checking: Option<Running>,
    connect_headers: Headers,
    events: mpsc::Sender<Event>,
    sends_every: Option<Duration>,
    heard: Instant,
    touched: Instant,
    said: Instant,
    pinged: bool,
    begun: Instant,
    end: Option<End>,
}

/// How many outcomes may wait for their connection.
const EVENTS: usize = 64;
/// How many of them are taken before the socket is looked at again.
const BATCH: usize = 64;
/// How many calls of one message are made at once; the others have tasks of their own.
const AT_ONCE: usize = 16;
/// How long an open stream goes on without being decided again, since rules read the time.
const DECIDED_FOR: Duration = Duration::from_mins(1);
/// How long a close frame may take to go out.
const FAREWELL: Duration = Duration::from_millis(250);

/// Runs a connection until it ends.
pub(super) async fn run<S>(
    mut socket: WebSocketStream<Metered<S>>,
    shared: Arc<Shared>,
    peer: Peer,
    admission: Admission,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let (events, mut inbox) = mpsc::channel(EVENTS);
    let limits = shared.limits.clone();
    let now = Instant::now();
    let mut session = Session {
        connection: Connection::new(peer.connection.clone(), uuid::Uuid::new_v4().to_string(), &limits),
        decoder: Decoder::new(wire::Limits::CONNECT),
        admission: Some(admission),
        caller: None,
        registration: None,
        signals: Signals::new(&shared),
        running: HashMap::new(),
        streams: HashMap::new(),
        decided: now,
        hosting: HashMap::new(),
        at_once: 0,
        asked: HashMap::new(),
        checking: None,
        connect_headers: Headers::default(),
        events,
        sends_every: None,
        heard: now,
        touched: now,
        said: now,
        pinged: false,
        begun: now,
        end: None,
        shared,
        peer,
    };
    let mut out = Outbound::default();
    let timer = tokio::time::sleep_until(now + limits.connect_time);
    tokio::pin!(timer);
    let mut was_open = false;
    let end = loop {
        if let Some(end) = session.end
            && (out.is_empty() || !end.waits_for_the_rest())
        {
            break end;
        }
        if !was_open && session.connection.is_open() {
            was_open = true;
            socket.get_mut().open();
            session.decoder.set_limits(limits.frame);
        }
        let due = session.due(&out);
        if due < timer.deadline() {
            timer.as_mut().reset(due);
        }
        let has_room = out.octets() < limits.outbound;
        let may_read = session.end.is_none();
        tokio::select! {
            step = poll_fn(|cx| out.poll(&mut socket, cx, limits.outbound, may_read)) => match step {
                Step::Room => {}
                Step::Ended => session.end = Some(session.end.unwrap_or(End::Lost)),
                Step::Broken(error) => {
                    tracing::debug!(target: "policy::gateway", connection = session.peer.connection, %error, "the socket broke");
                    break End::Lost;
                }
                Step::Message(message) => {
                    session.message(message, &mut out);
                    // Who sends without end lets others have their turn.
                    tokio::task::consume_budget().await;
                }
            },
            Some(event) = inbox.recv(), if has_room && session.end.is_none() => {
                session.event(event, &mut out);
                for _ in 0..BATCH {
                    if out.octets() >= limits.outbound || session.end.is_some() {
                        break;
                    }
                    let Ok(event) = inbox.try_recv() else { break };
                    session.event(event, &mut out);
                }
            }
            () = &mut timer => {
                session.tick(&mut out);
                timer.as_mut().reset(session.due(&out));
            }
            signal = session.signals.next() => match signal {
                Signal::Order(Order::Stay) | Signal::Run(Run::Serving) => {}
                Signal::Order(Order::Renewed(participant)) => session.replace(participant, &mut out),
                Signal::Order(Order::Revoked) => {
                    count(&session.shared.metrics.revoked);
                    session.end = Some(End::Revoked);
                }
                Signal::Policies => session.decide_again(&mut out),
                Signal::Run(Run::Draining) => session.drain(),
                Signal::Run(Run::Over) => break End::Drained,
            },
        }
    };
    session.over(end);
    out.clear();
    if let Some((code, reason)) = end.close_frame() {
        let frame = CloseFrame { code, reason: reason.into() };
        let _ = tokio::time::timeout(FAREWELL, socket.close(Some(frame))).await;
    }
}

impl Session {
    /// When the timers must be looked at again.
    fn due(&self, out: &Outbound) -> Instant {
        let limits = &self.shared.limits;
        let mut due = Instant::now() + limits.stalled.min(limits.heart_beat);
        let mut at = |time: Instant| due = due.min(time);
        if !self.connection.is_open() {
            at(self.begun + limits.connect_time);
        }
        if let Some(left) = self.caller.as_ref().and_then(|caller| self.left(caller)) {
            at(Instant::now() + left);
        }
        if let Some(since) = out.stalled() {
            at(since + limits.stalled);
        }
        if let Some(every) = self.sends_every {
            at(self.said + every);
        }
        due
    }

    /// How long the credential of a caller still lasts, if it ends.
    fn left(&self, caller: &Caller) -> Option<Duration> {
        let left = self.shared.until(caller.expires_at?);
        Some(caller.ends.map_or(left, |end| left.min(end.saturating_duration_since(Instant::now()))))
    }

    fn tick(&mut self, out: &mut Outbound) {
        self.keep_session(KeepAlive::Connection);
        let (now, limits) = (Instant::now(), &self.shared.limits);
        let silent = now.duration_since(self.heard);
        if self.caller.as_ref().and_then(|caller| self.left(caller)).is_some_and(|left| left.is_zero()) {
            count(&self.shared.metrics.expired);
            self.end = Some(End::Expired);
        } else if !self.connection.is_open() && now >= self.begun + limits.connect_time {
            self.end = Some(End::Lost);
        } else if out.stalled().is_some_and(|since| now >= since + limits.stalled) {
            count(&self.shared.metrics.stalled);
            self.end = Some(End::Stalled);
        } else if silent >= limits.heart_beat * 5 / 2 {
            self.end = Some(End::Silent);
        } else {
            if !self.streams.is_empty() && now >= self.decided + DECIDED_FOR {
                return self.decide_again(out);
            }
            if silent >= limits.heart_beat && !self.pinged {
                self.pinged = true;
                out.push(Message::Ping(bytes::Bytes::new()));
            }
            if self.sends_every.is_some_and(|every| now >= self.said + every) {
                self.said = now;
                out.push(Message::Text("\n".into()));
            }
        }
    }

    fn drain(&mut self) {
        self.connection.drain();
        self.end_if_drained();
    }

    fn end_if_drained(&mut self) {
        if self.connection.is_draining() && self.connection.calls_in_flight() == 0 && self.end.is_none() {
            self.end = Some(End::Drained);
        }
    }

    fn message(&mut self, message: Message, out: &mut Outbound) {
        self.heard = Instant::now();
        self.pinged = false;
        match message {
            Message::Text(text) => self.decoder.feed(text.into()),
            Message::Binary(bytes) => self.decoder.feed(bytes),
            Message::Close(_) => {
                self.end = Some(self.end.unwrap_or(End::Lost));
                return;
            }
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => return,
        }
        let mut acts = Vec::new();
        self.at_once = AT_ONCE;
        while self.end.is_none() {
            match self.decoder.next() {
                Ok(None) => break,
                Ok(Some(Incoming::HeartBeat)) => {}
                Ok(Some(Incoming::Frame(frame))) => {
                    self.keep_session(KeepAlive::Activity);
                    self.connection.receive(frame, &mut acts);
                    self.perform(&mut acts, out);
                }
                Err(error) => {
                    count(&self.shared.metrics.protocol_errors);
                    self.connection.violated(&error.to_string(), &mut acts);
                    self.perform(&mut acts, out);
                }
            }
        }
    }

    fn event(&mut self, event: Event, out: &mut Outbound) {
        let mut acts = Vec::new();
        match event {
            Event::Call(id, outcome) => self.outcome(id, outcome, &mut acts),
            Event::Stream(id, context) => self.streams(id, context, &mut acts),
            Event::Connect(checked) => {
                self.checking = None;
                self.checked(checked, &mut acts);
            }
            Event::Forward(forward) => self.forward(forward, &mut acts),
            Event::Renew(id, checked, looked_up) => {
                let outcome = self.renewed(checked, looked_up);
                self.outcome(id, outcome, &mut acts);
                self.decide_again(out);
            }
        }
        self.perform(&mut acts, out);
        self.end_if_drained();
    }

    fn outcome(&mut self, id: CallId, outcome: Outcome, acts: &mut Vec<Act>) {
        if outcome.is_last() {
            self.ends(id);
        }
        self.connection.outcome(id, outcome, acts);
    }

    /// Policies may have changed since it was let through.
    fn streams(&mut self, id: CallId, context: SecurityContext, acts: &mut Vec<Act>) {
        let Some(caller) = self.caller.as_ref().filter(|_| self.running.contains_key(&id)) else { return };
        match context.decide_again(caller.context.participant()) {
            Ok(()) => drop(self.streams.insert(id, context)),
            Err(denied) => self.outcome(id, Outcome::Failed(denied.into()), acts),
        }
    }

    fn ends(&mut self, id: CallId) {
        self.running.remove(&id);
        self.streams.remove(&id);
    }

    /// Open streams go on only while what opened them would still be allowed.
    fn decide_again(&mut self, out: &mut Outbound) {
        self.decided = Instant::now();
        self.host_again();
        let Some(caller) = &self.caller else { return };
        let participant = caller.context.participant();
        let decided = self.streams.iter().map(|(id, context)| (*id, context.decide_again(participant)));
        let denied: Vec<_> = decided.filter_map(|(id, decided)| decided.err().map(|denied| (id, denied))).collect();
        let mut acts = Vec::new();
        for (id, denied) in denied {
            self.outcome(id, Outcome::Failed(denied.into()), &mut acts);
        }
        self.perform(&mut acts, out);
    }

    fn perform(&mut self, acts: &mut Vec<Act>, out: &mut Outbound) {
        // Performing may add more.
        while !acts.is_empty() {
            for act in std::mem::take(acts) {
                self.perform_one(act, acts, out);
            }
        }
    }

    fn perform_one(&mut self, act: Act, acts: &mut Vec<Act>, out: &mut Outbound) {
        match act {
            Act::Send(frame) => self.send(&frame, out),
            Act::Authenticate(headers) => self.authenticate(headers, acts),
            Act::Call(call) => self.call(call, acts),
            Act::Cancel(id) => {
                self.ends(id);
                self.end_if_drained();
            }
            Act::Renew(id, headers) => self.renew(id, &headers, acts),
            Act::Host { subscription, address } => self.host(subscription, &address),
            Act::Unhost { subscription } => self.unhost(&subscription),
            Act::HostReply { request, frame } => self.host_reply(&request, frame, acts),
            Act::Close(Farewell::Left) => self.end = Some(End::Left),
            Act::Close(Farewell::Refused) => self.end = Some(End::Refused),
        }
    }

    fn send(&mut self, frame: &Frame, out: &mut Outbound) {
        let Ok(bytes) = frame.encode() else {
            // Headers that were read from a frame, or made here, can be written.
            tracing::error!(target: "policy::gateway", connection = self.peer.connection, ?frame, "a frame cannot be written");
            self.end = Some(End::Lost);
            return;
        };
        self.said = Instant::now();
        if !frame.is_text() {
            return out.push(Message::Binary(bytes.into()));
        }
        out.push(match String::from_utf8(bytes) {
            Ok(text) => Message::Text(text.into()),
            Err(error) => Message::Binary(error.into_bytes().into()),
        });
    }

    fn call(&mut self, call: Call, acts: &mut Vec<Act>) {
        let Some(caller) = &self.caller else { return };
        let context = &caller.context;
        let quota = match self.shared.limiter.call(context.participant(), Some(self.peer.address)) {
            Ok(quota) => quota,
            Err(too_often) => return self.outcome(call.id, Outcome::Failed(too_often.into()), acts),
        };
        let Some(mounted) = self.shared.services.find(context.application(), call.target.base()) else {
            return self.call_host(call, quota, acts);
        };
        let Some(name) = call.target.path() else {
            let error = CallError::new(Code::UnknownMethod, Code::UnknownMethod.text());
            return self.outcome(call.id, Outcome::Failed(error), acts);
        };
        let mut context = caller.calling(Some(&call.request_id), quota);
        let span = call::span(&call, mounted.service.declaration().name, name, &context);
        let method = mounted.method(name);
        let streaming = method.is_some_and(|method| method.streaming);
        if streaming {
            context = context.keeping();
            self.streams.insert(call.id, context.clone());
        }
        let (service, method_name) = (mounted.service.clone(), name.to_owned());
        let Call { id, request_id, body, .. } = call;
        let job = Job { id, service, method: method_name, body, context, request_id, span };
        let short = method.filter(|method| self.at_once > 0 && !streaming && method.is_short());
        self.at_once = self.at_once.saturating_sub(1);
        let at = Instant::now();
        let begun = call::begin(job, self.shared.clone(), self.events.clone(), short.is_some());
        if let Some(method) = short {
            method.took(at.elapsed());
        }
        match begun {
            Begun::Done(outcome) => self.outcome(id, outcome, acts),
            Begun::Told => {}
            Begun::Running(running) => drop(self.running.insert(id, running)),
        }
    }

    /// The connection is over: what it had running ends, and it may be expected back.
    fn over(&mut self, end: End) {
        self.running.clear();
        self.streams.clear();
        self.hosting.clear();
        self.asked.clear();
        self.checking = None;
        self.leave_session();
        if self.registration.take().is_some() {
            tracing::info!(target: "policy::gateway", connection = self.peer.connection, address = %self.peer.address, ?end, "disconnected");
            if let Some(returning) = self.peer.returning.take()
                && end != End::Left
            {
                self.shared.owed.lost(returning, Instant::now());
            }
        }
    }
}
