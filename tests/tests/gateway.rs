//! The gateway over real sockets: sign-in in both dialects, the life of a connection, and what hostile peers get.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]
#![expect(unreachable_pub, reason = "only public methods are published")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt as _};
use policy_runtime::clock::{Clock as _, SystemClock};
use policy_runtime::gateway::{Gateway, Limits, Refusals};
use policy_runtime::wire::{Command, Frame, header, message};
use policy_runtime::{Denied, Policy, SetSource, abac_policy, publish};
use tests::raw::{Ended, Raw, serve, serve_with, show};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const ALICE: &str = "tok.alice@example.com.1";
const CONNECT: &str = "CONNECT\naccept-version:1.2\nheart-beat:30000,120000\n\n\0";

/// A token of alice that ends after some time.
fn alice_for(time: Duration) -> String {
    let end = SystemClock.now().0 + i64::try_from(time.as_millis()).unwrap();
    format!("tok.alice@example.com.until.{end}")
}

async fn plain() -> Gateway {
    serve(|builder| builder).await
}

/// What CONNECT is answered with, in a line.
async fn connect(gateway: &Gateway, headers: &[(&str, &str)], connect: &str) -> String {
    match Raw::dial(gateway, headers).await {
        Ok(mut raw) => {
            raw.say(connect).await;
            raw.frame().await.map_or_else(|ended| format!("{ended:?}"), |frame| show(&frame))
        }
        Err(status) => status.to_string(),
    }
}

#[tokio::test]
async fn refusals_are_told_at_connect() {
    let gateway = plain().await;
    let check = async |headers: &[(&str, &str)], expect: &str| {
        assert_eq!(connect(&gateway, headers, CONNECT).await, expect, "{headers:?}");
    };
    check(&[("authorization", "Bearer tok.alice@example.com.expired")], "ERROR invalid credentials").await;
    check(&[("authorization", "Bearer nonsense")], "ERROR invalid credentials").await;
    check(&[("authorization", "Basic YWxpY2VAZXhhbXBsZS5jb206d3Jvbmc=")], "ERROR invalid credentials").await;
    check(&[("clientid", "alice@example.com"), ("clientsecret", "alice-pw")], "CONNECTED ").await;
    check(&[("authorization", "Bearer tok.alice@example.com.1")], "CONNECTED ").await;
    check(&[], "ERROR authentication failed").await;
    let both = [
        ("authorization", "Bearer tok.bob@example.com.1"),
        ("clientid", "alice@example.com"),
        ("clientsecret", "alice-pw"),
    ];
    check(&both, "ERROR invalid credentials").await;
    check(&[("applicationid", "other"), ("organizationid", "acme"), both[0]], "ERROR invalid credentials").await;
}

#[tokio::test]
async fn an_expired_token_of_a_client_that_comes_back_is_401() {
    let gateway = plain().await;
    let expired = [("authorization", "Bearer tok.alice@example.com.expired")];
    assert_eq!(connect(&gateway, &expired, CONNECT).await, "ERROR invalid credentials");
    let lost = Raw::connect(&gateway, ALICE).await;
    drop(lost);
    while gateway.connections() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(connect(&gateway, &expired, CONNECT).await, "401");
    let _back = Raw::connect(&gateway, ALICE).await;
    assert_eq!(connect(&gateway, &expired, CONNECT).await, "ERROR invalid credentials", "it has come back");
}

#[tokio::test]
async fn refusals_by_status_when_so_configured() {
    let gateway = serve(|builder| builder.refusals(Refusals::Status)).await;
    assert_eq!(connect(&gateway, &[("authorization", "Bearer nonsense")], CONNECT).await, "401");
}

