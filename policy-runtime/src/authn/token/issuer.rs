//! Tokens of our own: access tokens for users of the store, and connect tickets that are good once.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use policy_core::Participant;
use policy_core::value::Millis;
use serde_json::{Value, json};

use super::jws::{Algorithm, Unverified};
use super::rules::{TokenRules, VerifiedToken};
use super::signing::{KeyRing, SigningKey};
use crate::authn::{Authenticated, Authenticator, AuthnCode, AuthnError, BoxFuture, Outcome};
use crate::clock::{Clock, Moment};
use crate::credential::{Credential, Credentials};
use crate::id::random_id;
use crate::identity::{Directory, Stored, User, UserStore};
use crate::secret::Secret;

/// The life of an access token when nothing else is said, in seconds.
pub const ACCESS_TOKEN_S: u32 = 15 * 60;
/// The life of a connect ticket, in seconds.
pub const TICKET_S: u32 = 60;
/// The longest life of any token of our own, in seconds.
pub const LONGEST_TOKEN_S: u32 = 24 * 3_600;

const ACCESS_KIND: &str = "at+jwt";
const TICKET_KIND: &str = "ticket+jwt";
/// Where connections are opened; the path of what does not come over HTTP is empty.
const CONNECTIONS: [&str; 2] = ["/v1", ""];
#[cfg(feature = "signin")]
const ID_KIND: &str = "JWT";

/// What was given out to clients, as it stands now; asked about each token that names one.
///
/// ```
/// use policy_runtime::authn::BoxFuture;
/// use policy_runtime::authn::token::GivenOut;
/// use policy_runtime::identity::Stored;
///
/// /// Nothing was.
/// #[derive(Debug)]
/// struct Nothing;
///
/// impl GivenOut for Nothing {
///     fn is_live<'a>(&'a self, _: &'a str) -> Stored<'a, bool> {
///         Box::pin(async { Ok(false) })
///     }
///
///     fn client<'a>(&'a self, _: &'a str) -> Stored<'a, Option<policy_runtime::Participant>> {
///         Box::pin(async { Ok(None) })
///     }
/// }
/// ```
pub trait GivenOut: fmt::Debug + Send + Sync {
    /// Whether a grant goes on.
    fn is_live<'a>(&'a self, grant: &'a str) -> Stored<'a, bool>;

    /// Who a client is that acts for itself; `None` once it may not.
    fn client<'a>(&'a self, id: &'a str) -> Stored<'a, Option<Participant>>;

    /// Who goes on in a session of a user; `None` once it is over, and where none are known.
    fn session<'a>(&'a self, user: &'a str, id: &'a str) -> Stored<'a, Option<Authenticated>> {
        let _ = (user, id);
        Box::pin(async { Ok(None) })
    }
}

/// Signs tokens of our own (Ed25519 or ES256) and knows them again.
///
/// An access token names a user of the store; roles and attributes are read from the store at each sign-in, so a change
/// counts at once. A ticket opens one connection within 60 seconds and has an audience of its own, so that neither passes
/// for the other; the connection lives as long as the token that the ticket was bought with.
///
/// ```
/// use std::sync::Arc;
/// use policy_core::Scope;
/// use policy_runtime::authn::token::Issuer;
/// use policy_runtime::clock::FixedClock;
/// use policy_runtime::identity::{MemoryStore, NewUser};
/// let store = Arc::new(MemoryStore::default());
/// store.create_organization("acme").unwrap();
/// let alice = store.create_user(NewUser::new(Scope::organization("acme").unwrap(), "alice@example.com")).unwrap();
/// let issuer = Issuer::generate("https://policy.example", Arc::new(FixedClock::at(0)), store).unwrap();
/// let token = issuer.access_token(&alice, &["pwd"]).unwrap();
/// assert!(token.expose().starts_with("ey"));
/// ```
#[derive(Clone)]
pub struct Issuer {
    inner: Arc<Inner>,
    /// Where single use is noted so that it holds across servers.
    shared: Option<Arc<dyn Directory>>,
    given_out: Option<Arc<dyn GivenOut>>,
}

