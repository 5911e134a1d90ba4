//! A clock that somebody sets, ahead and back: nothing opens by it. The chain of records holds, and nothing is removed that is
//! younger than it should be; sets go by their numbers; what is good once stays used; nobody stays for longer.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::time::Duration;

use policy_runtime::admin::{Admin, AdminError, Api, NewKey};
use policy_runtime::audit::journal::{Filter, Journal, Recording};
use policy_runtime::authn::session::Sessions;
use policy_runtime::authn::token::Issuer;
use policy_runtime::authn::{Authenticated, AuthnCode, Chain, Outcome};
use policy_runtime::client::{Client, ConnectOptions, Headers};
use policy_runtime::clock::{Clock as _, FixedClock};
use policy_runtime::credential::{Credential, Credentials};
use policy_runtime::database::{Database, DatabaseAddress};
use policy_runtime::gateway::Gateway;
use policy_runtime::identity::{Directory, NewUser, SqlStore, User};
use policy_runtime::secret::Secret;
use policy_runtime::sets::PolicySets;
use policy_runtime::tower::AuthenticateLayer;
use policy_runtime::{Code, Denied, Participant, Policy, Scope, SecurityContext, SetSource, abac_policy};
use tests::providers::send;

const NOW: i64 = 1_795_311_717_000;
const HOUR: i64 = 3_600_000;

