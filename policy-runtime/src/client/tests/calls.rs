//! Calls and streams on a connection that holds.

use std::sync::atomic::Ordering;

use super::fake::SERVICE;
use super::*;
use crate::code::Code;
use crate::service::Invoke as _;
use futures_util::TryStreamExt as _;

#[tokio::test]
async fn values_of_every_kind() {
    let fake = Fake::start().await;
    let client = connected(&fake).await;
    let long = "ä\0\n:\\c".repeat(10_000);
    assert_eq!(client.call::<String>(SERVICE, "echo", &(&long,)).await.unwrap(), long);
    assert_eq!(client.call::<String>(SERVICE, "text", &()).await.unwrap(), "a \"word\"");
    client.call::<()>(SERVICE, "void", &()).await.unwrap();
    assert_eq!(client.invoke(SERVICE, "echo", b"[{\"a\":1}]".to_vec()).await.unwrap(), b"{\"a\":1}");
    assert_eq!(client.invoke(SERVICE, "void", Vec::new()).await.unwrap(), b"null");
}

#[tokio::test]
async fn errors_come_with_their_code() {
    let fake = Fake::start().await;
    let client = connected(&fake).await;
    let denied = client.call::<()>(SERVICE, "fail", &("ACCESS_DENIED",)).await.unwrap_err();
    assert_eq!((denied.code(), denied.decision()), (Code::AccessDenied, Some("d-1")));
    assert_eq!(denied.message(), "it did not work: \"x\"\nand so on");
    let busy = client.call::<()>(SERVICE, "fail", &("RATE_LIMITED",)).await.unwrap_err();
    assert_eq!((busy.code(), busy.retry_after()), (Code::RateLimited, Some(Duration::from_millis(1500))));
    let foreign = client.call::<()>(SERVICE, "foreign", &()).await.unwrap_err();
    assert_eq!((foreign.code(), foreign.message()), (Code::AccessDenied, "no"));
    let unknown = client.call::<()>(SERVICE, "nothing", &()).await.unwrap_err();
    assert_eq!(unknown.code(), Code::UnknownMethod);
    let misread = client.call::<u8>(SERVICE, "echo", &("text",)).await.unwrap_err();
    assert_eq!(misread.code(), Code::Failed);
    assert_eq!(client.call::<u8>(SERVICE, "echo", &(1,)).await.unwrap(), 1, "the connection lives");
}

