//! The gateway beside the same service on plain axum WebSocket, without sign-in and policies, in one process and one run.
//!
//! ```text
//! cargo bench -p tests --bench gateway                # throughput, latency, share of the decision
//! cargo bench -p tests --bench gateway -- idle        # memory of 10,000 connections that are idle
//! cargo bench -p tests --bench gateway -- minute      # 1,000 connections that call for a minute
//! cargo bench -p tests --bench gateway -- audit       # every decision in the journal, beside none
//! ```
//!
//! A number after each says how many rounds, connections or seconds instead. Both processes need as many open files as there
//! are connections: `ulimit -n 20000`.
#![expect(clippy::print_stdout, reason = "its output is the result")]
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a measurement that cannot go on fails")]

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::ws::{Message as Plain, WebSocket, WebSocketUpgrade};
use axum::routing::get;
use futures_util::{SinkExt as _, StreamExt as _};
use policy_runtime::Policy;
use policy_runtime::audit::journal::{Filter, Journal, Recording};
use policy_runtime::authn::Chain;
use policy_runtime::database::DatabaseAddress;
use policy_runtime::edge::Rates;
use policy_runtime::gateway::{Gateway, Limits};
use policy_runtime::wire::message;
use tests::orders::{Order, OrderService};
use tests::users::Users;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Starts a gateway that refuses nobody for being many.
async fn gateway(policy: Policy) -> Gateway {
    let chain = Chain::builder().with(Users::of(policy.application().clone())).build();
    let many = 30_000;
    let limits = Limits {
        connections: many,
        connections_per_address: many,
        connections_per_participant: many,
        ..Limits::default()
    };
    let builder = Gateway::builder(policy, chain).service(Arc::new(OrderService::default()));
    builder.limits(limits).rates(&Rates::UNLIMITED).bind("127.0.0.1:0").await.unwrap()
}

/// Serves two until it is killed, and says where: a gateway, and another one that records every decision, or what a program
/// without any has.
async fn serve(journal: Option<&str>) {
    let gateway = gateway(Policy::for_application("orders").unwrap()).await;
    if let Some(file) = journal {
        let journal = Journal::in_database(DatabaseAddress::File(file.into())).recording(Recording::all());
        let policy = Policy::builder().application("orders").audit(Arc::new(journal.start().unwrap())).build().unwrap();
        let recording = self::gateway(policy).await;
        println!("{} {}", gateway.local_addr(), recording.local_addr());
        return std::future::pending().await;
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{} {}", gateway.local_addr(), listener.local_addr().unwrap());
    let router = Router::new().route("/", get(async |upgrade: WebSocketUpgrade| upgrade.on_upgrade(plain)));
    axum::serve(listener, router).await.unwrap();
}

/// The same method behind a loop: an array of arguments in, the value out.
async fn plain(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        let Plain::Binary(bytes) = message else { continue };
        let (order,): (Order,) = serde_json::from_slice(&bytes).unwrap();
        let value = serde_json::to_vec(&order).unwrap();
        if socket.send(Plain::Binary(value.into())).await.is_err() {
            return;
        }
    }
}

/// The servers, in a process of their own; ends with the measurement.
struct Served {
    child: Child,
    gateway: SocketAddr,
    /// The other one.
    plain: SocketAddr,
}

impl Served {
    fn start() -> Self {
        Self::with(&[])
    }

