//! The sign-in server: who signs in here gets tokens that others only verify.
//!
//! In: a database, the keys that seal, the [`Issuer`], the chain and the sessions of browsers. Out: routes (`OAuth` 2.1 and
//! OpenID Connect: authorization code with PKCE, refresh, client credentials, revocation, introspection, discovery, keys) and,
//! for administrators, [`Clients`], [`Grants`] and [`StoredKeys`]. Absent: how a password is checked, which the chain knows,
//! and sending mail.
//!
//! ```text
//! browser ─► authorize (page: sign in, consent) ─► code ─► client ─► token ─► access, refresh and ID token
//!                                                          resource server ─► keys, introspection
//! ```

#[cfg(feature = "server")]
use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use tokio::sync::watch;

use crate::authn::password::Passwords;
use crate::authn::second_factor::SecondFactors;
use crate::authn::session::Sessions;
use crate::authn::token::{Algorithm, Issuer, KeyRing, Offered};
use crate::authn::{AuthnError, Chain};
use crate::clock::Clock;
use crate::credential::Listener;
use crate::database::{Database, DatabaseError};
use crate::events::EventSink;
use crate::id::NoRandom;
use crate::identity::{SqlStore, StoreError, UserStore};
use crate::seal::SealError;
use crate::secret::Secret;

mod authorize;
mod clients;
mod connect;
mod discovery;
mod errands;
mod flows;
mod form;
mod grants;
mod inspect;
mod keys;
mod leaving;
mod linking;
mod page;
mod relying;
mod second;
mod token;

pub use clients::{Client, ClientSettings, Clients};
pub use flows::People;
pub use grants::{CODE_S, GRANT_S, Grant, Grants, REFRESH_S};
pub use keys::{KEY_AGE_S, KeyState, KnownKey, PUBLISHED_BEFORE_S, StoredKeys};

