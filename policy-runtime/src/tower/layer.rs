//! Authenticates requests and runs the service as its caller.

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use policy_core::context::OwnAttributes;
use policy_core::value::{IpRange, Record};
use policy_core::{Facts, Slug};
use tokio::time::Instant;
use tower::{Layer, Service};
use tracing::Instrument as _;

use super::body::ResponseBody;
use super::problem::Problem;
use crate::authn::{Authenticated, AuthnError, Chain, Outcome};
use crate::code::Code;
use crate::credential::{Credential, Credentials, Facts as Presented, Listener};
use crate::edge::{Limiter, Origins, Rates, RequestId, TrustedProxies};
use crate::pip::Sources;
use crate::policy::Policy;
use crate::security::SecurityContext;
use crate::service::CallError;
use crate::trace::{continue_trace, millis};

type OfRequest<T> = Arc<dyn Fn(&Parts) -> T + Send + Sync>;
type AddAttributes = Arc<dyn Fn(&Parts, &mut OwnAttributes) + Send + Sync>;

/// Authenticates requests: bearer, basic, API key, and headers of the application's own.
///
/// Without credentials a request is answered 401, unless [`AuthenticateLayer::optional`]. The service runs in a
/// [`SecurityContext`], which is also an extension of the request, like its [`RequestId`].
///
/// ```
/// use policy_core::value::Value;
/// use policy_runtime::Policy;
/// use policy_runtime::authn::Chain;
/// use policy_runtime::credential::Listener;
/// use policy_runtime::tower::AuthenticateLayer;
///
/// let policy = Policy::for_application("shop")?;
/// let listener = Listener::serving(policy.application().clone());
/// let layer = AuthenticateLayer::new(policy, Chain::builder().build())
///     .listener(listener)
///     .peer(|_| Some([127, 0, 0, 1].into()))
///     .credential_header("x-badge")
///     .allow_origin("https://shop.example")
///     .limiter(std::sync::Arc::new(policy_runtime::edge::Limiter::default()))
///     .challenge(http::HeaderValue::from_static("Bearer"))
///     .context(|_, attributes| attributes.insert("region", Value::text("eu")));
/// # Ok::<(), policy_runtime::PolicyError>(())
/// ```
#[derive(Clone)]
pub struct AuthenticateLayer {
    setup: Arc<Setup>,
}

#[derive(Clone)]
struct Setup {
    policy: Policy,
    chain: Chain,
    listener: Listener,
    peer: OfRequest<Option<IpAddr>>,
    attributes: Option<AddAttributes>,
    sources: Sources,
    custom: Vec<&'static str>,
    origins: Origins,
    proxies: TrustedProxies,
    limiter: Arc<Limiter>,
    challenge: HeaderValue,
    optional: bool,
}

impl AuthenticateLayer {
    /// Makes the layer: who is believed is up to the chain, what is allowed up to the policy.
    pub fn new(policy: Policy, chain: Chain) -> Self {
        Self {
            setup: Arc::new(Setup {
                listener: Listener::serving(policy.application().clone()),
                policy,
                chain,
                peer: Arc::new(peer_of_socket),
                attributes: None,
                sources: Sources::default(),
                custom: Vec::new(),
                origins: Origins::default(),
                proxies: TrustedProxies::default(),
                limiter: Arc::default(),
                challenge: HeaderValue::from_static("Bearer"),
                optional: false,
            }),
        }
    }

    fn changed(mut self, change: impl FnOnce(&mut Setup)) -> Self {
        change(Arc::make_mut(&mut self.setup));
        self
    }

    /// Asks these before each request what they know of the caller and of the request; guards read it like any attribute.
    #[must_use]
    pub fn sources(self, sources: Sources) -> Self {
        self.changed(|setup| setup.sources = sources)
    }

    /// Adds the application's own attributes of the context, which rules read as `context.<name>`.
    #[must_use]
    pub fn context(self, add: impl Fn(&Parts, &mut OwnAttributes) + Send + Sync + 'static) -> Self {
        self.changed(|setup| setup.attributes = Some(Arc::new(add)))
    }

