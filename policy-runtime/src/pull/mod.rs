//! A server without the database: its sets come from the server that has it, under a signature.
//!
//! ```text
//! manifest ─► registered ─► accepted, flagged (what is new is denied) or refused (the start fails)
//! question with a nonce ─► bundle ─► statement: signature, for whom, nonce, hash ─► no older revision ─► checked ─► engine
//!                                                                                                       └► kept on disk
//! ```
//!
//! In: the address of the server, an API key of the application, and a key to verify by (or the server's own key set). Out: an
//! engine that decides by the sets that the server confirmed, and denies when none was confirmed within the bound. What is kept
//! on disk lets a start decide while the server is away, within the same bound. Absent: credentials, stores and signing; a
//! build with this feature and not the others has none of them.
//!
//! ```no_run
//! # async fn example(key: policy_runtime::secret::Secret<String>) -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use policy_runtime::Policy;
//! use policy_runtime::pull::Pulled;
//!
//! let policy = Policy::builder().organization("acme").application("shop").build()?;
//! let pulled = Pulled::new(&policy, "https://auth.example.com", key)?.kept_in("sets.json").bound(Duration::from_mins(5));
//! pulled.start().await?;
//! tokio::spawn(pulled.run(Duration::from_secs(5)));
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join;
use policy_core::Scope;
use policy_core::pdp::SetError;
use policy_core::value::Millis;
use serde_json::json;
use tokio::time::Instant;

use crate::authn::token::{Errand, FetchError, Fetcher, KeySet, KeySetError, KeySource, MAX_KEY_SET, Reach};
use crate::authn::{AuthnCode, AuthnError, BoxFuture};
use crate::id::random_id;
use crate::policy::Policy;
use crate::secret::Secret;
use crate::sets::Currency;
use crate::sets::bundle::{Bundle, Content, Outcome};
use crate::sets::content::{hash, of_json};

mod kept;
mod statement;
#[cfg(test)]
#[cfg(feature = "admin")]
mod tests;

use kept::Kept;
use statement::Verifier;

/// The longest bundle that is read: the largest set there is, and what stands beside it.
const BUNDLE: usize = 96 << 20;
/// How long one errand may take.
const ERRAND: Duration = Duration::from_secs(10);
/// The longest bound: as long as a statement is good for.
const LONGEST: Duration = Duration::from_hours(24);

