//! Losses, reconnects, renewal.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::fake::SERVICE;
use super::*;
use crate::client::{BoxError, ConnectError};
use crate::code::Code;

/// Makes a new token each time: `names[n]`, and the last one for ever.
fn tokens(
    names: &'static [&'static str],
) -> (Arc<AtomicUsize>, impl Fn() -> std::future::Ready<Result<Headers, BoxError>> + Send + Sync + 'static) {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let make = move || {
        let n = counter.fetch_add(1, Ordering::SeqCst);
        std::future::ready(match names[n.min(names.len() - 1)] {
            "" => Err("the token endpoint is down".into()),
            name => Ok(Headers::bearer(name)),
        })
    };
    (count, make)
}

#[tokio::test]
async fn the_closure_is_called_for_every_connection() {
    let fake = Fake::start().await;
    let (count, make) = tokens(&["a.never", "b.never", "c.never"]);
    let client = Client::connect(options(&fake).connect_headers(make)).await.unwrap();
    let mut events = client.events();
    for n in 1..3 {
        let error = client.call::<u8>(SERVICE, "cut", &()).await.unwrap_err();
        assert_eq!(error.code(), Code::ConnectionLost);
        assert_eq!(client.call::<u8>(SERVICE, "echo", &(n,)).await.unwrap(), n, "a later call waits");
    }
    assert_eq!(count.load(Ordering::SeqCst), 3);
    assert_eq!(*fake.seen.upgrades.lock().unwrap(), ["Bearer a.never", "Bearer b.never", "Bearer c.never"]);
    wait_for(&mut events, |e| matches!(e, Event::Connected(_))).await;
    wait_for(&mut events, |e| matches!(e, Event::Lost { .. })).await;
    wait_for(&mut events, |e| matches!(e, Event::Retrying { attempt: 1, last: None, .. })).await;
    wait_for(&mut events, |e| matches!(e, Event::Connected(_))).await;
}

#[tokio::test]
async fn everything_in_flight_fails_clearly() {
    let fake = Fake::start().await;
    let client = connected(&fake).await;
    let mut stream = client.stream::<u64>(SERVICE, "forever", &());
    stream.next().await.unwrap().unwrap();
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.call::<u8>(SERVICE, "never", &()).await })
        })
        .collect();
    until("the calls are on their way", || fake.seen.calls.lock().unwrap().len() == 51).await;
    client.call::<u8>(SERVICE, "cut", &()).await.unwrap_err();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap_err().code(), Code::ConnectionLost);
    }
    let last = stream.collect::<Vec<_>>().await.pop().unwrap().unwrap_err();
    assert_eq!(last.code(), Code::ConnectionLost);
    assert_eq!(fake.seen.calls.lock().unwrap().len(), 52, "nothing is sent twice");
}

#[tokio::test]
async fn only_idempotent_calls_are_sent_again() {
    let fake = Fake::start().await;
    let client = connected(&fake).await;
    assert_eq!(client.request(SERVICE, "cut_once").idempotent().send::<u8>().await.unwrap(), 2);
    let error = client.request(SERVICE, "cut").idempotent().send::<u8>().await.unwrap_err();
    assert_eq!(error.code(), Code::ConnectionLost, "it is given up at some time");
}

#[tokio::test]
async fn an_error_frame_is_a_loss_with_its_text() {
    let fake = Fake::start().await;
    let client = connected(&fake).await;
    let error = client.call::<u8>(SERVICE, "error_frame", &()).await.unwrap_err();
    assert!(error.message().contains("enough of you"), "{error}");
    assert_eq!(client.call::<u8>(SERVICE, "echo", &(1,)).await.unwrap(), 1);
}

#[tokio::test]
async fn a_token_that_expired_is_replaced_on_the_next_attempt() {
    let fake = Fake::start().await;
    let (_, make) = tokens(&["a.never", "eve.never", "", "b.never"]);
    let client = Client::connect(options(&fake).connect_headers(make)).await.unwrap();
    let mut events = client.events();
    client.call::<u8>(SERVICE, "cut", &()).await.unwrap_err();
    let refused = |e: &Event| matches!(e, Event::Retrying { attempt: 2, last: Some(ConnectError::Refused(r)), .. } if r.status() == Some(401));
    wait_for(&mut events, refused).await;
    let failed = |e: &Event| matches!(e, Event::Retrying { attempt: 3, last: Some(ConnectError::Headers(_)), .. });
    wait_for(&mut events, failed).await;
    wait_for(&mut events, |e| matches!(e, Event::Connected(_))).await;
    assert_eq!(client.call::<u8>(SERVICE, "echo", &(1,)).await.unwrap(), 1);
}

#[tokio::test]
async fn calls_that_wait_are_told_why() {
    let fake = Fake::start().await;
    let (_, make) = tokens(&["a.never", ""]);
    let client = Client::connect(options(&fake).connect_headers(make)).await.unwrap();
    client.call::<u8>(SERVICE, "cut", &()).await.unwrap_err();
    let error = client.request(SERVICE, "echo").arguments(&(1,)).timeout(SHORT).send::<u8>().await.unwrap_err();
    assert_eq!(error.code(), Code::ConnectionLost);
    assert!(error.message().ends_with("the token endpoint is down"), "{error}");
}

#[tokio::test]
async fn attempts_end_where_they_are_bounded() {
    let fake = Fake::start().await;
    let (count, make) = tokens(&["a.never", ""]);
    let client = Client::connect(options(&fake).retry_attempts(3).connect_headers(make)).await.unwrap();
    let mut events = client.events();
    client.call::<u8>(SERVICE, "cut", &()).await.unwrap_err();
    let closed = wait_for(&mut events, |e| matches!(e, Event::Closed { .. })).await;
    assert!(matches!(closed, Event::Closed { reason: ConnectError::Headers(_) }));
    assert_eq!(count.load(Ordering::SeqCst), 4);
    let error = client.call::<u8>(SERVICE, "echo", &(1,)).await.unwrap_err();
    assert!(error.message().contains("the token endpoint is down"), "{error}");
}

