//! The command `policy`: serves, and works on folders of policies. Each command has a file of its own.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it is a program that prints")]

mod client;
mod init;
mod offline;
mod online;
mod output;
mod recover;
mod serve;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

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
    Rotate(serve::Configured),
    /// After restoring a backup: ends what was handed out before
    Restored(serve::Configured),
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
    // Wrong arguments end here, with exit code 2.
    let done = match Arguments::parse().command {
        Command::Init(arguments) => init::init(&arguments),
        Command::Serve(arguments) => serve::serve(&arguments).await,
        Command::Doctor(arguments) => serve::doctor(&arguments).await,
        Command::Client(arguments) => client::client(&arguments).await,
        Command::Rotate(arguments) => client::rotate(&arguments).await,
        Command::Restored(arguments) => serve::restored(&arguments).await,
        Command::Check(arguments) => match &arguments.config {
            Some(config) => Ok(serve::check(config)),
            None => offline::check(&arguments),
        },
        Command::Fmt(arguments) => offline::fmt(&arguments),
        Command::Schema(arguments) => offline::schema(&arguments),
        Command::Test(arguments) => offline::test(&arguments),
        Command::Explain(arguments) => offline::explain(&arguments),
        Command::Diff(arguments) => offline::diff(&arguments),
        Command::Online(command) => Ok(online::run(command).await),
        Command::Recover(arguments) => recover::recover(&arguments).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "policy", &mut script);
            output::write(&String::from_utf8_lossy(&script));
            Ok(ExitCode::SUCCESS)
        }
    };
    done.unwrap_or_else(|error| {
        let (told, next) =
            (error.to_string(), if error.to_string().contains("\nnext: ") { "" } else { "\nnext: policy --help" });
        output::complain(&format!("error: {told}{next}\n"));
        ExitCode::from(2)
    })
}
