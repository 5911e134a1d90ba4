//! Sessions of browsers: who signed in a while ago and came back with the cookie.
//!
//! In: an [`Authenticated`] when somebody signs in, the cookie's value afterwards. Out: the same participant until the session
//! ends: by its age, by idleness, by signing out, or because the participant changed. Kept in this process, by a hash of the
//! value alone; whoever restarts the process signs everybody out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use policy_core::Participant;
use policy_core::value::Millis;
use sha2::{Digest as _, Sha256};

use super::{Authenticated, Authenticator, AuthnCode, AuthnError, BoxFuture, Outcome};
use crate::clock::Clock;
use crate::credential::{Credential, Credentials, SESSION_COOKIE};
use crate::id::random_id;
use crate::secret::Secret;

/// How many sessions there may be; beyond it nobody signs in by cookie until some have ended.
const CAPACITY: usize = 100_000;
/// How many sessions one participant may have; beyond it the one that ends first makes room.
const OF_ONE: usize = 50;

/// The sessions of a process. Cheap to clone; put one clone into the chain and give another to the gateway.
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
/// let minutes = |n: u64| Duration::from_secs(60 * n);
/// let sessions = Sessions::new(Arc::new(SystemClock)).lasting(minutes(10), minutes(480));
/// let alice = Authenticated::new(Participant::builder(Scope::System, "u-1").build(), "password");
/// let cookie = sessions.start(&alice)?;
/// assert!(sessions.set_cookie(&cookie).contains("HttpOnly"));
/// for id in sessions.live_ids() {
///     sessions.touch(&id); // a connection that it opened is in use
/// }
/// assert!(sessions.end(&cookie).is_some(), "signed out");
/// assert!(Sessions::clear_cookie().contains("Max-Age=0"));
/// assert!(!sessions.end_by_id("s-7"), "there is none");
/// let mut held = Vec::new();
/// sessions.held("u-1", &mut held); // somebody changed: all who go by that id, in whatever scope
/// held.iter().for_each(|held| sessions.settle(held, None));
/// # Ok::<(), policy_runtime::authn::AuthnError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Sessions {
    clock: Arc<dyn Clock>,
    idle: Duration,
    absolute: Duration,
    live: Arc<Mutex<HashMap<[u8; 32], Session>>>,
}

#[derive(Debug)]
struct Session {
    id: Arc<str>,
    found: Authenticated,
    ends: Millis,
    idle_ends: Millis,
}

impl Session {
    fn is_over(&self, now: Millis) -> bool {
        self.ends <= now || self.idle_ends <= now
    }
}

fn digest(value: &str) -> [u8; 32] {
    Sha256::digest(value.as_bytes()).into()
}

fn after(now: Millis, time: Duration) -> Millis {
    Millis(now.0.saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX)))
}

impl Sessions {
    /// Starts without any. A session ends after 30 minutes without use, and after 12 hours in any case.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, idle: Duration::from_mins(30), absolute: Duration::from_hours(12), live: Arc::default() }
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
    /// When there are too many sessions, or the system gives no random numbers.
    pub fn start(&self, found: &Authenticated) -> Result<Secret<String>, AuthnError> {
        let (value, id) = (format!("{}{}", random_id()?, random_id()?), random_id()?);
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
        let latest = after(now, self.absolute);
        let ends = found.expiry().map_or(latest, |end| end.min(latest));
        let found = found.clone().expires_at(ends).of_session(id.as_str());
        live.insert(digest(&value), Session { id: id.into(), found, ends, idle_ends: after(now, self.idle) });
        Ok(Secret::new(value))
    }