    fn with(arguments: &[&str]) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("serve")
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the servers start");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let (gateway, plain) = line.trim().split_once(' ').expect("two addresses");
        Self { gateway: gateway.parse().unwrap(), plain: plain.parse().unwrap(), child }
    }

    fn resident_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() / 1_024
    }

    async fn metrics(&self) -> String {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut socket = TcpStream::connect(self.gateway).await.unwrap();
        socket.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).await.unwrap();
        text
    }

    async fn number(&self, name: &str) -> f64 {
        let text = self.metrics().await;
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or_else(|| panic!("{name}"))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection, and the request that it makes again and again.
struct Caller {
    socket: Socket,
    request: Message,
}

const ORDER: &str = "[{\"amount\":10}]";

impl Caller {
    async fn gateway(address: SocketAddr) -> Self {
        let mut request = format!("ws://{address}/v1").into_client_request().unwrap();
        request.headers_mut().insert("authorization", "Bearer tok.alice@example.com.1".parse().unwrap());
        let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
        socket.send(Message::text("CONNECT\naccept-version:1.2\nheart-beat:0,0\n\n\0")).await.unwrap();
        let connected = socket.next().await.unwrap().unwrap().into_text().unwrap();
        let id = connected.split("\"replyToId\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        let replies = message::reply_address(id, "t");
        let subscribe = message::subscribe("s", &replies).encode().unwrap();
        socket.send(Message::binary(subscribe)).await.unwrap();
        let request = message::request("srv://com.example.OrderService/placeOrder", &replies, "c", ORDER.as_bytes());
        Self { socket, request: Message::binary(request.encode().unwrap()) }
    }

    async fn plain(address: SocketAddr) -> Self {
        let (socket, _) = tokio_tungstenite::connect_async(format!("ws://{address}/")).await.unwrap();
        Self { socket, request: Message::binary(ORDER.as_bytes().to_vec()) }
    }

    /// One call; whether its value came back.
    async fn call(&mut self) -> bool {
        if self.socket.send(self.request.clone()).await.is_err() {
            return false;
        }
        loop {
            match self.socket.next().await {
                Some(Ok(message @ (Message::Binary(_) | Message::Text(_)))) => {
                    let bytes = message.into_data();
                    // A heart-beat is no answer.
                    if bytes.len() > 1 {
                        return bytes
                            .trim_ascii_end()
                            .strip_suffix(b"\0")
                            .unwrap_or(&bytes)
                            .ends_with(b"{\"amount\":10}");
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return false,
            }
        }
    }
}

/// Calls per second, and the sorted times of all calls.
async fn load(mut callers: Vec<Caller>, time: Duration) -> (f64, Vec<Duration>, Vec<Caller>) {
    let begun = Instant::now();
    let until = begun + time;
    let mut tasks = Vec::new();
    for mut caller in callers.drain(..) {
        tasks.push(tokio::spawn(async move {
            let mut times = Vec::new();
            while Instant::now() < until {
                let at = Instant::now();
                assert!(caller.call().await, "an answer was lost");
                times.push(at.elapsed());
            }
            (times, caller)
        }));
    }
    let mut times = Vec::new();
    for task in tasks {
        let (own, caller) = task.await.unwrap();
        times.extend(own);
        callers.push(caller);
    }
    let per_second = f64::from(u32::try_from(times.len()).unwrap()) / begun.elapsed().as_secs_f64();
    times.sort_unstable();
    (per_second, times, callers)
}

fn percentile(times: &[Duration], of_hundred: usize) -> Duration {
    times.get((times.len() * of_hundred / 100).min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Both under the same load, in turns.
async fn beside(rounds: usize) {
    let served = Served::start();
    let connections = 64;
    let (mut plain, mut gateway) = (Vec::new(), Vec::new());
    for _ in 0..connections {
        plain.push(Caller::plain(served.plain).await);
        gateway.push(Caller::gateway(served.gateway).await);
    }
    let mut ratios: [Vec<f64>; 2] = Default::default();
    println!("{connections} connections, each with one call at a time");
    for round in 0..=rounds {
        let time = Duration::from_secs(if round == 0 { 1 } else { 3 });
        let (of_plain, plain_times, back) = load(plain, time).await;
        plain = back;
        let (of_gateway, gateway_times, back) = load(gateway, time).await;
        gateway = back;
        // The first round warms up.
        if round > 0 {
            let (p, g) = (percentile(&plain_times, 99), percentile(&gateway_times, 99));
            println!("  plain {of_plain:.0}/s p99 {p:?}; gateway {of_gateway:.0}/s p99 {g:?}");
            let [throughput, late] = &mut ratios;
            throughput.push(of_gateway / of_plain);
            late.push(g.as_secs_f64() / p.as_secs_f64());
        }
    }
    let [throughput, late] = ratios;
    println!("throughput of the gateway, plain = 1: {:.2} (target at least 0.80)", median(throughput));
    println!("p99 of the gateway, plain = 1: {:.2} (target at most 1.50)", median(late));

    gateway.truncate(1);
    let before =
        (served.number("policy_decision_seconds_sum").await, served.number("policy_decision_seconds_count").await);
    let (_, times, _) = load(gateway, Duration::from_secs(3)).await;
    let sum = served.number("policy_decision_seconds_sum").await - before.0;
    let decision = sum / (served.number("policy_decision_seconds_count").await - before.1);
    let call = percentile(&times, 50).as_secs_f64();
    println!(
        "a decision takes {:.2} us of a call of {:.1} us: {:.2} % (target under 2 %)",
        decision * 1e6,
        call * 1e6,
        decision / call * 100.0
    );
}

/// The same load without records, and with one of each decision in SQLite, in turns.
async fn audited(rounds: usize) {
    let file = std::env::temp_dir().join(format!("policy-audit-bench-{}.db", std::process::id()));
    let served = Served::with(&[file.to_str().unwrap()]);
    let connections = 64;
    let (mut off, mut all) = (Vec::new(), Vec::new());
    for _ in 0..connections {
        off.push(Caller::gateway(served.gateway).await);
        all.push(Caller::gateway(served.plain).await);
    }
    let (mut ratios, mut calls) = (Vec::new(), 0);
    println!("{connections} connections, each with one call at a time");
    for round in 0..=rounds {
        let time = Duration::from_secs(if round == 0 { 1 } else { 3 });
        let (without, _, back) = load(off, time).await;
        off = back;
        let (with, times, back) = load(all, time).await;
        all = back;
        calls += times.len();
        // The first round warms up.
        if round > 0 {
            println!("  without {without:.0}/s; every decision recorded {with:.0}/s");
            ratios.push(with / without);
        }
    }
    println!("throughput with every decision recorded, without = 1: {:.2} (target at least 0.80)", median(ratios));
    // Nothing is dropped: what was called is there, once the writer has come to it.
    let journal = Journal::in_database(DatabaseAddress::File(file.clone())).start().unwrap();
    let scope = Filter::scope("app:default/orders");
    let begun = Instant::now();
    loop {
        let counts = journal.counts(&scope).await.unwrap();
        let recorded: i64 = counts.iter().map(|count| count.count).sum();
        if usize::try_from(recorded).unwrap() == calls {
            break println!("{recorded} records of {calls} calls, {:.1?} after the last", begun.elapsed());
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "{recorded} records of {calls} calls");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", file.display()));
    }
}

async fn connect_all(served: &Served, count: usize) -> Vec<Caller> {
    let address = served.gateway;
    let all = futures_util::stream::iter((0..count).map(|_| Caller::gateway(address)));
    all.buffer_unordered(64).collect().await
}

/// Memory of connections that do nothing.
async fn idle(connections: usize) {
    let served = Served::start();
    let before = served.resident_mib();
    let _callers = connect_all(&served, connections).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let open = served.number("policy_connections_open").await;
    println!(
        "{open} idle connections: the process holds {} MiB, {before} MiB before (target at most 512)",
        served.resident_mib()
    );
}

/// Many connections that call for a minute.
async fn minute(seconds: usize) {
    let served = Served::start();
    let callers = connect_all(&served, 1_000).await;
    let (per_second, times, callers) = load(callers, Duration::from_secs(seconds as u64)).await;
    println!(
        "{} connections, {} calls in {seconds} s, {per_second:.0}/s, p50 {:?}, p99 {:?}, none lost",
        callers.len(),
        times.len(),
        percentile(&times, 50),
        percentile(&times, 99),
    );
}

#[tokio::main]
async fn main() {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let number = |otherwise| arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(otherwise);
    match arguments.first().map(String::as_str) {
        Some("serve") => serve(arguments.get(1).map(String::as_str)).await,
        Some("audit") => audited(number(5)).await,
        Some("idle") => idle(number(10_000)).await,
        Some("minute") => minute(number(60)).await,
        _ => beside(number(5)).await,
    }
}
