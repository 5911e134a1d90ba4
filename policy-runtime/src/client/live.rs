//! One open connection as callers see it: what waits for an answer, and the way out.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::tungstenite::Message;

use super::hosting::Hosted;
use crate::code::Code;
use crate::service::CallError;
use crate::wire::{ConnectedInfo, ErrorBody, Frame, header, message};

/// Frames that wait for the socket before callers have to.
const QUEUE: usize = 64;

/// How many octets of an error's text are kept.
const MAX_TEXT: usize = 10_000;

pub(super) type Answer = Result<Bytes, CallError>;

#[derive(Debug)]
pub(super) struct Live {
    pub(super) info: Arc<ConnectedInfo>,
    pub(super) reply_to: String,
    out: mpsc::Sender<Message>,
    /// What must go out without waiting: ends of streams.
    urgent: mpsc::UnboundedSender<Message>,
    calls: Mutex<Calls>,
    next: AtomicU64,
    prefix: String,
    hosted: Arc<Hosted>,
}

#[derive(Debug, Default)]
struct Calls {
    /// Why nothing is answered any more.
    ended: Option<CallError>,
    waiting: HashMap<String, Waiting>,
}

#[derive(Debug)]
enum Waiting {
    Value(oneshot::Sender<Answer>),
    Stream(Streaming),
}

#[derive(Debug)]
struct Streaming {
    destination: String,
    values: mpsc::UnboundedSender<Bytes>,
    kept: Arc<Kept>,
}

/// What the two ends of a stream share.
#[derive(Debug)]
struct Kept {
    /// What ended it, if it was an error; set before the values end.
    end: OnceLock<CallError>,
    /// Octets that wait for the reader, and how many may.
    octets: AtomicUsize,
    most: usize,
}

impl Kept {
    /// What a value counts: its octets, and what keeping it costs.
    const fn weight(value: &Bytes) -> usize {
        value.len().saturating_add(64)
    }
}

impl Streaming {
    fn push(&self, value: Bytes) -> Result<(), CallError> {
        let weight = Kept::weight(&value);
        let before = self.kept.octets.fetch_add(weight, Ordering::Relaxed);
        // One value is always taken, however large it is.
        if before > 0 && before.saturating_add(weight) > self.kept.most {
            return Err(CallError::new(Code::Failed, "the stream was ended: its reader is too slow"));
        }
        // The reader may just have gone; that cancels it.
        let _ = self.values.send(value);
        Ok(())
    }
}

/// What the socket takes from callers.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) calls: mpsc::Receiver<Message>,
    pub(super) urgent: mpsc::UnboundedReceiver<Message>,
}

/// A call that was sent; it is forgotten when this is dropped.
#[derive(Debug)]
pub(super) struct Sent {
    live: Arc<Live>,
    correlation: String,
    answer: oneshot::Receiver<Answer>,
}

/// A stream that was asked for; dropping it before its end tells the server to stop.
#[derive(Debug)]
pub(super) struct Subscription {
    live: Arc<Live>,
    correlation: String,
    values: mpsc::UnboundedReceiver<Bytes>,
    kept: Arc<Kept>,
    ended: bool,
}

/// Why a call was not sent.
#[derive(Debug)]
pub(super) enum NotSent {
    /// The connection has ended; another may take it.
    Ended,
    /// No connection will take it.
    Invalid(CallError),
}

impl Live {
    pub(super) fn new(info: ConnectedInfo, hosted: Arc<Hosted>) -> (Arc<Self>, Outgoing) {
        let (out, calls) = mpsc::channel(QUEUE);
        let (urgent, urgent_out) = mpsc::unbounded_channel();
        let reply_to = message::reply_address(&info.reply_to_id, &uuid::Uuid::new_v4().to_string());
        let live = Self {
            info: Arc::new(info),
            reply_to,
            out,
            urgent,
            calls: Mutex::default(),
            next: AtomicU64::new(1),
            prefix: uuid::Uuid::new_v4().simple().to_string(),
            hosted,
        };
        (Arc::new(live), Outgoing { calls, urgent: urgent_out })
    }

    fn correlation(&self) -> String {
        format!("{}-{}", self.prefix, self.next.fetch_add(1, Ordering::Relaxed))
    }