/// Why sets were not taken, or a program was not registered. What decided before goes on until the bound.
///
/// ```
/// use policy_runtime::pull::PullError;
/// let error = PullError::Older { scope: "org:acme".into() };
/// assert_eq!(error.to_string(), "the set of `org:acme` is older than one that was confirmed before, and is refused");
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum PullError {
    /// The server was not reached, or did not answer as it should.
    #[error("the server was not asked: {0}")]
    Fetch(#[from] FetchError),
    /// The answer is not of the form that it should have.
    #[error("the server's answer cannot be read: {0}")]
    Form(&'static str),
    /// The signature, or what was signed, is not what it must be.
    #[error("the statement of the sets is refused: {0}")]
    Statement(AuthnError),
    /// The server's keys cannot be read.
    #[error("the keys to verify by cannot be read: {0}")]
    Keys(#[from] KeySetError),
    /// A set is older than one that was confirmed before.
    #[error("the set of `{scope}` is older than one that was confirmed before, and is refused")]
    Older {
        /// Whose set.
        scope: String,
    },
    /// A set does not check in this program.
    #[error(transparent)]
    Refused(#[from] SetError),
    /// What this program declares breaks active rules, and the server refuses it.
    #[error("the server refuses what this program declares, because it breaks active rules:\n{}\nhelp: give a renamed action its former name with `was = [..]`, or let an administrator change the rules first", .0.join("\n"))]
    Breaks(Vec<String>),
    /// What is kept on disk was changed, or cannot be read or written.
    #[error("`{path}` {problem}")]
    Disk {
        /// The file.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// It cannot be set up.
    #[error("{0}")]
    Setup(String),
}

/// The keys that sets are verified by verify the access tokens of the same server, also while it is away.
///
/// ```
/// use std::sync::Arc;
/// use policy_runtime::authn::token::{TokenRules, TokenSource};
/// use policy_runtime::pull::Pulled;
/// fn tokens_of(server: &str, scope: policy_runtime::Scope, pulled: &Pulled) -> TokenSource {
///     let rules = TokenRules::new(server, server).access_tokens_only();
///     TokenSource::with_source("sign-in", scope, rules, Arc::new(pulled.clone()))
/// }
/// ```
impl KeySource for Pulled {
    fn keys<'a>(&'a self, _: Option<&'a str>) -> BoxFuture<'a, Result<Arc<KeySet>, AuthnError>> {
        Box::pin(async { self.known_keys() })
    }
}

/// Takes the sets of a policy's application from the server that has the database. Cheap to clone.
///
/// ```
/// use std::time::Duration;
/// use policy_runtime::Policy;
/// use policy_runtime::pull::{PullError, Pulled};
/// use policy_runtime::secret::Secret;
///
/// async fn follow(policy: &Policy, api_key: Secret<String>, public_key: &str) -> Result<(), PullError> {
///     let pulled = Pulled::new(policy, "https://auth.example.com", api_key)?.pinned(public_key)?;
///     let pulled = pulled.kept_in("policy-sets.json").bound(Duration::from_secs(300));
///     pulled.start().await?;
///     tokio::spawn(pulled.run(Duration::from_secs(5)));
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Pulled {
    policy: Policy,
    server: String,
    key: Secret<String>,
    version: String,
    bound: Duration,
    reach: Reach,
    file: Option<PathBuf>,
    pinned: Option<String>,
    manifest: Arc<str>,
    state: Arc<Mutex<State>>,
    /// Held while content is compared with what decides and takes its place.
    turn: Arc<Mutex<()>>,
}

#[derive(Debug, Default)]
struct State {
    /// What decides now; nothing older is taken.
    content: Option<Content>,
    confirmed: Option<Confirmed>,
    /// The keys that it was verified by.
    keys: Option<Arc<KeySet>>,
    failing: bool,
}

/// A confirmation: when it was asked for by the clock that people set, and until when it is good by the one that goes on.
#[derive(Debug, Clone, Copy)]
struct Confirmed {
    at: Millis,
    until: Duration,
}

impl fmt::Debug for Pulled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pulled").field("server", &self.server).field("bound", &self.bound).finish_non_exhaustive()
    }
}

impl Pulled {
    /// Takes them from a server, by an API key of the application with the role `resource-server`. Nothing is decided before
    /// [`Pulled::start`]. The bound is 30 seconds, and statements are verified by the keys that the server publishes.
    ///
    /// ```
    /// use policy_runtime::Policy;
    /// use policy_runtime::pull::Pulled;
    /// use policy_runtime::secret::Secret;
    /// let policy = Policy::for_application("shop").unwrap();
    /// let key = || Secret::new("pk_..".to_owned());
    /// assert!(Pulled::new(&policy, "https://auth.example.com", key()).is_ok());
    /// assert!(Pulled::new(&policy, "http://auth.example.com", key()).is_err(), "never in the clear");
    /// ```
    ///
    /// # Errors
    /// When the server's address is not https (or on this machine), or the program's manifest cannot be made.
    pub fn new(policy: &Policy, server: &str, key: Secret<String>) -> Result<Self, PullError> {
        let server = server.trim_end_matches('/').to_owned();
        if !crate::authn::token::may_be_asked(&server) {
            return Err(PullError::Setup(format!("`{server}` is not asked: it is neither https nor on this machine")));
        }
        policy.engine().fresh_until(Millis(i64::MIN));
        let manifest = policy.engine().registry().manifest().to_string();
        let version = hash(&manifest).chars().take(12).collect();
        Ok(Self {
            policy: policy.clone(),
            server,
            key,
            version,
            bound: Duration::from_secs(30),
            reach: Reach::Private,
            file: None,
            pinned: None,
            manifest: manifest.into(),
            state: Arc::default(),
            turn: Arc::default(),
        })
    }

    /// Says for how long it decides without a confirmation; a day at most.
    #[must_use]
    pub fn bound(self, time: Duration) -> Self {
        Self { bound: time.min(LONGEST), ..self }
    }

    /// Names the program's version, for people.
    #[must_use]
    pub fn version(self, version: &str) -> Self {
        Self { version: version.to_owned(), ..self }
    }

    /// Keeps the last good sets in a file that only this user reads.
    #[must_use]
    pub fn kept_in(self, file: impl AsRef<Path>) -> Self {
        Self { file: Some(file.as_ref().to_owned()), ..self }
    }

    /// Verifies by this Ed25519 key (in base64url, as `x` of the published key), and asks for no key set. It must be replaced by
    /// hand when the server's key is.
    ///
    /// # Errors
    /// When it is no key.
    pub fn pinned(self, key: &str) -> Result<Self, PullError> {
        // Our keys are named by their beginning.
        let kid: String = key.chars().take(12).collect();
        let key = json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": kid, "x": key});
        let keys = json!({ "keys": [key] }).to_string();
        if KeySet::parse(keys.as_bytes())?.is_empty() {
            return Err(PullError::Setup("the pinned key is no Ed25519 key in base64url".into()));
        }
        Ok(Self { pinned: Some(keys), ..self })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn application(&self) -> &Scope {
        self.policy.application()
    }

    /// Takes what is kept on disk, registers what the program declares, and takes the sets. While the server is away, what is on
    /// disk decides until the bound.
    ///
    /// # Errors
    /// When the server refuses what the program declares. All else is told in the log, and tried again by [`Pulled::run`].
    pub async fn start(&self) -> Result<(), PullError> {
        if let Err(error) = self.load() {
            tracing::error!(target: "policy::pull", %error, "the kept sets are not used");
        }
        match self.register().await {
            Ok(()) => {}
            Err(error @ PullError::Breaks(_)) => {
                self.policy.engine().fresh_until(Millis(i64::MIN));
                return Err(error);
            }
            Err(error) => tracing::error!(target: "policy::pull", %error, "the program is not registered"),
        }
        if let Err(error) = self.confirm().await {
            tracing::error!(target: "policy::pull", %error, currency = ?self.currency(), "the sets are not confirmed");
        }
        Ok(())
    }

    /// Confirms again and again, until it is dropped.
    pub async fn run(self, every: Duration) {
        let confirm = async {
            loop {
                tokio::time::sleep(every).await;
                if let Err(error) = self.confirm().await {
                    tracing::error!(target: "policy::pull", %error, currency = ?self.currency(), "the sets are not confirmed");
                }
            }
        };
        let expire = async {
            loop {
                tokio::time::sleep(self.expire().min(every)).await;
            }
        };
        join(confirm, expire).await;
    }

    /// Denies once the bound has passed by the steady clock, and answers how much of it is left.
    fn expire(&self) -> Duration {
        let state = self.state();
        let left = state.confirmed.map_or(Duration::ZERO, |last| self.left(last));
        if left.is_zero() {
            self.policy.engine().fresh_until(Millis(i64::MIN));
            return self.bound;
        }
        left
    }

    /// Whether this server knows that it decides by the active sets.
    pub fn currency(&self) -> Currency {
        let (state, now) = (self.state(), self.policy.clock().now());
        match state.confirmed {
            Some(last) if self.left(last).is_zero() || now.0.saturating_sub(last.at.0) > self.bound_ms() => {
                Currency::Denying
            }
            None => Currency::Denying,
            Some(_) if state.failing => Currency::Stale,
            Some(_) => Currency::Current,
        }
    }

    /// What is confirmed by an answer to a question that was asked at a time.
    fn confirmed_at(&self, at: Millis) -> Confirmed {
        let clock = self.policy.clock();
        let age = Duration::from_millis(u64::try_from(clock.now().0.saturating_sub(at.0)).unwrap_or(0));
        Confirmed { at, until: clock.steady().saturating_add(self.bound.saturating_sub(age)) }
    }

    /// How much of the bound is left, by the steady clock.
    fn left(&self, last: Confirmed) -> Duration {
        last.until.saturating_sub(self.policy.clock().steady())
    }

    fn bound_ms(&self) -> i64 {
        i64::try_from(self.bound.as_millis()).unwrap_or(i64::MAX)
    }

    /// Tells the server what the program declares.
    ///
    /// # Errors
    /// When it is refused, or the server cannot be asked.
    pub async fn register(&self) -> Result<(), PullError> {
        let manifest: serde_json::Value =
            serde_json::from_str(&self.manifest).map_err(|_| PullError::Form("the manifest is no JSON"))?;
        let body = json!({ "version": self.version, "manifest": manifest }).to_string();
        let answer = self.ask("manifests", Some(body)).await?;
        let outcome: Outcome = serde_json::from_slice(&answer).map_err(|_| PullError::Form("no outcome"))?;
        match outcome.state.as_str() {
            "accepted" => Ok(()),
            "flagged" => {
                tracing::warn!(target: "policy::pull", rules = ?outcome.broken, actions = ?outcome.closed,
                    "what this program declares breaks active rules; what is new or changed is denied until it is accepted");
                Ok(())
            }
            _ => Err(PullError::Breaks(outcome.broken)),
        }
    }

    /// Asks for the sets that are active now, and takes them.
    ///
    /// # Errors
    /// When they cannot be had, or must not be taken: what decided before goes on until the bound.
    pub async fn confirm(&self) -> Result<(), PullError> {
        // From before the question: what is activated meanwhile is not confirmed by the answer.
        let asked = self.confirmed_at(self.policy.clock().now());
        let done = self.look(asked).await;
        self.state().failing = done.is_err();
        done
    }

    async fn look(&self, asked: Confirmed) -> Result<(), PullError> {
        let nonce = random_id().map_err(|error| PullError::Setup(error.to_string()))?;
        let path = format!("bundle?nonce={nonce}&manifest={}", hash(&self.manifest));
        let answer = match self.ask(&path, None).await {
            // It knows no such manifest: its database is another, or an older one.
            Err(PullError::Fetch(FetchError::Status(404 | 409))) => {
                self.register().await?;
                self.ask(&path, None).await?
            }
            answer => answer?,
        };
        let bundle: Bundle = serde_json::from_slice(&answer).map_err(|_| PullError::Form("no bundle"))?;
        let keys = match &self.pinned {
            Some(keys) => keys.clone(),
            None => self.published_keys().await?,
        };
        let verifier = self.verifier(&keys)?;
        self.take(verifier.verify(&bundle, Some(&nonce), asked.at)?, asked)?;
        self.state().keys = Some(Arc::new(verifier.keys));
        if let Some(file) = &self.file {
            Kept { bundle, keys, confirmed: asked.at.0 }.write(file, &self.key)?;
        }
        Ok(())
    }

    fn verifier(&self, keys: &str) -> Result<Verifier<'_>, PullError> {
        Ok(Verifier { server: &self.server, scope: self.application(), keys: KeySet::parse(keys.as_bytes())? })
    }

    async fn published_keys(&self) -> Result<String, PullError> {
        let url = format!("{}/.well-known/jwks.json", self.server);
        let keys = self.fetcher(MAX_KEY_SET)?.get(&url, Instant::now() + ERRAND).await?;
        String::from_utf8(keys).map_err(|_| PullError::Form("the keys are no text"))
    }

    fn fetcher(&self, most: usize) -> Result<Fetcher, PullError> {
        Ok(Fetcher::new(self.reach, most)?)
    }

    async fn ask(&self, path: &str, body: Option<String>) -> Result<Vec<u8>, PullError> {
        let scope = self.application().to_string().replace('/', "%2F");
        let url = format!("{}/api/v1/scopes/{scope}/{path}", self.server);
        let errand = Errand {
            url: &url,
            body: body.map(|body| ("application/json", Secret::new(body))),
            authorization: Some(Secret::new(format!("Bearer {}", self.key.expose()))),
        };
        Ok(self.fetcher(BUNDLE)?.run(&errand, Instant::now() + ERRAND).await?)
    }

    fn known_keys(&self) -> Result<Arc<KeySet>, AuthnError> {
        let none = || AuthnError::new(AuthnCode::Unavailable, "the keys of the sign-in server were never had");
        self.state().keys.clone().ok_or_else(none)
    }

    /// What was kept is used only as it was written, only by whoever has the API key, and only until the bound.
    fn load(&self) -> Result<(), PullError> {
        let Some(file) = self.file.as_ref().filter(|file| file.exists()) else { return Ok(()) };
        let Kept { bundle, keys, confirmed } = Kept::read(file, &self.key)?;
        let keys = self.pinned.clone().unwrap_or(keys);
        let confirmed = Millis(confirmed);
        let verifier = self.verifier(&keys)?;
        let content = verifier.verify(&bundle, None, confirmed)?;
        if confirmed > self.policy.clock().now() {
            return Err(PullError::Disk { path: file.display().to_string(), problem: "is from the future".into() });
        }
        self.take(content, self.confirmed_at(confirmed))?;
        self.state().keys = Some(Arc::new(verifier.keys));
        Ok(())
    }

    /// Lets verified content decide, until the bound from the time of the question.
    fn take(&self, content: Content, asked: Confirmed) -> Result<(), PullError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = Vec::new();
        for (scope, set) in self.application().chain().into_iter().zip(&content.sets) {
            if set.scope != scope.to_string() {
                return Err(PullError::Form("a set is of another scope"));
            }
            let source = of_json(&set.source).ok_or(PullError::Form("a set cannot be read"))?;
            taken.push((scope, source, set));
        }
        if let Some(before) = &self.state().content {
            for (known, new) in before.sets.iter().zip(&content.sets) {
                let (older, same) = ((known.epoch, known.number), (new.epoch, new.number));
                // A revision is never given out for two sets.
                if same < older || same == older && known.source != new.source {
                    return Err(PullError::Older { scope: new.scope.clone() });
                }
            }
        }
        let engine = self.policy.engine();
        let is_new =
            |scope: usize| self.state().content.as_ref().is_none_or(|c| c.sets.get(scope) != content.sets.get(scope));
        // All of them check, or none is taken.
        for (scope, source, set) in &taken {
            engine.check_beside(scope, source, &set.beside)?;
        }
        self.policy.required_in([(self.application().clone(), content.required.clone())].into());
        for (at, (scope, source, set)) in taken.iter().enumerate() {
            if is_new(at) {
                engine.set_beside(scope, set.beside.clone());
                self.policy.replace_as(scope, source, (set.epoch, set.number))?;
                tracing::info!(target: "policy::pull", %scope, epoch = set.epoch, number = set.number, "the set is taken");
            }
        }
        let mut state = self.state();
        state.content = Some(content);
        // What was asked for before the last answer was says nothing new.
        if state.confirmed.is_none_or(|last| last.until <= asked.until) {
            state.confirmed = Some(asked);
            let fresh = if self.left(asked).is_zero() { i64::MIN } else { asked.at.0.saturating_add(self.bound_ms()) };
            engine.fresh_until(Millis(fresh));
        }
        drop(state);
        Ok(())
    }
}