#[tokio::test]
async fn the_legacy_dialect_frame_by_frame() {
    let gateway = plain().await;
    let id = "9d579878-6f3b-4a52-9e5e-0d8f3d1a7c11";
    let legacy = |credentials: &str| {
        format!("CONNECT\n{credentials}\nreply-to-id:{id}\naccept-version:1.2,1.1,1.0\nheart-beat:30000,120000\n\n\0")
    };
    let protocols = [("sec-websocket-protocol", "v12.stomp,v11.stomp,v10.stomp")];
    let mut raw = Raw::dial(&gateway, &protocols).await.unwrap();
    raw.say(&legacy("login:alice@example.com\npasscode:alice-pw")).await;
    let connected = raw.frame().await.unwrap();
    let info: serde_json::Value = serde_json::from_str(connected.header(header::CONNECTED_INFO).unwrap()).unwrap();
    assert_eq!(info["replyToId"], id, "its own id is an alias");
    assert!(info["sessionId"].as_str().is_some_and(|session| session != id));
    assert_eq!(info["participant"]["roles"], serde_json::json!(["finance", "user"]));

    let replies = format!("srv://{id}:157a4d5@kinoitc.js.EventBus/replyHandler");
    raw.send(&message::subscribe("sub-0", &replies)).await;
    raw.send(&message::request("srv://com.example.OrderService/echo", &replies, "c1", "[\"x\"]")).await;
    let reply = raw.frame().await.unwrap();
    assert_eq!(reply.header(header::DESTINATION), Some(&*replies));
    assert_eq!((show(&reply), reply.header(header::SUBSCRIPTION)), ("\"x\"".into(), Some("sub-0")));
    raw.send(&message::request("srv://com.example.OrderService/placeOrder", &replies, "c2", "[{\"amount\":50000}]"))
        .await;
    assert_eq!(show(&raw.frame().await.unwrap()), "error ACCESS_DENIED");

    let again = connect(&gateway, &[], &legacy(&format!("Authorization:Bearer {ALICE}"))).await;
    assert_eq!(again, "ERROR reply-to-id is in use", "another live connection has it");
    raw.send(&message::disconnect("close-1")).await;
    assert_eq!(raw.frame().await.unwrap().header(header::RECEIPT_ID), Some("close-1"));
    assert_eq!(raw.end(Duration::from_secs(1)).await, Ended::Closed(1000));
    while gateway.connections() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let check = async |credentials: &str, expect: &str| {
        assert_eq!(connect(&gateway, &[], &legacy(credentials)).await, expect, "{credentials}");
    };
    check(&format!("Authorization:Bearer {ALICE}"), "CONNECTED ").await;
    check("login:alice@example.com\npasscode:wrong", "ERROR invalid credentials").await;
    check("session:1234", "ERROR sessions are not resumed, connect with credentials").await;
    check("session:1\ndisable-sticky-session:true", "ERROR session and disable-sticky-session exclude each other")
        .await;
    check("login:alice@example.com", "ERROR header `login` stands without its secret").await;
    let no_uuid = CONNECT.replace("\n\n", "\nlogin:bob@example.com\npasscode:bob-pw\nreply-to-id:bob\n\n");
    assert_eq!(connect(&gateway, &[], &no_uuid).await, "ERROR reply-to-id must be a UUID");
    let other = [("authorization", "Bearer tok.bob@example.com.1")];
    let two = CONNECT.replace("\n\n", "\nlogin:alice@example.com\npasscode:alice-pw\n\n");
    assert_eq!(connect(&gateway, &other, &two).await, "ERROR authentication failed", "two participants");
}

#[tokio::test]
async fn a_connection_ends_with_its_credential() {
    let gateway = plain().await;
    let mut raw = Raw::connect(&gateway, &alice_for(Duration::from_millis(700))).await;
    raw.call("ticks", "t", "[5]").await;
    assert_eq!(show(&raw.frame().await.unwrap()), "1");
    let begun = std::time::Instant::now();
    assert_eq!(raw.end(Duration::from_secs(5)).await, Ended::Closed(1008));
    assert!(begun.elapsed() < Duration::from_millis(1500), "{:?}", begun.elapsed());
    let mut other = Raw::connect(&gateway, ALICE).await;
    assert_eq!(other.ask("activeStreams", "").await, "0", "its stream has ended");
}

#[tokio::test]
async fn a_credential_is_renewed_in_place() {
    let gateway = plain().await;
    let mut raw = Raw::connect(&gateway, &alice_for(Duration::from_millis(900))).await;
    let renew = |raw: &Raw, token: &str| {
        let replies = message::reply_address(&raw.reply_to_id, "t");
        message::request(message::RENEW, &replies, "renew", "").with(header::AUTHORIZATION, format!("Bearer {token}"))
    };
    for bad in ["nonsense", "tok.alice@example.com.expired", "tok.bob@example.com.1"] {
        let frame = renew(&raw, bad);
        raw.send(&frame).await;
        assert_eq!(show(&raw.frame().await.unwrap()), "error UNAUTHENTICATED", "{bad}");
    }
    let frame = renew(&raw, &alice_for(Duration::from_millis(2500)));
    raw.send(&frame).await;
    let told = show(&raw.frame().await.unwrap());
    assert!(told.starts_with("{\"expiresInMs\":2"), "{told}");
    tokio::time::sleep(Duration::from_millis(1300)).await;
    assert_eq!(raw.ask("echo", "[1]").await, "1", "it goes on after the first end");
    assert_eq!(raw.end(Duration::from_secs(4)).await, Ended::Closed(1008), "and ends with the second");
}

