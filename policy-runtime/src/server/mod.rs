//! The whole server, put together from a checked configuration.
//!
//! In: a [`Config`]. Out: a [`Prepared`] store, chain and policy, and from them a [`Gateway`]. This is the one place that
//! knows every part. Absent: printing; what a person must see is handed to the caller.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use policy_runtime::config::Config;
//! use policy_runtime::server::Prepared;
//! let config = Config::of_process()?;
//! let prepared = Prepared::new(&config).await?;
//! let gateway = prepared.gateway(&config).bind(config.listen).await?;
//! # gateway.shutdown().await;
//! # Ok(())
//! # }
//! ```

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hmac::{Hmac, KeyInit as _, Mac as _};
use policy_core::Scope;
use sha2::Sha256;
use tokio::task::JoinSet;

use crate::admin::{Admin, Api};
use crate::audit::AuditError;
use crate::audit::journal::{AnchorKey, Journal, Recording};
use crate::authn::api_key::ApiKeyAuthenticator;
use crate::authn::password::{PasswordAuthenticator, Passwords, Throttle};
use crate::authn::second_factor::SecondFactors;
use crate::authn::session::Sessions;
use crate::authn::token::{Issuer, Offered, ParticipantIds, ProviderFault, TokenAuthenticator};
use crate::authn::{AuthnError, Chain, ChainBuilder};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::credential::Listener;
use crate::database::{Database, DatabaseAddress, DatabaseError};
use crate::edge::{Origins, Rates};
use crate::events::{Actor, AllEvents, EventSink, LoggedEvents, RecordedEvents};
use crate::gateway::{Connected, Gateway, GatewayBuilder, StoredChanges, Tls};
use crate::identity::{Directory, SqlStore, StoreError};
use crate::mail::{FileMailer, MailError, Mails};
use crate::policy::{Policy, PolicyError};
use crate::seal::SealingKeys;
use crate::secret::Secret;
use crate::sets::{Follower, OnBreak, PolicySets, SetsError};
use crate::signin::{People, SignIn, SignInError, Stored};
use crate::tower::AuthenticateLayer;

mod bootstrap;
mod certificate;
mod demo;
mod doctor;
mod mail;
mod manifest;
mod methods;
mod providers;
mod reconcile;
mod records;
mod told;

use certificate::Certificate;
use methods::Methods;
use providers::{Followed, Providers};

pub use bootstrap::{BOOTSTRAP_S, BootstrapError};
pub use demo::{DemoClient, DemoUser, furnish, furnish_client};
pub use doctor::{Examined, Finding, examine};
pub use mail::examine_mail;
pub use reconcile::reconcile;
pub use told::Told;

