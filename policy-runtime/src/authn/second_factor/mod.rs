//! The second factor: a code from an app (TOTP), or one of the recovery codes that were given with it.
//!
//! ```text
//! password ─► is one needed? ─ no ─► signed in
//!                 └ yes ─► a code with the password ─► signed in
//!                          none ─► refused, with a pending token ─► token and code ─► signed in
//! ```
//!
//! In: a user whose password was right, and a code. Out: the user with both proofs, or a refusal; nothing that lets anybody in
//! before. A code is good once, and the store says who was first. Absent: where seeds are kept, and the pages.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use policy_core::Scope;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use super::password::Throttle;
use super::password::throttle::Key;
use super::{Authenticated, Authenticator, AuthnCode, AuthnError, BoxFuture, Outcome, Pending};
use crate::clock::{Clock, steady_millis};
use crate::credential::{Credential, Credentials};
use crate::id::NoRandom;
use crate::identity::{ADMIN_ROLES, Factor, FactorStore, SecondFactorRule, SignInRules, StoreError, User, UserStore};
use crate::secret::Secret;

mod demanded;
#[cfg(feature = "signin")]
mod pages;
mod totp;

pub use demanded::Demanded;

/// How long a sign-in may wait for its code, in milliseconds.
const PENDING_MS: i64 = 10 * 60_000;
/// How long after the first code a sign-in may be finished, in milliseconds.
const PROVED_MS: i64 = 60_000;
/// How many recovery codes there are.
const RECOVERY: usize = 10;
/// The bytes of a recovery code.
const RECOVERY_BYTES: usize = 10;
/// No header is called this, so that nobody but we presents it.
const HEADER: &str = "(second factor)";

/// Whether a sign-in takes a second factor.
///
/// ```
/// use policy_runtime::authn::second_factor::Need;
/// assert_ne!(Need::Code, Need::SetUp);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "none, one that is there, one that is not there yet")]
pub enum Need {
    /// It does not.
    None,
    /// It takes a code.
    Code,
    /// It takes one that the user has yet to set up.
    SetUp,
}

/// A seed that is shown once, to be put into an app.
///
/// ```
/// use policy_runtime::authn::second_factor::Seed;
/// fn shown(seed: &Seed) -> String {
///     seed.secret.expose().clone()
/// }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Seed {
    /// As people type it.
    pub secret: Secret<String>,
    /// As an app reads it (`otpauth://`).
    pub uri: Secret<String>,
}

/// The second factors of a deployment. Cheap to clone: one goes to the `PasswordAuthenticator`, one into the chain.
///
/// ```
/// use std::sync::Arc;
/// use policy_runtime::Scope;
/// use policy_runtime::authn::Chain;
/// use policy_runtime::authn::password::PasswordAuthenticator;
/// use policy_runtime::authn::second_factor::SecondFactors;
/// use policy_runtime::clock::SystemClock;
/// use policy_runtime::identity::{FactorStore, SecondFactorRule, UserStore};
/// use policy_runtime::secret::Secret;
///
/// fn chain(users: Arc<dyn UserStore>, factors: Arc<dyn FactorStore>, key: Secret<[u8; 32]>) -> Chain {
///     let clock = Arc::new(SystemClock);
///     let second_factors = SecondFactors::new(users.clone(), factors, clock.clone(), key)
///         .named("The shop")
///         .rule(Scope::System, SecondFactorRule::Required);
///     Chain::builder()
///         .with(PasswordAuthenticator::new(users, clock).second_factors(second_factors.clone()))
///         .with(second_factors)
///         .build()
/// }
/// ```
#[derive(Clone)]
pub struct SecondFactors {
    users: Arc<dyn UserStore>,
    factors: Arc<dyn FactorStore>,
    clock: Arc<dyn Clock>,
    throttle: Arc<Throttle>,
    rules: BTreeMap<Scope, SecondFactorRule>,
    /// What administrators have said, by which more is asked and never less.
    said: watch::Receiver<Arc<BTreeMap<Scope, SignInRules>>>,
    name: String,
    /// Proves pending tokens; the same on all servers.
    key: Arc<Secret<[u8; 32]>>,
}