    /// Adds the fields of a value that `of` makes of each request, as [`AuthenticateLayer::context`] does.
    ///
    /// ```
    /// use policy_runtime::tower::AuthenticateLayer;
    /// use policy_runtime::Attributes;
    ///
    /// #[derive(Attributes)]
    /// struct Way {
    ///     region: String,
    ///     office: bool,
    /// }
    ///
    /// fn with_way(layer: AuthenticateLayer) -> AuthenticateLayer {
    ///     layer.context_of(|request| Way {
    ///         region: "eu".to_owned(),
    ///         office: request.headers.contains_key("x-office"),
    ///     })
    /// }
    /// ```
    #[must_use]
    pub fn context_of<T: Record>(self, of: impl Fn(&Parts) -> T + Send + Sync + 'static) -> Self {
        self.context(move |parts, attributes| attributes.extend(&of(parts)))
    }

    /// Believes `X-Forwarded-For` and `X-Forwarded-Proto` from these addresses, and from no others.
    #[must_use]
    pub fn trusted_proxies(self, addresses: impl IntoIterator<Item = IpRange>) -> Self {
        self.changed(|setup| setup.proxies.extend(addresses))
    }

    /// Says how often somebody may ask; a request too many is answered 429 with the time to wait. The rates of single actions
    /// count where their guards are asked; at routes that have a [`RefuseEarlyLayer`](super::RefuseEarlyLayer), before the body is
    /// read.
    #[must_use]
    pub fn rates(self, rates: &Rates) -> Self {
        self.limiter(Arc::new(Limiter::new(rates)))
    }

    /// Counts together with others, such as a gateway.
    #[must_use]
    pub fn limiter(self, limiter: Arc<Limiter>) -> Self {
        limiter.tell_of_unknown(&self.setup.policy);
        self.changed(|setup| setup.limiter = limiter)
    }

    /// Says where a request comes from, `context.ip`. Otherwise it is the other end of the socket, as axum's `ConnectInfo` tells
    /// it. With [`AuthenticateLayer::trusted_proxies`] it is where their forwarded headers say.
    #[must_use]
    pub fn peer(self, peer: impl Fn(&Parts) -> Option<IpAddr> + Send + Sync + 'static) -> Self {
        self.changed(|setup| setup.peer = Arc::new(peer))
    }

    /// Says what this listener admits; otherwise the policy's application, and nobody of System.
    #[must_use]
    pub fn listener(self, listener: Listener) -> Self {
        self.changed(|setup| setup.listener = listener)
    }

    /// Declares a header (in lower case) to hold a credential that an authenticator of the application's own knows; `cookie` for
    /// sessions. A request whose only credential is a cookie must come from this site if it can change something.
    #[must_use]
    pub fn credential_header(self, name: &'static str) -> Self {
        self.changed(|setup| setup.custom.push(name))
    }

    /// Lets pages of another origin (`https://app.example.com`) send requests with cookies.
    #[must_use]
    pub fn allow_origin(self, origin: impl Into<String>) -> Self {
        self.changed(|setup| setup.origins.allow(origin))
    }

    /// Sets `WWW-Authenticate` of a 401 (`Bearer`).
    #[must_use]
    pub fn challenge(self, challenge: HeaderValue) -> Self {
        self.changed(|setup| setup.challenge = challenge)
    }

    /// Lets requests without credentials pass, without a caller: guards refuse them. Wrong credentials stay refused.
    #[must_use]
    pub fn optional(self) -> Self {
        self.changed(|setup| setup.optional = true)
    }
}

impl fmt::Debug for AuthenticateLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthenticateLayer")
            .field("chain", &self.setup.chain)
            .field("listener", &self.setup.listener)
            .field("optional", &self.setup.optional)
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for AuthenticateLayer {
    type Service = Authenticate<S>;

    fn layer(&self, service: S) -> Authenticate<S> {
        Authenticate { setup: Arc::clone(&self.setup), service }
    }
}

/// A service behind an [`AuthenticateLayer`].
///
/// ```
/// use policy_runtime::tower::{Authenticate, AuthenticateLayer};
/// use tower::Layer;
///
/// fn authenticated<S>(layer: &AuthenticateLayer, service: S) -> Authenticate<S> {
///     layer.layer(service)
/// }
/// ```
#[derive(Clone)]
pub struct Authenticate<S> {
    setup: Arc<Setup>,
    service: S,
}

