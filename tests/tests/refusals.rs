//! What is refused: nothing of it is executed, others go on, and one id tells of it in the answer, the log and the audit.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use policy_runtime::audit::journal::{Filter, Journal, Recording};
use policy_runtime::authn::Chain;
use policy_runtime::client::{Client, ConnectOptions, Headers};
use policy_runtime::edge::{Rate, Rates};
use policy_runtime::gateway::{Gateway, Limits, Mount};
use policy_runtime::tower::AuthenticateLayer;
use policy_runtime::wire::{Frame, header, message};
use policy_runtime::{Denied, Policy, abac_policy};
use tests::desk::Desk;
use tests::orders::OrderService;
use tests::raw::{Ended, Raw, serve, serve_with, show};
use tests::users::Users;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const ALICE: &str = "tok.alice@example.com.1";
const BOB: &str = "tok.bob@example.com.1";

fn request(raw: &Raw, method: &str, correlation: &str, arguments: &str) -> Frame {
    let replies = message::reply_address(&raw.reply_to_id, "t");
    message::request(&format!("srv://com.example.OrderService/{method}"), &replies, correlation, arguments.to_owned())
}

#[tokio::test]
async fn nothing_that_is_refused_is_executed() {
    let limits = Limits { calls: 1, ..Limits::default() };
    let gateway = serve(|builder| builder.limits(limits)).await;
    let order = "[{\"amount\":1}]";
    let (mut alice, mut bob) = (Raw::connect(&gateway, ALICE).await, Raw::connect(&gateway, BOB).await);
    assert_eq!(bob.ask("placeOrder", order).await, "error ACCESS_DENIED");
    for (arguments, code) in [
        ("[{\"amount\":50000}]", "ACCESS_DENIED"),
        ("[{\"amount\":\"1\"}]", "BAD_ARGUMENTS"),
        ("[{\"amount\":1},2]", "BAD_ARGUMENTS"),
    ] {
        assert_eq!(alice.ask("placeOrder", arguments).await, format!("error {code}"), "{arguments}");
    }
    for foreign in [bob.reply_to_id.as_str(), "5f0c0a52-0000-4000-8000-000000000000"] {
        let mut order = request(&alice, "placeOrder", "foreign", order);
        order.headers.set(header::REPLY_TO, message::reply_address(foreign, "t"));
        alice.send(&order).await;
    }
    alice.call("never", "n", "").await;
    assert_eq!(alice.ask("placeOrder", order).await, "error RATE_LIMITED", "a call is in flight");
    alice.send(&message::cancel("srv://com.example.OrderService/never", "n")).await;
    assert_eq!(alice.ask("placed", "").await, "0");
    assert_eq!(alice.ask("placeOrder", order).await, "{\"amount\":1}");
    assert_eq!(bob.ask("placed", "").await, "1");

    let rates = Rates::default().action("com.example.OrderService.placeOrder", Rate::new(1, 1));
    let gateway = serve(|builder| builder.rates(&rates)).await;
    let mut alice = Raw::connect(&gateway, ALICE).await;
    let mut answers = Vec::new();
    for _ in 0..10 {
        answers.push(alice.ask("placeOrder", order).await);
    }
    let placed = answers.iter().filter(|answer| *answer == "{\"amount\":1}").count();
    assert!(answers.iter().any(|answer| answer == "error RATE_LIMITED"), "{answers:?}");
    assert_eq!(alice.ask("placed", "").await, placed.to_string());
}

