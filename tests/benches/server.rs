//! A whole server, put together from its configuration, in a process of its own: does a storm of logins slow the others down,
//! and how much memory does it take with many policies?
//!
//! ```text
//! cargo bench -p tests --bench server               # both
//! cargo bench -p tests --bench server -- logins     # 200 parallel password logins beside bearer requests
//! cargo bench -p tests --bench server -- policies   # memory with 10,000 policies
//! cargo bench -p tests --bench server -- short      # both, a tenth of each
//! ```
#![expect(clippy::print_stdout, reason = "its output is the result")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a measurement that cannot go on fails")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use policy_core::pdp::SetSource;
use policy_runtime::authn::password::hash;
use policy_runtime::clock::{Clock as _, SystemClock};
use policy_runtime::config::{Config, Environment};
use policy_runtime::database::Database;
use policy_runtime::identity::NewUser;
use policy_runtime::secret::Secret;
use policy_runtime::server::Prepared;
use policy_runtime::sets::PolicySets;
use policy_runtime::{Policy, Scope};
use tests::orders::OrderService;
use tests::providers::send;

const PASSWORD: &str = "correct horse battery";
const LOGINS: usize = 200;
const POLICIES: usize = 10_000;
const P99: Duration = Duration::from_millis(50);
const MEMORY_MIB: u64 = 512;

/// Serves until it is killed; says where, and a token to call with.
async fn serve(policies: usize) {
    let folder = std::env::temp_dir().join(format!("policy-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let variables = [("DB_URL", "sqlite:policy.db"), ("POLICY_LISTEN", "127.0.0.1:0"), ("POLICY_RATE_LIMITS", "false")];
    let config = Config::check("", &Environment::of(variables), &folder).unwrap();
    let server = Prepared::new(&config).await.unwrap();
    let hashed = hash(&Secret::new(PASSWORD.to_owned())).unwrap();
    let mut first = None;
    for n in 0..LOGINS {
        let new =
            NewUser::new(config.application.clone(), &format!("user{n}@example.com")).password_hash(hashed.clone());
        let user = server.store.add_user(new).await.unwrap();
        first.get_or_insert(user);
    }
    if policies > 0 {
        activate(&server.policy, &config, policies).await;
    }
    let token = server.issuer.access_token(&first.unwrap(), &["pwd"]).unwrap();
    let gateway = server.gateway(&config).service(Arc::new(OrderService::default()));
    let gateway = gateway.bind(config.listen).await.unwrap();
    println!("{} {}", gateway.local_addr(), token.expose());
    std::io::stdout().flush().unwrap();
    std::future::pending::<()>().await;
}

/// As an administrator would, so that the server follows it.
async fn activate(policy: &Policy, config: &Config, policies: usize) {
    let rule =
        |n| format!("forbid com.example.OrderService.placeOrder when participant.email like '*@contractor{n}.example'");
    let rules = (0..policies).map(|n| (format!("contractor-{n}"), rule(n))).collect();
    let source = SetSource { rules, ..SetSource::default() };
    let organization = config.application.organization_id().cloned().map(Scope::Organization).unwrap();
    let (sets, now) = (PolicySets::new(Database::open(&config.database).await.unwrap()), SystemClock.now());
    let number = sets.draft(&organization, &source, "bench", "", now).await.unwrap();
    sets.validate(policy, &organization, number).await.unwrap();
    sets.activate(policy, &organization, number, 0, "bench", now).await.unwrap();
}

struct Served {
    child: Child,
    address: SocketAddr,
    token: String,
}

impl Served {
    fn start(policies: usize) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["serve", &policies.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let (address, token) = line.trim().split_once(' ').expect("an address and a token");
        Self { address: address.parse().unwrap(), token: token.to_owned(), child }
    }

    /// Asks who one is, and says the status and how long it took.
    async fn me(address: SocketAddr, authorization: &str) -> (u16, Duration) {
        let began = Instant::now();
        let headers = [("authorization", authorization)];
        let answer = send("GET", &format!("http://{address}/api/auth/me"), &headers, "").await.unwrap();
        (answer.status, began.elapsed())
    }

    /// What the process has held at most (`VmHWM`), or holds (`VmRSS`); on Linux.
    fn mib(&self, what: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap();
        line.trim_start_matches(':').trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() / 1_024
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let folder = std::env::temp_dir().join(format!("policy-bench-{}", self.child.id()));
        let _ = std::fs::remove_dir_all(folder);
    }
}

fn verdict(good: bool) -> &'static str {
    if good { "kept" } else { "MISSED" }
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    *times.get(times.len() * percent / 100).or(times.last()).expect("something was measured")
}

async fn logins(count: usize) {
    let server = Served::start(0);
    let (address, bearer) = (server.address, format!("Bearer {}", server.token));
    Served::me(address, &bearer).await;
    let before = server.mib("VmRSS");
    let mut storm = tokio::task::JoinSet::new();
    let began = Instant::now();
    for n in 0..count {
        let basic = format!("Basic {}", STANDARD.encode(format!("user{n}@example.com:{PASSWORD}")));
        storm.spawn(async move { Served::me(address, &basic).await });
    }
    let over = Arc::new(AtomicBool::new(false));
    let ended = over.clone();
    let others = tokio::spawn(async move {
        let mut times = Vec::new();
        while !ended.load(Ordering::Relaxed) {
            let (status, took) = Served::me(address, &bearer).await;
            assert_eq!(status, 204);
            times.push(took);
        }
        times
    });
    let answers = storm.join_all().await;
    let took = began.elapsed();
    over.store(true, Ordering::Relaxed);
    let mut times = others.await.unwrap();
    let good = answers.iter().filter(|(status, _)| *status == 204).count();
    let p99 = percentile(&mut times, 99);
    println!("{count} parallel logins: {good} signed in within {took:.1?}; {} bearer requests meanwhile", times.len());
    println!("  p99 of a bearer request {p99:.1?}; promised {P99:?}: {}", verdict(p99 <= P99));
    println!("  memory {before} MiB before, {} MiB at most", server.mib("VmHWM"));
}

async fn policies(count: usize) {
    let server = Served::start(count);
    for _ in 0..100 {
        Served::me(server.address, &format!("Bearer {}", server.token)).await;
    }
    let (most, now) = (server.mib("VmHWM"), server.mib("VmRSS"));
    println!("a whole server with {count} policies: {now} MiB, {most} MiB at most");
    println!("  promised {MEMORY_MIB} MiB: {}", verdict(most <= MEMORY_MIB));
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    if let [mode, count] = arguments.as_slice()
        && mode == "serve"
    {
        return serve(count.parse().unwrap()).await;
    }
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let share = if has("short") { 10 } else { 1 };
    let both = has("logins") == has("policies");
    if both || has("logins") {
        logins(LOGINS / share).await;
    }
    if both || has("policies") {
        policies(POLICIES / share).await;
    }
}
