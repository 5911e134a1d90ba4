//! A journal: records chained by hash, one chain for each scope, in memory or in a database.
//!
//! ```text
//!                                            ┌► gathered ─┐ full: callers wait
//! guard, sign-in, administration ─► Journal ─┤            ├─► one writer ─► store (memory, SQLite, PostgreSQL)
//!                                            └► queue ────┘ required      └ what came in a moment, one commit
//! ```
//!
//! A record that is required is acknowledged when it would survive a crash; one that is only wanted when it is gathered. When
//! the store is slow, callers wait; when it is gone for longer than the bound, they are refused. Nothing is dropped.
//!
//! Each record has the hash of the one before it, so that none can be changed, left out or put in between. Details about a
//! person stand apart: the chain has only a salted hash of them, and they can be erased. [`Journal::anchors`] signs the ends
//! of the chains; kept elsewhere, they show that nothing was cut off. [`Journal::retain`] removes what is old and leaves a
//! signed checkpoint that verification starts from.
//!
//! ```
//! # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
//! use std::sync::Arc;
//! use policy_runtime::audit::journal::{Filter, Journal, Recording};
//! use policy_runtime::audit::{AuditLog as _, Record, RecordKind};
//!
//! let journal = Journal::in_memory().recording(Recording::all()).start().unwrap();
//! let record = Record::new(RecordKind::Change, 1_000, "org:acme/u-1", "policies.activate", "org:acme", "allow");
//! journal.begin(&record).await.unwrap();
//! let found = journal.query(&Filter::scope("org:acme")).await.unwrap();
//! assert_eq!(found[0].actor, "org:acme/u-1");
//! assert_eq!(journal.verify("org:acme", None).await.unwrap().records, 1);
//! # });
//! ```

mod anchor;
mod batch;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod block;
mod chain;
mod gather;
mod memory;
mod query;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
mod start;
mod store;
mod worker;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use policy_core::ActionName;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

pub use anchor::{Anchor, AnchorKey};
pub use chain::{Broken, Verified};
pub use query::{Count, Filter, Stored};
pub use start::JournalBuilder;

use super::{AuditError, AuditFuture, AuditLog, Detail, Record, RecordKind};
use crate::clock::Clock;
use batch::{Prepared, prepare};
use gather::Gathered;
use worker::{Ack, Command};

/// Which decisions are recorded beside those that must be.
///
/// ```
/// use policy_runtime::audit::journal::{Recording, What};
/// let recording = Recording::denials().action("com.example.Orders.list", What::Sampled(100));
/// # let _ = recording;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there are four answers")]
pub enum What {
    /// Every one.
    All,
    /// Those that deny.
    Denials,
    /// Those that deny, and one in so many of the others.
    Sampled(u32),
    /// None.
    Nothing,
}

/// Which decisions are recorded, by action.
///
/// ```
/// use policy_runtime::audit::journal::{Recording, What};
/// let everywhere = [Recording::all(), Recording::required(), Recording::sampled(10)];
/// let recording = Recording::denials().action("com.example.Orders.place", What::All);
/// # let _ = (everywhere, recording);
/// ```
#[derive(Debug)]
pub struct Recording {
    usual: What,
    /// By the action's full name.
    actions: HashMap<String, What>,
    inputs: bool,
    counted: AtomicU64,
}

impl Recording {
    /// The same of every action.
    pub fn of(usual: What) -> Self {
        Self { usual, actions: HashMap::new(), inputs: false, counted: AtomicU64::new(0) }
    }

    /// Every decision.
    pub fn all() -> Self {
        Self::of(What::All)
    }

    /// Decisions that deny; the default.
    pub fn denials() -> Self {
        Self::of(What::Denials)
    }

    /// Decisions that deny, and one in `n` of the others.
    pub fn sampled(n: u32) -> Self {
        Self::of(What::Sampled(n))
    }

    /// Only decisions that must be recorded.
    pub fn required() -> Self {
        Self::of(What::Nothing)
    }

    /// Says it for one action, by its full name.
    #[must_use]
    pub fn action(mut self, name: &str, what: What) -> Self {
        self.actions.insert(name.to_owned(), what);
        self
    }

    /// Keeps what was decided about, too, as details of persons: attributes and arguments that rules may read, but for those
    /// that are marked secret. What is recorded so can be decided again under a draft.
    ///
    /// ```
    /// use policy_runtime::audit::journal::Recording;
    /// let recording = Recording::sampled(100).with_inputs();
    /// # let _ = recording;
    /// ```
    #[must_use]
    pub const fn with_inputs(mut self) -> Self {
        self.inputs = true;
        self
    }

    fn wants(&self, action: &ActionName, allowed: bool) -> bool {
        let own = if self.actions.is_empty() { None } else { self.actions.get(&action.to_string()) };
        match *own.unwrap_or(&self.usual) {
            What::All => true,
            What::Denials => !allowed,
            What::Sampled(n) => {
                !allowed || n > 0 && self.counted.fetch_add(1, Ordering::Relaxed).is_multiple_of(u64::from(n))
            }
            What::Nothing => false,
        }
    }
}

