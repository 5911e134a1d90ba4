//! What is served over HTTP beside connections.
//!
//! In: requests whose address is known. Out: whether somebody is signed in, cookies, health, numbers. Absent: the upgrade.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, ORIGIN, SET_COOKIE, VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use policy_core::Scope;
use serde::Deserialize;
use tokio::time::Instant;

use super::server::MetricsFor;
use super::shared::{Run, Shared};
use super::upgrade::{self, Arrived};
use crate::authn::session::Sessions;
use crate::authn::{AuthnError, Outcome};
use crate::credential::{Credential, Credentials, Facts, LoginForm};
use crate::secret::Secret;
use crate::wire;

/// The longest body of a sign-in.
const LOGIN_BODY: usize = 10 * 1024;

/// The gateway's own routes; those of cookies only where there are sessions.
pub(super) fn router(shared: &Arc<Shared>, metrics_for: MetricsFor) -> Router {
    let mut router = Router::new()
        .route("/api/auth/me", get(me))
        .route("/health", get(async || "ok\n"))
        .route("/ready", get(ready))
        .route(
            "/metrics",
            get(
                async move |State(shared): State<Arc<Shared>>,
                            Extension(arrived): Extension<Arrived>,
                            headers: HeaderMap| {
                    metrics(&shared, &headers, arrived.address, metrics_for)
                },
            ),
        );
    if shared.limits.connections_per_participant > 0 {
        router = router.route(wire::PATH, get(upgrade::upgrade));
    }
    if shared.cookies.is_some() {
        router = router
            .route("/api/auth/login", post(login))
            // Where Kinotic's own pages sign in.
            .route("/api/auth/org/login", post(login))
            .route("/api/auth/app/{organization}/{application}/login", post(login_of_application))
            .route("/api/auth/logout", post(logout));
    }
    router.with_state(shared.clone())
}

/// Lets pages of allowed origins read what they asked for with a cookie.
pub(super) fn with_cors(shared: &Shared, origin: Option<&HeaderValue>, mut response: Response) -> Response {
    let allowed = origin.filter(|origin| origin.to_str().is_ok_and(|origin| shared.origins.contains(origin)));
    if let Some(origin) = allowed {
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        headers.append(VARY, HeaderValue::from_static("origin"));
    }
    response
}

/// The answer to a browser that asks before it sends.
pub(super) fn preflight(shared: &Shared, request: &Request) -> Option<Response> {
    let origin = request.headers().get(ORIGIN)?;
    if request.method() != Method::OPTIONS || !shared.origins.contains(origin.to_str().ok()?) {
        return None;
    }
    let mut response = upgrade::status(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE"));
    let allowed = "authorization, content-type, x-request-id, if-match, idempotency-key";
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(allowed));
    Some(response)
}

/// A response in place of what was asked for.
type Instead = Box<Response>;

/// 204 to whoever presents good credentials.
async fn me(State(shared): State<Arc<Shared>>, Extension(arrived): Extension<Arrived>, request: Request) -> Response {
    let credentials = match upgrade::presented(&shared, &request, &arrived) {
        Ok(credentials) => credentials,
        Err(error) => {
            let facts = Facts::of_unreadable(Some(arrived.address), arrived.request_id.as_str());
            return upgrade::refused(&shared.chain.refuse(error, &facts).await.answer());
        }
    };
    drop(request);
    match shared.authenticate(&credentials).await {
        Outcome::Authenticated(_) => upgrade::status(StatusCode::NO_CONTENT),
        Outcome::NotPresented => upgrade::status(StatusCode::UNAUTHORIZED),
        Outcome::Rejected(error) => upgrade::refused(&error.answer()),
    }
}

#[derive(Deserialize)]
struct Login {
    email: String,
    password: String,
    /// Of the second factor.
    code: Option<String>,
}

async fn login(
    State(shared): State<Arc<Shared>>,
    Extension(arrived): Extension<Arrived>,
    request: Request,
) -> Response {
    signed_in(&shared, None, &arrived, request).await.unwrap_or_else(|instead| *instead)
}