/// Why a server cannot be put together.
///
/// ```
/// use policy_runtime::server::ServerError;
///
/// /// Whether a start is worth another try.
/// fn may_pass(error: &ServerError) -> bool {
///     matches!(error, ServerError::Database(_) | ServerError::Store(_))
/// }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// What the configuration declares cannot be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Mail of a scope cannot be sent.
    #[error("mail of `{0}`: {1}")]
    Mail(Scope, MailError),
    /// Providers cannot be used.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Providers(Vec<ProviderFault>),
    /// The program's policies cannot be used.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The key cannot be used or made.
    #[error("the key cannot be used: {0}")]
    Key(String),
    /// The certificate cannot be used.
    #[error("the certificate cannot be used: {0}")]
    Certificate(String),
    /// The audit cannot be kept.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// An action must be recorded that the program does not have.
    #[error("`required` of `[audit]`: {0}")]
    Required(String),
    /// What the program declares breaks active rules.
    #[error("what this program declares breaks active rules, and it is refused:\n{}\nhelp: give a renamed action its former name with `was = [..]`, change the rules first, or let `broken_manifests = \"flag\"` deny what is new until it is accepted", .0.join("\n"))]
    Breaks(Vec<String>),
    /// The manifest cannot be registered.
    #[error(transparent)]
    Sets(#[from] SetsError),
    /// A part of signing in cannot be set up.
    #[error(transparent)]
    SignIn(#[from] AuthnError),
    /// The sign-in server cannot be set up.
    #[error(transparent)]
    SignInServer(#[from] SignInError),
}

/// Everything a server consists of, before it listens.
///
/// ```
/// use policy_runtime::config::Config;
/// use policy_runtime::gateway::Gateway;
/// use policy_runtime::server::Prepared;
///
/// async fn serve(config: &Config) -> Result<Gateway, Box<dyn std::error::Error>> {
///     let server = Prepared::new(config).await?;
///     Ok(server.gateway(config).bind(config.listen).await?)
/// }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Prepared {
    /// Who may sign in. Every change through it is an event.
    pub store: Arc<dyn Directory>,
    /// Sets their passwords, under the rules of their scopes.
    pub passwords: Passwords,
    /// How they sign in.
    pub chain: Chain,
    /// What they may do.
    pub policy: Policy,
    /// Signs tokens of our own.
    pub issuer: Issuer,
    /// Gives them to clients.
    pub sign_in: SignIn,
    /// Where events go: to the sink that was given, and to the journal.
    pub events: Arc<dyn EventSink>,
    /// What was decided, who signed in, what was changed.
    pub journal: Arc<Journal>,
    /// What administrators do.
    pub admin: Admin,
    /// Whether this server decides by the active policy sets.
    pub follower: Follower,
    /// What writes letters into files, where nobody sends them: say whom it tells their paths.
    pub letters: Option<FileMailer>,
    /// The scopes that needed mail and lacked it at the start; `/ready` says which do now.
    pub lacks_mail: Vec<Scope>,
    mails: Mails,
    clock: Arc<dyn Clock>,
    /// Sessions of browsers; none where their cookies could go over plain http.
    cookies: Option<Sessions>,
    tls: Option<Tls>,
    /// With whom people sign in.
    offered: Followed<Offered>,
    /// What goes on aside until the server is gone.
    aside: Arc<JoinSet<()>>,
    connected: Connected,
}

/// How often it is looked whether another set is active, or a provider was changed.
const FOLLOWED: Duration = Duration::from_secs(1);

/// What people may do for themselves.
fn people(config: &Config, mails: &Mails) -> People {
    People {
        mails: mails.clone(),
        rules: config.people.clone(),
        founding: config.founding,
        shared_sign_in: config.shared_sign_in.clone(),
        origins: Origins::new(named_origins(config)),
        limited: config.rate_limits,
    }
}

impl Prepared {
    /// Opens the database, brings it up to date with the configuration, and builds the chain.
    ///
    /// # Errors
    /// When a part cannot be used; nothing listens then.
    pub async fn new(config: &Config) -> Result<Self, ServerError> {
        Self::with(config, Arc::new(LoggedEvents), |chain| chain).await
    }

    /// As [`Prepared::new`], with a sink of one's own, and more authenticators or a hook in the chain.
    ///
    /// # Errors
    /// As [`Prepared::new`].
    pub async fn with(
        config: &Config,
        events: Arc<dyn EventSink>,
        add: impl FnOnce(ChainBuilder) -> ChainBuilder,
    ) -> Result<Self, ServerError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let key = master_key(config)?;
        let sql = open(config, &key).await?;
        let journal = Arc::new(journal(config, &key, &clock)?);
        let told = events.clone();
        let events: Arc<dyn EventSink> = Arc::new(AllEvents(vec![events, Arc::new(RecordedEvents(journal.clone()))]));
        let store = Told::new(sql.clone(), events.clone(), clock.clone());
        reconcile(&store.acting(Actor::new(Some("configuration"), Some(&Scope::System))), config).await?;
        let store: Arc<dyn Directory> = Arc::new(store.acting(Actor::new(Some("server"), Some(&Scope::System))));
        let providers = Box::pin(Providers::new(&store, &clock)).await?;
        let offered = providers.offered();
        // The oldest key names participants, since their ids outlive every replacement of the key.
        let naming = config.earlier_keys.last().unwrap_or(&key);
        let ids = ParticipantIds::new(Secret::new(derived(naming, "participant ids")?.expose().to_vec()))?;
        let tokens = TokenAuthenticator::new(clock.clone(), ids).following(providers.tokens());
        let stored = Stored::of(&sql, clock.clone(), config.token_algorithm)?;
        let issuer = stored.issuer(&config.base_url, store.clone()).await?.single_use_in(store.clone());
        let throttle = || if config.rate_limits { Throttle::default() } else { Throttle::off() };
        let methods = Methods::new(&store, &sql).await?;
        let second_factors = second_factors(config, &key, &store, &sql, &clock, &methods)?.throttle(throttle());
        let by_password = PasswordAuthenticator::new(store.clone(), clock.clone()).throttle(throttle());
        let mut chain = Chain::builder()
            .with(by_password.second_factors(second_factors.clone()))
            .with(second_factors.clone())
            .with(ApiKeyAuthenticator::new(store.clone(), clock.clone()))
            .with(issuer.clone())
            .with(second_factors.demanded_of(tokens))
            .using(providers.used())
            .events(events.clone(), clock.clone());
        let cookies = config.secure_cookies.then(|| Sessions::new(clock.clone()).stored_in(sql.clone()));
        if let Some(cookies) = &cookies {
            chain = chain.with(cookies.clone());
        }
        for (scope, on) in &methods.known {
            chain = chain.methods(scope.clone(), on.iter().map(String::as_str));
        }
        let sets = PolicySets::new(sql.database().clone());
        let policy = policy(config, store.as_ref(), &sets, journal.clone()).await?;
        let passwords = Passwords::new(store.clone());
        let chain = add(chain).build();
        let sign_in = SignIn::new(stored, issuer.clone(), store.clone(), chain.clone(), events.clone())?;
        sign_in.keep_keys();
        let (mails, letters) = mail::mails(config)?;
        let lacks_mail = mail::lacking(store.as_ref(), config.system_sign_in, &mails).await?;
        mail::warn(&lacks_mail);
        let sign_in = sign_in.people(people(config, &mails), passwords.clone()).following(methods.rules());
        let sign_in = sign_in.second_factors(second_factors);
        // Administration writes its own records, before each change; its events are for the sink that was given alone.
        let on_break = if config.flag_broken_manifests { OnBreak::Flag } else { OnBreak::Refuse };
        let administered = Arc::new(Told::new(sql.clone(), told.clone(), clock.clone()));
        let connected = Connected::default();
        let watched = connected.clone();
        let admin = Admin::new(&policy, administered, sets.clone(), journal.clone()).telling(told).on_break(on_break);
        let admin = admin.with_second_factors(sql.clone()).with_sessions(sql.clone());
        let admin = admin.letters(mails.clone(), &config.base_url).with_connections(move || watched.participants());
        let registered = manifest::register(&policy, &sets, config, on_break).await?;
        let follower = Follower::new(&policy, sets.clone())
            .bound(config.policies.bound)
            .report_stale(config.policies.report_stale);
        let follower = follower.scopes(move || {
            let sql: Arc<dyn Directory> = sql.clone();
            Box::pin(async move { sql.scopes().await.map_err(|error| DatabaseError::Unavailable(error.to_string())) })
        });
        if let Err(error) = follower.confirm().await {
            tracing::error!(target: "policy::server", %error, "the active policy sets are not confirmed");
        }
        let mut aside = JoinSet::new();
        aside.spawn(follower.clone().run(FOLLOWED));
        aside.spawn(sets.clone().keep_casting(policy.clone(), FOLLOWED));
        aside.spawn(records::look_after(journal.clone(), clock.clone(), events.clone(), config.audit.clone()));
        aside.spawn(providers.follow(FOLLOWED));
        aside.spawn(methods.follow(chain.clone(), FOLLOWED));
        if let Some(hash) = registered {
            aside.spawn(manifest::say_that_it_runs(policy.clone(), sets, hash));
        }
        let tls = config.tls.clone().map(Certificate::read).transpose()?.map(|(certificate, tls)| {
            aside.spawn(certificate.renew(tls.clone()));
            tls
        });
        Ok(Self {
            store,
            passwords,
            chain,
            policy,
            issuer,
            sign_in,
            events,
            journal,
            admin,
            follower,
            letters,
            lacks_mail,
            mails,
            clock,
            cookies,
            tls,
            offered,
            aside: Arc::new(aside),
            connected,
        })
    }

    /// Starts a gateway with these parts; services are mounted on it.
    pub fn gateway(&self, config: &Config) -> GatewayBuilder {
        let listener = Listener::serving(config.application.clone());
        let listener = if config.system_sign_in { listener.with_system() } else { listener };
        let sign_in = match &self.cookies {
            Some(cookies) => {
                self.sign_in.clone().pages(cookies.clone(), listener.clone()).providers(self.offered.clone())
            }
            None => self.sign_in.clone(),
        };
        let builder = Gateway::builder(self.policy.clone(), self.chain.clone())
            .listener(listener.clone())
            .connected(self.connected.clone())
            .follow(Arc::new(StoredChanges::of(self.store.clone())))
            .trusted_proxies(config.trusted_proxies.iter().copied())
            .routes(bootstrap::routes(self))
            .routes(sign_in.routes())
            .routes(self.administration(config, &listener));
        let (store, mails, system) = (self.store.clone(), self.mails.clone(), config.system_sign_in);
        let builder = builder.remarks(move || {
            let (store, mails) = (store.clone(), mails.clone());
            Box::pin(async move {
                match mail::lacking(store.as_ref(), system, &mails).await {
                    Ok(all) => all.iter().map(|scope| format!("scope `{scope}` needs mail and lacks it")).collect(),
                    Err(_) => vec!["which scopes lack mail is not known: the store cannot be asked".to_owned()],
                }
            })
        });
        let builder = if config.rate_limits { builder } else { builder.rates(&Rates::UNLIMITED) };
        let builder = match &self.cookies {
            Some(cookies) => builder.cookies(cookies.clone()),
            None => builder,
        };
        let builder = match &self.tls {
            Some(tls) => builder.tls(tls.clone()),
            None => builder,
        };
        named_origins(config).fold(builder, GatewayBuilder::allow_origin)
    }
}

