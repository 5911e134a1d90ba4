//! Methods and rules of signing in as the database has them: read at the start, and again when something was changed.
//!
//! In: the store. Out: what the chain takes, and what sign-in and second factors ask. Absent: what a method is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use policy_core::Scope;
use tokio::sync::watch;

use crate::authn::Chain;
use crate::identity::{Directory, SessionStore as _, SignInRules, SqlStore, StoreError};

pub(super) struct Methods {
    store: Arc<dyn Directory>,
    sql: Arc<SqlStore>,
    rules: watch::Sender<Arc<BTreeMap<Scope, SignInRules>>>,
    /// The number of the last change that was read.
    number: u64,
    pub(super) known: BTreeMap<Scope, BTreeSet<String>>,
}

impl Methods {
    /// Reads them for the first time.
    pub(super) async fn new(store: &Arc<dyn Directory>, sql: &Arc<SqlStore>) -> Result<Self, StoreError> {
        let number = store.changed_since(None).await?.number;
        let rules = watch::Sender::new(Arc::new(sql.sign_in_rules().await?));
        let known = store.methods().await?.into_iter().collect();
        Ok(Self { store: store.clone(), sql: sql.clone(), rules, number, known })
    }

    /// What administrators have said.
    pub(super) fn rules(&self) -> watch::Receiver<Arc<BTreeMap<Scope, SignInRules>>> {
        self.rules.subscribe()
    }

    /// Looks again and again, for as long as it is polled; until the store answers, what was read last holds.
    pub(super) async fn follow(mut self, chain: Chain, each: Duration) {
        loop {
            tokio::time::sleep(each).await;
            if let Err(error) = self.look(&chain).await {
                tracing::warn!(target: "policy::server", %error, "whether methods of signing in were changed is not known");
            }
        }
    }

    async fn look(&mut self, chain: &Chain) -> Result<(), StoreError> {
        // What is changed meanwhile has a higher number, and is read the next time.
        let number = self.store.changed_since(None).await?.number;
        if number == self.number {
            return Ok(());
        }
        self.rules.send_replace(Arc::new(self.sql.sign_in_rules().await?));
        let now: BTreeMap<_, _> = self.store.methods().await?.into_iter().collect();
        let scopes: BTreeSet<&Scope> = self.known.keys().chain(now.keys()).collect();
        for scope in scopes.into_iter().filter(|scope| self.known.get(scope) != now.get(scope)) {
            chain.set_methods(scope, now.get(scope).cloned());
        }
        (self.number, self.known) = (number, now);
        Ok(())
    }
}
