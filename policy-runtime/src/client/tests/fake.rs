//! A small server on `wire`: it believes every token of the form `name.lifetime-in-ms` except those of `eve` (refused at the upgrade) and `mallory` (refused at CONNECT).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

use crate::client::open::{Transport, octets};
use crate::code::Code;
use crate::wire::{
    Command, ConnectedInfo, Decoder, ErrorBody, Frame, HeartBeat, Incoming, Limits, ParticipantInfo, header, message,
};

pub(super) const SERVICE: &str = "com.example.Fake";

#[derive(Debug, Default)]
pub(super) struct Seen {
    /// `Authorization` of every upgrade.
    pub(super) upgrades: Mutex<Vec<String>>,
    /// Credentials of every renewal.
    pub(super) renewals: Mutex<Vec<String>>,
    /// Methods in the order in which they were called.
    pub(super) calls: Mutex<Vec<String>>,
    pub(super) cancels: AtomicUsize,
    pub(super) good_byes: AtomicUsize,
}

pub(super) struct Fake {
    pub(super) address: SocketAddr,
    pub(super) seen: Arc<Seen>,
}

impl Fake {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let shared = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tokio::spawn(serve(tcp, Arc::clone(&shared)));
            }
        });
        Self { address, seen }
    }

    /// The same behind TLS.
    pub(super) async fn start_tls(acceptor: TlsAcceptor) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let shared = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                if let Ok(secure) = acceptor.accept(tcp).await {
                    tokio::spawn(serve(secure, Arc::clone(&shared)));
                }
            }
        });
        Self { address, seen }
    }
}