#[abac_policy(authenticated, action = "ClockJumps.tick")]
fn tick() -> Result<(), Denied> {
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn records_outlive_a_clock_that_is_set() {
    let database = Database::open(&DatabaseAddress::Memory).await.unwrap();
    let store = Arc::new(SqlStore::new(database.clone()));
    store.add_organization("acme").await.unwrap();
    store.add_application("acme", "shop").await.unwrap();
    for journal in [Journal::in_memory(), Journal::in_database(DatabaseAddress::Memory)] {
        let clock = FixedClock::at(NOW);
        let journal = journal.recording(Recording::all()).clock(Arc::new(clock.clone())).start().unwrap();
        let journal = Arc::new(journal);
        let policy = Policy::builder().organization("acme").application("shop").clock(Arc::new(clock.clone()));
        let policy = policy.audit(journal.clone()).build().unwrap();
        let shop = policy.application().to_string();
        let call = |id: &str| {
            let caller = Participant::builder(policy.application().clone(), id).build();
            SecurityContext::new(&policy, caller.into()).run(tick).unwrap();
        };
        call("before");
        clock.jump(24 * HOUR);
        call("ahead");
        clock.jump(-48 * HOUR);
        call("behind");
        clock.jump(24 * HOUR);
        call("after");
        journal.flush().await.unwrap();

        // Each is where its clock put it, and found by its id, which tells another time.
        let actors = async |filter: Filter| -> Vec<String> {
            let found = journal.query(&filter).await.unwrap();
            found.iter().map(|one| one.actor.rsplit('/').next().unwrap().to_owned()).collect()
        };
        let all = Filter::scope(&shop);
        assert_eq!(actors(all.clone()).await, ["before", "ahead", "behind", "after"]);
        assert_eq!(actors(all.clone().between(NOW - HOUR, NOW + HOUR)).await, ["before", "after"]);
        assert_eq!(actors(all.clone().between(NOW + 23 * HOUR, NOW + 25 * HOUR)).await, ["ahead"]);
        assert_eq!(actors(all.clone().between(NOW - 25 * HOUR, NOW - 23 * HOUR)).await, ["behind"]);
        for one in journal.query(&all).await.unwrap() {
            assert_eq!(journal.query(&all.clone().decision(&one.decision)).await.unwrap(), [one]);
        }
        journal.verify(&shop, None).await.unwrap();

        // Removed is what lies before in the chain and in time; what a wrong clock put ahead keeps what follows it.
        let admin = Admin::new(&policy, store.clone(), PolicySets::new(database.clone()), journal.clone());
        let operator = Participant::builder(Scope::System, "u-1").role("operator").mfa(true).build();
        let operator = SecurityContext::new(&policy, operator.into());
        let scope = policy.application();
        clock.advance(HOUR);
        let ahead = admin.retain_records(&operator, scope, clock.now().0 + 1).await;
        assert!(matches!(ahead, Err(AdminError::Invalid(_))), "{ahead:?}");
        assert_eq!(admin.retain_records(&operator, scope, clock.now().0).await.unwrap(), 1);
        assert_eq!(actors(all.clone()).await, ["ahead", "behind", "after"]);
        assert_eq!(admin.retain_records(&operator, scope, clock.now().0).await.unwrap(), 0);
        journal.verify(&shop, None).await.unwrap();
        call("later");
        journal.flush().await.unwrap();
        journal.verify(&shop, None).await.unwrap();
    }
}

/// A server whose clock is set.
struct Stand {
    clock: FixedClock,
    store: Arc<SqlStore>,
    sets: PolicySets,
    policy: Policy,
    admin: Admin,
    issuer: Issuer,
    /// Of the organization.
    boss: User,
    /// Of the application.
    alice: User,
}

impl Stand {
    async fn new() -> Self {
        let clock = FixedClock::at(NOW);
        let database = Database::open(&DatabaseAddress::Memory).await.unwrap();
        let (store, sets) = (Arc::new(SqlStore::new(database.clone())), PolicySets::new(database));
        store.add_organization("acme").await.unwrap();
        store.add_application("acme", "shop").await.unwrap();
        let policy = Policy::builder().organization("acme").application("shop").clock(Arc::new(clock.clone()));
        let policy = policy.build().unwrap();
        let boss = NewUser::new(policy.organization(), "boss@acme.example").role("owner");
        let alice = NewUser::new(policy.application().clone(), "alice@example.com");
        let (boss, alice) = (store.add_user(boss).await.unwrap(), store.add_user(alice).await.unwrap());
        let journal = Journal::in_memory().start().unwrap();
        let admin = Admin::new(&policy, store.clone(), sets.clone(), Arc::new(journal));
        let issuer = Issuer::generate("https://here.example", Arc::new(clock.clone()), store.clone()).unwrap();
        let issuer = issuer.single_use_in(store.clone());
        Self { clock, store, sets, policy, admin, issuer, boss, alice }
    }

    async fn gateway(&self) -> Gateway {
        let chain = Chain::builder().with(self.issuer.clone()).build();
        let layer = AuthenticateLayer::new(self.policy.clone(), chain.clone());
        let gateway = Gateway::builder(self.policy.clone(), chain);
        gateway.routes(Api::new(self.admin.clone()).router(layer)).bind("127.0.0.1:0").await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_and_activations_go_by_their_numbers() {
    let stand = Stand::new().await;
    let (admin, acme) = (&stand.admin, stand.policy.organization());
    let boss = SecurityContext::new(&stand.policy, stand.boss.participant().build().into());
    let closed = SetSource {
        rules: vec![("no-keys".to_owned(), "forbid Platform.keys.create".to_owned())],
        ..SetSource::default()
    };
    let open = SetSource::default();
    let draft = async |source: &SetSource| {
        let number = admin.draft(&boss, &acme, source, "", None).await.unwrap();
        admin.validate(&boss, &acme, number).await.unwrap();
        number
    };
    let makes_keys = async || admin.create_key(&boss, &acme, NewKey::default()).await.is_ok();
    let first = draft(&closed).await;
    stand.clock.jump(-48 * HOUR);
    let second = draft(&open).await;
    assert!(makes_keys().await);
    let one = admin.activate(&boss, &acme, first, 0).await.unwrap();
    assert!(!makes_keys().await);
    stand.clock.jump(96 * HOUR);
    let stale = admin.activate(&boss, &acme, second, 0).await;
    assert_eq!(stale.unwrap_err().code(), Code::Conflict);
    let two = admin.activate(&boss, &acme, second, first).await.unwrap();
    assert!(makes_keys().await);
    stand.clock.jump(-96 * HOUR);
    assert_eq!(stand.sets.before(&acme).await.unwrap(), Some(first));
    let three = admin.activate(&boss, &acme, first, second).await.unwrap();
    assert!(!makes_keys().await);
    let numbers = [one, two, three].map(|done| done.revision.number);
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    let history = stand.sets.history(&acme).await.unwrap();
    assert_eq!(history.iter().map(|version| version.number).collect::<Vec<_>>(), [second, first]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_once_is_not_done_again() {
    let stand = Stand::new().await;
    let gateway = stand.gateway().await;
    let keys = format!("http://{}/api/v1/scopes/org:acme/keys", gateway.local_addr());
    let make = async |key: &str| {
        let bearer = format!("Bearer {}", stand.issuer.access_token(&stand.boss, &["pwd"]).unwrap().expose());
        let json = ("content-type", "application/json");
        send("POST", &keys, &[("authorization", &bearer), ("idempotency-key", key), json], "{}").await.unwrap().status
    };
    assert_eq!((make("k-1").await, make("k-1").await), (201, 409));
    stand.clock.jump(48 * HOUR);
    assert_eq!((make("k-2").await, make("k-1").await), (201, 409));
    stand.clock.jump(-96 * HOUR);
    assert_eq!((make("k-2").await, make("k-1").await), (409, 409));
    assert_eq!(stand.store.keys(&stand.boss.scope).await.unwrap().len(), 2);
    stand.clock.jump(48 * HOUR);
    stand.clock.advance(25 * HOUR);
    assert_eq!((make("k-1").await, make("k-2").await), (201, 409), "a key is known for a day");
    gateway.shutdown().await;
}

async fn present(chain: &Chain, credential: Credential) -> Result<Authenticated, AuthnCode> {
    match chain.authenticate(&Credentials::of(credential)).await {
        Outcome::Authenticated(found) => Ok(*found),
        Outcome::Rejected(error) => Err(error.code()),
        Outcome::NotPresented => panic!("something was presented"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_go_on_for_no_longer() {
    let stand = Stand::new().await;
    let here = Sessions::new(Arc::new(stand.clock.clone()));
    for sessions in [here.clone(), here.stored_in(stand.store.clone())] {
        let chain = Chain::builder().with(sessions.clone()).build();
        let alice = Authenticated::new(stand.alice.participant().build(), "password").epoch(stand.alice.epoch);
        let start = async || sessions.start(&alice).await.unwrap();
        let come_back =
            async |cookie: &Secret<String>| present(&chain, Credential::Session(cookie.clone())).await.map(|_| ());
        stand.clock.jump(48 * HOUR);
        let ahead = start().await;
        assert_eq!(come_back(&ahead).await, Ok(()));
        stand.clock.jump(-48 * HOUR);
        assert_eq!(come_back(&ahead).await, Err(AuthnCode::SessionEnded), "it would last for 60 hours");
        let now = start().await;
        stand.clock.jump(-HOUR / 120);
        assert_eq!(come_back(&now).await, Ok(()), "clocks may differ a little");
        stand.clock.jump(HOUR);
        assert_eq!(come_back(&now).await, Err(AuthnCode::SessionEnded), "it is over by its idleness");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_that_was_used_stays_used() {
    let stand = Stand::new().await;
    let alone = Issuer::generate("https://here.example", Arc::new(stand.clock.clone()), stand.store.clone()).unwrap();
    for issuer in [alone, stand.issuer] {
        let chain = Chain::builder().with(issuer.clone()).build();
        let alice = Authenticated::new(stand.alice.participant().build(), "password").epoch(stand.alice.epoch);
        let ticket = || Credential::Bearer(issuer.ticket(&alice).unwrap());
        let first = ticket();
        present(&chain, first.clone()).await.unwrap();
        stand.clock.jump(48 * HOUR);
        present(&chain, ticket()).await.unwrap();
        stand.clock.jump(-48 * HOUR);
        assert_eq!(present(&chain, first).await.unwrap_err(), AuthnCode::TokenReplayed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_ends_with_its_token_whatever_the_clock_says() {
    let stand = Stand::new().await;
    let gateway = stand.gateway().await;
    let token = stand.issuer.access_token_for(&stand.alice, &["pwd"], 2).unwrap();
    let headers = Headers::bearer(token.expose().clone());
    let options = ConnectOptions::new("127.0.0.1").port(gateway.local_addr().port()).connect_headers(headers);
    let _client = Client::connect(options).await.unwrap();
    stand.clock.jump(-HOUR);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(gateway.connections(), 1);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(gateway.connections(), 0);
    gateway.shutdown().await;
}
