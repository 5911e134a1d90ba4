//! Keeps one open connection going until it ends: reads, writes, heart-beats, renewal.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::{Instant, interval_at, sleep, timeout};
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use super::event::{Event, Events};
use super::hosting::Hosted;
use super::live::{Live, NotSent, Outbound, Outgoing};
use super::open::{Opened, Socket, octets};
use super::options::ConnectOptions;
use crate::service::CallError;
use crate::wire::{Command, Decoder, Incoming, header, message};

/// The shortest time between two renewals; below it a credential is left to end.
const RENEWAL_FLOOR: Duration = Duration::from_millis(100);

const GOOD_BYE: &str = "close-1";

/// Why a connection is no more.
#[derive(Debug)]
pub(super) enum Ended {
    /// This side said good-bye.
    Closed,
    /// It was lost.
    Lost(Arc<str>),
}

/// A connection that is about to be kept going.
pub(super) struct Connection {
    pub(super) live: Arc<Live>,
    sink: SplitSink<Socket, Message>,
    stream: SplitStream<Socket>,
    decoder: Decoder,
    outgoing: Outgoing,
    /// How often something is sent.
    beat: Option<Duration>,
    /// How long nothing may be heard.
    silence: Option<Duration>,
}

impl Connection {
    pub(super) fn new(opened: Opened, options: &ConnectOptions, hosted: &Arc<Hosted>) -> Self {
        let Opened { socket, decoder, info, server_beat } = opened;
        let (live, outgoing) = Live::new(info, hosted.clone());
        let (sink, stream) = socket.split();
        live.send_now(&message::subscribe("sub-0", &live.reply_to));
        hosted.subscribe(&live);
        let beat = options.heart_beat.sending_to(server_beat);
        let silence = options.heart_beat.hearing_from(server_beat).map(|every| every.saturating_mul(2));
        Self { live, sink, stream, decoder, outgoing, beat, silence }
    }

    /// Returns when the connection has ended.
    pub(super) async fn run(
        mut self,
        options: &ConnectOptions,
        events: &Events,
        stop: &mut watch::Receiver<bool>,
    ) -> Ended {
        let reader = read(&mut self.stream, &mut self.decoder, &self.live, self.silence);
        let writer = write(&mut self.sink, &mut self.outgoing, self.beat);
        let renewals = renew(options, &self.live, events);
        let asked = tokio::select! {
            over = reader => return Ended::Lost(over.text()),
            error = writer => return Ended::Lost(format!("the connection cannot be written to: {error}").into()),
            never = renewals => match never {},
            asked = stop.wait_for(|stop| *stop) => asked.is_ok(),
        };
        // Dropped clients close as well, they only do not wait for it.
        let _ = asked;
        let _ = timeout(options.close_timeout, self.say_good_bye()).await;
        Ended::Closed
    }

    /// Sends what waits, then DISCONNECT, and hears out the server until its RECEIPT.
    async fn say_good_bye(&mut self) -> Result<(), WsError> {
        while let Ok(message) = self.outgoing.urgent.try_recv() {
            self.sink.feed(message).await?;
        }
        while let Ok(message) = self.outgoing.calls.try_recv() {
            self.sink.feed(message).await?;
        }
        if let Ok(frame) = message::disconnect(GOOD_BYE).encode() {
            self.sink.feed(Message::binary(frame)).await?;
        }
        self.sink.flush().await?;
        read(&mut self.stream, &mut self.decoder, &self.live, None).await;
        self.sink.close().await
    }
}

/// Why reading has ended.
enum Over {
    Receipt,
    Error(String),
    Closed(String),
    Silence(Duration),
}

impl Over {
    fn text(&self) -> Arc<str> {
        match self {
            Self::Receipt => "the server said good-bye".into(),
            Self::Error(text) => format!("the server ended the connection: {text}").into(),
            Self::Closed(text) => text.as_str().into(),
            Self::Silence(time) => format!("nothing was heard for {time:?}").into(),
        }
    }
}

