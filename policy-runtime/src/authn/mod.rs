//! Credentials to participants: who is this, and how do we know?
//!
//! In: [`Credentials`]. Out: an [`Outcome`]. A [`Chain`] asks one [`Authenticator`] for each kind of credential; one that
//! is recognised and fails is final. Afterwards a [`PostAuthentication`] hook may add attributes or refuse. Absent: audit
//! records and status lines; outcomes carry what both need.
//!
//! ```text
//! Credentials ─► Chain ─► Authenticator ─► Authenticated ─► scope and method checks ─► hook ─► Outcome
//! ```
//!
//! What rules read as `participant.authType`, and who that is:
//!
//! | value | who | proofs (`amr`) |
//! | --- | --- | --- |
//! | `password` | a person with a password of ours | `pwd` |
//! | `token` | a person with a token or a ticket that we signed | those of the sign-in it came from |
//! | `oidc`, `jwt` | a person whose provider has public keys, or shares a secret | what the provider says |
//! | `oidc-machine`, `jwt-machine` | a machine, by its provider | what the provider says |
//! | `api-key` | a machine with a key of ours | none |

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
#[cfg(any(feature = "api-key", feature = "password", feature = "token"))]
use std::sync::{PoisonError, RwLock};

use policy_core::value::Millis;
use policy_core::{Participant, Scope};

use crate::code::Code;
use crate::credential::{Credential, CredentialError, Credentials};
use crate::id::NoRandom;
use crate::secret::Secret;

#[cfg(feature = "api-key")]
pub mod api_key;
mod chain;
mod hook;
#[cfg(feature = "password")]
pub mod password;
#[cfg(feature = "password")]
pub mod second_factor;
#[cfg(feature = "users")]
pub mod session;
#[cfg(feature = "token")]
pub mod token;

pub(crate) use chain::Ways;
pub use chain::{Chain, ChainBuilder};
#[cfg(feature = "engine")]
pub(crate) use hook::with_attributes;
pub use hook::{HookCounters, PostAuthentication, Rejection};

pub use futures_util::future::BoxFuture;

/// How the authentication type of a service account at a provider ends; nobody is there to type a code.
#[cfg(any(feature = "password", feature = "token"))]
pub(crate) const MACHINE: &str = "-machine";

/// Checks one kind of credential.
///
/// Add one of your own to a [`Chain`]; it must answer [`Outcome::NotPresented`] for every credential that is not of its
/// kind, and [`Outcome::Rejected`] for one that is and fails, since nobody else is asked then.
///
/// ```
/// use policy_core::{Participant, Scope};
/// use policy_runtime::authn::{Authenticated, Authenticator, AuthnCode, AuthnError, BoxFuture, Outcome};
/// use policy_runtime::credential::{Credential, Credentials};
///
/// #[derive(Debug)]
/// struct Badge(Scope);
///
/// impl Authenticator for Badge {
///     fn method(&self) -> &str {
///         "badge"
///     }
///
///     fn authenticate<'a>(&'a self, credential: &'a Credential, _: &'a Credentials) -> BoxFuture<'a, Outcome> {
///         Box::pin(async move {
///             let Credential::Custom { header, value } = credential else { return Outcome::NotPresented };
///             if header != "x-badge" {
///                 return Outcome::NotPresented;
///             }
///             if value.expose() != "4711" {
///                 return Outcome::Rejected(AuthnError::new(AuthnCode::WrongCredentials, "no such badge"));
///             }
///             let holder = Participant::builder(self.0.clone(), "badge-4711").auth_type("badge").build();
///             Outcome::Authenticated(Box::new(Authenticated::new(holder, "badge")))
///         })
///     }
/// }
/// ```
pub trait Authenticator: fmt::Debug + Send + Sync {
    /// The method's name, by which a scope switches it on: `password`, `oidc`, `api-key`.
    fn method(&self) -> &str;