#[tokio::test]
async fn a_revoked_participant_is_disconnected_everywhere_at_once() {
    let gateway = plain().await;
    let (mut one, mut two) = (Raw::connect(&gateway, ALICE).await, Raw::connect(&gateway, ALICE).await);
    let mut bob = Raw::connect(&gateway, "tok.bob@example.com.1").await;
    one.call("ticks", "t", "[1]").await;
    assert_eq!(gateway.disconnect("u-alice"), 2);
    assert_eq!(one.end(Duration::from_secs(1)).await, Ended::Closed(1008));
    assert_eq!(two.end(Duration::from_secs(1)).await, Ended::Closed(1008));
    assert_eq!(bob.ask("activeStreams", "").await, "0");
}

#[tokio::test]
async fn a_shutdown_lets_calls_end_and_closes_the_rest() {
    let gateway = plain().await;
    let mut busy = Raw::connect(&gateway, ALICE).await;
    let mut idle = Raw::connect(&gateway, ALICE).await;
    busy.call("slow", "s", "[300, \"done\"]").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let address = gateway.local_addr();
    let shutdown = tokio::spawn(gateway.shutdown());
    assert_eq!(idle.end(Duration::from_secs(1)).await, Ended::Closed(1001));
    assert_eq!(busy.ask("echo", "[1]").await, "error CONNECTION_LOST", "nothing new begins");
    assert_eq!(show(&busy.frame().await.unwrap()), "\"done\"");
    assert_eq!(busy.end(Duration::from_secs(1)).await, Ended::Closed(1001));
    shutdown.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn bad_bytes_cost_their_own_connection_only() {
    let gateway = plain().await;
    let mut good = Raw::connect(&gateway, ALICE).await;
    let big = [b"SEND\ndestination:srv\\c//a.B/c\ncontent-length:999999999\n\n".as_slice(), b"x"].concat();
    let endless = b"SEND\n".iter().copied().chain(b"a:b\n".iter().copied().cycle().take(100_000)).collect::<Vec<u8>>();
    let nested = format!("SEND\ndestination:srv\\c//com.example.OrderService/echo\n\n{}\0", "[".repeat(100_000));
    let hostile: Vec<(Vec<u8>, bool)> = vec![
        (b"GET / HTTP/1.1\r\n\r\n\0".to_vec(), true),
        (b"SEND\0".to_vec(), true),
        (vec![0; 100], true),
        ([vec![0xff; 100], b"\n\n\0".to_vec()].concat(), true),
        (b"SEND\ncontent-length:3\n\n[]\0".to_vec(), false),
        (b"SEND\ncontent-length:1\n\n[]\0".to_vec(), true),
        (b"SEND\na:\\x\n\n\0".to_vec(), true),
        (b"MESSAGE\na:b\n\n\0".to_vec(), true),
        (b"BEGIN\ntransaction:1\n\n\0".to_vec(), true),
        (big, true),
        (endless, true),
        (nested.into_bytes(), false),
    ];
    for (bytes, is_fatal) in hostile {
        let start = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned();
        let mut raw = Raw::connect(&gateway, ALICE).await;
        raw.bytes(bytes).await;
        if is_fatal {
            let frame = raw.frame().await.unwrap();
            assert_eq!(frame.command, Command::Error, "{start:?}");
            assert!(matches!(raw.end(Duration::from_secs(2)).await, Ended::Closed(1008) | Ended::Dropped), "{start:?}");
        }
        assert_eq!(good.ask("echo", "[1]").await, "1", "{start:?}");
    }
    let mut text = Raw::dial(&gateway, &[]).await.unwrap();
    text.bytes(vec![b'\n'; 60_000]).await;
    assert!(matches!(text.end(Duration::from_secs(2)).await, Ended::Dropped), "too much before CONNECT");
}

#[tokio::test]
async fn frames_may_come_in_any_pieces() {
    let gateway = plain().await;
    let mut raw = Raw::connect(&gateway, ALICE).await;
    let replies = message::reply_address(&raw.reply_to_id, "t");
    let call = |n: u32| {
        message::request("srv://com.example.OrderService/echo", &replies, "c", format!("[{n}]")).encode().unwrap()
    };
    let glued = [b"\n\r\n".to_vec(), call(1), b"\n".to_vec(), call(2)].concat();
    raw.bytes(glued).await;
    for byte in call(3) {
        raw.bytes([byte]).await;
    }
    let mut got = Vec::new();
    for _ in 0..3 {
        got.push(show(&raw.frame().await.unwrap()));
    }
    got.sort();
    assert_eq!(got, ["1", "2", "3"]);
}

#[tokio::test]
async fn many_calls_in_one_message_are_all_answered() {
    let gateway = plain().await;
    let mut raw = Raw::connect(&gateway, ALICE).await;
    let replies = message::reply_address(&raw.reply_to_id, "t");
    let call = |n: u32| {
        message::request("srv://com.example.OrderService/echo", &replies, "c", format!("[{n}]")).encode().unwrap()
    };
    raw.bytes((0..500).flat_map(call).collect::<Vec<u8>>()).await;
    let mut got = Vec::new();
    for _ in 0..500 {
        got.push(show(&raw.frame().await.unwrap()).parse::<u32>().unwrap());
    }
    got.sort_unstable();
    assert!(got.into_iter().eq(0..500));
}

#[tokio::test]
async fn replies_of_others_are_out_of_reach() {
    let gateway = plain().await;
    let (mut alice, mut bob) =
        (Raw::connect(&gateway, ALICE).await, Raw::connect(&gateway, "tok.bob@example.com.1").await);
    let of_alice = message::reply_address(&alice.reply_to_id, "t");
    bob.send(&message::subscribe("x", &of_alice)).await;
    bob.send(&message::request("srv://com.example.OrderService/echo", &of_alice, "forged", "[666]")).await;
    bob.send(&message::cancel("srv://com.example.OrderService/slow", "asked")).await;
    assert_eq!(alice.ask("slow", "[100, \"mine\"]").await, "\"mine\"");
    assert_eq!(bob.ask("echo", "[1]").await, "1", "and bob got nothing before that");
    assert_eq!(alice.frame_within(Duration::from_millis(100)).await, Err(Ended::Silent));
}

#[tokio::test]
async fn storms_cost_their_own_connection_only() {
    let gateway = serve(|builder| builder.limits(Limits { calls: 20, ..Limits::default() })).await;
    let mut good = Raw::connect(&gateway, ALICE).await;
    let mut subscriber = Raw::connect(&gateway, ALICE).await;
    for n in 0..1_000 {
        subscriber.send(&message::subscribe(&format!("n{n}"), &format!("srv://x.Y{n}"))).await;
    }
    assert_eq!(show(&subscriber.frame().await.unwrap()), "ERROR too many subscriptions");
    let mut caller = Raw::connect(&gateway, ALICE).await;
    for n in 0..200 {
        caller.call("never", &n.to_string(), "").await;
    }
    for _ in 0..180 {
        assert_eq!(show(&caller.frame().await.unwrap()), "error RATE_LIMITED");
    }
    assert_eq!(good.ask("echo", "[1]").await, "1");
}

#[tokio::test]
async fn a_reader_that_does_not_read_is_closed() {
    let limits = Limits { stalled: Duration::from_millis(400), outbound: 64 * 1024, ..Limits::default() };
    let gateway = serve(|builder| builder.limits(limits)).await;
    let mut slow = Raw::connect(&gateway, ALICE).await;
    let mut good = Raw::connect(&gateway, ALICE).await;
    for n in 0..200 {
        slow.call("echo", &n.to_string(), &format!("[\"{}\"]", "x".repeat(100_000))).await;
    }
    let begun = std::time::Instant::now();
    while gateway.connections() > 1 {
        assert!(begun.elapsed() < Duration::from_secs(10), "the slow reader is still there");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(good.ask("echo", "[1]").await, "1");
}

#[tokio::test]
async fn sockets_that_say_nothing_are_closed() {
    let limits = Limits {
        connect_time: Duration::from_millis(200),
        http_head_time: Duration::from_millis(200),
        heart_beat: Duration::from_millis(100),
        ..Limits::default()
    };
    let gateway = serve(|builder| builder.limits(limits)).await;
    let mut silent = TcpStream::connect(gateway.local_addr()).await.unwrap();
    silent.write_all(b"GET /v1 HTTP/1.1\r\nHost:").await.unwrap();
    let mut answer = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(3), silent.read_to_end(&mut answer)).await;
    assert!(ended.is_ok(), "half a request does not hold a socket");
    let mut waiting = Raw::dial(&gateway, &[]).await.unwrap();
    assert!(matches!(waiting.end(Duration::from_secs(2)).await, Ended::Dropped), "CONNECT never came");

    let mut half_open = Raw::connect(&gateway, ALICE).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    // The client did not read, so it did not answer pings either.
    assert_eq!(gateway.connections(), 0, "a peer that is gone is noticed");
    assert!(matches!(half_open.end(Duration::from_secs(1)).await, Ended::Dropped));
}

#[tokio::test]
async fn heart_beats_are_kept() {
    let limits = Limits { heart_beat: Duration::from_millis(100), ..Limits::default() };
    let gateway = serve(|builder| builder.limits(limits)).await;
    let mut raw = Raw::dial(&gateway, &[("authorization", &format!("Bearer {ALICE}"))]).await.unwrap();
    let connected = raw.hello("CONNECT\naccept-version:1.2\nheart-beat:0,50\n\n\0").await;
    assert_eq!(connected.header(header::HEART_BEAT), Some("100,100"));
    assert_eq!(raw.end(Duration::from_millis(800)).await, Ended::Silent, "pings are answered while it reads");
    assert_eq!(gateway.connections(), 1);
}

#[tokio::test]
async fn values_come_in_order_and_cancelling_stops_them() {
    let gateway = plain().await;
    let mut raw = Raw::connect(&gateway, ALICE).await;
    raw.call("countTo", "c", "[5000]").await;
    for n in 1..=5000 {
        assert_eq!(show(&raw.frame().await.unwrap()), n.to_string());
    }
    assert_eq!(show(&raw.frame().await.unwrap()), "complete");
    raw.call("ticks", "t", "[1]").await;
    let first = raw.frame().await.unwrap();
    assert_eq!(first.header(header::ORIGIN_CRI), Some("srv://com.example.OrderService/ticks"));
    raw.send(&message::cancel("srv://com.example.OrderService/ticks", "t")).await;
    while raw.frame_within(Duration::from_millis(200)).await.is_ok() {}
    assert_eq!(raw.ask("activeStreams", "").await, "0");
}

/// Gives numbered values of ten thousand octets for ever, and counts them.
#[derive(Default)]
struct Fountain(Arc<AtomicUsize>);

#[publish("com.example")]
impl Fountain {
    #[abac_policy(authenticated)]
    pub async fn flow(&self) -> Result<BoxStream<'static, Result<(usize, String), Denied>>, Denied> {
        let made = self.0.clone();
        let value = move |()| Ok((made.fetch_add(1, Ordering::SeqCst), "x".repeat(10_000)));
        Ok(stream::repeat(()).map(value).boxed())
    }
}

