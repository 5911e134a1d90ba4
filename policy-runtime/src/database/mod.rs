//! One database, SQLite or PostgreSQL, spoken to in the same words.
//!
//! In: SQL that both understand, written in the program (`&'static str`, numbered placeholders) and bound values. Out: rows.
//! Every statement has a time limit. Absent: what is stored; each subject brings its own statements and its migrations.
//!
//! ```text
//! identity, audit, .. ─► Database ─► SQLite (a file, one writer)
//!                                └─► PostgreSQL 14 or newer
//! ```

use std::fmt;
use std::time::Duration;

mod migrate;
mod open;
mod row;

pub use migrate::Migration;
pub use open::DatabaseAddress;
pub(crate) use row::{Arg, Row};

/// How long one statement, or the wait for a connection, may take.
const STATEMENT_TIME: Duration = Duration::from_secs(5);

/// Why the database did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// It cannot be reached, went away, or took too long.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// A row of that key is there already.
    #[error("a row of that key exists already")]
    Exists,
    /// A row refers to one that is not there, or that one is still referred to.
    #[error("a row refers to one that is not there")]
    Reference,
    /// The database's user may not do it.
    #[error("the database's user may not: {0}")]
    Permission(String),
    /// The address is none.
    #[error("`{0}` is no address of a database: `sqlite:<file>`, `sqlite::memory:` or `postgres://..`")]
    Address(String),
    /// The server is too old.
    #[error("the server is PostgreSQL {0}; 14 is the oldest that will do")]
    TooOld(String),
    /// The tables were made by a newer program, or a migration was changed after it ran.
    #[error("migration {version}: {problem}")]
    Migration {
        /// Which one.
        version: i64,
        /// What is wrong.
        problem: &'static str,
    },
}

/// A pool of connections to one database. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    pool: Pool,
}

#[derive(Clone)]
enum Pool {
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::SqlitePool),
    #[cfg(feature = "postgres")]
    Postgres(sqlx::PgPool),
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("kind", &self.kind()).finish_non_exhaustive()
    }
}

/// Several statements that hold together: all of them, or none when this is dropped.
pub(crate) enum Transaction {
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
    #[cfg(feature = "postgres")]
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
}

impl Database {
    /// What it is: `sqlite` or `postgres`.
    pub const fn kind(&self) -> &'static str {
        match self.pool {
            #[cfg(feature = "sqlite")]
            Pool::Sqlite(_) => "sqlite",
            #[cfg(feature = "postgres")]
            Pool::Postgres(_) => "postgres",
        }
    }

    /// Closes every connection.
    pub async fn close(&self) {
        match &self.pool {
            #[cfg(feature = "sqlite")]
            Pool::Sqlite(pool) => pool.close().await,
            #[cfg(feature = "postgres")]
            Pool::Postgres(pool) => pool.close().await,
        }
    }

    /// Begins to write; SQLite lets in one writer at a time from here on.
    pub(crate) async fn begin(&self) -> Result<Transaction, DatabaseError> {
        timed(async {
            Ok(match &self.pool {
                #[cfg(feature = "sqlite")]
                Pool::Sqlite(pool) => Transaction::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await?),
                #[cfg(feature = "postgres")]
                Pool::Postgres(pool) => Transaction::Postgres(pool.begin().await?),
            })
        })
        .await
    }

    /// Reads rows.
    pub(crate) async fn rows(&self, sql: &'static str, args: Vec<Arg>) -> Result<Vec<Row>, DatabaseError> {
        timed(async {
            Ok(match &self.pool {
                #[cfg(feature = "sqlite")]
                Pool::Sqlite(pool) => {
                    row::sqlite(sql, args).fetch_all(pool).await?.into_iter().map(Row::Sqlite).collect()
                }
                #[cfg(feature = "postgres")]
                Pool::Postgres(pool) => {
                    row::postgres(sql, args).fetch_all(pool).await?.into_iter().map(Row::Postgres).collect()
                }
            })
        })
        .await
    }

    /// Reads one row, if there is one.
    pub(crate) async fn row(&self, sql: &'static str, args: Vec<Arg>) -> Result<Option<Row>, DatabaseError> {
        Ok(self.rows(sql, args).await?.into_iter().next())
    }
}

