//! Rates of single actions: wherever the call comes to its guard, and where there is no guard here.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(unreachable_pub, reason = "only public methods are published")]

use std::sync::Arc;

use policy_runtime::authn::Chain;
use policy_runtime::edge::{Rate, Rates};
use policy_runtime::entity::{Entities, Pool};
use policy_runtime::gateway::Gateway;
use policy_runtime::wire::{Command, Frame, header, message};
use policy_runtime::{Denied, Policy, abac_policy, publish};
use tests::raw::{Raw, serve, serve_with, show};
use tests::things;
use tests::users::Users;

const ALICE: &str = "tok.alice@example.com.1";
const BOB: &str = "tok.bob@example.com.1";
const REPOSITORY: &str = "app-api~org.kinotic.persistence.api.services.JsonEntitiesRepository";

fn once(action: &str) -> Rates {
    Rates::UNLIMITED.action(action, Rate::new(1, 1))
}

async fn ask(raw: &mut Raw, service: &str, method: &str, arguments: &str) -> String {
    raw.call_to(service, method, "asked", arguments).await;
    show(&raw.frame().await.unwrap())
}

#[abac_policy(authenticated)]
async fn ship() -> Result<u32, Denied> {
    Ok(1)
}

struct Depot;

#[publish("com.example")]
impl Depot {
    #[abac_policy(authenticated, action = "Depot.leave")]
    pub async fn send(&self) -> Result<u32, Denied> {
        Ok(1)
    }

    #[abac_policy(authenticated)]
    pub async fn through_a_function(&self) -> Result<u32, Denied> {
        ship().await
    }

    #[abac_policy(authenticated)]
    pub async fn three(&self) -> Result<u32, Denied> {
        Ok(ship().await? + ship().await? + ship().await?)
    }

    #[abac_policy(context.quota > 0)]
    pub async fn while_some_are_left(&self) -> Result<u32, Denied> {
        Ok(1)
    }
}

#[tokio::test]
async fn of_a_method_by_the_name_of_its_action_and_of_a_function_behind_it() {
    for (action, method) in [
        ("com.example.Depot.leave", "send"),
        ("rates::ship", "throughAFunction"),
        ("com.example.Depot.throughAFunction", "throughAFunction"),
    ] {
        let gateway = serve(|builder| builder.service(Arc::new(Depot)).rates(&once(action))).await;
        let (mut alice, mut bob) = (Raw::connect(&gateway, ALICE).await, Raw::connect(&gateway, BOB).await);
        assert_eq!(ask(&mut alice, "com.example.Depot", method, "").await, "1", "{action}");
        alice.call_to("com.example.Depot", method, "c", "").await;
        let refused = alice.frame().await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&refused.body).unwrap();
        assert_eq!(show(&refused), "error RATE_LIMITED", "{action}");
        assert!(
            body.get("retryAfterMs").and_then(serde_json::Value::as_u64).is_some_and(|ms| (1..=1_000).contains(&ms)),
            "{body}"
        );
        assert_eq!(ask(&mut bob, "com.example.Depot", method, "").await, "1", "of each participant");
    }
}

#[tokio::test]
async fn of_each_action_for_the_call_alone_and_not_for_what_it_calls() {
    let each = Rates { each_action: Some(Rate::new(2, 1)), ..Rates::UNLIMITED };
    let gateway = serve(|builder| builder.service(Arc::new(Depot)).rates(&each)).await;
    for (token, method, expect) in [
        (ALICE, "three", ["3", "3", "error RATE_LIMITED"]),
        (BOB, "three", ["3", "3", "error RATE_LIMITED"]),
        (ALICE, "send", ["1", "1", "error RATE_LIMITED"]),
        (BOB, "whileSomeAreLeft", ["1", "error ACCESS_DENIED", "error RATE_LIMITED"]),
    ] {
        let mut who = Raw::connect(&gateway, token).await;
        for expect in expect {
            assert_eq!(ask(&mut who, "com.example.Depot", method, "").await, expect, "{method}");
        }
    }
}

#[tokio::test]
async fn of_an_operation_on_rows() {
    let policy = Policy::builder().organization("acme").application("orders").build().unwrap();
    let entities = Entities::new(Pool::connect("sqlite::memory:").await.unwrap()).unwrap();
    let rates = once("com.example.fixture.Thing.count");
    let chain = Chain::builder().with(Users::of(policy.application().clone())).build();
    let builder = Gateway::builder(policy, chain).rates(&rates);
    let gateway = things::publish(builder, &entities).await.unwrap().bind("127.0.0.1:0").await.unwrap();
    let mut alice = Raw::connect(&gateway, ALICE).await;
    let count = "[\"acme.orders.thing\"]";
    assert_eq!(ask(&mut alice, REPOSITORY, "count", count).await, "0");
    assert_eq!(ask(&mut alice, REPOSITORY, "count", count).await, "error RATE_LIMITED");
    let page = "[\"acme.orders.thing\",{\"pageSize\":2,\"pageNumber\":0}]";
    assert!(ask(&mut alice, REPOSITORY, "findAll", page).await.starts_with("{\"totalElements\":0"));
}

#[tokio::test]
async fn of_a_service_that_a_client_hosts() {
    let policy = Policy::builder()
        .application("orders")
        .organization_rule("host", "permit Platform.service.host")
        .organization_rule("call", "permit Platform.service.call when service == 'a.Greeter' and context.quota == 0")
        .build()
        .unwrap();
    let rates = Rates { each_action: Some(Rate::new(3, 1)), ..once("a.Greeter.greet") };
    let gateway = serve_with(policy, |builder| builder.rates(&rates)).await;
    let (mut alice, mut bob) = (Raw::connect(&gateway, ALICE).await, Raw::connect(&gateway, BOB).await);
    for (id, address) in [("g", "srv://a.Greeter"), ("s", "srv://a.Secret")] {
        alice.send(&message::subscribe(id, address).with(header::RECEIPT, id)).await;
        assert_eq!(alice.frame().await.unwrap().command, Command::Receipt);
    }
    for expect in ["\"hi\"", "error RATE_LIMITED"] {
        bob.call_to("a.Greeter", "greet", "c", "").await;
        if expect == "\"hi\"" {
            let asked = alice.frame().await.unwrap();
            let to = asked.header(header::REPLY_TO).unwrap().to_owned();
            alice.send(&Frame::new(Command::Send).with(header::DESTINATION, to).with_body(header::JSON, expect)).await;
        }
        assert_eq!(show(&bob.frame().await.unwrap()), expect);
    }
    for service in ["a.Secret", "a.Nobody"] {
        for expect in ["UNKNOWN_SERVICE", "UNKNOWN_SERVICE", "UNKNOWN_SERVICE", "RATE_LIMITED"] {
            let told = ask(&mut bob, service, "greet", "").await;
            assert_eq!(told, format!("error {expect}"), "{service}: nothing shows which of them is hosted");
        }
    }
}
