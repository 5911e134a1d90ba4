//! What people do around signing in: register, found an organization, accept an invitation, forget and change a password, look
//! after their profile and their second factor.
//!
//! ```text
//! JSON, or a form of a page ─► flow ─► a letter with a link ─► flow ─► the link is used and its work done, in one transaction
//! ```
//!
//! Whoever asks about an address learns nothing of it: the answer is the same and so is the work, and the letter goes out after
//! it. Nobody becomes a user before the address is proved, and whoever proves it chooses the password, not whoever typed the
//! address in. Absent: SQL, and what is on the pages.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use policy_core::Scope;
use tokio::sync::{Semaphore, watch};

use super::clients::{digest, fresh_secret};
use super::{SignIn, SignInError};
use crate::authn::password::{PasswordError, Passwords};
use crate::authn::{Authenticated, AuthnError, Outcome};
use crate::credential::{Credential, Credentials, LoginForm, RequestedScope};
use crate::edge::{Arrival, Limiter, Origins, Rate, Rates};
use crate::events::{Actor, Event, EventKind};
use crate::identity::link::{Link, NewLink, Purpose};
use crate::identity::{EmailKey, PeopleRules, Registering, Registration, SignInRules, StoreError, User};
use crate::mail::{Letter, Mails};
use crate::secret::Secret;

mod account;
mod join;
pub(super) mod json;
pub(super) mod pages;
mod password;

pub(super) use join::hash_of;

/// How many letters may be on their way at once.
const LETTERS: usize = 64;
/// How often these may be asked for from one address: so many at once, and one a second after that.
const RATE: Rate = Rate::new(30, 1);

/// What people may do by themselves.
///
/// ```
/// use policy_runtime::edge::Origins;
/// use policy_runtime::identity::{PeopleRules, Registration};
/// use policy_runtime::mail::Mails;
/// use policy_runtime::signin::People;
/// use policy_runtime::Scope;
///
/// let shop = Scope::application("acme", "shop")?;
/// let rules = PeopleRules { registration: Some(Registration::default()), ..PeopleRules::default() };
/// let people = People { rules: [(shop, rules)].into(), ..People::default() };
/// assert!(!people.founding, "nobody founds an organization unless it is said");
/// # Ok::<(), policy_core::name::NameError>(())
/// ```
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "settings; written with `..People::default()`")]
pub struct People {
    /// Who sends letters; without anybody, whatever takes a letter is refused.
    pub mails: Mails,
    /// The rules of each scope.
    pub rules: BTreeMap<Scope, PeopleRules>,
    /// Whether a stranger may found an organization.
    pub founding: bool,
    /// Applications of one organization in each of which a session of another counts.
    pub shared_sign_in: Vec<BTreeSet<Scope>>,
    /// Pages of other origins that may ask.
    pub origins: Origins,
    /// Whether it is counted how often somebody asks.
    pub limited: bool,
}

impl Default for People {
    fn default() -> Self {
        Self {
            mails: Mails::default(),
            rules: BTreeMap::new(),
            founding: false,
            shared_sign_in: Vec::new(),
            origins: Origins::default(),
            limited: true,
        }
    }
}

/// What the flows work with.
#[derive(Debug, Clone)]
pub(super) struct Flows {
    pub(super) people: Arc<People>,
    /// What administrators have said at run time.
    pub(super) said: watch::Receiver<Arc<BTreeMap<Scope, SignInRules>>>,
    passwords: Passwords,
    limiter: Arc<Limiter>,
    letters: Arc<Semaphore>,
}

impl Flows {
    pub(super) fn new(people: People, passwords: Passwords) -> Self {
        let rates = Rates { requests: people.limited.then_some(RATE), ..Rates::UNLIMITED };
        Self {
            people: Arc::new(people),
            said: watch::channel(Arc::default()).1,
            passwords,
            limiter: Arc::new(Limiter::new(&rates)),
            letters: Arc::new(Semaphore::new(LETTERS)),
        }
    }

    /// What whoever registers in a scope is; `None` where nobody does.
    pub(super) fn registration(&self, scope: &Scope) -> Option<Registration> {
        let said = self.said.borrow().get(scope).map(|rules| rules.registration.clone());
        match said.unwrap_or_default() {
            Registering::AsConfigured => self.people.rules.get(scope)?.registration.clone(),
            Registering::Closed => None,
            Registering::Open(registration) => Some(registration),
        }
    }

    /// Whether strangers may register in a scope, and whether letters are sent there.
    pub(super) fn offers(&self, scope: &Scope) -> (bool, bool) {
        let registers = self.registration(scope).is_some();
        let mails = self.people.mails.of(scope).is_some();
        (registers && mails, mails)
    }
}

