//! What stands between a socket and a caller: TLS, proxies, cookies, rates, and participants that change meanwhile.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use policy_runtime::authn::password::{PasswordAuthenticator, hash};
use policy_runtime::authn::session::Sessions;
use policy_runtime::authn::{BoxFuture, Chain};
use policy_runtime::client::{Client, ConnectOptions, Headers};
use policy_runtime::clock::SystemClock;
use policy_runtime::edge::{Rate, Rates};
use policy_runtime::gateway::{Changed, Feed, Gateway, GatewayBuilder, Limits, Tls, TlsError, renewed};
use policy_runtime::identity::{MemoryStore, NewUser, StoreError, UserStore as _};
use policy_runtime::secret::Secret;
use policy_runtime::value::Value;
use policy_runtime::wire::header;
use policy_runtime::{Participant, Policy};
use tests::desk::Desk;
use tests::raw::{Ended, Raw, serve, show};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const ALICE: &str = "tok.alice@example.com.1";
const CONNECT: &str = "CONNECT\naccept-version:1.2\n\n\0";

async fn desk(change: impl FnOnce(GatewayBuilder) -> GatewayBuilder) -> Gateway {
    serve(|builder| change(builder.service(Arc::new(Desk)))).await
}

async fn ask(raw: &mut Raw, method: &str) -> String {
    raw.call_to("com.example.Desk", method, "asked", "").await;
    show(&raw.frame().await.unwrap())
}

