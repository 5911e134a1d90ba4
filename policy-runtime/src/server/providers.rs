//! Providers of identities as the database has them: read at the start, and again when something was changed.
//!
//! In: the store. Out: whose tokens are taken and with whom people sign in, the whole each time. What was not changed stays the
//! same object, with the keys that were fetched for it: nobody who changes a provider takes another's keys away. Absent: what
//! providers are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use policy_core::Scope;
use tokio::sync::watch;

use super::ServerError;
use crate::authn::token::{Offered, ProviderFault, TokenSource, login_providers, name_in_addresses, token_sources};
use crate::clock::Clock;
use crate::identity::{Configuration, Directory, Reference, StoreError};

/// What those follow who ask for providers.
pub(super) type Followed<T> = watch::Receiver<Arc<[T]>>;

pub(super) struct Providers {
    store: Arc<dyn Directory>,
    clock: Arc<dyn Clock>,
    tokens: watch::Sender<Arc<[TokenSource]>>,
    offered: watch::Sender<Arc<[Offered]>>,
    used: watch::Sender<BTreeMap<Scope, BTreeSet<String>>>,
    /// The number of the last change that was read.
    number: u64,
    known: (Vec<Configuration>, Vec<Reference>),
}

impl Providers {
    /// Reads them for the first time.
    ///
    /// # Errors
    /// When the store fails, or what the configuration file declares cannot be used. What administrators have stored and cannot be
    /// used is left out, since it must not keep everybody else out.
    pub(super) async fn new(store: &Arc<dyn Directory>, clock: &Arc<dyn Clock>) -> Result<Self, ServerError> {
        let mut providers = Self {
            store: store.clone(),
            clock: clock.clone(),
            tokens: watch::Sender::new([].into()),
            offered: watch::Sender::new([].into()),
            used: watch::Sender::default(),
            number: store.changed_since(None).await?.number,
            known: (Vec::new(), Vec::new()),
        };
        let faults = providers.read().await?;
        let declared =
            |fault: &ProviderFault| providers.known.0.iter().any(|one| one.declared && one.name == fault.provider);
        let (fatal, left_out): (Vec<_>, Vec<_>) = faults.into_iter().partition(declared);
        tell(&left_out);
        if fatal.is_empty() { Ok(providers) } else { Err(ServerError::Providers(fatal)) }
    }

    /// Whose tokens are taken.
    pub(super) fn tokens(&self) -> Followed<TokenSource> {
        self.tokens.subscribe()
    }

    /// With whom people sign in.
    pub(super) fn offered(&self) -> Followed<Offered> {
        self.offered.subscribe()
    }

    /// Which scopes use which, whether it can be used or not.
    pub(super) fn used(&self) -> watch::Receiver<BTreeMap<Scope, BTreeSet<String>>> {
        self.used.subscribe()
    }

    /// Looks again and again, for as long as it is polled; until the store answers, what was read last holds.
    pub(super) async fn follow(mut self, each: Duration) {
        loop {
            tokio::time::sleep(each).await;
            match self.look().await {
                Ok(faults) => tell(&faults),
                Err(error) => {
                    tracing::warn!(target: "policy::server", %error, "whether providers were changed is not known");
                }
            }
        }
    }

    async fn look(&mut self) -> Result<Vec<ProviderFault>, StoreError> {
        // What is changed meanwhile has a higher number, and is read the next time.
        let number = self.store.changed_since(None).await?.number;
        if number == self.number {
            return Ok(Vec::new());
        }
        let faults = self.read().await?;
        self.number = number;
        Ok(faults)
    }

    async fn read(&mut self) -> Result<Vec<ProviderFault>, StoreError> {
        let (configurations, references) = (self.store.configurations().await?, self.store.references().await?);
        let was = |one: &&Configuration| self.known.0.iter().any(|known| is_same(known, one));
        let as_it_was = |one: &Reference| {
            self.known.1.contains(one) && configurations.iter().filter(was).any(|own| own.name == one.configuration)
        };
        let (same, changed): (Vec<Reference>, Vec<Reference>) = references.iter().cloned().partition(as_it_was);
        let concerned = |one: &&Configuration| !was(one) || changed.iter().any(|used| used.configuration == one.name);
        let concerned: Vec<Configuration> = configurations.iter().filter(concerned).cloned().collect();
        if concerned.is_empty() && self.known.1.len() == same.len() && self.known.0.len() == configurations.len() {
            return Ok(Vec::new());
        }
        let takes =
            |one: &&TokenSource| same.iter().any(|used| used.configuration == one.name() && used.scope == *one.scope());
        let (mut tokens, mut faults) = token_sources(&concerned, &changed, &self.store, &self.clock);
        let (mut offered, more) = login_providers(&concerned, &changed, &self.store, &self.clock);
        faults.extend(more);
        tokens.extend(self.tokens.borrow().iter().filter(takes).cloned());
        tokens.sort_by(|a, b| (a.name(), a.scope()).cmp(&(b.name(), b.scope())));
        let offers = |one: &&Offered| {
            same.iter()
                .any(|used| name_in_addresses(&used.configuration) == one.provider.name() && used.scope == one.scope)
        };
        offered.extend(self.offered.borrow().iter().filter(offers).cloned());
        offered.sort_by(|a, b| (a.provider.name(), &a.scope).cmp(&(b.provider.name(), &b.scope)));
        let mut used = BTreeMap::<_, BTreeSet<_>>::new();
        for one in &references {
            used.entry(one.scope.clone()).or_default().insert(one.configuration.clone());
        }
        self.used.send_replace(used);
        self.known = (configurations, references);
        self.tokens.send_replace(tokens.into());
        self.offered.send_replace(offered.into());
        Ok(faults)
    }
}

fn tell(faults: &[ProviderFault]) {
    for fault in faults {
        tracing::error!(target: "policy::server", %fault, "a provider cannot be used and is left out");
    }
}

/// Whether nothing that is made of it would be another.
fn is_same(a: &Configuration, b: &Configuration) -> bool {
    let secrets = |one: &Configuration| {
        (
            one.secret.as_ref().map(|own| own.expose().clone()),
            one.client_secret.as_ref().map(|own| own.expose().clone()),
        )
    };
    a.name == b.name && a.owner == b.owner && a.settings == b.settings && secrets(a) == secrets(b)
}
