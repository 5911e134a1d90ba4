//! The server: starts it, looks at its configuration.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use policy_runtime::clock::{Clock as _, SystemClock};
use policy_runtime::config::{Config, Environment, Faults};
use policy_runtime::database::{Database, DatabaseAddress};
use policy_runtime::gateway::Limits;
use policy_runtime::secret::Secret;
use policy_runtime::server::{BOOTSTRAP_S, Prepared, examine, examine_mail, furnish, furnish_client};
use policy_runtime::sets::PolicySets;

use crate::Failure;

#[derive(Args)]
pub(crate) struct Configured {
    /// The configuration; `policy.toml`, if not said
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    configured: Configured,
    /// Furnishes an empty database with somebody to sign in as
    #[arg(long)]
    demo: bool,
    /// Signs people in, administers and gives policy sets to servers elsewhere, and takes no connections of clients
    #[arg(long)]
    auth_only: bool,
}

#[derive(Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    configured: Configured,
    /// A token to explain; `-` reads it from the input
    #[arg(long, value_name = "FILE")]
    token: Option<PathBuf>,
    /// Sends a letter to this address by every server of mail that is configured
    #[arg(long, value_name = "ADDRESS")]
    mail_to: Option<String>,
}

pub(crate) fn configuration(configured: &Configured) -> Result<Config, Faults> {
    match &configured.config {
        Some(path) => Config::read(path, &Environment::of_process()),
        None => Config::of_process(),
    }
}

pub(crate) fn check(config: &Path) -> ExitCode {
    match Config::read(config, &Environment::of_process()) {
        Ok(_) => println!("the configuration can be used\nnext: policy doctor --config {}", config.display()),
        Err(faults) => {
            eprintln!("error: {faults}\nnext: policy check --config {}", config.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

pub(crate) async fn serve(arguments: &Serve) -> Result<ExitCode, Failure> {
    policy_runtime::log::install();
    let mut config = configuration(&arguments.configured)?;
    let has_file = arguments.configured.config.is_some() || Path::new("policy.toml").exists();
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
    let gateway = prepared.gateway(&config);
    let gateway = if arguments.auth_only {
        gateway.limits(Limits { connections_per_participant: 0, ..Limits::default() })
    } else {
        gateway
    };
    let gateway = gateway.bind(config.listen).await?;
    // These are for the person at the terminal, not for the log, which goes elsewhere.
    if let Some(letters) = &prepared.letters {
        letters.tell(|path| eprintln!("a letter: {}", path.display()));
    }
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    eprintln!("listening on {scheme}://{} ({} database)", gateway.local_addr(), kind(&config.database));
    for user in &demo {
        eprintln!("  {:<24} {:<8} {:<16} {}", user.email, user.role, user.scope, user.password.expose());
    }
    if arguments.demo {
        let client = furnish_client(prepared.sign_in.stored()).await?;
        eprintln!("  client {:<17} {:<25} {}", client.id, client.redirect_uri, client.secret.expose());
    }
    if let Some(token) = prepared.bootstrap_token().await? {
        eprintln!(
            "\nnobody operates this server yet; within {} minutes, once:\n\n  curl {scheme}://{}/api/auth/bootstrap -d \
             '{{\"token\": \"{}\", \"email\": \"you@example.com\", \"password\": \"...\"}}'\n",
            BOOTSTRAP_S / 60,
            gateway.local_addr(),
            token.expose(),
        );
    }
    ended().await?;
    gateway.shutdown().await;
    Ok(ExitCode::SUCCESS)
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

pub(crate) async fn doctor(arguments: &Doctor) -> Result<ExitCode, Failure> {
    let config = configuration(&arguments.configured)?;
    let token = match arguments.token.as_deref() {
        None => None,
        Some(path) if path == Path::new("-") => {
            let mut text = String::new();
            std::io::stdin().take(64 * 1024).read_to_string(&mut text)?;
            Some(Secret::new(text))
        }
        Some(path) => Some(Secret::new(std::fs::read_to_string(path)?)),
    };
    let examined = examine(&config, token.as_ref()).await;
    let mail = examine_mail(&config, arguments.mail_to.as_deref()).await;
    print!("{examined}{mail}");
    if examined.is_good() && mail.is_good() {
        println!("next: policy serve");
    } else {
        eprintln!("error: something is wrong\nnext: policy check --config policy.toml");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn restored(arguments: &Configured) -> Result<ExitCode, Failure> {
    let config = configuration(arguments)?;
    let prepared = Prepared::new(&config).await?;
    prepared.store.begin_epoch().await?;
    PolicySets::new(Database::open(&config.database).await?).begin_epoch(SystemClock.now()).await?;
    println!("a new epoch has begun: sessions, tickets, invitations and tokens of before are over\nnext: policy serve");
    Ok(ExitCode::SUCCESS)
}
