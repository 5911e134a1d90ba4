//! Where records that nobody waits for are gathered until the writer takes all of them at once.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::batch::{Batch, Prepared};
use super::{AuditError, STEP, late};
use crate::audit::Record;

#[derive(Debug)]
pub(super) struct Gathered {
    batch: Mutex<Batch>,
    /// How many records there may be before callers wait.
    capacity: usize,
    /// Told when there is a first one.
    begun: Notify,
    /// Told when the writer should not wait for more.
    hurry: Notify,
    /// Told when there is room again.
    room: Notify,
}

impl Gathered {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            batch: Mutex::default(),
            capacity: capacity.max(1),
            begun: Notify::new(),
            hurry: Notify::new(),
            room: Notify::new(),
        }
    }

    fn batch(&self) -> MutexGuard<'_, Batch> {
        self.batch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a record in, whether there is room or not.
    pub(super) fn put(&self, record: &Record, prepared: Prepared) {
        let mut batch = self.batch();
        batch.push(record, prepared);
        let count = batch.len();
        drop(batch);
        self.tell(count);
    }

    /// Puts a record in if there is room, and gives it back otherwise.
    pub(super) fn try_put(&self, record: &Record, prepared: Prepared) -> Option<Prepared> {
        let mut batch = self.batch();
        if batch.len() >= self.capacity {
            drop(batch);
            self.hurry.notify_one();
            return Some(prepared);
        }
        batch.push(record, prepared);
        let count = batch.len();
        drop(batch);
        self.tell(count);
        None
    }

    fn tell(&self, count: usize) {
        if count == 1 {
            self.begun.notify_one();
        }
        if count == self.capacity.div_ceil(2) {
            self.hurry.notify_one();
        }
    }

    /// Puts a record in as soon as there is room.
    pub(super) async fn put_soon(
        &self,
        record: &Record,
        mut prepared: Prepared,
        patience: Duration,
    ) -> Result<(), AuditError> {
        let patient = async {
            loop {
                let mut room = std::pin::pin!(self.room.notified());
                // From now on, so that what is taken between the look and the wait is not missed.
                room.as_mut().enable();
                match self.try_put(record, prepared) {
                    None => return,
                    Some(back) => prepared = back,
                }
                room.await;
            }
        };
        tokio::time::timeout(patience, patient).await.map_err(|_| late())
    }

    /// The same, from code that cannot await; the writer has a thread of its own, so it goes on.
    pub(super) fn put_blocking(
        &self,
        record: &Record,
        prepared: Prepared,
        patience: Duration,
    ) -> Result<(), AuditError> {
        let (mut back, mut waited) = (self.try_put(record, prepared), Duration::ZERO);
        while let Some(prepared) = back {
            if waited >= patience {
                return Err(late());
            }
            std::thread::sleep(STEP);
            waited += STEP;
            back = self.try_put(record, prepared);
        }
        Ok(())
    }

    /// Takes everything, for an empty batch.
    pub(super) fn take(&self, empty: &mut Batch) {
        std::mem::swap(&mut *self.batch(), empty);
        self.room.notify_waiters();
    }

    /// Waits until there is something.
    pub(super) async fn begun(&self) {
        self.begun.notified().await;
    }

    /// Waits until there is much.
    pub(super) async fn much(&self) {
        self.hurry.notified().await;
    }
}