/// A journal in memory or in a database.
///
/// ```
/// # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
/// use policy_runtime::audit::journal::{Filter, Journal};
/// use policy_runtime::audit::{AuditLog as _, Detail, Record, RecordKind};
///
/// let journal = Journal::in_memory().start().unwrap();
/// let record = Record::new(RecordKind::SignIn, 1_000, "org:acme/u-1", "password", "org:acme", "allow");
/// journal.note(&record.detail("ip", Detail::Personal("192.0.2.7".into()))).await.unwrap();
/// journal.flush().await.unwrap();
///
/// let acme = Filter::scope("org:acme");
/// assert_eq!(journal.export(&acme, &mut std::io::stdout()).await.unwrap(), 1);
/// assert!(journal.counts(&acme).await.unwrap().is_empty(), "a sign-in is no decision");
/// assert_eq!(journal.erase("org:acme", "org:acme/u-1").await.unwrap(), 1);
/// let anchor = journal.anchors(2_000).await.unwrap().remove(0); // to be kept elsewhere
/// assert_eq!(journal.retain("org:acme", 1_500, 3_000).await.unwrap(), 1);
/// journal.verify("org:acme", Some(&anchor)).await.unwrap();
/// # });
/// ```
pub struct Journal {
    queue: mpsc::Sender<Command>,
    gathered: Arc<Gathered>,
    clock: Arc<dyn Clock>,
    recording: Recording,
    patience: Duration,
    key: AnchorKey,
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("recording", &self.recording).finish_non_exhaustive()
    }
}

/// How long code that cannot await sleeps before it looks for room again.
const STEP: Duration = Duration::from_millis(1);

fn ended() -> AuditError {
    AuditError("the journal has ended".into())
}

fn late() -> AuditError {
    AuditError("the journal is behind for too long".into())
}

impl Journal {
    async fn put(&self, command: Command) -> Result<(), AuditError> {
        let sent = tokio::time::timeout(self.patience, self.queue.send(command)).await;
        sent.map_err(|_| late())?.map_err(|_| ended())
    }

    /// What is to be gathered of a record, as long as there is a writer.
    fn prepare(&self, record: &Record) -> Result<Prepared, AuditError> {
        if self.queue.is_closed() { Err(ended()) } else { prepare(record) }
    }

    async fn ask<T>(
        &self,
        make: impl FnOnce(oneshot::Sender<Result<T, AuditError>>) -> Command,
    ) -> Result<T, AuditError> {
        let (answer, answered) = oneshot::channel();
        self.put(make(answer)).await?;
        answered.await.map_err(|_| ended())?
    }

    /// Puts a command into the queue from code that cannot await; the writer has a thread of its own, so it goes on.
    fn put_blocking(&self, mut command: Command) -> Result<(), AuditError> {
        let mut waited = Duration::ZERO;
        loop {
            command = match self.queue.try_send(command) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Closed(_)) => return Err(ended()),
                Err(TrySendError::Full(command)) => command,
            };
            if waited >= self.patience {
                return Err(late());
            }
            std::thread::sleep(STEP);
            waited += STEP;
        }
    }

    /// Waits until everything that was put in before is written.
    ///
    /// # Errors
    /// When the store does not take it.
    pub async fn flush(&self) -> Result<(), AuditError> {
        self.ask(Command::Flush).await
    }

    /// Finds records of one scope, in the order in which they were written; at most a page of them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn query(&self, filter: &Filter) -> Result<Vec<Stored>, AuditError> {
        let (mut filter, mut all) = (filter.clone(), Vec::new());
        loop {
            // By steps, between which the writer goes on.
            let found = self.ask(|answer| Command::Query(Box::new(filter.clone()), answer)).await?;
            all.extend(found.records);
            filter.after = found.next;
            if found.next.is_none() || all.len() >= filter.page() {
                all.truncate(filter.page());
                return Ok(all);
            }
        }
    }

    /// Counts a scope's decisions by action, actor and outcome.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn counts(&self, filter: &Filter) -> Result<Vec<Count>, AuditError> {
        let mut counts: BTreeMap<(String, String, String), i64> = BTreeMap::new();
        let mut filter = Filter { limit: None, ..filter.clone() };
        let decisions = RecordKind::Decision.as_str();
        if filter.kind.get_or_insert_with(|| decisions.to_owned()) != decisions {
            return Ok(Vec::new());
        }
        loop {
            let page = self.query(&filter).await?;
            let Some(last) = page.last() else { break };
            filter = filter.after(last.number);
            for record in page {
                *counts.entry((record.action, record.actor, record.outcome)).or_default() += 1;
            }
        }
        let count = |((action, actor, outcome), count)| Count { action, actor, outcome, count };
        Ok(counts.into_iter().map(count).collect())
    }

    /// Writes what a filter finds as JSON lines, one record a line, to its end; answers how many.
    ///
    /// # Errors
    /// When the store cannot be read or the target cannot be written.
    pub async fn export(&self, filter: &Filter, target: &mut (dyn std::io::Write + Send)) -> Result<u64, AuditError> {
        let (mut filter, mut written) = (filter.clone(), 0);
        loop {
            let page = self.query(&filter).await?;
            let Some(last) = page.last() else { return Ok(written) };
            filter = filter.after(last.number);
            for record in &page {
                writeln!(target, "{}", record.to_json()).map_err(|e| AuditError(e.to_string()))?;
                written += 1;
            }
        }
    }

    /// Follows a scope's chain from its checkpoint (or its beginning) to its end, and through an anchor that was kept elsewhere.
    ///
    /// # Errors
    /// [`Broken`], with the number of the first record that is not as it was written, or why the chain could not be read.
    pub async fn verify(&self, scope: &str, anchor: Option<&Anchor>) -> Result<Verified, Broken> {
        chain::verify(self, scope, anchor, &self.key).await
    }

    /// The scopes that have records.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn scopes(&self) -> Result<Vec<String>, AuditError> {
        Ok(self.ask(Command::Ends).await?.into_iter().map(|end| end.scope).collect())
    }

    /// Signs the ends of all chains, to be kept where whoever can write to this store cannot.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn anchors(&self, now: i64) -> Result<Vec<Anchor>, AuditError> {
        let ends = self.ask(Command::Ends).await?;
        Ok(ends.into_iter().map(|end| self.key.sign(&end.scope, end.number, &end.hash, now)).collect())
    }

    /// Removes a scope's records from before `before` (up to the first that is not), and leaves a signed checkpoint; answers how
    /// many were removed.
    ///
    /// # Errors
    /// When the store cannot be changed.
    pub async fn retain(&self, scope: &str, before: i64, now: i64) -> Result<u64, AuditError> {
        let last = self.ask(|answer| Command::LastBefore(scope.to_owned(), before, answer)).await?;
        let Some(last) = last else { return Ok(0) };
        let checkpoint = self.key.sign(scope, last.number, &last.hash, now);
        self.ask(|answer| Command::Retain(checkpoint, answer)).await
    }

    /// Erases the personal details of an actor's records in a scope, and of those in which nobody known did something about them,
    /// such as trying to sign in; the chain stays whole. Answers how many were erased.
    ///
    /// # Errors
    /// When the store cannot be changed.
    pub async fn erase(&self, scope: &str, actor: &str) -> Result<u64, AuditError> {
        self.ask(|answer| Command::Erase(scope.to_owned(), actor.to_owned(), answer)).await
    }
}

