//! The tower layer before handlers of axum: sign-in, guards on handlers, problems, request ids.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that cannot go on fails")]

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use policy_runtime::authn::{Authenticated, Authenticator, AuthnCode, AuthnError, BoxFuture, Chain, Outcome};
use policy_runtime::credential::{Credential, Credentials};
use policy_runtime::edge::{Rate, Rates};
use policy_runtime::tower::{AuthenticateLayer, Participant, RefuseEarlyLayer, RequestId};
use policy_runtime::value::Value;
use policy_runtime::{Attributes, Denied, Policy, SecurityContext, abac_policy};
use tower::ServiceExt as _;

static PAID: AtomicUsize = AtomicUsize::new(0);

#[abac_policy(participant.roles contains "finance" and amount < 50_000)]
async fn pay(Path(amount): Path<i64>) -> Result<String, Denied> {
    PAID.fetch_add(1, Ordering::SeqCst);
    Ok(format!("paid {amount}"))
}

#[abac_policy(participant.roles contains "finance")]
async fn upload(body: Bytes) -> Result<String, Denied> {
    Ok(format!("{} octets", body.len()))
}

#[abac_policy(context.ip in "10.0.0.0/8" and context.region == "eu")]
async fn regional() -> Result<&'static str, Denied> {
    Ok("eu")
}

#[abac_policy(context.office == true and context.floor < 3)]
async fn in_the_office() -> Result<&'static str, Denied> {
    Ok("office")
}

#[abac_policy(context.quota >= 1)]
async fn while_some_are_left() -> Result<&'static str, Denied> {
    Ok("some")
}

/// What the application knows of a request.
#[derive(Attributes)]
struct Way {
    office: bool,
    floor: i64,
}

#[abac_policy(participant.roles contains "finance")]
fn in_a_library() -> Result<u8, Denied> {
    Ok(1)
}

/// As anyhow's users write it: whatever the error is, the answer is 500.
struct AnyError(Box<dyn std::error::Error + Send + Sync>);

impl<E: Into<Box<dyn std::error::Error + Send + Sync>>> From<E> for AnyError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for AnyError {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, self.0.to_string()).into_response()
    }
}

async fn swallows() -> Result<String, AnyError> {
    Ok(in_a_library()?.to_string())
}

async fn fails() -> Result<String, AnyError> {
    Err(AnyError::from("the disk is full"))
}

async fn goes_on() -> Result<String, AnyError> {
    Ok(in_a_library().map_or_else(|_| "without".to_owned(), |n| n.to_string()))
}

async fn converted() -> Result<&'static str, StatusCode> {
    in_a_library()?;
    Ok("done")
}

async fn as_response() -> Result<&'static str, Response> {
    in_a_library()?;
    Ok("done")
}

async fn whoami(participant: Participant, cx: SecurityContext) -> String {
    format!("{} {}", participant.id(), cx.facts().request_id.as_deref().unwrap_or("-"))
}

async fn id_alone(axum::Extension(id): axum::Extension<RequestId>) -> String {
    id.to_string()
}

/// A body whose chunks are made later, under a guard.
async fn streams() -> Body {
    Body::from_stream(futures_util::stream::once(async { in_a_library().map(|n| n.to_string()) }))
}

/// Knows `<name>-<role>` as a bearer token, a login, a key and a cookie.
#[derive(Debug)]
struct Known(Policy);

impl Authenticator for Known {
    fn method(&self) -> &'static str {
        "known"
    }

    fn authenticate<'a>(&'a self, credential: &'a Credential, _: &'a Credentials) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let text = match credential {
                Credential::Bearer(token) => token.expose().clone(),
                Credential::Login { name, passcode, .. } if passcode.expose() == "pw" => name.clone(),
                Credential::Login { .. } => return AuthnError::new(AuthnCode::WrongCredentials, "no").into(),
                Credential::ApiKey(key) => key.expose().clone(),
                Credential::Custom { value, .. } => value.expose().trim_start_matches("__Host-s=").to_owned(),
                Credential::Session(_) | _ => return Outcome::NotPresented,
            };
            let Some((name, role)) = text.split_once('-') else {
                return AuthnError::new(AuthnCode::TokenExpired, "ended").into();
            };
            let participant = policy_runtime::Participant::builder(self.0.application().clone(), name).role(role);
            Outcome::Authenticated(Box::new(Authenticated::new(participant.build(), "known")))
        })
    }
}

fn layer(policy: &Policy) -> AuthenticateLayer {
    AuthenticateLayer::new(policy.clone(), Chain::builder().with(Known(policy.clone())).build())
        .credential_header("cookie")
        .peer(|request| request.headers.get("x-peer")?.to_str().ok()?.parse().ok())
        .context(|request, attributes| {
            if let Some(region) = request.headers.get("x-region").and_then(|region| region.to_str().ok()) {
                attributes.insert("region", Value::text(region));
            }
        })
}

