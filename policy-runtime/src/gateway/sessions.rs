//! Who is connected: counts against the limits, and a hold on every open connection.
//!
//! In: sockets and participants as they come and go. Out: permits that free themselves, orders to close. Absent: frames.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::limits::Limits;

/// Why a connection is closed from this side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Go on.
    Stay,
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
    open: HashMap<u64, watch::Sender<Order>>,
    by_participant: HashMap<Arc<str>, HashSet<u64>>,
    aliases: HashSet<String>,
    next: u64,
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
        Some(SocketPermit { sessions: self.clone(), address })
    }

    /// Counts an open connection and holds on to it.
    pub(super) fn open(
        self: &Arc<Self>,
        participant: &Arc<str>,
        alias: Option<&str>,
    ) -> Result<(Registration, watch::Receiver<Order>), OpenError> {
        let mut inner = self.lock();
        if inner.by_participant.get(participant).is_some_and(|ids| ids.len() >= self.per_participant) {
            return Err(OpenError::TooMany);
        }
        if alias.is_some_and(|alias| !inner.aliases.insert(alias.to_owned())) {
            return Err(OpenError::AliasInUse);
        }
        let id = inner.next;
        inner.next += 1;
        let (order, orders) = watch::channel(Order::Stay);
        inner.open.insert(id, order);
        inner.by_participant.entry(participant.clone()).or_default().insert(id);
        let alias = alias.map(str::to_owned);
        Ok((Registration { sessions: self.clone(), id, participant: participant.clone(), alias }, orders))
    }

    /// Orders every connection of a participant to close, and says how many there are.
    pub(super) fn revoke(&self, participant: &str) -> usize {
        let inner = self.lock();
        let ids = inner.by_participant.get(participant).into_iter().flatten();
        ids.filter_map(|id| inner.open.get(id)).filter(|order| order.send(Order::Revoked).is_ok()).count()
    }

    /// How many connections are open.
    pub(super) fn count(&self) -> usize {
        self.lock().open.len()
    }
}

/// Why a connection cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OpenError {
    TooMany,
    AliasInUse,
}

/// A counted socket.
#[derive(Debug)]
pub(super) struct SocketPermit {
    sessions: Arc<Sessions>,
    address: Option<IpAddr>,
}

impl Drop for SocketPermit {
    fn drop(&mut self) {
        let mut inner = self.sessions.lock();
        inner.sockets = inner.sockets.saturating_sub(1);
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
    }

    #[test]
    fn a_participant_is_disconnected_everywhere() {
        let sessions = sessions(&Limits { connections_per_participant: 2, ..Limits::default() });
        let (alice, bob): (Arc<str>, Arc<str>) = ("alice".into(), "bob".into());
        let (_a, one) = sessions.open(&alice, None).unwrap();
        let (b, two) = sessions.open(&alice, Some("x")).unwrap();
        assert_eq!(sessions.open(&alice, None).unwrap_err(), OpenError::TooMany);
        assert_eq!(sessions.open(&bob, Some("x")).unwrap_err(), OpenError::AliasInUse);
        let (_c, other) = sessions.open(&bob, None).unwrap();
        assert_eq!(sessions.revoke("alice"), 2);
        assert_eq!((*one.borrow(), *two.borrow(), *other.borrow()), (Order::Revoked, Order::Revoked, Order::Stay));
        drop(b);
        assert!(sessions.open(&bob, Some("x")).is_ok(), "the alias is free again");
        assert_eq!(sessions.count(), 2);
    }
}
