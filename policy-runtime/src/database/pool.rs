//! The pool, transactions, and time limits.

use std::fmt;
use std::time::Duration;

use super::DatabaseError;
use super::row::{self, Arg, Row};

/// How long one statement, or the wait for a connection, may take.
pub(super) const STATEMENT_TIME: Duration = Duration::from_secs(5);

/// A pool of connections to one database. Cheap to clone.
///
/// ```
/// # #[cfg(feature = "sqlite")]
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use policy_runtime::database::{Database, DatabaseAddress};
/// let database = Database::open(&DatabaseAddress::Memory).await.unwrap();
/// assert_eq!(database.kind(), "sqlite");
/// database.close().await;
/// # });
/// ```
#[derive(Clone)]
pub struct Database {
    pub(super) pool: Pool,
}

#[derive(Clone)]
pub(super) enum Pool {
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
                Pool::Sqlite(pool) => Transaction::Sqlite(super::begin(pool, "BEGIN IMMEDIATE").await?),
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
    pub(super) async fn script(&mut self, sql: &'static str) -> Result<(), DatabaseError> {
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

pub(super) async fn timed<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, DatabaseError> {
    match tokio::time::timeout(STATEMENT_TIME, work).await {
        Ok(done) => done.map_err(|error| explain(&error)),
        Err(_) => Err(DatabaseError::Unavailable("no answer in time".into())),
    }
}

/// Says what happened without a value that was bound: neither of the two puts one into its short message.
pub(super) fn explain(error: &sqlx::Error) -> DatabaseError {
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
