//! Whether those who are connected still are who they were.
//!
//! In: what changed about participants, which sessions go on. Out: orders to connections, a quarter of a second after the
//! change at the latest: go on as the participant is now, or close. Absent: where participants are stored.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use policy_core::Participant;
use tokio::time::Instant;

use super::metrics::count;
use super::shared::{Run, Shared};
use crate::authn::BoxFuture;
use crate::identity::{StoreError, User};

/// How often is asked.
const EVERY: Duration = Duration::from_millis(250);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Which participants changed: their roles, attributes, sessions or keys, whether they are enabled.
///
/// ```
/// use policy_runtime::gateway::Changed;
/// let demoted = Changed { number: 12, participants: vec!["u-1".to_owned()], ..Changed::default() };
/// let unknown = Changed { number: 12, everybody: true, ..Changed::default() };
/// # drop((demoted, unknown));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changed {
    /// The number of the latest change; what came after it is asked for next.
    pub number: u64,
    /// Whom the changes concern.
    pub participants: Vec<String>,
    /// Those of them whose sessions end, as by a new password: what they opened before these epochs of theirs.
    pub ended: BTreeMap<String, u64>,
    /// Whether that is not known any more, so that everybody is concerned.
    pub everybody: bool,
}

/// Tells a gateway what changed about participants, so that no connection outlives what opened it.
///
/// ```
/// use policy_runtime::authn::BoxFuture;
/// use policy_runtime::gateway::{Changed, Feed};
/// use policy_runtime::identity::StoreError;
///
/// /// A table of changes: number, participant.
/// #[derive(Debug)]
/// struct Table(Vec<(u64, String)>);
///
/// impl Feed for Table {
///     fn since(&self, number: u64) -> BoxFuture<'_, Result<Changed, StoreError>> {
///         let participants = self.0.iter().filter(|row| row.0 > number).map(|row| row.1.clone()).collect();
///         let number = self.0.last().map_or(0, |row| row.0);
///         Box::pin(async move { Ok(Changed { number, participants, ..Changed::default() }) })
///     }
/// }
/// ```
pub trait Feed: fmt::Debug + Send + Sync {
    /// What changed after a number; 0 asks for the number alone. Asked four times a second.
    fn since(&self, number: u64) -> BoxFuture<'_, Result<Changed, StoreError>>;

    /// The participant as it is now; `None` closes its connections, whose clients then sign in again. See [`renewed`].
    fn participant<'a>(&'a self, held: &'a Participant) -> BoxFuture<'a, Result<Option<Participant>, StoreError>> {
        let _ = held;
        Box::pin(async { Ok(None) })
    }
}

/// A stored user as the participant that it is now, in place of one that signed in before; `None` when it must sign in again:
/// it is disabled, or the store does not know all that its credential said of it.
///
/// ```
/// use policy_runtime::Scope;
/// use policy_runtime::gateway::renewed;
/// use policy_runtime::identity::User;
///
/// let mut alice = User::new("u-1", Scope::organization("acme").unwrap());
/// let held = alice.participant().auth_type("password").build();
/// alice.roles.insert("admin".to_owned());
/// assert_eq!(renewed(&alice, &held).unwrap().roles().len(), 1);
/// alice.enabled = false;
/// assert!(renewed(&alice, &held).is_none(), "its connections are closed");
/// ```
pub fn renewed(user: &User, held: &Participant) -> Option<Participant> {
    let is_same = user.enabled && user.id == held.id() && user.scope == *held.scope();
    // A password and a token of ours add nothing to what is stored but how it was proved; claims of a provider's token do.
    let adds_nothing = matches!(held.auth_type(), "password" | "token");
    (is_same && adds_nothing).then(|| user.participant().auth_type(held.auth_type()).mfa(held.mfa()).build())
}

/// Where to begin: asked before anybody can connect, so that no change after that is missed.
pub(super) async fn begin(shared: &Shared) -> Option<u64> {
    let answer = tokio::time::timeout(PATIENCE, shared.feed.as_ref()?.since(0)).await;
    answer.ok()?.ok().map(|changed| changed.number)
}