async fn login_of_application(
    State(shared): State<Arc<Shared>>,
    Path((organization, application)): Path<(String, String)>,
    Extension(arrived): Extension<Arrived>,
    request: Request,
) -> Response {
    let Ok(scope) = Scope::application(&organization, &application) else {
        return error(StatusCode::UNAUTHORIZED, "Invalid credentials");
    };
    signed_in(&shared, Some(scope), &arrived, request).await.unwrap_or_else(|instead| *instead)
}

/// A sign-in that ends in a cookie. It takes JSON alone, which no form of another site can send.
async fn signed_in(
    shared: &Shared,
    scope: Option<Scope>,
    arrived: &Arrived,
    request: Request,
) -> Result<Response, Instead> {
    let Some(sessions) = &shared.cookies else { return Err(upgrade::status(StatusCode::NOT_FOUND).into()) };
    from_this_site(shared, request.headers(), arrived.secure)?;
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.split(';').next().unwrap_or_default().trim() != wire::header::JSON {
        return Err(error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Invalid request body").into());
    }
    let earlier = upgrade::presented(shared, &request, arrived).ok();
    let (parts, body) = request.into_parts();
    let bad = |_| error(StatusCode::BAD_REQUEST, "Invalid request body");
    let bytes = axum::body::to_bytes(body, LOGIN_BODY).await.map_err(bad)?;
    let login: Login = serde_json::from_slice(&bytes).map_err(|bad| {
        let why = if bad.is_data() { "email and password are required" } else { "Invalid request body" };
        error(StatusCode::BAD_REQUEST, why)
    })?;
    let credential =
        Credential::Login { name: login.email, passcode: Secret::new(login.password), form: LoginForm::Passcode };
    let mut credentials = Credentials::of(credential)
        .from_peer(arrived.address)
        .at(parts.method.as_str(), parts.uri.path())
        .in_request(arrived.request_id.as_str())
        .on(shared.listener.clone());
    let named = earlier.as_ref().map(|asked| asked.requested_scope().clone()).unwrap_or_default();
    credentials = match scope {
        Some(scope) if !named.admits(&scope) => {
            return Err(error(StatusCode::UNAUTHORIZED, "Invalid credentials").into());
        }
        Some(scope) => credentials.in_scope(scope),
        None => credentials.asking_for(named),
    };
    if let Some(code) = login.code {
        credentials = credentials.with_second_factor(Secret::new(code));
    }
    let refused = |failed: &AuthnError| {
        tracing::info!(target: "policy::gateway", address = %arrived.address, request = arrived.request_id.as_str(), code = %failed.code(), detail = failed.detail(), "sign-in refused");
        let response = upgrade::refused_as_json(shared, &failed.answer());
        failed.pending().map_or(response, upgrade::pending_as_json)
    };
    let looked_up = Instant::now();
    let found = match shared.authenticate(&credentials).await {
        Outcome::Authenticated(found) => found,
        Outcome::NotPresented => return Err(error(StatusCode::UNAUTHORIZED, "Invalid credentials").into()),
        Outcome::Rejected(failed) => return Err(refused(&failed).into()),
    };
    let value = sessions.start(&found).await.map_err(|failed| refused(&failed))?;
    // Asked once the session is among those that changes are applied to, so that no change comes in between. Of one in the store,
    // that has said so itself; what it tells here late, of before, is no reason.
    if sessions.is_here(&value) && shared.sessions.has_changed(found.participant().id(), looked_up) {
        ended(sessions, &value).await;
        return Err(error(StatusCode::UNAUTHORIZED, "Invalid credentials").into());
    }
    // The session that was there before ends: nobody else goes on with it.
    if let Some(value) = earlier.as_ref().and_then(session_of) {
        ended(sessions, value).await;
    }
    tracing::info!(target: "policy::gateway", address = %arrived.address, request = arrived.request_id.as_str(), participant = found.participant().id(), "signed in by cookie");
    Ok(with_cookie(&sessions.set_cookie(&value)))
}

/// Ends the session of the cookie, and with it its connections.
async fn logout(
    State(shared): State<Arc<Shared>>,
    Extension(arrived): Extension<Arrived>,
    request: Request,
) -> Response {
    let Some(sessions) = &shared.cookies else { return upgrade::status(StatusCode::NOT_FOUND) };
    if let Err(instead) = from_this_site(&shared, request.headers(), arrived.secure) {
        return *instead;
    }
    let presented = upgrade::presented(&shared, &request, &arrived).ok();
    drop(request);
    if let Some(value) = presented.as_ref().and_then(session_of) {
        match sessions.end(value).await {
            Ok(Some(id)) => drop(shared.sessions.end_session(&id)),
            Ok(None) => {}
            // Whoever signs out is not told that they have while they have not.
            Err(error) => return upgrade::refused_as_json(&shared, &error.answer()),
        }
    }
    with_cookie(&Sessions::clear_cookie())
}

/// Ends a session that nobody goes on with; one that cannot be ended now ends by itself.
async fn ended(sessions: &Sessions, value: &Secret<String>) {
    if let Err(error) = sessions.end(value).await {
        tracing::warn!(target: "policy::gateway", %error, "a session was not ended");
    }
}

/// What changes who is signed in comes from a page of this site, or from no page at all.
fn from_this_site(shared: &Shared, headers: &HeaderMap, secure: bool) -> Result<(), Instead> {
    if shared.origins.admit_upgrade(headers, secure) {
        return Ok(());
    }
    Err(error(StatusCode::FORBIDDEN, "the request must come from this site").into())
}

fn session_of(credentials: &Credentials) -> Option<&Secret<String>> {
    credentials.presented().iter().find_map(|credential| match credential {
        Credential::Session(value) => Some(value),
        Credential::Login { .. } | Credential::Bearer(_) | Credential::ApiKey(_) | Credential::Custom { .. } => None,
    })
}

fn with_cookie(cookie: &str) -> Response {
    let mut response = upgrade::status(StatusCode::NO_CONTENT);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    match HeaderValue::from_str(cookie) {
        Ok(mut cookie) => {
            cookie.set_sensitive(true);
            response.headers_mut().insert(SET_COOKIE, cookie);
            response
        }
        Err(_) => upgrade::status(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// An error in the words of Kinotic's REST endpoints.
pub(super) fn error(code: StatusCode, text: &str) -> Response {
    let body = serde_json::json!({ "error": text }).to_string();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(wire::header::JSON));
    response
}

/// To this machine with remarks; elsewhere they are nobody's business.
async fn ready(
    State(shared): State<Arc<Shared>>,
    Extension(arrived): Extension<Arrived>,
    headers: HeaderMap,
) -> Response {
    let run = *shared.run.borrow();
    match run {
        Run::Serving if !shared.policy.engine().is_fresh(shared.policy.clock().now()) => {
            (StatusCode::SERVICE_UNAVAILABLE, "policies cannot be confirmed\n").into_response()
        }
        Run::Serving if shared.policy.is_stale() => "STALE\n".into_response(),
        Run::Serving if is_here(&headers, arrived.address) => {
            let remarks = match &shared.remarks {
                Some(ask) => ask().await,
                None => Vec::new(),
            };
            let lines = std::iter::once("ready".to_owned()).chain(remarks);
            lines.map(|line| line + "\n").collect::<String>().into_response()
        }
        Run::Serving => "ready\n".into_response(),
        Run::Draining | Run::Over => upgrade::status(StatusCode::SERVICE_UNAVAILABLE),
    }
}

/// Whether a request comes from this machine, and no proxy has forwarded it.
fn is_here(headers: &HeaderMap, address: IpAddr) -> bool {
    let is_forwarded = ["forwarded", "x-forwarded-for", "x-real-ip", "via"].iter().any(|h| headers.contains_key(*h));
    !is_forwarded && address.is_loopback()
}

fn metrics(shared: &Shared, headers: &HeaderMap, address: IpAddr, metrics_for: MetricsFor) -> Response {
    let may = match metrics_for {
        MetricsFor::Everybody => true,
        MetricsFor::Loopback => is_here(headers, address),
        MetricsFor::Nobody => false,
    };
    if !may {
        return upgrade::status(StatusCode::NOT_FOUND);
    }
    let text = shared.metrics.render(shared.sessions.count()) + &shared.policy.tally().render();
    ([("content-type", "text/plain; version=0.0.4")], text).into_response()
}
