//! Where a database is.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::DatabaseError;
use crate::secret::Secret;

/// Where a database is.
///
/// ```
/// use policy_runtime::database::{DatabaseAddress, DatabaseError};
/// assert!(matches!("sqlite:shop.db".parse(), Ok(DatabaseAddress::File(_))));
/// let refused = "mysql://host/shop".parse::<DatabaseAddress>().unwrap_err();
/// assert_eq!(refused, DatabaseError::Address("mysql".into()));
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub enum DatabaseAddress {
    /// SQLite in memory; it ends with the process.
    Memory,
    /// SQLite in a file, which is made if it is not there.
    File(PathBuf),
    /// PostgreSQL, by URL; user and password may be given apart.
    Postgres {
        /// `postgres://host/database`, with or without user and password.
        url: Secret<String>,
        /// The user, if not in the URL.
        user: Option<String>,
        /// The password, if not in the URL.
        password: Option<Secret<String>>,
    },
}

/// Shows no URL, since a password may be in it.
impl fmt::Debug for DatabaseAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("Memory"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Postgres { user, .. } => f.debug_struct("Postgres").field("user", user).finish_non_exhaustive(),
        }
    }
}

impl FromStr for DatabaseAddress {
    type Err = DatabaseError;

    fn from_str(text: &str) -> Result<Self, DatabaseError> {
        if text == "sqlite::memory:" {
            return Ok(Self::Memory);
        }
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() {
                return Err(DatabaseError::Address("sqlite:".into()));
            }
            return Ok(Self::File(path.into()));
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres { url: Secret::new(text.to_owned()), user: None, password: None });
        }
        // What stands before the first `:` is no secret; the rest may be.
        Err(DatabaseError::Address(text.split(':').next().unwrap_or_default().chars().take(20).collect()))
    }
}