#[tokio::test]
async fn services_of_other_applications_are_out_of_reach() {
    let policy = Policy::builder().organization("acme").application("orders").also("globex", "desk").build().unwrap();
    let chain = Chain::builder().with(Users::of(policy.application().clone())).build();
    let gateway = Gateway::builder(policy, chain)
        .service(Mount::new(Arc::new(OrderService::default())).application("orders"))
        .service(Mount::new(Arc::new(Desk)).application("desk"));
    let gateway = gateway.bind("127.0.0.1:0").await.unwrap();
    let mut alice = Raw::connect(&gateway, ALICE).await;
    let mut carol = Raw::connect(&gateway, "tok.carol@globex.example.1").await;
    let none = "error UNKNOWN_SERVICE";
    for (raw, orders, desk) in [(&mut alice, "1", none), (&mut carol, none, "\"127.0.0.1\"")] {
        assert_eq!(raw.ask("echo", "[1]").await, orders);
        raw.call_to("com.example.Desk", "address", "c", "").await;
        assert_eq!(show(&raw.frame().await.unwrap()), desk);
    }
}

/// A peer that does not read has much waiting for it; of that nothing is sent once it is revoked.
#[tokio::test]
async fn what_waits_for_a_revoked_participant_is_never_sent() {
    let gateway = serve(|builder| builder.limits(Limits { outbound: 64 * 1024 * 1024, ..Limits::default() })).await;
    let mut slow = Raw::connect(&gateway, ALICE).await;
    let text = format!("[\"{}\"]", "x".repeat(200_000));
    for _ in 0..150 {
        slow.call("echo", "c", &text).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(gateway.disconnect("u-alice"), 1);
    let begun = std::time::Instant::now();
    while gateway.connections() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(1), "it is still there");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut answers = 0;
    while slow.frame_within(Duration::from_secs(2)).await.is_ok() {
        answers += 1;
    }
    assert!(answers < 150, "what waited was sent: {answers}");
}

#[tokio::test]
async fn correlation_ids_are_only_their_callers_own() {
    let gateway = serve(|builder| builder).await;
    let (mut alice, mut bob) = (Raw::connect(&gateway, ALICE).await, Raw::connect(&gateway, BOB).await);
    alice.call("slow", "same", "[150, \"first\"]").await;
    alice.call("slow", "same", "[80, \"second\"]").await;
    bob.call("echo", "same", "[\"of bob\"]").await;
    assert_eq!(show(&bob.frame().await.unwrap()), "\"of bob\"");
    bob.send(&message::cancel("srv://com.example.OrderService/slow", "same")).await;
    assert_eq!(show(&alice.frame().await.unwrap()), "\"second\"");
    assert_eq!(show(&alice.frame().await.unwrap()), "\"first\"");
    for odd in ["", "a: b\nc\\d", &"x".repeat(5_000), "\u{1f980}"] {
        alice.call("echo", odd, "[1]").await;
        let reply = alice.frame().await.unwrap();
        assert_eq!((show(&reply).as_str(), reply.header(header::CORRELATION_ID)), ("1", Some(odd)));
    }
    let mut without = request(&alice, "echo", "x", "[2]");
    without.headers.remove(header::CORRELATION_ID);
    alice.send(&without).await;
    assert_eq!(alice.frame().await.unwrap().header(header::CORRELATION_ID), None);
    assert_eq!(bob.frame_within(Duration::from_millis(100)).await, Err(Ended::Silent));
}

#[tokio::test]
async fn bodies_that_are_no_arguments() {
    let gateway = serve(|builder| builder).await;
    let mut alice = Raw::connect(&gateway, ALICE).await;
    let deep = "[".repeat(100_000);
    let closed = format!("{deep}{}", "]".repeat(100_000));
    for body in
        [deep.as_str(), &closed, "[1", "{}", "1", "[1] [2]", "[\"a\0b\"]", "[1e999]", "[\"\\ud800\"]", "nonsense"]
    {
        let start: String = body.chars().take(20).collect();
        assert_eq!(alice.ask("echo", body).await, "error BAD_ARGUMENTS", "{start}");
    }
    let mut bytes = request(&alice, "echo", "asked", "").with("x", "1");
    bytes.body = vec![b'[', b'"', 0xff, b'"', b']'].into();
    alice.send(&bytes).await;
    assert_eq!(show(&alice.frame().await.unwrap()), "error BAD_ARGUMENTS");
    assert_eq!(alice.ask("echo", "[\"alive\"]").await, "\"alive\"");
}

