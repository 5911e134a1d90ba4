//! The set-up of a journal, and its writer's thread.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::anchor::AnchorKey;
use super::gather::Gathered;
use super::memory::Memory;
use super::store::Store;
use super::worker::Worker;
use super::{AuditError, Journal, Recording};
use crate::clock::{Clock, SystemClock};

/// Collects a journal's settings.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use policy_runtime::audit::journal::{AnchorKey, Journal, Recording};
/// use policy_runtime::clock::SystemClock;
/// use policy_runtime::secret::Secret;
///
/// let journal = Journal::in_memory() // or `in_database`
///     .recording(Recording::sampled(100))
///     .queue(1_000)
///     .patience(Duration::from_secs(5))
///     .anchor_key(AnchorKey::new(&Secret::new([7; 32])))
///     .clock(Arc::new(SystemClock))
///     .start()
///     .unwrap();
/// # let _ = journal;
/// ```
#[derive(Debug)]
pub struct JournalBuilder {
    place: Place,
    recording: Recording,
    queue: usize,
    patience: Duration,
    key: Option<AnchorKey>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
enum Place {
    Memory,
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    Database(crate::database::DatabaseAddress),
}

impl Journal {
    fn builder(place: Place) -> JournalBuilder {
        JournalBuilder {
            place,
            recording: Recording::denials(),
            queue: 4_096,
            patience: Duration::from_secs(10),
            key: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// A journal that ends with the process.
    pub fn in_memory() -> JournalBuilder {
        Self::builder(Place::Memory)
    }

    /// A journal in a database.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub fn in_database(address: crate::database::DatabaseAddress) -> JournalBuilder {
        Self::builder(Place::Database(address))
    }
}

impl JournalBuilder {
    /// Says which decisions are recorded beside those that must be; denials otherwise.
    #[must_use]
    pub fn recording(mut self, recording: Recording) -> Self {
        self.recording = recording;
        self
    }

    /// Says how many records may wait for the writer before callers do.
    #[must_use]
    pub const fn queue(mut self, records: usize) -> Self {
        self.queue = records;
        self
    }

    /// Says how long callers wait for the writer before they are refused.
    #[must_use]
    pub const fn patience(mut self, time: Duration) -> Self {
        self.patience = time;
        self
    }

    /// Signs ends of chains with this key, and not with one of this process alone.
    #[must_use]
    pub fn anchor_key(mut self, key: AnchorKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Tells when work ended by this clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Opens the store and starts the writer.
    ///
    /// # Errors
    /// When the store cannot be opened, or the system gives no thread or no random numbers.
    pub fn start(self) -> Result<Journal, AuditError> {
        let key = match self.key {
            Some(key) => key,
            None => AnchorKey::random().map_err(|_| AuditError("the system gives no random numbers".into()))?,
        };
        let (queue, queued) = mpsc::channel(self.queue.max(1));
        let gathered = Arc::new(Gathered::new(self.queue));
        let (opened, open) = std::sync::mpsc::sync_channel(1);
        let (place, clock, taken) = (self.place, Arc::clone(&self.clock), Arc::clone(&gathered));
        let work = move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(opened.send(Err(AuditError(error.to_string())))),
            };
            runtime.block_on(async move {
                match store(place).await {
                    Ok(store) => {
                        drop(opened.send(Ok(())));
                        Worker::new(store, clock, taken).run(queued).await;
                    }
                    Err(error) => drop(opened.send(Err(error))),
                }
            });
        };
        let thread = std::thread::Builder::new().name("policy-audit".into()).spawn(work);
        thread.map_err(|error| AuditError(error.to_string()))?;
        open.recv().map_err(|_| AuditError("the writer did not start".into()))??;
        Ok(Journal { queue, gathered, clock: self.clock, recording: self.recording, patience: self.patience, key })
    }
}

#[cfg_attr(
    not(any(feature = "sqlite", feature = "postgres")),
    expect(clippy::unused_async, reason = "memory is there at once")
)]
async fn store(place: Place) -> Result<Box<dyn Store>, AuditError> {
    match place {
        Place::Memory => Ok(Box::<Memory>::default()),
        #[cfg(any(feature = "sqlite", feature = "postgres"))]
        Place::Database(address) => Ok(Box::new(super::sql::Sql::open(&address).await?)),
    }
}
