//! What goes wrong between a caller and the rows.
//!
//! In: failures of queries, cursors, databases; refusals. Out: [`EntityError`], with a stable code, which says nothing of rows
//! that the caller may not see. Absent: SQL and values in messages; those are in the source, for the log.

use std::sync::Arc;

use crate::code::Code;
use crate::denied::Denied;
use crate::service::CallError;

/// Why an operation on rows did not happen. Nothing of it was written.
///
/// ```
/// use policy_runtime::Code;
/// use policy_runtime::entity::Query;
/// let error = Query::parse("(title:sea").unwrap_err();
/// assert_eq!(error.code(), Code::BadQuery);
/// assert_eq!(error.to_string(), "a parenthesis is not closed");
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum EntityError {
    /// A policy says no.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// There is no such row, or the caller may not see it: the two are one.
    #[error("there is no such `{entity}`")]
    NotFound {
        /// The entity's type.
        entity: &'static str,
    },
    /// The query, the sort order or the page is none.
    #[error("{0}")]
    Query(String),
    /// The cursor is not one of this caller, this query and this order, or it has expired.
    #[error("the cursor is not one of this query")]
    Cursor,
    /// A value cannot be stored.
    #[error("`{field}` of `{entity}` cannot be stored: {why}")]
    Value {
        /// The entity's type.
        entity: &'static str,
        /// The field, as serde names it.
        field: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A stored value is not what its kind can hold. The column is named in the log.
    #[error("a stored `{entity}` cannot be read")]
    Stored {
        /// The entity's type.
        entity: &'static str,
    },
    /// Another row has the same id or the same unique value, or the row was changed meanwhile.
    #[error("`{entity}` conflicts with what is stored")]
    Conflict {
        /// The entity's type.
        entity: &'static str,
        /// Whether the same call can succeed when it is made again.
        retry: bool,
    },
    /// Rules must be asked about each row, and there are more rows than the configured bound.
    #[error("more than {limit} rows would have to be looked at one by one")]
    TooManyRows {
        /// The bound.
        limit: usize,
    },
    /// The database did not answer in time; see [`Entities::statement_timeout`](super::Entities::statement_timeout).
    #[error("the rows of `{entity}` took too long")]
    Timeout {
        /// The entity's type.
        entity: &'static str,
    },
    /// The database failed or is gone.
    #[error("the database cannot be asked")]
    Database(#[source] Arc<sqlx::Error>),
}

impl EntityError {
    /// The stable code.
    pub const fn code(&self) -> Code {
        match self {
            Self::Denied(denied) => denied.code(),
            Self::NotFound { .. } => Code::NotFound,
            Self::Query(_) => Code::BadQuery,
            Self::Cursor => Code::BadCursor,
            Self::Value { .. } => Code::UnusableValue,
            Self::Stored { .. } => Code::StoredValue,
            Self::Conflict { .. } => Code::Conflict,
            Self::TooManyRows { .. } => Code::TooManyRows,
            Self::Timeout { .. } => Code::Timeout,
            Self::Database(_) => Code::StoreUnavailable,
        }
    }

    /// Reads what a database answered. The answer itself goes to the log, since it can hold values of rows.
    pub(super) fn database(entity: &'static str, error: sqlx::Error) -> Self {
        use sqlx::error::ErrorKind;

        let of_it = error.as_database_error().map(|e| (e.kind(), e.code().unwrap_or_default().into_owned()));
        if let Some((kind, code)) = of_it {
            // 40001 serialization failure, 40P01 deadlock, 55P03 lock not available; 5 and 6 busy and locked in SQLite.
            let meanwhile = matches!(&*code, "40001" | "40P01" | "55P03" | "5" | "6" | "261" | "262" | "517");
            // What the server's `statement_timeout` ends.
            if &*code == "57014" {
                return Self::Timeout { entity };
            }
            if meanwhile || matches!(kind, ErrorKind::UniqueViolation) {
                tracing::info!(target: "policy::entity", entity, code, "a write conflicts");
                return Self::Conflict { entity, retry: meanwhile };
            }
        }
        tracing::error!(target: "policy::entity", entity, error = %error, "the database failed");
        Self::Database(Arc::new(error))
    }
}

impl From<EntityError> for CallError {
    fn from(error: EntityError) -> Self {
        match error {
            EntityError::Denied(denied) => denied.into(),
            EntityError::NotFound { .. }
            | EntityError::Query(_)
            | EntityError::Cursor
            | EntityError::Value { .. }
            | EntityError::Stored { .. }
            | EntityError::Conflict { .. }
            | EntityError::TooManyRows { .. }
            | EntityError::Timeout { .. }
            | EntityError::Database(_) => Self::new(error.code(), error.to_string()),
        }
    }
}
