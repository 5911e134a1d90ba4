//! Sign-in by password.
//!
//! In: a login name and a passcode. Out: a participant, or one answer for everything that can be wrong with them. An
//! unknown user, a wrong password and a disabled user cost the same work and take the same time. Hashing runs off the async
//! threads, a few at a time; whoever would wait too long is told so. Absent: where users are kept.

mod hash;
mod policy;
mod setting;
pub(super) mod throttle;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use policy_core::Scope;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

pub use hash::{HashError, Match, StoredHash, hash};
pub use policy::{PasswordPolicy, Weakness};
pub use setting::{PasswordError, Passwords};
pub use throttle::Throttle;

use self::throttle::Key;
use super::second_factor::SecondFactors;
use super::{Authenticated, Authenticator, AuthnCode, AuthnError, BoxFuture, Off, Outcome};
use crate::clock::{Clock, steady_millis};
use crate::credential::{Credential, Credentials, MAX_PASSCODE, RequestedScope};
use crate::identity::{EmailKey, StoreError, User, UserStore};
use crate::secret::Secret;

/// How many logins may wait for their turn at hashing.
const MAX_WAITING: usize = 512;
/// How long a login may wait for its turn.
const MAX_WAIT: Duration = Duration::from_secs(20);
/// A refusal is not sent earlier than this, so that a hash of another system does not show by its time.
const REFUSAL_FLOOR: Duration = Duration::from_millis(250);

/// Looks at a login before any password work: a captcha, a proof of work, a list of addresses.
///
/// ```
/// use std::sync::Arc;
/// use policy_runtime::authn::password::{BotCheck, PasswordAuthenticator, Throttle};
/// use policy_runtime::authn::{AuthnCode, AuthnError, BoxFuture};
/// use policy_runtime::clock::SystemClock;
/// use policy_runtime::credential::Credentials;
/// use policy_runtime::identity::MemoryStore;
///
/// #[derive(Debug)]
/// struct FromBrowsers;
///
/// impl BotCheck for FromBrowsers {
///     fn check<'a>(&'a self, request: &'a Credentials) -> BoxFuture<'a, Result<(), AuthnError>> {
///         let known = request.facts().header("user-agent").is_some();
///         Box::pin(async move {
///             if known { Ok(()) } else { Err(AuthnError::new(AuthnCode::WrongCredentials, "no browser")) }
///         })
///     }
/// }
/// let users = Arc::new(MemoryStore::default());
/// let passwords = PasswordAuthenticator::new(users, Arc::new(SystemClock))
///     .bots(FromBrowsers)
///     .throttle(Throttle::new(3, 50))
///     .parallel(2);
/// ```
pub trait BotCheck: fmt::Debug + Send + Sync {
    /// Refuses with an error of the code [`AuthnCode::BotSuspected`].
    fn check<'a>(&'a self, request: &'a Credentials) -> BoxFuture<'a, Result<(), AuthnError>>;
}

/// Signs in by e-mail address and password.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use std::sync::Arc;
/// use policy_core::Scope;
/// use policy_runtime::authn::password::{PasswordAuthenticator, hash};
/// use policy_runtime::authn::{Chain, Outcome};
/// use policy_runtime::clock::SystemClock;
/// use policy_runtime::credential::{Credential, Credentials, LoginForm};
/// use policy_runtime::identity::{MemoryStore, NewUser};
/// use policy_runtime::secret::Secret;
///
/// let store = Arc::new(MemoryStore::default());
/// store.create_organization("acme").unwrap();
/// let acme = Scope::organization("acme").unwrap();
/// let password = || Secret::new("correct horse battery".to_owned());
/// store
///     .create_user(NewUser::new(acme.clone(), "alice@example.com").password_hash(hash(&password()).unwrap()))
///     .unwrap();
///
/// let chain = Chain::builder().with(PasswordAuthenticator::new(store, Arc::new(SystemClock))).build();
/// let login = Credential::Login { name: "Alice@example.com".into(), passcode: password(), form: LoginForm::Basic };
/// let outcome = chain.authenticate(&Credentials::of(login).in_scope(acme)).await;
/// assert!(matches!(outcome, Outcome::Authenticated(_)));
/// # }
/// ```
#[derive(Debug)]
pub struct PasswordAuthenticator {
    users: Arc<dyn UserStore>,
    clock: Arc<dyn Clock>,
    throttle: Throttle,
    bots: Option<Arc<dyn BotCheck>>,
    second_factors: Option<SecondFactors>,
    permits: Semaphore,
    waiting: AtomicUsize,
    floor: Duration,
    off: Off,
}

