//! One suite over two databases: rows, with their policies in every statement. Each test has a database of its own.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod bad;
mod concurrent;
mod fields;
mod kinds;
mod moment;
mod oracle;
mod paging;
mod photos;
mod plans;
mod tenants;

use std::sync::Arc;

use policy_runtime::entity::{Entities, EntityError, Pool, Repository};
use policy_runtime::{Code, Participant, Policy, SecurityContext};

/// A database with its policies.
struct World {
    entities: Entities,
    policy: Policy,
    /// The file, or the server's database, of which there can be several connections.
    url: String,
    _folder: Option<Folder>,
}

/// A folder that is removed with this.
#[derive(Debug)]
struct Folder(std::path::PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl World {
    async fn sqlite() -> Self {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("policy-entities-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let url = format!("sqlite:{}/rows.db?mode=rwc", folder.display());
        Self::at(url, Some(Folder(folder))).await
    }

    async fn postgres() -> Self {
        Self::at(tests::postgres::fresh_database().unwrap(), None).await
    }

    async fn at(url: String, folder: Option<Folder>) -> Self {
        let entities = Entities::new(Pool::connect(&url).await.unwrap()).unwrap();
        let policy = Policy::for_application("gallery").unwrap();
        Self { entities, policy, url, _folder: folder }
    }

    /// Someone with roles, who signed in.
    fn caller(&self, id: &str, roles: &[&str]) -> SecurityContext {
        let builder = Participant::builder(self.policy.application().clone(), id);
        let participant = builder.roles(roles.iter().copied()).build();
        SecurityContext::new(&self.policy, Arc::new(participant))
    }

    /// Someone of a tenant.
    fn of_tenant(&self, id: &str, tenant: &str, roles: &[&str]) -> SecurityContext {
        let builder = Participant::builder(self.policy.application().clone(), id).tenant(tenant);
        SecurityContext::new(&self.policy, Arc::new(builder.roles(roles.iter().copied()).build()))
    }

    /// Runs SQL past all rules.
    async fn run(&self, sql: &str) {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        match (self.entities.pool().sqlite(), self.entities.pool().postgres()) {
            (Some(pool), _) => sqlx::raw_sql(sql).execute(pool).await.map(|_| ()).unwrap(),
            (_, Some(pool)) => sqlx::raw_sql(sql).execute(pool).await.map(|_| ()).unwrap(),
            (None, None) => panic!("there is no pool"),
        }
    }

    fn is_postgres(&self) -> bool {
        self.url.starts_with("postgres")
    }
}

#[track_caller]
fn code<T: std::fmt::Debug>(result: Result<T, EntityError>) -> Code {
    result.unwrap_err().code()
}

/// Runs each test of a module in both databases.
#[macro_export]
macro_rules! both {
    ($($name:ident)*) => {
        mod sqlite {
            $(#[tokio::test] async fn $name() { super::$name($crate::World::sqlite().await).await; })*
        }
        mod postgres {
            $(#[tokio::test] async fn $name() { super::$name($crate::World::postgres().await).await; })*
        }
    };
}

async fn repository<T: policy_core::contract::Stored>(world: &World) -> Repository<T> {
    world.entities.create_table::<T>().await.unwrap();
    world.entities.repository::<T>().await.unwrap()
}
