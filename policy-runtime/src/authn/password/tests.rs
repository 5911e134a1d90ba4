use std::net::IpAddr;

use super::*;
use crate::authn::Chain;
use crate::clock::FixedClock;
use crate::credential::LoginForm;
use crate::identity::{MemoryStore, NewUser};

const PASSWORD: &str = "correct horse battery";

struct Fixture {
    store: Arc<MemoryStore>,
    clock: FixedClock,
    user: User,
}

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

fn orders() -> Scope {
    Scope::application("acme", "orders").unwrap()
}

fn fixture(stored: Secret<String>) -> Fixture {
    let store = Arc::new(MemoryStore::default());
    store.create_organization("acme").unwrap();
    store.create_application("acme", "orders").unwrap();
    let new = NewUser::new(orders(), "alice@example.com").role("finance").password_hash(stored);
    let user = store.create_user(new).unwrap();
    Fixture { store, clock: FixedClock::at(0), user }
}

fn authenticator(f: &Fixture) -> PasswordAuthenticator {
    let mut authenticator = PasswordAuthenticator::new(f.store.clone(), Arc::new(f.clock.clone()));
    authenticator.floor = Duration::ZERO;
    authenticator
}

fn login(name: &str, password: &str) -> Credentials {
    let credential = Credential::Login { name: name.into(), passcode: secret(password), form: LoginForm::Client };
    Credentials::of(credential).in_scope(orders())
}

async fn try_login(chain: &Chain, request: &Credentials) -> Result<Authenticated, AuthnError> {
    match chain.authenticate(request).await {
        Outcome::Authenticated(found) => Ok(*found),
        Outcome::Rejected(error) => Err(error),
        Outcome::NotPresented => panic!("nothing was presented"),
    }
}

#[tokio::test]
async fn good_and_bad_logins() {
    let f = fixture(hash(&secret(PASSWORD)).unwrap());
    let chain = Chain::builder().with(authenticator(&f)).build();
    let found = try_login(&chain, &login(" ALICE@Example.com ", PASSWORD)).await.unwrap();
    assert_eq!((found.participant().id(), found.participant().auth_type()), (f.user.id.as_str(), "password"));
    assert_eq!((found.proofs(), found.built_from_epoch()), (&["pwd".to_owned()][..], f.user.epoch));

    let mut answers = Vec::new();
    for (name, password) in [
        ("alice@example.com", "wrong"),
        ("bob@example.com", PASSWORD),
        ("no address", PASSWORD),
        ("alice@example.com", ""),
    ] {
        let error = try_login(&chain, &login(name, password)).await.unwrap_err();
        assert_eq!(error.code(), AuthnCode::WrongCredentials, "{name}");
        answers.push(error.answer());
    }
    f.store.update_user(&f.user.id, |user| user.enabled = false).unwrap();
    let error = try_login(&chain, &login("alice@example.com", PASSWORD)).await.unwrap_err();
    assert_eq!(error.detail(), "the user is disabled");
    answers.push(error.answer());
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");

    let elsewhere = login("alice@example.com", PASSWORD).in_scope(Scope::organization("acme").unwrap());
    assert_eq!(try_login(&chain, &elsewhere).await.unwrap_err().code(), AuthnCode::WrongCredentials);
}

#[tokio::test]
async fn where_passwords_are_off_a_right_one_is_as_good_as_a_wrong_one() {
    let f = fixture(hash(&secret(PASSWORD)).unwrap());
    let mut authenticator = authenticator(&f).throttle(Throttle::new(3, 100));
    authenticator.floor = Duration::from_millis(120);
    let chain = Chain::builder().with(authenticator).methods(orders(), ["token"]).build();
    for password in [PASSWORD, "wrong", PASSWORD] {
        let began = std::time::Instant::now();
        let error = try_login(&chain, &login("alice@example.com", password)).await.unwrap_err();
        assert_eq!(error.code(), AuthnCode::MethodOff, "{password}");
        assert_eq!(error.answer(), AuthnError::new(AuthnCode::WrongCredentials, "wrong").answer());
        assert!(began.elapsed() >= Duration::from_millis(120), "{password} is not answered sooner");
    }
    let error = try_login(&chain, &login("alice@example.com", PASSWORD)).await.unwrap_err();
    assert_eq!(error.code(), AuthnCode::Throttled, "and counts as a failure");
}

