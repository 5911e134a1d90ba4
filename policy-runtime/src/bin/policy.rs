//! The command `policy`: starts a server, looks at a configuration.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it is a program that prints")]

use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use policy_runtime::config::{Config, Environment, Faults};
use policy_runtime::database::DatabaseAddress;
use policy_runtime::secret::Secret;
use policy_runtime::server::{BOOTSTRAP_S, Prepared, examine, furnish, furnish_client};
use policy_runtime::signin::{ClientSettings, PUBLISHED_BEFORE_S};

const USAGE: &str = "\
usage: policy serve  [--config FILE] [--demo]   starts the server; without a file, on this machine with policy.db
       policy check  [--config FILE]            says what is wrong with a configuration
       policy doctor [--config FILE] [--token FILE]
                                                asks the providers, explains a token (`-` reads it from the input)
       policy client ID --scope SCOPE --name NAME [--redirect-uri URI].. [--audience WHOM].. [--word WORD]..
                     [--public] [--third-party] [--for-itself] [--role ROLE].. [--config FILE]
                                                registers a client, and says its secret once
       policy rotate [--config FILE]            makes a key that will sign tokens in place of the present one
       policy restored [--config FILE]          after restoring a backup: ends what was handed out before";

type Failure = Box<dyn std::error::Error>;

#[derive(Default)]
struct Arguments {
    command: String,
    config: Option<String>,
    token: Option<String>,
    demo: bool,
    client: ClientArguments,
}

#[derive(Default)]
struct ClientArguments {
    id: String,
    scope: Option<String>,
    name: Option<String>,
    redirect_uris: Vec<String>,
    audience: Vec<String>,
    words: Vec<String>,
    roles: Vec<String>,
    public: bool,
    third_party: bool,
    for_itself: bool,
}

impl ClientArguments {
    fn read(&mut self, argument: &str, given: &mut impl Iterator<Item = String>) -> Option<()> {
        match argument {
            "--scope" => self.scope = Some(given.next()?),
            "--name" => self.name = Some(given.next()?),
            "--redirect-uri" => self.redirect_uris.push(given.next()?),
            "--audience" => self.audience.push(given.next()?),
            "--word" => self.words.push(given.next()?),
            "--role" => self.roles.push(given.next()?),
            "--public" => self.public = true,
            "--third-party" => self.third_party = true,
            "--for-itself" => self.for_itself = true,
            id if self.id.is_empty() && !id.starts_with('-') => id.clone_into(&mut self.id),
            _ => return None,
        }
        Some(())
    }
}

fn arguments() -> Option<Arguments> {
    let mut given = std::env::args().skip(1);
    let mut read = Arguments { command: given.next()?, ..Arguments::default() };
    while let Some(argument) = given.next() {
        match argument.as_str() {
            "--config" => read.config = Some(given.next()?),
            "--token" if read.command == "doctor" => read.token = Some(given.next()?),
            "--demo" if read.command == "serve" => read.demo = true,
            other if read.command == "client" => read.client.read(other, &mut given)?,
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
        "client" => client(&arguments).await,
        "rotate" => rotate(&arguments).await,
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
    if arguments.demo {
        let client = furnish_client(prepared.sign_in.stored()).await?;
        eprintln!("  client {:<17} {:<25} {}", client.id, client.redirect_uri, client.secret.expose());
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

async fn client(arguments: &Arguments) -> Result<(), Failure> {
    let prepared = Prepared::new(&configuration(arguments)?).await?;
    let given = &arguments.client;
    let scope = given.scope.as_deref().ok_or("`--scope` says where its users are")?.parse()?;
    let mut settings = ClientSettings::new(given.name.as_deref().unwrap_or(&given.id));
    settings.redirect_uris.clone_from(&given.redirect_uris);
    settings.audience.clone_from(&given.audience);
    settings.words.extend(given.words.iter().cloned());
    settings.third_party = given.third_party;
    if given.for_itself {
        settings = settings.for_itself(given.roles.iter().map(String::as_str));
    }
    let clients = &prepared.sign_in.stored().clients;
    if given.public {
        clients.add_public(&given.id, &scope, &settings).await?;
    } else {
        let secret = clients.add_confidential(&given.id, &scope, &settings).await?;
        println!("the secret, which is shown once: {}", secret.expose());
    }
    Ok(())
}

async fn rotate(arguments: &Arguments) -> Result<(), Failure> {
    let prepared = Prepared::new(&configuration(arguments)?).await?;
    let kid = prepared.sign_in.stored().keys.rotate().await?;
    println!("key {kid} signs in {} minutes, when every verifier has it", PUBLISHED_BEFORE_S / 60);
    Ok(())
}

async fn restored(arguments: &Arguments) -> Result<(), Failure> {
    let prepared = Prepared::new(&configuration(arguments)?).await?;
    prepared.store.begin_epoch().await?;
    println!("a new epoch has begun: sessions, tickets, invitations and tokens of before are over");
    Ok(())
}
