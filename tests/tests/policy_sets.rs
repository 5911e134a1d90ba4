//! Sets of scopes in SQLite and PostgreSQL: their way from draft to active and back, two servers, and a lost database.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::time::Duration;

use policy_core::pdp::{Baseline, SetSource};
use policy_runtime::clock::FixedClock;
use policy_runtime::database::{Database, DatabaseAddress};
use policy_runtime::sets::{Currency, Follower, PolicySets, SetState, SetsError};
use policy_runtime::value::Millis;
use policy_runtime::{Denied, Participant, Policy, SecurityContext, abac_policy};
use tests::postgres;

const NOW: Millis = Millis(1_000);

#[abac_policy(participant.roles contains "clerk", action = "file")]
fn file() -> Result<(), Denied> {
    Ok(())
}

fn server(clock: &FixedClock) -> Policy {
    Policy::builder().organization("acme").application("desk").clock(Arc::new(clock.clone())).build().unwrap()
}

fn allowed(policy: &Policy) -> bool {
    let ann = Participant::builder(policy.application().clone(), "ann").role("clerk").build();
    SecurityContext::new(policy, ann.into()).run(file).is_ok()
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

#[tokio::test]
async fn two_who_activate_at_once() {
    for (path, address) in databases() {
        let policy = server(&FixedClock::at(0));
        let sets = PolicySets::new(Database::open(&address).await.unwrap());
        let acme = policy.organization();
        let mut tasks = Vec::new();
        for n in 0..8 {
            let draft = sets.draft(&acme, &closed(), &format!("admin-{n}"), "race", NOW).await.unwrap();
            sets.validate(&policy, &acme, draft).await.unwrap();
            let (sets, policy, acme) = (sets.clone(), policy.clone(), acme.clone());
            tasks.push(tokio::spawn(async move { sets.activate(&policy, &acme, draft, 0, "x", NOW).await }));
        }
        let mut won = 0;
        for task in tasks {
            match task.await.unwrap() {
                Ok(_) => won += 1,
                Err(error) => assert!(matches!(error, SetsError::Conflict { .. }), "{error}"),
            }
        }
        assert_eq!(won, 1);
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
