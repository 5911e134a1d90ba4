//! A whole server with many policies: how long its start takes, how much memory it needs, and what the activation of one
//! organization's set costs that organization and the others.
//!
//! ```text
//! cargo bench -p tests --bench sets             # 100,000 policies in 1,000 organizations
//! cargo bench -p tests --bench sets -- 100      # in so many organizations instead, of 100 policies each
//! ```
//!
//! Each organization has as many policies as Cedar as it has rules of the language, about an action that its application has.
//! The server is the one that `policy serve` starts, on SQLite; it starts in a process of its own.
#![expect(clippy::print_stdout, reason = "its output is the result")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a measurement that cannot go on fails")]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use policy_core::context::{Context, Facts};
use policy_core::decision::DenialKind;
use policy_core::{ActionId, Request};
use policy_runtime::admin::NewMember;
use policy_runtime::config::{Config, Environment};
use policy_runtime::database::Database;
use policy_runtime::server::Prepared;
use policy_runtime::sets::{Currency, PolicySets};
use policy_runtime::{Denied, Participant, Policy, Scope, SecurityContext, SetSource, abac_policy};

/// How many policies an organization has.
const OWN: usize = 100;
/// How often a set is activated while others decide.
const ACTIVATIONS: usize = 40;

const START: Duration = Duration::from_secs(10);
const ACTIVATION: Duration = Duration::from_secs(1);
const P99: f64 = 1.5;

#[expect(dead_code, reason = "what it declares is decided here, without a call")]
#[abac_policy(participant.roles contains "clerk", action = "place")]
fn place() -> Result<(), Denied> {
    Ok(())
}

fn verdict(good: bool) -> &'static str {
    if good { "kept" } else { "MISSED" }
}

fn configuration(folder: &Path) -> Config {
    let variables = [("DB_URL", "sqlite:policy.db"), ("POLICY_LISTEN", "127.0.0.1:0"), ("POLICY_RATE_LIMITS", "false")];
    Config::check("", &Environment::of(variables), folder).unwrap()
}

/// The set of an organization; `version` makes each one another.
fn source(organization: usize, version: usize) -> SetSource {
    let own = |n: usize| format!("{organization}-{n}-{version}");
    let cedar = |n| {
        format!(
            "@id(\"cedar-{n}\") forbid (principal, action == sets::Action::\"place\", resource) when {{ principal.id == \"u-{}\" }};\n",
            own(n)
        )
    };
    let rule = |n| {
        let text = format!("forbid sets.place when participant.email like '*@contractor-{}.example'", own(n));
        (format!("rule-{n}"), text)
    };
    let text: String = (0..OWN / 2).map(cedar).collect();
    SetSource {
        cedar: vec![("own.cedar".to_owned(), text)],
        rules: (0..OWN / 2).map(rule).collect(),
        ..SetSource::default()
    }
}

fn organization(n: usize) -> Scope {
    Scope::organization(&format!("org-{n}")).unwrap()
}

fn acting(policy: &Policy, scope: Scope, role: &str) -> SecurityContext {
    SecurityContext::new(policy, Participant::builder(scope, "u-acting").role(role).mfa(true).build().into())
}

/// Fills the database as administrators would.
async fn fill(folder: &Path, organizations: usize) {
    let config = configuration(folder);
    let server = Prepared::new(&config).await.unwrap();
    let sets = PolicySets::new(Database::open(&config.database).await.unwrap());
    let operator = acting(&server.policy, Scope::System, "operator");
    for n in 0..organizations {
        let owner = NewMember::new(&format!("ann@org-{n}.example"));
        server.admin.create_organization(&operator, &format!("org-{n}"), owner).await.unwrap();
        let owner = acting(&server.policy, organization(n), "owner");
        server.admin.create_application(&owner, &organization(n), &format!("app-{n}")).await.unwrap();
        let (scope, now) = (organization(n), server.policy.clock().now());
        let number = sets.draft(&scope, &source(n, 0), "ann", "a measurement", now).await.unwrap();
        sets.validate(&server.policy, &scope, number).await.unwrap();
        sets.activate(&server.policy, &scope, number, 0, "ann", now).await.unwrap();
    }
}

/// One who places, in an organization.
struct Clerk {
    participant: Participant,
    scope: Scope,
    action: ActionId,
    facts: Facts,
}

impl Clerk {
    fn new(policy: &Policy, n: usize, id: &str) -> Self {
        let scope = Scope::application(&format!("org-{n}"), &format!("app-{n}")).unwrap();
        let participant = Participant::builder(scope.clone(), id).role("clerk").email("clerk@shop.example").build();
        let action = policy.engine().action("sets.place").unwrap();
        Self { participant, scope, action, facts: Facts::default() }
    }

    fn request(&self, policy: &Policy) -> Request<'_> {
        let context = Context { time: policy.clock().now(), facts: &self.facts };
        Request {
            participant: &self.participant,
            action: self.action,
            scope: &self.scope,
            resource: None,
            context,
            args: &[],
        }
    }
}

