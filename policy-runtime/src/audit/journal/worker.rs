//! The one writer: takes what is queued, many records at a time, and commits them together.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};

use super::anchor::Anchor;
use super::chain::{Prepared, prepare};
use super::query::Filter;
use super::store::{End, Found, Part, Store};
use super::{AuditError, end_of};
use crate::audit::{Detail, Record};
use crate::clock::Clock;

/// The most records of one commit.
const BATCH: usize = 2_048;
/// How long what nobody waits for may stay in the queue: a commit of one record costs nearly as much as one of many.
const GATHER: Duration = Duration::from_millis(20);
/// How long the writer rests before it tries again what the store did not take.
const REST: Duration = Duration::from_millis(200);

/// Who waits for a record.
#[derive(Debug)]
pub(super) enum Ack {
    /// Nobody: it is wanted, and written when the store takes it.
    None,
    Async(oneshot::Sender<Result<(), AuditError>>),
    Blocking(std::sync::mpsc::SyncSender<Result<(), AuditError>>),
}

impl Ack {
    /// Tells it, if somebody still waits.
    fn send(self, done: Result<(), AuditError>) -> bool {
        match self {
            Self::None => true,
            Self::Async(ack) => ack.send(done).is_ok(),
            Self::Blocking(ack) => ack.try_send(done).is_ok(),
        }
    }
}

type Answer<T> = oneshot::Sender<Result<T, AuditError>>;

/// What the writer is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    /// Not behind a pointer: what one thread makes and another throws away is the larger part of what a record costs.
    Append(Record, Ack),
    Flush(Answer<()>),
    Query(Box<Filter>, Answer<Found>),
    Misfiled(String, Part, Answer<Option<i64>>),
    Ends(Answer<Vec<End>>),
    Checkpoint(String, Answer<Option<Anchor>>),
    LastBefore(String, i64, Answer<Option<End>>),
    Retain(Anchor, Answer<u64>),
    Erase(String, String, Answer<u64>),
}

impl Command {
    /// Whether somebody waits until it is done.
    pub(super) const fn is_waited_for(&self) -> bool {
        !matches!(self, Self::Append(_, Ack::None))
    }
}

pub(super) struct Worker {
    store: Box<dyn Store>,
    clock: Arc<dyn Clock>,
    /// Told when somebody waits, and when the queue fills.
    hurry: Arc<Notify>,
    /// Wanted records that the store has not taken yet.
    waiting: VecDeque<Prepared>,
}

