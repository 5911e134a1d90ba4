//! What is refused: a typed error, an event for the audit, and the same answer outside for everything of a kind.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use policy_runtime::Scope;
use policy_runtime::authn::password::{PasswordAuthenticator, hash};
use policy_runtime::authn::token::{
    JwksTimes, KeySet, ParticipantIds, Reach, RemoteKeys, TokenAuthenticator, TokenRules, TokenSource,
};
use policy_runtime::authn::{Answer, AuthnCode, AuthnError, Chain, Outcome};
use policy_runtime::clock::{FixedClock, SystemClock};
use policy_runtime::credential::{Credential, Credentials, LoginForm};
use policy_runtime::events::{EventKind, MemoryEvents};
use policy_runtime::gateway::Gateway;
use policy_runtime::identity::{MemoryStore, NewUser};
use policy_runtime::secret::Secret;
use policy_runtime::{Policy, tower};
use serde_json::Value;
use tests::users::Users;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

fn orders() -> Scope {
    Scope::application("acme", "orders").unwrap()
}

fn answer_to(code: AuthnCode) -> Answer {
    AuthnError::new(code, "").answer()
}

async fn refused(chain: &Chain, credential: Credential) -> AuthnError {
    let request = Credentials::of(credential).in_scope(orders()).from_peer("192.0.2.9".parse().unwrap());
    match chain.authenticate(&request.in_request("r-1")).await {
        Outcome::Rejected(error) => error,
        Outcome::Authenticated(_) | Outcome::NotPresented => panic!("it is refused"),
    }
}

fn bearer(token: &str) -> Credential {
    Credential::Bearer(Secret::new(token.to_owned()))
}

/// The codes of the events, each of which names the caller's address and request.
fn told(events: &MemoryEvents) -> Vec<String> {
    let all = events.all().into_iter().map(|event| {
        assert_eq!(event.kind, EventKind::SignInFailed, "{event:?}");
        assert!(event.actor.address.is_some() && event.actor.request.is_some(), "{event:?}");
        event.code.unwrap()
    });
    all.collect()
}

fn tokens(source: TokenSource, clock: FixedClock) -> TokenAuthenticator {
    TokenAuthenticator::new(Arc::new(clock), ParticipantIds::new(Secret::new(vec![7; 32])).unwrap()).with(source)
}

#[tokio::test]
async fn every_bad_token_of_the_corpus_has_one_answer_and_an_event() {
    let corpus: Value = serde_json::from_str(include_str!("../corpus/tokens.json")).unwrap();
    let text = |path: &str| corpus.pointer(path).and_then(Value::as_str).unwrap().to_owned();
    let rules = TokenRules::new(text("/policy/issuer"), text("/policy/audience"));
    let clock = FixedClock::at(corpus.get("now").and_then(Value::as_i64).unwrap() * 1_000);
    let events = Arc::new(MemoryEvents::default());
    let sets = corpus.get("jwks").and_then(Value::as_object).unwrap();
    let chains: BTreeMap<&str, Chain> = sets
        .iter()
        .map(|(name, document)| {
            let keys = KeySet::parse(document.to_string().as_bytes()).unwrap();
            let source = TokenSource::with_keys("main", orders(), rules.clone(), keys);
            let chain = Chain::builder().with(tokens(source, clock.clone()));
            (name.as_str(), chain.events(events.clone(), Arc::new(clock.clone())).build())
        })
        .collect();
    let mut codes = Vec::new();
    for case in corpus.get("cases").and_then(Value::as_array).unwrap() {
        let field = |name: &str| case.get(name).and_then(Value::as_str);
        if (field("expect"), field("ctx")) != (Some("reject"), Some("jwks")) {
            continue;
        }
        let chain = chains.get(field("jwks").unwrap_or("main")).unwrap();
        let error = refused(chain, bearer(field("token").unwrap())).await;
        assert_eq!(error.answer(), answer_to(AuthnCode::WrongCredentials), "{}: {error}", field("id").unwrap());
        codes.push(error.code().as_str().to_owned());
    }
    assert_eq!(codes.len(), 401);
    assert_eq!(told(&events), codes);
}

