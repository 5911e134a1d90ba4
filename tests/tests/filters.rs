//! A filtered query finds exactly the rows that single decisions allow, in SQLite and in PostgreSQL.

#![expect(clippy::print_stdout, reason = "a missing database is said plainly")]

use policy_core::testing::{filters, traps};
use tests::{oracle, postgres};

/// Over both threads.
const CASES: u64 = 20_000;

#[test]
fn a_list_never_disagrees_with_a_check() {
    let found = postgres::server();
    if let Err(why) = &found {
        println!("PostgreSQL was not found, so only SQLite is held against the decisions: {why}");
    }
    let runs = [1, 2].map(|seed| {
        let url = found.as_ref().ok().map(|_| postgres::fresh_database().expect("the server runs"));
        std::thread::spawn(move || {
            let mut databases = oracle::databases(url.as_deref()).expect("the databases open");
            filters(CASES / 2, seed, &mut databases)
        })
    });
    for run in runs {
        let report = run.join().expect("the run ends");
        assert!(report.disagreements.is_empty(), "{report}");
        assert_eq!(report.cases, CASES / 2);
        // The cases are not all of one sort.
        assert!(report.mixed > report.cases / 10 && report.row_checks < report.cases / 4, "{report}");
    }
}

#[test]
fn known_traps_catch_nobody() {
    let url = postgres::fresh_database().ok();
    if url.is_none() {
        println!("PostgreSQL was not found, so the traps are laid in SQLite alone");
    }
    let mut databases = oracle::databases(url.as_deref()).expect("the databases open");
    let wrong = traps(&mut databases).expect("the corpus holds together");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