/// Why somebody does not get on.
#[derive(Debug)]
pub(super) enum No {
    /// They are told so.
    Told(StatusCode, String),
    /// They are told to wait so many seconds.
    Wait(u64),
    /// What they showed is right, and a second factor is needed, too.
    SecondFactor(AuthnError),
    /// Something of ours failed.
    Unavailable(SignInError),
}

impl<E: Into<SignInError>> From<E> for No {
    fn from(error: E) -> Self {
        Self::Unavailable(error.into())
    }
}

/// A refusal with its reason.
pub(super) fn no<T>(status: StatusCode, why: &str) -> Result<T, No> {
    Err(No::Told(status, why.to_owned()))
}

const BAD_LINK: &str = "the link is no longer good";
const WRONG: &str = "Invalid credentials";

fn bad_link<T>() -> Result<T, No> {
    no(StatusCode::BAD_REQUEST, BAD_LINK)
}

/// The address as it is compared.
fn address(text: &str) -> Result<EmailKey, No> {
    EmailKey::new(text).or_else(|_| no(StatusCode::BAD_REQUEST, "email is required"))
}

/// A name to show, if it is one line that fits on a page.
pub(super) fn name(text: Option<&str>) -> Result<Option<String>, No> {
    match text.map(str::trim).filter(|text| !text.is_empty()) {
        Some(text) if text.chars().count() > 100 || text.chars().any(char::is_control) => {
            no(StatusCode::BAD_REQUEST, "a name is one line of 100 characters at most")
        }
        text => Ok(text.map(str::to_owned)),
    }
}

/// Where a request comes from, and with which headers.
#[derive(Debug)]
pub(super) struct Whence {
    pub(super) arrival: Arrival,
    pub(super) headers: HeaderMap,
    pub(super) path: String,
}

impl Whence {
    pub(super) fn actor(&self, user: &User) -> Actor {
        Actor::new(Some(&user.id), Some(&user.scope)).from_address(Some(self.arrival.address))
    }
}

impl Flows {
    /// Refuses what comes from a page of somebody else, or too often.
    pub(super) fn admit(&self, from: &Whence) -> Result<(), No> {
        if !self.people.origins.admit_upgrade(&from.headers, from.arrival.secure) {
            return no(StatusCode::FORBIDDEN, "the request must come from this site");
        }
        self.limiter.request(from.arrival.address).map_err(|often| No::Wait(often.wait().as_secs() + 1))
    }
}

impl SignIn {
    /// The scope that the path names, or the headers, or the listener's.
    pub(super) async fn scope(&self, named: Option<(String, String)>, from: &Whence) -> Result<Scope, No> {
        let unknown = || No::Told(StatusCode::BAD_REQUEST, "no such scope is known here".to_owned());
        if let Some((organization, application)) = named {
            return Scope::application(&organization, &application).map_err(|_| unknown());
        }
        let listener = self.pages.as_ref().ok_or_else(unknown)?.listener.clone();
        let has_system = listener.system;
        let credentials = Credentials::from_headers(&from.headers, None).map_err(|_| unknown())?;
        let found = match credentials.on(listener).effective_scope() {
            RequestedScope::Exactly(scope) => Some(scope),
            RequestedScope::Application(id) => self.inner.users.scope_of_application(&id).await?,
            RequestedScope::Unnamed => None,
        };
        found.filter(|scope| *scope != Scope::System || has_system).ok_or_else(unknown)
    }

    /// Makes a link, and sends it in a letter that `text` writes, without letting anybody wait for it, who could tell by the time
    /// that it was sent. Nothing is sent while an earlier one is fresh, nor where there is nobody to send it to.
    async fn post(
        &self,
        flows: &Flows,
        link: Link,
        to: Option<String>,
        subject: &'static str,
        text: impl FnOnce(&Secret<String>) -> String,
    ) -> Result<(), No> {
        let mailer = flows.people.mails.of(&link.scope).cloned();
        let Some(mailer) = mailer else {
            tracing::error!(target: "policy::signin", scope = %link.scope, "no mail is set up, and this takes a letter");
            return no(StatusCode::SERVICE_UNAVAILABLE, "no mail is set up here, and this takes a letter");
        };
        let email = address(&link.email)?;
        let (token, hash) = fresh_secret("")?;
        let text = Secret::new(text(&token));
        let store = self.inner.stored.sql.clone();
        let new = NewLink { link: &link, email: &email, hash: &hash, now: self.inner.stored.clock.now() };
        let is_made = store.offer_link(new).await?;
        let (Some(to), true) = (to, is_made) else { return Ok(()) };
        let permit = flows.letters.clone().try_acquire_owned();
        tokio::spawn(async move {
            let sent = match (permit, Letter::new(&to, subject, text)) {
                (Ok(_permit), Ok(letter)) => mailer.send(&letter).await.map_err(|error| error.to_string()),
                (Err(_), _) => Err("too many letters are on their way".to_owned()),
                (_, Err(error)) => Err(error.to_string()),
            };
            if let Err(error) = sent {
                tracing::warn!(target: "policy::signin", scope = %link.scope, error, "a letter was not sent");
                if let Err(error) = store.drop_link(&hash).await {
                    tracing::warn!(target: "policy::signin", %error, "its link is kept");
                }
            }
        });
        Ok(())
    }

