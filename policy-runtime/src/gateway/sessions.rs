//! Who is connected: counts against the limits, and a hold on every open connection.
//!
//! In: sockets and participants as they come and go. Out: permits that free themselves, orders to close. Absent: frames.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use policy_core::Participant;
use tokio::sync::watch;
use tokio::time::Instant;

use super::limits::Limits;
use crate::authn::{Authenticated, Chain, Ways};

/// What a connection is told from this side.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Order {
    /// Go on.
    Stay,
    /// Go on as the participant is now.
    Renewed(Arc<Participant>),
    /// The participant was disabled, or its session revoked.
    Revoked,
}

/// All sockets and connections of a gateway.
#[derive(Debug)]
pub(super) struct Sessions {
    connections: usize,
    per_address: usize,
    per_participant: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    sockets: usize,
    by_address: HashMap<IpAddr, usize>,
    open: HashMap<u64, Open>,
    /// By the id alone, as changes are told; participants of several scopes may have the same.
    by_participant: HashMap<Arc<str>, HashSet<u64>>,
    /// When participants changed of late: who was looked up before must not be let in after.
    changed: HashMap<String, Instant>,
    aliases: HashSet<String>,
    next: u64,
}

impl Inner {
    /// The connections of an id, whatever their scope.
    fn of(&self, id: &str) -> impl Iterator<Item = &Open> {
        self.by_participant.get(id).into_iter().flatten().filter_map(|id| self.open.get(id))
    }
}

/// One open connection.
#[derive(Debug)]
struct Open {
    participant: Arc<Participant>,
    order: watch::Sender<Order>,
    /// The session of its credential, which it ends with.
    session: Option<Arc<str>>,
    /// By what it was opened.
    ways: Ways,
}

