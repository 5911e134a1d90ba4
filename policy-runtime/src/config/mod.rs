//! The settings of a server or of a resource server: one file, the environment over it, checked whole.
//!
//! In: the text of `policy.toml` and an [`Environment`]. Out: a [`Config`] that can be used, or every fault at once. Only
//! this module reads the environment. Absent: what the settings bring about.
//!
//! ```
//! use policy_runtime::config::{Config, Environment};
//! let text = r#"
//!     [application]
//!     organization = "acme"
//!     id = "orders"
//!
//!     [[provider]]
//!     name = "main"
//!     owner = "org:acme"
//!     issuer = "https://issuer.example"
//!     audience = ["https://api.acme.example"]
//!
//!     [[provider.use]]
//!     scope = "app:acme/orders"
//!     roles = { admins = "admin" }
//! "#;
//! let config = Config::check(text, &Environment::default(), ".".as_ref()).unwrap();
//! assert_eq!(config.application.to_string(), "app:acme/orders");
//! let faults = Config::check(text, &Environment::of([("POLICY_ENV", "production")]), ".".as_ref()).unwrap_err();
//! assert!(faults.to_string().contains("base URL"));
//! ```
//!
//! | variable | what it sets |
//! | --- | --- |
//! | `AUTH_ISSUER`, `AUTH_AUDIENCE`, `JWT_SECRET` | one provider for the application that is served; `AUTH_PRESET` says which kind, `AUTH_TLS_ROOTS_FILE` which authorities its TLS is trusted by |
//! | `DB_URL`, `DB_USER`, `DB_PASSWORD` | the database |
//! | `POLICY_ENV`, `POLICY_LISTEN`, `POLICY_KEY`, ... | the settings of those names |
//!
//! `[policies]` in the file says how long the server decides when it cannot confirm that its policy sets are the active ones
//! (`bound_seconds`, 30), and whether `/ready` says so before (`report_stale`).
//!
//! A secret is hex or base64; `.._FILE` names a file that holds it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use policy_core::Scope;
use policy_core::participant::BUILT_IN;
use policy_core::value::IpRange;

use self::raw::{Raw, RawMail, RawOrganization, RawProvider};
use self::secrets::Written;
use crate::audit::journal::What;
use crate::authn::token::{Algorithm, Fetcher, MAX_KEY_SET, Reach, is_for_browsers_alone, mapping_of, rules_of};
use crate::database::DatabaseAddress;
use crate::identity::{Configuration, PasswordRules, PeopleRules, Reference};
use crate::mail::{SmtpMailer, SmtpSettings};
use crate::secret::Secret;

mod audit;
mod environment;
mod faults;
mod production;
mod raw;
mod resource;
mod secrets;

pub use audit::Audit;
pub use environment::Environment;
pub use faults::Faults;
pub use resource::resource_server;
pub(crate) use secrets::decode;

const DEFAULT_ORGANIZATION: &str = "default";
const DEFAULT_APPLICATION: &str = "default";
const DEFAULT_LISTEN: &str = "127.0.0.1:58503";

/// Where the program runs.
///
/// ```
/// use policy_runtime::config::{Config, Env};
/// fn is_careful(config: &Config) -> bool {
///     config.env == Env::Production
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "whatever is not production is development")]
pub enum Env {
    /// On a developer's machine.
    Development,
    /// Where it matters; what is careless is refused.
    Production,
}

/// Which pages of other origins may call.
///
/// ```
/// use policy_runtime::config::Cors;
/// assert!(Cors::default().origins.is_empty(), "no page of another origin");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Cors {
    /// Origins, or `*` for all.
    pub origins: Vec<String>,
    /// Whether they may send credentials.
    pub credentials: bool,
}