    /// The address of a page with a link's token.
    fn page_of(&self, page: &str, token: &Secret<String>) -> String {
        format!("{}/auth/{page}?token={}", self.inner.issuer.url(), token.expose())
    }

    /// Looks at a link without using it.
    pub(super) async fn link(&self, purpose: Purpose, token: &str) -> Result<Option<Link>, No> {
        let now = self.inner.stored.clock.now();
        Ok(self.inner.stored.sql.link(purpose, &digest(token), now).await?)
    }

    /// Hashes a password that the rules of its scope let somebody have.
    async fn hashed(
        &self,
        flows: &Flows,
        scope: &Scope,
        password: &Secret<String>,
        known: &[&str],
    ) -> Result<Secret<String>, No> {
        match flows.passwords.hash_for(scope, password.clone(), known).await {
            Ok(hash) => Ok(hash),
            Err(PasswordError::Weak(weakness)) => no(StatusCode::UNPROCESSABLE_ENTITY, &weakness.to_string()),
            Err(PasswordError::Store(error)) => Err(error.into()),
            Err(error @ PasswordError::Hash(_)) => Err(StoreError::Unavailable(error.to_string()).into()),
        }
    }

    /// Signs a user in by password, as at the front door: by the chain, with its throttle, its hook and its second factor.
    pub(super) async fn by_password(
        &self,
        user: &User,
        password: &Secret<String>,
        code: Option<&Secret<String>>,
        from: &Whence,
    ) -> Result<Box<Authenticated>, No> {
        let wrong = || No::Told(StatusCode::UNAUTHORIZED, WRONG.to_owned());
        let (Some(pages), Some(email)) = (&self.pages, &user.email) else { return Err(wrong()) };
        let credential =
            Credential::Login { name: email.clone(), passcode: password.clone(), form: LoginForm::Passcode };
        let mut credentials = Credentials::of(credential)
            .in_scope(user.scope.clone())
            .from_peer(from.arrival.address)
            .at("POST", &from.path)
            .on(pages.listener.clone());
        if let Some(code) = code {
            credentials = credentials.with_second_factor(code.clone());
        }
        match self.inner.chain.authenticate(&credentials).await {
            Outcome::Authenticated(found) if found.participant().id() == user.id => Ok(found),
            Outcome::Rejected(error) => Err(refused(error)),
            Outcome::Authenticated(_) | Outcome::NotPresented => Err(wrong()),
        }
    }

    /// Whoever is signed in, by cookie or token, as the store has them now.
    pub(super) async fn signed_in_user(&self, from: &Whence) -> Result<(User, Box<Authenticated>), No> {
        let signed_out = || No::Told(StatusCode::UNAUTHORIZED, WRONG.to_owned());
        let pages = self.pages.as_ref().ok_or_else(signed_out)?;
        let credentials = Credentials::from_headers(&from.headers, Some(from.arrival.address));
        let credentials = credentials.map_err(|_| signed_out())?.at("POST", &from.path).on(pages.listener.clone());
        let found = match self.inner.chain.authenticate(&credentials).await {
            Outcome::Authenticated(found) => found,
            Outcome::Rejected(error) => return Err(refused(error)),
            Outcome::NotPresented => return Err(signed_out()),
        };
        let user = self.inner.users.user(found.participant().id()).await?;
        let user = user.filter(|user| user.enabled && user.scope == *found.participant().scope());
        Ok((user.ok_or_else(signed_out)?, found))
    }

    /// Tells a change of somebody's credentials.
    pub(super) async fn tell(&self, what: &str, user: &User, actor: Actor) {
        let event = Event::new(EventKind::CredentialChanged, self.inner.stored.clock.now(), actor, what);
        let event = event.target(&user.id).within(&user.scope);
        // The change is made, whether that is recorded or not.
        if let Err(error) = self.inner.events.note(&event).await {
            tracing::error!(target: "policy::signin", %error, ?event, "an event was not taken");
        }
    }
}

/// What the chain's refusal comes to.
pub(super) fn refused(error: AuthnError) -> No {
    if error.pending().is_some() {
        return No::SecondFactor(error);
    }
    let told = error.answer();
    match (told.retry_after_s, StatusCode::from_u16(told.status)) {
        (Some(seconds), _) => No::Wait(seconds),
        (None, Ok(StatusCode::UNAUTHORIZED) | Err(_)) => No::Told(StatusCode::UNAUTHORIZED, WRONG.to_owned()),
        (None, Ok(status)) => No::Told(status, told.message),
    }
}
