//! Records in memory: they end with the process.

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;

use super::AuditError;
use super::anchor::Anchor;
use super::batch::Batch;
use super::chain::{BEGINNING, hash};
use super::query::{Filter, Stored};
use super::store::{End, Found, Part, Store, whose};

/// Chains by scope.
#[derive(Debug, Default)]
pub(super) struct Memory {
    chains: BTreeMap<String, Chain>,
}

#[derive(Debug, Default)]
struct Chain {
    records: Vec<Stored>,
    checkpoint: Option<Anchor>,
}

impl Chain {
    fn end(&self) -> (i64, String) {
        match (self.records.last(), &self.checkpoint) {
            (Some(last), _) => (last.number, last.hash.clone()),
            (None, Some(checkpoint)) => (checkpoint.number, checkpoint.hash.clone()),
            (None, None) => (0, BEGINNING.to_owned()),
        }
    }
}

fn ready<'a, T: Send + 'a>(value: T) -> BoxFuture<'a, Result<T, AuditError>> {
    Box::pin(std::future::ready(Ok(value)))
}

impl Store for Memory {
    fn append<'a>(&'a mut self, batches: [&'a Batch; 2]) -> BoxFuture<'a, Result<(), AuditError>> {
        for record in batches.into_iter().flat_map(Batch::entries) {
            let chain = self.chains.entry(record.scope.to_owned()).or_default();
            let (number, before) = chain.end();
            let hash = hash(&before, number + 1, record.body);
            chain.records.push(record.stored(number + 1, hash));
        }
        ready(())
    }

    fn query<'a>(&'a mut self, filter: &'a Filter) -> BoxFuture<'a, Result<Found, AuditError>> {
        let records = self.chains.get(&filter.scope).into_iter().flat_map(|chain| &chain.records);
        let records = records.filter(|record| filter.admits(record)).take(filter.page()).cloned().collect();
        ready(Found { records, next: None })
    }

    fn misfiled<'a>(&'a mut self, _: &'a str, _: Part) -> BoxFuture<'a, Result<Option<i64>, AuditError>> {
        ready(None)
    }

    fn ends(&mut self) -> BoxFuture<'_, Result<Vec<End>, AuditError>> {
        let end = |(scope, chain): (&String, &Chain)| {
            let (number, hash) = chain.end();
            End { scope: scope.clone(), number, hash }
        };
        ready(self.chains.iter().map(end).collect())
    }

    fn checkpoint<'a>(&'a mut self, scope: &'a str) -> BoxFuture<'a, Result<Option<Anchor>, AuditError>> {
        ready(self.chains.get(scope).and_then(|chain| chain.checkpoint.clone()))
    }

    fn last_before<'a>(&'a mut self, scope: &'a str, before: i64) -> BoxFuture<'a, Result<Option<End>, AuditError>> {
        let chain = self.chains.get(scope);
        let last = chain.and_then(|chain| chain.records.iter().take_while(|r| r.time < before).last());
        ready(last.map(|r| End { scope: scope.to_owned(), number: r.number, hash: r.hash.clone() }))
    }

    fn retain<'a>(&'a mut self, checkpoint: &'a Anchor) -> BoxFuture<'a, Result<u64, AuditError>> {
        let Some(chain) = self.chains.get_mut(&checkpoint.scope) else { return ready(0) };
        let before = chain.records.len();
        chain.records.retain(|r| r.number > checkpoint.number);
        chain.checkpoint = Some(checkpoint.clone());
        ready((before - chain.records.len()) as u64)
    }

    fn erase<'a>(&'a mut self, scope: &'a str, actor: &'a str) -> BoxFuture<'a, Result<u64, AuditError>> {
        let mut erased = 0;
        let records = self.chains.get_mut(scope).into_iter().flat_map(|chain| &mut chain.records);
        for record in records.filter(|r| whose(scope, &r.actor, r.resource.as_deref()) == actor) {
            erased += record.personal.len() as u64;
            record.personal.clear();
        }
        ready(erased)
    }
}
