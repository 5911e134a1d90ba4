//! The one writer: takes what was gathered and what is asked of it, many records at a time, and commits them together.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::anchor::Anchor;
use super::batch::{Batch, prepare};
use super::gather::Gathered;
use super::query::Filter;
use super::store::{End, Found, Part, Store};
use super::{AuditError, end_of};
use crate::audit::{Detail, Record};
use crate::clock::Clock;

/// The most required records of one commit.
const REQUIRED: usize = 2_048;
/// How long what nobody waits for may stay gathered: a commit of one record costs nearly as much as one of many.
const GATHER: Duration = Duration::from_millis(20);
/// How long the writer rests before it tries again what the store did not take.
const REST: Duration = Duration::from_millis(200);

/// Who waits for a record.
#[derive(Debug)]
pub(super) enum Ack {
    Async(oneshot::Sender<Result<(), AuditError>>),
    Blocking(std::sync::mpsc::SyncSender<Result<(), AuditError>>),
}

impl Ack {
    /// Tells it, if somebody still waits.
    fn send(self, done: Result<(), AuditError>) -> bool {
        match self {
            Self::Async(ack) => ack.send(done).is_ok(),
            Self::Blocking(ack) => ack.try_send(done).is_ok(),
        }
    }
}

type Answer<T> = oneshot::Sender<Result<T, AuditError>>;

/// What the writer is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    /// A record that is required.
    Append(Box<Record>, Ack),
    Flush(Answer<()>),
    Query(Box<Filter>, Answer<Found>),
    Misfiled(String, Part, Answer<Option<i64>>),
    Ends(Answer<Vec<End>>),
    Checkpoint(String, Answer<Option<Anchor>>),
    LastBefore(String, i64, Answer<Option<End>>),
    Retain(Anchor, Answer<u64>),
    Erase(String, String, Answer<u64>),
}

pub(super) struct Worker {
    store: Box<dyn Store>,
    clock: Arc<dyn Clock>,
    gathered: Arc<Gathered>,
    /// What was gathered and the store has not taken yet. Until it does, no more is taken: callers wait.
    held: Batch,
}

impl Worker {
    pub(super) fn new(store: Box<dyn Store>, clock: Arc<dyn Clock>, gathered: Arc<Gathered>) -> Self {
        Self { store, clock, gathered, held: Batch::default() }
    }

    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Command>) {
        loop {
            tokio::select! {
                biased;
                command = queue.recv() => match command {
                    Some(command) => self.take(command, &mut queue).await,
                    None => break,
                },
                () = self.rest() => self.write(&Batch::default(), Vec::new()).await,
            }
        }
        if !self.empties().await {
            tracing::error!(target: "policy", "the journal ended with records that its store did not take");
        }
    }

    /// Waits until there is something to write of what was gathered.
    async fn rest(&self) {
        if self.held.is_empty() {
            self.gathered.begun().await;
            // Nothing that is gathered meanwhile wakes this thread, unless it is much.
            let _ = tokio::time::timeout(GATHER, self.gathered.much()).await;
        } else {
            tokio::time::sleep(REST).await;
        }
    }

    async fn take(&mut self, command: Command, queue: &mut mpsc::Receiver<Command>) {
        let (mut required, mut acks) = (Batch::default(), Vec::new());
        let mut command = Some(command);
        while let Some(next) = command.take() {
            match next {
                Command::Append(record, ack) => match prepare(&record) {
                    Ok(prepared) => {
                        required.push(&record, prepared);
                        acks.push((record, ack));
                    }
                    Err(error) => {
                        let _ = ack.send(Err(error));
                    }
                },
                other @ (Command::Flush(_)
                | Command::Query(..)
                | Command::Misfiled(..)
                | Command::Ends(_)
                | Command::Checkpoint(..)
                | Command::LastBefore(..)
                | Command::Retain(..)
                | Command::Erase(..)) => {
                    self.write(&required, acks).await;
                    let is_written = self.empties().await;
                    return self.answer(other, is_written).await;
                }
            }
            if acks.len() < REQUIRED {
                command = queue.try_recv().ok();
            }
        }
        self.write(&required, acks).await;
    }

    /// Writes everything in one commit. What is required and fails is refused, and never written later.
    async fn write(&mut self, required: &Batch, acks: Vec<(Box<Record>, Ack)>) {
        if self.held.is_empty() {
            self.gathered.take(&mut self.held);
        }
        if self.held.is_empty() && required.is_empty() {
            return;
        }
        match self.store.append([&self.held, required]).await {
            Ok(()) => {
                self.held.clear();
                for (record, ack) in acks {
                    if !ack.send(Ok(())) {
                        // Whoever has stopped waiting has refused the work.
                        let mut end = end_of(&record, None, self.clock.now().0);
                        end.outcome = "deny";
                        self.hold(&end.detail("reason", Detail::Plain("the record was written too late".into())));
                    }
                }
            }
            Err(error) => {
                let records = self.held.len() + required.len();
                tracing::error!(target: "policy", %error, records, "the journal's store does not take records");
                for (_, ack) in acks {
                    let _ = ack.send(Err(error.clone()));
                }
            }
        }
    }

    fn hold(&mut self, record: &Record) {
        match prepare(record) {
            Ok(prepared) => self.held.push(record, prepared),
            Err(error) => tracing::error!(target: "policy", %error, "a record could not be prepared"),
        }
    }

    /// Writes what was gathered, also while more comes; whether the store took it.
    async fn empties(&mut self) -> bool {
        for _ in 0..2 {
            self.write(&Batch::default(), Vec::new()).await;
            if !self.held.is_empty() {
                return false;
            }
        }
        true
    }

    async fn answer(&mut self, command: Command, is_written: bool) {
        // Whoever asked may have gone.
        match command {
            Command::Append(_, ack) => {
                let _ = ack.send(Err(unavailable()));
            }
            Command::Flush(answer) => drop(answer.send(if is_written { Ok(()) } else { Err(unavailable()) })),
            Command::Query(filter, answer) => drop(answer.send(self.store.query(&filter).await)),
            Command::Misfiled(scope, part, answer) => drop(answer.send(self.store.misfiled(&scope, part).await)),
            Command::Ends(answer) => drop(answer.send(self.store.ends().await)),
            Command::Checkpoint(scope, answer) => drop(answer.send(self.store.checkpoint(&scope).await)),
            Command::LastBefore(scope, before, answer) => {
                drop(answer.send(self.store.last_before(&scope, before).await));
            }
            Command::Retain(checkpoint, answer) => drop(answer.send(self.store.retain(&checkpoint).await)),
            Command::Erase(scope, actor, answer) => drop(answer.send(self.store.erase(&scope, &actor).await)),
        }
    }
}

fn unavailable() -> AuditError {
    AuditError("the store does not take records".into())
}