    /// Checks one of the presented credentials.
    fn authenticate<'a>(&'a self, credential: &'a Credential, request: &'a Credentials) -> BoxFuture<'a, Outcome>;

    /// Told when a chain is built, and when that changes: the scopes in which the method is off. The chain refuses there in any
    /// case; who knows it lets a right credential cost no more, and bring no more about, than a wrong one does.
    fn off_in(&self, scopes: &BTreeSet<Scope>) {
        let _ = scopes;
    }
}

/// The scopes in which a method is off, as the chain said last.
#[cfg(any(feature = "api-key", feature = "password", feature = "token"))]
#[derive(Debug, Default)]
struct Off(RwLock<BTreeSet<Scope>>);

#[cfg(any(feature = "api-key", feature = "password", feature = "token"))]
impl Off {
    fn learn(&self, scopes: &BTreeSet<Scope>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).clone_from(scopes);
    }

    /// Refuses in a scope in which the method is off.
    fn check(&self, scope: &Scope) -> Result<(), AuthnError> {
        let is_off = self.0.read().unwrap_or_else(PoisonError::into_inner).contains(scope);
        if is_off { Err(AuthnError::method_off(scope)) } else { Ok(()) }
    }
}

/// What came of looking at credentials.
///
/// ```
/// use policy_runtime::authn::Outcome;
///
/// fn status(outcome: &Outcome) -> u16 {
///     match outcome {
///         Outcome::Authenticated(_) => 200,
///         Outcome::Rejected(error) => error.answer().status,
///         _ => 401,
///     }
/// }
/// assert_eq!(status(&Outcome::NotPresented), 401);
/// ```
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "there are three outcomes, and a caller must decide about each")]
pub enum Outcome {
    /// Nothing was presented (to an authenticator: nothing of its kind).
    NotPresented,
    /// The peer is who it says.
    Authenticated(Box<Authenticated>),
    /// Something was presented and is refused.
    Rejected(AuthnError),
}

/// A participant whose credentials were checked.
///
/// ```
/// use policy_core::value::Millis;
/// use policy_runtime::authn::Authenticated;
/// use policy_runtime::{Participant, Scope};
///
/// let alice = Participant::builder(Scope::System, "u-1").build();
/// let proof = Authenticated::new(alice, "password").expires_at(Millis(60_000)).amr(["pwd", "otp"]).epoch(3);
/// assert_eq!((proof.expiry(), proof.proofs().len(), proof.built_from_epoch()), (Some(Millis(60_000)), 2, 3));
/// let proof = proof.of_session("s-7");
/// assert_eq!(proof.session().map(|id| &**id), Some("s-7"));
/// ```
#[derive(Debug, Clone)]
pub struct Authenticated {
    participant: Participant,
    expires_at: Option<Millis>,
    amr: Vec<String>,
    method: String,
    epoch: u64,
    session: Option<Arc<str>>,
    ways: Ways,
}

impl Authenticated {
    /// Makes the result of a check that succeeded; only authenticators have a reason to.
    pub fn new(participant: Participant, method: &str) -> Self {
        Self {
            participant,
            expires_at: None,
            amr: Vec::new(),
            method: method.to_owned(),
            epoch: 0,
            session: None,
            ways: Ways::default(),
        }
    }

    /// Sets when the credential ends; a connection ends with it.
    #[must_use]
    pub const fn expires_at(mut self, at: Millis) -> Self {
        self.expires_at = Some(at);
        self
    }

