//! One suite over the journal in memory and in SQLite; what can be tampered with, in SQLite alone.

use std::sync::Arc;
use std::time::Duration;

use policy_core::ActionName;

use super::*;
use crate::audit::Detail;
use crate::clock::FixedClock;
use crate::secret::Secret;

const ACME: &str = "org:acme";

fn record(n: i64, actor: &str, outcome: &'static str) -> Record {
    Record::new(RecordKind::Decision, n, actor, "com.example.Orders.place", ACME, outcome)
        .detail("clause", Detail::Plain("order.amount < 5".into()))
        .detail("value.participant.email", Detail::Personal(format!("{actor}@example.com")))
        .detail("value.order.pin", Detail::Secret)
}

fn key() -> AnchorKey {
    AnchorKey::new(&Secret::new([7; 32]))
}

fn journals() -> Vec<Journal> {
    let clock = Arc::new(FixedClock::at(9_000));
    vec![
        Journal::in_memory().anchor_key(key()).clock(clock.clone()).start().unwrap(),
        #[cfg(feature = "sqlite")]
        Journal::in_database(crate::database::DatabaseAddress::Memory).anchor_key(key()).clock(clock).start().unwrap(),
    ]
}

#[tokio::test]
async fn records_are_chained_found_counted_and_exported() {
    for journal in journals() {
        for n in 0..5 {
            journal.begin(&record(n * 1_000, if n == 3 { "bob" } else { "ann" }, "allow")).await.unwrap();
        }
        journal.note(&record(5_000, "bob", "deny").about("com::example::Order", "7")).await.unwrap();
        journal.note(&Record::new(RecordKind::SignIn, 1, "ann", "password", "app:acme/shop", "deny")).await.unwrap();
        journal.flush().await.unwrap();
        let all = Filter::scope(ACME);
        let numbers = async |filter: Filter| -> Vec<i64> {
            journal.query(&filter).await.unwrap().iter().map(|r| r.number).collect()
        };
        assert_eq!(numbers(all.clone()).await, [1, 2, 3, 4, 5, 6]);
        assert_eq!(numbers(all.clone().actor("bob")).await, [4, 6]);
        assert_eq!(numbers(all.clone().outcome("deny")).await, [6]);
        assert_eq!(numbers(all.clone().resource("com::example::Order", "7")).await, [6]);
        assert_eq!(numbers(all.clone().between(1_000, 3_000)).await, [2, 3]);
        assert_eq!(numbers(all.clone().after(4)).await, [5, 6]);
        assert_eq!(numbers(all.clone().limit(2)).await, [1, 2]);
        assert_eq!(numbers(all.clone().kind(RecordKind::SignIn)).await, [] as [i64; 0]);
        assert_eq!(numbers(Filter::scope("org:globex")).await, [] as [i64; 0], "each scope has its own");
        assert_eq!(journal.scopes().await.unwrap(), ["app:acme/shop", ACME]);
        let counts = journal.counts(&all).await.unwrap();
        let counts: Vec<_> = counts.iter().map(|c| (c.actor.as_str(), c.outcome.as_str(), c.count)).collect();
        assert_eq!(counts, [("ann", "allow", 4), ("bob", "allow", 1), ("bob", "deny", 1)]);

        let mut lines = Vec::new();
        assert_eq!(journal.export(&all, &mut lines).await.unwrap(), 6);
        let text = String::from_utf8(lines).unwrap();
        let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(first["record"]["details"]["clause"], "order.amount < 5");
        assert_eq!(first["record"]["details"]["value.order.pin"]["secret"], true);
        assert_eq!(first["personal"]["value.participant.email"]["value"], "ann@example.com");
        assert!(!first["record"].to_string().contains("ann@example.com"), "only its hash is in the chain");

        let verified = journal.verify(ACME, None).await.unwrap();
        assert_eq!((verified.records, verified.last), (6, 6));
    }
}

