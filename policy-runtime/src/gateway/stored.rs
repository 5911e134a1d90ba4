//! The changes of a store, as a gateway follows them.

use std::sync::Arc;

use policy_core::Participant;

use super::presence::{Changed, Feed, renewed};
use crate::authn::BoxFuture;
use crate::identity::{Directory, StoreError};

/// Tells a gateway what changes in a store, whichever server changed it.
///
/// ```
/// use std::sync::Arc;
/// use policy_runtime::gateway::{Feed, StoredChanges};
/// use policy_runtime::identity::MemoryStore;
/// let feed: Arc<dyn Feed> = Arc::new(StoredChanges::of(Arc::new(MemoryStore::default())));
/// # drop(feed);
/// ```
#[derive(Debug, Clone)]
pub struct StoredChanges(Arc<dyn Directory>);

impl StoredChanges {
    /// Follows this store.
    pub fn of(store: Arc<dyn Directory>) -> Self {
        Self(store)
    }
}

impl Feed for StoredChanges {
    fn since(&self, number: u64) -> BoxFuture<'_, Result<Changed, StoreError>> {
        Box::pin(async move {
            let changes = self.0.changed_since(Some(number)).await?;
            Ok(Changed {
                number: changes.number,
                participants: changes.participants.into_iter().collect(),
                ended: changes.ended,
                everybody: changes.everybody,
            })
        })
    }

    fn participant<'a>(&'a self, held: &'a Participant) -> BoxFuture<'a, Result<Option<Participant>, StoreError>> {
        Box::pin(async move {
            if held.auth_type() == "api-key" {
                let keys = self.0.keys(held.scope()).await?;
                let key = keys.into_iter().find(|key| key.participant == held.id() && key.enabled);
                return Ok(key.map(|key| key.participant()));
            }
            let user = self.0.user(held.id()).await?;
            Ok(user.and_then(|user| renewed(&user, held)))
        })
    }
}