impl Prepared {
    fn administration(&self, config: &Config, listener: &Listener) -> Router {
        let layer = AuthenticateLayer::new(self.policy.clone(), self.chain.clone()).listener(listener.clone());
        let layer = if config.rate_limits { layer } else { layer.rates(&Rates::UNLIMITED) };
        let layer = named_origins(config).fold(layer, AuthenticateLayer::allow_origin);
        let api = Api::new(self.admin.clone()).tokens(self.issuer.clone());
        // As long as somebody can ask, it is followed.
        api.router(layer).layer(axum::Extension(self.aside.clone()))
    }
}

/// Pages of every origin may call without credentials; with them, only those that are named.
fn named_origins(config: &Config) -> impl Iterator<Item = &String> {
    config.cors.origins.iter().filter(|origin| config.cors.credentials && *origin != "*")
}

/// Second factors under the rules of the configuration; apps show them under the name of this host.
fn second_factors(
    config: &Config,
    key: &Secret<[u8; 32]>,
    store: &Arc<dyn Directory>,
    sql: &Arc<SqlStore>,
    clock: &Arc<dyn Clock>,
    methods: &Methods,
) -> Result<SecondFactors, ServerError> {
    let host = config.base_url.split_once("://").map_or(config.base_url.as_str(), |(_, host)| host);
    let key = derived(key, "pending sign-ins")?;
    let all = SecondFactors::new(store.clone(), sql.clone(), clock.clone(), key).named(host).following(methods.rules());
    let rules = config.people.iter().filter_map(|(scope, rules)| Some((scope.clone(), rules.second_factor?)));
    Ok(rules.fold(all, |all, (scope, rule)| all.rule(scope, rule)))
}