    /// Sets how it was proved, in the words of RFC 8176: `pwd`, `otp`, `hwk`, ...
    #[must_use]
    pub fn amr<'a>(mut self, amr: impl IntoIterator<Item = &'a str>) -> Self {
        self.amr = amr.into_iter().map(str::to_owned).collect();
        self
    }

    /// Sets the participant's epoch: when a later one is known, the participant must be built again.
    #[must_use]
    pub const fn epoch(mut self, epoch: u64) -> Self {
        self.epoch = epoch;
        self
    }

    /// Says which session it is part of; a connection ends with it.
    #[must_use]
    pub fn of_session(mut self, id: impl Into<Arc<str>>) -> Self {
        self.session = Some(id.into());
        self
    }

    /// Says whose word it is, by the name of the provider.
    #[cfg(any(feature = "token", feature = "users"))]
    pub(crate) fn by_provider(mut self, name: &str) -> Self {
        self.ways.providers.insert(name.to_owned());
        self
    }

    #[cfg(feature = "gateway")]
    pub(crate) const fn ways(&self) -> &Ways {
        &self.ways
    }

    /// Who it is.
    pub const fn participant(&self) -> &Participant {
        &self.participant
    }

    /// Gives the participant away.
    pub fn into_participant(self) -> Participant {
        self.participant
    }

    /// When the credential ends, if it does.
    pub const fn expiry(&self) -> Option<Millis> {
        self.expires_at
    }

    /// How it was proved.
    pub fn proofs(&self) -> &[String] {
        &self.amr
    }

    /// The method that proved it.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The epoch that the participant was built from; 0 where nothing is stored.
    pub const fn built_from_epoch(&self) -> u64 {
        self.epoch
    }

    /// The session that it is part of, if there is one.
    pub const fn session(&self) -> Option<&Arc<str>> {
        self.session.as_ref()
    }

    pub(crate) fn replace_participant(&mut self, participant: Participant) {
        self.participant = participant;
    }
}

/// Why somebody was not let in, as a stable code for logs and audit.
///
/// ```
/// use policy_runtime::authn::AuthnCode;
/// assert_eq!(AuthnCode::TokenExpired.to_string(), AuthnCode::TokenExpired.as_str());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuthnCode {
    /// What was presented cannot be read.
    Malformed,
    /// Nobody here knows this kind of credential.
    Unrecognised,
    /// Unknown user, wrong password, disabled user, unknown or revoked key.
    WrongCredentials,
    /// Several credentials were presented and do not prove the same participant.
    Conflicting,
    /// The credential belongs to another scope than the one that was asked for.
    ScopeMismatch,
    /// No scope was named where the credential names none.
    ScopeMissing,
    /// The method is not switched on in this scope.
    MethodOff,
    /// Too many attempts.
    Throttled,
    /// The server is busy with other passwords.
    Busy,
    /// A check before the password refused.
    BotSuspected,
    /// The token is not a well-formed signed token.
    TokenMalformed,
    /// The token is longer than allowed.
    TokenTooLong,
    /// The token's algorithm is not allowed, or not the key's.
    TokenAlgorithm,
    /// No key of the issuer fits the token.
    TokenKey,
    /// The signature is wrong.
    TokenSignature,
    /// The token is of another kind.
    TokenKind,
    /// The token's issuer is not the configured one.
    TokenIssuer,
    /// The token is meant for somebody else.
    TokenAudience,
    /// The token has ended.
    TokenExpired,
    /// The token is not valid yet.
    TokenNotYetValid,
    /// The token lives longer than allowed.
    TokenLifetime,
    /// The token names nobody.
    TokenSubject,
    /// A claim is missing, has another value or another type than configured.
    TokenClaim,
    /// A single-use token was used before.
    TokenReplayed,
    /// The password is right, and a second factor is needed.
    SecondFactorNeeded,
    /// The session of a cookie is not there, or has ended.
    SessionEnded,
    /// The participant may not sign in here.
    NotProvisioned,
    /// The hook refused, with a text that the peer may read.
    Forbidden,
    /// The hook failed, panicked or took too long.
    HookFailed,
    /// The store or the issuer's keys cannot be reached.
    Unavailable,
}

