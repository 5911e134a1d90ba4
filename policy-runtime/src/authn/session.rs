//! Sessions of browsers: who signed in a while ago and came back with the cookie.
//!
//! In: an [`Authenticated`] when somebody signs in, the cookie's value afterwards. Out: the same participant until the session
//! ends: by its age, by idleness, by signing out, or because the participant changed. Kept by a hash of the value alone: in a
//! store that all servers share, or, of those whom no store knows, in this process, which ends them with itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use policy_core::value::Millis;
use policy_core::{Participant, Scope};
use sha2::{Digest as _, Sha256};

use super::{Authenticated, Authenticator, AuthnCode, AuthnError, BoxFuture, Outcome};
use crate::clock::Clock;
use crate::credential::{Credential, Credentials, SESSION_COOKIE};
use crate::id::random_id;
use crate::identity::{Added, EndOf, SessionRecord, SessionStore, StoreError, User};
use crate::secret::Secret;

/// How many sessions there may be; beyond it nobody signs in by cookie until some have ended.
const CAPACITY: usize = 100_000;
/// How many sessions one participant may have; beyond it the one that ends first makes room.
const OF_ONE: usize = 50;

/// What the ids of sessions in a store begin with.
const STORED: &str = "s_";

/// Sessions of browsers. Cheap to clone; put one clone into the chain and give another to the gateway.
///
/// ```
/// # use std::sync::Arc;
/// use policy_runtime::authn::Chain;
/// use policy_runtime::authn::session::Sessions;
/// use policy_runtime::clock::SystemClock;
/// let sessions = Sessions::new(Arc::new(SystemClock));
/// let chain = Chain::builder().with(sessions.clone()).build();
/// # let _ = chain;
/// ```
///
/// The life of one:
///
/// ```
/// # use std::sync::Arc;
/// use std::time::Duration;
/// use policy_runtime::authn::Authenticated;
/// use policy_runtime::authn::session::Sessions;
/// use policy_runtime::clock::SystemClock;
/// use policy_runtime::{Participant, Scope};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let minutes = |n: u64| Duration::from_secs(60 * n);
/// let sessions = Sessions::new(Arc::new(SystemClock)).lasting(minutes(10), minutes(480));
/// let alice = Authenticated::new(Participant::builder(Scope::System, "u-1").build(), "password");
/// let cookie = sessions.start(&alice).await?;
/// assert!(sessions.set_cookie(&cookie).contains("HttpOnly"));
/// for id in sessions.live_ids() {
///     sessions.touch(&id); // a connection that it opened is in use
/// }
/// assert!(sessions.end(&cookie).await?.is_some(), "signed out");
/// assert!(Sessions::clear_cookie().contains("Max-Age=0"));
/// assert!(!sessions.end_by_id("s-7").await?, "there is none");
/// assert!(sessions.of_user("u-1").await?.is_empty() && !sessions.end_own("u-1", "s-7").await?);
/// assert!(!sessions.counts_in(&Scope::System, &Scope::System).await?, "applications alone share them");
/// assert!(sessions.sweep().await?.is_empty(), "asked now and then");
/// let mut held = Vec::new();
/// sessions.held("u-1", &mut held); // somebody changed: all who go by that id, in whatever scope
/// held.iter().for_each(|held| sessions.settle(held, None));
/// # Ok::<(), policy_runtime::authn::AuthnError>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Sessions {
    clock: Arc<dyn Clock>,
    idle: Duration,
    absolute: Duration,
    /// Of participants whom the store does not know.
    live: Arc<Mutex<HashMap<[u8; 32], Session>>>,
    stored: Option<Arc<Kept>>,
}

/// A store of sessions, and when each was last said to be in use.
#[derive(Debug)]
struct Kept {
    store: Arc<dyn SessionStore>,
    used: Mutex<HashMap<Box<str>, Millis>>,
}

#[derive(Debug)]
struct Session {
    id: Arc<str>,
    found: Authenticated,
    since: Millis,
    ends: Millis,
    idle_ends: Millis,
}

impl Session {
    fn is_over(&self, now: Millis) -> bool {
        is_over((self.since, self.ends, self.idle_ends), now)
    }
}

/// How far clocks of servers may be apart, in milliseconds.
const APART_MS: i64 = 60_000;

/// Whether it has ended, or a clock that was ahead has opened it: it would go on for longer than it may.
const fn is_over((since, ends, idle_ends): (Millis, Millis, Millis), now: Millis) -> bool {
    ends.0 <= now.0 || idle_ends.0 <= now.0 || since.0.saturating_sub(now.0) > APART_MS
}