impl<S: fmt::Debug> fmt::Debug for Authenticate<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticate").field("service", &self.service).finish_non_exhaustive()
    }
}

impl<S, I, O> Service<Request<I>> for Authenticate<S>
where
    S: Service<Request<I>, Response = Response<O>> + Clone + Send + 'static,
    S::Future: Send,
    I: Send + 'static,
{
    type Response = Response<ResponseBody<O>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, task: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(task)
    }

    fn call(&mut self, request: Request<I>) -> Self::Future {
        // The service that is ready is the one to call; its clone waits for the next request.
        let clone = self.service.clone();
        let mut service = std::mem::replace(&mut self.service, clone);
        let setup = Arc::clone(&self.setup);
        Box::pin(async move {
            let started = Instant::now();
            let (mut parts, body) = request.into_parts();
            let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
            let mut tenant = None;
            let id = RequestId::of(&parts.headers);
            let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
            let span = tracing::info_span!(
                target: "policy", "request", otel.kind = "server", http.request.method = parts.method.as_str(),
                url.path = parts.uri.path(), request = id.as_str(), trace = tracing::field::Empty,
            );
            continue_trace(&span, header("traceparent"), header("tracestate"));
            let mut response = match setup.authenticate(&parts, &id).instrument(span.clone()).await {
                Err(problem) => Response::from(problem.request_id(id.shared())),
                Ok(cx) => {
                    parts.extensions.insert(id.clone());
                    if let Some(cx) = &cx {
                        parts.extensions.insert(cx.clone());
                        tenant = cx.participant().scope().organization_id().cloned();
                    }
                    let request = Request::from_parts(parts, body);
                    match &cx {
                        Some(cx) => {
                            // Also the part of `call` that is not in its future runs as the caller.
                            let running = span.in_scope(|| cx.run(|| service.call(request)));
                            answer(cx, cx.scope(running).instrument(span).await?)
                        }
                        None => setup.anonymous(service.call(request).await?, &id),
                    }
                }
            };
            if let Some(header) = id.header() {
                response.headers_mut().insert(&RequestId::HEADER, header);
            }
            tracing::info!(
                target: "policy::requests",
                tenantSlug = tenant.as_ref().map(Slug::as_str),
                requestId = id.as_str(),
                duration = millis(started.elapsed()),
                method = method.as_str(),
                path,
                status = response.status().as_u16(),
                "request",
            );
            Ok(response)
        })
    }
}

/// Gives back the refusal that an error of the service swallowed.
fn answer<O>(cx: &SecurityContext, response: Response<O>) -> Response<ResponseBody<O>> {
    if response.status() == StatusCode::INTERNAL_SERVER_ERROR
        && response.extensions().get::<Answered>().is_none()
        && let Some(denied) = cx.refusal()
    {
        let id = cx.facts().request_id.clone();
        let problem = Problem::from(denied);
        return id.map_or(problem.clone(), |id| problem.request_id(id)).into();
    }
    response.map(|body| ResponseBody::of_service(body, Some(cx.clone())))
}

/// Marks a response that says itself what was refused: its status is meant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answered(pub(super) Code);

impl Setup {
    async fn authenticate(&self, parts: &Parts, id: &RequestId) -> Result<Option<SecurityContext>, Problem> {
        let socket = (self.peer)(parts);
        let peer = socket.map(|socket| self.proxies.client(socket, &parts.headers));
        if let Some(address) = peer {
            self.limiter.request(address).map_err(CallError::from)?;
        }
        let presented = Credentials::from_headers_with(&parts.headers, peer, &self.custom)
            .map(|c| c.at(parts.method.as_str(), parts.uri.path()).on(self.listener.clone()).in_request(id.as_str()));
        let presented = match presented {
            Ok(presented) => presented,
            Err(error) => {
                let refused = self.chain.refuse(error, &Presented::of_unreadable(peer, id.as_str())).await;
                return Err(self.refused(&refused, id, true));
            }
        };
        self.check_origin(parts, socket, &presented)?;
        match self.chain.authenticate(&presented).await {
            Outcome::Authenticated(found) => {
                let quota = self.limiter.call(found.participant(), peer).map_err(CallError::from)?;
                let cx = self.context_of(*found, parts, peer, id, quota);
                Ok(Some(self.sources.complete(cx).await))
            }
            Outcome::NotPresented if self.optional => Ok(None),
            Outcome::NotPresented => Err(Problem::new(Code::Unauthenticated).challenge(self.challenge.clone())),
            Outcome::Rejected(error) => Err(self.refused(&error, id, true)),
        }
    }