impl AuthnCode {
    /// The code as logs and audit records show it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unrecognised => "unrecognised",
            Self::WrongCredentials => "wrong_credentials",
            Self::Conflicting => "conflicting_credentials",
            Self::ScopeMismatch => "scope_mismatch",
            Self::ScopeMissing => "scope_missing",
            Self::MethodOff => "method_off",
            Self::Throttled => "throttled",
            Self::Busy => "busy",
            Self::BotSuspected => "bot_suspected",
            Self::TokenMalformed => "token_malformed",
            Self::TokenTooLong => "token_too_long",
            Self::TokenAlgorithm => "token_algorithm",
            Self::TokenKey => "token_key",
            Self::TokenSignature => "token_signature",
            Self::TokenKind => "token_kind",
            Self::TokenIssuer => "token_issuer",
            Self::TokenAudience => "token_audience",
            Self::TokenExpired => "token_expired",
            Self::TokenNotYetValid => "token_not_yet_valid",
            Self::TokenLifetime => "token_lifetime",
            Self::TokenSubject => "token_subject",
            Self::TokenClaim => "token_claim",
            Self::TokenReplayed => "token_replayed",
            Self::SecondFactorNeeded => "second_factor_needed",
            Self::SessionEnded => "session_ended",
            Self::NotProvisioned => "not_provisioned",
            Self::Forbidden => "forbidden",
            Self::HookFailed => "hook_failed",
            Self::Unavailable => "unavailable",
        }
    }
}

impl fmt::Display for AuthnCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why somebody was not let in: a code and a detail for logs and audit, and one answer for the peer.
///
/// ```
/// use policy_runtime::authn::{AuthnCode, AuthnError};
/// let unknown = AuthnError::new(AuthnCode::WrongCredentials, "no user of that name");
/// let expired = AuthnError::new(AuthnCode::TokenExpired, "ended 20 minutes ago");
/// assert_eq!(unknown.answer(), expired.answer());
/// assert_eq!(unknown.answer().status, 401);
/// let known = expired.clone().concerning("u-1", &policy_runtime::Scope::System); // for the audit
/// assert_eq!(known.answer(), expired.answer());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthnError {
    code: AuthnCode,
    detail: Cow<'static, str>,
    /// Given with a failure of ours, so that the peer's report finds the log line.
    id: Option<String>,
    retry_after_s: Option<u64>,
    /// The stored user or key whose credential failed, for the audit.
    concerns: Option<Box<(String, Scope)>>,
    /// What a sign-in goes on with that lacks a second factor.
    pending: Option<Box<Pending>>,
}

/// A sign-in whose password was right: what it goes on with, for ten minutes.
///
/// ```
/// use policy_runtime::authn::{AuthnCode, AuthnError};
/// assert!(AuthnError::new(AuthnCode::WrongCredentials, "no user of that name").pending().is_none());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Pending {
    token: String,
    /// Whether a second factor must be set up first.
    sets_up: bool,
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("sets_up", &self.sets_up).finish_non_exhaustive()
    }
}

impl Pending {
    #[cfg(feature = "password")]
    pub(crate) fn new(token: &Secret<String>, sets_up: bool) -> Self {
        Self { token: token.expose().clone(), sets_up }
    }

    /// What proves that the password was right.
    pub fn token(&self) -> Secret<String> {
        Secret::new(self.token.clone())
    }

    /// Whether a second factor must be set up first.
    pub const fn sets_up(&self) -> bool {
        self.sets_up
    }
}

/// What a peer is told.
///
/// ```
/// use policy_runtime::authn::{AuthnCode, AuthnError};
/// let answer = AuthnError::new(AuthnCode::WrongCredentials, "no user of that name").answer();
/// assert_eq!((answer.status, answer.retry_after_s), (401, None));
/// assert!(!answer.message.contains("user"), "a peer is not told which part was wrong");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// What it is called.
    pub code: Code,
    /// The HTTP status.
    pub status: u16,
    /// The text.
    pub message: String,
    /// After how many seconds to try again, where that helps.
    pub retry_after_s: Option<u64>,
}

