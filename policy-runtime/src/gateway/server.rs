//! The listener: sockets in, HTTP requests out to their routes, and the whole from start to shutdown.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use http::StatusCode;
use http::header::{ORIGIN, RETRY_AFTER};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use policy_core::context::OwnAttributes;
use policy_core::value::IpRange;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::sync::{mpsc, watch};
use tower::ServiceExt as _;

use super::admission::{Owed, Refusals};
use super::connected::Connected;
use super::handle::GatewayHandle;
use super::limits::Limits;
use super::metrics::{Metrics, count};
use super::presence::{self, Feed};
use super::routes;
use super::services::{Mount, MountError, Services};
use super::sessions::Sessions;
use super::shared::{AddAttributes, Remarks, Run, Shared};
use super::tls::Tls;
use super::upgrade::{self, Arrived};
#[cfg(feature = "server")]
use crate::authn::BoxFuture;
use crate::authn::Chain;
use crate::authn::session::Sessions as Cookies;
use crate::credential::{Facts, Listener};
use crate::edge::{Arrival, Limiter, Origins, Rates, RequestId, TrustedProxies};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
use crate::entity::Published;
use crate::pip::Sources;
use crate::policy::Policy;

/// Who may read `/metrics`.
///
/// ```
/// use policy_runtime::gateway::MetricsFor;
/// assert_eq!(MetricsFor::default(), MetricsFor::Loopback);
/// ```
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
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use policy_runtime::Policy;
/// use policy_runtime::authn::Chain;
/// use policy_runtime::gateway::{BindError, Gateway};
///
/// let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
/// let gateway = Gateway::builder(Policy::for_application("shop").unwrap(), Chain::builder().build());
/// let error = gateway.bind(taken.local_addr().unwrap()).await.unwrap_err();
/// assert!(matches!(error, BindError::Listen(_)));
/// # }
/// ```
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
///
/// ```
/// use policy_runtime::authn::Chain;
/// use policy_runtime::credential::Listener;
/// use policy_runtime::gateway::{Gateway, MetricsFor, Refusals};
/// use policy_runtime::Policy;
///
/// let policy = Policy::for_application("shop")?;
/// let listener = Listener::serving(policy.application().clone());
/// let builder = Gateway::builder(policy, Chain::builder().build())
///     .listener(listener)
///     .refusals(Refusals::AtConnect)
///     .metrics(MetricsFor::Nobody)
///     .trusted_proxies(["10.0.0.0/8".parse().unwrap()])
///     .routes(axum::Router::new());
/// # Ok::<(), policy_runtime::PolicyError>(())
/// ```
pub struct GatewayBuilder {
    policy: Policy,
    chain: Chain,
    listener: Listener,
    limits: Limits,
    refusals: Refusals,
    metrics_for: MetricsFor,
    trusted_proxies: TrustedProxies,
    origins: Origins,
    cookies: Option<Cookies>,
    limiter: Arc<Limiter>,
    attributes: Option<AddAttributes>,
    sources: Sources,
    tls: Option<Tls>,
    feed: Option<Arc<dyn Feed>>,
    mounts: Vec<Mount>,
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    entities: Vec<Published>,
    routes: Router,
    remarks: Option<Remarks>,
    pub(super) connected: Connected,
}

impl fmt::Debug for GatewayBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayBuilder").field("mounts", &self.mounts).finish_non_exhaustive()
    }
}

impl GatewayBuilder {
    /// Mounts a service.
    #[must_use]
    pub fn service(mut self, mount: impl Into<Mount>) -> Self {
        self.mounts.push(mount.into());
        self
    }

