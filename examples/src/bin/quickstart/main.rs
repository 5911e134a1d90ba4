//! One refused call: a guarded method, callers of three kinds, rules of three tiers, and one that changes while it runs.
//!
//! `cargo run` prints it, `cargo run -- --json` prints the same for programs, `cargo run -- serve` keeps the gateway up.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it is a program that prints")]

mod http;
mod serve;
mod stage;
mod story;
mod text;

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => story::tell().await.map(|told| print!("{}", text::render(&told))),
        ["--json"] => story::tell().await.map(|told| println!("{:#}", told.json())),
        ["serve", port @ ..] if port.len() < 2 => serve::serve(port.first().copied()).await,
        _ => {
            eprintln!("usage: cargo run [-- --json | -- serve [PORT]]");
            return ExitCode::FAILURE;
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the quickstart failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}