impl fmt::Debug for SecondFactors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecondFactors").field("rules", &self.rules).finish_non_exhaustive()
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
fn unavailable(error: StoreError) -> AuthnError {
    AuthnError::new(AuthnCode::Unavailable, error.to_string())
}

fn wrong(detail: &'static str) -> AuthnError {
    AuthnError::new(AuthnCode::WrongCredentials, detail)
}

fn random<const N: usize>() -> Result<[u8; N], AuthnError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| NoRandom)?;
    Ok(bytes)
}

/// The hash of a recovery code of 80 bits, however it was typed.
fn recovery_hash(user: &str, code: &str) -> [u8; 32] {
    let plain: String = code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect();
    Sha256::digest(format!("{}:{user}:{plain}", user.len()).as_bytes()).into()
}

/// What a pending token says, once it is proved.
struct Said {
    user: String,
    epoch: u64,
    /// Whether a code was proved, too.
    proved: bool,
}

impl SecondFactors {
    /// Second factors of these users, of which `factors` keeps the seeds; `key` proves pending sign-ins.
    pub fn new(
        users: Arc<dyn UserStore>,
        factors: Arc<dyn FactorStore>,
        clock: Arc<dyn Clock>,
        key: Secret<[u8; 32]>,
    ) -> Self {
        Self {
            users,
            factors,
            clock,
            throttle: Arc::default(),
            rules: BTreeMap::new(),
            said: watch::channel(Arc::default()).1,
            name: "policy".to_owned(),
            key: Arc::new(key),
        }
    }

    /// Says under which name apps show it.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Says who of a scope needs one, and of the scopes below that say nothing.
    #[must_use]
    pub fn rule(mut self, scope: Scope, rule: SecondFactorRule) -> Self {
        self.rules.insert(scope, rule);
        self
    }

    /// Follows what administrators say at run time.
    #[cfg(feature = "server")]
    #[must_use]
    pub(crate) fn following(mut self, said: watch::Receiver<Arc<BTreeMap<Scope, SignInRules>>>) -> Self {
        self.said = said;
        self
    }

    /// Counts failures with a throttle of one's own.
    #[must_use]
    pub fn throttle(mut self, throttle: Throttle) -> Self {
        self.throttle = Arc::new(throttle);
        self
    }

    /// Whether a user must have one.
    pub(crate) fn is_required(&self, user: &User) -> bool {
        self.requires(&user.scope, &user.roles)
    }

    /// Whether whoever has these roles in a scope must have one.
    pub(crate) fn requires<'a, R: AsRef<str> + 'a>(
        &self,
        scope: &Scope,
        roles: impl IntoIterator<Item = &'a R>,
    ) -> bool {
        let organization = scope.organization_id().cloned().map(Scope::Organization);
        let scopes: Vec<Scope> =
            [Some(scope.clone()), organization, Some(Scope::System)].into_iter().flatten().collect();
        let configured = scopes.iter().find_map(|scope| self.rules.get(scope).copied()).unwrap_or_default();
        let said = self.said.borrow();
        let said = scopes.iter().filter_map(|scope| said.get(scope)).map(|rules| rules.second_factor).max();
        let mut roles = roles.into_iter();
        match said.unwrap_or_default().max(configured) {
            SecondFactorRule::Optional => false,
            SecondFactorRule::Required => true,
            SecondFactorRule::RequiredForAdmins if scope.application_id().is_none() => roles.next().is_some(),
            SecondFactorRule::RequiredForAdmins => roles.any(|role| ADMIN_ROLES.contains(&role.as_ref())),
        }
    }

