//! Sets of scopes in SQLite and PostgreSQL: their way from draft to active and back, two servers, and a lost database.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use policy_core::pdp::{Baseline, SetSource};
use policy_runtime::audit::RecordKind;
use policy_runtime::audit::journal::{Filter, Journal};
use policy_runtime::clock::FixedClock;
use policy_runtime::database::{Database, DatabaseAddress};
use policy_runtime::sets::{Currency, Follower, PolicySets, SetState, SetsError};
use policy_runtime::value::Millis;
use policy_runtime::{Code, Denied, Participant, Policy, SecurityContext, abac_policy};
use tests::postgres;
use tests::proxy::{Proxy, Weather};

const NOW: Millis = Millis(1_000);

#[abac_policy(participant.roles contains "clerk", action = "file")]
fn file() -> Result<(), Denied> {
    Ok(())
}

fn server(clock: &FixedClock) -> Policy {
    Policy::builder().organization("acme").application("desk").clock(Arc::new(clock.clone())).build().unwrap()
}

fn asked(policy: &Policy) -> Result<(), Denied> {
    let ann = Participant::builder(policy.application().clone(), "ann").role("clerk").build();
    SecurityContext::new(policy, ann.into()).run(file)
}

fn allowed(policy: &Policy) -> bool {
    asked(policy).is_ok()
}

/// A version that was saved and checked.
async fn validated(sets: &PolicySets, policy: &Policy, source: &SetSource) -> i64 {
    let acme = policy.organization();
    let number = sets.draft(&acme, source, "ann", "a test", NOW).await.unwrap();
    sets.validate(policy, &acme, number).await.unwrap();
    number
}

/// Waits until something is so, and says how long that took.
async fn until(what: &str, is_so: impl Fn() -> bool) -> Duration {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(20), "never {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    began.elapsed()
}

fn rules(text: &str) -> SetSource {
    SetSource { rules: vec![("r".into(), text.into())], ..SetSource::default() }
}

fn closed() -> SetSource {
    rules("forbid policy_sets.file")
}

/// The rule names the action as the program does.
fn file_name() -> String {
    let policy = server(&FixedClock::at(0));
    let names = policy.engine().registry().actions().map(|(_, entry)| entry.name.to_string());
    names.filter(|name| name.rsplit('.').next() == Some("file")).last().unwrap()
}

fn databases() -> Vec<(Option<std::path::PathBuf>, DatabaseAddress)> {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("policy-sets-{}-{number}.db", std::process::id()));
    vec![
        (Some(path.clone()), DatabaseAddress::File(path)),
        (None, postgres::fresh_database().unwrap().parse().unwrap()),
    ]
}

/// Runs a statement as somebody who has the database at hand.
async fn run(address: &DatabaseAddress, sql: &str) {
    if let DatabaseAddress::File(path) = address {
        let pool = sqlx::SqlitePool::connect(&format!("sqlite:{}", path.display())).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&pool).await.unwrap();
    } else {
        let url = url_of(address);
        postgres::server().unwrap().psql(url.rsplit('/').next().unwrap(), sql).unwrap();
    }
}

/// The address as it is written on a command line.
fn url_of(address: &DatabaseAddress) -> String {
    if let DatabaseAddress::File(path) = address {
        return format!("sqlite:{}", path.display());
    }
    let DatabaseAddress::Postgres { url, .. } = address else { panic!("it does not outlive a process") };
    url.expose().clone()
}

