//! The command `policy`: starts a server, looks at a configuration.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it is a program that prints")]

use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use policy_runtime::config::{Config, Environment, Faults};
use policy_runtime::database::DatabaseAddress;
use policy_runtime::secret::Secret;
use policy_runtime::server::{BOOTSTRAP_S, Prepared, examine, furnish};

const USAGE: &str = "\
usage: policy serve  [--config FILE] [--demo]   starts the server; without a file, on this machine with policy.db
       policy check  [--config FILE]            says what is wrong with a configuration
       policy doctor [--config FILE] [--token FILE]
                                                asks the providers, explains a token (`-` reads it from the input)
       policy restored [--config FILE]          after restoring a backup: ends what was handed out before";

type Failure = Box<dyn std::error::Error>;

#[derive(Default)]
struct Arguments {
    command: String,
    config: Option<String>,
    token: Option<String>,
    demo: bool,
}

fn arguments() -> Option<Arguments> {
    let mut given = std::env::args().skip(1);
    let mut read = Arguments { command: given.next()?, ..Arguments::default() };
    while let Some(argument) = given.next() {
        match argument.as_str() {
            "--config" => read.config = Some(given.next()?),
            "--token" if read.command == "doctor" => read.token = Some(given.next()?),
            "--demo" if read.command == "serve" => read.demo = true,
            _ => return None,
        }
    }
    Some(read)
}

#[tokio::main]
async fn main() -> ExitCode {
    let Some(arguments) = arguments() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let done = match arguments.command.as_str() {
        "serve" => serve(&arguments).await,
        "check" => configuration(&arguments).map(|_| println!("the configuration can be used")).map_err(Failure::from),
        "doctor" => doctor(&arguments).await,
        "restored" => restored(&arguments).await,
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("policy: {error}");
            ExitCode::FAILURE
        }
    }
}

fn configuration(arguments: &Arguments) -> Result<Config, Faults> {
    match &arguments.config {
        Some(path) => Config::read(Path::new(path), &Environment::of_process()),
        None => Config::of_process(),
    }
}

async fn serve(arguments: &Arguments) -> Result<(), Failure> {
    policy_runtime::log::install();
    let mut config = configuration(arguments)?;
    let has_file = arguments.config.is_some() || Path::new("policy.toml").exists();
    if !has_file && config.is_local() {
        // A server of one's own: what is stored stays, and its operator may sign in.
        if matches!(config.database, DatabaseAddress::Memory) {
            config.database = DatabaseAddress::File("policy.db".into());
        }
        config.system_sign_in = true;
    }
    let mut prepared = Prepared::new(&config).await?;
    let demo = if arguments.demo { furnish(prepared.store.as_ref()).await? } else { Vec::new() };
    if !demo.is_empty() {
        // The policies serve the applications that have just been made, too.
        prepared = Prepared::new(&config).await?;
    }
    let gateway = prepared.gateway(&config).bind(config.listen).await?;
    // These are for the person at the terminal, not for the log, which goes elsewhere.
    eprintln!("listening on http://{} ({} database)", gateway.local_addr(), kind(&config.database));
    for user in &demo {
        eprintln!("  {:<24} {:<8} {:<16} {}", user.email, user.role, user.scope, user.password.expose());
    }
    if let Some(token) = prepared.bootstrap_token().await? {
        eprintln!(
            "\nnobody operates this server yet; within {} minutes, once:\n\n  curl http://{}/api/auth/bootstrap -d \
             '{{\"token\": \"{}\", \"email\": \"you@example.com\", \"password\": \"...\"}}'\n",
            BOOTSTRAP_S / 60,
            gateway.local_addr(),
            token.expose(),
        );
    }
    ended().await?;
    gateway.shutdown().await;
    Ok(())
}

const fn kind(database: &DatabaseAddress) -> &'static str {
    match database {
        DatabaseAddress::Postgres { .. } => "PostgreSQL",
        DatabaseAddress::File(_) => "embedded",
        DatabaseAddress::Memory | _ => "in-memory",
    }
}

/// Waits for Ctrl-C or, where there is one, the signal to end.
async fn ended() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            pressed = tokio::signal::ctrl_c() => pressed,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}

async fn doctor(arguments: &Arguments) -> Result<(), Failure> {
    let config = configuration(arguments)?;
    let token = match arguments.token.as_deref() {
        None => None,
        Some("-") => {
            let mut text = String::new();
            std::io::stdin().take(64 * 1024).read_to_string(&mut text)?;
            Some(Secret::new(text))
        }
        Some(path) => Some(Secret::new(std::fs::read_to_string(path)?)),
    };
    let examined = examine(&config, token.as_ref()).await;
    print!("{examined}");
    if examined.is_good() { Ok(()) } else { Err("something is wrong".into()) }
}

async fn restored(arguments: &Arguments) -> Result<(), Failure> {
    let prepared = Prepared::new(&configuration(arguments)?).await?;
    prepared.store.begin_epoch().await?;
    println!("a new epoch has begun: sessions, tickets, invitations and tokens of before are over");
    Ok(())
}