/// Where the listener's certificate is, as PEM; it is read again when it was renewed.
///
/// ```
/// use policy_runtime::config::TlsFiles;
/// fn told(files: &TlsFiles) -> String {
///     format!("{} and {}", files.chain.display(), files.key.display())
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsFiles {
    /// The certificates, the server's own first.
    pub chain: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// A configuration that was checked.
///
/// ```
/// use policy_runtime::config::{Config, Faults};
/// fn start() -> Result<(), Faults> {
///     let config = Config::of_process()?;
///     println!("clients reach {} at {}", config.listen, config.base_url);
///     Ok(())
/// }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct Config {
    /// Where the program runs.
    pub env: Env,
    /// Where it listens.
    pub listen: SocketAddr,
    /// How clients reach it, without a slash at the end.
    pub base_url: String,
    /// Proxies that are believed about whom they forward for.
    pub trusted_proxies: Vec<IpRange>,
    /// Whether operators of the platform may sign in.
    pub system_sign_in: bool,
    /// Whether failures make the next attempt wait.
    pub rate_limits: bool,
    /// Which pages may call.
    pub cors: Cors,
    /// Whether cookies go over https only; without that, browsers cannot sign in by cookie.
    pub secure_cookies: bool,
    /// The certificate of the listener; without one it speaks plain http, to a proxy in front of it.
    pub tls: Option<TlsFiles>,
    /// How new keys sign tokens of our own: Ed25519, or ES256 for verifiers that know no other.
    pub token_algorithm: Algorithm,
    /// The database.
    pub database: DatabaseAddress,
    /// The key that everything kept by the program hangs on; without one, it is made at the start and ends with it.
    pub key: Option<Secret<[u8; 32]>>,
    /// What happens when it cannot be confirmed that the policy sets are the active ones.
    pub policies: Freshness,
    /// Earlier keys, which only open what they sealed.
    pub earlier_keys: Vec<Secret<[u8; 32]>>,
    /// The application that is served.
    pub application: Scope,
    /// What the program calls its version; without one, it is named by the hash of what it declares.
    pub version: String,
    /// Whether a program whose manifest breaks active rules runs, with what is new or changed in it denied until an
    /// administrator accepts it. Otherwise it is refused.
    pub flag_broken_manifests: bool,
    /// Organizations and applications that must be there.
    pub scopes: BTreeSet<Scope>,
    /// Providers that must be there.
    pub configurations: Vec<Configuration>,
    /// Which scopes use them.
    pub references: Vec<Reference>,
    /// The methods of signing in that are on, scope by scope.
    pub methods: Vec<(Scope, BTreeSet<String>)>,
    /// What is asked of new passwords, scope by scope.
    pub passwords: Vec<(Scope, PasswordRules)>,
    /// What people may do for themselves, scope by scope.
    pub people: BTreeMap<Scope, PeopleRules>,
    /// Whether a stranger may found an organization.
    pub founding: bool,
    /// Applications of one organization in each of which a session of another counts.
    pub shared_sign_in: Vec<BTreeSet<Scope>>,
    /// Who sends the letters of which scope.
    pub mails: Vec<(Scope, SmtpSettings)>,
    /// Where letters are written to in development, if nobody sends them.
    pub letters: PathBuf,
    /// What is recorded of decisions.
    pub audit: Audit,
}

/// What a server does when it cannot confirm that its policy sets are the active ones.
///
/// ```
/// use policy_runtime::config::{Config, Environment};
/// let text = "[policies]\nbound_seconds = 10";
/// let config = Config::check(text, &Environment::default(), ".".as_ref()).unwrap();
/// assert!(config.policies.bound.as_secs() == 10 && config.policies.report_stale);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Freshness {
    /// For how long it goes on deciding; beyond that it denies.
    pub bound: Duration,
    /// Whether it says so before that.
    pub report_stale: bool,
}