async fn read(
    stream: &mut SplitStream<Socket>,
    decoder: &mut Decoder,
    live: &Arc<Live>,
    silence: Option<Duration>,
) -> Over {
    loop {
        loop {
            match decoder.next() {
                Ok(Some(Incoming::Frame(frame))) => match frame.command {
                    Command::Message => live.route(&frame),
                    Command::Receipt if frame.header(header::RECEIPT_ID) == Some(GOOD_BYE) => return Over::Receipt,
                    Command::Error => {
                        let text = frame.header(header::MESSAGE).unwrap_or("no reason was given");
                        return Over::Error(text.chars().filter(|c| !c.is_control()).take(500).collect());
                    }
                    Command::Connect
                    | Command::Connected
                    | Command::Send
                    | Command::Subscribe
                    | Command::Unsubscribe
                    | Command::Ack
                    | Command::Nack
                    | Command::Begin
                    | Command::Commit
                    | Command::Abort
                    | Command::Disconnect
                    | Command::Receipt => {}
                },
                Ok(Some(Incoming::HeartBeat)) => {}
                Ok(None) => break,
                Err(error) => return Over::Closed(format!("the server sent what is no frame: {error}")),
            }
        }
        let next = match silence {
            Some(time) => match timeout(time, stream.next()).await {
                Ok(next) => next,
                Err(_) => return Over::Silence(time),
            },
            None => stream.next().await,
        };
        match next {
            Some(Ok(Message::Close(Some(frame)))) => {
                let reason: String = frame.reason.chars().filter(|c| !c.is_control()).take(200).collect();
                return Over::Closed(
                    format!("the server closed the connection ({}) {reason}", frame.code).trim().into(),
                );
            }
            Some(Ok(message)) => {
                if let Some(bytes) = octets(message) {
                    decoder.feed(bytes);
                }
            }
            Some(Err(error)) => return Over::Closed(format!("the connection broke: {error}")),
            None => return Over::Closed("the server closed the connection".into()),
        }
    }
}

async fn write(sink: &mut SplitSink<Socket, Message>, outgoing: &mut Outgoing, beat: Option<Duration>) -> WsError {
    let every = beat.unwrap_or(Duration::from_hours(24)).max(Duration::from_millis(1));
    let mut beats = interval_at(Instant::now() + every, every);
    loop {
        let message = tokio::select! {
            biased;
            Some(message) = outgoing.urgent.recv() => message,
            Some(message) = outgoing.calls.recv() => message,
            _ = beats.tick() => {
                if beat.is_none() {
                    continue;
                }
                Message::text("\n")
            }
        };
        if let Err(error) = send_all(sink, message, outgoing).await {
            return error;
        }
    }
}

/// Sends a message and all that already waits behind it, with one flush.
async fn send_all(
    sink: &mut SplitSink<Socket, Message>,
    first: Message,
    outgoing: &mut Outgoing,
) -> Result<(), WsError> {
    sink.feed(first).await?;
    while let Ok(next) = outgoing.urgent.try_recv() {
        sink.feed(next).await?;
    }
    while let Ok(next) = outgoing.calls.try_recv() {
        sink.feed(next).await?;
    }
    sink.flush().await
}

/// What a renewal answers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Renewed {
    expires_in_ms: Option<u64>,
}

/// Has a fresh credential installed at 80 % of the lifetime of the last.
async fn renew(options: &ConnectOptions, live: &Arc<Live>, events: &Events) -> std::convert::Infallible {
    let mut lifetime = live.info.expires_in_ms.map(Duration::from_millis);
    loop {
        let Some(lasts) = lifetime.filter(|lasts| options.source.can_renew() && *lasts >= RENEWAL_FLOOR) else {
            return std::future::pending().await;
        };
        let ends = Instant::now() + lasts;
        sleep(lasts.mul_f64(0.8)).await;
        match renew_once(options, live).await {
            Ok(expires_in) => {
                lifetime = expires_in;
                events.publish(Event::Renewed { expires_in });
            }
            Err(reason) => {
                // What is left is tried again in the same way.
                lifetime = Some(ends.saturating_duration_since(Instant::now()));
                tracing::warn!(target: "policy", %reason, "the credential of the connection could not be renewed");
                events.publish(Event::RenewalFailed { reason: reason.into() });
            }
        }
    }
}

async fn renew_once(options: &ConnectOptions, live: &Arc<Live>) -> Result<Option<Duration>, String> {
    let headers = options.source.headers(options.headers_timeout).await.map_err(|e| e.chain())?;
    let headers = headers.write_renewal();
    let call = Outbound { arguments: "[]".into(), headers: &headers };
    let told = |e: CallError| format!("{} ({})", e.message(), e.code());
    let sent = match live.call(message::RENEW, &call).await {
        Ok(sent) => sent,
        Err(NotSent::Ended) => return Err("the connection has ended".into()),
        Err(NotSent::Invalid(error)) => return Err(told(error)),
    };
    let Ok(answer) = timeout(options.connect_timeout, sent.answer()).await else {
        return Err(format!("the server did not answer within {:?}", options.connect_timeout));
    };
    let answer: Option<Renewed> = serde_json::from_slice(&answer.map_err(told)?).map_err(|e| e.to_string())?;
    Ok(answer.and_then(|renewed| renewed.expires_in_ms).map(Duration::from_millis))
}