/// A provider that answers every request so; `None` never answers.
async fn provider(answer: Option<&'static [u8]>, endless: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/jwks", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 1024];
                let _ = socket.read(&mut request).await;
                let Some(answer) = answer else { return std::future::pending().await };
                while socket.write_all(answer).await.is_ok() && endless {}
            });
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_fails_lets_nobody_in_however_it_fails() {
    let corpus: Value = serde_json::from_str(include_str!("../corpus/tokens.json")).unwrap();
    let text = |path: &str| corpus.pointer(path).and_then(Value::as_str).unwrap().to_owned();
    let clock = FixedClock::at(corpus.get("now").and_then(Value::as_i64).unwrap() * 1_000);
    let good = corpus.get("cases").and_then(Value::as_array).unwrap().iter();
    let good = good.clone().find(|case| case.get("group").and_then(Value::as_str) == Some("valid")).unwrap();
    let token = good.get("token").and_then(Value::as_str).unwrap();
    let down = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let places = [
        ("down", format!("http://{down}/jwks")),
        ("slow", provider(None, false).await),
        ("garbage", provider(Some(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n\xff\xfe{["), false).await),
        ("no HTTP", provider(Some(b"hello"), true).await),
        ("endless", provider(Some(b"HTTP/1.1 200 OK\r\n\r\n{\"keys\": [          "), true).await),
        ("in error", provider(Some(b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n"), false).await),
    ];
    for (name, place) in &places {
        let events = Arc::new(MemoryEvents::default());
        let mut times = JwksTimes::default();
        times.deadline = Duration::from_millis(700);
        let keys = RemoteKeys::at_with(place, Reach::Loopback, Arc::new(SystemClock), times).unwrap();
        let rules = TokenRules::new(text("/policy/issuer"), text("/policy/audience"));
        let source = TokenSource::with_source("main", orders(), rules, keys);
        let chain = Chain::builder().with(tokens(source, clock.clone()));
        let chain = chain.events(events.clone(), Arc::new(SystemClock)).build();
        let error = refused(&chain, bearer(token)).await;
        assert_eq!(
            (error.code(), error.answer()),
            (AuthnCode::Unavailable, answer_to(AuthnCode::Unavailable)),
            "{name}"
        );
        assert_eq!(told(&events), ["unavailable"], "{name}");
    }
}

#[tokio::test]
async fn absurd_stored_hashes_are_wrong_passwords() {
    let events = Arc::new(MemoryEvents::default());
    let store = Arc::new(MemoryStore::default());
    store.create_organization("acme").unwrap();
    store.create_application("acme", "orders").unwrap();
    let good = hash(&Secret::new("correct horse battery".to_owned())).unwrap();
    let absurd = [
        "",
        "plain text",
        "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$c29tZWhhc2hzb21laGFzaHNvbWVoYXNoc29tZWhhc2g",
        "$argon2id$v=19$m=19456,t=4294967295,p=1$c29tZXNhbHRzb21lc2FsdA$c29tZWhhc2hzb21laGFzaHNvbWVoYXNoc29tZWhhc2g",
        "$2b$31$abcdefghijklmnopqrstuuabcdefghijklmnopqrstuvwxyzabcdefg",
        "zz:zz",
    ];
    for (n, stored) in absurd.iter().enumerate() {
        let new = NewUser::new(orders(), &format!("user{n}@example.com"));
        store.create_user(new.password_hash(Secret::new((*stored).to_owned()))).unwrap();
    }
    store.create_user(NewUser::new(orders(), "alice@example.com").password_hash(good)).unwrap();
    let passwords = PasswordAuthenticator::new(store, Arc::new(SystemClock));
    let chain = Chain::builder().with(passwords).events(events.clone(), Arc::new(SystemClock)).build();
    let names = (0..absurd.len()).map(|n| format!("user{n}@example.com"));
    let began = std::time::Instant::now();
    for name in names.chain(["alice@example.com".into(), "nobody@example.com".into()]) {
        let passcode = Secret::new("a wrong password".to_owned());
        let login = Credential::Login { name: name.clone(), passcode, form: LoginForm::Client };
        let error = refused(&chain, login).await;
        assert_eq!(error.code(), AuthnCode::WrongCredentials, "{name}: {error}");
        assert_eq!(error.answer(), answer_to(AuthnCode::TokenSignature), "{name}");
    }
    assert!(began.elapsed() < Duration::from_mins(1), "{:?}", began.elapsed());
    let told = events.all();
    assert_eq!(told.len(), absurd.len() + 2);
    let known = told.iter().filter(|event| event.target.is_some());
    assert_eq!(known.count(), absurd.len() + 1, "the audit says whose it was");
}

/// The answer to these bytes, without what differs from request to request.
async fn answered(address: std::net::SocketAddr, path: &str, headers: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nhost: shop.example\r\nx-request-id: r-1\r\nconnection: close\r\n");
    socket.write_all(&[head.as_bytes(), headers, b"\r\n\r\n"].concat()).await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    answer.lines().filter(|line| !line.to_ascii_lowercase().starts_with("date:")).collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_cannot_be_read_are_refused_like_wrong_ones() {
    let long = [b"authorization: Bearer ".as_slice(), &vec![b'x'; 24 * 1024]].concat();
    let cases: [(&str, &[u8]); 5] = [
        ("wrong", b"authorization: Bearer nobody"),
        ("repeated", b"authorization: Bearer tok.alice\r\nauthorization: Bearer tok.alice"),
        ("oversized", &long),
        ("not UTF-8", b"authorization: Bearer \xff\xfe"),
        ("of no known scheme", b"authorization: Token abc"),
    ];
    let events = Arc::new(MemoryEvents::default());
    let policy = Policy::for_application("orders").unwrap();
    let chain = Chain::builder().with(Users::of(policy.application().clone()));
    let chain = chain.events(events.clone(), Arc::new(SystemClock)).build();
    let layer = tower::AuthenticateLayer::new(policy.clone(), chain.clone());
    let own = axum::Router::new().route("/own", axum::routing::get(|| async {})).layer(layer);
    let gateway = Gateway::builder(policy, chain).routes(own).bind("127.0.0.1:0").await.unwrap();
    for path in ["/api/auth/me", "/own"] {
        let before = events.all().len();
        let mut first = None;
        for (name, headers) in &cases {
            let answer = answered(gateway.local_addr(), path, headers).await;
            assert!(answer.starts_with("HTTP/1.1 401"), "{name} at {path}: {answer}");
            assert_eq!(*first.get_or_insert_with(|| answer.clone()), answer, "{name} at {path}");
        }
        let codes = told(&events).split_off(before);
        let read = "malformed".to_owned();
        assert_eq!(codes.get(1..), Some(&[read.clone(), read.clone(), read.clone(), read][..]), "{path}: {codes:?}");
    }
    gateway.shutdown().await;
}
