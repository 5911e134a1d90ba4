//! Verifies a file of tokens with the project's own bearer verification.
//!
//! `cargo run -p tests --bin token-corpus -- FILE` prints each wrong verdict and the counts, and fails if there is one.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks on the terminal")]

use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("usage: token-corpus FILE");
        return ExitCode::from(2);
    };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("`{path}` cannot be read: {error}");
            return ExitCode::from(2);
        }
    };
    let report = match tests::tokens::run(&text) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("`{path}` is no corpus of tokens: {error}");
            return ExitCode::from(2);
        }
    };
    for wrong in &report.wrong {
        println!("wrong: {wrong}");
    }
    println!(
        "{} accepted, {} refused, {} either ({} accepted, {} refused), {} wrong",
        report.accepted,
        report.refused,
        report.either_accepted + report.either_refused,
        report.either_accepted,
        report.either_refused,
        report.wrong.len()
    );
    if report.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