#[tokio::test]
async fn where_operators_do_not_sign_in_their_passwords_are_wrong() {
    let f = fixture(hash(&secret(PASSWORD)).unwrap());
    let operator = NewUser::new(Scope::System, "op@example.com").password_hash(hash(&secret(PASSWORD)).unwrap());
    f.store.create_user(operator).unwrap();
    let chain = Chain::builder().with(authenticator(&f).throttle(Throttle::new(1, 100))).build();
    let request = login("op@example.com", PASSWORD).in_scope(Scope::System);
    assert_eq!(try_login(&chain, &request).await.unwrap_err().code(), AuthnCode::WrongCredentials);
    assert_eq!(try_login(&chain, &request).await.unwrap_err().code(), AuthnCode::Throttled, "it counts as a failure");
    let request = login("op@example.com", PASSWORD).in_scope(Scope::System);
    try_login(&chain, &request.on(crate::credential::Listener::default().with_system())).await.unwrap();
}

#[tokio::test]
async fn every_refusal_names_to_the_record_whose_name_was_typed() {
    let f = fixture(hash(&secret(PASSWORD)).unwrap());
    let long = "x".repeat(MAX_PASSCODE + 1);
    let throttled = authenticator(&f).throttle(Throttle::new(1, 100));
    let chain = Chain::builder().with(throttled).build();
    let off = Chain::builder().with(authenticator(&f)).methods(orders(), ["token"]).build();
    for (chain, password, code) in [
        (&chain, long.as_str(), AuthnCode::WrongCredentials),
        (&chain, "wrong", AuthnCode::WrongCredentials),
        (&chain, PASSWORD, AuthnCode::Throttled),
        (&off, PASSWORD, AuthnCode::MethodOff),
    ] {
        let error = try_login(chain, &login("alice@example.com", password)).await.unwrap_err();
        assert_eq!((error.code(), error.concerns()), (code, Some((f.user.id.as_str(), &orders()))));
        let error = try_login(chain, &login("bob@example.com", password)).await.unwrap_err();
        assert_eq!(error.concerns(), None);
    }
}

