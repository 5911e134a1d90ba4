//! Databases for the oracle of filters.
//!
//! In: rows of `policy_core::testing`. Out: [`Rows`] over a database in memory, and over a server. Absent: what the rows should
//! be; the oracle decides that.

use std::collections::BTreeSet;

use policy_core::filter::Predicate;
use policy_core::table::Table;
use policy_core::testing::{Row, Rows};
use policy_runtime::entity::Pool;
use policy_runtime::testing::Scratch;
use tokio::runtime::{Builder, Runtime};

/// Both databases: SQLite in memory, and PostgreSQL at a URL.
///
/// # Errors
/// When one cannot be opened.
pub fn databases(postgres: Option<&str>) -> Result<Vec<Box<dyn Rows>>, String> {
    let mut out: Vec<Box<dyn Rows>> = vec![Box::new(Database::open("SQLite", "sqlite::memory:")?)];
    if let Some(url) = postgres {
        out.push(Box::new(Database::open("PostgreSQL", url)?));
    }
    Ok(out)
}

const GONE: &str = "the connection is gone";

struct Database {
    name: &'static str,
    runtime: Runtime,
    /// There until it is dropped.
    scratch: Option<Scratch>,
}

impl Drop for Database {
    fn drop(&mut self) {
        // A connection goes back to its pool within a runtime.
        let _within = self.runtime.enter();
        self.scratch = None;
    }
}

impl Database {
    fn open(name: &'static str, url: &str) -> Result<Self, String> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
        let scratch = runtime.block_on(async {
            let pool = Pool::connect(url).await.map_err(|e| e.to_string())?;
            Scratch::on(&pool).await
        })?;
        Ok(Self { name, runtime, scratch: Some(scratch) })
    }
}

impl Rows for Database {
    fn name(&self) -> &'static str {
        self.name
    }

    fn load(&mut self, table: &Table, rows: &[Row]) -> Result<(), String> {
        let Self { runtime, scratch: Some(scratch), .. } = self else { return Err(GONE.to_owned()) };
        runtime.block_on(scratch.load(table, rows))
    }

    fn ids(&mut self, table: &Table, predicate: &Predicate, negated: bool) -> Result<BTreeSet<String>, String> {
        let Self { runtime, scratch: Some(scratch), .. } = self else { return Err(GONE.to_owned()) };
        runtime.block_on(scratch.ids(table, predicate, negated))
    }
}
