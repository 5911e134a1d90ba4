//! The first connection: it opens or fails at once, with the reason.

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use super::*;
use crate::client::{BoxError, ConnectError};
use crate::code::Code;

async fn refused(options: ConnectOptions) -> ConnectError {
    let began = Instant::now();
    let error = Client::connect(options).await.expect_err("it must be refused");
    assert!(began.elapsed() < Duration::from_secs(3), "{error} took {:?}", began.elapsed());
    error
}

#[tokio::test]
async fn a_password_a_token_and_a_key() {
    let fake = Fake::start().await;
    let client = Client::connect(options(&fake).connect_headers(Headers::basic("ada", "pw"))).await.unwrap();
    assert_eq!(client.participant().unwrap().id, "u-ada");
    connected(&fake).await;
    assert_eq!(*fake.seen.upgrades.lock().unwrap(), ["Basic YWRhOnB3", "Bearer ada.never"]);
}

#[tokio::test]
async fn the_documented_closure() {
    #[derive(Clone)]
    struct Session(Arc<AtomicUsize>);
    impl Session {
        async fn token(&self) -> Result<String, std::io::Error> {
            tokio::task::yield_now().await;
            Ok(format!("ada{}.never", self.0.fetch_add(1, Ordering::SeqCst)))
        }
    }
    let fake = Fake::start().await;
    let session = Session(Arc::default());
    let p = fake.address.port();
    let client = Client::connect(ConnectOptions::new("localhost").port(p).connect_headers(move || {
        let s = session.clone();
        async move { Ok(Headers::bearer(s.token().await?)) }
    }))
    .await
    .unwrap();
    assert_eq!(client.call::<u8>(fake::SERVICE, "echo", &(7,)).await.unwrap(), 7);
    assert_eq!(*fake.seen.upgrades.lock().unwrap(), ["Bearer ada0.never"]);
}

#[tokio::test]
async fn refused_by_the_upgrade() {
    let fake = Fake::start().await;
    let error = refused(options(&fake).connect_headers(Headers::bearer("eve.never"))).await;
    let ConnectError::Refused(refusal) = &error else { panic!("{error:?}") };
    assert_eq!((refusal.code(), refusal.status()), (Code::Unauthenticated, Some(401)));
    assert!(!format!("{error:?} {error}").contains("eve.never"));
}

#[tokio::test]
async fn refused_by_connect() {
    let fake = Fake::start().await;
    let error = refused(options(&fake).connect_headers(Headers::bearer("mallory.never"))).await;
    assert_eq!(
        (error.code(), error.to_string().as_str()),
        (Code::SignInRefused, "the connection was refused: mallory is not welcome")
    );
}

#[tokio::test]
async fn closures_that_fail_panic_or_never_end() {
    let fake = Fake::start().await;
    let fails = || async { Err::<Headers, BoxError>(std::io::Error::other("the token endpoint is down").into()) };
    let error = refused(options(&fake).connect_headers(fails)).await;
    let cause = error.source().unwrap().downcast_ref::<std::io::Error>().expect("the closure's own error");
    assert_eq!(cause.to_string(), "the token endpoint is down");

    let panics = || async { if true { panic!("on purpose") } else { Ok(Headers::new()) } };
    assert!(matches!(refused(options(&fake).connect_headers(panics)).await, ConnectError::HeadersPanicked));
    let panics_at_once = || -> std::future::Ready<Result<Headers, BoxError>> { panic!("on purpose") };
    assert!(matches!(refused(options(&fake).connect_headers(panics_at_once)).await, ConnectError::HeadersPanicked));

    let never = || std::future::pending::<Result<Headers, BoxError>>();
    let error = refused(options(&fake).headers_timeout(SHORT).connect_headers(never)).await;
    assert!(matches!(error, ConnectError::HeadersTimeout(_)), "{error:?}");
    assert!(fake.seen.upgrades.lock().unwrap().is_empty());
}

#[tokio::test]
async fn servers_that_are_not_there_or_say_nothing() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = free.local_addr().unwrap().port();
    // It accepts and stays silent.
    let silent = ConnectOptions::new("127.0.0.1").port(port).connect_timeout(SHORT);
    assert!(matches!(refused(silent).await, ConnectError::Timeout(_)));
    drop(free);
    assert!(matches!(refused(ConnectOptions::new("127.0.0.1").port(port)).await, ConnectError::Unreachable(_)));

    let fake = Fake::start().await;
    let mute = options(&fake).connect_timeout(SHORT).connect_headers(Headers::bearer("mute.never"));
    assert!(matches!(refused(mute).await, ConnectError::Timeout(_)));
    let tls = options(&fake).tls().connect_timeout(Duration::from_secs(2));
    assert!(matches!(refused(tls).await, ConnectError::Tls(_) | ConnectError::Timeout(_)));
    assert!(matches!(refused(ConnectOptions::new("no such host")).await, ConnectError::InvalidAddress(_)));
    assert!(matches!(refused(options(&fake).tls_root("no pem")).await, ConnectError::Tls(_)));
}

#[tokio::test]
async fn a_server_of_another_kind() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut tcp, _) = listener.accept().await.unwrap();
            let _ = tcp.read(&mut [0; 1024]).await;
            let _ = tcp.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
        }
    });
    let error = refused(ConnectOptions::new("127.0.0.1").port(port)).await;
    assert!(matches!(error, ConnectError::Protocol(_)), "{error:?}");
}
