//! One suite over three stores: in memory, in SQLite, in PostgreSQL. Each test has a store of its own.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod backup;
mod databases;
mod directory;
mod providers;
mod sessions;
mod signing_in;

use std::sync::Arc;

use policy_core::Scope;
use policy_runtime::database::{Database, DatabaseAddress};
use policy_runtime::identity::{Directory, MemoryStore, NewUser, SqlStore, User};
use policy_runtime::seal::SealingKeys;
use policy_runtime::secret::Secret;

type Store = Arc<dyn Directory>;

/// A folder that is removed with this.
#[derive(Debug)]
struct Folder(std::path::PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("policy-store-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn file(&self, name: &str) -> DatabaseAddress {
        DatabaseAddress::File(self.0.join(name))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn sealing() -> SealingKeys {
    SealingKeys::new(&Secret::new([5; 32]))
}

async fn open(address: &DatabaseAddress) -> SqlStore {
    SqlStore::new(Database::open(address).await.unwrap()).sealing(sealing())
}

fn postgres() -> DatabaseAddress {
    tests::postgres::fresh_database().unwrap().parse().unwrap()
}

fn memory() -> (Store, ()) {
    (Arc::new(MemoryStore::default()), ())
}

async fn sqlite() -> (Store, Folder) {
    let folder = Folder::new();
    (Arc::new(open(&folder.file("store.db")).await), folder)
}

async fn in_postgres() -> (Store, ()) {
    (Arc::new(open(&postgres()).await), ())
}

/// Runs functions of this form over every store: `async fn name(store: Store)`.
#[macro_export]
macro_rules! on_every_store {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            #[tokio::test(flavor = "multi_thread")]
            async fn in_memory() {
                let (store, _held) = $crate::memory();
                super::$name(store).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn in_sqlite() {
                let (store, _held) = $crate::sqlite().await;
                super::$name(store).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn in_postgres() {
                let (store, _held) = $crate::in_postgres().await;
                super::$name(store).await;
            }
        }
    )+};
}

fn acme() -> Scope {
    Scope::organization("acme").unwrap()
}

fn orders() -> Scope {
    Scope::application("acme", "orders").unwrap()
}

/// Two organizations, three applications, and alice.
async fn furnish(store: &Store) -> User {
    store.add_organization("acme").await.unwrap();
    store.add_organization("globex").await.unwrap();
    store.add_application("acme", "orders").await.unwrap();
    store.add_application("acme", "billing").await.unwrap();
    store.add_application("globex", "shop").await.unwrap();
    store.add_user(NewUser::new(orders(), " Alice@Example.com").role("finance").display_name("Alice")).await.unwrap()
}