impl Config {
    /// Reads `policy.toml` (the variable `POLICY_CONFIG` names another file) and the environment of the process. Without a
    /// file, the environment is all.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn of_process() -> Result<Self, Faults> {
        let environment = Environment::of_process();
        let named = environment.get("POLICY_CONFIG");
        let path = Path::new(named.unwrap_or("policy.toml"));
        if named.is_none() && !path.exists() {
            return Self::check("", &environment, Path::new("."));
        }
        Self::read(path, &environment)
    }

    /// Reads a file and an environment.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn read(path: &Path, environment: &Environment) -> Result<Self, Faults> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Faults(vec![format!("`{}` cannot be read: {error}", path.display())]))?;
        Self::check(&text, environment, path.parent().unwrap_or(Path::new(".")))
    }

    /// Checks a file's text and an environment; relative paths start at `folder`.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn check(text: &str, environment: &Environment, folder: &Path) -> Result<Self, Faults> {
        let mut raw = Raw::parse(text).map_err(|error| Faults(vec![error]))?;
        let mut faults = Vec::new();
        raw.overlay(environment, &mut faults);
        let config = Checker { folder, faults: &mut faults }.config(&raw);
        if config.env == Env::Production {
            production::check(&config, &raw, folder, &mut faults);
        }
        if faults.is_empty() { Ok(config) } else { Err(Faults(faults)) }
    }

    /// Whether it listens on this machine only.
    pub fn is_local(&self) -> bool {
        self.listen.ip().is_loopback()
    }
}

/// Turns what is written into what can be used; what cannot becomes a fault, and something harmless stands in for it.
struct Checker<'a> {
    folder: &'a Path,
    faults: &'a mut Vec<String>,
}