#[tokio::test]
async fn a_fresh_credential_is_installed_ahead_of_the_end() {
    let fake = Fake::start().await;
    let (count, make) = tokens(&["a.500", "b.500", "c.60000"]);
    let client = Client::connect(options(&fake).connect_headers(make)).await.unwrap();
    let mut events = client.events();
    let first = std::time::Instant::now();
    wait_for(&mut events, |e| matches!(e, Event::Renewed { .. })).await;
    assert!((300..500).contains(&first.elapsed().as_millis()), "{:?}", first.elapsed());
    let long = Some(Duration::from_mins(1));
    wait_for(&mut events, |e| matches!(e, Event::Renewed { expires_in } if *expires_in == long)).await;
    assert_eq!(*fake.seen.renewals.lock().unwrap(), ["Bearer b.500", "Bearer c.60000"]);
    assert_eq!(fake.seen.upgrades.lock().unwrap().len(), 1, "on the same connection");
    assert_eq!(count.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_renewal_that_fails_is_tried_again_and_costs_nothing() {
    let fake = Fake::start().await;
    let (_, make) = tokens(&["a.1000", "", "bob.never", "c.60000"]);
    let client = Client::connect(options(&fake).connect_headers(make)).await.unwrap();
    let mut events = client.events();
    let told =
        |text: &'static str| move |e: &Event| matches!(e, Event::RenewalFailed { reason } if reason.contains(text));
    wait_for(&mut events, told("the token endpoint is down")).await;
    wait_for(&mut events, told("another participant")).await;
    assert_eq!(client.call::<u8>(SERVICE, "echo", &(1,)).await.unwrap(), 1);
}

#[tokio::test]
async fn a_login_is_renewed_and_a_fixed_token_is_not() {
    let fake = Fake::start().await;
    let login = Headers::basic("ada", "pw.300");
    let client = Client::connect(options(&fake).connect_headers(login)).await.unwrap();
    let mut events = client.events();
    wait_for(&mut events, |e| matches!(e, Event::Renewed { .. })).await;
    client.close().await;
    let renewals = fake.seen.renewals.lock().unwrap().len();
    let token = Client::connect(options(&fake).connect_headers(Headers::bearer("a.300"))).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(fake.seen.renewals.lock().unwrap().len(), renewals);
    assert!(token.is_connected());
}

#[tokio::test]
async fn a_wrong_fixed_credential_is_not_tried_again() {
    let fake = Fake::start().await;
    let revoked = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let gate = Proxy::start(fake.address.port(), Arc::clone(&revoked)).await;
    let at = ConnectOptions::new("127.0.0.1").port(gate).retry(Duration::from_millis(10), Duration::from_millis(50));
    let client = Client::connect(at.connect_headers(Headers::bearer("a.never"))).await.unwrap();
    let mut events = client.events();
    revoked.store(true, Ordering::SeqCst);
    client.call::<u8>(SERVICE, "cut", &()).await.unwrap_err();
    wait_for(&mut events, |e| matches!(e, Event::Closed { reason: ConnectError::Refused(_) })).await;
    let error = client.call::<u8>(SERVICE, "echo", &(1,)).await.unwrap_err();
    assert_eq!(error.code(), Code::Unauthenticated);
}

/// Passes connections on, until it answers 401 itself.
struct Proxy;

impl Proxy {
    async fn start(to: u16, revoked: Arc<std::sync::atomic::AtomicBool>) -> u16 {
        use tokio::io::AsyncWriteExt as _;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            loop {
                let (mut tcp, _) = listener.accept().await.unwrap();
                if revoked.load(Ordering::SeqCst) {
                    let _ = tcp.write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").await;
                    continue;
                }
                tokio::spawn(async move {
                    let mut server = tokio::net::TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut tcp, &mut server).await;
                });
            }
        });
        port
    }
}

#[tokio::test]
async fn a_connection_that_went_silent_is_given_up() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let fake = Fake::start().await;
    let to = fake.address.port();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    // The fake promises heart-beats every 50 ms and sends none: the client must notice.
    tokio::spawn(async move {
        loop {
            let (mut tcp, _) = listener.accept().await.unwrap();
            let mut server = tokio::net::TcpStream::connect(("127.0.0.1", to)).await.unwrap();
            tokio::spawn(async move {
                let (mut bytes, mut answer) = ([0; 4096], [0; 4096]);
                loop {
                    tokio::select! {
                        n = tcp.read(&mut bytes) => server.write_all(&bytes[..n.unwrap()]).await.unwrap(),
                        n = server.read(&mut answer) => {
                            tokio::time::sleep(Duration::from_millis(20)).await;
                            if tcp.write_all(&answer[..n.unwrap()]).await.is_err() { return }
                        }
                    }
                }
            });
        }
    });
    let beat = Duration::from_millis(50);
    let silent = options(&fake).port(port).heart_beat(beat, beat);
    let client = Client::connect(silent.connect_headers(Headers::bearer("a.never"))).await.unwrap();
    let mut events = client.events();
    let lost = wait_for(&mut events, |e| matches!(e, Event::Lost { .. })).await;
    assert!(matches!(&lost, Event::Lost { reason } if reason.contains("nothing was heard")), "{lost:?}");
    wait_for(&mut events, |e| matches!(e, Event::Connected(_))).await;
}
