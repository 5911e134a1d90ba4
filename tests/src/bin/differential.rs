//! Holds our decisions against Cedar's on random models, data and policies, and on rules of the policy language.
//!
//! `cargo run --release -p tests --bin differential -- --cases N --seed S` prints the cases, how many were allowed, denied and
//! errored, and every disagreement, made small; it fails if there is one. The same seed gives the same cases.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks on the terminal")]

use std::process::ExitCode;
use std::time::Instant;

use policy_core::testing::{differential, language};

fn main() -> ExitCode {
    let Some((cases, seed)) = arguments(std::env::args().skip(1)) else {
        eprintln!("usage: differential [--cases N] [--seed S]");
        return ExitCode::from(2);
    };
    let mut failed = false;
    for (name, run, cases) in [
        ("policies", differential as fn(u64, u64) -> policy_core::testing::Report, cases),
        ("rules of the language", language, cases / 2),
    ] {
        let started = Instant::now();
        let report = run(cases, seed);
        println!("{name}, seed {seed}, {:.1} s\n{report}\n", started.elapsed().as_secs_f64());
        failed |= !report.disagreements.is_empty() || report.cases < cases;
    }
    ExitCode::from(u8::from(failed))
}

fn arguments(mut words: impl Iterator<Item = String>) -> Option<(u64, u64)> {
    let (mut cases, mut seed) = (200_000, 1);
    while let Some(word) = words.next() {
        let value = words.next()?.replace('_', "").parse().ok()?;
        match word.as_str() {
            "--cases" => cases = value,
            "--seed" => seed = value,
            _ => return None,
        }
    }
    Some((cases, seed))
}
