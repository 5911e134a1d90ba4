//! What administrators change reaches live connections: the next decision sees it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use policy_runtime::authn::Chain;
use policy_runtime::authn::api_key::{self, ApiKeyAuthenticator};
use policy_runtime::authn::password::{PasswordAuthenticator, hash};
use policy_runtime::authn::token::Issuer;
use policy_runtime::client::{Client, ConnectOptions, Event, Headers};
use policy_runtime::clock::SystemClock;
use policy_runtime::database::{Database, DatabaseAddress};
use policy_runtime::edge::{Rate, Rates};
use policy_runtime::gateway::{Gateway, StoredChanges};
use policy_runtime::identity::{Change, Directory, NewUser, SqlStore, User};
use policy_runtime::secret::Secret;
use policy_runtime::{Code, Policy, Scope};
use tests::orders::{Order, OrderService, OrderServiceProxy};

struct Stand {
    store: Arc<dyn Directory>,
    gateway: Gateway,
    issuer: Issuer,
    alice: User,
    scope: Scope,
}

async fn stand() -> Stand {
    stand_with(&Rates::default()).await
}

async fn stand_with(rates: &Rates) -> Stand {
    let store = SqlStore::new(Database::open(&DatabaseAddress::Memory).await.unwrap());
    let store: Arc<dyn Directory> = Arc::new(store);
    let policy = Policy::for_application("orders").unwrap();
    let scope = policy.application().clone();
    let organization = scope.organization_id().unwrap().as_str();
    store.add_organization(organization).await.unwrap();
    store.add_application(organization, "orders").await.unwrap();
    let stored = hash(&Secret::new("alice-pw".to_owned())).unwrap();
    let new = NewUser::new(scope.clone(), "alice@example.com").password_hash(stored);
    let alice = store.add_user(new).await.unwrap();
    let clock = Arc::new(SystemClock);
    let issuer = Issuer::generate("https://here.example", clock.clone(), store.clone()).unwrap();
    let chain = Chain::builder()
        .with(PasswordAuthenticator::new(store.clone(), clock.clone()))
        .with(issuer.clone())
        .with(ApiKeyAuthenticator::new(store.clone(), clock))
        .build();
    let gateway = Gateway::builder(policy, chain)
        .follow(Arc::new(StoredChanges::of(store.clone())))
        .rates(rates)
        .service(Arc::new(OrderService::default()));
    let gateway = gateway.bind("127.0.0.1:0").await.unwrap();
    Stand { store, gateway, issuer, alice, scope }
}

impl Stand {
    async fn client(&self, headers: Headers) -> (Client, OrderServiceProxy) {
        let options = ConnectOptions::new("127.0.0.1").port(self.gateway.local_addr().port()).connect_headers(headers);
        let client = Client::connect(options).await.unwrap();
        (client.clone(), OrderServiceProxy::new(Arc::new(client)))
    }
}

fn order() -> Order {
    serde_json::from_value(serde_json::json!({"amount": 10})).unwrap()
}

/// Waits until a call is allowed, or denied, and says how long that took.
async fn until(orders: &OrderServiceProxy, allowed: bool) -> Duration {
    let began = Instant::now();
    while orders.place_order(order()).await.is_ok() != allowed {
        assert!(began.elapsed() < Duration::from_secs(5), "never {allowed}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    began.elapsed()
}

/// Gives a role and takes it away, twice; the decisions of one connection follow.
async fn follows(stand: &Stand, headers: Headers, change: impl AsyncFn(&Change)) {
    let (client, orders) = stand.client(headers).await;
    let mut events = client.events();
    assert!(orders.place_order(order()).await.is_err());
    for _ in 0..2 {
        change(&Change::default().add_role("finance")).await;
        assert!(until(&orders, true).await < Duration::from_millis(1_500));
        change(&Change::default().remove_role("finance")).await;
        assert!(until(&orders, false).await < Duration::from_millis(1_500));
    }
    let lost = tokio::time::timeout(Duration::from_millis(50), async {
        while let Some(event) = events.next().await {
            if matches!(event, Event::Lost { .. }) {
                break;
            }
        }
    });
    assert!(lost.await.is_err(), "it is the same connection all the time");
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_come_and_go_on_a_live_connection() {
    let stand = stand().await;
    let change_user = async |change: &Change| {
        stand.store.change_user(&stand.alice.id, change).await.unwrap();
    };
    follows(&stand, Headers::basic("alice@example.com", "alice-pw"), change_user).await;
    let token = stand.issuer.access_token(&stand.alice, &["pwd"]).unwrap();
    follows(&stand, Headers::bearer(token.expose().clone()), change_user).await;
    let (key, record) = api_key::generate(stand.scope.clone()).unwrap();
    stand.store.add_key(record.clone()).await.unwrap();
    let change_key = async |change: &Change| {
        stand.store.change_key(&record.id, change).await.unwrap();
    };
    follows(&stand, Headers::bearer(key.expose().clone()), change_key).await;

    let _client = stand.client(Headers::basic("alice@example.com", "alice-pw")).await;
    stand.store.change_user(&stand.alice.id, &Change::default().enabled(false)).await.unwrap();
    let began = Instant::now();
    while stand.gateway.connections() > 0 {
        assert!(began.elapsed() < Duration::from_millis(1_500), "a disabled user stays connected");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_organizations_too() {
    let stand = stand().await;
    let (key, record) = api_key::generate(stand.scope.clone()).unwrap();
    stand.store.add_key(record.clone()).await.unwrap();
    let (_client, orders) = stand.client(Headers::bearer(key.expose().clone())).await;
    assert!(orders.place_order(order()).await.is_err());
    stand.store.change_key(&record.id, &Change::default().add_role("finance")).await.unwrap();
    until(&orders, true).await;
    let organization = stand.scope.organization_id().unwrap().to_string();
    stand.store.set_suspended(&organization, true).await.unwrap();
    let began = Instant::now();
    while stand.gateway.connections() > 0 {
        assert!(began.elapsed() < Duration::from_millis(1_500), "a suspended organization stays connected");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_has_a_rate_of_its_own() {
    let stand = stand_with(&Rates { key: Some(Rate::new(1, 1)), ..Rates::UNLIMITED }).await;
    let (key, record) = api_key::generate(stand.scope.clone()).unwrap();
    stand.store.add_key(record).await.unwrap();
    let (by_key, _) = stand.client(Headers::bearer(key.expose().clone())).await;
    let (by_password, _) = stand.client(Headers::basic("alice@example.com", "alice-pw")).await;
    let echo = async |client: &Client| client.call::<u8>("com.example.OrderService", "echo", &[1]).await;
    assert_eq!(echo(&by_key).await.unwrap(), 1);
    let refused = echo(&by_key).await.unwrap_err();
    assert_eq!(refused.code(), Code::RateLimited);
    assert!(refused.retry_after().is_some_and(|wait| wait <= Duration::from_secs(1)), "{refused:?}");
    for _ in 0..3 {
        assert_eq!(echo(&by_password).await.unwrap(), 1);
    }
}
