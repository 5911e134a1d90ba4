//! The post-authentication hook over both transports: what it sees, adds, refuses, and what comes of its failures.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use policy_runtime::authn::{BoxFuture, Chain, PostAuthentication, Rejection};
use policy_runtime::credential::Facts;
use policy_runtime::gateway::Gateway;
use policy_runtime::tower::{self, AuthenticateLayer};
use policy_runtime::value::Value;
use policy_runtime::{Participant, Policy};
use tests::providers::send;
use tests::raw::{Raw, show};
use tests::users::Users;

const TOKEN: &str = "tok.alice@example.com.1";

/// Does as the header `x-case` says, and keeps what it saw.
#[derive(Debug, Clone, Default)]
struct Hook(Arc<Mutex<Vec<Facts>>>);

impl PostAuthentication for Hook {
    fn check<'a>(
        &'a self,
        participant: &'a Participant,
        facts: &'a Facts,
    ) -> BoxFuture<'a, Result<Vec<(String, Value)>, Rejection>> {
        Box::pin(async move {
            assert_eq!(participant.email(), Some("alice@example.com"));
            self.0.lock().unwrap().push(facts.clone());
            match facts.header("x-case") {
                Some("forbidden") => Err(Rejection::forbidden("the contract has ended")),
                Some("error") => Err(std::fmt::Error.into()),
                Some("panic") => panic!("the hook panics"),
                Some("slow") => std::future::pending().await,
                _ => Ok(vec![("plan".to_owned(), Value::text("gold"))]),
            }
        })
    }
}

async fn plan(participant: tower::Participant) -> String {
    format!("{:?}", participant.attributes())
}

struct Stand {
    gateway: Gateway,
    chain: Chain,
    hook: Hook,
}

async fn stand() -> Stand {
    let policy = Policy::for_application("orders").unwrap();
    let hook = Hook::default();
    let chain = Chain::builder().with(Users::of(policy.application().clone())).hook(hook.clone()).build();
    let layer = AuthenticateLayer::new(policy.clone(), chain.clone());
    let own = axum::Router::new().route("/plan/{id}", axum::routing::get(plan)).layer(layer);
    let gateway = Gateway::builder(policy, chain.clone()).routes(own).bind("127.0.0.1:0").await.unwrap();
    Stand { gateway, chain, hook }
}

impl Stand {
    /// The status over HTTP with its body, and the answer to CONNECT.
    async fn ask(&self, case: &str) -> (u16, String, String) {
        let authorization = format!("Bearer {TOKEN}");
        let headers = [("authorization", authorization.as_str()), ("x-case", case)];
        let url = format!("http://{}/plan/7?secret=in-the-query", self.gateway.local_addr());
        let answer = send("GET", &url, &headers, "").await.unwrap();
        let mut raw = Raw::dial(&self.gateway, &headers).await.unwrap();
        raw.say("CONNECT\naccept-version:1.2\n\n\0").await;
        let connected = show(&raw.frame().await.unwrap());
        (answer.status, answer.body, connected)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_sees_the_request_without_credentials_and_adds_attributes() {
    let stand = stand().await;
    let (status, body, connected) = stand.ask("fine").await;
    assert_eq!((status, connected.as_str()), (200, "CONNECTED "), "{body}");
    assert!(body.contains("plan") && body.contains("gold"), "{body}");
    let seen = stand.hook.0.lock().unwrap().clone();
    let paths: Vec<_> = seen.iter().map(|facts| (facts.method.as_str(), facts.path.as_str())).collect();
    assert_eq!(paths, [("GET", "/plan/7"), ("GET", "/v1")]);
    for facts in &seen {
        assert_eq!((facts.peer, facts.header("x-case")), (Some("127.0.0.1".parse().unwrap()), Some("fine")));
        assert!(!format!("{facts:?}").contains(TOKEN) && !format!("{facts:?}").contains("in-the-query"), "{facts:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_refuses_with_its_own_words() {
    let stand = stand().await;
    let (status, body, connected) = stand.ask("forbidden").await;
    assert_eq!((status, connected.as_str()), (403, "ERROR the contract has ended"));
    assert!(body.contains("the contract has ended"), "{body}");
    assert_eq!((stand.chain.hook_counters().refused(), stand.chain.hook_counters().failed()), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn its_failures_admit_nobody_and_are_counted_apart() {
    let stand = stand().await;
    for (n, case) in ["error", "panic", "slow"].into_iter().enumerate() {
        let began = Instant::now();
        let (status, body, connected) = stand.ask(case).await;
        assert_eq!(status, 500, "{case}: {body}");
        assert!(body.contains("sign-in failed ("), "{case}: {body}");
        assert!(connected.starts_with("ERROR sign-in failed ("), "{case}: {connected}");
        assert!(began.elapsed() < Duration::from_secs(8), "{case}: {:?}", began.elapsed());
        let counters = stand.chain.hook_counters();
        assert_eq!((counters.refused(), counters.failed()), (0, 2 * (u64::try_from(n).unwrap() + 1)), "{case}");
    }
}