    fn refused(&self, error: &AuthnError, id: &RequestId, presented: bool) -> Problem {
        tracing::warn!(
            target: "policy",
            request = id.as_str(),
            code = error.code().as_str(),
            detail = error.detail(),
            "sign-in refused"
        );
        // RFC 6750, section 3.1: only who presented something is told that it is not valid.
        let invalid = presented && self.challenge == "Bearer";
        let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
        let problem = Problem::of_sign_in(&error.answer());
        if problem.code() == Code::StepUpRequired {
            return problem;
        }
        problem.challenge(if invalid { challenge } else { self.challenge.clone() })
    }

    /// A browser sends cookies along with what other sites make it send.
    fn check_origin(&self, parts: &Parts, socket: Option<IpAddr>, presented: &Credentials) -> Result<(), Problem> {
        let cookie = |c: &Credential| match c {
            Credential::Session(_) => true,
            Credential::Custom { header, .. } => header == "cookie",
            Credential::Login { .. } | Credential::Bearer(_) | Credential::ApiKey(_) => false,
        };
        let only_cookies = !presented.presented().is_empty() && presented.presented().iter().all(cookie);
        if !only_cookies || matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS) {
            return Ok(());
        }
        let tls = parts.uri.scheme() == Some(&http::uri::Scheme::HTTPS) || gateway_saw_tls(parts);
        let secure = socket.map_or(tls, |socket| self.proxies.is_secure(socket, &parts.headers, tls));
        let host = parts.uri.authority().map(http::uri::Authority::as_str);
        if self.origins.admit(&parts.headers, host, secure) {
            return Ok(());
        }
        Err(Problem::new(Code::SignInRefused).detail("a request with a cookie must come from this site"))
    }

    fn context_of(
        &self,
        found: Authenticated,
        parts: &Parts,
        peer: Option<IpAddr>,
        id: &RequestId,
        quota: Option<u32>,
    ) -> SecurityContext {
        let participant = found.into_participant();
        let mut facts = Facts {
            ip: peer.map(IpRange::single),
            mfa: participant.mfa(),
            connection: Some("http".into()),
            request_id: Some(id.shared()),
            quota,
            attributes: OwnAttributes::default(),
        };
        if let Some(add) = &self.attributes {
            add(parts, &mut facts.attributes);
        }
        SecurityContext::new(&self.policy, participant.into()).with_facts(facts).counting(self.limiter.of_actions())
    }

    /// A guard that found no caller asks for one.
    fn anonymous<O>(&self, response: Response<O>, id: &RequestId) -> Response<ResponseBody<O>> {
        if matches!(response.extensions().get(), Some(Answered(Code::NoContext))) {
            let problem = Problem::new(Code::Unauthenticated).challenge(self.challenge.clone());
            return problem.request_id(id.shared()).into();
        }
        response.map(|body| ResponseBody::of_service(body, None))
    }
}

/// Whether the gateway before this layer knows that the peer speaks TLS, to it or to a trusted proxy.
#[cfg(feature = "gateway")]
fn gateway_saw_tls(parts: &Parts) -> bool {
    parts.extensions.get::<crate::edge::Arrival>().is_some_and(|arrival| arrival.secure)
}

#[cfg(not(feature = "gateway"))]
const fn gateway_saw_tls(_: &Parts) -> bool {
    false
}

#[cfg(feature = "axum")]
fn peer_of_socket(parts: &Parts) -> Option<IpAddr> {
    let info = parts.extensions.get::<axum::extract::ConnectInfo<std::net::SocketAddr>>();
    info.map(|info| info.0.ip())
}

#[cfg(not(feature = "axum"))]
fn peer_of_socket(_: &Parts) -> Option<IpAddr> {
    None
}