#[abac_policy(participant.roles contains "admin")]
async fn admin() -> Result<&'static str, Denied> {
    Ok("admin")
}

/// What was logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

async fn http(gateway: &Gateway, path: &str, id: &str) -> String {
    let mut socket = TcpStream::connect(gateway.local_addr()).await.unwrap();
    let head = "host: x\r\nconnection: close\r\nauthorization: Bearer tok.bob@example.com.1";
    let text = format!("GET {path} HTTP/1.1\r\n{head}\r\nx-request-id: {id}\r\n\r\n");
    socket.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn one_id_from_the_peer_to_the_answer_the_log_and_the_audit() {
    let lines = Lines::default();
    let into = lines.clone();
    tracing_subscriber::fmt().with_writer(move || into.clone()).init();
    let audit = Arc::new(Journal::in_memory().recording(Recording::denials()).start().unwrap());
    let policy = Policy::builder().application("orders").audit(audit.clone()).build().unwrap();
    let chain = Chain::builder().with(Users::of(policy.application().clone())).build();
    let routes = Router::new().route("/admin", get(admin)).layer(AuthenticateLayer::new(policy.clone(), chain));
    let gateway = serve_with(policy, |builder| builder.service(Arc::new(Desk)).routes(routes)).await;

    let mut bob = Raw::connect(&gateway, BOB).await;
    let replies = message::reply_address(&bob.reply_to_id, "t");
    let call = message::request("srv://com.example.Desk/admin", &replies, "c", "").with(header::REQUEST_ID, "by-stomp");
    bob.send(&call).await;
    let reply = bob.frame().await.unwrap();
    let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!((reply.header(header::REQUEST_ID), &body["requestId"]), (Some("by-stomp"), &"by-stomp".into()));
    let problem = http(&gateway, "/admin", "by-http").await;
    assert!(problem.starts_with("HTTP/1.1 403") && problem.contains("x-request-id: by-http\r\n"), "{problem}");
    assert!(problem.contains("\"requestId\":\"by-http\""), "{problem}");

    audit.flush().await.unwrap();
    let recorded = audit.query(&Filter::scope("app:default/orders")).await.unwrap();
    let bodies: Vec<&str> = recorded.iter().map(|record| record.body.as_str()).collect();
    for id in ["by-stomp", "by-http"] {
        let of_id = bodies.iter().filter(|body| body.contains(&format!("\"request\":\"{id}\""))).count();
        assert_eq!(of_id, 1, "{bodies:?}");
    }
    let logged = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    for (id, decision) in [("by-stomp", body["decision"].as_str().unwrap()), ("by-http", "decision=\"d-")] {
        let is_there = |line: &str| line.contains(&format!("request=\"{id}\"")) && line.contains(decision);
        assert!(logged.lines().any(is_there), "{id}: {logged}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_lets_calls_end_and_takes_no_more() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_acceptance-gateway"));
    let mut served = command.args(["--port", "0"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(served.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port: u16 = line.trim().rsplit(':').next().unwrap().split('/').next().unwrap().parse().unwrap();
    let options = || ConnectOptions::new("127.0.0.1").port(port).connect_headers(Headers::bearer(ALICE));
    let (busy, idle) = (Client::connect(options()).await.unwrap(), Client::connect(options()).await.unwrap());
    let slow =
        tokio::spawn(async move { busy.call::<String>("com.example.OrderService", "slow", &(1_000, "done")).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(Command::new("kill").arg(served.id().to_string()).status().unwrap().success());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!idle.is_connected() && Client::connect(options()).await.is_err());
    assert_eq!(slow.await.unwrap().unwrap(), "done");
    let ended = tokio::task::spawn_blocking(move || served.wait().unwrap());
    assert!(tokio::time::timeout(Duration::from_secs(5), ended).await.unwrap().unwrap().success());
}
