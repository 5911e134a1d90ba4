//! The HTTP side of a connection: what it presents, and the switch to WebSocket.
//!
//! In: a GET of `/v1`. Out: 101 and a running connection, or a status. Absent: frames.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use hyper_util::rt::TokioIo;
use policy_core::context::OwnAttributes;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::admission::{Admission, Returning, refuse};
use super::meter::Metered;
use super::metrics::count;
use super::routes;
use super::session::{self, Peer};
use super::sessions::SocketPermit;
use super::shared::{AddAttributes, Run, Shared};
use crate::authn::{Answer, AuthnError, Outcome, Pending};
use crate::credential::{Credential, CredentialError, Credentials, Facts};
use crate::edge::RequestId;
use crate::wire;

/// What the acceptor knows of the socket that a request came over.
#[derive(Debug, Clone)]
pub(super) struct Arrived {
    /// Where the request comes from.
    pub(super) address: IpAddr,
    /// Whether a trusted proxy brought the socket.
    pub(super) proxied: bool,
    /// Whether the peer spoke TLS, to us or to the proxy.
    pub(super) secure: bool,
    pub(super) request_id: RequestId,
    pub(super) permit: Arc<SocketPermit>,
    /// Held by every connection, so that a shutdown can wait for them.
    pub(super) alive: mpsc::Sender<()>,
}

/// Octets of WebSocket and STOMP that may come before CONNECT is answered: twice the largest CONNECT.
const BEFORE_CONNECT: usize = 2 * wire::Limits::CONNECT.head;
/// Kept small: a connection that is idle should cost little.
const READ_BUFFER: usize = 4 * 1024;
/// Answers that are ready together are written together, up to about this.
const WRITE_BUFFER: usize = 16 * 1024;

/// Reads the credentials of a request.
pub(super) fn presented(shared: &Shared, request: &Request, arrived: &Arrived) -> Result<Credentials, CredentialError> {
    let credentials = Credentials::from_headers(request.headers(), Some(arrived.address))?;
    let credentials = credentials.at(request.method().as_str(), request.uri().path()).on(shared.listener.clone());
    Ok(credentials.in_request(arrived.request_id.as_str()))
}

/// Answers a GET of `/v1`.
pub(super) async fn upgrade(State(shared): State<Arc<Shared>>, mut request: Request) -> Response {
    let Some(arrived) = request.extensions().get::<Arrived>().cloned() else {
        return status(StatusCode::INTERNAL_SERVER_ERROR);
    };
    if *shared.run.borrow() > Run::Serving {
        return status(StatusCode::SERVICE_UNAVAILABLE);
    }
    let handshake = match Handshake::read(&request) {
        Ok(handshake) => handshake,
        Err(code) => {
            let mut response = status(code);
            if code == StatusCode::UPGRADE_REQUIRED {
                response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
                response.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            }
            return response;
        }
    };
    let looked_up = Instant::now();
    let credentials = presented(&shared, &request, &arrived);
    if credentials.as_ref().is_ok_and(has_cookie) && !shared.origins.admit_upgrade(request.headers(), arrived.secure) {
        count(&shared.metrics.refused_sign_ins);
        tracing::info!(target: "policy::gateway", address = %arrived.address, request = arrived.request_id.as_str(), "a page of another site sent a cookie along");
        return status(StatusCode::FORBIDDEN);
    }
    // A proxy's sockets are not counted as its own, so what it brings is counted here.
    let brought = if arrived.proxied {
        let Some(permit) = shared.sessions.proxied(arrived.address) else {
            count(&shared.metrics.refused_sockets);
            return status(StatusCode::TOO_MANY_REQUESTS);
        };
        Some(permit)
    } else {
        None
    };
    let upgraded = hyper::upgrade::on(&mut request);
    // The headers hold credentials; they go no further.
    drop(request);
    let admitted = admit(&shared, credentials, &arrived).await;
    if let Admission::RefusedNow(answer) = &admitted.admission {
        return refused(answer);
    }
    let connection = uuid::Uuid::new_v4().simple().to_string();
    let attributes = admitted.attributes;
    let Arrived { address, permit, alive, .. } = arrived;
    tokio::spawn(async move {
        let Ok(io) = upgraded.await else { return };
        let limits = &shared.limits.frame;
        let largest = limits.head.saturating_add(limits.body).saturating_add(2);
        let mut config = WebSocketConfig::default();
        config.read_buffer_size = READ_BUFFER;
        config.write_buffer_size = WRITE_BUFFER;
        config.max_message_size = Some(largest);
        config.max_frame_size = Some(largest);
        let io = Metered::new(TokioIo::new(io), BEFORE_CONNECT);
        let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
        let peer = Peer {
            address,
            connection,
            looked_up,
            returning: admitted.returning,
            attributes,
            permits: (permit, brought),
        };
        session::run(socket, shared, peer, admitted.admission).await;
        drop(alive);
    });
    handshake.accept()
}

