//! Facts that another service knows reach guards by themselves: behind the gateway and behind the tower layer.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(unreachable_pub, reason = "only public methods are published")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use policy_runtime::authn::{BoxFuture, Chain};
use policy_runtime::client::{Client, ConnectOptions, Headers};
use policy_runtime::gateway::Gateway;
use policy_runtime::pip::{About, AttributeSource, Facts, SourceError, Sources};
use policy_runtime::tower::AuthenticateLayer;
use policy_runtime::value::Value;
use policy_runtime::{Denied, Policy, abac_policy, publish};
use tests::orders::OrderError;
use tests::providers::send;
use tests::users::Users;

#[derive(Debug)]
struct Reports;

#[publish("com.example")]
impl Reports {
    #[abac_policy(participant.contract == "gold" and context.onSite == true)]
    pub async fn export(&self) -> Result<String, OrderError> {
        Ok("exported".to_owned())
    }
}

#[abac_policy(participant.contract == "gold" and context.onSite == true)]
async fn export() -> Result<&'static str, Denied> {
    Ok("exported")
}

/// Alice has the contract, and is on the site.
#[derive(Debug)]
struct Known(Arc<AtomicUsize>);

impl AttributeSource for Known {
    fn fetch<'a>(&'a self, about: &'a About<'a>) -> BoxFuture<'a, Result<Facts, SourceError>> {
        Box::pin(async move {
            self.0.fetch_add(1, Ordering::SeqCst);
            Ok(match about {
                About::Participant(who) if who.id() == "u-alice" => {
                    Facts::from([("contract".into(), Value::text("gold"))])
                }
                About::Context(_) => Facts::from([("onSite".into(), Value::Bool(true))]),
                About::Participant(_) | About::Resource(..) | _ => Facts::new(),
            })
        })
    }
}

fn sources() -> (Sources, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let (deadline, keep) = (Duration::from_secs(1), Duration::from_mins(1));
    let known = || Known(asked.clone());
    (Sources::default().participant(known(), deadline, keep).context(known(), deadline, keep), asked)
}

fn policy() -> (Policy, Chain) {
    let policy = Policy::builder().application("orders").supplies(["contract"]).build().unwrap();
    let chain = Chain::builder().with(Users::of(policy.application().clone())).build();
    (policy, chain)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_over_the_gateway_is_decided_with_what_sources_know() {
    let (policy, chain) = policy();
    let (sources, asked) = sources();
    let gateway = Gateway::builder(policy, chain).sources(sources).service(Arc::new(Reports));
    let gateway = gateway.bind("127.0.0.1:0").await.unwrap();
    let export = async |name: &str| {
        let token = Headers::bearer(format!("tok.{name}@example.com.1"));
        let options = ConnectOptions::new("127.0.0.1").port(gateway.local_addr().port()).connect_headers(token);
        let reports = ReportsProxy::new(Arc::new(Client::connect(options).await.unwrap()));
        let first = reports.export().await.is_ok();
        assert_eq!(reports.export().await.is_ok(), first);
        first
    };
    assert!(export("alice").await);
    assert_eq!(asked.load(Ordering::SeqCst), 2, "once about her, once about her calls");
    assert!(!export("bob").await);
    gateway.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_behind_the_layer_too() {
    let (policy, chain) = policy();
    let (sources, _) = sources();
    let app = Router::new().route("/", get(export)).layer(AuthenticateLayer::new(policy, chain).sources(sources));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let status = async |name: &str| {
        let bearer = format!("Bearer tok.{name}@example.com.1");
        send("GET", &url, &[("authorization", &bearer)], "").await.unwrap().status
    };
    assert_eq!((status("alice").await, status("bob").await), (200, 403));
}