fn digest(value: &str) -> [u8; 32] {
    Sha256::digest(value.as_bytes()).into()
}

/// The hash of a cookie's value, as a store has it.
pub(crate) fn written(value: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest(value))
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
fn unavailable(error: StoreError) -> AuthnError {
    AuthnError::new(AuthnCode::Unavailable, error.to_string())
}

fn after(now: Millis, time: Duration) -> Millis {
    Millis(now.0.saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX)))
}

impl Sessions {
    /// Starts without any. A session ends after 30 minutes without use, and after 12 hours in any case.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            idle: Duration::from_mins(30),
            absolute: Duration::from_hours(12),
            live: Arc::default(),
            stored: None,
        }
    }

    /// Keeps the sessions of stored users in their store, so that they outlive this process and every server knows them.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use policy_runtime::authn::session::Sessions;
    /// use policy_runtime::identity::SessionStore;
    /// fn shared(sessions: Sessions, store: Arc<dyn SessionStore>) -> Sessions {
    ///     let sessions = sessions.stored_in(store);
    ///     assert!(sessions.is_stored("s_7") && !sessions.is_stored("another"));
    ///     sessions
    /// }
    /// ```
    #[must_use]
    pub fn stored_in(mut self, store: Arc<dyn SessionStore>) -> Self {
        self.stored = Some(Arc::new(Kept { store, used: Mutex::default() }));
        self
    }

    /// Whether a session is in the store, which tells of its end as of a change.
    pub fn is_stored(&self, id: &str) -> bool {
        self.stored.is_some() && id.starts_with(STORED)
    }

    /// Sets after how long without use a session ends, and after how long in any case.
    #[must_use]
    pub const fn lasting(mut self, idle: Duration, absolute: Duration) -> Self {
        self.idle = idle;
        self.absolute = absolute;
        self
    }

    /// Every change is complete before the lock is left, so what a panicking holder left behind is sound.
    fn live(&self) -> MutexGuard<'_, HashMap<[u8; 32], Session>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a session, and gives the value of its cookie, which nothing keeps.
    ///
    /// # Errors
    /// When there are too many sessions, the participant changed meanwhile, the store cannot be reached, or the system gives no
    /// random numbers.
    pub async fn start(&self, found: &Authenticated) -> Result<Secret<String>, AuthnError> {
        let (value, id) = (format!("{}{}", random_id()?, random_id()?), random_id()?);
        let value = Secret::new(value);
        if !self.start_stored(found, &value, &format!("{STORED}{id}")).await? {
            self.start_here(found, &value, &id)?;
        }
        Ok(value)
    }

    fn ends(&self, found: &Authenticated, now: Millis) -> Millis {
        let latest = after(now, self.absolute);
        found.expiry().map_or(latest, |end| end.min(latest))
    }

    /// False when the store does not know the participant.
    async fn start_stored(&self, found: &Authenticated, value: &Secret<String>, id: &str) -> Result<bool, AuthnError> {
        let (Some(kept), participant) = (&self.stored, found.participant()) else { return Ok(false) };
        let user = kept.store.user(participant.id()).await.map_err(unavailable)?;
        let Some(user) = user.filter(|user| user.scope == *participant.scope()) else { return Ok(false) };
        let changed = || {
            let error = AuthnError::new(AuthnCode::SessionEnded, "the user changed while signing in");
            error.concerning(&user.id, &user.scope)
        };
        let epoch = found.built_from_epoch();
        if !user.enabled || (epoch != 0 && epoch != user.epoch) {
            return Err(changed());
        }
        let now = self.clock.now();
        let session = SessionRecord {
            id: id.to_owned(),
            user: user.id.clone(),
            method: found.method().to_owned(),
            amr: found.proofs().to_vec(),
            added: Added { providers: found.ways.providers.clone(), ..Added::of(participant, &user) },
            epoch: user.epoch,
            since: now,
            ends: self.ends(found, now),
            idle_ends: after(now, self.idle),
        };
        let opened = kept.store.open_session(&written(value.expose()), &session, OF_ONE).await.map_err(unavailable)?;
        opened.then_some(true).ok_or_else(changed)
    }

    fn start_here(&self, found: &Authenticated, value: &Secret<String>, id: &str) -> Result<(), AuthnError> {
        let now = self.clock.now();
        let mut live = self.live();
        if live.len() >= CAPACITY {
            live.retain(|_, session| !session.is_over(now));
        }
        if live.len() >= CAPACITY {
            return Err(AuthnError::new(AuthnCode::Busy, "there are too many sessions"));
        }
        let who = found.participant().uid_id();
        let own = || live.iter().filter(|(_, session)| session.found.participant().uid_id() == who);
        if own().count() >= OF_ONE {
            let first = own().min_by_key(|(_, session)| session.ends).map(|(key, _)| *key);
            first.and_then(|key| live.remove(&key));
        }
        let ends = self.ends(found, now);
        let found = found.clone().expires_at(ends).of_session(id);
        let session = Session { id: id.into(), found, since: now, ends, idle_ends: after(now, self.idle) };
        live.insert(digest(value.expose()), session);
        Ok(())
    }

    /// Who has the session of a cookie; using it keeps it alive.
    async fn find(&self, value: &str) -> Result<Option<Authenticated>, AuthnError> {
        if let Some(found) = self.find_here(value) {
            return Ok(Some(found));
        }
        let Some(kept) = &self.stored else { return Ok(None) };
        let Some((session, user)) = kept.store.session(&written(value)).await.map_err(unavailable)? else {
            return Ok(None);
        };
        let now = self.clock.now();
        let Some(found) = going_on(&session, &user, now) else { return Ok(None) };
        let unused = after(now, self.idle).0.saturating_sub(session.idle_ends.0);
        if unused > self.worth_saying() {
            // It is in use, whether that is noted now or the next time.
            let _ = kept.store.keep_session(&session.id, after(now, self.idle)).await;
        }
        Ok(Some(found))
    }

    fn find_here(&self, value: &str) -> Option<Authenticated> {
        let now = self.clock.now();
        let key = digest(value);
        let mut live = self.live();
        let session = live.get_mut(&key)?;
        if session.is_over(now) {
            live.remove(&key);
            return None;
        }
        session.idle_ends = after(now, self.idle);
        Some(session.found.clone())
    }

    /// Whether the session of a cookie is one of this process.
    #[cfg(feature = "gateway")]
    pub(crate) fn is_here(&self, value: &Secret<String>) -> bool {
        self.live().contains_key(&digest(value.expose()))
    }

    /// After how many milliseconds of use it is worth a write that a session is in use.
    fn worth_saying(&self) -> i64 {
        i64::try_from(self.idle.as_millis()).unwrap_or(i64::MAX) / 10
    }

    /// Ends the session of a cookie, and gives its id if there was one.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn end(&self, value: &Secret<String>) -> Result<Option<Arc<str>>, AuthnError> {
        let here = self.live().remove(&digest(value.expose())).map(|session| session.id);
        match (here, &self.stored) {
            (None, Some(kept)) => {
                let ended =
                    kept.store.end_sessions(EndOf::Hash(&written(value.expose()))).await.map_err(unavailable)?;
                Ok(ended.into_iter().next().map(Into::into))
            }
            (here, _) => Ok(here),
        }
    }

    /// Ends a session by its id, which is no secret.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn end_by_id(&self, id: &str) -> Result<bool, AuthnError> {
        if let Some(kept) = self.stored.as_ref().filter(|_| id.starts_with(STORED)) {
            return Ok(!kept.store.end_sessions(EndOf::Session(id)).await.map_err(unavailable)?.is_empty());
        }
        let mut live = self.live();
        let before = live.len();
        live.retain(|_, session| &*session.id != id);
        Ok(live.len() < before)
    }

    /// Ends the sessions of this process that a participant's id opened before an epoch of theirs.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// use policy_runtime::authn::Authenticated;
    /// use policy_runtime::authn::session::Sessions;
    /// use policy_runtime::clock::SystemClock;
    /// use policy_runtime::{Participant, Scope};
    /// let sessions = Sessions::new(Arc::new(SystemClock));
    /// let alice = Authenticated::new(Participant::builder(Scope::System, "u-1").build(), "password").epoch(3);
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cookie = sessions.start(&alice).await?;
    /// sessions.end_before("u-1", 3);
    /// assert_eq!(sessions.live_ids().len(), 1);
    /// sessions.end_before("u-1", 4); // another password
    /// assert!(sessions.end(&cookie).await?.is_none(), "it has ended");
    /// # Ok::<(), policy_runtime::authn::AuthnError>(())
    /// # }).unwrap();
    /// ```
    pub fn end_before(&self, id: &str, epoch: u64) {
        self.live()
            .retain(|_, session| session.found.participant().id() != id || session.found.built_from_epoch() >= epoch);
    }

    /// The stored sessions of a user, the latest first.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn of_user(&self, user: &str) -> Result<Vec<SessionRecord>, AuthnError> {
        let Some(kept) = &self.stored else { return Ok(Vec::new()) };
        let now = self.clock.now();
        let mut all = kept.store.sessions_of(user).await.map_err(unavailable)?;
        all.retain(|session| session.ends > now && session.idle_ends > now);
        Ok(all)
    }

    /// Whether a session of one application counts in another one: their organization lists both.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn counts_in(&self, from: &Scope, to: &Scope) -> Result<bool, AuthnError> {
        let (Scope::Application { organization, application }, Scope::Application { application: other, .. }) =
            (from, to)
        else {
            return Ok(false);
        };
        let (Some(kept), true) = (&self.stored, to.organization_id() == Some(organization)) else { return Ok(false) };
        let shared = kept.store.shared_in(organization.as_str()).await.map_err(unavailable)?;
        Ok(shared.contains(application) && shared.contains(other))
    }

    /// Ends a stored session of a user, and nobody else's.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn end_own(&self, user: &str, id: &str) -> Result<bool, AuthnError> {
        let Some(kept) = &self.stored else { return Ok(false) };
        Ok(!kept.store.end_sessions(EndOf::Own(user, id)).await.map_err(unavailable)?.is_empty())
    }

    /// Forgets the stored sessions that are over, and gives their ids; every server learns of it.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn sweep(&self) -> Result<Vec<String>, AuthnError> {
        let Some(kept) = &self.stored else { return Ok(Vec::new()) };
        kept.store.end_sessions(EndOf::Over(self.clock.now())).await.map_err(unavailable)
    }

    /// Ends all sessions of this process; those in a store are looked up at each use.
    pub fn end_everything(&self) {
        self.live().clear();
    }

    /// Adds those who have sessions under an id, as they are known: of any scope, and by any credential.
    pub fn held(&self, id: &str, held: &mut Vec<Participant>) {
        for session in self.live().values() {
            let participant = session.found.participant();
            if participant.id() == id && !held.contains(participant) {
                held.push(participant.clone());
            }
        }
    }

    /// Goes on with the participant as it is now in all sessions of just this participant, or ends them.
    pub fn settle(&self, held: &Participant, now: Option<&Participant>) {
        self.live().retain(|_, session| {
            let is_concerned = session.found.participant() == held;
            if let Some(now) = now.filter(|_| is_concerned) {
                session.found.replace_participant(now.clone());
            }
            now.is_some() || !is_concerned
        });
    }

    /// Keeps a session alive, as its use does; a store learns of it on a task of its own.
    pub fn touch(&self, id: &str) {
        let now = self.clock.now();
        let until = after(now, self.idle);
        if let Some(kept) = self.stored.as_ref().filter(|_| id.starts_with(STORED)) {
            let mut used = kept.used.lock().unwrap_or_else(PoisonError::into_inner);
            if used.get(id).is_some_and(|last| now.0.saturating_sub(last.0) < self.worth_saying()) {
                return;
            }
            if used.len() >= CAPACITY {
                used.clear();
            }
            used.insert(id.into(), now);
            drop(used);
            let (kept, id) = (kept.clone(), id.to_owned());
            tokio::spawn(async move {
                if let Err(error) = kept.store.keep_session(&id, until).await {
                    tracing::warn!(target: "policy", %error, "it was not noted that a session is in use");
                }
            });
            return;
        }
        if let Some(session) = self.live().values_mut().find(|session| &*session.id == id) {
            session.idle_ends = until;
        }
    }

    /// The ids of those of this process that go on.
    pub fn live_ids(&self) -> std::collections::HashSet<Arc<str>> {
        let now = self.clock.now();
        self.live().values().filter(|session| !session.is_over(now)).map(|session| session.id.clone()).collect()
    }

    /// The header that gives a browser the cookie.
    pub fn set_cookie(&self, value: &Secret<String>) -> String {
        let seconds = self.absolute.as_secs();
        format!("{SESSION_COOKIE}={}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Lax", value.expose())
    }

    /// The header that takes it away.
    pub fn clear_cookie() -> String {
        format!("{SESSION_COOKIE}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax")
    }
}

