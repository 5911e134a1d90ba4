//! The listener: sockets in, HTTP requests out to their routes, and the whole from start to shutdown.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::{HeaderName, HeaderValue, StatusCode};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use policy_core::value::IpRange;
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::sync::{mpsc, watch};
use tower::ServiceExt as _;

use super::admission::{Owed, Refusals};
use super::forwarded::client_address;
use super::limits::Limits;
use super::metrics::{Metrics, count};
use super::services::{Mount, MountError, Services};
use super::sessions::Sessions;
use super::shared::{Run, Shared};
use super::upgrade::{self, Arrived};
use crate::authn::{Chain, Outcome};
use crate::credential::Listener;
use crate::policy::Policy;
use crate::wire;

/// Who may read `/metrics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum MetricsFor {
    /// Requests from this machine that no proxy has forwarded.
    #[default]
    Loopback,
    /// Everybody.
    Everybody,
    /// Nobody.
    Nobody,
}

/// Why a gateway could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// A service cannot be mounted.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// The address cannot be listened on.
    #[error("cannot listen")]
    Listen(#[source] std::io::Error),
}

/// Collects the parts of a [`Gateway`].
#[derive(Debug)]
pub struct GatewayBuilder {
    policy: Policy,
    chain: Chain,
    listener: Listener,
    limits: Limits,
    refusals: Refusals,
    metrics_for: MetricsFor,
    trusted_proxies: Vec<IpRange>,
    mounts: Vec<Mount>,
    routes: Router,
}

impl GatewayBuilder {
    /// Mounts a service.
    #[must_use]
    pub fn service(mut self, mount: impl Into<Mount>) -> Self {
        self.mounts.push(mount.into());
        self
    }

    /// Sets the limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Says how refused sign-ins are told.
    #[must_use]
    pub const fn refusals(mut self, refusals: Refusals) -> Self {
        self.refusals = refusals;
        self
    }

    /// Says for which scope credentials count that name none, and whether System may sign in. Without it: the application
    /// that the policy serves, and System may not.
    #[must_use]
    pub fn listener(mut self, listener: Listener) -> Self {
        self.listener = listener;
        self
    }

    /// Says who may read `/metrics`.
    #[must_use]
    pub const fn metrics(mut self, metrics_for: MetricsFor) -> Self {
        self.metrics_for = metrics_for;
        self
    }

    /// Believes `X-Forwarded-For` from these addresses, and from no others. Their sockets do not count against
    /// [`Limits::connections_per_address`]; limit them there.
    #[must_use]
    pub fn trusted_proxies(mut self, addresses: impl IntoIterator<Item = IpRange>) -> Self {
        self.trusted_proxies.extend(addresses);
        self
    }

    /// Adds routes beside those of the gateway, such as those of sign-in.
    #[must_use]
    pub fn routes(mut self, routes: Router) -> Self {
        self.routes = self.routes.merge(routes);
        self
    }

    /// Starts to listen.
    ///
    /// # Errors
    /// When two services are mounted at one address, or the socket cannot be opened.
    pub async fn bind(self, address: impl ToSocketAddrs) -> Result<Gateway, BindError> {
        let mut services = Services::default();
        for mount in self.mounts {
            services.mount(mount)?;
        }
        let listener = TcpListener::bind(address).await.map_err(BindError::Listen)?;
        let local = listener.local_addr().map_err(BindError::Listen)?;
        let shared = Arc::new(Shared {
            sessions: Arc::new(Sessions::new(&self.limits)),
            policy: self.policy,
            chain: self.chain,
            listener: self.listener,
            limits: self.limits,
            refusals: self.refusals,
            trusted_proxies: self.trusted_proxies,
            services,
            hosts: Arc::default(),
            owed: Owed::default(),
            metrics: Metrics::default(),
            run: watch::Sender::new(Run::Serving),
        });
        let metrics_for = self.metrics_for;
        let router = Router::new()
            .route(wire::PATH, get(upgrade::upgrade))
            .route("/api/auth/me", get(me))
            .route("/health", get(async || "ok\n"))
            .route("/ready", get(ready))
            .route(
                "/metrics",
                get(async move |State(shared): State<Arc<Shared>>, request: Request| {
                    metrics(&shared, &request, metrics_for)
                }),
            )
            .with_state(shared.clone())
            .merge(self.routes);
        let (alive, gone) = mpsc::channel(1);
        tokio::spawn(accept(listener, shared.clone(), router, alive));
        Ok(Gateway { shared, local, gone })
    }
}

/// A gateway that listens.
pub struct Gateway {
    shared: Arc<Shared>,
    local: SocketAddr,
    /// Ends when the last connection has.
    gone: mpsc::Receiver<()>,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("local", &self.local).finish_non_exhaustive()
    }
}

impl Gateway {
    /// Starts a gateway that decides by `policy` and lets in whom `chain` knows.
    pub fn builder(policy: Policy, chain: Chain) -> GatewayBuilder {
        GatewayBuilder {
            listener: Listener::serving(policy.application().clone()),
            policy,
            chain,
            limits: Limits::default(),
            refusals: Refusals::default(),
            metrics_for: MetricsFor::default(),
            trusted_proxies: Vec::new(),
            mounts: Vec::new(),
            routes: Router::new(),
        }
    }

