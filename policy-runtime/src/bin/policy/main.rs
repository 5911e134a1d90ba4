//! The command `policy`: serves, and works on folders of policies. Each command has a file of its own.
#![expect(clippy::print_stderr, reason = "it is a program that prints")]

mod client;
mod init;
mod offline;
mod online;
mod output;
mod recover;
mod serve;
mod told;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use told::{Told, Trouble};

/// What a command fails with: exit code 2.
type Failure = Box<dyn std::error::Error>;

/// Writes who may do what, serves it, and tries it before it is served.
#[derive(Parser)]
#[command(
    name = "policy",
    version,
    after_help = "exit codes: 0 in order (or allowed), 1 findings (or denied), 2 cannot be carried out"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Writes a folder with a configuration and first policies
    Init(init::Init),
    /// Starts the server; without a file, on this machine with policy.db
    Serve(serve::Serve),
    /// Asks the providers of a configuration, explains a token
    Doctor(serve::Doctor),
    /// Registers a client, and says its secret once
    Client(client::Client),
    /// Makes a key that will sign tokens in place of the present one
    Rotate(serve::Maintained),
    /// After restoring a backup: ends what was handed out before
    Restored(serve::Maintained),
    /// Says what is wrong with policies (or with `--config`, a configuration)
    Check(offline::Check),
    /// Formats policies
    Fmt(offline::Fmt),
    /// Lists what there is to write rules about
    Schema(offline::Schema),
    /// Runs tests of policies, and says what they cover
    Test(offline::Test),
    /// Decides a supposed request: why, and what would have to be otherwise; who may; what may somebody
    Explain(offline::Explain),
    /// Says how two folders of policies differ, in words, and which requests they decide differently
    Diff(offline::Diff),
    #[command(flatten)]
    Online(online::Online),
    /// Gives a scope its earlier policies back, without a server: when nobody may change them any more
    Recover(recover::Recover),
    /// Writes a script that completes commands in a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let command = match Arguments::try_parse() {
        Ok(arguments) => arguments.command,
        Err(error) => return misused(&error),
    };
    let (json, done) = match command {
        Command::Serve(arguments) => match serve::serve(&arguments).await {
            Ok(()) => return ExitCode::SUCCESS,
            Err(failure) => (false, Err(failure)),
        },
        Command::Init(arguments) => (arguments.json, init::init(&arguments)),
        Command::Doctor(arguments) => (arguments.json, serve::doctor(&arguments).await),
        Command::Client(arguments) => (arguments.json, client::client(&arguments).await),
        Command::Rotate(arguments) => (arguments.json, client::rotate(&arguments).await),
        Command::Restored(arguments) => (arguments.json, serve::restored(&arguments).await),
        Command::Check(arguments) => match &arguments.config {
            Some(config) => (arguments.place.json, Ok(serve::check(config))),
            None => (arguments.place.json, offline::check(&arguments)),
        },
        Command::Fmt(arguments) => (arguments.place.json, offline::fmt(&arguments)),
        Command::Schema(arguments) => (arguments.place.json, offline::schema(&arguments)),
        Command::Test(arguments) => (arguments.place.json, offline::test(&arguments)),
        Command::Explain(arguments) => (arguments.place.json, offline::explain(&arguments)),
        Command::Diff(arguments) => (arguments.json, offline::diff(&arguments)),
        Command::Recover(arguments) => (arguments.json, recover::recover(&arguments).await),
        Command::Completions { shell } => (false, Ok(completions(shell))),
        Command::Online(command) => {
            let (json, done) = online::run(command).await;
            return told::print(json, done);
        }
    };
    told::print(json, done.map_err(Trouble::from))
}

fn completions(shell: clap_complete::Shell) -> Told {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "policy", &mut script);
    let text = String::from_utf8_lossy(&script).into_owned();
    Told::data(text, serde_json::Value::Null, format!("source <(policy completions {shell})"))
}

/// Wrong arguments end with exit code 2 and the help of the command that was meant.
fn misused(error: &clap::Error) -> ExitCode {
    // Nobody is left to be told whose terminal is gone.
    let _ = error.print();
    if !error.use_stderr() {
        return ExitCode::SUCCESS;
    }
    let (mut command, mut line) = (Arguments::command(), "policy".to_owned());
    for word in std::env::args().skip(1) {
        let Some(meant) = command.find_subcommand(&word).cloned() else { break };
        line.extend([" ", &word]);
        command = meant;
    }
    output::complain(&format!("next: {line} --help\n"));
    ExitCode::from(2)
}