    /// Publishes an entity: `@kinotic-ai/persistence` reads and writes it as `<organization>.<application>.<entity>`, through its
    /// repository and under its policies.
    ///
    /// ```
    /// use policy_runtime::authn::Chain;
    /// use policy_runtime::entity::{Entities, Pool};
    /// use policy_runtime::gateway::Gateway;
    /// use policy_runtime::{Entity, Policy};
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Entity, Serialize, Deserialize)]
    /// #[serde(rename_all = "camelCase")]
    /// #[abac_policy(all_read = "entity.ownerId == participant.id", all_create = "entity.ownerId == participant.id")]
    /// struct Photo {
    ///     #[serde(default)]
    ///     id: String,
    ///     owner_id: String,
    ///     title: String,
    /// }
    ///
    /// # async fn example(chain: Chain) -> Result<(), Box<dyn std::error::Error>> {
    /// let entities = Entities::new(Pool::connect("sqlite:photos.db").await?)?;
    /// let gateway = Gateway::builder(Policy::for_application("gallery")?, chain)
    ///     .entity(entities.repository::<Photo>().await?)
    ///     .bind("127.0.0.1:58503")
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    #[must_use]
    pub fn entity(mut self, entity: impl Into<Published>) -> Self {
        self.entities.push(entity.into());
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

    /// Believes `X-Forwarded-For` and `X-Forwarded-Proto` from these addresses, and from no others. Connections that they bring
    /// count against [`Limits::connections_per_address`] of the address they come from.
    #[must_use]
    pub fn trusted_proxies(mut self, addresses: impl IntoIterator<Item = IpRange>) -> Self {
        self.trusted_proxies.extend(addresses);
        self
    }

    /// Speaks TLS; without it, a trusted proxy in front should.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Lets browsers sign in by cookie: serves `POST /api/auth/login` (also `/api/auth/org/login`, as Kinotic calls it, and
    /// `/api/auth/app/<organization>/<application>/login`), which takes `{"email", "password"}`, and `POST /api/auth/logout`. A clone of the sessions belongs into the chain.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use policy_runtime::Policy;
    /// use policy_runtime::authn::{Chain, session::Sessions};
    /// use policy_runtime::clock::SystemClock;
    /// use policy_runtime::gateway::Gateway;
    ///
    /// let sessions = Sessions::new(Arc::new(SystemClock));
    /// let chain = Chain::builder().with(sessions.clone()).build();
    /// let builder = Gateway::builder(Policy::for_application("shop")?, chain)
    ///     .cookies(sessions)
    ///     .allow_origin("https://app.example.com");
    /// # Ok::<(), policy_runtime::PolicyError>(())
    /// ```
    #[must_use]
    pub fn cookies(mut self, sessions: Cookies) -> Self {
        self.cookies = Some(sessions);
        self
    }

    /// Lets pages of another origin (`https://app.example.com`) use cookies here.
    #[must_use]
    pub fn allow_origin(mut self, origin: impl Into<String>) -> Self {
        self.origins.allow(origin);
        self
    }

    /// Follows changes of participants: within a second their connections go on as they are now, or are closed.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use policy_runtime::Policy;
    /// use policy_runtime::authn::Chain;
    /// use policy_runtime::gateway::{Feed, Gateway};
    /// fn following(policy: Policy, chain: Chain, feed: Arc<dyn Feed>) -> policy_runtime::gateway::GatewayBuilder {
    ///     Gateway::builder(policy, chain).follow(feed)
    /// }
    /// ```
    #[must_use]
    pub fn follow(mut self, feed: Arc<dyn Feed>) -> Self {
        self.feed = Some(feed);
        self
    }

    /// Says how often somebody may ask.
    #[must_use]
    pub fn rates(self, rates: &Rates) -> Self {
        self.limiter(Arc::new(Limiter::new(rates)))
    }

    /// Counts together with others, such as a tower layer.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use policy_runtime::Policy;
    /// use policy_runtime::authn::Chain;
    /// use policy_runtime::edge::Limiter;
    /// use policy_runtime::gateway::Gateway;
    /// use policy_runtime::tower::AuthenticateLayer;
    ///
    /// let (policy, chain) = (Policy::for_application("shop")?, Chain::builder().build());
    /// let limiter = Arc::new(Limiter::default());
    /// let layer = AuthenticateLayer::new(policy.clone(), chain.clone()).limiter(limiter.clone());
    /// let gateway = Gateway::builder(policy, chain).limiter(limiter);
    /// # drop((layer, gateway));
    /// # Ok::<(), policy_runtime::PolicyError>(())
    /// ```
    #[must_use]
    pub fn limiter(mut self, limiter: Arc<Limiter>) -> Self {
        self.limiter = limiter;
        self
    }

    /// Asks these before each call what they know of the caller and of the call; guards read it like any attribute.
    #[must_use]
    pub fn sources(mut self, sources: Sources) -> Self {
        self.sources = sources;
        self
    }

    /// Adds the application's own attributes of the context, once for each connection, from what its upgrade said beside
    /// credentials. Rules read them as `context.<name>`.
    #[must_use]
    pub fn context(mut self, add: impl Fn(&Facts, &mut OwnAttributes) + Send + Sync + 'static) -> Self {
        self.attributes = Some(AddAttributes(Arc::new(add)));
        self
    }

    /// Adds routes beside those of the gateway, such as those of sign-in.
    #[must_use]
    pub fn routes(mut self, routes: Router) -> Self {
        self.routes = self.routes.merge(routes);
        self
    }

    /// Lets `/ready` say something more to this machine, such as what is lacking now.
    #[cfg(feature = "server")]
    #[must_use]
    pub(crate) fn remarks(mut self, ask: impl Fn() -> BoxFuture<'static, Vec<String>> + Send + Sync + 'static) -> Self {
        self.remarks = Some(Arc::new(ask));
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
        #[cfg(any(feature = "sqlite", feature = "postgres"))]
        for mount in super::entities::mounts(self.entities, self.policy.application())? {
            services.mount(mount)?;
        }
        self.limiter.tell_of_unknown(&self.policy);
        let listener = TcpListener::bind(address).await.map_err(BindError::Listen)?;
        let local = listener.local_addr().map_err(BindError::Listen)?;
        let shared = Arc::new(Shared {
            sessions: self.connected.begin(Sessions::new(&self.limits)),
            policy: self.policy,
            chain: self.chain,
            listener: self.listener,
            limits: self.limits,
            refusals: self.refusals,
            trusted_proxies: self.trusted_proxies,
            origins: self.origins,
            cookies: self.cookies,
            limiter: self.limiter,
            attributes: self.attributes,
            sources: self.sources,
            tls: self.tls.as_ref().map(Tls::acceptor),
            feed: self.feed,
            services,
            hosts: Arc::default(),
            owed: Owed::default(),
            remarks: self.remarks,
            metrics: Metrics::default(),
            run: watch::Sender::new(Run::Serving),
        });
        let (router, (alive, gone)) = (routes::router(&shared, self.metrics_for).merge(self.routes), mpsc::channel(1));
        if shared.feed.is_some() || shared.cookies.is_some() {
            let number = presence::begin(&shared).await;
            tokio::spawn(presence::watch(Arc::downgrade(&shared), shared.limits.unconfirmed, number));
        }
        tokio::spawn(accept(listener, shared.clone(), router, alive));
        Ok(Gateway { shared, local, gone })
    }
}