/// Opens the store of a configuration.
async fn open(config: &Config, key: &Secret<[u8; 32]>) -> Result<Arc<SqlStore>, ServerError> {
    let sealing = SealingKeys::new(&derived(key, "sealing")?);
    let sealing = config
        .earlier_keys
        .iter()
        .try_fold(sealing, |keys, earlier| Ok::<_, ServerError>(keys.and_earlier(&derived(earlier, "sealing")?)))?;
    let store = SqlStore::new(Database::open(&config.database).await?).sealing(sealing);
    if !config.earlier_keys.is_empty() {
        store.reseal().await?;
    }
    Ok(Arc::new(store))
}

/// The journal stands in the same database as the store.
fn journal(config: &Config, key: &Secret<[u8; 32]>, clock: &Arc<dyn Clock>) -> Result<Journal, ServerError> {
    let builder = match &config.database {
        DatabaseAddress::Memory => Journal::in_memory(),
        address @ (DatabaseAddress::File(_) | DatabaseAddress::Postgres { .. }) => {
            Journal::in_database(address.clone())
        }
    };
    let anchors = AnchorKey::new(&derived(key, "anchors of the audit")?);
    let recording = Recording::of(config.audit.decisions);
    let recording = config.audit.actions.iter().fold(recording, |all, (action, what)| all.action(action, *what));
    let recording = if config.audit.inputs { recording.with_inputs() } else { recording };
    Ok(builder.recording(recording).anchor_key(anchors).clock(clock.clone()).start()?)
}