struct Inner {
    url: String,
    ring: RwLock<Arc<KeyRing>>,
    access: TokenRules,
    tickets: TokenRules,
    /// As `access`, for whomever the token is meant, and no longer than it says.
    #[cfg(feature = "signin")]
    inspected: TokenRules,
    clock: Arc<dyn Clock>,
    users: Arc<dyn UserStore>,
    used: Mutex<BTreeMap<String, Millis>>,
    begun: Moment,
}

/// How long a ticket's id is remembered past its end: longer than the leeway within which it would still verify.
const PAST_END_MS: i64 = 120_000;

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kid = self.ring().active.kid().to_owned();
        f.debug_struct("Issuer").field("url", &self.inner.url).field("kid", &kid).finish_non_exhaustive()
    }
}

impl Issuer {
    /// Makes an issuer with a fresh key, which ends with the process.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn generate(url: &str, clock: Arc<dyn Clock>, users: Arc<dyn UserStore>) -> Result<Self, AuthnError> {
        let ring = KeyRing::new(SigningKey::generate(Algorithm::EdDsa)?, &[])?;
        Ok(Self::with_keys(url, ring, clock, users))
    }

    /// Makes an issuer with keys that are kept elsewhere.
    ///
    /// ```no_run
    /// use std::sync::Arc;
    /// use policy_runtime::authn::token::Issuer;
    ///
    /// fn sign(issuer: &Issuer, user: &policy_runtime::identity::User, holder: &policy_runtime::authn::Authenticated) {
    ///     let short = issuer.access_token_for(user, &["pwd"], 60).unwrap();
    ///     let ticket = issuer.ticket(holder).unwrap();
    ///     assert_ne!(short.expose(), ticket.expose());
    /// }
    /// # let _ = Issuer::with_keys;
    /// ```
    pub fn with_keys(url: &str, ring: KeyRing, clock: Arc<dyn Clock>, users: Arc<dyn UserStore>) -> Self {
        let rules = |audience: String| TokenRules::new(url, audience).algorithms([Algorithm::EdDsa, Algorithm::Es256]);
        let access = rules(url.to_owned()).kind(ACCESS_KIND).max_lifetime_s(LONGEST_TOKEN_S);
        Self {
            inner: Arc::new(Inner {
                ring: RwLock::new(Arc::new(ring)),
                #[cfg(feature = "signin")]
                inspected: access.clone().any_audience().leeway_s(0),
                access,
                tickets: rules(format!("{url}#connect")).kind(TICKET_KIND).max_lifetime_s(TICKET_S).leeway_s(5),
                url: url.to_owned(),
                begun: Moment::of(&*clock),
                clock,
                users,
                used: Mutex::default(),
            }),
            shared: None,
            given_out: None,
        }
    }

    /// Goes on with other keys, in all clones of this issuer.
    ///
    /// ```
    /// use policy_runtime::authn::token::{Issuer, KeyRing};
    /// fn rotated(issuer: &Issuer, ring: KeyRing) {
    ///     let published = ring.published().to_owned();
    ///     issuer.replace_keys(ring);
    ///     assert_eq!(issuer.key_set(), published);
    /// }
    /// ```
    pub fn replace_keys(&self, ring: KeyRing) {
        *self.inner.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ring);
    }

    /// The keys as they are now.
    fn ring(&self) -> Arc<KeyRing> {
        self.inner.ring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks about the grants and clients that tokens name; without it, such tokens are refused.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use policy_runtime::authn::token::{GivenOut, Issuer};
    /// fn asking(issuer: Issuer, records: Arc<dyn GivenOut>) -> Issuer {
    ///     issuer.given_out(records)
    /// }
    /// ```
    #[must_use]
    pub fn given_out(mut self, records: Arc<dyn GivenOut>) -> Self {
        self.given_out = Some(records);
        self
    }

    /// The issuer's name, which its tokens carry as `iss`.
    pub fn url(&self) -> &str {
        &self.inner.url
    }

    /// Notes the single use of tickets in a store that several servers share.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use policy_runtime::authn::token::Issuer;
    /// use policy_runtime::identity::Directory;
    /// fn shared(issuer: Issuer, store: Arc<dyn Directory>) -> Issuer {
    ///     issuer.single_use_in(store)
    /// }
    /// ```
    #[must_use]
    pub fn single_use_in(mut self, store: Arc<dyn Directory>) -> Self {
        self.shared = Some(store);
        self
    }

    /// The public keys as a JWKS document, for others that verify these tokens.
    pub fn key_set(&self) -> String {
        self.ring().published().to_owned()
    }

    /// Signs an access token of 15 minutes.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn access_token(&self, user: &User, amr: &[&str]) -> Result<Secret<String>, AuthnError> {
        self.access_token_for(user, amr, ACCESS_TOKEN_S)
    }

    /// Signs an access token of a given life, in seconds (a day at most).
    ///
    /// # Errors
    /// As [`Issuer::access_token`].
    pub fn access_token_for(&self, user: &User, amr: &[&str], life_s: u32) -> Result<Secret<String>, AuthnError> {
        let life = life_s.min(LONGEST_TOKEN_S);
        let now = self.now_s();
        Ok(self.sign(
            ACCESS_KIND,
            &json!({
                "iss": self.inner.url, "aud": self.inner.url, "sub": user.id, "iat": now, "exp": now + i64::from(life),
                "jti": random_id()?, "scp": user.scope.to_string(), "amr": amr,
            }),
        ))
    }

    /// Signs a ticket for somebody who is signed in; it opens one connection, which ends when that sign-in, or its session, does.
    ///
    /// # Errors
    /// As [`Issuer::access_token`].
    pub fn ticket(&self, holder: &Authenticated) -> Result<Secret<String>, AuthnError> {
        let now = self.now_s();
        let session_ends = holder.expiry().map(|at| at.0.div_euclid(1_000));
        let ends = session_ends.map_or(now + i64::from(TICKET_S), |end| end.min(now + i64::from(TICKET_S)));
        let participant = holder.participant();
        Ok(self.sign(
            TICKET_KIND,
            &json!({
                "iss": self.inner.url, "aud": format!("{}#connect", self.inner.url), "sub": participant.id(),
                "iat": now, "exp": ends, "jti": random_id()?, "scp": participant.scope().to_string(),
                "amr": holder.proofs(), "session_exp": session_ends, "session": holder.session().map(|id| &**id),
            }),
        ))
    }

    fn now_s(&self) -> i64 {
        self.inner.clock.now().0.div_euclid(1_000)
    }

    fn sign(&self, kind: &str, claims: &Value) -> Secret<String> {
        self.ring().active.sign(kind, claims)
    }

    /// Signs the claims of an access token that a client gets.
    #[cfg(feature = "signin")]
    pub(crate) fn sign_access(&self, claims: &Value) -> Secret<String> {
        self.sign(ACCESS_KIND, claims)
    }

    /// Signs the claims of an ID token, which are made once it is known how they will be signed.
    #[cfg(feature = "signin")]
    pub(crate) fn sign_id(&self, claims: impl FnOnce(Algorithm) -> Value) -> Secret<String> {
        let ring = self.ring();
        ring.active.sign(ID_KIND, &claims(ring.active.algorithm()))
    }

    /// Reads an access token of our own, for whomever it is meant; whether its grant goes on was not asked.
    #[cfg(feature = "signin")]
    pub(crate) fn inspect(&self, token: &str) -> Result<VerifiedToken, AuthnError> {
        super::verify(token, &self.inner.inspected, &self.ring().verifying, self.inner.clock.now())
    }

    /// Signs what a server without the database is given.
    #[cfg(feature = "admin")]
    pub(crate) fn sign_sets(&self, scope: &policy_core::Scope, nonce: &str, hash: &str) -> Secret<String> {
        use crate::sets::bundle::{STATEMENT_KIND, STATEMENT_S, audience};
        let (url, now) = (&self.inner.url, self.now_s());
        let claims = json!({
            "iss": url, "aud": audience(url), "sub": scope.to_string(), "iat": now, "exp": now + i64::from(STATEMENT_S),
            "nonce": nonce, "hash": hash,
        });
        self.sign(STATEMENT_KIND, &claims)
    }

    /// Reads an ID token of our own that comes back as a hint, over or not.
    #[cfg(feature = "signin")]
    pub(crate) fn hinted(&self, token: &str) -> Result<VerifiedToken, AuthnError> {
        let rules = TokenRules::new(&*self.inner.url, "").any_audience().kind(ID_KIND).leeway_s(u16::MAX);
        super::verify(token, &rules, &self.ring().verifying, self.inner.clock.now())
    }

    async fn check(&self, token: Unverified<'_>) -> Result<Authenticated, AuthnError> {
        let inner = &self.inner;
        let is_ticket = token.typ.as_deref() == Some(TICKET_KIND);
        let rules = if is_ticket { &inner.tickets } else { &inner.access };
        rules.check_header(&token)?;
        self.ring().verifying.verify(&token)?;
        let verified = rules.check_claims(token.claims, inner.clock.now())?;
        if is_ticket {
            self.use_once(&verified).await?;
            if let Some(session) = verified.claims().get("session").and_then(super::Json::as_text) {
                return self.in_session(&verified, session).await;
            }
        }
        let (participant, epoch) = self.holder(&verified).await?;
        let amr = verified.claims().get("amr").and_then(super::Json::as_list).unwrap_or_default();
        let amr: Vec<&str> = amr.iter().filter_map(super::Json::as_text).collect();
        let session_ends = verified.claims().get("session_exp").and_then(super::Json::as_long);
        let ends = match (is_ticket, session_ends) {
            (true, Some(end)) => Millis(end.saturating_mul(1_000)),
            _ => verified.expires_at(),
        };
        Ok(Authenticated::new(participant, "token").expires_at(ends).epoch(epoch).amr(amr))
    }

    /// Who goes on by a ticket in the session that it came from.
    async fn in_session(&self, ticket: &VerifiedToken, session: &str) -> Result<Authenticated, AuthnError> {
        let ended = || AuthnError::new(AuthnCode::SessionEnded, "the session of the ticket has ended");
        let found = match &self.given_out {
            Some(records) => records.session(ticket.subject().as_text(), session).await,
            None => Ok(None),
        };
        let found = found.map_err(|error| AuthnError::new(AuthnCode::Unavailable, error.to_string()))?;
        let scope = ticket.claims().get("scp").and_then(super::Json::as_text);
        found.filter(|found| scope == Some(&found.participant().scope().to_string())).ok_or_else(ended)
    }

    /// Who holds a token, as the store has them now, and their epoch.
    async fn holder(&self, token: &VerifiedToken) -> Result<(Participant, u64), AuthnError> {
        let unavailable =
            |error: crate::identity::StoreError| AuthnError::new(AuthnCode::Unavailable, error.to_string());
        let refused = |detail| AuthnError::new(AuthnCode::WrongCredentials, detail);
        let text = |name: &str| token.claims().get(name).and_then(super::Json::as_text);
        if token.is_machine() || token.claims().get("sid").is_some() {
            let records = self.given_out.as_ref().ok_or_else(|| refused("no grants are known here"))?;
            if token.is_machine() {
                let client = records.client(token.subject().as_text()).await.map_err(unavailable)?;
                let client = client.filter(|client| text("scp") == Some(&client.scope().to_string()));
                return Ok((client.ok_or_else(|| refused("the token's client may not act for itself"))?, 0));
            }
            let grant = text("sid").ok_or_else(|| refused("the token's grant has no name"))?;
            if !records.is_live(grant).await.map_err(unavailable)? {
                return Err(refused("the token's grant has ended"));
            }
        }
        let user = self.inner.users.user(token.subject().as_text()).await.map_err(unavailable)?;
        let user = user.ok_or_else(|| refused("the token's user is gone"))?;
        if !user.enabled || text("scp") != Some(&user.scope.to_string()) {
            return Err(refused("the token's user may not sign in").concerning(&user.id, &user.scope));
        }
        let amr = token.claims().get("amr").and_then(super::Json::as_list).unwrap_or_default();
        let mfa = amr.iter().any(|proof| proof.as_text() == Some("mfa"));
        Ok((user.participant().auth_type("token").mfa(mfa).build(), user.epoch))
    }

    /// Notes the ticket's id until it would have ended anyway.
    async fn use_once(&self, ticket: &VerifiedToken) -> Result<(), AuthnError> {
        let id = ticket.claims().get("jti").and_then(super::Json::as_text);
        let id = id.ok_or_else(|| AuthnError::new(AuthnCode::TokenClaim, "the ticket has no id"))?;
        let over = self.inner.begun.over(&*self.inner.clock);
        let until = Millis(ticket.expires_at().0.saturating_add(PAST_END_MS));
        let replayed = || AuthnError::new(AuthnCode::TokenReplayed, "the ticket was used before");
        if let Some(store) = &self.shared {
            let first = store.use_once(id, until, over).await;
            let first = first.map_err(|error| AuthnError::new(AuthnCode::Unavailable, error.to_string()))?;
            return if first { Ok(()) } else { Err(replayed()) };
        }
        let mut used = self.inner.used.lock().unwrap_or_else(PoisonError::into_inner);
        // Kept past the end by the leeway, within which the ticket would still verify.
        used.retain(|_, until| *until >= over);
        if used.insert(id.to_owned(), until).is_none() { Ok(()) } else { Err(replayed()) }
    }
}