impl Sessions {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            connections: limits.connections,
            per_address: limits.connections_per_address,
            per_participant: limits.connections_per_participant,
            inner: Mutex::default(),
        }
    }

    /// Every change is complete before the lock is left, so what a panicking holder left behind is sound.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a socket, also by its address if one is given; `None` when there are too many.
    pub(super) fn socket(self: &Arc<Self>, address: Option<IpAddr>) -> Option<SocketPermit> {
        let mut inner = self.lock();
        if inner.sockets >= self.connections {
            return None;
        }
        if let Some(address) = address {
            let of_address = inner.by_address.entry(address).or_default();
            if *of_address >= self.per_address {
                return None;
            }
            *of_address += 1;
        }
        inner.sockets += 1;
        Some(SocketPermit { sessions: self.clone(), is_socket: true, address })
    }

    /// Counts an open connection and holds on to it.
    pub(super) fn open(
        self: &Arc<Self>,
        found: &Authenticated,
        alias: Option<&str>,
        looked_up: Instant,
    ) -> Result<(Registration, watch::Receiver<Order>), OpenError> {
        let mut inner = self.lock();
        let participant = found.participant();
        let name: Arc<str> = participant.id().into();
        if inner.changed.get(&*name).is_some_and(|changed| *changed >= looked_up) {
            return Err(OpenError::Changed);
        }
        let same = inner.of(&name).filter(|open| open.participant.scope() == participant.scope());
        if same.count() >= self.per_participant {
            return Err(OpenError::TooMany);
        }
        if alias.is_some_and(|alias| !inner.aliases.insert(alias.to_owned())) {
            return Err(OpenError::AliasInUse);
        }
        let id = inner.next;
        inner.next += 1;
        let (order, orders) = watch::channel(Order::Stay);
        let (participant, session) = (Arc::new(participant.clone()), found.session().cloned());
        inner.open.insert(id, Open { participant, order, session, ways: found.ways().clone() });
        inner.by_participant.entry(name.clone()).or_default().insert(id);
        let alias = alias.map(str::to_owned);
        Ok((Registration { sessions: self.clone(), id, participant: name, alias }, orders))
    }

    /// Orders every connection of a participant to close, and says how many there are.
    pub(super) fn revoke(&self, participant: &str) -> usize {
        self.lock().of(participant).filter(|open| open.order.send(Order::Revoked).is_ok()).count()
    }

    /// Orders every connection to close.
    pub(super) fn revoke_all(&self) -> usize {
        self.end(|_| true)
    }

    /// Notes that a participant has just changed.
    pub(super) fn note_change(&self, participant: &str) {
        let mut inner = self.lock();
        let now = Instant::now();
        inner.changed.retain(|_, changed| now.duration_since(*changed) < REMEMBERED);
        inner.changed.insert(participant.to_owned(), now);
    }

    /// Whether a participant has changed since.
    pub(super) fn has_changed(&self, participant: &str, since: Instant) -> bool {
        self.lock().changed.get(participant).is_some_and(|changed| *changed >= since)
    }

    /// Adds those who are connected under an id, as they signed in or were renewed: of any scope, and by any credential.
    pub(super) fn held(&self, id: &str, held: &mut Vec<Participant>) {
        for open in self.lock().of(id) {
            if !held.contains(&open.participant) {
                held.push((*open.participant).clone());
            }
        }
    }

    /// Orders the connections of just this participant to go on as it is now, or to close, and says how many there are.
    pub(super) fn settle(&self, held: &Participant, now: Option<&Arc<Participant>>) -> usize {
        let mut inner = self.lock();
        let Inner { by_participant, open, .. } = &mut *inner;
        let mut settled = 0;
        for id in by_participant.get(held.id()).into_iter().flatten() {
            let Some(open) = open.get_mut(id).filter(|open| *open.participant == *held) else { continue };
            let order = now.map_or(Order::Revoked, |now| {
                open.participant = now.clone();
                Order::Renewed(now.clone())
            });
            settled += usize::from(open.order.send(order).is_ok());
        }
        settled
    }

    /// Orders every connection of a session to close, and says how many there are.
    pub(super) fn end_session(&self, session: &str) -> usize {
        self.end_sessions(|id| id == session)
    }

    /// Orders every connection to close whose session is over.
    pub(super) fn end_sessions(&self, is_over: impl Fn(&str) -> bool) -> usize {
        self.end(|open| open.session.as_deref().is_some_and(&is_over))
    }

    /// Orders every connection to close that was opened by what is not taken any more, and says how many there are.
    pub(super) fn end_untaken(&self, chain: &Chain) -> usize {
        self.end(|open| !chain.still_takes(open.participant.scope(), &open.ways))
    }

    fn end(&self, is_over: impl Fn(&Open) -> bool) -> usize {
        let inner = self.lock();
        let over = inner.open.values().filter(|open| is_over(open));
        over.filter(|open| open.order.send(Order::Revoked).is_ok()).count()
    }

    /// Counts one more connection of an address that a proxy brought; `None` when there are too many.
    pub(super) fn proxied(self: &Arc<Self>, address: IpAddr) -> Option<SocketPermit> {
        let mut inner = self.lock();
        let of_address = inner.by_address.entry(address).or_default();
        if *of_address >= self.per_address {
            return None;
        }
        *of_address += 1;
        Some(SocketPermit { sessions: self.clone(), is_socket: false, address: Some(address) })
    }

    /// The participant of each open connection.
    pub(super) fn participants(&self) -> Vec<Arc<Participant>> {
        self.lock().open.values().map(|open| open.participant.clone()).collect()
    }

    /// How many connections are open.
    pub(super) fn count(&self) -> usize {
        self.lock().open.len()
    }
}

/// How long a change is remembered; no sign-in takes longer.
const REMEMBERED: Duration = Duration::from_mins(2);

/// Why a connection cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OpenError {
    /// The participant changed while it signed in.
    Changed,
    TooMany,
    AliasInUse,
}

/// A counted socket.
#[derive(Debug)]
pub(super) struct SocketPermit {
    sessions: Arc<Sessions>,
    /// Not so for an address that a proxy's socket brought.
    is_socket: bool,
    address: Option<IpAddr>,
}

impl Drop for SocketPermit {
    fn drop(&mut self) {
        let mut inner = self.sessions.lock();
        inner.sockets = inner.sockets.saturating_sub(usize::from(self.is_socket));
        let Some(address) = self.address else { return };
        if let Some(count) = inner.by_address.get_mut(&address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                inner.by_address.remove(&address);
            }
        }
    }
}

/// A counted connection.
#[derive(Debug)]
pub(super) struct Registration {
    sessions: Arc<Sessions>,
    id: u64,
    participant: Arc<str>,
    alias: Option<String>,
}