#[tokio::test]
async fn weak_hashes_are_replaced_on_login() {
    let bcrypt = bcrypt::hash_with_salt(PASSWORD, 4, [3; 16]).unwrap().format_for_version(bcrypt::Version::TwoA);
    let f = fixture(Secret::new(bcrypt.clone()));
    let chain = Chain::builder().with(authenticator(&f)).build();
    try_login(&chain, &login("alice@example.com", "wrong")).await.unwrap_err();
    assert_eq!(*f.store.password_hash(&f.user.id).await.unwrap().unwrap().expose(), bcrypt);
    for _ in 0..2 {
        try_login(&chain, &login("alice@example.com", PASSWORD)).await.unwrap();
        let stored = f.store.password_hash(&f.user.id).await.unwrap().unwrap();
        assert!(stored.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    }
}

#[tokio::test]
async fn failures_of_known_and_unknown_accounts_wait_alike() {
    let f = fixture(hash(&secret(PASSWORD)).unwrap());
    let chain = Chain::builder().with(authenticator(&f).throttle(Throttle::new(2, 100))).build();
    for name in ["alice@example.com", "nobody@example.com"] {
        for _ in 0..2 {
            let error = try_login(&chain, &login(name, "wrong")).await.unwrap_err();
            assert_eq!(error.code(), AuthnCode::WrongCredentials);
        }
        let error = try_login(&chain, &login(name, PASSWORD)).await.unwrap_err();
        assert_eq!((error.code(), error.answer().retry_after_s), (AuthnCode::Throttled, Some(1)), "{name}");
        assert_eq!(error.answer().status, 429);
    }
    // To set the clock shortens no wait, and makes none longer.
    f.clock.jump(3_600_000);
    let error = try_login(&chain, &login("alice@example.com", PASSWORD)).await.unwrap_err();
    assert_eq!(error.code(), AuthnCode::Throttled);
    f.clock.jump(-7_200_000);
    f.clock.advance(1_000);
    try_login(&chain, &login("alice@example.com", PASSWORD)).await.unwrap();
}

#[tokio::test]
async fn an_address_that_guesses_accounts_is_slowed() {
    let f = fixture(hash(&secret(PASSWORD)).unwrap());
    let chain = Chain::builder().with(authenticator(&f).throttle(Throttle::new(5, 3))).build();
    let from = |name: &str, peer: &str| login(name, "wrong").from_peer(peer.parse::<IpAddr>().unwrap());
    for name in ["a@x.example", "b@x.example", "c@x.example"] {
        try_login(&chain, &from(name, "203.0.113.7")).await.unwrap_err();
    }
    let here = try_login(&chain, &from("d@x.example", "203.0.113.7")).await.unwrap_err();
    let there = try_login(&chain, &from("d@x.example", "203.0.113.8")).await.unwrap_err();
    assert_eq!((here.code(), there.code()), (AuthnCode::Throttled, AuthnCode::WrongCredentials));
}

#[tokio::test]
async fn absurd_stored_hashes_refuse() {
    let f = fixture(Secret::new("$argon2id$v=19$m=4194304,t=4,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAA".into()));
    let chain = Chain::builder().with(authenticator(&f)).build();
    let error = try_login(&chain, &login("alice@example.com", PASSWORD)).await.unwrap_err();
    assert_eq!((error.code(), error.answer().status), (AuthnCode::WrongCredentials, 401));
}

#[derive(Debug)]
struct NoBots;

impl BotCheck for NoBots {
    fn check<'a>(&'a self, request: &'a Credentials) -> BoxFuture<'a, Result<(), AuthnError>> {
        Box::pin(async move {
            match request.facts().header("x-captcha") {
                Some("ok") => Ok(()),
                _ => Err(AuthnError::new(AuthnCode::BotSuspected, "no captcha")),
            }
        })
    }
}

#[tokio::test]
async fn a_bot_is_stopped_before_any_password_work() {
    let f = fixture(hash(&secret(PASSWORD)).unwrap());
    let chain = Chain::builder().with(authenticator(&f).bots(NoBots)).build();
    let error = try_login(&chain, &login("alice@example.com", PASSWORD)).await.unwrap_err();
    assert_eq!((error.code(), error.answer().status), (AuthnCode::BotSuspected, 401));
    let headers = [
        ("clientid", "alice@example.com"),
        ("clientsecret", PASSWORD),
        ("organizationid", "acme"),
        ("applicationid", "orders"),
        ("x-captcha", "ok"),
    ];
    let pairs = headers.iter().map(|(name, value)| (*name, value.as_bytes()));
    let request = Credentials::from_pairs(pairs, None, &[]).unwrap();
    try_login(&chain, &request).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_logins_is_served_a_few_at_a_time() {
    let f = fixture(hash(&secret(PASSWORD)).unwrap());
    let chain = Chain::builder().with(authenticator(&f).parallel(1)).build();
    let mut logins = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let chain = chain.clone();
        logins.spawn(async move { try_login(&chain, &login("alice@example.com", PASSWORD)).await.is_ok() });
    }
    let mut good = 0;
    while let Some(result) = logins.join_next().await {
        good += usize::from(result.unwrap());
    }
    assert_eq!(good, 20);
}

#[tokio::test]
async fn who_would_wait_too_long_is_told() {
    let f = fixture(hash(&secret(PASSWORD)).unwrap());
    let busy = authenticator(&f);
    busy.waiting.store(MAX_WAITING, Ordering::SeqCst);
    let error = busy.login("alice@example.com", &secret(PASSWORD), &login("x", "y")).await.unwrap_err();
    assert_eq!((error.code(), error.answer().status), (AuthnCode::Busy, 429));
    assert_eq!(busy.waiting.load(Ordering::SeqCst), MAX_WAITING, "the place is given back");
}

#[derive(Debug)]
struct Broken;

impl UserStore for Broken {
    fn user_by_email<'a>(&'a self, _: &'a Scope, _: &'a EmailKey) -> BoxFuture<'a, Result<Option<User>, StoreError>> {
        Box::pin(async { Err(StoreError::Unavailable("connection lost".into())) })
    }

    fn password_hash<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<Secret<String>>, StoreError>> {
        Box::pin(async { Err(StoreError::Unavailable("connection lost".into())) })
    }
}

