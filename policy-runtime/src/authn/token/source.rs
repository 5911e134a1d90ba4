//! Bearer tokens as a method of signing in: configurations by issuer, and the participants their tokens become.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use policy_core::{Participant, Scope};
use sha2::Sha256;
use tokio::sync::watch;

use super::jws::{Unverified, looks_signed};
use super::keys::{KeySet, SharedSecret};
use super::mapping::{ClaimMapping, Mapped};
use super::rules::{MAX_TOKEN, TokenRules, VerifiedToken};
use crate::authn::{Authenticated, Authenticator, AuthnCode, AuthnError, BoxFuture, Off, Outcome};
use crate::clock::Clock;
use crate::credential::{Credential, Credentials, RequestedScope};
use crate::secret::Secret;

/// Makes the ids of participants that are nowhere stored: a keyed hash, so that nobody can guess or choose one.
///
/// ```
/// use policy_runtime::authn::token::ParticipantIds;
/// use policy_runtime::secret::Secret;
/// assert!(ParticipantIds::new(Secret::new(vec![7; 32])).is_ok());
/// assert!(ParticipantIds::new(Secret::new(vec![7; 8])).is_err());
/// ```
#[derive(Debug, Clone)]
pub struct ParticipantIds(Secret<Vec<u8>>);

impl ParticipantIds {
    /// Takes the key; every server of a deployment has the same one, and it never changes.
    ///
    /// # Errors
    /// When the key has fewer than 32 bytes.
    pub fn new(key: Secret<Vec<u8>>) -> Result<Self, AuthnError> {
        if key.expose().len() < 32 {
            return Err(AuthnError::new(AuthnCode::Unavailable, "the key of participant ids has at least 32 bytes"));
        }
        Ok(Self(key))
    }

    fn id(&self, scope: &Scope, configuration: &str, token: &VerifiedToken) -> Result<String, AuthnError> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose())
            .map_err(|_| AuthnError::new(AuthnCode::Unavailable, "the key of participant ids cannot be used"))?;
        let kind = if token.is_machine() { "machine" } else { "user" };
        let typed = if token.subject().is_number() { "number" } else { "text" };
        let scope = scope.to_string();
        for part in [&*scope, configuration, token.issuer(), kind, typed, token.subject().as_text()] {
            // The length goes first, so that no two lists of parts give one text.
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        let digest = mac.finalize().into_bytes();
        Ok(format!("t_{}", URL_SAFE_NO_PAD.encode(digest.get(..18).unwrap_or_default())))
    }
}

/// Where the keys of an issuer come from.
///
/// ```
/// use std::sync::Arc;
/// use policy_runtime::authn::token::{KeySet, KeySource};
/// use policy_runtime::authn::{AuthnError, BoxFuture};
///
/// #[derive(Debug)]
/// struct FromDisk(Arc<KeySet>);
///
/// impl KeySource for FromDisk {
///     fn keys<'a>(&'a self, _: Option<&'a str>) -> BoxFuture<'a, Result<Arc<KeySet>, AuthnError>> {
///         Box::pin(async { Ok(self.0.clone()) })
///     }
/// }
/// ```
pub trait KeySource: fmt::Debug + Send + Sync {
    /// The keys, among them the one with this id if the issuer has it.
    fn keys<'a>(&'a self, kid: Option<&'a str>) -> BoxFuture<'a, Result<Arc<KeySet>, AuthnError>>;
}

#[derive(Debug, Clone)]
enum Keys {
    Fixed(Arc<KeySet>),
    Shared(SharedSecret),
    Source(Arc<dyn KeySource>),
}

