//! Services that connected clients host: who offers what, and the questions that are on their way.
//!
//! In: offers and calls, both already allowed. Out: a host to ask. Absent: Rust services, which always come first, and frames.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use policy_core::Scope;
use tokio::sync::mpsc;

use super::connection::Outcome;
use super::session::Event;
use crate::code::Code;
use crate::service::CallError;
use crate::wire::Headers;

/// A request on its way to a host.
#[derive(Debug)]
pub(super) struct Forward {
    /// The address the host subscribed to.
    pub(super) address: String,
    /// The address that was called, method included.
    pub(super) target: String,
    /// What the caller sent, without what is not the host's business.
    pub(super) headers: Headers,
    pub(super) body: Bytes,
    /// The authenticated caller, as JSON.
    pub(super) sender: String,
    /// Where the answers go. Closed without one, the call has failed.
    pub(super) answers: mpsc::Sender<Outcome>,
}

/// How many answers of a host may wait for their caller.
pub(super) const ANSWERS: usize = 64;

/// What is hosted, by application and address.
#[derive(Debug, Default)]
pub(super) struct Hosts(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    offers: HashMap<(Scope, String), Vec<Offer>>,
    next: u64,
}

#[derive(Debug)]
struct Offer {
    id: u64,
    participant: Arc<str>,
    /// Whether it may host beside other participants.
    shares: bool,
    host: mpsc::Sender<Event>,
}

/// A name that somebody else hosts.
#[derive(Debug)]
pub(super) struct Taken;

impl Hosts {
    /// Every change is complete before the lock is left, so what a panicking holder left behind is sound.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Offers a service. A second host joins only as the same participant, or where all of them share.
    pub(super) fn offer(
        self: &Arc<Self>,
        application: &Scope,
        address: &str,
        participant: &str,
        shares: bool,
        host: mpsc::Sender<Event>,
    ) -> Result<Hosting, Taken> {
        let key = (application.clone(), address.to_owned());
        let mut inner = self.lock();
        inner.next += 1;
        let id = inner.next;
        let offers = inner.offers.entry(key.clone()).or_default();
        let mut others = offers.iter().filter(|offer| &*offer.participant != participant).peekable();
        let has_joined = others.peek().is_some();
        if has_joined && !(shares && others.all(|offer| offer.shares)) {
            return Err(Taken);
        }
        offers.push(Offer { id, participant: participant.into(), shares, host });
        Ok(Hosting { hosts: self.clone(), key, id, has_joined })
    }

    /// A host of a service; they take turns.
    pub(super) fn find(&self, application: &Scope, address: &str) -> Option<mpsc::Sender<Event>> {
        let mut inner = self.lock();
        let offers = inner.offers.get_mut(&(application.clone(), address.to_owned()))?;
        let turn = usize::from(!offers.is_empty());
        offers.rotate_left(turn);
        offers.last().map(|offer| offer.host.clone())
    }
}

/// An offer, until it is dropped.
#[derive(Debug)]
pub(super) struct Hosting {
    hosts: Arc<Hosts>,
    key: (Scope, String),
    id: u64,
    has_joined: bool,
}

impl Hosting {
    /// Whether other participants hosted it before.
    pub(super) const fn has_joined(&self) -> bool {
        self.has_joined
    }

    /// The address that is offered.
    pub(super) fn address(&self) -> &str {
        &self.key.1
    }
}

impl Drop for Hosting {
    fn drop(&mut self) {
        let mut inner = self.hosts.lock();
        if let Some(offers) = inner.offers.get_mut(&self.key) {
            offers.retain(|offer| offer.id != self.id);
            if offers.is_empty() {
                inner.offers.remove(&self.key);
            }
        }
    }
}

/// Asks a host and passes its answers on, in order.
pub(super) async fn ask(
    host: mpsc::Sender<Event>,
    forward: Forward,
    mut answers: mpsc::Receiver<Outcome>,
    mut pass: impl AsyncFnMut(Outcome),
) {
    let lost = || Outcome::Failed(CallError::new(Code::ConnectionLost, "the host of the service is gone"));
    if host.send(Event::Forward(forward)).await.is_err() {
        return pass(lost()).await;
    }
    drop(host);
    loop {
        let Some(answer) = answers.recv().await else { return pass(lost()).await };
        let is_last = answer.is_last();
        pass(answer).await;
        if is_last {
            return;
        }
    }
}
