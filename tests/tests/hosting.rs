//! Services that the Rust client hosts, called through the gateway.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use policy_runtime::audit::{MemoryAudit, Record};
use policy_runtime::client::{Client, ConnectOptions, Event, Headers, HostedCall};
use policy_runtime::gateway::Gateway;
use policy_runtime::policy::PolicyBuilder;
use policy_runtime::service::{CallError, Reply};
use policy_runtime::{Code, Policy, SetSource};
use tests::proxy::Proxy;
use tests::raw::serve_with;

const GREETER: &str = "com.example.hosted.Greeter";
const NOTHING: [u8; 0] = [];

/// Counts the streams that are open, until they are dropped.
struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn greeter(call: &HostedCall, open: Arc<AtomicUsize>) -> Result<Reply, CallError> {
    match call.method.as_str() {
        "greet" => {
            call.arguments.expect(1)?;
            let name: String = call.arguments.take(0, "name")?;
            let caller = call.caller.as_ref().map_or("nobody", |caller| &caller.id);
            Reply::value(&format!("hi {name}, you are {caller}"))
        }
        "nothing" => Ok(Reply::Nothing),
        "panic" => panic!("as the test wants"),
        "count" => Ok(Reply::values(stream::iter(1..=3))),
        "ticks" => {
            open.fetch_add(1, Ordering::SeqCst);
            let ticks = stream::unfold((0, Open(open)), |(n, open)| async move {
                tokio::time::sleep(Duration::from_millis(10)).await;
                Some((n, (n + 1, open)))
            });
            Ok(Reply::values(ticks))
        }
        other => Err(CallError::unknown_method(GREETER, other)),
    }
}

fn policy() -> PolicyBuilder {
    let policy = Policy::builder().application("orders");
    policy.organization_rule("callers", "permit Platform.service.call")
}

async fn gateway() -> Gateway {
    let hosts = "permit Platform.service.host when participant.roles contains 'finance'";
    serve_with(policy().organization_rule("hosts", hosts).build().unwrap(), |builder| builder).await
}

async fn client(port: u16, who: &str) -> Client {
    let options = ConnectOptions::new("127.0.0.1").port(port).connect_headers(Headers::bearer(format!("tok.{who}.1")));
    Client::connect(options).await.unwrap()
}

/// A service is offered as soon as the gateway has read that; nothing tells when.
async fn greet(bob: &Client) -> Result<String, CallError> {
    for _ in 0..50 {
        match bob.call(GREETER, "greet", &["bob"]).await {
            Err(error) if error.code() == Code::UnknownService => tokio::time::sleep(Duration::from_millis(100)).await,
            answer => return answer,
        }
    }
    panic!("it is not hosted")
}