/// Looks at a token that was verified, and may still refuse it: a list of revoked tokens, a claim that must equal
/// something stored.
///
/// ```
/// use policy_runtime::authn::token::{TokenCheck, VerifiedToken};
/// use policy_runtime::authn::{AuthnCode, AuthnError, BoxFuture};
///
/// #[derive(Debug)]
/// struct NotRevoked;
///
/// impl TokenCheck for NotRevoked {
///     fn check<'a>(&'a self, token: &'a VerifiedToken) -> BoxFuture<'a, Result<(), AuthnError>> {
///         let revoked = token.subject().as_text() == "u-9";
///         Box::pin(async move {
///             if revoked { Err(AuthnError::new(AuthnCode::TokenClaim, "revoked")) } else { Ok(()) }
///         })
///     }
/// }
/// ```
pub trait TokenCheck: fmt::Debug + Send + Sync {
    /// Refuses with an error of the code [`AuthnCode::TokenClaim`] or another that fits.
    fn check<'a>(&'a self, token: &'a VerifiedToken) -> BoxFuture<'a, Result<(), AuthnError>>;
}

/// Finds the stored participant that a token belongs to, where tokens alone make none.
///
/// ```
/// use policy_core::{Participant, Scope};
/// use policy_runtime::authn::token::{TokenUsers, VerifiedToken};
/// use policy_runtime::authn::{AuthnError, BoxFuture};
///
/// #[derive(Debug)]
/// struct Everybody;
///
/// impl TokenUsers for Everybody {
///     fn participant<'a>(&'a self, token: &'a VerifiedToken) -> BoxFuture<'a, Result<(Participant, u64), AuthnError>> {
///         let participant = Participant::builder(Scope::System, "u-1").subject(token.subject().as_text()).build();
///         Box::pin(async move { Ok((participant, 0)) })
///     }
/// }
/// ```
pub trait TokenUsers: fmt::Debug + Send + Sync {
    /// The participant with its roles and attributes, and its epoch; an error when it may not sign in.
    fn participant<'a>(&'a self, token: &'a VerifiedToken) -> BoxFuture<'a, Result<(Participant, u64), AuthnError>>;
}

/// What a token would come to under one configuration.
///
/// ```
/// use policy_runtime::authn::token::DryRun;
/// fn told(run: &DryRun) -> String {
///     match &run.verdict {
///         Ok(()) => format!("`{}` lets it in to {}", run.configuration, run.scope),
///         Err(error) => format!("`{}`: {error}", run.configuration),
///     }
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct DryRun {
    /// The configuration.
    pub configuration: String,
    /// The scope that uses it.
    pub scope: Scope,
    /// Whether the token is good, and else what is wrong with it.
    pub verdict: Result<(), AuthnError>,
    /// What each attribute would become, whether or not the token is good.
    pub mapped: Vec<(String, Mapped)>,
}

/// A token configuration as one scope uses it.
///
/// ```
/// use std::sync::Arc;
/// use policy_core::Scope;
/// use policy_runtime::authn::token::{Provisioned, RemoteKeys, SharedSecret, TokenRules, TokenSource};
/// use policy_runtime::clock::SystemClock;
/// use policy_runtime::identity::MemoryStore;
/// use policy_runtime::secret::Secret;
///
/// let acme = Scope::organization("acme").unwrap();
/// let rules = || TokenRules::new("https://idp.example", "orders");
/// let keys = RemoteKeys::discover("https://idp.example", Arc::new(SystemClock)).unwrap();
/// let users = Arc::new(Provisioned::new("corporate", acme.clone(), Arc::new(MemoryStore::default())));
/// let corporate = TokenSource::with_source("corporate", acme.clone(), rules(), keys).users(users);
/// let secret = SharedSecret::new(&Secret::new((0..32).collect())).unwrap();
/// let legacy = TokenSource::with_secret("legacy", acme, rules(), secret).auth_type("jwt");
/// ```
#[derive(Debug, Clone)]
pub struct TokenSource {
    name: String,
    scope: Scope,
    rules: TokenRules,
    keys: Keys,
    mapping: ClaimMapping,
    auth_type: String,
    check: Option<Arc<dyn TokenCheck>>,
    users: Option<Arc<dyn TokenUsers>>,
}

impl TokenSource {
    fn new(name: &str, scope: Scope, rules: TokenRules, keys: Keys, auth_type: &str) -> Self {
        Self {
            name: name.to_owned(),
            scope,
            rules,
            keys,
            mapping: ClaimMapping::default(),
            auth_type: auth_type.to_owned(),
            check: None,
            users: None,
        }
    }