    fn wait(&self, correlation: &str, waiting: Waiting) -> Result<(), NotSent> {
        let mut calls = self.calls.lock().map_err(|_| NotSent::Ended)?;
        if calls.ended.is_some() {
            return Err(NotSent::Ended);
        }
        calls.waiting.insert(correlation.to_owned(), waiting);
        Ok(())
    }

    fn forget(&self, correlation: &str) -> Option<Waiting> {
        self.calls.lock().ok()?.waiting.remove(correlation)
    }

    pub(super) async fn send(&self, frame: &Frame) -> Result<(), NotSent> {
        // Nobody takes from a queue whose connection has ended; that ends the call in its own way.
        let _ = self.out.send(encode(frame)?).await;
        Ok(())
    }

    /// Sends a call.
    pub(super) async fn call(self: &Arc<Self>, destination: &str, call: &Outbound<'_>) -> Result<Sent, NotSent> {
        let correlation = self.correlation();
        let (sender, answer) = oneshot::channel();
        self.wait(&correlation, Waiting::Value(sender))?;
        let sent = Sent { live: Arc::clone(self), correlation, answer };
        self.send(&self.frame(destination, &sent.correlation, call)).await?;
        Ok(sent)
    }

    /// Asks for a stream.
    pub(super) async fn stream(
        self: &Arc<Self>,
        destination: &str,
        call: &Outbound<'_>,
        buffer: usize,
    ) -> Result<Subscription, NotSent> {
        let correlation = self.correlation();
        let (sender, values) = mpsc::unbounded_channel();
        let kept = Arc::new(Kept { end: OnceLock::new(), octets: AtomicUsize::new(0), most: buffer });
        let streaming = Streaming { destination: destination.to_owned(), values: sender, kept: Arc::clone(&kept) };
        self.wait(&correlation, Waiting::Stream(streaming))?;
        let subscription = Subscription { live: Arc::clone(self), correlation, values, kept, ended: false };
        self.send(&self.frame(destination, &subscription.correlation, call)).await?;
        Ok(subscription)
    }

    fn frame(&self, destination: &str, correlation: &str, call: &Outbound<'_>) -> Frame {
        let frame = message::request(destination, &self.reply_to, correlation, call.arguments.clone());
        call.headers.iter().fold(frame, |frame, (name, value)| frame.with(name.clone(), value.clone()))
    }

    fn cancel(&self, destination: &str, correlation: &str) {
        if let Ok(message) = encode(&message::cancel(destination, correlation)) {
            let _ = self.urgent.send(message);
        }
    }

    /// Sends what nothing answers.
    pub(super) fn send_now(&self, frame: &Frame) {
        if let Ok(message) = encode(frame) {
            let _ = self.urgent.send(message);
        }
    }

    /// Takes a MESSAGE to its caller, or to the service that is called.
    pub(super) fn route(self: &Arc<Self>, frame: &Frame) {
        if self.hosted.take(self, frame) {
            return;
        }
        let Some(correlation) = frame.header(header::CORRELATION_ID) else { return };
        let Ok(mut calls) = self.calls.lock() else { return };
        let failed = frame.header(header::ERROR).map(|text| error_of(text, &frame.body));
        let complete = frame.header(header::CONTROL) == Some("complete");
        let of_stream = frame.header(header::STREAM) == Some("true") || frame.header(header::ORIGIN_CRI).is_some();
        let Some(waiting) = calls.waiting.get(correlation) else { return };
        match (waiting, failed) {
            (Waiting::Value(_), failed) => {
                let Some(Waiting::Value(sender)) = calls.waiting.remove(correlation) else { return };
                drop(calls);
                let answer = match failed {
                    Some(error) => Err(error),
                    None if complete => Err(CallError::new(Code::Failed, "the call answered with an empty stream")),
                    None => json(frame),
                };
                // The caller may have gone.
                let _ = sender.send(answer);
                if of_stream
                    && !complete
                    && let Some(origin) = frame.header(header::ORIGIN_CRI)
                {
                    self.cancel(origin, correlation);
                }
            }
            (Waiting::Stream(stream), Some(error)) => {
                let _ = stream.kept.end.set(error);
                calls.waiting.remove(correlation);
            }
            (Waiting::Stream(_), None) if complete => {
                calls.waiting.remove(correlation);
            }
            (Waiting::Stream(stream), None) => {
                let taken = json(frame).and_then(|value| stream.push(value));
                if let Err(error) = &taken {
                    let _ = stream.kept.end.set(error.clone());
                    self.cancel(&stream.destination, correlation);
                }
                // A value that is not one of several is the only one.
                if taken.is_err() || !of_stream {
                    calls.waiting.remove(correlation);
                }
            }
        }
    }