#[tokio::test]
async fn a_client_hosts_a_service() {
    let gateway = gateway().await;
    let proxy = Proxy::start(gateway.local_addr()).await;
    let open = Arc::new(AtomicUsize::new(0));
    let alice = client(proxy.port(), "alice@example.com").await;
    let bob = client(gateway.local_addr().port(), "bob@example.com").await;
    let counted = open.clone();
    let hosting = alice.host(GREETER, move |call| std::future::ready(greeter(&call, counted.clone()))).unwrap();
    assert_eq!(greet(&bob).await.unwrap(), "hi bob, you are u-bob");
    bob.call::<()>(GREETER, "nothing", &NOTHING).await.unwrap();
    let error = async |method: &str| bob.call::<u32>(GREETER, method, &NOTHING).await.unwrap_err().code();
    assert_eq!(error("greet").await, Code::BadArguments, "too few");
    assert_eq!(error("none").await, Code::UnknownMethod);
    assert_eq!(error("panic").await, Code::Internal);
    let counted: Vec<u32> = bob.request(GREETER, "count").stream::<u32>().map(Result::unwrap).collect().await;
    assert_eq!(counted, [1, 2, 3]);

    let mut ticks = bob.request(GREETER, "ticks").stream::<u32>();
    assert_eq!(ticks.next().await.unwrap().unwrap(), 0);
    assert_eq!(ticks.next().await.unwrap().unwrap(), 1);
    assert_eq!(open.load(Ordering::SeqCst), 1);
    drop(ticks);
    tokio::time::timeout(Duration::from_secs(2), async {
        while open.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("a stream that nobody reads is stopped at its host");

    let mut events = alice.events();
    proxy.cut();
    while !matches!(events.next().await, Some(Event::Lost { .. })) {}
    while !matches!(events.next().await, Some(Event::Connected(_))) {}
    assert_eq!(greet(&bob).await.unwrap(), "hi bob, you are u-bob", "on the next connection");

    drop(hosting);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(error("nothing").await, Code::UnknownService, "it was taken back");
}

#[tokio::test]
async fn a_stream_ends_when_its_grant_does_and_calls_are_audited() {
    let grant = |who: &str| SetSource {
        rules: [
            ("hosts", "permit Platform.service.host".to_owned()),
            ("callers", format!("permit Platform.service.call when participant.id == '{who}'")),
        ]
        .map(|(id, rule)| (id.to_owned(), rule))
        .into(),
        ..SetSource::default()
    };
    let audit = Arc::new(MemoryAudit::default());
    let policy = Policy::builder().application("orders").audit(audit.clone()).build().unwrap();
    policy.replace(&policy.organization(), &grant("u-bob")).unwrap();
    policy.require_audit("Platform.service.call").unwrap();
    let gateway = serve_with(policy.clone(), |builder| builder).await;
    let port = gateway.local_addr().port();
    let (alice, bob) = (client(port, "alice@example.com").await, client(port, "bob@example.com").await);
    let open = Arc::new(AtomicUsize::new(0));
    let counted = open.clone();
    let _hosting = alice.host(GREETER, move |call| std::future::ready(greeter(&call, counted.clone()))).unwrap();
    greet(&bob).await.unwrap();
    let mut ticks = bob.request(GREETER, "ticks").stream::<u32>();
    assert_eq!(ticks.next().await.unwrap().unwrap(), 0);
    policy.replace(&policy.organization(), &grant("u-carol")).unwrap();
    let end = loop {
        if let Err(error) = ticks.next().await.expect("it does not end as if it were complete") {
            break error;
        }
    };
    assert_eq!(end.code(), Code::AccessDenied);
    let error = bob.call::<()>(GREETER, "nothing", &NOTHING).await.unwrap_err();
    assert_eq!(error.code(), Code::UnknownService, "nothing shows that it is hosted");
    let records = audit.records();
    let is_call = |(record, ended): &&(Record, bool)| &*record.action == "Platform.service.call" && *ended;
    assert_eq!(records.iter().filter(is_call).count(), 2, "{records:?}");
}

#[tokio::test]
async fn hosting_needs_a_grant_and_a_name() {
    let gateway = gateway().await;
    let port = gateway.local_addr().port();
    let (alice, bob) = (client(port, "alice@example.com").await, client(port, "bob@example.com").await);
    let _refused = bob.host(GREETER, async |_| Ok(Reply::Nothing)).unwrap();
    let _taken = alice.host("com.example.OrderService", async |_| Ok(Reply::Nothing)).unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let error = alice.call::<()>(GREETER, "nothing", &NOTHING).await.unwrap_err();
    assert_eq!(error.code(), Code::UnknownService, "bob may not host");
    assert_eq!(alice.call::<u32>("com.example.OrderService", "echo", &[1]).await.unwrap(), 1, "a Rust service stays");
    for bad in ["", "a b/c", "x/method", "x#1"] {
        assert_eq!(alice.host(bad, async |_| Ok(Reply::Nothing)).unwrap_err().code(), Code::BadArguments, "{bad}");
    }
}

/// Who answers ten calls, one after the other.
async fn answered(caller: &Client) -> Vec<String> {
    let mut hosts = Vec::new();
    for _ in 0..10 {
        hosts.push(caller.call::<String>(GREETER, "who", &NOTHING).await.unwrap());
    }
    hosts.sort();
    hosts.dedup();
    hosts
}

#[tokio::test]
async fn a_second_participant_hosts_what_is_shared() {
    let rule = |id: &str, action: &str| (id.to_owned(), format!("permit Platform.service.{action}"));
    let grants = |some: &[&str]| SetSource {
        rules: some.iter().map(|action| rule(action, action)).collect(),
        ..SetSource::default()
    };
    let policy = policy().build().unwrap();
    let gateway = serve_with(policy.clone(), |builder| builder).await;
    let port = gateway.local_addr().port();
    let (alice, bob) = (client(port, "alice@example.com").await, client(port, "bob@example.com").await);
    let host = |client: &Client, name: &'static str| {
        client.host(GREETER, move |_| std::future::ready(Reply::value(name))).unwrap()
    };
    let organization = policy.organization();
    for (granted, hosts) in [(&["call", "host"][..], &["alice"][..]), (&["call", "host", "share"], &["alice", "bob"])] {
        policy.replace(&organization, &grants(granted)).unwrap();
        let first = host(&alice, "alice");
        tokio::time::sleep(Duration::from_millis(200)).await;
        let second = host(&bob, "bob");
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(answered(&alice).await, hosts, "{granted:?}");
        if hosts.len() == 2 {
            policy.replace(&organization, &grants(&["call", "host"])).unwrap();
            tokio::time::sleep(Duration::from_millis(200)).await;
            assert_eq!(answered(&alice).await, ["alice"], "who joined leaves when it is shared no more");
        }
        drop((first, second));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