/// A gateway that listens.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use policy_runtime::Policy;
/// use policy_runtime::authn::Chain;
/// use policy_runtime::gateway::Gateway;
///
/// let policy = Policy::for_application("shop").unwrap();
/// let gateway = Gateway::builder(policy, Chain::builder().build()).bind("127.0.0.1:0").await.unwrap();
/// assert_eq!((gateway.connections(), gateway.disconnect("u-1")), (0, 0));
/// gateway.shutdown().await;
/// # }
/// ```
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
            trusted_proxies: TrustedProxies::default(),
            origins: Origins::default(),
            cookies: None,
            limiter: Arc::default(),
            attributes: None,
            sources: Sources::default(),
            tls: None,
            feed: None,
            mounts: Vec::new(),
            #[cfg(any(feature = "sqlite", feature = "postgres"))]
            entities: Vec::new(),
            routes: Router::new(),
            remarks: None,
            connected: Connected::default(),
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

    /// Closes every connection of a session, and says how many there were.
    pub fn end_session(&self, session: &str) -> usize {
        self.shared.sessions.end_session(session)
    }

    /// A handle to close connections with, for whoever hears of revocations.
    pub fn handle(&self) -> GatewayHandle {
        GatewayHandle::new(self.shared.clone())
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
                let proxied = shared.trusted_proxies.contains(address);
                let Some(permit) = shared.sessions.socket((!proxied).then_some(address)) else {
                    // Nothing is said: an answer would cost more than the peer is worth.
                    count(&shared.metrics.refused_sockets);
                    continue;
                };
                let arrived = Arrived {
                    address,
                    proxied,
                    secure: shared.tls.is_some(),
                    request_id: RequestId::fresh(),
                    permit: Arc::new(permit),
                    alive: alive.clone(),
                };
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
    let Some(acceptor) = shared.tls.clone() else { return serve_http(stream, shared, router, arrived).await };
    match tokio::time::timeout(shared.limits.http_head_time, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => serve_http(stream, shared, router, arrived).await,
        Ok(Err(error)) => {
            tracing::debug!(target: "policy::gateway", address = %arrived.address, %error, "TLS was not agreed upon");
        }
        Err(_) => tracing::debug!(target: "policy::gateway", address = %arrived.address, "TLS took too long"),
    }
}

async fn serve_http<S>(stream: S, shared: Arc<Shared>, router: Router, arrived: Arrived)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let address = arrived.address;
    let mut run = shared.run.subscribe();
    let limits = shared.limits.clone();
    let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let (router, shared, arrived) = (router.clone(), shared.clone(), arrived.clone());
        async move { Ok::<_, std::convert::Infallible>(answer(&shared, router, arrived, request.map(Body::new)).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.http_head_time)
        .max_buf_size(limits.http_head.max(8192))
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
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

/// Answers one request, whose address and id are settled here.
async fn answer(shared: &Shared, router: Router, mut arrived: Arrived, mut request: Request) -> Response {
    let headers = request.headers();
    arrived.secure = shared.trusted_proxies.is_secure(arrived.address, headers, arrived.secure);
    arrived.address = shared.trusted_proxies.client(arrived.address, headers);
    arrived.request_id = RequestId::of(headers);
    let (id, origin) = (arrived.request_id.clone(), headers.get(ORIGIN).cloned());
    let response = if let Err(too_often) = shared.limiter.request(arrived.address) {
        count(&shared.metrics.refused_requests);
        let mut response = upgrade::status(StatusCode::TOO_MANY_REQUESTS);
        response.headers_mut().insert(RETRY_AFTER, upgrade::seconds(too_often.wait()).into());
        response
    } else if let Some(response) = routes::preflight(shared, &request) {
        response
    } else {
        // Layers behind this gateway see the client as it does, and go on with its id.
        if let Some(id) = id.header() {
            request.headers_mut().insert(&RequestId::HEADER, id);
        }
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(arrived.address, 0)));
        request.extensions_mut().insert(Arrival::new(arrived.address, arrived.secure));
        request.extensions_mut().insert(arrived);
        router.oneshot(request).await.unwrap_or_else(|never| match never {})
    };
    let mut response = routes::with_cors(shared, origin.as_ref(), response);
    if let Some(id) = id.header() {
        response.headers_mut().insert(&RequestId::HEADER, id);
    }
    response
}