    /// Ends all that waits.
    pub(super) fn end(&self, error: &CallError) {
        self.hosted.end();
        let Ok(mut calls) = self.calls.lock() else { return };
        calls.ended = Some(error.clone());
        let waiting = std::mem::take(&mut calls.waiting);
        drop(calls);
        for waiting in waiting.into_values() {
            match waiting {
                Waiting::Value(sender) => {
                    let _ = sender.send(Err(error.clone()));
                }
                Waiting::Stream(stream) => {
                    let _ = stream.kept.end.set(error.clone());
                }
            }
        }
    }
}

/// What a call sends.
#[derive(Debug)]
pub(super) struct Outbound<'a> {
    pub(super) arguments: Bytes,
    pub(super) headers: &'a [(String, String)],
}

fn encode(frame: &Frame) -> Result<Message, NotSent> {
    let invalid = |e: &dyn std::fmt::Display| NotSent::Invalid(CallError::new(Code::BadArguments, e.to_string()));
    let bytes = frame.encode().map_err(|e| invalid(&e))?;
    if frame.is_text() {
        return String::from_utf8(bytes).map(Message::text).map_err(|e| invalid(&e));
    }
    Ok(Message::binary(bytes))
}

/// The JSON of a value, whatever it was sent as.
fn json(frame: &Frame) -> Answer {
    let null = || Bytes::from_static(b"null");
    match frame.header(header::CONTENT_TYPE) {
        None => Ok(null()),
        Some(header::JSON) if frame.body.is_empty() => Ok(null()),
        Some(header::JSON) => Ok(frame.body.clone()),
        Some("text/plain") => serde_json::to_vec(&String::from_utf8_lossy(&frame.body))
            .map(Bytes::from)
            .map_err(|e| CallError::new(Code::Internal, e.to_string())),
        Some(other) => {
            let other: String = other.chars().take(100).collect();
            Err(CallError::new(Code::Failed, format!("the answer is of a kind that cannot be read: `{other}`")))
        }
    }
}

/// Reads an error reply.
fn error_of(text: &str, body: &[u8]) -> CallError {
    let body = ErrorBody::parse(body).unwrap_or_default();
    let code = body.code.as_deref().and_then(Code::parse);
    let code = code.or_else(|| Code::of_exception(&body.exception_class)).unwrap_or(Code::Failed);
    let text = if body.error_message.is_empty() { text } else { &body.error_message };
    let error = CallError::new(code, text.chars().take(MAX_TEXT).collect::<String>());
    let error = match body.retry_after_ms {
        Some(wait) => error.with_retry_after(Duration::from_millis(wait)),
        None => error,
    };
    match body.decision {
        Some(id) => error.with_decision(&id),
        None => error,
    }
}

impl Sent {
    /// Waits for the answer.
    pub(super) async fn answer(mut self) -> Answer {
        match (&mut self.answer).await {
            Ok(answer) => answer,
            Err(_) => Err(lost()),
        }
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        self.live.forget(&self.correlation);
    }
}

impl Subscription {
    /// Waits for the next value.
    pub(super) async fn next(&mut self) -> Option<Answer> {
        if self.ended {
            return None;
        }
        if let Some(value) = self.values.recv().await {
            self.kept.octets.fetch_sub(Kept::weight(&value), Ordering::Relaxed);
            return Some(Ok(value));
        }
        self.ended = true;
        self.kept.end.get().cloned().map(Err)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(Waiting::Stream(stream)) = self.live.forget(&self.correlation) {
            self.live.cancel(&stream.destination, &self.correlation);
        }
    }
}

pub(super) fn lost() -> CallError {
    CallError::new(Code::ConnectionLost, "the connection was lost before the answer came")
}