#[tokio::test]
async fn a_store_that_is_down_lets_nobody_in() {
    let chain =
        Chain::builder().with(PasswordAuthenticator::new(Arc::new(Broken), Arc::new(FixedClock::at(0)))).build();
    let error = try_login(&chain, &login("alice@example.com", PASSWORD)).await.unwrap_err();
    assert_eq!((error.code(), error.answer().status), (AuthnCode::Unavailable, 503));
    assert!(!error.answer().message.contains("connection"));
}

/// How unlikely it is that two samples come from one source: the z-score of the rank-sum test (Mann and Whitney).
fn rank_sum(a: &[Duration], b: &[Duration]) -> f64 {
    let mut all: Vec<(Duration, bool)> =
        a.iter().map(|time| (*time, true)).chain(b.iter().map(|time| (*time, false))).collect();
    all.sort_unstable();
    let ranks: u32 = all.iter().zip(1..).filter(|((_, first), _)| *first).map(|(_, rank)| rank).sum();
    let (n, m) = (f64::from(u32::try_from(a.len()).unwrap()), f64::from(u32::try_from(b.len()).unwrap()));
    let (mean, deviation) = (n * (n + m + 1.0) / 2.0, (n * m * (n + m + 1.0) / 12.0).sqrt());
    ((f64::from(ranks) - mean) / deviation).abs()
}

#[tokio::test]
async fn time_does_not_tell_who_exists() {
    let f = fixture(hash(&secret(PASSWORD)).unwrap());
    let off =
        f.store.create_user(NewUser::new(orders(), "off@example.com").password_hash(hash(&secret(PASSWORD)).unwrap()));
    f.store.update_user(&off.unwrap().id, |user| user.enabled = false).unwrap();
    let authenticator = authenticator(&f).throttle(Throttle::new(u32::MAX, u32::MAX));
    let too_long = "x".repeat(MAX_PASSCODE + 1);
    let cases = [
        ("alice@example.com", "wrong"),
        ("nobody@example.com", "wrong"),
        ("off@example.com", PASSWORD),
        // A control, which does no work: the test can tell a difference when there is one.
        ("alice@example.com", too_long.as_str()),
    ];
    let mut times: [Vec<Duration>; 4] = Default::default();
    for _ in 0..25 {
        // In turns, so that a busy machine slows all alike.
        for ((name, password), times) in cases.iter().zip(&mut times) {
            let began = std::time::Instant::now();
            authenticator.login(name, &secret(password), &login(name, password)).await.unwrap_err();
            times.push(began.elapsed());
        }
    }
    let [wrong, unknown, disabled, control] = &times;
    assert!(rank_sum(wrong, control) > 5.0, "the test sees nothing");
    for (other, what) in [(unknown, "an unknown user"), (disabled, "a disabled user")] {
        let z = rank_sum(wrong, other);
        assert!(z < 4.0, "{what} is told from a wrong password by its time (z = {z:.1})");
    }
}