impl PasswordAuthenticator {
    /// Makes an authenticator over a store; all but one of the processors may hash at a time.
    pub fn new(users: Arc<dyn UserStore>, clock: Arc<dyn Clock>) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            users,
            clock,
            throttle: Throttle::default(),
            bots: None,
            second_factors: None,
            permits: Semaphore::new(processors.saturating_sub(1).max(1)),
            waiting: AtomicUsize::new(0),
            floor: REFUSAL_FLOOR,
            off: Off::default(),
        }
    }

    /// Sets the throttle.
    #[must_use]
    pub fn throttle(mut self, throttle: Throttle) -> Self {
        self.throttle = throttle;
        self
    }

    /// Sets a check that runs before any password work.
    #[must_use]
    pub fn bots(mut self, check: impl BotCheck + 'static) -> Self {
        self.bots = Some(Arc::new(check));
        self
    }

    /// Asks for a second factor after a right password; a clone of these belongs into the chain.
    #[must_use]
    pub fn second_factors(mut self, second_factors: SecondFactors) -> Self {
        self.second_factors = Some(second_factors);
        self
    }

    /// Sets how many passwords may be hashed at a time.
    #[must_use]
    pub fn parallel(mut self, count: usize) -> Self {
        self.permits = Semaphore::new(count.max(1));
        self
    }

    async fn login(
        &self,
        name: &str,
        passcode: &Secret<String>,
        request: &Credentials,
    ) -> Result<Authenticated, AuthnError> {
        let started = Instant::now();
        let scope = match request.effective_scope() {
            RequestedScope::Exactly(scope) => Some(scope),
            RequestedScope::Application(id) => self.users.scope_of_application(&id).await.map_err(unavailable)?,
            RequestedScope::Unnamed => {
                return Err(AuthnError::new(AuthnCode::ScopeMissing, "a login names no scope"));
            }
        };
        let email = EmailKey::new(name).ok();
        // Where operators do not sign in, a right password of theirs is told by nothing from a wrong one.
        let is_open = scope != Some(Scope::System) || request.facts().listener.system;
        let found = self.attempt(scope.as_ref().filter(|_| is_open), (name, email.as_ref()), passcode, request).await;
        let Err(mut error) = found else { return found };
        // Whose name it was is known to the record alone, so that it goes with them.
        if error.concerns().is_none()
            && let (Some(scope), Some(email)) = (&scope, &email)
            && let Ok(Some(user)) = self.users.user_by_email(scope, email).await
        {
            error = error.concerning(&user.id, &user.scope);
        }
        tokio::time::sleep_until(started + self.floor).await;
        Err(error)
    }

    async fn attempt(
        &self,
        scope: Option<&Scope>,
        (name, email): (&str, Option<&EmailKey>),
        passcode: &Secret<String>,
        request: &Credentials,
    ) -> Result<Authenticated, AuthnError> {
        if passcode.expose().len() > MAX_PASSCODE {
            return Err(AuthnError::new(AuthnCode::WrongCredentials, "the password is longer than allowed"));
        }
        if let Some(bots) = &self.bots {
            bots.check(request).await?;
        }
        let mut keys = vec![Key::Account(scope.cloned(), email.map_or(name, EmailKey::as_str).to_owned())];
        keys.extend(request.facts().peer.map(Key::address));

        self.allowed(&keys)?;
        let _turn = self.turn().await?;
        // Asked again: those before in the queue may have failed meanwhile.
        self.allowed(&keys)?;
        let result = self.check(scope, email, passcode, request.second_factor()).await;
        match &result {
            Ok(_) => self.throttle.succeeded(&keys),
            Err(error) if matches!(error.code(), AuthnCode::WrongCredentials | AuthnCode::MethodOff) => {
                self.throttle.failed(&keys, steady_millis(&*self.clock));
            }
            Err(_) => {}
        }
        result
    }

    fn allowed(&self, keys: &[Key]) -> Result<(), AuthnError> {
        self.throttle.check(keys, steady_millis(&*self.clock)).map_err(|seconds| {
            AuthnError::new(AuthnCode::Throttled, "too many failures of the account or address").retry_after(seconds)
        })
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>, AuthnError> {
        let busy = || AuthnError::new(AuthnCode::Busy, "too many logins wait for their turn").retry_after(5);
        let _place = Place::take(&self.waiting).ok_or_else(busy)?;
        match tokio::time::timeout(MAX_WAIT, self.permits.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(busy()),
        }
    }

    async fn check(
        &self,
        scope: Option<&Scope>,
        email: Option<&EmailKey>,
        passcode: &Secret<String>,
        code: Option<&Secret<String>>,
    ) -> Result<Authenticated, AuthnError> {
        let user = match (scope, email) {
            (Some(scope), Some(email)) => self.users.user_by_email(scope, email).await.map_err(unavailable)?,
            _ => None,
        };
        // Where passwords are off there is nobody to find; that they are is told when the same work was done.
        let on = scope.map_or(Ok(()), |scope| self.off.check(scope));
        let user = user.filter(|_| on.is_ok());
        // Asked for nobody too, so that the store does the same work.
        let id = user.as_ref().map_or("", |user| user.id.as_str());
        let stored = self.users.password_hash(id).await.map_err(unavailable)?.filter(|_| user.is_some());
        let checked = hashed(passcode.clone(), stored.clone()).await?;
        let wrong = |detail| AuthnError::new(AuthnCode::WrongCredentials, detail);
        on?;
        let Some(user) = user else { return Err(wrong("there is no such user")) };
        let refused = |detail| Err(wrong(detail).concerning(&user.id, &user.scope));
        match (stored, checked.found) {
            (None, _) => return refused("the user has no password"),
            (Some(_), Err(error)) => return refused(explain(error)),
            (Some(_), Ok(Match::No)) => return refused("the password is wrong"),
            (Some(_), Ok(Match::Yes)) => {}
            (Some(stored), Ok(Match::YesButWeak)) => self.strengthen(&user, &stored, checked.stronger).await,
        }
        if !user.enabled {
            return refused("the user is disabled");
        }
        if let Some(second_factors) = &self.second_factors
            && let Some(found) = second_factors.after_password(&user, code).await?
        {
            return Ok(found);
        }
        let participant = user.participant().auth_type("password").build();
        Ok(Authenticated::new(participant, "password").epoch(user.epoch).amr(["pwd"]))
    }

    /// Replaces a weak hash; the login is good whether that works or not.
    async fn strengthen(&self, user: &User, stored: &Secret<String>, stronger: Option<Secret<String>>) {
        let Some(stronger) = stronger else { return };
        if let Err(error) = self.users.replace_hash(&user.id, stored, &stronger).await {
            tracing::warn!(user = user.id, %error, "a weak password hash could not be replaced");
        }
    }
}

