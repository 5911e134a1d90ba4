//! Filtered queries beside the same WHERE written by hand, over a million rows in SQLite and in PostgreSQL; and rules that must see
//! each row.
//!
//! ```text
//! cargo bench -p tests --bench entities                 # a million rows
//! cargo bench -p tests --bench entities -- 20000        # fewer, to try it
//! ```
#![expect(clippy::print_stdout, reason = "its output is the result")]
#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on fails")]

use std::time::{Duration, Instant};

use policy_runtime::SetSource;
use policy_runtime::entity::{Pool, Query};
use tests::pictures::{CASES, Picture, Pictures, median};
use tests::postgres;

/// What a filtered query may take of the one written by hand.
const PROMISED: f64 = 1.1;
const TURNS: usize = 101;

fn main() {
    // `cargo test --benches` says `--test`, `cargo bench` says `--bench`.
    let short = std::env::args().any(|word| word == "--test");
    let given = std::env::args().find_map(|word| word.replace('_', "").parse().ok());
    let rows = given.unwrap_or(if short { 2_000 } else { 1_000_000 });
    let folder = std::env::temp_dir().join(format!("policy-pictures-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let sqlite = format!("sqlite:{}/rows.db?mode=rwc", folder.display());
        measure("SQLite", &sqlite, rows).await;
        match postgres::fresh_database() {
            Ok(url) => measure("PostgreSQL", &url, rows).await,
            Err(why) => println!("without PostgreSQL: {why}"),
        }
    });
    std::fs::remove_dir_all(&folder).unwrap();
}

async fn measure(name: &str, url: &str, rows: u32) {
    let pictures = Pictures::of(Pool::connect(url).await.unwrap(), rows).await.unwrap();
    println!("\n{name}, {rows} rows");
    for case in &CASES {
        let [condition, by_hand] = pictures.both(case, TURNS).await.unwrap();
        assert_eq!(condition.count, by_hand.count, "{}", case.name);
        let ratio = condition.time().as_secs_f64() / by_hand.time().as_secs_f64();
        println!(
            "{}: {} rows, condition {:.1?}, by hand {:.1?}, {ratio:.2} times of {PROMISED} {}",
            case.name,
            condition.count,
            condition.time(),
            by_hand.time(),
            if ratio <= PROMISED { "kept" } else { "MISSED" },
        );
        let same = condition.indexes() == by_hand.indexes();
        println!(
            "  indexes {:?}, {}",
            condition.indexes(),
            if same { "the same by hand" } else { "NOT those by hand" }
        );
        for (who, plan) in [("condition", &condition.plan), ("by hand", &by_hand.plan)] {
            println!("  {who}: {}", plan.join("\n             "));
        }
    }
    fallback(&pictures).await;
}

/// A rule with arithmetic on a column, which is asked about each row of those that the other rules leave.
async fn fallback(pictures: &Pictures) {
    let photos = pictures.entities.repository::<Picture>().await.unwrap();
    let counted = async || -> (u64, Duration) {
        let mut times = Vec::new();
        let mut count = 0;
        for _ in 0..5 {
            let started = Instant::now();
            count = photos.count_by_query(&pictures.caller, &Query::all()).await.unwrap();
            times.push(started.elapsed());
        }
        (count, median(times))
    };
    let (count, by_sql) = counted().await;
    let policy = pictures.caller.policy();
    let cedar = "forbid(principal, action == com::example::pictures::Action::\"Picture.countByQuery\", resource) when { resource.size * 2 == 42 };";
    let source = SetSource { cedar: vec![("sizes".into(), cedar.into())], ..SetSource::default() };
    policy.replace(&policy.organization(), &source).unwrap();
    let (seen, by_rows) = counted().await;
    println!(
        "row by row: {seen} of {count} rows in {by_rows:.1?}, {:.1?} a row; by SQL alone {by_sql:.1?}",
        by_rows / u32::try_from(count.max(1)).unwrap(),
    );
}
