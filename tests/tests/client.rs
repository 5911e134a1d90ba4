//! The Rust client against the gateway, also through a proxy that cuts, delays and swallows.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use policy_runtime::Code;
use policy_runtime::client::{BoxError, Client, ConnectError, ConnectOptions, Event, Headers};
use policy_runtime::clock::{Clock as _, SystemClock};
use policy_runtime::gateway::Gateway;
use tests::orders::{Order, OrderServiceProxy};
use tests::proxy::{Proxy, Weather};
use tests::raw::serve;

const SERVICE: &str = "com.example.OrderService";

fn to(port: u16) -> ConnectOptions {
    ConnectOptions::new("localhost").port(port).retry(Duration::from_millis(10), Duration::from_millis(200))
}

async fn gateway() -> Gateway {
    serve(|builder| builder).await
}

async fn alice(port: u16) -> Client {
    Client::connect(to(port).connect_headers(Headers::basic("alice@example.com", "alice-pw"))).await.unwrap()
}

fn order(amount: i64) -> Order {
    serde_json::from_value(serde_json::json!({ "amount": amount })).unwrap()
}

/// Tokens of alice that last for `time`, and how many were made.
fn tokens(
    time: Duration,
) -> (Arc<AtomicUsize>, impl Fn() -> std::future::Ready<Result<Headers, BoxError>> + Send + Sync + 'static) {
    let made = Arc::new(AtomicUsize::new(0));
    let count = made.clone();
    let fresh = move || {
        count.fetch_add(1, Ordering::SeqCst);
        let end = SystemClock.now().0 + i64::try_from(time.as_millis()).unwrap();
        std::future::ready(Ok(Headers::bearer(format!("tok.alice@example.com.until.{end}"))))
    };
    (made, fresh)
}