/// A place in the queue, given back on drop: a peer that hangs up leaves it.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize) -> Option<Self> {
        let place = Self(waiting);
        (waiting.fetch_add(1, Ordering::SeqCst) < MAX_WAITING).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Checked {
    found: Result<Match, HashError>,
    stronger: Option<Secret<String>>,
}

/// Checks a password off the async threads. Where nothing is stored, or nothing that can be checked, a hash is made
/// instead: the same work.
async fn hashed(passcode: Secret<String>, stored: Option<Secret<String>>) -> Result<Checked, AuthnError> {
    let work = move || {
        let stored = stored.ok_or(HashError::UnknownForm).and_then(|stored| StoredHash::parse(stored.expose()));
        let found = match stored {
            Ok(stored) => stored.check(&passcode),
            Err(error) => hash(&passcode).and(Err(error)),
        };
        let stronger = if found == Ok(Match::YesButWeak) { hash(&passcode).ok() } else { None };
        Checked { found, stronger }
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| AuthnError::new(AuthnCode::Unavailable, "the hashing of a password was broken off"))
}

const fn explain(error: HashError) -> &'static str {
    match error {
        HashError::UnknownForm => "the stored hash is of no known form",
        HashError::Parameters => "the stored hash has parameters that are not allowed",
        HashError::TooLong => "the password is longer than allowed",
        HashError::Failed => "the hash cannot be computed",
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
fn unavailable(error: StoreError) -> AuthnError {
    AuthnError::new(AuthnCode::Unavailable, error.to_string())
}

impl Authenticator for PasswordAuthenticator {
    fn method(&self) -> &'static str {
        "password"
    }

    fn authenticate<'a>(&'a self, credential: &'a Credential, request: &'a Credentials) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let Credential::Login { name, passcode, .. } = credential else { return Outcome::NotPresented };
            match self.login(name, passcode, request).await {
                Ok(found) => Outcome::Authenticated(Box::new(found)),
                Err(error) => Outcome::Rejected(error),
            }
        })
    }

    fn off_in(&self, scopes: &BTreeSet<Scope>) {
        self.off.learn(scopes);
    }
}

#[cfg(test)]
mod tests;