impl AuthnError {
    /// Makes an error; the detail is for logs and must hold no secret.
    pub fn new(code: AuthnCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into(), id: None, retry_after_s: None, concerns: None, pending: None }
    }

    #[cfg(feature = "password")]
    pub(crate) fn with_pending(mut self, pending: Pending) -> Self {
        self.pending = Some(Box::new(pending));
        self
    }

    /// What the sign-in goes on with, where only a second factor is missing.
    pub fn pending(&self) -> Option<&Pending> {
        self.pending.as_deref()
    }

    fn provider_off(scope: &Scope) -> Self {
        Self::new(AuthnCode::TokenIssuer, format!("the provider is no longer used in scope `{scope}`"))
    }

    fn method_off(scope: &Scope) -> Self {
        Self::new(AuthnCode::MethodOff, format!("the method is off in scope `{scope}`"))
    }

    /// Says whose credential failed: a user or a key that is stored. It goes to the audit, never to the peer.
    #[must_use]
    pub fn concerning(mut self, id: &str, scope: &Scope) -> Self {
        self.concerns = Some(Box::new((id.to_owned(), scope.clone())));
        self
    }

    /// Whose credential failed, if that is stored.
    pub fn concerns(&self) -> Option<(&str, &Scope)> {
        self.concerns.as_deref().map(|(id, scope)| (id.as_str(), scope))
    }

    pub(crate) fn with_id(mut self, id: String) -> Self {
        self.id = Some(id);
        self
    }

    #[cfg(feature = "password")]
    pub(crate) const fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// The code.
    pub const fn code(&self) -> AuthnCode {
        self.code
    }

    /// What happened, for the log.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The id that the peer was given, if any.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// What the peer is told: the same for everything that a peer could learn from.
    pub fn answer(&self) -> Answer {
        let answer = |code, status, message: &str| Answer {
            code,
            status,
            message: message.to_owned(),
            retry_after_s: self.retry_after_s,
        };
        match self.code {
            AuthnCode::Forbidden => answer(Code::SignInRefused, 403, &self.detail),
            AuthnCode::HookFailed => {
                let told = format!("sign-in failed ({})", self.id.as_deref().unwrap_or("no id"));
                answer(Code::Internal, 500, &told)
            }
            AuthnCode::Unavailable => answer(Code::Internal, 503, "sign-in is not possible at the moment"),
            AuthnCode::Throttled | AuthnCode::Busy => answer(Code::RateLimited, 429, "too many attempts"),
            AuthnCode::SecondFactorNeeded => answer(Code::StepUpRequired, 401, Code::StepUpRequired.text()),
            AuthnCode::Malformed
            | AuthnCode::Unrecognised
            | AuthnCode::WrongCredentials
            | AuthnCode::Conflicting
            | AuthnCode::ScopeMismatch
            | AuthnCode::ScopeMissing
            | AuthnCode::MethodOff
            | AuthnCode::BotSuspected
            | AuthnCode::TokenMalformed
            | AuthnCode::TokenTooLong
            | AuthnCode::TokenAlgorithm
            | AuthnCode::TokenKey
            | AuthnCode::TokenSignature
            | AuthnCode::TokenKind
            | AuthnCode::TokenIssuer
            | AuthnCode::TokenAudience
            | AuthnCode::TokenExpired
            | AuthnCode::TokenNotYetValid
            | AuthnCode::TokenLifetime
            | AuthnCode::TokenSubject
            | AuthnCode::TokenClaim
            | AuthnCode::TokenReplayed
            | AuthnCode::SessionEnded
            | AuthnCode::NotProvisioned => answer(Code::Unauthenticated, 401, "invalid credentials"),
        }
    }
}

impl fmt::Display for AuthnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

impl std::error::Error for AuthnError {}

impl From<CredentialError> for AuthnError {
    fn from(error: CredentialError) -> Self {
        Self::new(AuthnCode::Malformed, error.to_string())
    }
}

impl From<AuthnError> for Outcome {
    fn from(error: AuthnError) -> Self {
        Self::Rejected(error)
    }
}

impl From<NoRandom> for AuthnError {
    fn from(none: NoRandom) -> Self {
        Self::new(AuthnCode::Unavailable, none.to_string())
    }
}