impl Transaction {
    /// Reads rows, those that were written in this transaction among them.
    pub(crate) async fn rows(&mut self, sql: &'static str, args: Vec<Arg>) -> Result<Vec<Row>, DatabaseError> {
        timed(async {
            Ok(match self {
                #[cfg(feature = "sqlite")]
                Self::Sqlite(tx) => {
                    row::sqlite(sql, args).fetch_all(&mut **tx).await?.into_iter().map(Row::Sqlite).collect()
                }
                #[cfg(feature = "postgres")]
                Self::Postgres(tx) => {
                    row::postgres(sql, args).fetch_all(&mut **tx).await?.into_iter().map(Row::Postgres).collect()
                }
            })
        })
        .await
    }

    /// Reads one row, if there is one.
    pub(crate) async fn row(&mut self, sql: &'static str, args: Vec<Arg>) -> Result<Option<Row>, DatabaseError> {
        Ok(self.rows(sql, args).await?.into_iter().next())
    }

    /// Writes, and says how many rows it was.
    pub(crate) async fn run(&mut self, sql: &'static str, args: Vec<Arg>) -> Result<u64, DatabaseError> {
        timed(async {
            Ok(match self {
                #[cfg(feature = "sqlite")]
                Self::Sqlite(tx) => row::sqlite(sql, args).execute(&mut **tx).await?.rows_affected(),
                #[cfg(feature = "postgres")]
                Self::Postgres(tx) => row::postgres(sql, args).execute(&mut **tx).await?.rows_affected(),
            })
        })
        .await
    }

    /// Runs several statements without values.
    async fn script(&mut self, sql: &'static str) -> Result<(), DatabaseError> {
        // The tables of a large database may take their time.
        let done = async {
            match self {
                #[cfg(feature = "sqlite")]
                Self::Sqlite(tx) => sqlx::raw_sql(sql).execute(&mut **tx).await.map(|_| ()),
                #[cfg(feature = "postgres")]
                Self::Postgres(tx) => sqlx::raw_sql(sql).execute(&mut **tx).await.map(|_| ()),
            }
        };
        done.await.map_err(|error| explain(&error))
    }

    /// Keeps what was written.
    pub(crate) async fn commit(self) -> Result<(), DatabaseError> {
        timed(async {
            match self {
                #[cfg(feature = "sqlite")]
                Self::Sqlite(tx) => tx.commit().await,
                #[cfg(feature = "postgres")]
                Self::Postgres(tx) => tx.commit().await,
            }
        })
        .await
    }
}

async fn timed<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, DatabaseError> {
    match tokio::time::timeout(STATEMENT_TIME, work).await {
        Ok(done) => done.map_err(|error| explain(&error)),
        Err(_) => Err(DatabaseError::Unavailable("no answer in time".into())),
    }
}

/// Says what happened without a value that was bound: neither of the two puts one into its short message.
fn explain(error: &sqlx::Error) -> DatabaseError {
    let Some(database) = error.as_database_error() else {
        return DatabaseError::Unavailable(error.to_string());
    };
    if database.is_unique_violation() {
        return DatabaseError::Exists;
    }
    if database.is_foreign_key_violation() {
        return DatabaseError::Reference;
    }
    match database.code().as_deref() {
        // Insufficient privilege in PostgreSQL; a read-only file in SQLite.
        Some("42501" | "8" | "1032" | "776") => DatabaseError::Permission(database.message().to_owned()),
        _ => DatabaseError::Unavailable(database.message().to_owned()),
    }
}