/// What an upgrade came to, and what is kept of what it said.
struct Admitted {
    admission: Admission,
    returning: Option<Returning>,
    attributes: OwnAttributes,
}

async fn admit(shared: &Shared, credentials: Result<Credentials, CredentialError>, arrived: &Arrived) -> Admitted {
    let rejected = |error: &AuthnError, returning: Option<&Returning>| {
        count(&shared.metrics.refused_sign_ins);
        tracing::info!(target: "policy::gateway", address = %arrived.address, request = arrived.request_id.as_str(), code = %error.code(), detail = error.detail(), "sign-in refused");
        let is_returning = returning.is_some_and(|who| shared.owed.expects(who, Instant::now()));
        refuse(shared.refusals, error, is_returning)
    };
    let mut attributes = OwnAttributes::default();
    let credentials = match credentials {
        Ok(credentials) => credentials,
        Err(error) => {
            let facts = Facts::of_unreadable(Some(arrived.address), arrived.request_id.as_str());
            return Admitted {
                admission: rejected(&shared.chain.refuse(error, &facts).await, None),
                returning: None,
                attributes,
            };
        }
    };
    if let Some(AddAttributes(add)) = &shared.attributes {
        add(credentials.facts(), &mut attributes);
    }
    let returning = Returning::of(&credentials, arrived.address);
    let admission = match shared.authenticate(&credentials).await {
        Outcome::NotPresented => Admission::Unknown,
        Outcome::Authenticated(found) => Admission::Authenticated(found),
        Outcome::Rejected(error) => rejected(&error, returning.as_ref()),
    };
    Admitted { admission, returning, attributes }
}

fn has_cookie(credentials: &Credentials) -> bool {
    credentials.presented().iter().any(|credential| matches!(credential, Credential::Session(_)))
}

/// Whole seconds, and never too early.
pub(super) fn seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0))
}

/// The response to a refused sign-in, in the words of Kinotic's REST endpoints.
pub(super) fn refused_as_json(shared: &Shared, answer: &Answer) -> Response {
    count(&shared.metrics.refused_sign_ins);
    let without = refused(answer);
    let text = if answer.status == 401 { "Invalid credentials" } else { &answer.message };
    let mut response = routes::error(without.status(), text);
    response.headers_mut().extend(without.headers().clone());
    response
}

/// The response to a sign-in whose password was right, and that lacks a second factor.
pub(super) fn pending_as_json(pending: &Pending) -> Response {
    let body = serde_json::json!({
        "error": "a second factor is needed", "pending": pending.token().expose(), "setUp": pending.sets_up(),
    });
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(wire::header::JSON));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A response without a body.
pub(super) fn status(code: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = code;
    response
}

/// The response to a refused sign-in.
pub(super) fn refused(answer: &Answer) -> Response {
    let mut response = status(StatusCode::from_u16(answer.status).unwrap_or(StatusCode::UNAUTHORIZED));
    if response.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(answer.code.challenge()));
    }
    if let Some(seconds) = answer.retry_after_s {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// A request for an upgrade that can be granted.
struct Handshake {
    accept_key: String,
    /// Whether the client offered sub-protocols, ours among them.
    selects: bool,
}

impl Handshake {
    fn read(request: &Request) -> Result<Self, StatusCode> {
        if request.method() != Method::GET {
            return Err(StatusCode::METHOD_NOT_ALLOWED);
        }
        let headers = request.headers();
        let is_upgrade = has_token(headers, &CONNECTION, "upgrade") && has_token(headers, &UPGRADE, "websocket");
        if !is_upgrade || !has_token(headers, &SEC_WEBSOCKET_VERSION, "13") {
            return Err(StatusCode::UPGRADE_REQUIRED);
        }
        let key = headers.get(SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).ok_or(StatusCode::BAD_REQUEST)?;
        if STANDARD.decode(key).map(|bytes| bytes.len()) != Ok(16) {
            return Err(StatusCode::BAD_REQUEST);
        }
        let offered = headers.contains_key(SEC_WEBSOCKET_PROTOCOL);
        if offered && !has_token(headers, &SEC_WEBSOCKET_PROTOCOL, wire::SUB_PROTOCOL) {
            return Err(StatusCode::BAD_REQUEST);
        }
        Ok(Self { accept_key: derive_accept_key(key), selects: offered })
    }

    fn accept(self) -> Response {
        let mut response = status(StatusCode::SWITCHING_PROTOCOLS);
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        if let Ok(key) = HeaderValue::from_str(&self.accept_key) {
            headers.insert(SEC_WEBSOCKET_ACCEPT, key);
        }
        if self.selects {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(wire::SUB_PROTOCOL));
        }
        response
    }
}

fn has_token(headers: &HeaderMap, name: &http::HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|found| found.trim().eq_ignore_ascii_case(token))
}