impl AuditLog for Journal {
    fn begin<'a>(&'a self, record: &'a Record) -> AuditFuture<'a> {
        Box::pin(async move {
            let (ack, done) = oneshot::channel();
            self.put(Command::Append(Box::new(record.clone()), Ack::Async(ack))).await?;
            match tokio::time::timeout(self.patience, done).await {
                Ok(done) => done.map_err(|_| ended())?,
                Err(_) => Err(late()),
            }
        })
    }

    fn begin_blocking(&self, record: &Record) -> Option<Result<(), AuditError>> {
        let (ack, done) = std::sync::mpsc::sync_channel(1);
        if let Err(error) = self.put_blocking(Command::Append(Box::new(record.clone()), Ack::Blocking(ack))) {
            return Some(Err(error));
        }
        Some(done.recv_timeout(self.patience).map_err(|_| late()).and_then(|done| done))
    }

    fn complete(&self, record: &Record, rows: Option<u64>) {
        if record.kind != RecordKind::Decision {
            return;
        }
        let end = end_of(record, rows, self.clock.now().0);
        match self.prepare(&end) {
            // There is as much of it as there is work, which has waited for its turn before.
            Ok(prepared) => self.gathered.put(&end, prepared),
            Err(error) => {
                tracing::error!(target: "policy", %error, decision = &*end.decision, "the end of work is not in the audit");
            }
        }
    }

    fn wants(&self, action: &ActionName, allowed: bool) -> bool {
        self.recording.wants(action, allowed)
    }

    fn wants_inputs(&self) -> bool {
        self.recording.inputs
    }

    fn note<'a>(&'a self, record: &'a Record) -> AuditFuture<'a> {
        let back = match self.prepare(record) {
            Ok(prepared) => self.gathered.try_put(record, prepared),
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        match back {
            None => Box::pin(std::future::ready(Ok(()))),
            Some(prepared) => Box::pin(self.gathered.put_soon(record, prepared, self.patience)),
        }
    }

    fn note_blocking(&self, record: &Record) -> Result<(), AuditError> {
        self.gathered.put_blocking(record, self.prepare(record)?, self.patience)
    }
}

/// The record of the end of the work under another, with how many rows it gave or changed.
fn end_of(record: &Record, rows: Option<u64>, time: i64) -> Record {
    let (principal, action, scope) = (record.principal.clone(), record.action.clone(), record.scope.clone());
    let mut end = Record::new(RecordKind::End, time, principal, action, scope, record.outcome)
        .decision(&record.decision)
        .request(record.request.clone());
    end.details.extend(rows.map(|rows| ("rows".to_owned(), Detail::Plain(rows.to_string()))));
    end
}