#[tokio::test]
async fn what_cannot_be_sent_is_not() {
    let fake = Fake::start().await;
    let client = connected(&fake).await;
    for (service, method) in [("a b\n", "m"), ("a", ""), ("", "m"), ("a@b@c", "m")] {
        let error = client.call::<()>(service, method, &()).await.unwrap_err();
        assert_eq!(error.code(), Code::BadArguments, "{service}/{method}");
    }
    assert_eq!(client.call::<()>(SERVICE, "echo", "alone").await.unwrap_err().code(), Code::BadArguments);
    let smuggled = client.request(SERVICE, "echo").header("reply-to", "reply://x").header("x\0", "y");
    assert_eq!(smuggled.send::<()>().await.unwrap_err().code(), Code::BadArguments);
    assert!(fake.seen.calls.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_hundred_calls_at_once() {
    let fake = Fake::start().await;
    let client = Client::connect(options(&fake).calls_in_flight(40)).await.unwrap();
    // The first waits longest, so that answers come in another order than calls.
    let calls = (0..100_u64).map(|i| {
        let client = client.clone();
        tokio::spawn(async move { client.call::<u64>(SERVICE, "wait", &(100 - i,)).await })
    });
    for (i, call) in calls.collect::<Vec<_>>().into_iter().enumerate() {
        assert_eq!(call.await.unwrap().unwrap(), 100 - i as u64);
    }
}

#[tokio::test]
async fn a_call_without_an_answer_ends_in_time() {
    let fake = Fake::start().await;
    let client = connected(&fake).await;
    let error = client.request(SERVICE, "never").timeout(SHORT).send::<()>().await.unwrap_err();
    assert_eq!(error.code(), Code::Timeout);
}

#[tokio::test]
async fn streams_end_fail_and_stay_in_order() {
    let fake = Fake::start().await;
    let client = connected(&fake).await;
    let values: Vec<u64> = client.stream::<u64>(SERVICE, "count", &(500,)).try_collect().await.unwrap();
    assert_eq!(values, (0..500).collect::<Vec<_>>());
    assert!(client.stream::<u64>(SERVICE, "count", &(0,)).try_collect::<Vec<_>>().await.unwrap().is_empty());
    let mut broken = client.stream::<u64>(SERVICE, "break", &());
    assert_eq!(broken.next().await.unwrap().unwrap(), 1);
    assert_eq!(broken.next().await.unwrap().unwrap_err().message(), "broken");
    assert!(broken.next().await.is_none());
    let single: Vec<u64> = client.stream::<u64>(SERVICE, "echo", &(5,)).try_collect().await.unwrap();
    assert_eq!(single, [5], "a single value is a stream of one");
    assert_eq!(fake.seen.cancels.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_dropped_stream_is_cancelled() {
    let fake = Fake::start().await;
    let client = connected(&fake).await;
    let mut stream = client.stream::<u64>(SERVICE, "forever", &());
    assert_eq!(stream.next().await.unwrap().unwrap(), 0);
    drop(stream);
    until("no cancel came", || fake.seen.cancels.load(Ordering::SeqCst) == 1).await;
    assert_eq!(client.call::<u64>(SERVICE, "forever", &()).await.unwrap(), 0, "a call takes the first value");
    until("no second cancel came", || fake.seen.cancels.load(Ordering::SeqCst) == 2).await;
}

#[tokio::test]
async fn a_slow_reader_costs_only_its_stream() {
    let fake = Fake::start().await;
    let client = Client::connect(options(&fake).stream_buffer(700)).await.unwrap();
    let mut slow = client.stream::<u64>(SERVICE, "forever", &());
    assert_eq!(slow.next().await.unwrap().unwrap(), 0);
    until("no cancel came", || fake.seen.cancels.load(Ordering::SeqCst) == 1).await;
    assert_eq!(client.call::<u8>(SERVICE, "echo", &(1,)).await.unwrap(), 1);
    let rest: Vec<_> = slow.collect().await;
    assert_eq!(rest.iter().filter(|v| v.is_ok()).count(), 10);
    assert!(rest.last().unwrap().as_ref().unwrap_err().message().contains("too slow"));
}

#[tokio::test]
async fn a_stream_keeps_its_client() {
    let fake = Fake::start().await;
    let client = connected(&fake).await;
    let stream = client.stream::<u64>(SERVICE, "count", &(3,));
    drop(client);
    assert_eq!(stream.try_collect::<Vec<_>>().await.unwrap(), [0, 1, 2]);
    until("no good-bye", || fake.seen.good_byes.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test]
async fn closing_is_clean() {
    let fake = Fake::start().await;
    let client = connected(&fake).await;
    let mut events = client.events();
    let other = client.clone();
    let open = tokio::spawn(async move { other.call::<u8>(SERVICE, "never", &()).await });
    until("the call is on its way", || !fake.seen.calls.lock().unwrap().is_empty()).await;
    client.close().await;
    assert_eq!(open.await.unwrap().unwrap_err().code(), Code::ConnectionLost);
    assert_eq!(fake.seen.good_byes.load(Ordering::SeqCst), 1);
    let error = client.call::<u8>(SERVICE, "echo", &(1,)).await.unwrap_err();
    assert_eq!((error.code(), error.message()), (Code::ConnectionLost, "the client was closed"));
    wait_for(&mut events, |e| matches!(e, Event::Closed { .. })).await;
    client.close().await;
}
