//! Holds filtered queries against single decisions on random data, participants and policies of all tiers.
//!
//! `cargo run --release -p tests --bin filter-oracle -- --cases N --seed S [--postgres URL]` prints the cases, the rows
//! compared and every disagreement, made small; it fails if there is one. Without a URL it starts a PostgreSQL of its own where
//! one is installed, and says so where none is. The same seed gives the same cases.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks on the terminal")]

use std::process::ExitCode;
use std::time::Instant;

use policy_core::testing::filters;
use tests::{oracle, postgres};

fn main() -> ExitCode {
    let Some((cases, seed, url)) = arguments(std::env::args().skip(1)) else {
        eprintln!("usage: filter-oracle [--cases N] [--seed S] [--postgres URL]");
        return ExitCode::from(2);
    };
    let url = url.or_else(|| match postgres::fresh_database() {
        Ok(url) => Some(url),
        Err(why) => {
            println!("without PostgreSQL, which was not found: {why}");
            None
        }
    });
    let mut databases = match oracle::databases(url.as_deref()) {
        Ok(databases) => databases,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    let names: Vec<&str> = databases.iter().map(|database| database.name()).collect();
    let started = Instant::now();
    let report = filters(cases, seed, &mut databases);
    println!("filters in {}, seed {seed}, {:.1} s\n{report}", names.join(" and "), started.elapsed().as_secs_f64());
    ExitCode::from(u8::from(!report.disagreements.is_empty() || report.cases < cases))
}

fn arguments(mut words: impl Iterator<Item = String>) -> Option<(u64, u64, Option<String>)> {
    let (mut cases, mut seed, mut url) = (20_000, 1, None);
    while let Some(word) = words.next() {
        let value = words.next()?;
        match word.as_str() {
            "--cases" => cases = value.replace('_', "").parse().ok()?,
            "--seed" => seed = value.replace('_', "").parse().ok()?,
            "--postgres" => url = Some(value),
            _ => return None,
        }
    }
    Some((cases, seed, url))
}