impl Checker<'_> {
    fn or<T>(&mut self, found: Result<T, String>, instead: impl FnOnce() -> T) -> T {
        found.unwrap_or_else(|fault| {
            self.faults.push(fault);
            instead()
        })
    }

    fn config(&mut self, raw: &Raw) -> Config {
        let env = match raw.env.as_deref() {
            None | Some("development") => Env::Development,
            Some("production") => Env::Production,
            Some(other) => {
                // Who meant production must not get less.
                self.faults.push(format!("`env` is `production` or `development`, not `{other}`"));
                Env::Production
            }
        };
        let listen = raw.server.listen.as_deref().unwrap_or(DEFAULT_LISTEN);
        let parsed = listen.parse().map_err(|_| format!("`listen` is an address and a port, not `{listen}`"));
        let listen = self.or(parsed, || SocketAddr::from(([127, 0, 0, 1], 0)));
        let tls = self.tls(raw);
        let scheme = if tls.is_some() { "https" } else { "http" };
        let base_url = raw.server.base_url.clone().unwrap_or_else(|| format!("{scheme}://{listen}"));
        let base_url = base_url.trim_end_matches('/').to_owned();
        if !base_url.starts_with("https://") && !base_url.starts_with("http://") {
            self.faults.push(format!("`base_url` begins with `https://`, not `{base_url}`"));
        }
        let application = self.application(raw);
        let mut scopes = BTreeSet::from([application.clone()]);
        let mut shared_sign_in = Vec::new();
        for organization in &raw.organization {
            shared_sign_in.extend(self.shared_sign_in(organization));
            let own = self.scope(&format!("org:{}", organization.id));
            scopes.extend(own);
            for application in &organization.applications {
                let own = self.scope(&format!("app:{}/{application}", organization.id));
                scopes.extend(own);
            }
        }
        let (mut configurations, mut references) = (Vec::new(), Vec::new());
        for provider in &raw.provider {
            self.provider(provider, &mut configurations, &mut references);
        }
        let (mut methods, mut passwords, mut people) = (Vec::new(), Vec::new(), BTreeMap::new());
        for entry in &raw.scope {
            let Some(scope) = self.scope(&entry.scope) else { continue };
            if let Some(rules) = &entry.passwords {
                let good = rules.check().map_err(|error| format!("scope `{scope}`: {error}"));
                self.or(good, || ());
                passwords.push((scope.clone(), rules.clone()));
            }
            if let Some(names) = &entry.methods {
                methods.push((scope.clone(), self.methods(names)));
            }
            for name in entry.own_attributes.iter().filter(|name| BUILT_IN.field(name).is_some()) {
                self.faults.push(format!("scope `{scope}`: nobody sets `{name}` of themselves, it is built in"));
            }
            if entry.registration.is_some() && scope.application_id().is_none() {
                self.faults.push(format!("scope `{scope}`: strangers register in applications alone"));
            }
            let rules = PeopleRules {
                registration: entry.registration.clone(),
                own_attributes: entry.own_attributes.iter().cloned().collect(),
                second_factor: entry.second_factor,
            };
            people.insert(scope, rules);
        }
        Config {
            env,
            listen,
            base_url,
            trusted_proxies: raw.server.trusted_proxies.iter().filter_map(|text| self.range(text)).collect(),
            system_sign_in: raw.server.system_sign_in.unwrap_or(false),
            rate_limits: raw.server.rate_limits.unwrap_or(true),
            cors: Cors {
                origins: raw.server.cors_origins.clone(),
                credentials: raw.server.cors_credentials.unwrap_or(false),
            },
            secure_cookies: raw.server.secure_cookies.unwrap_or(true),
            tls,
            token_algorithm: self.token_algorithm(raw),
            database: self.database(raw),
            key: self.key(raw),
            policies: Freshness {
                bound: self.policy_bound(raw),
                report_stale: raw.policies.report_stale.unwrap_or(true),
            },
            earlier_keys: raw.secrets.earlier_keys.iter().filter_map(|text| self.earlier(text)).collect(),
            application,
            version: raw.application.version.clone().unwrap_or_default(),
            flag_broken_manifests: self.broken_manifests(raw),
            scopes,
            configurations,
            references,
            methods,
            passwords,
            people,
            founding: raw.server.founding.unwrap_or(false),
            shared_sign_in,
            mails: raw.mail.iter().filter_map(|mail| self.mail(mail)).collect(),
            letters: self.folder.join("letters"),
            audit: self.audit(raw),
        }
    }

    fn audit(&mut self, raw: &Raw) -> Audit {
        let recorded = raw.audit.check(self.folder);
        self.or(recorded, || Audit {
            decisions: What::All,
            actions: BTreeMap::new(),
            required: BTreeSet::new(),
            inputs: false,
            anchors: None,
            keep_days: None,
        })
    }

    fn policy_bound(&mut self, raw: &Raw) -> Duration {
        let seconds = raw.policies.bound_seconds.unwrap_or(30);
        let good = (1..=3_600).contains(&seconds).then_some(seconds);
        let fault = || format!("`bound_seconds` is between 1 and 3600, not {seconds}: it cannot be turned off");
        Duration::from_secs(self.or(good.ok_or_else(fault), || 30))
    }

    fn application(&mut self, raw: &Raw) -> Scope {
        let organization = raw.application.organization.as_deref().unwrap_or(DEFAULT_ORGANIZATION);
        let id = raw.application.id.as_deref().unwrap_or(DEFAULT_APPLICATION);
        let found = Scope::application(organization, id).map_err(|error| format!("`application`: {error}"));
        self.or(found, || Scope::System)
    }

    fn scope(&mut self, text: &str) -> Option<Scope> {
        self.or(text.parse().map(Some).map_err(|error: policy_core::name::NameError| error.to_string()), || None)
    }

    /// Applications that an organization lists, which are its own.
    fn shared_sign_in(&mut self, raw: &RawOrganization) -> Option<BTreeSet<Scope>> {
        for id in raw.shared_sign_in.iter().filter(|id| !raw.applications.contains(id)) {
            self.faults.push(format!("`shared_sign_in`: organization `{}` has no application `{id}`", raw.id));
        }
        let own = raw.shared_sign_in.iter().filter_map(|id| Scope::application(&raw.id, id).ok());
        Some(own.collect()).filter(|own: &BTreeSet<Scope>| !own.is_empty())
    }

    fn mail(&mut self, raw: &RawMail) -> Option<(Scope, SmtpSettings)> {
        let before = self.faults.len();
        let scope = self.scope(&raw.scope);
        let written = Written { value: raw.password.clone(), file: raw.password_file.clone() };
        let password = self.or(written.text("password", self.folder), || None);
        let mut settings = SmtpSettings::new(&raw.host, &raw.from);
        (settings.port, settings.tls) = (raw.port, raw.tls);
        match (&raw.user, password) {
            (None, None) => {}
            (Some(user), Some(password)) => settings.user = Some((user.clone(), password)),
            (Some(_), None) | (None, Some(_)) => self.faults.push("`user` and `password` belong together".into()),
        }
        self.or(SmtpMailer::new(&settings).map(drop).map_err(|error| error.to_string()), || ());
        for fault in self.faults.iter_mut().skip(before) {
            *fault = format!("mail of `{}`: {fault}", raw.scope);
        }
        Some((scope?, settings))
    }

    fn methods(&mut self, names: &[String]) -> BTreeSet<String> {
        const KNOWN: [&str; 3] = ["password", "token", "api-key"];
        for name in names.iter().filter(|name| !KNOWN.contains(&name.as_str())) {
            self.faults.push(format!("there is no method `{name}`; there are {}", KNOWN.join(", ")));
        }
        names.iter().cloned().collect()
    }

    fn range(&mut self, text: &str) -> Option<IpRange> {
        let parsed: Result<IpRange, String> =
            text.parse().map_err(|_| format!("`trusted_proxies`: `{text}` is no address and no range"));
        self.or(parsed.map(Some), || None)
    }

    /// A file beside the configuration.
    fn file(&mut self, what: &str, path: &str) -> Option<(PathBuf, String)> {
        let path = Environment::beside(self.folder, path);
        let text = std::fs::read_to_string(&path);
        let text = text.map_err(|error| format!("`{what}`: `{}` cannot be read: {error}", path.display()));
        self.or(text.map(|text| Some((path, text))), || None)
    }

    fn roots(&mut self, path: &str) -> Option<String> {
        let (_, pem) = self.file("tls_roots_file", path)?;
        let good = Fetcher::trusting(Reach::Public, MAX_KEY_SET, &pem);
        self.or(good.map(|_| ()).map_err(|error| format!("`tls_roots_file`: {error}")), || ());
        Some(pem)
    }

    fn tls(&mut self, raw: &Raw) -> Option<TlsFiles> {
        match (&raw.server.tls_chain_file, &raw.server.tls_key_file) {
            (None, None) => None,
            (Some(chain), Some(key)) => {
                let (chain, key) = (self.file("tls_chain_file", chain), self.file("tls_key_file", key));
                Some(TlsFiles { chain: chain?.0, key: key?.0 })
            }
            (Some(_), None) | (None, Some(_)) => {
                self.faults.push("`tls_chain_file` and `tls_key_file` go together".into());
                None
            }
        }
    }

    fn token_algorithm(&mut self, raw: &Raw) -> Algorithm {
        let named = raw.server.token_algorithm.as_deref().unwrap_or("EdDSA");
        let found = Algorithm::parse(named).filter(|found| matches!(found, Algorithm::EdDsa | Algorithm::Es256));
        let found = found.ok_or_else(|| format!("`token_algorithm` is `EdDSA` or `ES256`, not `{named}`"));
        self.or(found, || Algorithm::EdDsa)
    }

    fn broken_manifests(&mut self, raw: &Raw) -> bool {
        let found = match raw.server.broken_manifests.as_deref() {
            None | Some("refuse") => Ok(false),
            Some("flag") => Ok(true),
            Some(other) => Err(format!("`broken_manifests` is `refuse` or `flag`, not `{other}`")),
        };
        self.or(found, || false)
    }

    fn database(&mut self, raw: &Raw) -> DatabaseAddress {
        let url = self.or(raw.database.url().text("url", self.folder), || None);
        let password = self.or(raw.database.password().text("password", self.folder), || None);
        let Some(url) = url else { return DatabaseAddress::Memory };
        let parsed = url.expose().parse().map_err(|error: crate::database::DatabaseError| error.to_string());
        match self.or(parsed, || DatabaseAddress::Memory) {
            DatabaseAddress::Postgres { url, .. } => {
                DatabaseAddress::Postgres { url, user: raw.database.user.clone(), password }
            }
            DatabaseAddress::File(path) => DatabaseAddress::File(self.folder.join(path)),
            DatabaseAddress::Memory => DatabaseAddress::Memory,
        }
    }

    fn key(&mut self, raw: &Raw) -> Option<Secret<[u8; 32]>> {
        let written = Written { value: raw.secrets.key.clone(), file: raw.secrets.key_file.clone() };
        let bytes = self.or(written.secret("key", self.folder), || None)?;
        self.exactly_32("key", &bytes)
    }

    fn earlier(&mut self, text: &str) -> Option<Secret<[u8; 32]>> {
        let bytes = decode(text).map(Some).map_err(|problem| format!("`earlier_keys`: one {problem}"));
        let bytes = self.or(bytes, || None)?;
        self.exactly_32("earlier_keys", &bytes)
    }

    fn exactly_32(&mut self, what: &str, bytes: &Secret<Vec<u8>>) -> Option<Secret<[u8; 32]>> {
        let found = <[u8; 32]>::try_from(bytes.expose().as_slice());
        let found = found.map(|bytes| Some(Secret::new(bytes)));
        self.or(found.map_err(|_| format!("`{what}` has {} bytes, not 32", bytes.expose().len())), || None)
    }

    fn provider(
        &mut self,
        raw: &RawProvider,
        configurations: &mut Vec<Configuration>,
        references: &mut Vec<Reference>,
    ) {
        let name = raw.name.as_str();
        let before = self.faults.len();
        if configurations.iter().any(|known: &Configuration| known.name == name) {
            self.faults.push("it stands there twice".into());
        }
        let owner = self.scope(&raw.owner).unwrap_or(Scope::System);
        let written = Written { value: raw.secret.clone(), file: raw.secret_file.clone() };
        let secret = self.or(written.secret("secret", self.folder), || None);
        if let Some(problem) = secret.as_ref().filter(|secret| secret.expose().len() < secrets::LEAST) {
            self.faults.push(format!("its secret has {} bytes; 32 is the least", problem.expose().len()));
        }
        let written = Written { value: raw.client_secret.clone(), file: raw.client_secret_file.clone() };
        let mut configuration = Configuration::new(name, owner, raw.settings.clone()).declared();
        configuration.client_secret = self.or(written.text("client_secret", self.folder), || None);
        if let Some(path) = &raw.tls_roots_file {
            configuration.settings.tls_roots = self.roots(path);
        }
        configuration.secret = secret;
        if !is_for_browsers_alone(&configuration) {
            self.or(rules_of(&raw.settings, configuration.secret.is_some()).map(|_| ()), || ());
        }
        for entry in &raw.uses {
            self.or(mapping_of(&raw.settings, &entry.settings).map(|_| ()), || ());
            let Some(scope) = self.scope(&entry.scope) else { continue };
            if !configuration.admits(&scope) {
                configuration.shared_with.insert(scope.clone());
            }
            references.push(Reference::new(name, scope, entry.settings.clone()).declared());
        }
        configurations.push(configuration);
        for fault in self.faults.iter_mut().skip(before) {
            *fault = format!("provider `{name}`: {fault}");
        }
    }
}

/// Whether a URL's host is this machine.
fn is_loopback(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests;