async fn wait_for(events: &mut BoxStream<'static, Event>, test: impl Fn(&Event) -> bool) -> Event {
    let found = async {
        loop {
            let event = events.next().await.unwrap();
            if test(&event) {
                return event;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), found).await.unwrap()
}

#[tokio::test]
async fn allowed_and_denied_through_a_typed_proxy() {
    let gateway = gateway().await;
    let port = gateway.local_addr().port();
    let client = alice(port).await;
    assert_eq!(client.participant().unwrap().id, "u-alice");
    let orders = OrderServiceProxy::new(Arc::new(client.clone()));
    assert_eq!(orders.place_order(order(49_999)).await.unwrap().amount, 49_999);
    let denied = orders.place_order(order(50_000)).await.unwrap_err();
    assert_eq!(denied.code(), Code::AccessDenied);
    assert!(denied.decision().is_some_and(|id| id.starts_with("d-")), "{denied:?}");
    assert_eq!(orders.placed().await.unwrap(), 1, "a refused call was not executed");

    let bob = Client::connect(to(port).connect_headers(Headers::bearer("tok.bob@example.com.1"))).await.unwrap();
    let refused = bob.call::<Order>(SERVICE, "placeOrder", &(order(1),)).await.unwrap_err();
    assert_eq!(refused.code(), Code::AccessDenied);
    let values: Vec<u32> = orders.count_to(5000).unwrap().try_collect().await.unwrap();
    assert_eq!(values, (1..=5000).collect::<Vec<_>>());
}

#[tokio::test]
async fn errors_of_every_kind() {
    let gateway = gateway().await;
    let client = alice(gateway.local_addr().port()).await;
    let check = async |service: &str, method: &str, arguments: serde_json::Value, expect: Code| {
        let error = client.call::<serde_json::Value>(service, method, &arguments).await.unwrap_err();
        assert_eq!(error.code(), expect, "{method}: {error}");
        error
    };
    check("com.example.Nothing", "echo", serde_json::json!([1]), Code::UnknownService).await;
    check(SERVICE, "nothing", serde_json::json!([]), Code::UnknownMethod).await;
    check(SERVICE, "placeOrder", serde_json::json!([{"amount": "many"}]), Code::BadArguments).await;
    check(SERVICE, "placeOrder", serde_json::json!([]), Code::BadArguments).await;
    let failed = check(SERVICE, "fail", serde_json::json!(["a: \"b\"\n\\c"]), Code::Failed).await;
    assert_eq!(failed.message(), "a: \"b\"\n\\c");
    let stream = client.stream::<u32>(SERVICE, "failAfter", &(2,)).collect::<Vec<_>>().await;
    assert_eq!(stream.len(), 3);
    assert_eq!(stream.last().unwrap().as_ref().unwrap_err().message(), "that was all");
    client.call::<()>(SERVICE, "voidNull", &()).await.unwrap();
}

#[tokio::test]
async fn a_refused_first_connect_fails_at_once() {
    let gateway = gateway().await;
    let port = gateway.local_addr().port();
    let begun = Instant::now();
    for headers in [
        Headers::basic("alice@example.com", "wrong"),
        Headers::basic("nobody@example.com", "alice-pw"),
        Headers::bearer("tok.alice@example.com.expired"),
        Headers::new(),
        Headers::bearer("tok.alice@example.com.1").for_application("acme", "other"),
    ] {
        let error = Client::connect(to(port).connect_headers(headers)).await.expect_err("it must be refused");
        assert!(matches!(error, ConnectError::Refused(_)), "{error:?}");
        assert_eq!(error.code(), Code::Unauthenticated);
    }
    assert!(begun.elapsed() < Duration::from_secs(3));
    drop(gateway);
    let gone = Client::connect(to(port)).await.expect_err("nobody listens");
    assert!(matches!(gone, ConnectError::Unreachable(_)), "{gone:?}");
}

#[tokio::test]
async fn streams_stop_on_the_server_when_they_are_dropped() {
    let gateway = gateway().await;
    let client = alice(gateway.local_addr().port()).await;
    let active = async || client.call::<usize>(SERVICE, "activeStreams", &()).await.unwrap();
    let mut ticks = client.stream::<u64>(SERVICE, "ticks", &(1,));
    let first: Vec<u64> = ticks.by_ref().take(20).try_collect().await.unwrap();
    assert_eq!(first, (1..=20).collect::<Vec<_>>());
    assert_eq!(active().await, 1);
    drop(ticks);
    for _ in 0..200 {
        if active().await == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the stream goes on");
}

#[tokio::test]
async fn a_hundred_calls_at_once_and_slow_ones_block_nobody() {
    let gateway = gateway().await;
    let client = alice(gateway.local_addr().port()).await;
    let slow = tokio::spawn({
        let client = client.clone();
        async move { client.call::<String>(SERVICE, "slow", &(500.0, "late")).await }
    });
    let calls =
        futures_util::future::join_all((0..100_u64).map(async |n| client.call::<u64>(SERVICE, "echo", &[n]).await));
    let answers: Vec<u64> = calls.await.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers, (0..100).collect::<Vec<_>>());
    assert!(!slow.is_finished());
    assert_eq!(slow.await.unwrap().unwrap(), "late");
}

#[tokio::test]
async fn a_cut_is_a_loss_and_the_closure_is_called_again() {
    let gateway = gateway().await;
    let proxy = Proxy::start(gateway.local_addr()).await;
    let (made, fresh) = tokens(Duration::from_mins(1));
    let client = Client::connect(to(proxy.port()).connect_headers(fresh)).await.unwrap();
    let mut events = client.events();
    for round in 1..=3 {
        let never = client.clone();
        let never = tokio::spawn(async move { never.call::<()>(SERVICE, "never", &()).await });
        let mut ticks = client.stream::<u64>(SERVICE, "ticks", &(1,));
        assert_eq!(ticks.next().await.unwrap().unwrap(), 1);
        proxy.cut();
        let begun = Instant::now();
        assert_eq!(never.await.unwrap().unwrap_err().code(), Code::ConnectionLost);
        let end = ticks.collect::<Vec<_>>().await.pop().unwrap().unwrap_err();
        assert_eq!(end.code(), Code::ConnectionLost);
        assert!(begun.elapsed() < Duration::from_secs(1));
        assert_eq!(client.call::<u64>(SERVICE, "echo", &[round]).await.unwrap(), round);
        assert_eq!(made.load(Ordering::SeqCst) as u64, 1 + round);
        wait_for(&mut events, |e| matches!(e, Event::Lost { .. })).await;
        wait_for(&mut events, |e| matches!(e, Event::Connected(_))).await;
    }
}

#[tokio::test]
async fn a_server_that_is_down_for_a_while() {
    let gateway = gateway().await;
    let proxy = Proxy::start(gateway.local_addr()).await;
    let client = alice(proxy.port()).await;
    let mut events = client.events();
    proxy.set(Weather::Down);
    wait_for(&mut events, |e| matches!(e, Event::Retrying { attempt: 3, last: Some(_), .. })).await;
    let soon = client.request(SERVICE, "echo").arguments(&[1]).timeout(Duration::from_millis(100));
    assert_eq!(soon.send::<u8>().await.unwrap_err().code(), Code::ConnectionLost);
    let waits = client.call::<u8>(SERVICE, "echo", &[1]);
    proxy.set(Weather::Fine);
    assert_eq!(waits.await.unwrap(), 1, "a call waits for the connection");
}

#[tokio::test]
async fn a_slow_way_and_a_silent_one() {
    let gateway = gateway().await;
    let proxy = Proxy::start(gateway.local_addr()).await;
    let client = alice(proxy.port()).await;
    proxy.set(Weather::Slow(Duration::from_millis(50)));
    assert_eq!(client.call::<u8>(SERVICE, "echo", &[1]).await.unwrap(), 1);
    proxy.set(Weather::Silent);
    let lost = client.request(SERVICE, "echo").arguments(&[1]).timeout(Duration::from_millis(300));
    assert_eq!(lost.send::<u8>().await.unwrap_err().code(), Code::Timeout);
    let silent = to(proxy.port()).connect_timeout(Duration::from_millis(300));
    assert!(matches!(Client::connect(silent).await, Err(ConnectError::Timeout(_))));
    proxy.set(Weather::Fine);
    proxy.cut();
    let again = client.request(SERVICE, "echo").arguments(&[2]).idempotent();
    assert_eq!(again.send::<u8>().await.unwrap(), 2, "it is sent again if the cut comes after it");
}

#[tokio::test(flavor = "multi_thread")]
async fn cuts_in_the_middle_never_repeat_a_call() {
    let gateway = gateway().await;
    let proxy = Proxy::start(gateway.local_addr()).await;
    let client = alice(proxy.port()).await;
    let (mut done, mut failed) = (0, 0);
    for round in 0..8_u64 {
        let calls = (0..25).map(async |n| {
            tokio::time::sleep(Duration::from_millis(n % 5)).await;
            client.call::<Order>(SERVICE, "placeOrder", &(order(1),)).await
        });
        let cut = async {
            tokio::time::sleep(Duration::from_micros(700 * round)).await;
            proxy.cut();
        };
        for answer in futures_util::future::join(futures_util::future::join_all(calls), cut).await.0 {
            match answer {
                Ok(_) => done += 1,
                Err(error) => {
                    assert_eq!(error.code(), Code::ConnectionLost);
                    failed += 1;
                }
            }
        }
    }
    // The last cut may be noticed only now.
    let placed: usize = loop {
        match client.call(SERVICE, "placed", &()).await {
            Ok(placed) => break placed,
            Err(error) => assert_eq!(error.code(), Code::ConnectionLost),
        }
    };
    assert!(done <= placed && placed <= done + failed, "{done} done, {failed} failed, {placed} placed");
    assert_eq!(done + failed, 200);
}

#[tokio::test]
async fn a_credential_is_renewed_while_a_stream_goes_on() {
    let gateway = gateway().await;
    let (made, fresh) = tokens(Duration::from_secs(1));
    let client = Client::connect(to(gateway.local_addr().port()).connect_headers(fresh)).await.unwrap();
    let mut events = client.events();
    let mut ticks = client.stream::<u64>(SERVICE, "ticks", &(10,));
    let begun = Instant::now();
    let mut last = 0;
    while begun.elapsed() < Duration::from_millis(2600) {
        let next = ticks.next().await.unwrap().unwrap();
        assert_eq!(next, last + 1);
        last = next;
    }
    assert!(made.load(Ordering::SeqCst) >= 3);
    wait_for(&mut events, |e| matches!(e, Event::Renewed { expires_in: Some(_) })).await;
    assert_eq!(gateway.connections(), 1, "on one connection");
}

#[tokio::test]
async fn who_was_disconnected_comes_back_with_a_fresh_token() {
    let gateway = gateway().await;
    let (made, fresh) = tokens(Duration::from_mins(1));
    let client = Client::connect(to(gateway.local_addr().port()).connect_headers(fresh)).await.unwrap();
    let mut events = client.events();
    assert_eq!(gateway.disconnect("u-alice"), 1);
    let lost = wait_for(&mut events, |e| matches!(e, Event::Lost { .. })).await;
    assert!(matches!(&lost, Event::Lost { reason } if reason.contains("1008")), "{lost:?}");
    assert_eq!(client.call::<u8>(SERVICE, "echo", &[1]).await.unwrap(), 1);
    assert_eq!(made.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_clean_close() {
    let gateway = gateway().await;
    let client = alice(gateway.local_addr().port()).await;
    client.close().await;
    assert!(!client.is_connected());
    for _ in 0..100 {
        if gateway.connections() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the connection is still there");
}
