//! One database, SQLite or PostgreSQL, spoken to in the same words.
//!
//! In: SQL that both understand, written in the program (`&'static str`, numbered placeholders) and bound values. Out: rows.
//! Every statement has a time limit. Absent: what is stored; each subject brings its own statements and its migrations; and
//! whatever PostgreSQL 14 does not know (`MERGE`, `NULLS NOT DISTINCT`, `IS JSON`, ..): the tests run on that version, too.
//!
//! ```text
//! identity, audit, .. ─► Database ─► SQLite (a file, one writer)
//!                                └─► PostgreSQL 14 or newer
//! ```

mod address;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod begin;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod listen;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod migrate;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod open;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod pool;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod row;

pub use address::DatabaseAddress;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use migrate::Migration;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use pool::Database;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use {
    begin::begin,
    listen::Listener,
    pool::Transaction,
    row::{Arg, Row},
};

/// Why the database did not do what it was asked.
///
/// ```
/// use policy_runtime::database::DatabaseError;
/// assert_eq!(DatabaseError::Exists.to_string(), "a row of that key exists already");
/// ```
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