impl Authenticator for Issuer {
    fn method(&self) -> &'static str {
        "token"
    }

    fn authenticate<'a>(&'a self, credential: &'a Credential, request: &'a Credentials) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let Credential::Bearer(token) = credential else { return Outcome::NotPresented };
            // Only a token that names us is ours to judge; one of another issuer may be known to somebody else.
            let Ok(token) = Unverified::parse(token.expose(), super::MAX_TOKEN) else { return Outcome::NotPresented };
            if !self.inner.access.issued_here(&token.claims) {
                return Outcome::NotPresented;
            }
            if token.typ.as_deref() == Some(TICKET_KIND) && !CONNECTIONS.contains(&&*request.facts().path) {
                return AuthnError::new(AuthnCode::TokenAudience, "a ticket opens a connection, and nothing else")
                    .into();
            }
            match self.check(token).await {
                Ok(found) => Outcome::Authenticated(Box::new(found)),
                Err(error) => Outcome::Rejected(error),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use policy_core::Scope;

    use super::super::KeySet;
    use super::*;
    use crate::authn::Chain;
    use crate::clock::FixedClock;
    use crate::identity::{MemoryStore, NewUser};

    const NOW: i64 = 1_795_311_717_000;

    struct Fixture {
        clock: FixedClock,
        store: Arc<MemoryStore>,
        user: User,
        issuer: Issuer,
        chain: Chain,
    }

    fn fixture() -> Fixture {
        let clock = FixedClock::at(NOW);
        let store = Arc::new(MemoryStore::default());
        store.create_organization("acme").unwrap();
        store.create_application("acme", "orders").unwrap();
        let orders = Scope::application("acme", "orders").unwrap();
        let user = store.create_user(NewUser::new(orders, "alice@example.com").role("finance")).unwrap();
        let issuer = Issuer::generate("https://policy.example", Arc::new(clock.clone()), store.clone()).unwrap();
        let chain = Chain::builder().with(issuer.clone()).build();
        Fixture { clock, store, user, issuer, chain }
    }

    async fn present(chain: &Chain, token: &Secret<String>) -> Result<Authenticated, AuthnCode> {
        match chain.authenticate(&Credentials::of(Credential::Bearer(token.clone()))).await {
            Outcome::Authenticated(found) => Ok(*found),
            Outcome::Rejected(error) => Err(error.code()),
            Outcome::NotPresented => Err(AuthnCode::Unrecognised),
        }
    }

    #[tokio::test]
    async fn an_access_token_reads_the_store_each_time() {
        let f = fixture();
        let token = f.issuer.access_token(&f.user, &["pwd"]).unwrap();
        let found = present(&f.chain, &token).await.unwrap();
        assert_eq!(found.participant().id(), f.user.id);
        assert_eq!((found.proofs(), found.expiry()), (&["pwd".to_owned()][..], Some(Millis(NOW + 900_000))));
        f.store
            .update_user(&f.user.id, |user| {
                user.roles.insert("admin".into());
            })
            .unwrap();
        let found = present(&f.chain, &token).await.unwrap();
        assert_eq!(found.participant().roles(), ["admin".into(), "finance".into()]);
        f.store.update_user(&f.user.id, |user| user.enabled = false).unwrap();
        assert_eq!(present(&f.chain, &token).await.unwrap_err(), AuthnCode::WrongCredentials);
        f.store.update_user(&f.user.id, |user| user.enabled = true).unwrap();
        f.clock.advance(900_000 + 60_000);
        assert_eq!(present(&f.chain, &token).await.unwrap_err(), AuthnCode::TokenExpired);
    }

    #[tokio::test]
    async fn a_ticket_opens_one_connection_that_lives_as_long_as_the_sign_in() {
        let f = fixture();
        let token = f.issuer.access_token(&f.user, &["pwd"]).unwrap();
        let signed_in = present(&f.chain, &token).await.unwrap();
        let ticket = f.issuer.ticket(&signed_in).unwrap();
        let connection = present(&f.chain, &ticket).await.unwrap();
        assert_eq!(connection.expiry(), signed_in.expiry());
        assert_eq!(present(&f.chain, &ticket).await.unwrap_err(), AuthnCode::TokenReplayed);
        let late = f.issuer.ticket(&signed_in).unwrap();
        f.clock.advance(66_000);
        assert_eq!(present(&f.chain, &late).await.unwrap_err(), AuthnCode::TokenExpired);
        assert_eq!(present(&f.chain, &ticket).await.unwrap_err(), AuthnCode::TokenExpired);
    }

    #[tokio::test]
    async fn another_key_and_another_kind_are_refused() {
        let f = fixture();
        let other = Issuer::generate("https://policy.example", Arc::new(f.clock.clone()), f.store.clone()).unwrap();
        let foreign = other.access_token(&f.user, &[]).unwrap();
        assert_eq!(present(&f.chain, &foreign).await.unwrap_err(), AuthnCode::TokenKey);
        // A ticket whose kind is rewritten is no access token: the signature covers the header.
        let claims = json!({
            "iss": "https://policy.example", "aud": "https://policy.example#connect", "sub": f.user.id,
            "iat": NOW / 1000, "exp": NOW / 1000 + 60, "jti": "x", "scp": "app:acme/orders",
        });
        let confused = f.issuer.sign(ACCESS_KIND, &claims);
        assert_eq!(present(&f.chain, &confused).await.unwrap_err(), AuthnCode::TokenAudience);
        assert!(!format!("{:?}", f.issuer).contains("key:"));
    }

    #[tokio::test]
    async fn others_verify_by_the_published_key() {
        let f = fixture();
        let token = f.issuer.access_token(&f.user, &["pwd"]).unwrap();
        let keys = KeySet::parse(f.issuer.key_set().as_bytes()).unwrap();
        let rules = TokenRules::new("https://policy.example", "https://policy.example").access_tokens_only();
        let found = super::super::verify(token.expose(), &rules, &keys, Millis(NOW)).unwrap();
        assert_eq!(found.subject().as_text(), f.user.id);
    }
}