/// Watches until the gateway is over.
pub(super) async fn watch(shared: Weak<Shared>, bound: Duration, mut number: Option<u64>) {
    let mut confirmed = Instant::now();
    loop {
        tokio::time::sleep(EVERY).await;
        let Some(shared) = shared.upgrade() else { return };
        if *shared.run.borrow() == Run::Over {
            return;
        }
        shared.sessions.end_untaken(&shared.chain);
        if let Some(cookies) = &shared.cookies {
            let live = cookies.live_ids();
            shared.sessions.end_sessions(|session| !live.contains(session) && !cookies.is_stored(session));
        }
        let Some(feed) = &shared.feed else {
            sweep(&shared).await;
            continue;
        };
        let asked = tokio::time::timeout(PATIENCE, feed.since(number.unwrap_or(0)));
        match asked.await {
            Ok(Ok(changed)) => {
                confirmed = Instant::now();
                // The first answer says where to begin.
                if number.replace(changed.number).is_some() {
                    apply(&shared, feed.as_ref(), changed).await;
                }
                sweep(&shared).await;
            }
            Ok(Err(error)) => {
                tracing::warn!(target: "policy::gateway", %error, "changes of participants cannot be read");
            }
            Err(_) => tracing::warn!(target: "policy::gateway", "changes of participants took too long to read"),
        }
        if confirmed.elapsed() > bound {
            // Whoever was locked out meanwhile must not go on; nobody can tell who that is.
            let closed = shared.sessions.revoke_all();
            if closed > 0 {
                tracing::error!(target: "policy::gateway", closed, "connections were closed: it cannot be confirmed whose they still are");
            }
        }
    }
}

/// Ends what is over among the stored sessions of browsers.
async fn sweep(shared: &Shared) {
    let Some(cookies) = &shared.cookies else { return };
    match tokio::time::timeout(PATIENCE, cookies.sweep()).await {
        Ok(Ok(over)) => {
            for id in over {
                shared.sessions.end_session(&id);
            }
        }
        Ok(Err(error)) => {
            tracing::warn!(target: "policy::gateway", %error, "sessions that are over cannot be looked for");
        }
        Err(_) => tracing::warn!(target: "policy::gateway", "it took too long to look for sessions that are over"),
    }
}

async fn apply(shared: &Shared, feed: &dyn Feed, changed: Changed) {
    if changed.everybody {
        shared.sessions.revoke_all();
        if let Some(cookies) = &shared.cookies {
            cookies.end_everything();
        }
        return;
    }
    for id in &changed.participants {
        // That a stored session has ended is told like a change.
        shared.sessions.end_session(id);
        shared.sessions.note_change(id);
        let ends = changed.ended.get(id);
        if let (Some(cookies), Some(epoch)) = (&shared.cookies, ends) {
            cookies.end_before(id, *epoch);
        }
        let mut held = Vec::new();
        shared.sessions.held(id, &mut held);
        if let Some(cookies) = &shared.cookies {
            cookies.held(id, &mut held);
        }
        for held in held {
            let now = renew(shared, feed, &held).await.map(Arc::new);
            if let Some(cookies) = &shared.cookies {
                cookies.settle(&held, now.as_deref());
            }
            // Connections come back with what is good now, if they have it.
            let now = now.filter(|_| ends.is_none());
            let settled = shared.sessions.settle(&held, now.as_ref());
            if now.is_none() {
                (0..settled).for_each(|_| count(&shared.metrics.changed));
            }
        }
    }
}

/// The participant as it is now. What a hook has added only a sign-in can add again.
async fn renew(shared: &Shared, feed: &dyn Feed, held: &Participant) -> Option<Participant> {
    if shared.chain.has_hook() {
        return None;
    }
    match tokio::time::timeout(PATIENCE, feed.participant(held)).await {
        Ok(Ok(found)) => found.filter(|found| found.id() == held.id() && found.scope() == held.scope()),
        Ok(Err(_)) | Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use policy_core::Scope;

    use super::*;

    #[test]
    fn only_what_is_stored_is_renewed() {
        let scope = Scope::application("default", "shop").unwrap();
        let mut user = User::new("alice", scope.clone());
        user.roles.insert("admin".to_owned());
        let held =
            |auth_type: &str| Participant::builder(scope.clone(), "alice").role("user").auth_type(auth_type).build();
        for auth_type in ["password", "token"] {
            let now = renewed(&user, &held(auth_type)).unwrap();
            assert_eq!((now.roles(), now.auth_type()), (&["admin".into()][..], auth_type));
        }
        assert!(renewed(&user, &held("oidc")).is_none());
        user.enabled = false;
        assert!(renewed(&user, &held("password")).is_none());
    }
}
