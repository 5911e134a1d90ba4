//! A connection that hosts services, and one that calls them.
//!
//! In: subscriptions to `srv://`, calls that no Rust service answers. Out: requests to hosts, their answers to callers. What
//! is not granted (`Platform::Action::"service.host"`, `"service.call"`, `"service.share"`) looks like a service that is not there.

use tokio::sync::mpsc;
use tracing::Instrument as _;

use super::super::call::{self, Account, Running};
use super::super::connection::{Act, Call, Outcome};
use super::super::hosts::{ANSWERS, Forward, Hosting, ask};
use super::{Event, Session};
use crate::code::Code;
use crate::service::CallError;
use crate::trace::traceparent;
use crate::wire::{Command, ErrorBody, Frame, ParticipantInfo, header, sender_json};

/// The action of hosting a service.
const HOST: &str = "Platform.service.host";
/// The action of hosting a service that others host, who share it too.
const SHARE: &str = "Platform.service.share";
/// The action of calling a hosted service.
const CALL: &str = "Platform.service.call";

/// Headers of a caller that are not its host's business: addresses of the connection, credentials, and what the gateway
/// writes itself.
const KEPT_BACK: [&str; 12] = [
    header::DESTINATION,
    header::REPLY_TO,
    header::CORRELATION_ID,
    header::SENDER,
    header::RECEIPT,
    header::CONTROL,
    header::CONTENT_TYPE,
    header::LOGIN,
    header::PASSCODE,
    "authorization",
    "cookie",
    header::ERROR,
];

/// The code of a host's error: its own word for what went wrong with the call, never one that only this side may say.
fn code_of(body: &[u8]) -> Code {
    let code = ErrorBody::parse(body).and_then(|body| Code::parse(body.code.as_deref()?));
    let may_say = |code: &Code| {
        matches!(
            code,
            Code::BadArguments | Code::UnknownMethod | Code::AccessDenied | Code::RateLimited | Code::Internal
        )
    };
    code.filter(may_say).unwrap_or(Code::Failed)
}

/// What grants say of an address.
fn name_at(address: &str) -> &str {
    address.strip_prefix("srv://").unwrap_or(address)
}

impl Session {
    fn is_granted(&self, action: &str, address: &str) -> bool {
        let Some(caller) = &self.caller else { return false };
        self.shared.may(action, &caller.calling(None, None), name_at(address))
    }

    pub(super) fn host(&mut self, subscription: String, address: &str) {
        let Some(caller) = &self.caller else { return };
        let context = &caller.context;
        // A name with a Rust implementation is never hosted, in any application.
        let refused = if self.shared.services.is_mounted(address) {
            "the service is implemented here"
        } else if !self.is_granted(HOST, address) {
            "it is not granted"
        } else {
            let events = self.events.clone();
            let (who, shares) = (context.participant().uid_id(), self.is_granted(SHARE, address));
            match self.shared.hosts.offer(context.application(), address, who, shares, events) {
                Ok(hosting) => {
                    self.hosting.insert(subscription, hosting);
                    return;
                }
                Err(_) => "another participant hosts it",
            }
        };
        tracing::info!(target: "policy::gateway", connection = self.peer.connection, address, "not hosted: {refused}");
    }

    /// Offers go on only while they would still be allowed.
    pub(super) fn host_again(&mut self) {
        let mut hosting = std::mem::take(&mut self.hosting);
        let may = |action, hosting: &Hosting| self.is_granted(action, hosting.address());
        hosting.retain(|_, hosting| may(HOST, hosting) && (!hosting.has_joined() || may(SHARE, hosting)));
        self.hosting = hosting;
    }