impl Registration {
    /// The connection goes on as the participant is now, by what renewed it too.
    pub(super) fn renew(&self, participant: &Arc<Participant>, ways: &Ways) {
        if let Some(open) = self.sessions.lock().open.get_mut(&self.id) {
            open.participant = participant.clone();
            open.ways.join(ways);
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut inner = self.sessions.lock();
        inner.open.remove(&self.id);
        if let Some(ids) = inner.by_participant.get_mut(&self.participant) {
            ids.remove(&self.id);
            if ids.is_empty() {
                inner.by_participant.remove(&self.participant);
            }
        }
        if let Some(alias) = &self.alias {
            inner.aliases.remove(alias);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions(limits: &Limits) -> Arc<Sessions> {
        Arc::new(Sessions::new(limits))
    }

    #[test]
    fn sockets_are_counted_and_freed() {
        let sessions = sessions(&Limits { connections: 3, connections_per_address: 2, ..Limits::default() });
        let (one, other): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let first = sessions.socket(Some(one));
        let _second = sessions.socket(Some(one)).unwrap();
        assert!(sessions.socket(Some(one)).is_none(), "two of one address");
        let _third = sessions.socket(Some(other)).unwrap();
        assert!(sessions.socket(Some(other)).is_none(), "three of all");
        assert!(sessions.socket(None).is_none(), "three of all, whoever they are");
        drop(first);
        assert!(sessions.socket(Some(one)).is_some());
        let brought = [sessions.proxied(other).unwrap()];
        assert!(sessions.proxied(other).is_none(), "two of one address, whoever brings them");
        drop(brought);
        assert!(sessions.proxied(other).is_some());
    }

    #[test]
    fn a_participant_is_disconnected_everywhere() {
        let sessions = sessions(&Limits { connections_per_participant: 2, ..Limits::default() });
        let scope = policy_core::Scope::application("default", "shop").unwrap();
        let who = |id: &str| Authenticated::new(Participant::builder(scope.clone(), id).build(), "password");
        let (alice, bob, earlier) = (who("alice"), who("bob"), Instant::now());
        let (_a, one) = sessions.open(&alice, None, earlier).unwrap();
        let (b, two) = sessions.open(&alice.clone().of_session("s"), Some("x"), earlier).unwrap();
        assert_eq!(sessions.open(&alice, None, earlier).unwrap_err(), OpenError::TooMany);
        assert_eq!(sessions.open(&bob, Some("x"), earlier).unwrap_err(), OpenError::AliasInUse);
        let (_c, other) = sessions.open(&bob, None, earlier).unwrap();
        assert_eq!(sessions.end_session("s"), 1);
        assert_eq!((&*one.borrow(), &*two.borrow()), (&Order::Stay, &Order::Revoked));
        assert_eq!(sessions.revoke("alice"), 2);
        assert_eq!(
            (&*one.borrow(), &*two.borrow(), &*other.borrow()),
            (&Order::Revoked, &Order::Revoked, &Order::Stay)
        );
        drop(b);
        assert!(sessions.open(&bob, Some("x"), earlier).is_ok(), "the alias is free again");
        assert_eq!(sessions.count(), 2);
        sessions.note_change("bob");
        assert_eq!(sessions.open(&bob, None, earlier).unwrap_err(), OpenError::Changed);
        assert!(sessions.has_changed("bob", earlier) && !sessions.has_changed("alice", earlier));
    }

    #[test]
    fn whoever_has_the_same_id_elsewhere_is_somebody_else() {
        let sessions = sessions(&Limits { connections_per_participant: 1, ..Limits::default() });
        let earlier = Instant::now();
        let alice = |organization: &str, role: &str| {
            let scope = policy_core::Scope::application(organization, "shop").unwrap();
            Authenticated::new(Participant::builder(scope, "alice").role(role).build(), "password")
        };
        let (acme, globex) = (alice("acme", "user"), alice("globex", "user"));
        let (_a, of_acme) = sessions.open(&acme, None, earlier).unwrap();
        let (_b, of_globex) = sessions.open(&globex, None, earlier).expect("a limit of its own");
        let mut held = Vec::new();
        sessions.held("alice", &mut held);
        assert_eq!(held.len(), 2);
        let promoted = Arc::new(alice("acme", "admin").into_participant());
        assert_eq!(sessions.settle(acme.participant(), Some(&promoted)), 1);
        assert_eq!((&*of_acme.borrow(), &*of_globex.borrow()), (&Order::Renewed(promoted.clone()), &Order::Stay));
        assert_eq!(sessions.settle(acme.participant(), None), 0, "nobody is that any more");
        assert_eq!(sessions.settle(&promoted, None), 1);
        assert_eq!((&*of_acme.borrow(), &*of_globex.borrow()), (&Order::Revoked, &Order::Stay));
    }
}