#[expect(clippy::result_large_err, reason = "the callback's type is tungstenite's")]
async fn serve(tcp: impl Transport + 'static, seen: Arc<Seen>) {
    let mut token = String::new();
    let check = |request: &Request, mut response: Response| {
        let text = request.headers().get("authorization").map_or("", |v| v.to_str().unwrap());
        seen.upgrades.lock().unwrap().push(text.to_owned());
        token = text
            .strip_prefix("Basic ")
            .map_or_else(|| text.to_owned(), |pair| String::from_utf8(STANDARD.decode(pair).unwrap()).unwrap());
        if text.starts_with("Bearer eve.") {
            let mut refused = ErrorResponse::new(Some(r#"{"error":"Invalid credentials"}"#.into()));
            *refused.status_mut() = http::StatusCode::UNAUTHORIZED;
            refused.headers_mut().insert("content-length", "31".parse().unwrap());
            return Err(refused);
        }
        let offered = request.headers().get("sec-websocket-protocol").unwrap().clone();
        response.headers_mut().insert("sec-websocket-protocol", offered);
        Ok(response)
    };
    let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(tcp, check).await else { return };
    if token.contains("mute.") {
        return std::future::pending().await;
    }
    let mut decoder = Decoder::new(Limits::default());
    let (out, mut frames) = mpsc::unbounded_channel::<Option<Frame>>();
    let mut subscription = String::new();
    let mut streams: HashMap<String, tokio::task::JoinHandle<()>> = HashMap::new();
    loop {
        let message = tokio::select! {
            message = socket.next() => message,
            frame = frames.recv() => match frame {
                Some(Some(frame)) => {
                    if socket.send(Message::binary(frame.encode().unwrap())).await.is_err() {
                        return;
                    }
                    continue;
                }
                _ => return,
            },
        };
        let Some(Ok(message)) = message else { break };
        let Some(bytes) = octets(message) else { continue };
        decoder.feed(bytes);
        while let Ok(Some(incoming)) = decoder.next() {
            let Incoming::Frame(frame) = incoming else { continue };
            match frame.command {
                Command::Connect if token.contains("mallory") => {
                    let _ =
                        out.send(Some(message::error("mallory is not welcome").with(header::CODE, "SIGN_IN_REFUSED")));
                }
                Command::Connect => {
                    let info: ParticipantInfo = serde_json::from_str(r#"{"id":"u-ada"}"#).unwrap();
                    let mut info = ConnectedInfo::new(uuid::Uuid::new_v4().to_string(), info);
                    info.expires_in_ms = lifetime(&token);
                    let beat = HeartBeat { sends: Duration::from_millis(50), wants: Duration::from_millis(50) };
                    let _ = out.send(Some(message::connected(&info, beat)));
                }
                Command::Subscribe => subscription = frame.header(header::ID).unwrap().to_owned(),
                Command::Disconnect => {
                    seen.good_byes.fetch_add(1, Ordering::SeqCst);
                    let _ = out.send(Some(message::receipt(frame.header(header::RECEIPT).unwrap())));
                }
                Command::Send if frame.header(header::CONTROL) == Some("cancel") => {
                    seen.cancels.fetch_add(1, Ordering::SeqCst);
                    if let Some(task) = streams.remove(frame.header(header::CORRELATION_ID).unwrap()) {
                        task.abort();
                    }
                }
                Command::Send => {
                    let id = frame.header(header::CORRELATION_ID).unwrap().to_owned();
                    let task = tokio::spawn(call(frame, subscription.clone(), out.clone(), Arc::clone(&seen)));
                    streams.insert(id, task);
                }
                Command::Connected
                | Command::Unsubscribe
                | Command::Ack
                | Command::Nack
                | Command::Begin
                | Command::Commit
                | Command::Abort
                | Command::Message
                | Command::Receipt
                | Command::Error => panic!("{frame:?}"),
            }
        }
    }
}

fn lifetime(credential: &str) -> Option<u64> {
    credential.rsplit_once('.').and_then(|(_, ms)| ms.parse().ok())
}

async fn call(frame: Frame, subscription: String, out: mpsc::UnboundedSender<Option<Frame>>, seen: Arc<Seen>) {
    let destination = frame.header(header::DESTINATION).unwrap().to_owned();
    let method = destination.rsplit('/').next().unwrap().to_owned();
    seen.calls.lock().unwrap().push(method.clone());
    let reply =
        || message::reply(&subscription, 1, frame.header(header::REPLY_TO).unwrap(), &message::copied(&frame.headers));
    let send = |frame: Frame| drop(out.send(Some(frame)));
    let value = |value: Value| message::value(reply(), serde_json::to_vec(&value).unwrap());
    let several = |value: Value| {
        message::value(reply(), serde_json::to_vec(&value).unwrap())
            .with(header::STREAM, "true")
            .with(header::ORIGIN_CRI, destination.clone())
    };
    let failure = |code: Code, text: &str| {
        let mut body = ErrorBody::new(code.exception_class(), text);
        body.code = Some(code.as_str().to_owned());
        body.decision = (code == Code::AccessDenied).then(|| "d-1".to_owned());
        body.retry_after_ms = (code == Code::RateLimited).then_some(1500);
        message::failure(reply(), &body)
    };
    let arguments: Vec<Value> = serde_json::from_slice(&frame.body).unwrap();
    let first = || arguments[0].clone();
    match method.as_str() {
        "echo" => send(value(first())),
        "void" => send(reply()),
        "text" => send(reply().with_body("text/plain", "a \"word\"")),
        "wait" => {
            tokio::time::sleep(Duration::from_millis(first().as_u64().unwrap())).await;
            send(value(first()));
        }
        "never" => {}
        "cut" => drop(out.send(None)),
        "cut_once" => {
            let calls = seen.calls.lock().unwrap().iter().filter(|m| *m == "cut_once").count();
            if calls == 1 { drop(out.send(None)) } else { send(value(Value::from(calls))) }
        }
        "error_frame" => send(message::error("enough of you")),
        "fail" => send(failure(Code::parse(first().as_str().unwrap()).unwrap(), "it did not work: \"x\"\nand so on")),
        "foreign" => {
            let body = ErrorBody::new("org.kinotic.core.api.exceptions.AuthorizationException", "no");
            send(message::failure(reply(), &body));
        }
        "count" => {
            for i in 0..first().as_u64().unwrap() {
                send(several(Value::from(i)));
            }
            send(message::complete(reply()));
        }
        "forever" => {
            for i in 0.. {
                send(several(Value::from(i)));
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        "break" => {
            send(several(Value::from(1)));
            send(failure(Code::Failed, "broken"));
        }
        "renew" => {
            let credential = frame.header(header::AUTHORIZATION).or(frame.header(header::PASSCODE)).unwrap().to_owned();
            seen.renewals.lock().unwrap().push(credential.clone());
            if credential.contains("bob") {
                send(failure(Code::Unauthenticated, "another participant"));
            } else {
                send(value(serde_json::json!({ "expiresInMs": lifetime(&credential).unwrap() })));
            }
        }
        other => send(failure(Code::UnknownMethod, &format!("no method {other}"))),
    }
}