/// The policies of the program for every application of the store.
async fn policy(
    config: &Config,
    store: &dyn Directory,
    sets: &PolicySets,
    journal: Arc<Journal>,
) -> Result<Policy, ServerError> {
    let (mut builder, served) = (Policy::builder().audit(journal), &config.application);
    if let Scope::Application { organization, application } = served {
        builder = builder.organization(organization.as_str()).application(application.as_str());
    }
    for organization in store.organizations().await? {
        for application in store.applications(organization.id.as_str()).await? {
            if served.application_id() != Some(&application) {
                builder = builder.also(organization.id.as_str(), application.as_str());
            }
        }
    }
    let policy = builder.build()?;
    config.audit.required.iter().try_for_each(|action| policy.require_audit(action)).map_err(ServerError::Required)?;
    sets.follow_required_audit(&policy).await?;
    Ok(policy)
}

/// A key for one use, from the key of the deployment.
fn derived(key: &Secret<[u8; 32]>, purpose: &str) -> Result<Secret<[u8; 32]>, ServerError> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose()).map_err(|error| ServerError::Key(error.to_string()))?;
    mac.update(b"policy key for ");
    mac.update(purpose.as_bytes());
    Ok(Secret::new(mac.finalize().into_bytes().into()))
}

/// The configured key; beside an embedded database, one that is made at the first start and kept in a private file.
fn master_key(config: &Config) -> Result<Secret<[u8; 32]>, ServerError> {
    if let Some(key) = &config.key {
        return Ok(key.clone());
    }
    let mut fresh = [0; 32];
    getrandom::fill(&mut fresh).map_err(|error| ServerError::Key(error.to_string()))?;
    let path = match &config.database {
        DatabaseAddress::Memory => return Ok(Secret::new(fresh)),
        DatabaseAddress::File(path) => path.with_extension("key"),
        DatabaseAddress::Postgres { .. } => {
            return Err(ServerError::Key(
                "a shared database needs one: set `key`, made by `openssl rand -hex 32`".into(),
            ));
        }
    };
    let unusable = |error: std::io::Error| ServerError::Key(format!("`{}`: {error}", path.display()));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(&path) {
        Ok(mut file) => {
            std::io::Write::write_all(&mut file, &fresh).map_err(unusable)?;
            Ok(Secret::new(fresh))
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let kept = std::fs::read(&path).map_err(unusable)?;
            let kept = kept.try_into().map_err(|_| ServerError::Key(format!("`{}` is damaged", path.display())))?;
            Ok(Secret::new(kept))
        }
        Err(error) => Err(unusable(error)),
    }
}