#[tokio::test]
async fn the_end_of_work_is_a_record_of_its_own() {
    for journal in journals() {
        let opened = record(1, "ann", "allow");
        journal.begin(&opened).await.unwrap();
        journal.complete(&opened, Some(17));
        journal.flush().await.unwrap();
        let found = journal.query(&Filter::scope(ACME).decision(&opened.decision)).await.unwrap();
        assert_eq!(found.iter().map(|r| r.kind.as_str()).collect::<Vec<_>>(), ["decision", "end"]);
        assert_eq!(found[1].time, 9_000);
        let body: serde_json::Value = serde_json::from_str(&found[1].body).unwrap();
        assert_eq!(body["details"]["rows"], "17");
    }
}

#[tokio::test]
async fn who_tried_to_be_somebody_is_forgotten_with_them() {
    let tried = |who: &str, of: &str| {
        Record::new(RecordKind::SignIn, 1, who, "password", ACME, "deny")
            .about("participant", of)
            .detail("ip", Detail::Personal("192.0.2.7".into()))
    };
    for journal in journals() {
        for (who, of) in [("org:acme/nobody", "u_1"), ("org:acme/nobody", "u_2"), ("org:acme/u_3", "u_1")] {
            journal.begin(&tried(who, of)).await.unwrap();
        }
        assert_eq!(journal.erase(ACME, "org:acme/u_1").await.unwrap(), 1);
        let left = journal.query(&Filter::scope(ACME)).await.unwrap();
        let left: Vec<bool> = left.iter().map(|record| record.personal("ip").is_some()).collect();
        assert_eq!(left, [false, true, true], "nobody else, and nobody who is known");
        assert_eq!(journal.verify(ACME, None).await.unwrap().records, 3);
    }
}

#[tokio::test]
async fn persons_are_forgotten_and_old_records_removed_without_breaking_the_chain() {
    for journal in journals() {
        for n in 0..10 {
            journal.begin(&record(n * 1_000, "ann", "allow")).await.unwrap();
        }
        assert_eq!(journal.erase(ACME, "bob").await.unwrap(), 0);
        assert_eq!(journal.erase(ACME, "ann").await.unwrap(), 10);
        assert_eq!(journal.query(&Filter::scope(ACME)).await.unwrap()[0].personal("value.participant.email"), None);
        assert_eq!(journal.verify(ACME, None).await.unwrap().records, 10);

        let anchor = journal.anchors(10_000).await.unwrap().remove(0);
        assert!(key().verifies(&anchor));
        assert_eq!(journal.retain(ACME, 4_000, 11_000).await.unwrap(), 4);
        assert_eq!(journal.retain(ACME, 4_000, 11_000).await.unwrap(), 0);
        let verified = journal.verify(ACME, Some(&anchor)).await.unwrap();
        assert_eq!((verified.records, verified.last, verified.checkpoint), (6, 10, Some(4)));
        assert_eq!(journal.retain(ACME, i64::MAX, 12_000).await.unwrap(), 6, "all of them");
        journal.begin(&record(1, "ann", "allow")).await.unwrap();
        let verified = journal.verify(ACME, Some(&anchor)).await.unwrap();
        assert_eq!((verified.records, verified.last), (1, 11), "numbers go on");

        let forged = Anchor { number: 3, ..anchor.clone() };
        assert!(matches!(journal.verify(ACME, Some(&forged)).await, Err(Broken::Anchor { .. })));
        let other = AnchorKey::new(&Secret::new([8; 32])).sign(ACME, 11, &anchor.hash, 1);
        assert!(matches!(journal.verify(ACME, Some(&other)).await, Err(Broken::Anchor { .. })));
        let wrong = key().sign(ACME, 11, &anchor.hash, 1);
        assert!(matches!(journal.verify(ACME, Some(&wrong)).await, Err(Broken::Anchor { .. })), "another history");
        let beyond = key().sign(ACME, 12, &anchor.hash, 1);
        assert!(matches!(journal.verify(ACME, Some(&beyond)).await, Err(Broken::Anchor { .. })), "cut off");
    }
}