/// Why the sign-in server did not do what it was asked.
///
/// ```
/// use policy_runtime::signin::SignInError;
/// fn is_the_callers(error: &SignInError) -> bool {
///     matches!(error, SignInError::Invalid(_))
/// }
/// # assert!(!is_the_callers(&SignInError::NoKey));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignInError {
    /// What is to be stored cannot be.
    #[error("{0}")]
    Invalid(String),
    /// The database cannot be reached.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The store of users cannot be reached.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored key cannot be opened.
    #[error("a signing key: {0}")]
    Seal(#[from] SealError),
    /// There is no key that signs, or it is damaged.
    #[error("there is no sound signing key")]
    NoKey,
    /// A token cannot be made.
    #[error(transparent)]
    Token(#[from] AuthnError),
}

impl From<NoRandom> for SignInError {
    fn from(none: NoRandom) -> Self {
        Self::Token(none.into())
    }
}

/// What is stored by the sign-in server, before anybody signs in.
///
/// ```
/// use std::sync::Arc;
/// use policy_runtime::authn::token::{Algorithm, Issuer};
/// use policy_runtime::clock::SystemClock;
/// use policy_runtime::identity::SqlStore;
/// use policy_runtime::signin::{SignInError, Stored};
///
/// async fn issuer(url: &str, store: &Arc<SqlStore>) -> Result<Issuer, SignInError> {
///     let clock = Arc::new(SystemClock);
///     let stored = Stored::of(store, clock.clone(), Algorithm::EdDsa)?;
///     stored.issuer(url, store.clone()).await
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Stored {
    /// The keys that sign.
    pub keys: StoredKeys,
    /// Who may ask for tokens.
    pub clients: Clients,
    /// What they were given.
    pub grants: Grants,
    errands: errands::Errands,
    sql: SqlStore,
    clock: Arc<dyn Clock>,
}

impl Stored {
    /// Looks into the database of a store; new keys are for `algorithm` (Ed25519, or ES256).
    ///
    /// # Errors
    /// When the store has no sealing keys.
    pub fn of(store: &SqlStore, clock: Arc<dyn Clock>, algorithm: Algorithm) -> Result<Self, SignInError> {
        let sealing = store.sealing_keys().ok_or(SealError::Unopened)?.clone();
        let database = || -> Database { store.database().clone() };
        Ok(Self {
            keys: StoredKeys::new(database(), sealing, clock.clone(), algorithm),
            clients: Clients::new(database()),
            grants: Grants::new(database(), clock.clone()),
            errands: errands::Errands::new(database(), clock.clone()),
            sql: store.clone(),
            clock,
        })
    }

    /// An issuer with these keys, which refuses tokens whose grant or client has ended.
    ///
    /// # Errors
    /// When the keys cannot be read or made.
    pub async fn issuer(&self, url: &str, users: Arc<dyn UserStore>) -> Result<Issuer, SignInError> {
        let ring: KeyRing = self.keys.ring().await?;
        let (clients, grants, sql) = (self.clients.clone(), self.grants.clone(), self.sql.clone());
        let records = grants::Records { clients, grants, sql };
        Ok(Issuer::with_keys(url, ring, self.clock.clone(), users).given_out(Arc::new(records)))
    }
}

/// The sign-in server. Cheap to clone.
///
/// ```
/// use std::sync::Arc;
/// use policy_runtime::authn::Chain;
/// use policy_runtime::authn::session::Sessions;
/// use policy_runtime::authn::token::Issuer;
/// use policy_runtime::credential::Listener;
/// use policy_runtime::events::EventSink;
/// use policy_runtime::identity::SqlStore;
/// use policy_runtime::signin::{SignIn, Stored};
///
/// /// `sessions` is also in the chain.
/// fn routes(
///     stored: Stored,
///     issuer: Issuer,
///     users: Arc<SqlStore>,
///     chain: Chain,
///     sessions: Sessions,
///     listener: Listener,
///     events: Arc<dyn EventSink>,
/// ) -> axum::Router {
///     let server = SignIn::new(stored, issuer, users, chain, events).unwrap();
///     server.keep_keys();
///     server.pages(sessions, listener).routes()
/// }
/// ```
#[derive(Debug, Clone)]
pub struct SignIn {
    inner: Arc<Inner>,
    pages: Option<Pages>,
    flows: Option<flows::Flows>,
    second_factors: Option<SecondFactors>,
}

#[derive(Debug)]
struct Inner {
    stored: Stored,
    issuer: Issuer,
    users: Arc<dyn UserStore>,
    chain: Chain,
    events: Arc<dyn EventSink>,
    /// Proves that a consent page was made here, for this browser.
    consent: Secret<[u8; 32]>,
    held: Arc<()>,
}

/// What signing in on a page takes.
#[derive(Debug, Clone)]
struct Pages {
    sessions: Sessions,
    listener: Listener,
    /// With whom people sign in instead of a password.
    providers: watch::Receiver<Arc<[Offered]>>,
}

impl SignIn {
    /// Puts the server together; `chain` checks who signs in, and `issuer` comes of [`Stored::issuer`].
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn new(
        stored: Stored,
        issuer: Issuer,
        users: Arc<dyn UserStore>,
        chain: Chain,
        events: Arc<dyn EventSink>,
    ) -> Result<Self, SignInError> {
        let mut consent = [0; 32];
        getrandom::fill(&mut consent).map_err(|_| NoRandom)?;
        let consent = Secret::new(consent);
        let inner = Inner { stored, issuer, users, chain, events, consent, held: Arc::new(()) };
        Ok(Self { inner: Arc::new(inner), pages: None, flows: None, second_factors: None })
    }

    /// Lets people sign in on a page, and stay signed in by a cookie; without it, clients act for themselves alone.
    #[must_use]
    pub fn pages(mut self, sessions: Sessions, listener: Listener) -> Self {
        self.pages = Some(Pages { sessions, listener, providers: watch::channel([].into()).1 });
        self
    }

    /// Lets people sign in with providers, too, those that are offered at the time; of use after [`SignIn::pages`] alone.
    #[must_use]
    pub(crate) fn providers(mut self, offered: watch::Receiver<Arc<[Offered]>>) -> Self {
        if let Some(pages) = &mut self.pages {
            pages.providers = offered;
        }
        self
    }

    /// Lets people register, forget their passwords and accept invitations; of use beside [`SignIn::pages`] alone.
    #[must_use]
    pub fn people(mut self, people: People, passwords: Passwords) -> Self {
        self.flows = Some(flows::Flows::new(people, passwords));
        self
    }

    /// Follows what administrators say at run time of who registers; of use after [`SignIn::people`] alone.
    #[cfg(feature = "server")]
    #[must_use]
    pub(crate) fn following(
        mut self,
        said: watch::Receiver<Arc<BTreeMap<policy_core::Scope, crate::identity::SignInRules>>>,
    ) -> Self {
        if let Some(flows) = &mut self.flows {
            flows.said = said;
        }
        self
    }

    /// Asks for second factors, which are in the chain, too.
    #[must_use]
    pub fn second_factors(mut self, second_factors: SecondFactors) -> Self {
        self.second_factors = Some(second_factors);
        self
    }

    /// The `OpenAPI` 3.1 document of what people do around signing in.
    pub fn openapi() -> serde_json::Value {
        flows::json::openapi()
    }

    /// Follows the keys in the database, for as long as this is held.
    pub fn keep_keys(&self) {
        let inner = &self.inner;
        tokio::spawn(inner.stored.keys.clone().follow(Arc::downgrade(&inner.held), inner.issuer.clone()));
    }

    /// What is stored.
    pub fn stored(&self) -> &Stored {
        &self.inner.stored
    }

    /// The routes, for the gateway or a server of one's own.
    pub fn routes(&self) -> Router {
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery::discovery))
            .route("/.well-known/oauth-authorization-server", get(discovery::discovery))
            .route("/.well-known/jwks.json", get(discovery::keys))
            .route("/api/auth/oauth/token", post(token::token))
            .route("/api/auth/oauth/introspect", post(inspect::introspect))
            .route("/api/auth/oauth/revoke", post(inspect::revoke))
            .route("/api/auth/oauth/userinfo", get(inspect::user_info).post(inspect::user_info));
        let router = match &self.pages {
            None => router,
            Some(_) => router
                .route("/api/auth/oauth/authorize", get(authorize::ask).post(authorize::answer))
                .merge(relying::routes())
                .merge(leaving::routes()),
        };
        let router = match (&self.pages, &self.flows) {
            (Some(_), Some(_)) => router.merge(flows::json::router()).merge(flows::pages::router()),
            _ => router,
        };
        router.with_state(self.clone())
    }
}

#[cfg(test)]
mod tests;
