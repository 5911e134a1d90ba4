//! Tokens of real identity providers, verified by keys that are fetched from them: every algorithm, rotation while tokens
//! are in flight, and a proxy that spoils discovery and keys in every way it knows.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use policy_core::{Participant, Scope};
use policy_runtime::authn::token::{
    ClaimPath, Json, JwksTimes, ParticipantIds, Preset, Reach, RemoteKeys, SharedSecret, TokenAuthenticator,
    TokenCheck, TokenRules, TokenSource, VerifiedToken,
};
use policy_runtime::authn::{AuthnCode, AuthnError, BoxFuture, Chain, Outcome};
use policy_runtime::clock::SystemClock;
use policy_runtime::credential::{Credential, Credentials};
use policy_runtime::secret::Secret;
use serde_json::Value;
use tests::providers::{Provider, machine_token, send};

const AUDIENCE: &str = "https://api.example.test";

fn times() -> JwksTimes {
    let mut times = JwksTimes::default();
    times.deadline = Duration::from_secs(2);
    times.refresh = Duration::from_millis(300);
    times.cool_down = Duration::from_millis(600);
    times
}

fn scope() -> Scope {
    Scope::application("acme", "orders").unwrap()
}

fn chain_of(source: TokenSource) -> Chain {
    chain_of_all([source])
}

fn chain_of_all(sources: impl IntoIterator<Item = TokenSource>) -> Chain {
    let ids = ParticipantIds::new(Secret::new(vec![7; 32])).unwrap();
    let tokens = TokenAuthenticator::new(Arc::new(SystemClock), ids);
    Chain::builder().with(sources.into_iter().fold(tokens, TokenAuthenticator::with)).build()
}

fn source_of(name: &str, issuer: &str, times: JwksTimes) -> (TokenSource, Arc<RemoteKeys>) {
    let preset = Preset::find("oidc").unwrap();
    let keys = RemoteKeys::discover_with(issuer, Reach::Loopback, Arc::new(SystemClock), times).unwrap();
    let source = TokenSource::with_source(name, scope(), preset.rules(issuer, AUDIENCE), keys.clone());
    (source.mapping(preset.mapping().unwrap().allow_role("machine", "importer")), keys)
}

fn oidc(issuer: &str, times: JwksTimes) -> (Chain, Arc<RemoteKeys>) {
    let (source, keys) = source_of("main", issuer, times);
    (chain_of(source), keys)
}

async fn present(chain: &Chain, token: &str) -> Result<Participant, AuthnCode> {
    match chain.authenticate(&Credentials::of(Credential::Bearer(Secret::new(token.to_owned())))).await {
        Outcome::Authenticated(found) => Ok(found.into_participant()),
        Outcome::Rejected(error) => Err(error.code()),
        Outcome::NotPresented => panic!("a token was presented"),
    }
}

