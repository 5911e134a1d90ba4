//! The journal behind guards, in SQLite and PostgreSQL, and after a writer was killed in the middle.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use std::collections::{BTreeSet, HashSet};
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;

use policy_runtime::admin::AdminError;
use policy_runtime::audit::journal::{Anchor, Filter, Journal, Recording, What};
use policy_runtime::audit::{AuditLog as _, Detail, Record, RecordKind};
use policy_runtime::config::{Config, Environment};
use policy_runtime::database::DatabaseAddress;
use policy_runtime::server::Prepared;
use policy_runtime::{Attributes, Denied, Participant, Policy, Scope, SecurityContext, abac_policy};
use tests::postgres;

struct Folder(std::path::PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("policy-journal-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn address(&self) -> String {
        format!("sqlite:{}", self.0.join("audit.db").display())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[derive(Debug, Attributes)]
struct Payment {
    amount: i64,
    #[attributes(secret)]
    pin: String,
}

#[abac_policy(payment.amount < 100 and payment.pin == "1234", action = "pay", audit = required)]
async fn pay(payment: &Payment) -> Result<i64, Denied> {
    Ok(payment.amount)
}

#[abac_policy(participant.roles contains "clerk", action = "look")]
async fn look() -> Result<(), Denied> {
    Ok(())
}

fn payment(amount: i64, pin: &str) -> Payment {
    Payment { amount, pin: pin.to_owned() }
}

async fn guards_write(journal: Journal) {
    let journal = Arc::new(journal);
    let policy = Policy::builder().organization("acme").application("shop").audit(journal.clone()).build().unwrap();
    let ann = Participant::builder(policy.application().clone(), "ann").role("clerk").build();
    let cx = SecurityContext::new(&policy, ann.into());
    cx.scope(async {
        assert_eq!(pay(&payment(5, "1234")).await.unwrap(), 5);
        let too_much = pay(&payment(500, "1234")).await.unwrap_err();
        pay(&payment(5, "not the pin")).await.unwrap_err();
        look().await.unwrap();
        journal.flush().await.unwrap();
        let all = journal.query(&Filter::scope("app:acme/shop")).await.unwrap();
        let told: Vec<String> = all.iter().map(|r| format!("{} {} {}", r.kind, r.action, r.outcome)).collect();

        assert_eq!(
            told[..4].iter().filter(|line| line.ends_with("pay allow")).count(),
            2,
            "opened and ended: {told:?}"
        );
        assert_eq!(told.iter().filter(|line| line.ends_with("pay deny")).count(), 2);
        assert_eq!(told.iter().filter(|line| line.ends_with("look allow")).count(), 1, "{told:?}");
        let denied = journal.query(&Filter::scope("app:acme/shop").decision(too_much.id())).await.unwrap();
        let body: serde_json::Value = serde_json::from_str(&denied[0].body).unwrap();
        assert_eq!(body["actor"], "app:acme/shop/ann");
        assert_eq!(body["details"]["tier"], "application");
        assert_eq!(body["details"]["clause"], "payment.amount < 100");
        assert_eq!(denied[0].personal("value.payment.amount"), Some("500"));
        assert!(body["revisions"][1].as_str().unwrap().starts_with("0.1-"), "{body}");
        let text: String = all.iter().map(|r| r.to_json().to_string()).collect();
        assert!(
            text.contains("{\"secret\":true}") && !text.contains("not the pin"),
            "a secret is never written: {text}"
        );
    })
    .await;
    assert_eq!(journal.verify("app:acme/shop", None).await.unwrap().records, 5);
}

fn recording() -> Recording {
    Recording::denials().action("audit.look", What::All)
}

#[tokio::test]
async fn guards_write_to_memory_sqlite_and_postgresql() {
    guards_write(Journal::in_memory().recording(recording()).start().unwrap()).await;
    let folder = Folder::new();
    guards_write(Journal::in_database(folder.address().parse().unwrap()).recording(recording()).start().unwrap()).await;
    let url = postgres::fresh_database().unwrap();
    guards_write(Journal::in_database(url.parse().unwrap()).recording(recording()).start().unwrap()).await;
}

#[tokio::test]
async fn postgresql_finds_counts_removes_and_erases() {
    let address: DatabaseAddress = postgres::fresh_database().unwrap().parse().unwrap();
    let open = || Arc::new(Journal::in_database(address.clone()).start().unwrap());
    let journals = [open(), open()];
    let writers = (0..60_i64).map(|n| {
        let journal = Arc::clone(&journals[usize::try_from(n % 2).unwrap()]);
        tokio::spawn(async move {
            let record = Record::new(
                RecordKind::Decision,
                n,
                "ann",
                "place",
                ["org:a", "org:b"][usize::from(n % 3 == 0)],
                "allow",
            );
            journal.begin(&record.detail("email", Detail::Personal("ann@example.com".into()))).await
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap().unwrap();
    }
    let journal = &journals[0];
    assert_eq!(journal.verify("org:a", None).await.unwrap().records, 40);
    assert_eq!(journal.verify("org:b", None).await.unwrap().records, 20);
    assert_eq!(journal.counts(&Filter::scope("org:a")).await.unwrap()[0].count, 40);
    assert_eq!(journal.query(&Filter::scope("org:b").between(0, 30)).await.unwrap().len(), 10);
    assert_eq!(journal.erase("org:a", "ann").await.unwrap(), 40);
    let removed = journal.retain("org:a", i64::MAX, 1).await.unwrap();
    assert_eq!(removed, 40);
    let record = Record::new(RecordKind::Change, 1, "ann", "place", "org:a", "allow");
    journal.begin(&record).await.unwrap();
    assert_eq!(journal.verify("org:a", None).await.unwrap().last, 41);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_records_by_action_and_writes_the_ends_of_chains_elsewhere() {
    let folder = Folder::new();
    let text = format!(
        "[application]\norganization = \"acme\"\nid = \"shop\"\n[database]\nurl = \"{}\"\n[audit]\n\
         actions = {{ \"audit.look\" = \"all\" }}\nrequired = [\"audit.look\"]\nanchors_file = \"anchors.jsonl\"\n\
         anchors_every_s = 1\n",
        folder.address()
    );
    let of = |text: &str| Config::check(text, &Environment::default(), &folder.0);
    let config = of(&text).unwrap();
    assert!(of(&text.replace("\"all\"", "\"al\"")).unwrap_err().to_string().contains("not `al`"));
    let unknown = of(&text.replace("[\"audit.look\"]", "[\"audit.lok\"]")).unwrap();
    assert!(Prepared::new(&unknown).await.unwrap_err().to_string().contains("there is no action `audit.lok`"));
    let server = Prepared::new(&config).await.unwrap();
    let shop = config.application.to_string();
    let clerk = Participant::builder(config.application.clone(), "ann").role("clerk").build();
    let cx = SecurityContext::new(&server.policy, clerk.into());
    cx.scope(async { look().await.unwrap() }).await;
    let records = server.journal.query(&Filter::scope(&shop)).await.unwrap();
    assert_eq!(records.len(), 2, "opened before, and ended");
    let file = folder.0.join("anchors.jsonl");
    let began = std::time::Instant::now();
    let end = loop {
        assert!(began.elapsed().as_secs() < 10, "no end of {shop} was written");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let mut ends = text.lines().map(|line| serde_json::from_str::<Anchor>(line).unwrap());
        if let Some(end) = ends.rfind(|end| end.scope == shop) {
            break end;
        }
    };
    server.journal.verify(&shop, Some(&end)).await.unwrap();
    let mut forged = end.clone();
    forged.number += 1;
    assert!(server.journal.verify(&shop, Some(&forged)).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_says_at_run_time_what_must_be_recorded() {
    let folder = Folder::new();
    let text =
        format!("[application]\norganization = \"acme\"\nid = \"shop\"\n[database]\nurl = \"{}\"\n", folder.address());
    let config = Config::check(&text, &Environment::default(), &folder.0).unwrap();
    let servers = [Prepared::new(&config).await.unwrap(), Prepared::new(&config).await.unwrap()];
    let acme = Scope::organization("acme").unwrap();
    let by = |server: &Prepared, scope: &Scope, role: &str| {
        SecurityContext::new(&server.policy, Participant::builder(scope.clone(), "ann").role(role).build().into())
    };
    let looks = async |server: &Prepared| {
        by(server, &config.application, "clerk").scope(async { look().await.unwrap() }).await;
        server.journal.flush().await.unwrap();
        let of_it = Filter::scope(&config.application.to_string()).action("audit.look");
        server.journal.query(&of_it).await.unwrap().len()
    };
    for server in &servers {
        assert_eq!(looks(server).await, 0, "nothing asks for it");
    }
    let [first, second] = &servers;
    let owner = by(first, &acme, "owner");
    let only = |action: &str| BTreeSet::from([action.to_owned()]);
    let unknown = first.admin.require_audit(&owner, &acme, &only("audit.lok")).await.unwrap_err().to_string();
    assert!(
        unknown.contains("no program of org:acme has the action `audit.lok`; did you mean `audit.look`?"),
        "{unknown}"
    );
    let stranger = by(first, &Scope::organization("globex").unwrap(), "owner");
    let refused = first.admin.require_audit(&stranger, &acme, &only("audit.look")).await.unwrap_err();
    assert!(matches!(refused, AdminError::Missing { .. }), "{refused}");
    let clerk = by(first, &acme, "member");
    assert!(first.admin.require_audit(&clerk, &acme, &only("audit.look")).await.is_err());
    assert_eq!(looks(first).await, 0);

    first.admin.require_audit(&owner, &acme, &only("audit.look")).await.unwrap();
    assert_eq!(first.admin.required_audit(&owner, &acme).await.unwrap(), only("audit.look"));
    assert_eq!(looks(first).await, 2, "opened before, and ended, from the next call on");
    let began = std::time::Instant::now();
    let mut before = 2;
    loop {
        let now = looks(second).await;
        if now > before {
            break;
        }
        before = now;
        assert!(began.elapsed().as_secs() < 10, "the other server does not follow");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let third = Prepared::new(&config).await.unwrap();
    let before = looks(second).await;
    assert_eq!(looks(&third).await, before + 2, "also where a server starts, at its first call");

    first.admin.require_audit(&owner, &acme, &BTreeSet::new()).await.unwrap();
    let before = looks(first).await;
    assert_eq!(looks(first).await, before, "taken away again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_removes_what_is_older_than_it_is_to_be_kept() {
    let folder = Folder::new();
    let text = format!(
        "[application]\norganization = \"acme\"\nid = \"shop\"\n[database]\nurl = \"{}\"\n[audit]\n",
        folder.address()
    );
    let of = |more: &str| Config::check(&format!("{text}{more}"), &Environment::default(), &folder.0);
    let never = of("keep_days = 0").unwrap_err().to_string();
    assert!(never.contains("`keep_days` is at least 1; without it, records are kept for good"), "{never}");
    let day = 86_400_000;
    let now = policy_runtime::clock::Clock::now(&policy_runtime::clock::SystemClock).0;
    {
        let server = Prepared::new(&of("").unwrap()).await.unwrap();
        for age in [40, 31, 29, 1] {
            let record = Record::new(RecordKind::Change, now - age * day, "ann", "place", "org:old", "allow");
            server.journal.begin(&record).await.unwrap();
        }
    }
    let server = Prepared::new(&of("keep_days = 30").unwrap()).await.unwrap();
    let began = std::time::Instant::now();
    let times = async || {
        let found = server.journal.query(&Filter::scope("org:old")).await.unwrap();
        found.iter().filter(|one| one.action == "place").map(|one| (now - one.time) / day).collect::<Vec<_>>()
    };
    while times().await.len() > 2 {
        assert!(began.elapsed().as_secs() < 10, "{:?}", times().await);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let mut left = times().await;
    left.sort_unstable();
    assert_eq!(left, [1, 29]);
    assert!(server.journal.verify("org:old", None).await.unwrap().checkpoint.is_some());
    let told = async || {
        let found = server.journal.query(&Filter::scope("org:old")).await.unwrap();
        found.iter().any(|one| one.action.contains("records.retain"))
    };
    while !told().await {
        assert!(began.elapsed().as_secs() < 10, "that they were removed is recorded");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// Kills a writer without warning, and looks whether all that it was told is written is there, in a chain without a gap.
async fn killed(address: &str) {
    let mut acknowledged = HashSet::new();
    for round in 0..3 {
        let mut writer =
            Command::new(env!("CARGO_BIN_EXE_audit-writer")).arg(address).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(writer.stdout.take().unwrap()).lines();
        for _ in 0..150 + 37 * round {
            acknowledged.insert(lines.next().unwrap().unwrap());
        }
        writer.kill().unwrap();
        writer.wait().unwrap();
        // What it printed before it died; the last line may be cut.
        acknowledged.extend(lines.map_while(Result::ok).filter(|line| line.len() == 34));
    }
    let journal = Journal::in_database(address.parse().unwrap()).start().unwrap();
    let verified = journal.verify("org:acme", None).await.unwrap();
    let mut written = HashSet::new();
    let mut filter = Filter::scope("org:acme");
    loop {
        let page = journal.query(&filter).await.unwrap();
        let Some(last) = page.last() else { break };
        filter = filter.after(last.number);
        written.extend(page.iter().map(|record| record.decision.clone()));
    }
    assert!(verified.records >= acknowledged.len() as u64);
    let lost: Vec<_> = acknowledged.difference(&written).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
}

#[tokio::test]
async fn a_killed_writer_loses_nothing_that_it_acknowledged() {
    let folder = Folder::new();
    killed(&folder.address()).await;
    killed(&postgres::fresh_database().unwrap()).await;
}
