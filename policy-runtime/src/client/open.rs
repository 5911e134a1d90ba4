//! Opening one connection: headers, TCP, TLS, the upgrade, CONNECT. Every step has an end in time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use super::error::{ConnectError, Refusal};
use super::headers::Headers;
use super::options::ConnectOptions;
use crate::code::Code;
use crate::wire::{Command, ConnectedInfo, Decoder, Frame, HeartBeat, Incoming, PATH, SUB_PROTOCOL, header, message};

/// The longest text of a refusal that is kept.
const MAX_TEXT: usize = 500;

/// What bytes flow through.
pub(super) trait Transport: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Transport for T {}

pub(super) type Socket = WebSocketStream<Box<dyn Transport>>;

/// A connection that the server has accepted.
pub(super) struct Opened {
    pub(super) socket: Socket,
    /// May already hold what came behind CONNECTED.
    pub(super) decoder: Decoder,
    pub(super) info: ConnectedInfo,
    pub(super) server_beat: HeartBeat,
}

/// Opens a connection.
pub(super) async fn open(options: &ConnectOptions) -> Result<Opened, ConnectError> {
    let headers = options.source.headers(options.headers_timeout).await?;
    match tokio::time::timeout(options.connect_timeout, handshake(options, &headers)).await {
        Ok(opened) => opened,
        Err(_) => Err(ConnectError::Timeout(options.connect_timeout)),
    }
}

async fn handshake(options: &ConnectOptions, headers: &Headers) -> Result<Opened, ConnectError> {
    let host = options.host.trim_start_matches('[').trim_end_matches(']');
    let authority =
        if host.contains(':') { format!("[{host}]:{}", options.port) } else { format!("{host}:{}", options.port) };
    let scheme = if options.is_plain() { "ws" } else { "wss" };
    let invalid = || ConnectError::InvalidAddress(authority.chars().take(300).collect());
    let mut request = format!("{scheme}://{authority}{PATH}").into_client_request().map_err(|_| invalid())?;
    headers.write_http(request.headers_mut())?;
    request.headers_mut().insert(http::header::SEC_WEBSOCKET_PROTOCOL, http::HeaderValue::from_static(SUB_PROTOCOL));

    let tls = options.client_config()?;
    let tcp = TcpStream::connect((host, options.port)).await.map_err(|e| ConnectError::Unreachable(Arc::new(e)))?;
    // Frames are small and wait for nothing.
    let _ = tcp.set_nodelay(true);
    let transport: Box<dyn Transport> = match tls {
        None => {
            if !tcp.peer_addr().is_ok_and(|peer| peer.ip().is_loopback()) {
                tracing::warn!(target: "policy", host, "credentials are sent without TLS");
            }
            Box::new(tcp)
        }
        Some(config) => {
            let name = ServerName::try_from(host.to_owned()).map_err(|_| invalid())?;
            let stream = TlsConnector::from(config).connect(name, tcp).await;
            Box::new(stream.map_err(|e| ConnectError::Tls(Arc::new(e)))?)
        }
    };
    let largest = options.limits.body.saturating_add(options.limits.head).saturating_add(64);
    let config = WebSocketConfig::default().max_message_size(Some(largest)).max_frame_size(Some(largest));
    let upgraded = tokio_tungstenite::client_async_with_config(request, transport, Some(config)).await;
    let (mut socket, _) = upgraded.map_err(refused_upgrade)?;

    let connect = message::connect(options.heart_beat).encode().map_err(|e| ConnectError::Protocol(Arc::new(e)))?;
    let connect = String::from_utf8(connect).map_err(|e| ConnectError::Protocol(Arc::new(e)))?;
    socket.send(Message::text(connect)).await.map_err(lost)?;
    let mut decoder = Decoder::new(options.limits);
    loop {
        match decoder.next().map_err(|e| ConnectError::Protocol(Arc::new(e)))? {
            Some(Incoming::HeartBeat) => continue,
            Some(Incoming::Frame(frame)) => return connected(socket, decoder, &frame),
            None => {}
        }
        match socket.next().await {
            Some(Ok(message)) => {
                if let Some(bytes) = octets(message) {
                    decoder.feed(bytes);
                }
            }
            Some(Err(error)) => return Err(lost(error)),
            None => return Err(ConnectError::protocol("the connection ended before it was open")),
        }
    }
}

/// The payload of a message, text or binary.
pub(super) fn octets(message: Message) -> Option<Bytes> {
    match message {
        Message::Text(text) => Some(text.into()),
        Message::Binary(bytes) => Some(bytes),
        Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => None,
    }
}

fn lost(error: WsError) -> ConnectError {
    ConnectError::Unreachable(Arc::new(error))
}

fn connected(socket: Socket, decoder: Decoder, frame: &Frame) -> Result<Opened, ConnectError> {
    if frame.command == Command::Error {
        return Err(ConnectError::Refused(refusal_of(frame)));
    }
    if frame.command != Command::Connected {
        return Err(ConnectError::protocol(format!("CONNECT was answered with {}", frame.command.as_str())));
    }
    let info = frame.header(header::CONNECTED_INFO).unwrap_or_default();
    let info = serde_json::from_str(info).map_err(|e| ConnectError::Protocol(Arc::new(e)))?;
    let server_beat = HeartBeat::parse(frame.header(header::HEART_BEAT)).unwrap_or_default();
    Ok(Opened { socket, decoder, info, server_beat })
}

/// What an ERROR in answer to CONNECT says; before the connection is open, it is the credentials that are refused.
fn refusal_of(frame: &Frame) -> Refusal {
    let text = frame.header(header::MESSAGE).filter(|text| !text.is_empty());
    let code = frame.header(header::CODE).and_then(Code::parse).unwrap_or(Code::Unauthenticated);
    Refusal {
        code,
        status: None,
        message: short(text.unwrap_or(code.text())),
        retry_after: frame.header(header::RETRY_AFTER_MS).and_then(|ms| ms.parse().ok()).map(Duration::from_millis),
    }
}

/// What a refused upgrade may say in its body: a problem (RFC 9457) or Kinotic's `error`.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Problem {
    code: Option<String>,
    detail: Option<String>,
    title: Option<String>,
    error: Option<String>,
}

fn refused_upgrade(error: WsError) -> ConnectError {
    if let WsError::Http(response) = &error {
        return refused_status(response);
    }
    if matches!(error, WsError::Io(_)) { lost(error) } else { ConnectError::Protocol(Arc::new(error)) }
}

fn refused_status(response: &Response) -> ConnectError {
    let status = response.status();
    let problem: Problem =
        response.body().as_deref().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default();
    let by_status = match status.as_u16() {
        401 => Some(Code::Unauthenticated),
        403 => Some(Code::SignInRefused),
        429 => Some(Code::RateLimited),
        500..=599 => Some(Code::Internal),
        _ => None,
    };
    let Some(code) = problem.code.as_deref().and_then(Code::parse).or(by_status) else {
        return ConnectError::protocol(format!("the server answered {status}"));
    };
    let text = problem.detail.or(problem.error).or(problem.title);
    let retry_after = response.headers().get(http::header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    ConnectError::Refused(Refusal {
        code,
        status: Some(status.as_u16()),
        message: short(text.as_deref().unwrap_or(code.text())),
        retry_after: retry_after.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs),
    })
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect()
}