/// One request: its status, and the whole answer.
async fn http(gateway: &Gateway, request: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(gateway.local_addr()).await.unwrap();
    let (line, rest) = request.split_once('\n').unwrap();
    let (headers, body) = rest.split_once("\n\n").unwrap_or((rest, ""));
    let headers = headers.lines().fold(String::new(), |all, line| all + line + "\r\n");
    let length = body.len();
    let text = format!(
        "{line} HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    );
    socket.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

#[tokio::test]
async fn a_gateway_that_speaks_tls() {
    let pem = |name: &str| std::fs::read(format!("{}/tls/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let tls = Tls::from_pem(&pem("localhost.pem"), &pem("localhost.key")).unwrap();
    assert!(matches!(tls.replace(b"nothing", &pem("localhost.key")), Err(TlsError::Empty)));
    assert!(matches!(tls.replace(&pem("localhost.pem"), b"nothing"), Err(TlsError::Pem(..))));
    assert!(matches!(tls.replace(&pem("ca.pem"), &pem("localhost.key")), Err(TlsError::Key(_))));
    let gateway = desk(|builder| builder.tls(tls.clone())).await;
    let port = gateway.local_addr().port();
    let options = || ConnectOptions::new("localhost").port(port).connect_headers(Headers::bearer(ALICE));
    let client = Client::connect(options().tls_root(pem("ca.pem"))).await.unwrap();
    let none: [u8; 0] = [];
    assert_eq!(client.call::<String>("com.example.Desk", "address", &none).await.unwrap(), "127.0.0.1");
    tls.replace(&pem("localhost.pem"), &pem("localhost.key")).unwrap();
    assert!(Client::connect(options().tls_root(pem("ca.pem"))).await.is_ok(), "after a renewal");

    assert!(Client::connect(options()).await.is_err(), "plain text is no TLS");
    let mut silent = TcpStream::connect(gateway.local_addr()).await.unwrap();
    silent.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(5), silent.read_to_end(&mut rest)).await.unwrap();
    assert!(!rest.starts_with(b"HTTP"), "and gets no answer but an alert");
    assert_eq!(client.call::<String>("com.example.Desk", "address", &none).await.unwrap(), "127.0.0.1");
}

#[tokio::test]
async fn forwarded_addresses_are_believed_from_trusted_proxies_alone() {
    let bearer = format!("Bearer {ALICE}");
    let forwarded = [("authorization", bearer.as_str()), ("x-forwarded-for", "6.6.6.6, 192.0.2.7")];
    let gateway = desk(|builder| builder).await;
    let mut raw = Raw::dial(&gateway, &forwarded).await.unwrap();
    raw.hello(CONNECT).await;
    assert_eq!(ask(&mut raw, "address").await, "\"127.0.0.1\"", "the peer made it up");

    let limits = Limits { connections_per_address: 2, ..Limits::default() };
    let gateway = desk(|builder| builder.trusted_proxies(["127.0.0.1".parse().unwrap()]).limits(limits)).await;
    let mut first = Raw::dial(&gateway, &forwarded).await.unwrap();
    first.hello(CONNECT).await;
    assert_eq!(ask(&mut first, "address").await, "\"192.0.2.7\"", "not what stands left of what the proxy added");
    let _second = Raw::dial(&gateway, &forwarded).await.unwrap();
    assert_eq!(Raw::dial(&gateway, &forwarded).await.unwrap_err(), 429, "the third of that address");
    let other = [forwarded[0], ("x-forwarded-for", "192.0.2.8")];
    assert!(Raw::dial(&gateway, &other).await.is_ok());
    drop(first);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(Raw::dial(&gateway, &forwarded).await.is_ok(), "one has gone");
}

#[tokio::test]
async fn callers_are_limited_and_told_how_long_to_wait() {
    let rates = Rates { identity: Some(Rate::new(4, 1)), ..Rates::default() }
        .action("com.example.Desk.address", Rate::new(1, 1));
    let gateway = desk(|builder| builder.rates(&rates)).await;
    let mut raw = Raw::connect(&gateway, ALICE).await;
    assert_eq!(ask(&mut raw, "spare").await, "1", "3 are left");
    assert_eq!(ask(&mut raw, "spare").await, "1", "2 are left");
    assert_eq!(ask(&mut raw, "spare").await, "error ACCESS_DENIED", "1 is left, and a rule reads that");
    assert_eq!(ask(&mut raw, "address").await, "\"127.0.0.1\"");
    raw.call_to("com.example.Desk", "spare", "c", "").await;
    let refused = raw.frame().await.unwrap();
    assert_eq!(show(&refused), "error RATE_LIMITED");
    let body: serde_json::Value = serde_json::from_slice(&refused.body).unwrap();
    let wait = body["retryAfterMs"].as_u64().unwrap();
    assert!((1..=1_000).contains(&wait), "{body}");
    let mut other = Raw::connect(&gateway, "tok.alice@example.com.2").await;
    assert_eq!(ask(&mut other, "spare").await, "error RATE_LIMITED", "on every connection of the participant");
    let mut bob = Raw::connect(&gateway, "tok.bob@example.com.1").await;
    assert_eq!(ask(&mut bob, "address").await, "\"127.0.0.1\"");
    assert_eq!(ask(&mut bob, "address").await, "error RATE_LIMITED", "the action's own rate");
    tokio::time::sleep(Duration::from_millis(wait + 50)).await;
    assert_ne!(ask(&mut raw, "spare").await, "error RATE_LIMITED", "as it was told");
}

#[tokio::test]
async fn calls_of_an_address_are_limited_whoever_calls() {
    let gateway = desk(|builder| builder.rates(&Rates { address: Some(Rate::new(2, 1)), ..Rates::UNLIMITED })).await;
    let mut alice = Raw::connect(&gateway, ALICE).await;
    let mut bob = Raw::connect(&gateway, "tok.bob@example.com.1").await;
    assert_eq!(ask(&mut alice, "address").await, "\"127.0.0.1\"");
    assert_eq!(ask(&mut bob, "address").await, "\"127.0.0.1\"");
    assert_eq!(ask(&mut bob, "address").await, "error RATE_LIMITED");
}

#[tokio::test]
async fn rates_are_on_by_default() {
    let Rates { identity, key, address, requests, each_action, .. } = Rates::default();
    assert!([identity, key, address, requests, each_action].iter().all(Option::is_some));
    let gateway = desk(|builder| builder).await;
    let mut raw = Raw::connect(&gateway, ALICE).await;
    assert_eq!(ask(&mut raw, "spare").await, "1", "a gateway that was told nothing counts");
    let gateway = desk(|builder| builder.rates(&Rates::UNLIMITED)).await;
    let mut raw = Raw::connect(&gateway, ALICE).await;
    assert_eq!(ask(&mut raw, "spare").await, "error ACCESS_DENIED", "without a limit there is no quota to read");
}

#[tokio::test]
async fn requests_of_an_address_are_limited() {
    let gateway = desk(|builder| builder.rates(&Rates { requests: Some(Rate::new(3, 1)), ..Rates::default() })).await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(http(&gateway, "GET /health\n").await.0);
    }
    assert_eq!(statuses, [200, 200, 200]);
    let (status, answer) = http(&gateway, "GET /api/auth/me\nx-request-id: r-1\n").await;
    assert_eq!(status, 429);
    assert!(answer.contains("retry-after: 1\r\n") && answer.contains("x-request-id: r-1\r\n"), "{answer}");
}

#[tokio::test]
async fn the_application_adds_to_the_context_of_a_connection() {
    let gateway = desk(|builder| {
        builder.context(|request, attributes| {
            let office = request.header("x-office").unwrap_or("none");
            attributes.insert("office", Value::text(office));
        })
    })
    .await;
    for (office, answer) in [("north", "1"), ("south", "error ACCESS_DENIED")] {
        let headers = [("authorization", &*format!("Bearer {ALICE}")), ("x-office", office)];
        let mut raw = Raw::dial(&gateway, &headers).await.unwrap();
        raw.hello(CONNECT).await;
        assert_eq!(ask(&mut raw, "north").await, answer);
    }
}

/// Users with passwords, and what changed about them.
#[derive(Debug)]
struct People {
    store: Arc<MemoryStore>,
    changes: Mutex<Vec<String>>,
    is_down: AtomicBool,
}

impl People {
    fn new(policy: &Policy) -> Self {
        let store = MemoryStore::default();
        store.create_organization("default").unwrap();
        store.create_application("default", "orders").unwrap();
        let password = hash(&Secret::new("correct-horse".to_owned())).unwrap();
        for email in ["ada@example.com", "eve@example.com"] {
            let user = NewUser::new(policy.application().clone(), email).role("admin").password_hash(password.clone());
            store.create_user(user).unwrap();
        }
        Self { store: Arc::new(store), changes: Mutex::default(), is_down: AtomicBool::new(false) }
    }

    async fn change(&self, email: &str, policy: &Policy, change: impl FnOnce(&mut policy_runtime::identity::User)) {
        let key = policy_runtime::identity::EmailKey::new(email).unwrap();
        let user = self.store.user_by_email(policy.application(), &key).await.unwrap().unwrap();
        self.store.update_user(&user.id, change).unwrap();
        self.changes.lock().unwrap().push(user.id);
    }
}

impl Feed for People {
    fn since(&self, number: u64) -> BoxFuture<'_, Result<Changed, StoreError>> {
        let changes = self.changes.lock().unwrap();
        let participants = changes[usize::try_from(number).unwrap()..].to_vec();
        let told = Changed { number: changes.len() as u64, participants, ..Changed::default() };
        let is_down = self.is_down.load(Ordering::SeqCst);
        Box::pin(async move { if is_down { Err(StoreError::Unavailable("gone".into())) } else { Ok(told) } })
    }

    fn participant<'a>(&'a self, held: &'a Participant) -> BoxFuture<'a, Result<Option<Participant>, StoreError>> {
        Box::pin(async move { Ok(self.store.user(held.id()).await?.and_then(|user| renewed(&user, held))) })
    }
}

/// A gateway for people with passwords and cookies.
async fn shop(limits: Limits) -> (Gateway, Arc<People>, Policy, Sessions) {
    let policy = Policy::for_application("orders").unwrap();
    let people = Arc::new(People::new(&policy));
    let clock = Arc::new(SystemClock);
    let sessions = Sessions::new(clock.clone());
    let passwords = PasswordAuthenticator::new(people.store.clone(), clock);
    let chain = Chain::builder().with(passwords).with(sessions.clone()).build();
    let builder = Gateway::builder(policy.clone(), chain)
        .service(Arc::new(Desk))
        .limits(limits)
        .cookies(sessions.clone())
        .allow_origin("https://app.example")
        .follow(people.clone());
    (builder.bind("127.0.0.1:0").await.unwrap(), people, policy, sessions)
}

async fn with_password(gateway: &Gateway, email: &str) -> Raw {
    let mut raw = Raw::dial(gateway, &[("clientid", email), ("clientsecret", "correct-horse")]).await.unwrap();
    raw.hello(CONNECT).await;
    raw
}

/// Lets the gateway ask once, so that it knows where the changes begin.
async fn settled() {
    tokio::time::sleep(Duration::from_millis(400)).await;
}

#[tokio::test]
async fn a_participant_that_changes_goes_on_as_it_is_now() {
    let (gateway, people, policy, _) = shop(Limits::default()).await;
    settled().await;
    let mut ada = with_password(&gateway, "ada@example.com").await;
    let mut eve = with_password(&gateway, "eve@example.com").await;
    assert_eq!(ask(&mut ada, "admin").await, "1");
    ada.call_to("com.example.Desk", "watch", "w", "").await;
    assert_eq!(show(&ada.frame().await.unwrap()), "1");

    let changed = Instant::now();
    people.change("ada@example.com", &policy, |user| user.roles.clear()).await;
    let ended = ada.frame_within(Duration::from_secs(1)).await.unwrap();
    assert_eq!((show(&ended), ended.header(header::CORRELATION_ID)), ("error ACCESS_DENIED".into(), Some("w")));
    assert!(changed.elapsed() < Duration::from_secs(1));
    assert_eq!(ask(&mut ada, "admin").await, "error ACCESS_DENIED");
    assert_eq!(ask(&mut eve, "admin").await, "1");
    people.change("ada@example.com", &policy, |user| user.roles = ["admin".to_owned()].into()).await;
    settled().await;
    assert_eq!(ask(&mut ada, "admin").await, "1", "on the same connection");

    let changed = Instant::now();
    people.change("ada@example.com", &policy, |user| user.enabled = false).await;
    assert_eq!(ada.end(Duration::from_secs(1)).await, Ended::Closed(1008));
    assert!(changed.elapsed() < Duration::from_secs(1));
    assert_eq!(ask(&mut eve, "admin").await, "1");
}

#[tokio::test]
async fn nobody_goes_on_when_nobody_knows_who_changed() {
    let limits = Limits { unconfirmed: Duration::from_secs(1), ..Limits::default() };
    let (gateway, people, ..) = shop(limits).await;
    let mut ada = with_password(&gateway, "ada@example.com").await;
    people.is_down.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(ask(&mut ada, "admin").await, "1", "within the bound");
    assert_eq!(ada.end(Duration::from_secs(3)).await, Ended::Closed(1008));
    people.is_down.store(false, Ordering::SeqCst);
    settled().await;
    let mut ada = with_password(&gateway, "ada@example.com").await;
    assert_eq!(ask(&mut ada, "admin").await, "1");
}

const LOGIN: &str = "POST /api/auth/login\ncontent-type: application/json\n";
const ADA: &str = "{\"email\":\"ada@example.com\",\"password\":\"correct-horse\"}";

async fn sign_in(gateway: &Gateway) -> String {
    let (status, answer) = http(gateway, &format!("{LOGIN}\n{ADA}")).await;
    assert_eq!(status, 204, "{answer}");
    let cookie = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    let (value, attributes) = cookie.split_once("; ").unwrap();
    assert!(value.starts_with("__Host-policy-session=") && attributes.contains("Secure; HttpOnly; SameSite=Lax"));
    value.to_owned()
}

async fn by_cookie(gateway: &Gateway, cookie: &str, connect: &str) -> Raw {
    let mut raw = Raw::dial(gateway, &[("cookie", cookie)]).await.unwrap();
    raw.hello(connect).await;
    raw
}

#[tokio::test]
async fn browsers_sign_in_and_out_by_cookie() {
    let (gateway, ..) = shop(Limits::default()).await;
    let status = async |request: &str| http(&gateway, request).await.0;
    assert_eq!(status(&format!("{LOGIN}\n{{}}")).await, 400);
    assert_eq!(status(&format!("{LOGIN}\n{}", ADA.replace("correct", "wrong"))).await, 401);
    assert_eq!(status(&format!("POST /api/auth/login\ncontent-type: text/plain\n\n{ADA}")).await, 415);
    assert_eq!(status(&format!("{LOGIN}origin: https://evil.example\n\n{ADA}")).await, 403);
    assert_eq!(status(&format!("{LOGIN}\n{}", " ".repeat(20_000))).await, 400);
    let of_application = LOGIN.replace("login", "app/default/orders/login");
    assert_eq!(status(&format!("{of_application}\n{ADA}")).await, 204);
    assert_eq!(status(&format!("{}\n{ADA}", of_application.replace("orders", "shop"))).await, 401);

    let cookie = sign_in(&gateway).await;
    let me = format!("GET /api/auth/me\ncookie: other=1; {cookie}\n");
    assert_eq!(status(&me).await, 204);
    assert_eq!(status("GET /api/auth/me\n").await, 401);
    let (_, cross) = http(&gateway, &format!("{me}origin: https://app.example\n")).await;
    assert!(cross.contains("access-control-allow-origin: https://app.example\r\n"), "{cross}");
    assert!(cross.contains("access-control-allow-credentials: true\r\n"));
    let (_, evil) = http(&gateway, &format!("{me}origin: https://evil.example\n")).await;
    assert!(!evil.contains("access-control"));
    let asked = http(&gateway, "OPTIONS /api/auth/login\norigin: https://app.example\n").await;
    assert!(asked.0 == 204 && asked.1.contains("access-control-allow-methods: GET, POST, PUT, PATCH, DELETE\r\n"));

    let mut first = by_cookie(&gateway, &cookie, CONNECT).await;
    assert_eq!(ask(&mut first, "admin").await, "1");
    let with_origin =
        async |origin: &str| Raw::dial(&gateway, &[("cookie", &cookie), ("origin", origin)]).await.map(drop);
    assert_eq!(with_origin("https://evil.example").await, Err(403));
    assert_eq!(with_origin("null").await, Err(403));
    assert_eq!(with_origin("https://app.example").await, Ok(()));
    assert_eq!(with_origin(&format!("http://{}", gateway.local_addr())).await, Ok(()));

    // Signing in again ends the session that was there, and its connection.
    let (again, answer) = http(&gateway, &format!("{LOGIN}cookie: {cookie}\n\n{ADA}")).await;
    assert_eq!(again, 204);
    let second = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    let second = second.split(';').next().unwrap().to_owned();
    assert_ne!(second, cookie);
    assert_eq!(first.end(Duration::from_secs(1)).await, Ended::Closed(1008));

    let mut raw = by_cookie(&gateway, &second, CONNECT).await;
    let logout = format!("POST /api/auth/logout\ncookie: {second}\n");
    assert_eq!(status(&format!("{logout}origin: https://evil.example\n")).await, 403);
    let (status_of_logout, answer) = http(&gateway, &logout).await;
    assert!(status_of_logout == 204 && answer.contains("Max-Age=0"), "{answer}");
    assert_eq!(raw.end(Duration::from_secs(1)).await, Ended::Closed(1008));
    assert_eq!(status(&format!("GET /api/auth/me\ncookie: {second}\n")).await, 401);
}

#[tokio::test]
async fn what_keeps_the_session_of_a_cookie_alive() {
    let (gateway, _, _, sessions) = shop(Limits::default()).await;
    let cookie = sign_in(&gateway).await;
    let nothing = "CONNECT\naccept-version:1.2\nsession-keep-alive:NONE\n\n\0";
    let mut raw = by_cookie(&gateway, &cookie, nothing).await;
    assert_eq!(ask(&mut raw, "admin").await, "1");
    assert_eq!(sessions.live_ids().len(), 1);
    drop(raw);
    settled().await;
    assert_eq!(sessions.live_ids().len(), 0, "the session ended with the connection");

    let cookie = sign_in(&gateway).await;
    drop(by_cookie(&gateway, &cookie, CONNECT).await);
    settled().await;
    assert_eq!(sessions.live_ids().len(), 1);
}

#[tokio::test]
async fn a_session_that_is_idle_ends_its_connection() {
    let policy = Policy::for_application("orders").unwrap();
    let people = People::new(&policy);
    let clock = Arc::new(SystemClock);
    let sessions = Sessions::new(clock.clone()).lasting(Duration::from_secs(2), Duration::from_mins(1));
    let passwords = PasswordAuthenticator::new(people.store.clone(), clock);
    let chain = Chain::builder().with(passwords).with(sessions.clone()).build();
    let builder = Gateway::builder(policy, chain).service(Arc::new(Desk)).cookies(sessions);
    let limits = Limits { heart_beat: Duration::from_secs(1), ..Limits::default() };
    let gateway = builder.limits(limits).bind("127.0.0.1:0").await.unwrap();
    let cookie = sign_in(&gateway).await;
    let mut idle = by_cookie(&gateway, &cookie, CONNECT).await;
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(ask(&mut idle, "admin").await, "1", "what is sent keeps it alive");
    }
    assert_eq!(idle.end(Duration::from_secs(4)).await, Ended::Closed(1008));

    let cookie = sign_in(&gateway).await;
    let open = "CONNECT\naccept-version:1.2\nsession-keep-alive:CONNECTION\n\n\0";
    let mut kept = by_cookie(&gateway, &cookie, open).await;
    assert_eq!(kept.end(Duration::from_secs(4)).await, Ended::Silent, "the connection itself keeps it alive");
    assert_eq!(ask(&mut kept, "admin").await, "1");
}