async fn oidc_provider(algorithm: &str) -> Provider {
    let settings = [("PORT", "0"), ("AT_ALG", algorithm), ("AUDIENCE", AUDIENCE)];
    Provider::start("start-oidc-provider.mjs", &settings).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn oidc_provider_with_every_algorithm() {
    for algorithm in ["RS256", "PS256", "ES256", "EdDSA", "Ed25519"] {
        let provider = oidc_provider(algorithm).await;
        let (chain, _) = oidc(provider.fact("issuer"), times());
        let token = machine_token(provider.fact("issuer")).await.unwrap();
        let found = present(&chain, &token).await.unwrap_or_else(|code| panic!("{algorithm}: {code}"));
        assert_eq!((found.subject(), found.auth_type()), (Some("svc"), "oidc-machine"), "{algorithm}");
        assert_eq!(found.roles(), ["importer".into()], "{algorithm}");
        let (elsewhere, _) = oidc(&provider.fact("issuer").replace("127.0.0.1", "localhost"), times());
        assert_eq!(present(&elsewhere, &token).await.unwrap_err(), AuthnCode::TokenIssuer);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_rotate_while_tokens_are_in_flight() {
    let provider = oidc_provider("RS256").await;
    let issuer = provider.fact("issuer").to_owned();
    let (chain, keys) = oidc(&issuer, times());
    let old = machine_token(&issuer).await.unwrap();
    let mut first = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (chain, token) = (chain.clone(), old.clone());
        first.spawn(async move { present(&chain, &token).await.is_ok() });
    }
    assert!(first.join_all().await.into_iter().all(|good| good));
    assert_eq!(keys.questions(), 1, "one flight for all");

    send("POST", &format!("{issuer}/__control/rotate"), &[], "").await.unwrap();
    let new = machine_token(&issuer).await.unwrap();
    let mut both = tokio::task::JoinSet::new();
    for n in 0..50 {
        let (chain, token) = (chain.clone(), if n % 2 == 0 { old.clone() } else { new.clone() });
        both.spawn(async move { present(&chain, &token).await.is_ok() });
    }
    assert!(both.join_all().await.into_iter().all(|good| good), "no token is refused during a rotation");

    send("POST", &format!("{issuer}/__control/rotate?drop_old=1"), &[], "").await.unwrap();
    let newest = machine_token(&issuer).await.unwrap();
    present(&chain, &newest).await.unwrap();
    assert_eq!(present(&chain, &old).await.unwrap_err(), AuthnCode::TokenKey, "a dropped key is dropped here too");
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_keys_do_not_flood_the_issuer_and_a_dead_one_is_outlived() {
    let provider = oidc_provider("RS256").await;
    let issuer = provider.fact("issuer").to_owned();
    let (chain, keys) = oidc(&issuer, JwksTimes::default());
    let good = machine_token(&issuer).await.unwrap();
    present(&chain, &good).await.unwrap();
    let (_, rest) = good.split_once('.').unwrap();
    for n in 0..50 {
        let header = format!(r#"{{"alg":"RS256","typ":"at+jwt","kid":"made-up-{n}"}}"#);
        let forged = format!("{}.{rest}", encoded(&header));
        assert_eq!(present(&chain, &forged).await.unwrap_err(), AuthnCode::TokenKey);
    }
    assert_eq!(keys.questions(), 2, "one question at the first made-up key, then a cool-down");

    let (short, _) = oidc(&issuer, times());
    present(&short, &good).await.unwrap();
    drop(provider);
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        present(&short, &good).await.unwrap();
    }
    let (cold, _) = oidc(&issuer, times());
    assert_eq!(present(&cold, &good).await.unwrap_err(), AuthnCode::Unavailable);
}

fn encoded(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text)
}

#[tokio::test(flavor = "multi_thread")]
async fn issuers_that_share_a_key_id_and_a_subject_are_two() {
    let (one, two) = (oidc_provider("RS256").await, oidc_provider("RS256").await);
    let issuers = [one.fact("issuer"), two.fact("issuer")];
    let (a, b) = (machine_token(issuers[0]).await.unwrap(), machine_token(issuers[1]).await.unwrap());
    let header = |token: &str| token.split('.').next().unwrap().to_owned();
    assert_eq!(header(&a), header(&b), "they call their keys alike");
    let sources = [("one", issuers[0]), ("two", issuers[1])].map(|(name, issuer)| source_of(name, issuer, times()).0);
    let chain = chain_of_all(sources);
    let (first, second) = (present(&chain, &a).await.unwrap(), present(&chain, &b).await.unwrap());
    assert_eq!(first.subject(), second.subject());
    assert_ne!(first.id(), second.id(), "the same subject elsewhere is somebody else");
    // What one has signed counts for nothing in the other's name.
    let rest = |token: &str| token.split_once('.').map(|(_, rest)| rest.to_owned()).unwrap();
    let (payload, signature) = (rest(&b), rest(&a));
    let mixed = [header(&a), payload.split('.').next().unwrap().into(), signature.split('.').nth(1).unwrap().into()];
    assert_eq!(present(&chain, &mixed.join(".")).await.unwrap_err(), AuthnCode::TokenSignature);
    let (alone, _) = oidc(issuers[0], times());
    assert_eq!(present(&alone, &b).await.unwrap_err(), AuthnCode::TokenIssuer);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_a_token_brings_or_names_are_not_asked_for() {
    let provider = oidc_provider("RS256").await;
    let (chain, _) = oidc(provider.fact("issuer"), times());
    let good = machine_token(provider.fact("issuer")).await.unwrap();
    present(&chain, &good).await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let (_, rest) = good.split_once('.').unwrap();
    for header in [
        format!(r#"{{"alg":"RS256","typ":"at+jwt","jku":"{url}"}}"#),
        format!(r#"{{"alg":"RS256","typ":"at+jwt","kid":"{url}","x5u":"{url}"}}"#),
        format!(
            r#"{{"alg":"RS256","typ":"at+jwt","kid":"k1-rs256","jku":"{url}","jwk":{{"kty":"RSA","n":"AQAB","e":"AQAB"}}}}"#
        ),
    ] {
        let forged = format!("{}.{rest}", encoded(&header));
        present(&chain, &forged).await.unwrap_err();
    }
    let hit = tokio::time::timeout(Duration::from_millis(300), listener.accept()).await;
    assert!(hit.is_err(), "somebody asked the address of a token");
}

#[tokio::test(flavor = "multi_thread")]
async fn better_auth_users_are_known_by_their_tokens() {
    for algorithm in ["EdDSA", "ES256", "RS256"] {
        let settings = [("PORT", "0"), ("ALG", algorithm), ("AUDIENCE", AUDIENCE)];
        let provider = Provider::start("start-better-auth.mjs", &settings).await.unwrap();
        let base = provider.fact("base").to_owned();
        let preset = Preset::find("better-auth").unwrap();
        let uri = preset.key_url(&base).unwrap();
        let keys = RemoteKeys::at_with(&uri, Reach::Loopback, Arc::new(SystemClock), times()).unwrap();
        let rules = preset.rules(&base, AUDIENCE);
        let chain = chain_of(TokenSource::with_source("main", scope(), rules, keys).mapping(preset.mapping().unwrap()));
        let headers = [("content-type", "application/json"), ("origin", base.as_str())];
        let body = r#"{"email":"mallory@example.test","password":"correct horse battery staple","name":"Mallory"}"#;
        let signed = send("POST", &format!("{base}/api/auth/sign-up/email"), &headers, body).await.unwrap();
        assert_eq!(signed.status, 200, "{}", signed.body);
        let cookies = signed.cookies();
        let token = async || {
            let answer = send("GET", &format!("{base}/api/auth/token"), &[("cookie", &cookies)], "").await.unwrap();
            answer.json().unwrap()["token"].as_str().unwrap().to_owned()
        };
        let found = present(&chain, &token().await).await.unwrap_or_else(|code| panic!("{algorithm}: {code}"));
        assert_eq!(
            (found.display_name(), found.email()),
            (Some("Mallory"), None),
            "an address nobody confirmed is none"
        );
        assert_ne!(Some(found.id()), found.subject());
        let before = token().await;
        send("POST", &format!("{base}/__control/rotate"), &[], "").await.unwrap();
        let after = token().await;
        present(&chain, &before).await.unwrap();
        present(&chain, &after).await.unwrap();
        // One server, two issuers: its OAuth plugin may call itself by the path, and that is somebody else.
        let keys = RemoteKeys::at_with(&uri, Reach::Loopback, Arc::new(SystemClock), times()).unwrap();
        let rules = preset.rules(&format!("{base}/api/auth"), AUDIENCE);
        let other = chain_of(TokenSource::with_source("main", scope(), rules, keys));
        assert_eq!(present(&other, &after).await.unwrap_err(), AuthnCode::TokenIssuer);
        // To sign out there ends no token that is out: it is good until it is over, which `TokenCheck` or a short life bounds.
        let headers = [("content-type", "application/json"), ("origin", base.as_str()), ("cookie", &cookies)];
        assert_eq!(send("POST", &format!("{base}/api/auth/sign-out"), &headers, "{}").await.unwrap().status, 200);
        present(&chain, &after).await.unwrap();
    }
}

/// What must come of each fault: a token is accepted all the same, or refused, with nothing kept from before.
const COLD: &[(&str, bool)] = &[
    ("none", true),
    ("jwks-500", false),
    ("jwks-404", false),
    ("jwks-slow", false),
    ("jwks-drip", false),
    ("jwks-hang", false),
    ("jwks-reset", false),
    ("jwks-garbage", false),
    ("jwks-html", false),
    ("jwks-empty", false),
    ("jwks-text-plain", true),
    ("jwks-no-content-type", true),
    ("jwks-huge", false),
    ("jwks-many", false),
    ("jwks-endless", false),
    ("jwks-gzip-bomb", false),
    ("jwks-dup-kid", false),
    ("jwks-no-kid", false),
    ("jwks-unknown-kty", true),
    ("jwks-broken-key", true),
    ("jwks-attacker", false),
    ("jwks-oct", true),
    ("jwks-redirect", false),
    ("disco-500", false),
    ("disco-slow", false),
    ("disco-html", false),
    ("disco-redirect", false),
    ("disco-redirect-metadata", false),
    ("disco-issuer", false),
    ("disco-issuer-slash", false),
    ("disco-issuer-tenantid", false),
    ("disco-jwks-uri", false),
    ("disco-jwks-file", false),
    ("disco-jwks-private", false),
    ("disco-token-http", true),
    ("disco-missing-jwks", false),
    ("disco-huge", false),
    ("disco-endless", false),
    // Whoever verifies tokens asks for none.
    ("token-500", true),
    ("token-slow", true),
    ("token-html", true),
    ("token-no-id-token", true),
    ("all-down", false),
];

#[tokio::test(flavor = "multi_thread")]
async fn spoiled_answers_end_as_they_should() {
    let port = tests::free_port();
    let issuer = format!("http://127.0.0.1:{port}");
    let settings = [("PORT", "0"), ("ISSUER", issuer.as_str()), ("AUDIENCE", AUDIENCE)];
    let provider = Provider::start("start-oidc-provider.mjs", &settings).await.unwrap();
    let port = port.to_string();
    let proxy = [("PORT", port.as_str()), ("UPSTREAM", provider.fact("base")), ("SLOW_MS", "4000")];
    let _proxy = Provider::start("fault-proxy.mjs", &proxy).await.unwrap();
    let token = machine_token(&issuer).await.unwrap();
    let fault = async |name: &str| {
        send("POST", &format!("{issuer}/__fault?on={name}"), &[], "").await.unwrap();
    };
    let (warm, _) = oidc(&issuer, times());
    present(&warm, &token).await.unwrap();
    for (name, accepted) in COLD {
        fault(name).await;
        let before = memory_kib();
        let (cold, _) = oidc(&issuer, times());
        let began = Instant::now();
        let verdict = present(&cold, &token).await;
        assert_eq!(verdict.is_ok(), *accepted, "{name}: {verdict:?}");
        assert!(began.elapsed() < Duration::from_secs(3), "{name} took {:?}", began.elapsed());
        let grown = memory_kib().saturating_sub(before);
        assert!(grown < 16 * 1024, "{name} took {grown} KiB");
        fault("none").await;
    }
    // Whoever knew the keys before outlives every outage; only keys that were really replaced are replaced.
    for name in ["jwks-500", "jwks-garbage", "jwks-empty", "disco-html", "disco-issuer", "all-down"] {
        fault(name).await;
        tokio::time::sleep(Duration::from_millis(700)).await;
        for _ in 0..3 {
            present(&warm, &token).await.unwrap_or_else(|code| panic!("{name}: {code}"));
        }
        fault("none").await;
    }
}

/// The memory that this process occupies (Linux).
fn memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_issuer_does_not_lead_to_this_machine() {
    let provider = oidc_provider("RS256").await;
    let issuer = provider.fact("issuer").to_owned();
    let token = machine_token(&issuer).await.unwrap();
    let keys = RemoteKeys::discover_with(&issuer, Reach::Public, Arc::new(SystemClock), times()).unwrap();
    let chain = chain_of(TokenSource::with_source("main", scope(), TokenRules::new(&issuer, AUDIENCE), keys));
    assert_eq!(present(&chain, &token).await.unwrap_err(), AuthnCode::Unavailable);
    let stats = send("GET", &format!("{issuer}/__control/stats"), &[], "").await.unwrap().json().unwrap();
    assert_eq!(stats.get("/.well-known/openid-configuration"), None::<&Value>, "nothing was asked: {stats}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kottster_tokens_of_the_older_platform() {
    let secret = "kottster-secret-key-0123456789abcdef";
    // Starting a provider installs the packages that the script needs.
    let _provider = oidc_provider("RS256").await;
    let output = tokio::process::Command::new("node")
        .args(["kottster-token.mjs", "--legacy", secret, "app-1", "42"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/providers"))
        .output();
    let output = output.await.unwrap();
    let token = String::from_utf8(output.stdout).unwrap();
    let preset = Preset::find("kottster-platform").unwrap();
    let key = SharedSecret::new(&Secret::new(secret.as_bytes().to_vec())).unwrap();
    let of = |app: &str| {
        let rules = preset.rules("", "").equal(ClaimPath::name("appId"), app);
        chain_of(TokenSource::with_secret("kottster", scope(), rules, key.clone()))
    };
    assert_eq!(present(&of("app-1"), token.trim()).await.unwrap().subject(), Some("42"));
    assert_eq!(present(&of("app-2"), token.trim()).await.unwrap_err(), AuthnCode::TokenClaim);
}

/// What the server's table says of a user at the moment.
#[derive(Debug)]
struct OneSession(String);

impl TokenCheck for OneSession {
    fn check<'a>(&'a self, token: &'a VerifiedToken) -> BoxFuture<'a, Result<(), AuthnError>> {
        let same = token.claims().get("check").and_then(Json::as_text) == Some(&self.0);
        Box::pin(async move {
            if same { Ok(()) } else { Err(AuthnError::new(AuthnCode::TokenClaim, "the session was ended")) }
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kottster_tokens_of_the_real_server() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let settings = [("PORT", "0"), ("SECRET_KEY", "kottster-secret-key-0123456789ab")];
    let provider = Provider::start("kottster-token.mjs", &settings).await.unwrap();
    let base = provider.fact("base").to_owned();
    let alice = provider.facts["users"]["alice"].to_string();
    let token = async || {
        let answer = send("GET", &format!("{base}/__control/token?user={alice}"), &[], "").await.unwrap();
        answer.json().unwrap()["token"].as_str().unwrap().to_owned()
    };
    let accepts = async |token: &str| {
        let body = serde_json::json!({ "token": token }).to_string();
        let json = [("content-type", "application/json")];
        let answer = send("POST", &format!("{base}/__control/verify"), &json, &body).await.unwrap().json().unwrap();
        answer["isTokenValid"].as_bool().unwrap_or_else(|| panic!("{answer}"))
    };
    let first = token().await;
    let payload = URL_SAFE_NO_PAD.decode(first.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&payload).unwrap();
    let check = OneSession(claims["check"].as_str().unwrap().to_owned());

    let secret = provider.fact("hs256_secret").as_bytes().to_vec();
    let preset = Preset::find("kottster").unwrap();
    let key = SharedSecret::new(&Secret::new(secret.clone())).unwrap();
    let source = TokenSource::with_secret("kottster", scope(), preset.rules("", ""), key).check(Arc::new(check));
    let chain = chain_of(source);
    assert_eq!(present(&chain, &first).await.unwrap().subject(), Some(alice.as_str()), "its id is a number");
    assert!(accepts(&first).await, "the package itself says so too");

    // Spoiled, it is refused here as there.
    let (signed, _) = first.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{}", URL_SAFE_NO_PAD.encode([7; 32]));
    assert_eq!(present(&chain, &forged).await.unwrap_err(), AuthnCode::TokenSignature);
    assert!(!accepts(&forged).await);

    // After all sessions were ended, the token of before is over, and one of after is another session's.
    send("POST", &format!("{base}/__control/revoke?user={alice}"), &[], "").await.unwrap();
    assert!(!accepts(&first).await);
    let second = token().await;
    assert!(accepts(&second).await);
    assert_eq!(present(&chain, &second).await.unwrap_err(), AuthnCode::TokenClaim);
}
