//! One refused call: a guarded method, callers of three kinds, rules of three tiers, and one that changes while it runs.
//!
//! `cargo run` prints it, `cargo run -- --json` prints the same for programs.

mod stage;
mod story;
mod text;

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let json = std::env::args().any(|argument| argument == "--json");
    let told = match story::tell().await {
        Ok(told) => told,
        Err(error) => {
            eprintln!("the quickstart failed: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    if json {
        println!("{:#}", told.json());
    } else {
        print!("{}", text::render(&told));
    }
    ExitCode::SUCCESS
}