/// Starts, and says what that took; then activates one set while a thread decides for another organization.
async fn start(folder: &Path, organizations: usize) {
    let began = Instant::now();
    let server = Prepared::new(&configuration(folder)).await.unwrap();
    let took = began.elapsed();
    let policy = &server.policy;
    assert_eq!(server.follower.currency(), Currency::Current);
    for n in [0, organizations / 2, organizations - 1] {
        let good = Clerk::new(policy, n, "u-good");
        assert!(policy.engine().decide(&good.request(policy)).is_allowed());
        let last = Clerk::new(policy, n, &format!("u-{n}-{}-0", OWN / 2 - 1));
        let denied = policy.engine().decide(&last.request(policy));
        assert_eq!(denied.denial().unwrap().kind, DenialKind::Forbidden, "its policies are there");
    }
    println!("a start with {} policies in {organizations} organizations: {took:.1?}", organizations * OWN);
    println!("  promised {START:?}: {}", verdict(took <= START));
    println!("  memory {} MiB, {} MiB at most", mib("VmRSS"), mib("VmHWM"));
    activations(&server, organizations).await;
}

/// What the thread that decides notes at the moment: nothing, quiet times, or times during an activation.
const PAUSE: usize = 0;
const QUIET: usize = 1;
const DURING: usize = 2;
const OVER: usize = 3;

async fn activations(server: &Prepared, organizations: usize) {
    let phase = Arc::new(AtomicUsize::new(PAUSE));
    let deciding = {
        let (policy, phase) = (server.policy.clone(), phase.clone());
        std::thread::spawn(move || {
            let clerk = Clerk::new(&policy, organizations / 2, "u-good");
            let mut times: [Vec<u32>; OVER] = Default::default();
            loop {
                let at = phase.load(Ordering::Relaxed);
                let Some(times) = times.get_mut(at) else { break };
                let began = Instant::now();
                let allowed = policy.engine().decide(&clerk.request(&policy)).is_allowed();
                let took = began.elapsed();
                assert!(allowed);
                if at != PAUSE {
                    times.push(u32::try_from(took.as_nanos()).unwrap_or(u32::MAX));
                }
            }
            times
        })
    };
    let mut took = Vec::new();
    for round in 0..ACTIVATIONS {
        let (scope, owner) = (organization(0), acting(&server.policy, organization(0), "owner"));
        let (_, active) = server.admin.versions(&owner, &scope).await.unwrap();
        let new = source(0, round + 1);
        let number = server.admin.draft(&owner, &scope, &new, "a measurement", Some(active)).await.unwrap();
        server.admin.validate(&owner, &scope, number).await.unwrap();
        phase.store(DURING, Ordering::Relaxed);
        let began = Instant::now();
        server.admin.activate(&owner, &scope, number, active).await.unwrap();
        took.push(began.elapsed());
        phase.store(QUIET, Ordering::Relaxed);
        // As long as it took, and a little more: what follows the activation is over by then.
        tokio::time::sleep(began.elapsed() + Duration::from_millis(20)).await;
        phase.store(PAUSE, Ordering::Relaxed);
    }
    phase.store(OVER, Ordering::Relaxed);
    let [_, quiet, during] = deciding.join().unwrap();
    took.sort_unstable();
    let (median, longest) = (took.get(took.len() / 2).unwrap(), took.last().unwrap());
    println!("activation of one organization's {OWN} policies: {median:.1?}, {longest:.1?} at most");
    println!("  promised {ACTIVATION:?}: {}", verdict(*longest <= ACTIVATION));
    let [before, meanwhile] = [quiet, during].map(percentile);
    let ratio = f64::from(meanwhile.1) / f64::from(before.1.max(1));
    println!(
        "decisions elsewhere: p50 {} ns, p99 {} ns; during an activation p50 {} ns, p99 {} ns, {ratio:.2} times",
        before.0, before.1, meanwhile.0, meanwhile.1
    );
    println!("  promised {P99} times: {}", verdict(ratio <= P99));
}

/// The 50th and the 99th.
fn percentile(mut times: Vec<u32>) -> (u32, u32) {
    times.sort_unstable();
    let at = |percent: usize| *times.get(times.len() * percent / 100).expect("something was decided");
    (at(50), at(99))
}

/// What this process holds (`VmRSS`) or has held at most (`VmHWM`); on Linux.
fn mib(what: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() / 1_024
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    if let [mode, folder, organizations] = arguments.as_slice()
        && mode == "start"
    {
        return start(Path::new(folder), organizations.parse().unwrap()).await;
    }
    let organizations = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(1_000);
    let folder = std::env::temp_dir().join(format!("policy-sets-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let began = Instant::now();
    fill(&folder, organizations).await;
    println!("(the database was filled in {:.0?})", began.elapsed());
    let done = Command::new(std::env::current_exe().unwrap())
        .arg("start")
        .arg(&folder)
        .arg(organizations.to_string())
        .status()
        .unwrap();
    let _ = std::fs::remove_dir_all(&folder);
    assert!(done.success());
}