    /// Where it listens.
    pub const fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.shared.sessions.count()
    }

    /// Closes every connection of a participant, as when it is disabled, and says how many there were.
    pub fn disconnect(&self, participant: &str) -> usize {
        self.shared.sessions.revoke(participant)
    }

    /// A handle to close connections with, for whoever hears of revocations.
    pub fn handle(&self) -> GatewayHandle {
        GatewayHandle { shared: self.shared.clone() }
    }

    /// Takes no more connections and no more calls, lets calls in flight end for [`Limits::drain`], then closes all.
    pub async fn shutdown(mut self) {
        self.shared.run.send_replace(Run::Draining);
        if tokio::time::timeout(self.shared.limits.drain, self.gone.recv()).await.is_err() {
            self.shared.run.send_replace(Run::Over);
            let _ = tokio::time::timeout(Duration::from_secs(2), self.gone.recv()).await;
        }
    }
}

/// Stops a gateway that is dropped.
impl Drop for Gateway {
    fn drop(&mut self) {
        self.shared.run.send_replace(Run::Over);
    }
}

/// Reaches the connections of a gateway from elsewhere. Cheap to clone.
#[derive(Debug, Clone)]
pub struct GatewayHandle {
    shared: Arc<Shared>,
}

impl GatewayHandle {
    /// Closes every connection of a participant, and says how many there were.
    pub fn disconnect(&self, participant: &str) -> usize {
        self.shared.sessions.revoke(participant)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, router: Router, alive: mpsc::Sender<()>) {
    let mut run = shared.run.subscribe();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = is_draining(&mut run) => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let address = peer.ip().to_canonical();
                let is_proxy = shared.trusted_proxies.iter().any(|range| range.contains(address));
                let Some(permit) = shared.sessions.socket((!is_proxy).then_some(address)) else {
                    // Nothing is said: an answer would cost more than the peer is worth.
                    count(&shared.metrics.refused_sockets);
                    continue;
                };
                let arrived = Arrived { address, permit: Arc::new(permit), alive: alive.clone() };
                tokio::spawn(serve(stream, shared.clone(), router.clone(), arrived));
            }
            Err(error) => {
                // Out of file descriptors, most likely: a pause lets some come back.
                tracing::warn!(target: "policy::gateway", %error, "cannot accept a socket");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn is_draining(run: &mut watch::Receiver<Run>) {
    let _ = run.wait_for(|run| *run > Run::Serving).await;
}

async fn serve(stream: TcpStream, shared: Arc<Shared>, router: Router, arrived: Arrived) {
    let _ = stream.set_nodelay(true);
    let limits = &shared.limits;
    let address = arrived.address;
    let trusted = shared.trusted_proxies.clone();
    let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let (router, mut arrived) = (router.clone(), arrived.clone());
        arrived.address = client_address(arrived.address, request.headers(), &trusted);
        async move {
            let mut request = request.map(Body::new);
            let id = request_id(&request);
            request.extensions_mut().insert(arrived);
            let mut response = router.oneshot(request).await.unwrap_or_else(|never| match never {});
            if let Some(id) = id {
                response.headers_mut().insert(&REQUEST_ID, id);
            }
            Ok::<_, std::convert::Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.http_head_time)
        .max_buf_size(limits.http_head.max(8192))
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let mut run = shared.run.subscribe();
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = is_draining(&mut run) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(target: "policy::gateway", %address, %error, "an HTTP connection broke");
    }
}

static REQUEST_ID: HeaderName = HeaderName::from_static(wire::header::REQUEST_ID);

/// The id of an HTTP request: the peer's if it is plain, else a fresh one.
fn request_id(request: &Request) -> Option<HeaderValue> {
    let sent = request.headers().get(&REQUEST_ID);
    match sent.filter(|id| id.to_str().is_ok_and(super::is_request_id)) {
        Some(id) => Some(id.clone()),
        None => HeaderValue::from_str(&uuid::Uuid::new_v4().simple().to_string()).ok(),
    }
}

fn address_of(request: &Request) -> Option<IpAddr> {
    request.extensions().get::<Arrived>().map(|arrived| arrived.address)
}

/// 204 to whoever presents good credentials.
async fn me(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let Some(address) = address_of(&request) else { return upgrade::status(StatusCode::INTERNAL_SERVER_ERROR) };
    let Ok(credentials) = upgrade::presented(&shared, &request, address) else {
        return upgrade::status(StatusCode::UNAUTHORIZED);
    };
    drop(request);
    match shared.authenticate(&credentials).await {
        Outcome::Authenticated(_) => upgrade::status(StatusCode::NO_CONTENT),
        Outcome::NotPresented => upgrade::status(StatusCode::UNAUTHORIZED),
        Outcome::Rejected(error) => upgrade::refused(&error.answer()),
    }
}

async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    match *shared.run.borrow() {
        Run::Serving => "ready\n".into_response(),
        Run::Draining | Run::Over => upgrade::status(StatusCode::SERVICE_UNAVAILABLE),
    }
}

fn metrics(shared: &Shared, request: &Request, metrics_for: MetricsFor) -> Response {
    let is_forwarded =
        ["forwarded", "x-forwarded-for", "x-real-ip", "via"].iter().any(|h| request.headers().contains_key(*h));
    let may = match metrics_for {
        MetricsFor::Everybody => true,
        MetricsFor::Loopback => !is_forwarded && address_of(request).is_some_and(|address| address.is_loopback()),
        MetricsFor::Nobody => false,
    };
    if !may {
        return upgrade::status(StatusCode::NOT_FOUND);
    }
    let text = shared.metrics.render(shared.sessions.count());
    ([("content-type", "text/plain; version=0.0.4")], text).into_response()
}