impl Worker {
    pub(super) fn new(store: Box<dyn Store>, clock: Arc<dyn Clock>, hurry: Arc<Notify>) -> Self {
        Self { store, clock, hurry, waiting: VecDeque::new() }
    }

    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Command>, mut ends: mpsc::UnboundedReceiver<Command>) {
        loop {
            let next = tokio::select! {
                // Ends first: what has begun stands in the journal before its end does.
                biased;
                Some(command) = ends.recv() => Some(command),
                command = queue.recv() => command,
                () = tokio::time::sleep(REST), if !self.waiting.is_empty() => {
                    self.write(Vec::new()).await;
                    continue;
                }
            };
            let Some(command) = next else { break };
            if !command.is_waited_for() {
                // Nothing that comes meanwhile wakes this thread, unless it hurries.
                let _ = tokio::time::timeout(GATHER, self.hurry.notified()).await;
            }
            self.take(command, &mut queue, &mut ends).await;
            // While the store does not take them, no more are taken in: the queue fills, and callers wait.
            while self.waiting.len() >= BATCH {
                self.write(Vec::new()).await;
                if self.waiting.len() >= BATCH {
                    tokio::time::sleep(REST).await;
                    self.refuse(&mut queue);
                }
                if queue.is_closed() {
                    break;
                }
            }
        }
        self.write(Vec::new()).await;
        if !self.waiting.is_empty() {
            tracing::error!(target: "policy", records = self.waiting.len(), "the journal ended with records that its store did not take");
        }
    }

    /// Tells those who wait for a required record that it cannot be written now, while wanted ones are held back.
    fn refuse(&mut self, queue: &mut mpsc::Receiver<Command>) {
        let mut kept = 0;
        while kept < BATCH
            && let Ok(command) = queue.try_recv()
        {
            match command {
                Command::Append(record, Ack::None) => {
                    kept += 1;
                    self.hold(record);
                }
                Command::Append(_, ack) => {
                    let _ = ack.send(Err(unavailable()));
                }
                Command::Flush(answer) => drop(answer.send(Err(unavailable()))),
                Command::Query(_, answer) => drop(answer.send(Err(unavailable()))),
                Command::Misfiled(_, _, answer) => drop(answer.send(Err(unavailable()))),
                Command::Ends(answer) => drop(answer.send(Err(unavailable()))),
                Command::Checkpoint(_, answer) => drop(answer.send(Err(unavailable()))),
                Command::LastBefore(_, _, answer) => drop(answer.send(Err(unavailable()))),
                Command::Retain(_, answer) | Command::Erase(_, _, answer) => drop(answer.send(Err(unavailable()))),
            }
            if self.waiting.len() >= 4 * BATCH {
                break;
            }
        }
    }

    fn hold(&mut self, record: Record) {
        match prepare(record) {
            Ok(prepared) => self.waiting.push_back(prepared),
            Err(error) => tracing::error!(target: "policy", %error, "a record could not be prepared"),
        }
    }

    async fn take(
        &mut self,
        command: Command,
        queue: &mut mpsc::Receiver<Command>,
        ends: &mut mpsc::UnboundedReceiver<Command>,
    ) {
        let mut command = Some(command);
        let mut required = Vec::new();
        let mut taken = 0;
        while let Some(next) = command.take() {
            match next {
                Command::Append(record, ack) => {
                    taken += 1;
                    match (prepare(record), ack) {
                        (Ok(prepared), Ack::None) => self.waiting.push_back(prepared),
                        (Ok(prepared), ack) => required.push((prepared, ack)),
                        (Err(error), ack) => {
                            let _ = ack.send(Err(error));
                        }
                    }
                }
                other @ (Command::Flush(_)
                | Command::Query(..)
                | Command::Misfiled(..)
                | Command::Ends(_)
                | Command::Checkpoint(..)
                | Command::LastBefore(..)
                | Command::Retain(..)
                | Command::Erase(..)) => {
                    self.write(std::mem::take(&mut required)).await;
                    self.answer(other).await;
                    return;
                }
            }
            if taken < BATCH {
                command = ends.try_recv().ok().or_else(|| queue.try_recv().ok());
            }
        }
        self.write(required).await;
    }

    /// Writes everything in one commit. What is required and fails is refused, and never written later.
    async fn write(&mut self, required: Vec<(Prepared, Ack)>) {
        if required.is_empty() && self.waiting.is_empty() {
            return;
        }
        let (required, acks): (Vec<Prepared>, Vec<Ack>) = required.into_iter().unzip();
        let held = self.waiting.len().min(BATCH);
        let mut all: Vec<Prepared> = self.waiting.drain(..held).collect();
        all.extend(required);
        match self.store.append(&all).await {
            Ok(()) => {
                for (Prepared { record, .. }, ack) in all.into_iter().skip(held).zip(acks) {
                    if !ack.send(Ok(())) {
                        // Whoever has stopped waiting has refused the work.
                        let mut end = end_of(&record, None, self.clock.now().0);
                        end.outcome = "deny";
                        self.hold(end.detail("reason", Detail::Plain("the record was written too late".into())));
                    }
                }
            }
            Err(error) => {
                tracing::error!(target: "policy", %error, records = all.len(), "the journal's store does not take records");
                for ack in acks {
                    let _ = ack.send(Err(error.clone()));
                }
                all.truncate(held);
                all.into_iter().rev().for_each(|held| self.waiting.push_front(held));
            }
        }
    }

    async fn answer(&mut self, command: Command) {
        // Whoever asked may have gone.
        match command {
            Command::Append(_, ack) => {
                let _ = ack.send(Err(unavailable()));
            }
            Command::Flush(answer) => {
                while !self.waiting.is_empty() {
                    let before = self.waiting.len();
                    self.write(Vec::new()).await;
                    if self.waiting.len() == before {
                        break;
                    }
                }
                let done = if self.waiting.is_empty() { Ok(()) } else { Err(unavailable()) };
                drop(answer.send(done));
            }
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