    /// Calls a service that no Rust service answers.
    pub(super) fn call_host(&mut self, call: Call, quota: Option<u32>, acts: &mut Vec<Act>) {
        let Some(caller) = &self.caller else { return };
        let (service, method) = (call.target.name(), call.target.path().unwrap_or_default());
        // Of a service that is hosted no guard here counts; and before it is known whether there is one.
        let left = match self.shared.limiter.action(caller.context.participant(), &format!("{service}.{method}")) {
            Ok(left) => left,
            Err(too_often) => return self.outcome(call.id, Outcome::Failed(too_often.into()), acts),
        };
        let context = caller.calling(Some(&call.request_id), quota.into_iter().chain(left).min()).keeping();
        let span = call::span(&call, service, method, &context);
        let account = Account::open(&context, &call.request_id, service.to_owned(), method);
        let address = call.target.base();
        let host = self.shared.hosts.find(context.application(), address);
        let asked = host.and_then(|host| {
            let permit = span.in_scope(|| self.shared.permit(CALL, &context, name_at(address)))?;
            Some((host, permit))
        });
        let Some((host, permit)) = asked else {
            let name: String = address.chars().take(100).collect();
            let error = CallError::new(Code::UnknownService, format!("no service at `{name}`"));
            return self.outcome(call.id, Outcome::Failed(error), acts);
        };
        let (answers, answered) = mpsc::channel(ANSWERS);
        let sender = sender_json(&ParticipantInfo::from(context.participant()));
        let (address, target) = (address.to_owned(), call.target.to_string());
        let Call { id, request_id, mut headers, body, .. } = call;
        headers.remove_where(|name| KEPT_BACK.iter().any(|kept| kept.eq_ignore_ascii_case(name)));
        headers.set(header::REQUEST_ID, &*request_id);
        if let Some(own) = traceparent(&span) {
            headers.set(header::TRACEPARENT, own);
        }
        let forward = Forward { address, target, headers, body, sender, answers };
        let (events, shared, mut streamed) = (self.events.clone(), self.shared.clone(), false);
        let mut pass = async move |outcome: Outcome| {
            if outcome.is_last() {
                account.close(&shared.metrics, streamed, outcome.code());
            } else if !std::mem::replace(&mut streamed, true) {
                let _ = events.send(Event::Stream(id, context.clone())).await;
            }
            let _ = events.send(Event::Call(id, outcome)).await;
        };
        let work = async move {
            match permit.begin().await {
                Ok(_open) => ask(host, forward, answered, pass).await,
                Err(denied) => pass(Outcome::Failed(denied.into())).await,
            }
        };
        self.running.insert(id, Running::start(work.instrument(span)));
    }

    /// A request for a service of this connection.
    pub(super) fn forward(&mut self, forward: Forward, acts: &mut Vec<Act>) {
        let offered = self.hosting.iter().find(|(_, hosting)| hosting.address() == forward.address);
        // Without an offer the answers are dropped, which tells the caller.
        let Some((subscription, _)) = offered else { return };
        if self.asked.len() >= self.shared.limits.hosted_calls {
            self.asked.retain(|_, answers| !answers.is_closed());
        }
        if self.asked.len() >= self.shared.limits.hosted_calls {
            let busy = CallError::new(Code::RateLimited, "the host of the service is busy");
            let _ = forward.answers.try_send(Outcome::Failed(busy));
            return;
        }
        let request = uuid::Uuid::new_v4().to_string();
        let frame = self.connection.forwarded(subscription, &request, &forward);
        self.asked.insert(request, forward.answers);
        acts.push(Act::Send(frame));
    }

    /// A host answers. It may answer what it was asked, once, or with values of a stream until the stream ends.
    pub(super) fn host_reply(&mut self, request: &str, frame: Frame, acts: &mut Vec<Act>) {
        let Some(answers) = self.asked.get(request) else {
            // Values of a stream that nobody waits for any more; only our own hosts have streams, and they can be stopped.
            if frame.header(header::STREAM) == Some("true")
                && let Some(subscription) = self.hosting.keys().next()
            {
                let cancel = Frame::new(Command::Message)
                    .with(header::SUBSCRIPTION, subscription.as_str())
                    .with(header::MESSAGE_ID, request)
                    .with(header::DESTINATION, "srv://cancelled")
                    .with(header::CONTROL, "cancel")
                    .with(header::CORRELATION_ID, request);
                acts.push(Act::Send(cancel));
            }
            return;
        };
        let control = frame.header(header::CONTROL);
        let outcome = if let Some(message) = frame.header(header::ERROR) {
            Outcome::Failed(CallError::new(code_of(&frame.body), message))
        } else if control == Some("complete") {
            Outcome::Complete
        } else {
            let more = frame.header(header::STREAM) == Some("true");
            let content_type = frame.header(header::CONTENT_TYPE).map(str::to_owned);
            Outcome::Foreign { content_type, more, body: frame.body }
        };
        let is_last = outcome.is_last();
        // A caller that takes its values too slowly loses the call; the host is not held up.
        if answers.try_send(outcome).is_err() || is_last {
            self.asked.remove(request);
        }
    }

    pub(super) fn unhost(&mut self, subscription: &str) {
        self.hosting.remove(subscription);
    }
}