    /// Whether a sign-in of this user takes a second factor.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn need(&self, user: &User) -> Result<Need, AuthnError> {
        let factor = self.factors.factor(&user.id).await.map_err(unavailable)?;
        Ok(match factor {
            Some(Factor { confirmed: true, .. }) => Need::Code,
            _ if self.is_required(user) => Need::SetUp,
            _ => Need::None,
        })
    }

    /// What a user is who has proved a password: signed in with both, `None` where one proof is enough, or refused.
    pub(super) async fn after_password(
        &self,
        user: &User,
        code: Option<&Secret<String>>,
    ) -> Result<Option<Authenticated>, AuthnError> {
        let need = self.need(user).await?;
        match (need, code) {
            (Need::None, _) => Ok(None),
            (Need::Code, Some(code)) => self.check(user, code).await.map(|()| Some(with_both(user))),
            (Need::Code | Need::SetUp, _) => Err(self.refusal(user, need == Need::SetUp)?),
        }
    }

    /// The refusal of somebody whose password was right.
    ///
    /// # Errors
    /// When the key cannot be used.
    pub fn refusal(&self, user: &User, sets_up: bool) -> Result<AuthnError, AuthnError> {
        let error = AuthnError::new(AuthnCode::SecondFactorNeeded, "a second factor is needed");
        let pending = Pending::new(&self.token(user, false)?, sets_up);
        Ok(error.concerning(&user.id, &user.scope).with_pending(pending))
    }

    fn mac(&self, said: &str) -> Result<Hmac<Sha256>, AuthnError> {
        let mac = Hmac::<Sha256>::new_from_slice(self.key.expose());
        let mut mac = mac.map_err(|_| AuthnError::new(AuthnCode::Unavailable, "the key cannot be used"))?;
        mac.update(b"pending sign-in:");
        mac.update(said.as_bytes());
        Ok(mac)
    }

    /// What proves for a while that the password of a user was right, as long as nothing of the user changes.
    fn token(&self, user: &User, proved: bool) -> Result<Secret<String>, AuthnError> {
        let life = if proved { PROVED_MS } else { PENDING_MS };
        let until = self.clock.now().0 + life;
        let said = format!("{}:{}:{until}:{}", u8::from(proved), user.epoch, user.id);
        let proof = self.mac(&said)?.finalize().into_bytes();
        Ok(Secret::new(format!("{}.{}", URL_SAFE_NO_PAD.encode(said), URL_SAFE_NO_PAD.encode(proof))))
    }

    fn read(&self, token: &str) -> Result<Said, AuthnError> {
        let read = || {
            let (said, proof) = token.split_once('.')?;
            let said = String::from_utf8(URL_SAFE_NO_PAD.decode(said).ok()?).ok()?;
            Some((said, URL_SAFE_NO_PAD.decode(proof).ok()?))
        };
        let (said, proof) = read().ok_or_else(|| wrong("the pending sign-in cannot be read"))?;
        self.mac(&said)?.verify_slice(&proof).map_err(|_| wrong("the pending sign-in is not ours"))?;
        let mut parts = said.splitn(4, ':');
        let mut part = || parts.next().unwrap_or_default();
        let (proved, epoch, until, user) = (part() == "1", part().parse(), part().parse::<i64>(), part().to_owned());
        match (epoch, until) {
            (Ok(epoch), Ok(until)) if until > self.clock.now().0 => Ok(Said { user, epoch, proved }),
            _ => Err(wrong("the pending sign-in is over")),
        }
    }

    async fn user_of(&self, said: &Said) -> Result<User, AuthnError> {
        let user = self.users.user(&said.user).await.map_err(unavailable)?;
        let changed = wrong("the user of the pending sign-in has changed");
        match user {
            Some(user) if user.enabled && user.epoch == said.epoch => Ok(user),
            Some(user) => Err(changed.concerning(&user.id, &user.scope)),
            None => Err(changed),
        }
    }

    fn keys(user: &User) -> [Key; 1] {
        [Key::Account(Some(user.scope.clone()), user.id.clone())]
    }

    fn allowed(&self, user: &User) -> Result<(), AuthnError> {
        self.throttle.check(&Self::keys(user), steady_millis(&*self.clock)).map_err(|seconds| {
            AuthnError::new(AuthnCode::Throttled, "too many wrong codes")
                .retry_after(seconds)
                .concerning(&user.id, &user.scope)
        })
    }

    fn counted<T>(&self, user: &User, found: Option<T>) -> Result<T, AuthnError> {
        if let Some(found) = found {
            self.throttle.succeeded(&Self::keys(user));
            return Ok(found);
        }
        self.throttle.failed(&Self::keys(user), steady_millis(&*self.clock));
        Err(wrong("the code is wrong, over, or was used").concerning(&user.id, &user.scope))
    }

    /// Uses a code of a user: one from the app, or a recovery code.
    ///
    /// # Errors
    /// When it is wrong, over or used, there were too many wrong ones, or the store cannot be reached.
    pub async fn check(&self, user: &User, code: &Secret<String>) -> Result<(), AuthnError> {
        self.allowed(user)?;
        let factor = self.factors.factor(&user.id).await.map_err(unavailable)?;
        let factor = factor.filter(|factor| factor.confirmed).ok_or_else(|| wrong("there is no second factor"))?;
        let is_good = match totp::step_of(factor.seed.expose(), code.expose().trim(), self.clock.now()) {
            Some(step) => self.factors.use_step(&user.id, step).await,
            None => self.factors.use_recovery(&user.id, &recovery_hash(&user.id, code.expose())).await,
        };
        let is_good = is_good.map_err(unavailable)?;
        self.counted(user, is_good.then_some(()))
    }

    /// Confirms a proposed seed by its first code, and gives the recovery codes, once.
    ///
    /// # Errors
    /// As [`SecondFactors::check`].
    pub async fn confirm(&self, user: &User, code: &Secret<String>) -> Result<Vec<Secret<String>>, AuthnError> {
        self.allowed(user)?;
        let factor = self.factors.factor(&user.id).await.map_err(unavailable)?;
        let factor = factor.filter(|factor| !factor.confirmed).ok_or_else(|| wrong("no second factor is proposed"))?;
        let step = totp::step_of(factor.seed.expose(), code.expose().trim(), self.clock.now());
        let step = self.counted(user, step)?;
        let (codes, hashes) = recovery_codes(user)?;
        let confirmed = self.factors.confirm(&user.id, &factor.seed, step, &hashes).await.map_err(unavailable)?;
        if confirmed { Ok(codes) } else { Err(wrong("another second factor was proposed meanwhile")) }
    }

    /// Removes the second factor of a user who shows a code.
    ///
    /// # Errors
    /// As [`SecondFactors::check`].
    pub async fn remove(&self, user: &User, code: &Secret<String>) -> Result<(), AuthnError> {
        self.check(user, code).await?;
        self.factors.drop_factor(&user.id).await.map_err(unavailable)
    }

    async fn finish(&self, value: &Secret<String>) -> Result<Authenticated, AuthnError> {
        let (token, code) = value.expose().split_once(' ').ok_or_else(|| wrong("there is no code"))?;
        let said = self.read(token)?;
        let user = self.user_of(&said).await?;
        if !said.proved {
            self.check(&user, &Secret::new(code.to_owned())).await?;
        }
        Ok(with_both(&user))
    }
}

