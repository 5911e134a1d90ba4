//! A client that says exactly what a test wants, and a gateway to say it to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use policy_runtime::Policy;
use policy_runtime::authn::Chain;
use policy_runtime::gateway::{Gateway, GatewayBuilder};
use policy_runtime::wire::{Command, Decoder, Frame, Incoming, Limits, header, message};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::orders::OrderService;
use crate::users::Users;

/// Starts the fixture on a free port, changed by the test.
///
/// # Panics
/// When it does not start.
#[expect(clippy::expect_used, reason = "only tests call it")]
pub async fn serve(change: impl FnOnce(GatewayBuilder) -> GatewayBuilder) -> Gateway {
    serve_with(Policy::for_application("orders").expect("the fixture's policies are sound"), change).await
}

/// Starts the fixture under these policies.
///
/// # Panics
/// When it does not start.
#[expect(clippy::expect_used, reason = "only tests call it")]
pub async fn serve_with(policy: Policy, change: impl FnOnce(GatewayBuilder) -> GatewayBuilder) -> Gateway {
    let chain = Chain::builder().with(Users::of(policy.application().clone())).build();
    let builder = Gateway::builder(policy, chain).service(Arc::new(OrderService::default()));
    change(builder).bind("127.0.0.1:0").await.expect("a port is free")
}

/// A socket to a gateway.
#[derive(Debug)]
pub struct Raw {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    decoder: Decoder,
    /// The reply id of the connection, once it is open.
    pub reply_to_id: String,
}

/// What a test sees of the end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "only tests match it")]
pub enum Ended {
    /// By a close frame with this code.
    Closed(u16),
    /// Without.
    Dropped,
    /// Nothing came in time.
    Silent,
}

#[expect(clippy::missing_panics_doc, clippy::expect_used, clippy::panic, reason = "only tests call it")]
impl Raw {
    /// Opens a socket with these headers; the status if it is refused.
    pub async fn dial(gateway: &Gateway, headers: &[(&str, &str)]) -> Result<Self, u16> {
        Self::dial_at(gateway.local_addr(), headers).await
    }

    /// Opens a socket to a gateway of another process.
    pub async fn dial_at(address: SocketAddr, headers: &[(&str, &str)]) -> Result<Self, u16> {
        let mut request = format!("ws://{address}/v1").into_client_request().expect("a good address");
        for (name, value) in headers {
            let name: HeaderName = name.parse().expect("a good header");
            request.headers_mut().insert(name, HeaderValue::from_str(value).expect("a good header"));
        }
        match tokio_tungstenite::connect_async(request).await {
            Ok((socket, _)) => {
                Ok(Self { socket, decoder: Decoder::new(Limits::default()), reply_to_id: String::new() })
            }
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    /// Opens a connection with a bearer token.
    pub async fn connect(gateway: &Gateway, token: &str) -> Self {
        let mut raw = Self::dial(gateway, &[("authorization", &format!("Bearer {token}"))]).await.expect("101");
        raw.hello("CONNECT\naccept-version:1.2\n\n\0").await;
        raw
    }

    /// Says CONNECT and subscribes to its replies.
    pub async fn hello(&mut self, connect: &str) -> Frame {
        self.say(connect).await;
        let connected = self.frame().await.expect("CONNECTED");
        assert_eq!(connected.command, Command::Connected, "{:?}", connected.header(header::MESSAGE));
        let info: serde_json::Value = connected
            .header(header::CONNECTED_INFO)
            .and_then(|info| serde_json::from_str(info).ok())
            .expect("connected-info is JSON");
        self.reply_to_id = info.get("replyToId").and_then(|id| id.as_str()).map(str::to_owned).expect("a reply id");
        let replies = message::reply_address(&self.reply_to_id, "t");
        self.send(&message::subscribe("s", &replies)).await;
        connected
    }

    /// Sends bytes in a text message.
    pub async fn say(&mut self, text: &str) {
        let _ = self.socket.send(Message::Text(text.into())).await;
    }

    /// Sends bytes in a binary message.
    pub async fn bytes(&mut self, bytes: impl Into<Vec<u8>>) {
        let _ = self.socket.send(Message::Binary(bytes.into().into())).await;
    }

    /// Sends a frame.
    pub async fn send(&mut self, frame: &Frame) {
        self.bytes(frame.encode().expect("a good frame")).await;
    }

    /// Calls a method of the fixture.
    pub async fn call(&mut self, method: &str, correlation: &str, arguments: &str) {
        self.call_to("com.example.OrderService", method, correlation, arguments).await;
    }

    /// Calls a method of another service.
    pub async fn call_to(&mut self, service: &str, method: &str, correlation: &str, arguments: &str) {
        let to = format!("srv://{service}/{method}");
        let replies = message::reply_address(&self.reply_to_id, "t");
        self.send(&message::request(&to, &replies, correlation, arguments.to_owned())).await;
    }

    /// Calls a method and waits for what comes next: the value, or the code of the error.
    pub async fn ask(&mut self, method: &str, arguments: &str) -> String {
        self.call(method, "asked", arguments).await;
        let frame = self.frame().await.expect("an answer");
        assert_eq!(frame.header(header::CORRELATION_ID), Some("asked"));
        show(&frame)
    }

    /// The next frame, within five seconds; heart-beats are passed over.
    pub async fn frame(&mut self) -> Result<Frame, Ended> {
        self.frame_within(Duration::from_secs(5)).await
    }

    /// The next frame within some time.
    pub async fn frame_within(&mut self, time: Duration) -> Result<Frame, Ended> {
        let next = async {
            loop {
                if let Some(incoming) = self.decoder.next().expect("the gateway writes good frames") {
                    match incoming {
                        Incoming::Frame(frame) => return Ok(frame),
                        Incoming::HeartBeat => continue,
                    }
                }
                match self.socket.next().await {
                    Some(Ok(Message::Text(text))) => self.decoder.feed(text.into()),
                    Some(Ok(Message::Binary(bytes))) => self.decoder.feed(bytes),
                    Some(Ok(Message::Close(Some(close)))) => return Err(Ended::Closed(close.code.into())),
                    Some(Ok(Message::Close(None)) | Err(_)) | None => return Err(Ended::Dropped),
                    Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                }
            }
        };
        tokio::time::timeout(time, next).await.unwrap_or(Err(Ended::Silent))
    }

    /// Waits for the end, passing over frames.
    pub async fn end(&mut self, time: Duration) -> Ended {
        let until = tokio::time::Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(tokio::time::Instant::now());
            if let Err(ended) = self.frame_within(left).await {
                return ended;
            }
        }
    }
}

/// A reply in a line: its value, `error <code>` or `complete`.
pub fn show(frame: &Frame) -> String {
    let body = String::from_utf8_lossy(&frame.body).into_owned();
    if frame.header(header::ERROR).is_some() {
        let body: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
        let code = body.get("code").and_then(|code| code.as_str()).unwrap_or("without code");
        return format!("error {code}");
    }
    match (frame.command, frame.header(header::CONTROL)) {
        (Command::Message, Some(control)) => control.to_owned(),
        (Command::Message, None) => body,
        (other, _) => format!("{} {}", other.as_str(), frame.header(header::MESSAGE).unwrap_or_default()),
    }
}