    /// Makes a configuration whose keys are known.
    pub fn with_keys(name: &str, scope: Scope, rules: TokenRules, keys: KeySet) -> Self {
        Self::new(name, scope, rules, Keys::Fixed(Arc::new(keys)), "oidc")
    }

    /// Makes a configuration with a shared secret (HS256).
    pub fn with_secret(name: &str, scope: Scope, rules: TokenRules, secret: SharedSecret) -> Self {
        Self::new(name, scope, rules.algorithms([super::Algorithm::Hs256]), Keys::Shared(secret), "jwt")
    }

    /// Makes a configuration whose keys are asked for as needed.
    pub fn with_source(name: &str, scope: Scope, rules: TokenRules, source: Arc<dyn KeySource>) -> Self {
        Self::new(name, scope, rules, Keys::Source(source), "oidc")
    }

    /// Sets what the claims become.
    #[must_use]
    pub fn mapping(mut self, mapping: ClaimMapping) -> Self {
        self.mapping = mapping;
        self
    }

    /// Sets what `participant.authType` says.
    #[must_use]
    pub fn auth_type(mut self, auth_type: &str) -> Self {
        auth_type.clone_into(&mut self.auth_type);
        self
    }

    /// Adds a check of verified tokens.
    #[must_use]
    pub fn check(mut self, check: Arc<dyn TokenCheck>) -> Self {
        self.check = Some(check);
        self
    }

    /// Takes participants from a store instead of making them from the token.
    #[must_use]
    pub fn users(mut self, users: Arc<dyn TokenUsers>) -> Self {
        self.users = Some(users);
        self
    }

    async fn verify(&self, token: &Unverified<'_>, clock: &dyn Clock) -> Result<VerifiedToken, AuthnError> {
        self.rules.check_header(token)?;
        match &self.keys {
            Keys::Fixed(keys) => keys.verify(token)?,
            Keys::Shared(secret) => secret.verify(token)?,
            Keys::Source(source) => source.keys(token.kid.as_deref()).await?.verify(token)?,
        }
        self.rules.check_claims(token.claims.clone(), clock.now())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The scope that uses it.
    pub const fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Shows what a token would come to, and signs nobody in: for whoever writes a configuration.
    pub async fn dry_run(&self, token: &str, clock: &dyn Clock) -> DryRun {
        let mut shown =
            DryRun { configuration: self.name.clone(), scope: self.scope.clone(), verdict: Ok(()), mapped: Vec::new() };
        let token = match Unverified::parse(token, MAX_TOKEN) {
            Ok(token) => token,
            Err(error) => return DryRun { verdict: Err(error), ..shown },
        };
        shown.mapped = self.mapping.dry_run(&token.claims);
        if !self.rules.issued_here(&token.claims) {
            let error = AuthnError::new(AuthnCode::TokenIssuer, "the issuer is not the configured one");
            return DryRun { verdict: Err(error), ..shown };
        }
        shown.verdict = self.verify(&token, clock).await.map(|_| ());
        shown
    }

    async fn authenticate(
        &self,
        token: &Unverified<'_>,
        clock: &dyn Clock,
        ids: &ParticipantIds,
    ) -> Result<Authenticated, AuthnError> {
        let verified = self.verify(token, clock).await?;
        if let Some(check) = &self.check {
            check.check(&verified).await?;
        }
        let (participant, epoch) = if let Some(users) = &self.users {
            users.participant(&verified).await?
        } else {
            let id = ids.id(&self.scope, &self.name, &verified)?;
            let builder = Participant::builder(self.scope.clone(), &id)
                .subject(verified.subject().as_text())
                .auth_type(&verified.auth_type(&self.auth_type));
            (self.mapping.apply(verified.claims(), builder)?.build(), 0)
        };
        let amr = verified.claims().get("amr").and_then(super::Json::as_list).unwrap_or_default();
        Ok(Authenticated::new(participant, &self.auth_type)
            .expires_at(verified.expires_at())
            .epoch(epoch)
            .amr(amr.iter().filter_map(super::Json::as_text)))
    }
}

/// Signs in by bearer token: the token's issuer picks the configuration, and only that configuration's keys are asked.
///
/// ```
/// use std::sync::Arc;
/// use policy_core::Scope;
/// use policy_runtime::authn::token::{KeySet, ParticipantIds, TokenAuthenticator, TokenRules, TokenSource};
/// use policy_runtime::clock::SystemClock;
/// use policy_runtime::secret::Secret;
/// let orders = Scope::application("acme", "orders").unwrap();
/// let rules = TokenRules::new("https://issuer.example", "https://api.example");
/// let keys = KeySet::parse(br#"{"keys": []}"#).unwrap();
/// let ids = ParticipantIds::new(Secret::new(vec![7; 32])).unwrap();
/// let tokens = TokenAuthenticator::new(Arc::new(SystemClock), ids)
///     .with(TokenSource::with_keys("main", orders, rules, keys));
/// ```
#[derive(Debug)]
pub struct TokenAuthenticator {
    clock: Arc<dyn Clock>,
    ids: ParticipantIds,
    sources: Vec<TokenSource>,
    followed: watch::Receiver<Arc<[TokenSource]>>,
    off: Off,
}

impl TokenAuthenticator {
    /// Makes an authenticator without configurations.
    pub fn new(clock: Arc<dyn Clock>, ids: ParticipantIds) -> Self {
        Self { clock, ids, sources: Vec::new(), followed: watch::channel([].into()).1, off: Off::default() }
    }