    /// Who has the session of a cookie; using it keeps it alive.
    fn find(&self, value: &str) -> Option<Authenticated> {
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

    /// Ends the session of a cookie, and gives its id if there was one.
    pub fn end(&self, value: &Secret<String>) -> Option<Arc<str>> {
        self.live().remove(&digest(value.expose())).map(|session| session.id)
    }

    /// Ends a session by its id, which is no secret.
    pub fn end_by_id(&self, id: &str) -> bool {
        let mut live = self.live();
        let before = live.len();
        live.retain(|_, session| &*session.id != id);
        live.len() < before
    }

    /// Ends the sessions of a participant's id that were opened before an epoch of theirs.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// use policy_runtime::authn::Authenticated;
    /// use policy_runtime::authn::session::Sessions;
    /// use policy_runtime::clock::SystemClock;
    /// use policy_runtime::{Participant, Scope};
    /// let sessions = Sessions::new(Arc::new(SystemClock));
    /// let alice = Authenticated::new(Participant::builder(Scope::System, "u-1").build(), "password").epoch(3);
    /// let cookie = sessions.start(&alice)?;
    /// sessions.end_before("u-1", 3);
    /// assert_eq!(sessions.live_ids().len(), 1);
    /// sessions.end_before("u-1", 4); // another password
    /// assert!(sessions.end(&cookie).is_none(), "it has ended");
    /// # Ok::<(), policy_runtime::authn::AuthnError>(())
    /// ```
    pub fn end_before(&self, id: &str, epoch: u64) {
        self.live()
            .retain(|_, session| session.found.participant().id() != id || session.found.built_from_epoch() >= epoch);
    }

    /// Ends all sessions.
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

    /// Keeps a session alive, as its use does.
    pub fn touch(&self, id: &str) {
        let until = after(self.clock.now(), self.idle);
        if let Some(session) = self.live().values_mut().find(|session| &*session.id == id) {
            session.idle_ends = until;
        }
    }

    /// The ids of those that go on.
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

impl Authenticator for Sessions {
    fn method(&self) -> &'static str {
        "session"
    }

    fn authenticate<'a>(&'a self, credential: &'a Credential, _: &'a Credentials) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let Credential::Session(value) = credential else { return Outcome::NotPresented };
            match self.find(value.expose()) {
                Some(found) => Outcome::Authenticated(Box::new(found)),
                None => AuthnError::new(AuthnCode::SessionEnded, "there is no such session, or it has ended").into(),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use policy_core::Scope;

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

    #[test]
    fn a_session_ends_by_idleness_and_by_age() {
        let (sessions, clock) = sessions();
        let value = sessions.start(&Authenticated::new(alice("user"), "password")).unwrap();
        clock.advance(50_000);
        let found = sessions.find(value.expose()).unwrap();
        assert_eq!((found.method(), found.expiry()), ("password", Some(Millis(100_000))));
        sessions.touch(found.session().unwrap());
        clock.advance(49_000);
        assert!(sessions.find(value.expose()).is_some(), "its use keeps it alive");
        clock.advance(1_000);
        assert!(sessions.find(value.expose()).is_none(), "and no longer than its age");

        let value = sessions.start(&Authenticated::new(alice("user"), "password")).unwrap();
        clock.advance(60_000);
        assert!(sessions.live_ids().is_empty());
        assert!(sessions.find(value.expose()).is_none());
        let short = Authenticated::new(alice("user"), "password").expires_at(Millis(165_000));
        let value = sessions.start(&short).unwrap();
        assert_eq!(sessions.find(value.expose()).unwrap().expiry(), Some(Millis(165_000)), "as its credential");
    }

    #[test]
    fn a_session_follows_its_participant_and_is_ended() {
        let (sessions, _) = sessions();
        let start = || sessions.start(&Authenticated::new(alice("user"), "password")).unwrap();
        let (first, second) = (start(), start());
        sessions.settle(&alice("user"), Some(&alice("admin")));
        assert!(sessions.find(first.expose()).unwrap().participant().roles().iter().any(|role| &**role == "admin"));
        assert!(sessions.end(&first).is_some());
        assert!(sessions.end(&first).is_none());
        let id = sessions.find(second.expose()).unwrap().session().cloned().unwrap();
        assert!(sessions.end_by_id(&id));
        let other = Participant::builder(Scope::application("globex", "shop").unwrap(), "alice").role("user").build();
        let (third, elsewhere) = (start(), sessions.start(&Authenticated::new(other, "password")).unwrap());
        let mut held = Vec::new();
        sessions.held("alice", &mut held);
        assert_eq!(held.len(), 2, "of two scopes");
        sessions.settle(&alice("user"), None);
        assert!(sessions.find(third.expose()).is_none());
        assert!(sessions.find(elsewhere.expose()).is_some(), "another organization's alice is somebody else");
        assert!(!format!("{sessions:?}").contains(second.expose()));
    }

    #[test]
    fn a_participant_has_so_many_sessions_and_the_oldest_goes() {
        let (sessions, clock) = sessions();
        let found = Authenticated::new(alice("user"), "password");
        let first = sessions.start(&found).unwrap();
        for _ in 0..OF_ONE {
            clock.advance(1);
            sessions.start(&found).unwrap();
        }
        assert!(sessions.find(first.expose()).is_none());
        assert_eq!(sessions.live_ids().len(), OF_ONE);
    }

    #[test]
    fn the_cookie_is_for_this_host_alone() {
        let (sessions, _) = sessions();
        let cookie = sessions.set_cookie(&Secret::new("v".to_owned()));
        assert_eq!(cookie, "__Host-policy-session=v; Path=/; Max-Age=100; Secure; HttpOnly; SameSite=Lax");
    }
}