/// Who goes on in a stored session, as their user is now; nobody when it is over.
pub(crate) fn going_on(session: &SessionRecord, user: &User, now: Millis) -> Option<Authenticated> {
    let is_over = is_over((session.since, session.ends, session.idle_ends), now) || !user.enabled;
    // What a provider or a hook said of somebody who has changed since, only a sign-in says again.
    if is_over || (session.added.is_of_sign_in() && session.epoch != user.epoch) {
        return None;
    }
    let found = Authenticated::new(session.added.participant(user).build(), &session.method);
    let found = session.added.providers.iter().fold(found, |found, name| found.by_provider(name));
    let found = found
        .expires_at(session.ends)
        .epoch(user.epoch)
        .amr(session.amr.iter().map(String::as_str))
        .of_session(session.id.as_str());
    Some(found)
}

impl Authenticator for Sessions {
    fn method(&self) -> &'static str {
        "session"
    }

    fn authenticate<'a>(&'a self, credential: &'a Credential, _: &'a Credentials) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let Credential::Session(value) = credential else { return Outcome::NotPresented };
            match self.find(value.expose()).await {
                Err(error) => error.into(),
                Ok(Some(found)) => Outcome::Authenticated(Box::new(found)),
                Ok(None) => {
                    AuthnError::new(AuthnCode::SessionEnded, "there is no such session, or it has ended").into()
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::FixedClock;

    fn alice(role: &str) -> Participant {
        Participant::builder(Scope::application("default", "shop").unwrap(), "alice").role(role).build()
    }

    fn sessions() -> (Sessions, FixedClock) {
        let clock = FixedClock::at(0);
        let lasting = (Duration::from_mins(1), Duration::from_secs(100));
        (Sessions::new(Arc::new(clock.clone())).lasting(lasting.0, lasting.1), clock)
    }

    #[tokio::test]
    async fn a_session_ends_by_idleness_and_by_age() {
        let (sessions, clock) = sessions();
        let value = sessions.start(&Authenticated::new(alice("user"), "password")).await.unwrap();
        clock.advance(50_000);
        let found = sessions.find_here(value.expose()).unwrap();
        assert_eq!((found.method(), found.expiry()), ("password", Some(Millis(100_000))));
        sessions.touch(found.session().unwrap());
        clock.advance(49_000);
        assert!(sessions.find_here(value.expose()).is_some(), "its use keeps it alive");
        clock.advance(1_000);
        assert!(sessions.find_here(value.expose()).is_none(), "and no longer than its age");

        let value = sessions.start(&Authenticated::new(alice("user"), "password")).await.unwrap();
        clock.advance(60_000);
        assert!(sessions.live_ids().is_empty());
        assert!(sessions.find_here(value.expose()).is_none());
        let short = Authenticated::new(alice("user"), "password").expires_at(Millis(165_000));
        let value = sessions.start(&short).await.unwrap();
        assert_eq!(sessions.find_here(value.expose()).unwrap().expiry(), Some(Millis(165_000)), "as its credential");
    }

    #[tokio::test]
    async fn a_session_follows_its_participant_and_is_ended() {
        let (sessions, _) = sessions();
        let start = async || sessions.start(&Authenticated::new(alice("user"), "password")).await.unwrap();
        let (first, second) = (start().await, start().await);
        sessions.settle(&alice("user"), Some(&alice("admin")));
        assert!(
            sessions.find_here(first.expose()).unwrap().participant().roles().iter().any(|role| &**role == "admin")
        );
        assert!(sessions.end(&first).await.unwrap().is_some());
        assert!(sessions.end(&first).await.unwrap().is_none());
        let id = sessions.find_here(second.expose()).unwrap().session().cloned().unwrap();
        assert!(sessions.end_by_id(&id).await.unwrap());
        let other = Participant::builder(Scope::application("globex", "shop").unwrap(), "alice").role("user").build();
        let (third, elsewhere) = (start().await, sessions.start(&Authenticated::new(other, "password")).await.unwrap());
        let mut held = Vec::new();
        sessions.held("alice", &mut held);
        assert_eq!(held.len(), 2, "of two scopes");
        sessions.settle(&alice("user"), None);
        assert!(sessions.find_here(third.expose()).is_none());
        assert!(sessions.find_here(elsewhere.expose()).is_some(), "another organization's alice is somebody else");
        assert!(!format!("{sessions:?}").contains(second.expose()));
    }

    #[tokio::test]
    async fn a_participant_has_so_many_sessions_and_the_oldest_goes() {
        let (sessions, clock) = sessions();
        let found = Authenticated::new(alice("user"), "password");
        let first = sessions.start(&found).await.unwrap();
        for _ in 0..OF_ONE {
            clock.advance(1);
            sessions.start(&found).await.unwrap();
        }
        assert!(sessions.find_here(first.expose()).is_none());
        assert_eq!(sessions.live_ids().len(), OF_ONE);
    }

    #[test]
    fn the_cookie_is_for_this_host_alone() {
        let (sessions, _) = sessions();
        let cookie = sessions.set_cookie(&Secret::new("v".to_owned()));
        assert_eq!(cookie, "__Host-policy-session=v; Path=/; Max-Age=100; Secure; HttpOnly; SameSite=Lax");
    }
}