#[tokio::test]
async fn from_draft_to_active_and_back_on_two_servers() {
    assert_eq!(closed().rules.first().unwrap().1, format!("forbid {}", file_name()));
    for (path, address) in databases() {
        let clock = FixedClock::at(0);
        let (here, there) = (server(&clock), server(&clock));
        let sets = PolicySets::new(Database::open(&address).await.unwrap());
        let follower = Follower::new(&there, PolicySets::new(Database::open(&address).await.unwrap()));
        assert!(!allowed(&there), "nothing is decided before the first confirmation");
        follower.confirm().await.unwrap();
        assert!(allowed(&here) && allowed(&there));
        let acme = here.organization();

        let broken = sets.draft(&acme, &rules("forbid nothing.like.it"), "ann", "a slip", NOW).await.unwrap();
        assert!(matches!(sets.validate(&here, &acme, broken).await, Err(SetsError::Refused(_))));
        assert_eq!(sets.activate(&here, &acme, broken, 0, "ann", NOW).await, Err(SetsError::Draft(broken)));
        let closing = sets.draft(&acme, &closed(), "ann", "inventory", NOW).await.unwrap();
        sets.validate(&here, &acme, closing).await.unwrap();
        assert_eq!(sets.version(&acme, closing).await.unwrap().state, SetState::Validated);
        let first = sets.activate(&here, &acme, closing, 0, "ann", NOW).await.unwrap();
        assert!(!allowed(&here), "at once where it was activated");
        assert!(allowed(&there));
        follower.confirm().await.unwrap();
        assert!(!allowed(&there), "and elsewhere with the next look");
        assert_eq!(here.engine().revisions(&acme), there.engine().revisions(&acme), "both name it alike");

        let open = sets.draft(&acme, &SetSource::default(), "bob", "open again", NOW).await.unwrap();
        sets.validate(&here, &acme, open).await.unwrap();
        let conflict = sets.activate(&here, &acme, open, 0, "bob", NOW).await;
        assert_eq!(conflict, Err(SetsError::Conflict { expected: 0, active: closing }), "bob has not seen ann's");
        assert!(!allowed(&here), "nothing has changed");
        let second = sets.activate(&here, &acme, open, closing, "bob", NOW).await.unwrap();
        assert!(allowed(&here));
        // Back to the older version: a new revision all the same.
        let third = sets.activate(&here, &acme, closing, open, "ann", NOW).await.unwrap();
        assert!(first < second && second < third && first.hash == third.hash);
        let states: Vec<_> = sets.history(&acme).await.unwrap().iter().map(|v| (v.number, v.state)).collect();
        assert_eq!(states, [(open, SetState::Superseded), (closing, SetState::Active), (broken, SetState::Draft)]);

        // Break-glass: the one before.
        assert_eq!(sets.recover(&acme, "operator", NOW).await.unwrap(), open);
        follower.confirm().await.unwrap();
        assert!(allowed(&there));

        // A restored database knows nothing of what was given out since its backup.
        let before = there.engine().revisions(&acme)[1];
        sets.begin_epoch(NOW).await.unwrap();
        follower.confirm().await.unwrap();
        let after = there.engine().revisions(&acme)[1];
        assert!(after.epoch > before.epoch && after.hash == before.hash && after > before);
        if let Some(path) = path {
            let _ = std::fs::remove_file(path);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_servers_that_activate_at_once_one_wins() {
    for (path, address) in databases() {
        let clock = FixedClock::at(0);
        let mut servers = Vec::new();
        for _ in 0..2 {
            servers.push((server(&clock), PolicySets::new(Database::open(&address).await.unwrap())));
        }
        let acme = servers.first().unwrap().0.organization();
        let mut tasks = Vec::new();
        for (n, (policy, sets)) in servers.iter().cycle().take(8).enumerate() {
            let draft = sets.draft(&acme, &closed(), &format!("admin-{n}"), "race", NOW).await.unwrap();
            sets.validate(policy, &acme, draft).await.unwrap();
            let (sets, policy, acme) = (sets.clone(), policy.clone(), acme.clone());
            tasks.push(tokio::spawn(async move { sets.activate(&policy, &acme, draft, 0, "x", NOW).await }));
        }
        let mut won = Vec::new();
        for task in tasks {
            match task.await.unwrap() {
                Ok(revision) => won.push(revision),
                Err(error) => assert!(matches!(error, SetsError::Conflict { expected: 0, .. }), "{error}"),
            }
        }
        assert_eq!(won.len(), 1);
        for (policy, sets) in servers {
            Follower::new(&policy, sets).confirm().await.unwrap();
            assert_eq!(policy.engine().revisions(&acme).get(1), won.first());
        }
        if let Some(path) = path {
            let _ = std::fs::remove_file(path);
        }
    }
}

#[tokio::test]
async fn a_server_that_lost_its_database_denies_beyond_the_bound() {
    for (path, address) in databases() {
        let clock = FixedClock::at(1_000_000);
        let policy = server(&clock);
        let database = Database::open(&address).await.unwrap();
        let follower = Follower::new(&policy, PolicySets::new(database.clone())).bound(Duration::from_secs(30));
        assert_eq!(follower.currency(), Currency::Denying);
        follower.confirm().await.unwrap();
        assert_eq!(follower.currency(), Currency::Current);
        database.close().await;
        clock.advance(29_000);
        assert!(follower.confirm().await.is_err());
        assert_eq!(follower.currency(), Currency::Stale, "says so before");
        assert!(allowed(&policy));
        clock.advance(2_000);
        assert_eq!(follower.currency(), Currency::Denying);
        assert!(!allowed(&policy));
        if let Some(path) = path {
            let _ = std::fs::remove_file(path);
        }
    }
}

#[tokio::test]
async fn recovery_without_a_version_before_is_the_shipped_baseline() {
    for (path, address) in databases() {
        let policy = server(&FixedClock::at(0));
        let sets = PolicySets::new(Database::open(&address).await.unwrap());
        let acme = policy.organization();
        // An empty set denies all: nobody could undo it.
        let empty = SetSource { baseline: Baseline::Replaced, ..SetSource::default() };
        let locked = sets.draft(&acme, &empty, "ann", "oh", NOW).await.unwrap();
        sets.validate(&policy, &acme, locked).await.unwrap();
        sets.activate(&policy, &acme, locked, 0, "ann", NOW).await.unwrap();
        assert!(!allowed(&policy));
        let rescued = sets.recover(&acme, "operator", NOW).await.unwrap();
        assert_eq!(sets.version(&acme, rescued).await.unwrap().source, SetSource::default());
        Follower::new(&policy, sets).confirm().await.unwrap();
        assert!(allowed(&policy));
        if let Some(path) = path {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Two servers on one PostgreSQL, the way of the second one through a proxy.
struct Two {
    here: (Policy, PolicySets),
    there: (Policy, PolicySets),
    follower: Follower,
    proxy: Proxy,
}

async fn two(bound: Duration) -> Two {
    let url = postgres::fresh_database().unwrap();
    let port = postgres::server().unwrap().port();
    let proxy = Proxy::start(([127, 0, 0, 1], port).into()).await;
    let through = url.replace(&format!(":{port}/"), &format!(":{}/", proxy.port()));
    let server = || Policy::builder().organization("acme").application("desk").build().unwrap();
    let sets = async |url: &str| PolicySets::new(Database::open(&url.parse().unwrap()).await.unwrap());
    let there = (server(), sets(&through).await);
    let follower = Follower::new(&there.0, there.1.clone()).bound(bound);
    follower.confirm().await.unwrap();
    Two { here: (server(), sets(&url).await), there, follower, proxy }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_activation_is_announced() {
    let Two { here: (here, sets), there: (there, _), follower, .. } = two(Duration::from_mins(5)).await;
    // Nobody looks within the test.
    let following = tokio::spawn(follower.run(Duration::from_secs(200)));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (acme, mut active) = (here.organization(), 0);
    for (source, is_open) in [(closed(), false), (SetSource::default(), true), (closed(), false)] {
        let number = validated(&sets, &here, &source).await;
        sets.activate(&here, &acme, number, active, "ann", NOW).await.unwrap();
        active = number;
        until("announced", || allowed(&there) == is_open).await;
        assert_eq!(here.engine().revisions(&acme), there.engine().revisions(&acme));
    }
    sets.begin_epoch(Millis(i64::MAX / 2)).await.unwrap();
    until("announced", || there.engine().revisions(&acme).iter().any(|of| of.epoch > 1_000_000)).await;
    following.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_cut_off_says_stale_then_denies_and_heals() {
    let bound = Duration::from_secs(3);
    let Two { here: (here, sets), there: (there, _), follower, proxy } = two(bound).await;
    let following = tokio::spawn(follower.clone().run(Duration::from_millis(100)));
    let gateway = tests::raw::serve_with(there.clone(), |builder| builder).await;
    let ready = async || {
        let answer = tests::providers::send("GET", &format!("http://{}/ready", gateway.local_addr()), &[], "").await;
        answer.map(|answer| (answer.status, answer.body)).unwrap()
    };
    let (acme, mut active) = (here.organization(), 0);
    // Whether what is sent is refused, or goes nowhere.
    for weather in [Weather::Down, Weather::Silent] {
        until("current", || follower.currency() == Currency::Current).await;
        assert!(allowed(&there) && !there.is_stale());
        proxy.set(weather);
        let number = validated(&sets, &here, &closed()).await;
        sets.activate(&here, &acme, number, active, "ann", NOW).await.unwrap();
        active = number;
        until("stale", || there.is_stale()).await;
        assert!(allowed(&there), "it says so while it still decides");
        assert_eq!(ready().await, (200, "STALE\n".to_owned()));
        let denied = until("denied", || !allowed(&there)).await;
        assert!(denied < bound, "{denied:?}");
        assert_eq!(asked(&there).unwrap_err().code(), Code::StalePolicy);
        assert_eq!(follower.currency(), Currency::Denying);
        assert_eq!(ready().await.0, 503);
        proxy.set(Weather::Fine);
        until("healed", || follower.currency() == Currency::Current).await;
        assert_eq!(here.engine().revisions(&acme), there.engine().revisions(&acme));
        assert_eq!(asked(&there).unwrap_err().code(), Code::AccessDenied, "it decides by what was activated meanwhile");
        let number = validated(&sets, &here, &SetSource::default()).await;
        sets.activate(&here, &acme, number, active, "ann", NOW).await.unwrap();
        active = number;
        until("followed", || allowed(&there)).await;
        assert_eq!(ready().await, (200, "ready\n".to_owned()));
    }
    following.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_neither_extends_the_bound_nor_locks_out() {
    for (path, address) in databases() {
        let (clock, hour) = (FixedClock::at(1_000_000_000), 3_600_000);
        let policy = server(&clock);
        let database = Database::open(&address).await.unwrap();
        let follower = Follower::new(&policy, PolicySets::new(database.clone())).bound(Duration::from_secs(30));
        let following = tokio::spawn(follower.clone().run(Duration::from_millis(20)));
        for by in [-hour, hour, hour, -2 * hour] {
            until("confirmed", || allowed(&policy)).await;
            clock.jump(by);
        }
        until("confirmed", || follower.currency() == Currency::Current).await;
        database.close().await;
        clock.advance(1_000);
        until("failing", || follower.currency() == Currency::Stale).await;
        clock.jump(-hour);
        assert!(allowed(&policy), "nobody is locked out");
        clock.advance(28_000);
        assert!(allowed(&policy));
        clock.advance(2_000);
        until("denied", || !allowed(&policy)).await;
        assert_eq!(follower.currency(), Currency::Denying);
        clock.jump(-hour);
        assert!(!allowed(&policy));
        following.abort();
        if let Some(path) = path {
            let _ = std::fs::remove_file(path);
        }
    }
}

#[tokio::test]
async fn what_cannot_be_used_denies_its_scope_alone() {
    for (path, address) in databases() {
        let clock = FixedClock::at(0);
        let policy = server(&clock);
        let sets = PolicySets::new(Database::open(&address).await.unwrap());
        let acme = policy.organization();
        let number = validated(&sets, &policy, &SetSource::default()).await;
        sets.activate(&policy, &acme, number, 0, "ann", NOW).await.unwrap();
        let old = server(&clock);
        let follower = Follower::new(&old, sets.clone());
        follower.confirm().await.unwrap();
        // A program that knows more has activated what this one does not understand.
        let stranger = sets.draft(&acme, &rules("forbid com.example.Later.thing"), "ann", "", NOW).await.unwrap();
        let sql = "UPDATE policy_set_heads SET active = $1, activations = activations + 1";
        run(&address, &sql.replace("$1", &stranger.to_string())).await;
        assert!(follower.confirm().await.is_err());
        assert!(allowed(&old), "the last one goes on until the bound");
        clock.advance(31_000);
        assert!(follower.confirm().await.is_err());
        assert!(!allowed(&old));
        let (fresh, other) = (server(&clock), Policy::builder().organization("globex").clock(Arc::new(clock.clone())));
        assert!(Follower::new(&fresh, sets.clone()).confirm().await.is_err());
        assert!(!allowed(&fresh), "who has none that was active opens nothing by the baseline");
        let other = other.application("desk").build().unwrap();
        Follower::new(&other, sets).confirm().await.unwrap();
        assert!(allowed(&other), "elsewhere all goes on");
        if let Some(path) = path {
            let _ = std::fs::remove_file(path);
        }
    }
}

#[tokio::test]
async fn a_database_that_has_gone_back_is_not_followed() {
    for (path, address) in databases() {
        let (policy, clock) = (server(&FixedClock::at(0)), NOW);
        let sets = PolicySets::new(Database::open(&address).await.unwrap());
        let acme = policy.organization();
        let shut = validated(&sets, &policy, &closed()).await;
        let follower = Follower::new(&policy, sets.clone());
        sets.activate(&policy, &acme, shut, 0, "ann", clock).await.unwrap();
        follower.confirm().await.unwrap();
        // A backup from before is put in its place.
        let sql = "UPDATE policy_set_heads SET activations = activations - 1";
        run(&address, sql).await;
        assert_eq!(follower.confirm().await, Err(SetsError::Earlier("org:acme".to_owned())));
        assert!(follower.currency() == Currency::Stale && !allowed(&policy));
        sets.begin_epoch(Millis(clock.0 + 1)).await.unwrap();
        follower.confirm().await.unwrap();
        assert_eq!(follower.currency(), Currency::Current);
        if let Some(path) = path {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Either the earlier version is active or the later one, whole, and a server follows it.
async fn is_whole(sets: &PolicySets) -> i64 {
    let policy = server(&FixedClock::at(0));
    let acme = policy.organization();
    let active = sets.active(&acme).await.unwrap();
    let history = sets.history(&acme).await.unwrap();
    let by_state: BTreeMap<&str, Vec<i64>> = history.iter().fold(BTreeMap::new(), |mut all, version| {
        all.entry(version.state.as_str()).or_default().push(version.number);
        all
    });
    let expected = if active == 0 { None } else { Some(vec![active]) };
    assert_eq!(by_state.get("active").cloned(), expected);
    Follower::new(&policy, sets.clone()).confirm().await.unwrap();
    active
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_lost_in_the_middle_of_an_activation() {
    let Two { here: (here, sets), there: (there, through), follower, proxy } = two(Duration::from_mins(5)).await;
    let (acme, mut told) = (here.organization(), 0);
    for round in 0..20_u64 {
        let before = sets.active(&acme).await.unwrap();
        let source = if round % 2 == 0 { closed() } else { SetSource::default() };
        let number = validated(&sets, &here, &source).await;
        let activating = {
            let (through, there, acme) = (through.clone(), there.clone(), acme.clone());
            tokio::spawn(async move { through.activate(&there, &acme, number, before, "ann", NOW).await })
        };
        tokio::time::sleep(Duration::from_micros(round * 700)).await;
        proxy.cut();
        let done = activating.await.unwrap();
        let active = is_whole(&sets).await;
        assert!(active == before || active == number);
        if done.is_ok() {
            assert_eq!(active, number, "what was acknowledged is there");
            told += 1;
        }
        while follower.confirm().await.is_err() {
            // The connections of before are found to be gone one by one.
        }
        let is_open = sets.active(&acme).await.unwrap() == 0
            || sets.version(&acme, active).await.unwrap().source == SetSource::default();
        assert_eq!(allowed(&there), is_open);
    }
    assert!(told < 20, "none was cut");
}

/// Kills an administrator's server without warning while it activates.
async fn killed(address: &str) {
    let mut acknowledged = Vec::new();
    for round in 0..4 {
        let mut activator =
            Command::new(env!("CARGO_BIN_EXE_set-activator")).arg(address).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(activator.stdout.take().unwrap()).lines();
        for _ in 0..5 + 3 * round {
            acknowledged.push(lines.next().unwrap().unwrap());
        }
        std::thread::sleep(Duration::from_micros(1_300 * round));
        activator.kill().unwrap();
        activator.wait().unwrap();
        acknowledged.extend(lines.map_while(Result::ok).filter(|line| line.ends_with('.')));
    }
    let sets = PolicySets::new(Database::open(&address.parse().unwrap()).await.unwrap());
    let active = is_whole(&sets).await;
    let acme = policy_runtime::Scope::organization("acme").unwrap();
    let was_active = |state| matches!(state, SetState::Active | SetState::Superseded);
    let history = sets.history(&acme).await.unwrap();
    let activated = history.iter().filter(|version| was_active(version.state)).count();
    for line in &acknowledged {
        let number: i64 = line.trim_end_matches('.').parse().unwrap();
        assert!(history.iter().any(|version| version.number == number && was_active(version.state)), "{line} is lost");
        assert!(number <= active);
    }
    // At each end one may have been activated that nobody was told of.
    assert!((acknowledged.len()..=acknowledged.len() + 4).contains(&activated), "{activated}");
    let journal = Journal::in_database(address.parse().unwrap()).start().unwrap();
    journal.verify("org:acme", None).await.unwrap();
    let all = Filter::scope("org:acme").action("Platform.policies.activate").outcome("allow").kind(RecordKind::Change);
    let recorded = journal.query(&all.limit(1_000)).await.unwrap();
    assert!(recorded.len() >= activated, "no activation without its record, which stands there before");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_activation_is_there_or_not_and_nothing_acknowledged_is_lost() {
    for (path, address) in databases() {
        killed(&url_of(&address)).await;
        if let Some(path) = path {
            let _ = std::fs::remove_file(path);
        }
    }
}