#[test]
fn what_is_recorded() {
    let place = ActionName::new("com.example", "Orders.place");
    let other = ActionName::new("com.example", "Orders.list");
    let wants =
        |recording: &Recording, action: &ActionName| (recording.wants(action, true), recording.wants(action, false));
    assert_eq!(wants(&Recording::all(), &place), (true, true));
    assert_eq!(wants(&Recording::denials(), &place), (false, true));
    assert_eq!(wants(&Recording::required(), &place), (false, false));
    let by_action = Recording::denials().action("com.example.Orders.place", What::All);
    assert_eq!((wants(&by_action, &place), wants(&by_action, &other)), ((true, true), (false, true)));
    let sampled = Recording::sampled(10);
    assert_eq!((0..100).filter(|_| sampled.wants(&place, true)).count(), 10);
    assert!((0..100).all(|_| sampled.wants(&place, false)), "denials are not sampled");
    assert!(!Recording::sampled(0).wants(&place, true));
}

#[test]
fn many_that_note_at_once_wait_for_room_and_lose_nothing() {
    let places = [
        Journal::in_memory(),
        #[cfg(feature = "sqlite")]
        Journal::in_database(crate::database::DatabaseAddress::Memory),
    ];
    for place in places {
        let journal = place.queue(16).start().unwrap();
        std::thread::scope(|threads| {
            for thread in 0..4 {
                let journal = &journal;
                threads.spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                    for n in 0..200 {
                        let record = record(n, &format!("u-{thread}"), "allow");
                        if n % 2 == 0 {
                            journal.note_blocking(&record).unwrap();
                        } else {
                            runtime.block_on(journal.note(&record)).unwrap();
                        }
                    }
                });
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        assert_eq!(runtime.block_on(journal.verify(ACME, None)).unwrap().records, 800);
        for thread in 0..4 {
            let own = Filter::scope(ACME).actor(&format!("u-{thread}")).limit(1_000);
            let own = runtime.block_on(journal.query(&own)).unwrap();
            assert_eq!(own.iter().map(|r| r.time).collect::<Vec<_>>(), (0..200).collect::<Vec<_>>(), "in their order");
        }
    }
}

#[test]
fn code_that_cannot_await_writes_too() {
    let journal = Journal::in_memory().start().unwrap();
    journal.begin_blocking(&record(1, "ann", "allow")).unwrap().unwrap();
    journal.note_blocking(&record(2, "ann", "deny")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert_eq!(runtime.block_on(journal.query(&Filter::scope(ACME))).unwrap().len(), 2);
    // Also on a runtime's only thread: the writer has its own.
    runtime.block_on(async { journal.begin_blocking(&record(3, "ann", "allow")).unwrap().unwrap() });
}

#[cfg(feature = "sqlite")]
mod stored {
    use super::*;
    use crate::database::{Database, DatabaseAddress};

    struct File(std::path::PathBuf);

    impl Drop for File {
        fn drop(&mut self) {
            for end in ["", "-wal", "-shm"] {
                let _ = std::fs::remove_file(format!("{}{end}", self.0.display()));
            }
        }
    }

    fn file() -> (File, DatabaseAddress) {
        let path = std::env::temp_dir().join(format!("policy-audit-{}.db", uuid::Uuid::new_v4().simple()));
        (File(path.clone()), DatabaseAddress::File(path))
    }

    async fn run(address: &DatabaseAddress, sql: &'static str) {
        let database = Database::open(address).await.unwrap();
        let mut tx = database.begin().await.unwrap();
        tx.run(sql, vec![]).await.unwrap();
        tx.commit().await.unwrap();
    }

    #[tokio::test]
    async fn whatever_is_changed_shows() {
        for (sql, number) in [
            ("UPDATE policy_audit SET records = replace(records, '\"allow\"', '\"deny\"') WHERE number = 3", Some(3)),
            ("UPDATE policy_audit SET records = 'x' WHERE number = 3", Some(3)),
            ("UPDATE policy_audit SET latest = latest + 1 WHERE number = 3", Some(3)),
            ("UPDATE policy_audit_terms SET term = 'actor=bob' WHERE number = 3 AND term = 'actor=ann'", Some(3)),
            ("DELETE FROM policy_audit_terms WHERE number = 2", Some(2)),
            ("UPDATE policy_audit_personal SET value = 'x' WHERE number = 4", Some(4)),
            ("DELETE FROM policy_audit WHERE number = 3", Some(4)),
            ("DELETE FROM policy_audit WHERE number = 1", Some(2)),
            ("UPDATE policy_audit SET number = 9 WHERE number = 5", Some(9)),
            ("UPDATE policy_audit_ends SET number = 4", None),
            ("UPDATE policy_audit_ends SET hash = 'x'", None),
            ("DELETE FROM policy_audit_ends", None),
            ("INSERT INTO policy_audit_checkpoints VALUES ('org:acme', 1, 'x', 1, 'ff')", None),
        ] {
            let (_file, address) = file();
            let journal = Journal::in_database(address.clone()).anchor_key(key()).start().unwrap();
            for n in 0..5 {
                journal.begin(&record(n, "ann", "allow")).await.unwrap();
            }
            journal.verify(ACME, None).await.unwrap();
            run(&address, sql).await;
            match (journal.verify(ACME, None).await.unwrap_err(), number) {
                (Broken::Record { number: found, .. }, Some(number)) => assert_eq!(found, number, "{sql}"),
                (Broken::Anchor { .. }, None) => {}
                (other, _) => panic!("{sql}: {other}"),
            }
        }
    }

    /// Written together, and found, removed and verified as if each stood alone: what memory does, the database does.
    #[tokio::test]
    async fn records_that_were_written_together_are_found_alone() {
        let (_file, address) = file();
        let clock = Arc::new(FixedClock::at(9_000));
        let journals = [Journal::in_memory(), Journal::in_database(address.clone())]
            .map(|journal| journal.anchor_key(key()).clock(clock.clone()).start().unwrap());
        // While somebody else writes, the writer waits and takes many at once.
        let database = Database::open(&address).await.unwrap();
        let lock = database.begin().await.unwrap();
        let now = clock_of_ids();
        let records: Vec<Record> = (0..3_000_i64)
            .map(|n| {
                // Every hundredth is an hour later than its id says.
                let time = now + n * 10 + if n % 100 == 0 { 3_600_000 } else { 0 };
                record(time, &format!("u-{}", n % 7), if n % 50 == 3 { "deny" } else { "allow" })
            })
            .collect();
        for journal in &journals {
            for record in &records {
                journal.note(record).await.unwrap();
            }
        }
        drop(lock);
        let filters = |after: i64| {
            let all = Filter::scope(ACME);
            [
                all.clone(),
                all.clone().actor("u-3"),
                all.clone().actor("nobody"),
                all.clone().actor("u-3").outcome("deny"),
                all.clone().outcome("deny").limit(7),
                all.clone().action("com.example.Orders.place").limit(1_500),
                all.clone().between(now + 9_995, now + 12_000),
                all.clone().between(now + 3_600_000, i64::MAX),
                all.clone().decision(&records[777].decision),
                all.clone().decision(&records[800].decision),
                all.clone().decision("d-1"),
            ]
            .map(|filter| filter.after(after))
        };
        let [memory, stored] = &journals;
        let same = async || {
            for filter in [0, 1, 1_499, 2_990].map(filters).into_iter().flatten() {
                let [a, b] = [memory, stored].map(|journal| journal.query(&filter));
                let plain =
                    |r: Stored| (r.number, r.body.clone(), r.personal("value.participant.email").map(str::to_owned));
                let [a, b] = [a.await.unwrap(), b.await.unwrap()].map(|r| r.into_iter().map(plain).collect::<Vec<_>>());
                // Salts, and so the hashes of personal details, are each journal's own.
                let public = |all: &[(i64, String, Option<String>)]| -> Vec<_> {
                    let cut = |body: &str| body.split("\"personal\"").next().unwrap_or_default().to_owned();
                    all.iter().map(|(n, body, email)| (*n, cut(body), email.clone())).collect()
                };
                assert_eq!(public(&a), public(&b), "{filter:?}");
            }
            let all = Filter::scope(ACME);
            assert_eq!(memory.counts(&all).await.unwrap(), stored.counts(&all).await.unwrap());
            let [a, b] = [memory.verify(ACME, None).await.unwrap(), stored.verify(ACME, None).await.unwrap()];
            assert_eq!(a, b);
        };
        Box::pin(same()).await;
        let blocks = database.rows("SELECT number FROM policy_audit", vec![]).await.unwrap();
        assert!(blocks.len() < 200, "{} for 3,000", blocks.len());
        let one = stored.query(&Filter::scope(ACME).decision(&records[800].decision)).await.unwrap();
        assert_eq!(one.len(), 1, "also one whose id does not tell its time");
        // Records 1 and 101 are an hour late: with 101, the first that stays is 1.
        for before in [now + 12_345, now + 3_600_000 + 12_345, i64::MAX] {
            let [a, b] = [memory, stored].map(|journal| journal.retain(ACME, before, now));
            assert_eq!(a.await.unwrap(), b.await.unwrap(), "{before}");
            Box::pin(same()).await;
        }
    }

    fn clock_of_ids() -> i64 {
        block::told(&record(0, "ann", "allow").decision).unwrap()
    }

    #[tokio::test]
    async fn records_that_were_cut_off_show_by_the_anchor() {
        let (_file, address) = file();
        let journal = Journal::in_database(address.clone()).anchor_key(key()).start().unwrap();
        for n in 0..5 {
            journal.begin(&record(n, "ann", "allow")).await.unwrap();
        }
        let anchor = journal.anchors(1).await.unwrap().remove(0);
        run(&address, "DELETE FROM policy_audit WHERE number > 3").await;
        run(
            &address,
            "UPDATE policy_audit_ends SET number = 3, hash = (SELECT substr(records, 1, 64) FROM policy_audit WHERE number = 3)",
        )
        .await;
        journal.verify(ACME, None).await.unwrap();
        assert!(matches!(journal.verify(ACME, Some(&anchor)).await, Err(Broken::Anchor { .. })));
    }

    #[tokio::test]
    async fn two_writers_share_a_chain() {
        let (_file, address) = file();
        let journals: Vec<Arc<Journal>> = (0..2)
            .map(|_| Arc::new(Journal::in_database(address.clone()).anchor_key(key()).start().unwrap()))
            .collect();
        let writers = (0..40).map(|n| {
            let journal = journals[n % 2].clone();
            tokio::spawn(async move { journal.begin(&record(1, "ann", "allow")).await })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap().unwrap();
        }
        assert_eq!(journals[0].verify(ACME, None).await.unwrap().records, 40);
    }

    #[tokio::test]
    async fn a_store_that_does_not_take_records_refuses_what_is_required_and_loses_nothing() {
        let (_file, address) = file();
        let patience = Duration::from_secs(8);
        let journal = Journal::in_database(address.clone()).queue(20).patience(patience).start().unwrap();
        run(&address, "ALTER TABLE policy_audit RENAME TO gone").await;
        assert!(journal.begin(&record(1, "ann", "allow")).await.is_err(), "refused");
        for n in 0..20 {
            journal.note(&record(n, "bob", "deny")).await.unwrap();
        }
        assert!(journal.flush().await.is_err());
        run(&address, "ALTER TABLE gone RENAME TO policy_audit").await;
        journal.flush().await.unwrap();
        let found = journal.query(&Filter::scope(ACME)).await.unwrap();
        assert_eq!(found.len(), 20, "those that were held back, and not the refused one");
        assert!(found.iter().all(|r| r.actor == "bob"));
        journal.verify(ACME, None).await.unwrap();
    }

    #[tokio::test]
    async fn callers_wait_while_the_writer_is_behind() {
        let (_file, address) = file();
        let patience = Duration::from_millis(300);
        let journal = Journal::in_database(address.clone()).queue(4).patience(patience).start().unwrap();
        let database = Database::open(&address).await.unwrap();
        let lock = database.begin().await.unwrap();
        let mut taken = 0;
        let error = loop {
            match journal.note(&record(taken, "ann", "deny")).await {
                Ok(()) => taken += 1,
                Err(error) => break error,
            }
            assert!(taken < 1_000, "the queue has an end");
        };
        assert!(error.to_string().contains("behind"), "{error}");
        assert!(journal.note_blocking(&record(0, "ann", "deny")).is_err());
        drop(lock);
        tokio::time::sleep(Duration::from_millis(500)).await;
        journal.flush().await.unwrap();
        let found = journal.query(&Filter::scope(ACME)).await.unwrap();
        assert_eq!(i64::try_from(found.len()).unwrap(), taken, "what was taken is there");
    }
}