    /// Adds a configuration.
    #[must_use]
    pub fn with(mut self, source: TokenSource) -> Self {
        self.sources.push(source);
        self
    }

    /// Takes tokens of configurations that change, too.
    #[cfg(feature = "server")]
    #[must_use]
    pub(crate) fn following(mut self, sources: watch::Receiver<Arc<[TokenSource]>>) -> Self {
        self.followed = sources;
        self
    }

    async fn check(&self, token: &str, request: &Credentials) -> Result<Authenticated, AuthnError> {
        let token = Unverified::parse(token, MAX_TOKEN)?;
        let followed = self.followed.borrow().clone();
        let sources = self.sources.iter().chain(followed.iter());
        let issued: Vec<&TokenSource> = sources.filter(|source| source.rules.issued_here(&token.claims)).collect();
        if issued.is_empty() {
            return Err(AuthnError::new(AuthnCode::TokenIssuer, "no configuration has that issuer"));
        }
        let asked = request.effective_scope();
        let fitting: Vec<&TokenSource> = issued.into_iter().filter(|source| asked.admits(&source.scope)).collect();
        let Some(first) = fitting.first() else {
            return Err(AuthnError::new(
                AuthnCode::ScopeMismatch,
                "no configuration of that issuer is used in the scope",
            ));
        };
        if asked == RequestedScope::Unnamed && fitting.iter().any(|source| source.scope != first.scope) {
            return Err(AuthnError::new(AuthnCode::ScopeMissing, "several scopes use that issuer, and none was named"));
        }
        let mut last = None;
        for source in fitting {
            // Before users are provisioned where nobody may come by a token.
            self.off.check(&source.scope)?;
            match source.authenticate(&token, self.clock.as_ref(), &self.ids).await {
                // Those that a program has itself nobody takes away.
                Ok(found) if self.sources.iter().any(|own| std::ptr::eq(own, source)) => return Ok(found),
                Ok(found) => return Ok(found.by_provider(&source.name)),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| AuthnError::new(AuthnCode::TokenIssuer, "no configuration has that issuer")))
    }
}

impl Authenticator for TokenAuthenticator {
    fn method(&self) -> &'static str {
        "token"
    }

    fn authenticate<'a>(&'a self, credential: &'a Credential, request: &'a Credentials) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let Credential::Bearer(token) = credential else { return Outcome::NotPresented };
            let token = token.expose();
            if !looks_signed(token) {
                return Outcome::NotPresented;
            }
            match self.check(token, request).await {
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
