//! The server: starts it, looks at its configuration.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use policy_runtime::clock::{Clock as _, SystemClock};
use policy_runtime::config::{Config, Environment, Faults};
use policy_runtime::database::{Database, DatabaseAddress};
use policy_runtime::gateway::Limits;
use policy_runtime::secret::Secret;
use policy_runtime::server::{BOOTSTRAP_S, Finding, Prepared, examine, examine_mail, furnish, furnish_client};
use policy_runtime::sets::PolicySets;
use serde_json::json;

use crate::Failure;
use crate::told::Told;

#[derive(Args)]
pub(crate) struct Configured {
    /// The configuration; `policy.toml`, if not said
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Maintained {
    #[command(flatten)]
    pub(crate) configured: Configured,
    /// Answers in JSON
    #[arg(long)]
    pub(crate) json: bool,
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
    /// Answers in JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What a file and the environment say; without a file, what makes a server of one's own.
pub(crate) fn configuration(configured: &Configured) -> Result<Config, Faults> {
    let mut config = match &configured.config {
        Some(path) => Config::read(path, &Environment::of_process())?,
        None => Config::of_process()?,
    };
    let has_file = configured.config.is_some() || Path::new("policy.toml").exists();
    if !has_file && config.is_local() {
        // What is stored stays, and its operator may sign in.
        if matches!(config.database, DatabaseAddress::Memory) {
            config.database = DatabaseAddress::File("policy.db".into());
        }
        config.system_sign_in = true;
    }
    Ok(config)
}

pub(crate) fn check(config: &Path) -> Told {
    let Err(faults) = Config::read(config, &Environment::of_process()) else {
        let next = format!("policy doctor --config {}", config.display());
        return Told::new("the configuration can be used", json!({ "faults": [] }), next);
    };
    let next = format!("policy check --config {}", config.display());
    Told::new(format!("error: {faults}"), json!({ "faults": faults.list() }), next).findings()
}

pub(crate) async fn serve(arguments: &Serve) -> Result<(), Failure> {
    policy_runtime::log::install();
    let config = configuration(&arguments.configured)?;
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
    let url = format!("{scheme}://{}", gateway.local_addr());
    let login = format!("policy login --url {url} --email you@example.com");
    match prepared.bootstrap_token().await? {
        None => eprintln!("next: {login}"),
        Some(token) => {
            let (token, minutes) = (token.expose(), BOOTSTRAP_S / 60);
            eprintln!(
                "\nnobody operates this server yet; within {minutes} minutes, once, the next command, or\n\n  curl {url}/api/auth/bootstrap -d \
                 '{{\"token\": \"{token}\", \"email\": \"you@example.com\", \"password\": \"...\"}}'\n\n\
                 next: {login} --bootstrap {token}"
            );
        }
    }
    ended().await?;
    gateway.shutdown().await;
    // What nobody waits for may still be on its way.
    prepared.journal.flush().await?;
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

pub(crate) async fn doctor(arguments: &Doctor) -> Result<Told, Failure> {
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
    let findings = examined.0.iter().chain(&mail.0).map(|finding| match finding {
        Finding::Good(text) => json!({ "finding": "good", "text": text }),
        Finding::Look(text) => json!({ "finding": "look", "text": text }),
        Finding::Wrong(text) => json!({ "finding": "wrong", "text": text }),
    });
    let (found, text) = (json!({ "findings": findings.collect::<Vec<_>>() }), format!("{examined}{mail}"));
    if examined.is_good() && mail.is_good() {
        return Ok(Told::new(text, found, "policy serve"));
    }
    let file = arguments.configured.config.as_deref().unwrap_or(Path::new("policy.toml"));
    let next = format!("policy check --config {}", file.display());
    Ok(Told::new(text, found, next).findings())
}

pub(crate) async fn restored(arguments: &Maintained) -> Result<Told, Failure> {
    let config = configuration(&arguments.configured)?;
    let prepared = Prepared::new(&config).await?;
    prepared.store.begin_epoch().await?;
    PolicySets::new(Database::open(&config.database).await?).begin_epoch(SystemClock.now()).await?;
    let text = "a new epoch has begun: sessions, tickets, invitations and tokens of before are over";
    Ok(Told::new(text, json!({}), "policy serve"))
}