/// Recovery codes, and their hashes.
type Recovery = (Vec<Secret<String>>, Vec<[u8; 32]>);

fn recovery_codes(user: &User) -> Result<Recovery, AuthnError> {
    let (mut codes, mut hashes) = (Vec::new(), Vec::new());
    for _ in 0..RECOVERY {
        let text = totp::base32(&random::<RECOVERY_BYTES>()?);
        let parts: Vec<String> = text.as_bytes().chunks(4).map(|part| String::from_utf8_lossy(part).into()).collect();
        let code = parts.join("-");
        hashes.push(recovery_hash(&user.id, &code));
        codes.push(Secret::new(code));
    }
    Ok((codes, hashes))
}

/// A user who has proved both.
fn with_both(user: &User) -> Authenticated {
    let participant = user.participant().auth_type("password").mfa(true).build();
    Authenticated::new(participant, "password").epoch(user.epoch).amr(["pwd", "otp", "mfa"])
}

impl Authenticator for SecondFactors {
    fn method(&self) -> &'static str {
        "password"
    }

    fn authenticate<'a>(&'a self, credential: &'a Credential, _: &'a Credentials) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            match credential {
                Credential::Custom { header, value } if header == HEADER => match self.finish(value).await {
                    Ok(found) => Outcome::Authenticated(Box::new(found)),
                    Err(error) => Outcome::Rejected(error),
                },
                Credential::Custom { .. }
                | Credential::Login { .. }
                | Credential::Bearer(_)
                | Credential::ApiKey(_)
                | Credential::Session(_) => Outcome::NotPresented,
            }
        })
    }
}