#[tokio::test]
async fn a_stream_goes_no_faster_than_it_is_read() {
    let fountain = Fountain::default();
    let made = fountain.0.clone();
    let gateway = serve(|builder| builder.service(Arc::new(fountain))).await;
    let mut raw = Raw::connect(&gateway, ALICE).await;
    raw.call_to("com.example.Fountain", "flow", "f", "").await;
    let settled = async || {
        let mut before = usize::MAX;
        while before != made.load(Ordering::SeqCst) {
            before = made.load(Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        before
    };
    let ahead = settled().await;
    assert!(ahead < 3_000, "nobody reads, and {ahead} values were made");
    for n in 0..ahead {
        assert!(show(&raw.frame().await.unwrap()).starts_with(&format!("[{n},")), "in order");
    }
    assert!(settled().await > ahead, "it goes on when it is read");
}

#[tokio::test]
async fn request_ids_are_kept_if_they_are_plain() {
    let gateway = plain().await;
    let mut raw = Raw::connect(&gateway, ALICE).await;
    let replies = message::reply_address(&raw.reply_to_id, "t");
    let call = |id: &str| {
        message::request("srv://com.example.OrderService/nope", &replies, "c", "")
            .with(header::REQUEST_ID, id.to_owned())
    };
    let told = |frame: Frame| frame.header(header::REQUEST_ID).unwrap_or_default().to_owned();
    raw.send(&call("order-7")).await;
    assert_eq!(told(raw.frame().await.unwrap()), "order-7");
    for bad in ["a b", "line\nbreak", &"x".repeat(129)] {
        raw.send(&call(bad)).await;
        let id = told(raw.frame().await.unwrap());
        assert!(id != bad && id.len() > 32, "{id}");
    }
}

async fn get(gateway: &Gateway, path: &str, headers: &str) -> String {
    let mut socket = TcpStream::connect(gateway.local_addr()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn what_is_served_over_http() {
    let gateway = plain().await;
    let status = async |path: &str, headers: &str| {
        get(&gateway, path, headers).await.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    assert_eq!(status("/health", "").await, "200");
    assert_eq!(status("/ready", "").await, "200");
    assert_eq!(status("/v2", "").await, "404");
    assert_eq!(status("/v1", "").await, "426");
    assert_eq!(status("/api/auth/me", "").await, "401");
    assert_eq!(status("/api/auth/me", "Authorization: Bearer nonsense\r\n").await, "401");
    assert_eq!(status("/api/auth/me", &format!("Authorization: Bearer {ALICE}\r\n")).await, "204");
    assert_eq!(status("/metrics", "X-Forwarded-For: 10.0.0.1\r\n").await, "404", "it came through a proxy");
    let mut endless = TcpStream::connect(gateway.local_addr()).await.unwrap();
    let mut answer = Vec::new();
    let mut sent = endless.write_all(b"GET /health HTTP/1.1\r\n").await;
    while sent.is_ok() {
        sent = endless.write_all(&b"X-A: b\r\n".repeat(1_000)).await;
    }
    let _ = endless.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "headers without end are no request");
    assert!(get(&gateway, "/health", "X-Request-Id: mine-1\r\n").await.contains("x-request-id: mine-1\r\n"));
    let _raw = Raw::connect(&gateway, ALICE).await;
    assert!(get(&gateway, "/metrics", "").await.contains("policy_connections_open 1\n"));
    let upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
    assert_eq!(status("/v1", &format!("{upgrade}Sec-WebSocket-Protocol: v10.stomp\r\n")).await, "400");
    assert_eq!(status("/v1", &upgrade.replace("AAAA", "A A")).await, "400");
}

#[tokio::test]
async fn connections_are_limited() {
    let limits = Limits { connections_per_participant: 2, connections_per_address: 5, ..Limits::default() };
    let gateway = serve(|builder| builder.limits(limits)).await;
    let _two = (Raw::connect(&gateway, ALICE).await, Raw::connect(&gateway, ALICE).await);
    let alice = [("authorization", "Bearer tok.alice@example.com.1")];
    assert_eq!(connect(&gateway, &alice, CONNECT).await, "ERROR too many connections");
    let _bob = Raw::connect(&gateway, "tok.bob@example.com.1").await;
    let mut sockets = Vec::new();
    for _ in 0..4 {
        sockets.push(TcpStream::connect(gateway.local_addr()).await.unwrap());
    }
    let mut last = sockets.pop().unwrap();
    let mut buffer = [0; 1];
    let read = tokio::time::timeout(Duration::from_secs(2), last.read(&mut buffer)).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)), "the sixth socket of one address is closed");
}

#[tokio::test]
async fn open_streams_are_decided_again_when_policies_change() {
    let policy = Policy::for_application("orders").unwrap();
    let gateway = serve_with(policy.clone(), |builder| builder).await;
    let mut raw = Raw::connect(&gateway, ALICE).await;
    raw.call("ticks", "t", "[5]").await;
    raw.call("ticks", "slow", "[60000]").await;
    assert_eq!(show(&raw.frame().await.unwrap()), "1");
    let set = |rule: &str| SetSource { rules: vec![("stop".into(), rule.into())], ..SetSource::default() };
    policy.replace(policy.application(), &set("forbid com.example.OrderService.placeOrder")).unwrap();
    for _ in 0..20 {
        raw.frame().await.unwrap();
    }
    policy.replace(policy.application(), &set("forbid com.example.OrderService.ticks when ms < 10")).unwrap();
    let end = loop {
        let frame = raw.frame().await.unwrap();
        if frame.header(header::ERROR).is_some() {
            break frame;
        }
    };
    assert_eq!((show(&end), end.header(header::CORRELATION_ID)), ("error ACCESS_DENIED".into(), Some("t")));
    assert_eq!(raw.ask("activeStreams", "").await, "1", "the other stream goes on");
}

#[tokio::test]
async fn clients_host_services_once_that_is_granted() {
    let policy = Policy::builder()
        .application("orders")
        .organization_rule(
            "host",
            "permit Platform.service.host when participant.roles contains 'finance' and service == 'a.Greeter'",
        )
        .organization_rule("call", "permit Platform.service.call when service == 'a.Greeter'")
        .build()
        .unwrap();
    let organization = policy.application().organization_id().unwrap().as_str().to_owned();
    let organization = policy_runtime::Scope::organization(&organization).unwrap();
    let gateway = serve_with(policy.clone(), |builder| builder).await;
    let (mut alice, mut bob) =
        (Raw::connect(&gateway, ALICE).await, Raw::connect(&gateway, "tok.bob@example.com.1").await);
    let replies = message::reply_address(&bob.reply_to_id, "t");
    let greet = |name: &str| {
        let frame =
            message::request(&format!("srv://{name}/greet"), &replies, "greet", "[\"bob\"]").with("__trace", "t");
        frame.with(header::SENDER, "{\"id\":\"u-alice\"}").with(header::AUTHORIZATION, "Bearer secret")
    };
    bob.send(&greet("a.Greeter")).await;
    assert_eq!(show(&bob.frame().await.unwrap()), "error UNKNOWN_SERVICE", "nobody hosts it yet");

    for (id, address) in [("g", "a.Greeter"), ("o", "com.example.OrderService"), ("x", "a.Other")] {
        alice.send(&message::subscribe(id, &format!("srv://{address}")).with(header::RECEIPT, id)).await;
        assert_eq!(alice.frame().await.unwrap().header(header::RECEIPT_ID), Some(id));
    }
    bob.send(&message::subscribe("g", "srv://a.Greeter").with(header::RECEIPT, "g")).await;
    assert_eq!(bob.frame().await.unwrap().command, Command::Receipt, "bob may not host, and is told nothing");
    assert_eq!(bob.ask("echo", "[1]").await, "1", "a Rust service is never hosted");
    bob.send(&greet("a.Other")).await;
    assert_eq!(show(&bob.frame().await.unwrap()), "error UNKNOWN_SERVICE", "not granted");

    bob.send(&greet("a.Greeter")).await;
    let asked = alice.frame().await.unwrap();
    assert_eq!((asked.header(header::SUBSCRIPTION), show(&asked)), (Some("g"), "[\"bob\"]".into()));
    assert_eq!(asked.header(header::DESTINATION), Some("srv://a.Greeter/greet"));
    assert!(asked.header(header::SENDER).unwrap().contains("\"id\":\"u-bob\""), "the authenticated caller");
    assert_eq!(asked.header(header::AUTHORIZATION), None);
    let reply_to = asked.header(header::REPLY_TO).unwrap().to_owned();
    assert!(reply_to.starts_with("reply://") && !reply_to.contains(&bob.reply_to_id));
    let answer = |body: &'static str| {
        Frame::new(Command::Send).with(header::DESTINATION, reply_to.clone()).with_body(header::JSON, body)
    };
    bob.send(&answer("\"forged\"")).await;
    alice.send(&answer("\"hi bob\"")).await;
    alice.send(&answer("\"again\"")).await;
    let reply = bob.frame().await.unwrap();
    assert_eq!(
        (show(&reply), reply.header(header::CORRELATION_ID), reply.header("__trace")),
        ("\"hi bob\"".into(), Some("greet"), Some("t"))
    );
    assert_eq!(bob.ask("echo", "[2]").await, "2", "one answer, by who was asked");

    bob.send(&greet("a.Greeter")).await;
    alice.frame().await.unwrap();
    policy.replace(&organization, &SetSource::default()).unwrap();
    bob.send(&greet("a.Greeter")).await;
    assert_eq!(show(&bob.frame().await.unwrap()), "error UNKNOWN_SERVICE", "the grant was taken back");
    drop(alice);
    assert_eq!(show(&bob.frame().await.unwrap()), "error CONNECTION_LOST", "the host left without an answer");
    let metrics = get(&gateway, "/metrics", "").await;
    for line in ["policy_call_seconds_count 4", "policy_call_failures_total{code=\"CONNECTION_LOST\"} 1"] {
        assert!(metrics.lines().any(|l| l == line), "two of each kind: {metrics}");
    }
}