fn app(layer: impl Fn(&Policy) -> AuthenticateLayer) -> Router {
    let policy = Policy::for_application("orders").unwrap();
    let early = RefuseEarlyLayer::new(&policy, "tower_layer::upload").unwrap();
    Router::new()
        .route("/pay/{amount}", post(pay))
        .route("/upload", post(upload).layer(early))
        .route("/regional", get(regional))
        .route("/office", get(in_the_office))
        .route("/while-some-are-left", get(while_some_are_left))
        .route("/swallows", get(swallows))
        .route("/fails", get(fails))
        .route("/goes-on", get(goes_on))
        .route("/converted", get(converted))
        .route("/as-response", get(as_response))
        .route("/whoami", get(whoami))
        .route("/id", get(id_alone))
        .route("/streams", get(streams))
        .layer(layer(&policy))
}

struct Answer {
    response: Response,
}

impl Answer {
    fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    fn header(&self, name: &str) -> &str {
        self.response.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    async fn text(self) -> String {
        String::from_utf8(self.response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    /// Status, code, and whether it names a decision.
    async fn problem(self) -> (u16, String, bool) {
        assert_eq!(self.header("content-type"), "application/problem+json");
        let (status, id) = (self.status(), self.header("x-request-id").to_owned());
        let body: serde_json::Value = serde_json::from_str(&self.text().await).unwrap();
        assert_eq!(body["status"], status);
        assert_eq!(body["requestId"], id);
        assert!(body["type"].as_str().unwrap().starts_with("urn:problem:policy:"));
        (status, body["code"].as_str().unwrap().to_owned(), body.get("decision").is_some())
    }
}

async fn ask_on(app: Router, method: &str, path: &str, headers: &[(&str, &str)], body: Body) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Answer { response: app.oneshot(request.body(body).unwrap()).await.unwrap() }
}

async fn ask(method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    ask_on(app(layer), method, path, headers, Body::empty()).await
}

const FINANCE: (&str, &str) = ("authorization", "Bearer ada-finance");
const CLERK: (&str, &str) = ("authorization", "Bearer bob-clerk");

fn denied() -> (u16, String, bool) {
    (403, "ACCESS_DENIED".to_owned(), true)
}

fn nobody() -> (u16, String, bool) {
    (401, "UNAUTHENTICATED".to_owned(), false)
}

#[tokio::test]
async fn a_guarded_handler() {
    assert_eq!(ask("POST", "/pay/50000", &[FINANCE]).await.problem().await, denied());
    assert_eq!(ask("POST", "/pay/100", &[CLERK]).await.problem().await, denied());
    assert_eq!(PAID.load(Ordering::SeqCst), 0, "nothing was executed");
    assert_eq!(ask("POST", "/pay/49999", &[FINANCE]).await.text().await, "paid 49999");
}

#[tokio::test]
async fn every_kind_of_credential() {
    for (header, value) in [
        FINANCE,
        ("authorization", "Basic YWRhLWZpbmFuY2U6cHc="),
        ("x-api-key", "ada-finance"),
        ("cookie", "__Host-s=ada-finance"),
    ] {
        let answer = ask("GET", "/whoami", &[(header, value), ("x-request-id", "r-1")]).await;
        assert_eq!(answer.text().await, "ada r-1", "{header}");
    }
}

#[tokio::test]
async fn without_and_with_wrong_credentials() {
    let without = ask("GET", "/whoami", &[]).await;
    assert_eq!(without.header("www-authenticate"), "Bearer");
    assert_eq!(without.problem().await, nobody());
    let wrong = ask("GET", "/whoami", &[("authorization", "Bearer expired")]).await;
    assert_eq!(wrong.header("www-authenticate"), "Bearer error=\"invalid_token\"");
    assert_eq!(wrong.problem().await, nobody());
    assert_eq!(ask("GET", "/whoami", &[("authorization", "what")]).await.problem().await, nobody());
    assert_eq!(ask("GET", "/whoami", &[FINANCE, ("x-api-key", "eve-finance")]).await.problem().await, nobody());
}

#[tokio::test]
async fn where_credentials_are_optional() {
    let open = |headers: &'static [(&str, &str)], path: &'static str| {
        ask_on(app(|policy| layer(policy).optional()), "GET", path, headers, Body::empty())
    };
    assert_eq!(open(&[], "/id").await.status(), 200);
    assert_eq!(open(&[], "/regional").await.problem().await, nobody());
    assert_eq!(open(&[("authorization", "Bearer expired")], "/id").await.problem().await, nobody());
    assert_eq!(open(&[CLERK], "/whoami").await.status(), 200);
}

#[tokio::test]
async fn a_swallowed_refusal_is_no_server_error() {
    assert_eq!(ask("GET", "/swallows", &[CLERK]).await.problem().await, denied());
    assert_eq!(ask("GET", "/swallows", &[FINANCE]).await.text().await, "1");
    let failed = ask("GET", "/fails", &[CLERK]).await;
    assert_eq!(failed.status(), 500);
    assert_eq!(failed.text().await, "the disk is full");
    assert_eq!(ask("GET", "/goes-on", &[CLERK]).await.text().await, "without");
}

#[tokio::test]
async fn a_refusal_as_a_status_or_a_response() {
    let bare = ask("GET", "/converted", &[CLERK]).await;
    assert_eq!(bare.status(), 403);
    assert_eq!(bare.text().await, "");
    assert_eq!(ask("GET", "/as-response", &[CLERK]).await.problem().await, denied());
}

#[tokio::test]
async fn context_of_the_application_and_the_peer() {
    let ask = |region: &'static str, peer: &'static str| async move {
        ask("GET", "/regional", &[CLERK, ("x-region", region), ("x-peer", peer)]).await.status()
    };
    assert_eq!(ask("eu", "10.1.2.3").await, 200);
    assert_eq!(ask("us", "10.1.2.3").await, 403);
    assert_eq!(ask("eu", "192.0.2.1").await, 403);
}

#[tokio::test]
async fn context_of_the_application_as_a_type() {
    let typed = |policy: &Policy| {
        layer(policy).context_of(|request| Way {
            office: request.headers.contains_key("x-office"),
            floor: request.headers.get("x-floor").map_or(9, |floor| floor.to_str().unwrap().parse().unwrap()),
        })
    };
    let ask = async |headers: &[(&str, &str)]| {
        ask_on(app(typed), "GET", "/office", &[&[CLERK], headers].concat(), Body::empty()).await.status()
    };
    assert_eq!(ask(&[("x-office", "1"), ("x-floor", "2")]).await, 200);
    assert_eq!(ask(&[("x-office", "1")]).await, 403);
    assert_eq!(ask(&[("x-floor", "2")]).await, 403);
}

#[tokio::test]
async fn forwarded_addresses_are_believed_from_trusted_proxies_alone() {
    let ask = async |peer: &str, forwarded: &str| {
        let trusting = |policy: &Policy| layer(policy).trusted_proxies(["192.0.2.1".parse().unwrap()]);
        let headers = [CLERK, ("x-region", "eu"), ("x-peer", peer), ("x-forwarded-for", forwarded)];
        ask_on(app(trusting), "GET", "/regional", &headers, Body::empty()).await.status()
    };
    assert_eq!(ask("192.0.2.1", "10.1.2.3").await, 200, "the proxy says so");
    assert_eq!(
        ask("192.0.2.1", "10.1.2.3, 6.6.6.6").await,
        403,
        "what a peer wrote there stands left of the proxy's word"
    );
    assert_eq!(ask("192.0.2.2", "10.1.2.3").await, 403, "anybody may say so");
}

#[tokio::test]
async fn who_asks_too_often_is_told_how_long_to_wait() {
    let once = Some(Rate::new(1, 1));
    let upload = Rates::UNLIMITED.action("tower_layer::upload", Rate::new(1, 1));
    for (rates, path) in [
        (Rates { identity: once, ..Rates::UNLIMITED }, "/whoami"),
        (Rates { address: once, ..Rates::UNLIMITED }, "/whoami"),
        (Rates { requests: once, ..Rates::UNLIMITED }, "/whoami"),
        (upload, "/upload"),
    ] {
        let app = app(|policy| layer(policy).rates(&rates));
        let method = if path == "/upload" { "POST" } else { "GET" };
        let ask = || ask_on(app.clone(), method, path, &[FINANCE, ("x-peer", "192.0.2.1")], Body::empty());
        assert_eq!(ask().await.status(), 200);
        let refused = ask().await;
        assert_eq!(refused.header("retry-after"), "1", "{rates:?}");
        assert_eq!(refused.problem().await, (429, "RATE_LIMITED".to_owned(), false), "{rates:?}");
    }
    let app = app(|policy| layer(policy).rates(&Rates { requests: once, ..Rates::UNLIMITED }));
    let ask =
        async |peer| ask_on(app.clone(), "GET", "/whoami", &[CLERK, ("x-peer", peer)], Body::empty()).await.status();
    assert_eq!((ask("192.0.2.1").await, ask("192.0.2.2").await, ask("192.0.2.1").await), (200, 200, 429));
}

#[tokio::test]
async fn the_rate_of_an_action_holds_wherever_its_guard_stands() {
    let twice = |action: &str| Rates::UNLIMITED.action(action, Rate::new(2, 1));
    for (action, method, path) in [
        ("tower_layer::pay", "POST", "/pay/1"),
        // Its layer counts before the body is read, and its guard does not count again.
        ("tower_layer::upload", "POST", "/upload"),
        ("tower_layer::in_a_library", "GET", "/as-response"),
        ("tower_layer::in_a_library", "GET", "/swallows"),
    ] {
        let app = app(|policy| layer(policy).rates(&twice(action)));
        let ask = async |who| ask_on(app.clone(), method, path, &[who], Body::empty()).await;
        assert_eq!([ask(FINANCE).await.status(), ask(FINANCE).await.status()], [200, 200], "{path}");
        let refused = ask(FINANCE).await;
        assert_eq!(refused.header("retry-after"), "1", "{path}");
        let (status, code, _) = refused.problem().await;
        assert_eq!((status, code.as_str()), (429, "RATE_LIMITED"), "{path}");
        assert_eq!(ask(CLERK).await.status(), 403, "{path}: of each participant");
    }
    let app = app(|policy| layer(policy).rates(&twice("tower_layer::while_some_are_left")));
    let ask = async || ask_on(app.clone(), "GET", "/while-some-are-left", &[CLERK], Body::empty()).await;
    assert_eq!((ask().await.status(), ask().await.status()), (200, 403), "a rule reads what is left");
}

#[tokio::test]
async fn ids_of_requests() {
    let sent = ask("GET", "/id", &[FINANCE, ("x-request-id", "r-1")]).await;
    assert_eq!(sent.header("x-request-id"), "r-1");
    assert_eq!(sent.text().await, "r-1");
    let long = "r".repeat(129);
    for bad in ["", "a b", "<script>", long.as_str()] {
        let made = ask("GET", "/id", &[FINANCE, ("x-request-id", bad)]).await;
        let id = made.header("x-request-id").to_owned();
        assert!(id.len() == 32 && id != bad, "{id}");
        assert_eq!(made.text().await, id);
    }
}

/// A body that must not be read.
struct Unread;

impl futures_util::Stream for Unread {
    type Item = Result<Bytes, fmt::Error>;

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        panic!("the body was read")
    }
}

#[tokio::test]
async fn refused_before_the_body_is_read() {
    let refused = ask_on(app(layer), "POST", "/upload", &[CLERK], Body::from_stream(Unread)).await;
    assert_eq!(refused.problem().await, denied());
    let passed = ask_on(app(layer), "POST", "/upload", &[FINANCE], Body::from("12345")).await;
    assert_eq!(passed.text().await, "5 octets");
    let policy = Policy::for_application("orders").unwrap();
    assert_eq!(
        RefuseEarlyLayer::new(&policy, "tower_layer::uplaod").unwrap_err().to_string(),
        "no action `tower_layer.uplaod` in the program"
    );
}

#[tokio::test]
async fn a_streamed_body_is_polled_as_its_caller() {
    assert_eq!(ask("GET", "/streams", &[FINANCE]).await.text().await, "1");
    let refused = ask("GET", "/streams", &[CLERK]).await;
    let error = refused.response.into_body().collect().await.unwrap_err();
    assert!(error.to_string().contains("ACCESS_DENIED"), "{error}");
}

#[tokio::test]
async fn cookies_only_from_this_site() {
    const COOKIE: (&str, &str) = ("cookie", "__Host-s=ada-finance");
    let post = |extra: &'static [(&str, &str)]| async move {
        let headers: Vec<_> = [COOKIE, ("host", "shop.example")].iter().chain(extra).copied().collect();
        let app = app(|policy| layer(policy).allow_origin("https://app.example"));
        ask_on(app, "POST", "/upload", &headers, Body::empty()).await.status()
    };
    assert_eq!(post(&[("sec-fetch-site", "same-origin")]).await, 200);
    assert_eq!(post(&[("origin", "https://shop.example")]).await, 200);
    assert_eq!(post(&[("origin", "https://app.example"), ("sec-fetch-site", "cross-site")]).await, 200);
    assert_eq!(post(&[("sec-fetch-site", "cross-site")]).await, 403);
    assert_eq!(post(&[("sec-fetch-site", "same-site")]).await, 403);
    assert_eq!(post(&[("origin", "https://evil.example")]).await, 403);
    assert_eq!(post(&[("origin", "null")]).await, 403);
    assert_eq!(post(&[]).await, 403);
    assert_eq!(ask("GET", "/whoami", &[COOKIE, ("sec-fetch-site", "cross-site")]).await.status(), 200);
    assert_eq!(ask("POST", "/upload", &[COOKIE, FINANCE]).await.status(), 200);
}
