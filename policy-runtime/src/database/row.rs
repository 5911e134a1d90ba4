//! Values in and out, the same for both databases.

use sqlx::Row as _;

use super::DatabaseError;

/// A value to bind.
#[derive(Debug, Clone)]
pub(crate) enum Arg {
    Text(String),
    MaybeText(Option<String>),
    Long(i64),
    MaybeLong(Option<i64>),
}

impl From<&str> for Arg {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Arg {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Option<String>> for Arg {
    fn from(text: Option<String>) -> Self {
        Self::MaybeText(text)
    }
}

impl From<Option<&str>> for Arg {
    fn from(text: Option<&str>) -> Self {
        Self::MaybeText(text.map(str::to_owned))
    }
}

impl From<i64> for Arg {
    fn from(n: i64) -> Self {
        Self::Long(n)
    }
}

impl From<bool> for Arg {
    fn from(b: bool) -> Self {
        Self::Long(i64::from(b))
    }
}

impl From<Option<i64>> for Arg {
    fn from(n: Option<i64>) -> Self {
        Self::MaybeLong(n)
    }
}

#[cfg(feature = "sqlite")]
pub(super) fn sqlite(
    sql: &'static str,
    args: Vec<Arg>,
) -> sqlx::query::Query<'static, sqlx::Sqlite, sqlx::sqlite::SqliteArguments> {
    args.into_iter().fold(sqlx::query(sql), |query, arg| match arg {
        Arg::Text(text) => query.bind(text),
        Arg::MaybeText(text) => query.bind(text),
        Arg::Long(n) => query.bind(n),
        Arg::MaybeLong(n) => query.bind(n),
    })
}

#[cfg(feature = "postgres")]
pub(super) fn postgres(
    sql: &'static str,
    args: Vec<Arg>,
) -> sqlx::query::Query<'static, sqlx::Postgres, sqlx::postgres::PgArguments> {
    args.into_iter().fold(sqlx::query(sql), |query, arg| match arg {
        Arg::Text(text) => query.bind(text),
        Arg::MaybeText(text) => query.bind(text),
        Arg::Long(n) => query.bind(n),
        Arg::MaybeLong(n) => query.bind(n),
    })
}

/// What was read; columns by their place.
#[derive(Debug)]
pub(crate) enum Row {
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::sqlite::SqliteRow),
    #[cfg(feature = "postgres")]
    Postgres(sqlx::postgres::PgRow),
}

impl Row {
    pub(crate) fn maybe_text(&self, column: usize) -> Result<Option<String>, DatabaseError> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(row) => row.try_get(column),
            #[cfg(feature = "postgres")]
            Self::Postgres(row) => row.try_get(column),
        }
        .map_err(|_| spoilt(column))
    }

    pub(crate) fn maybe_long(&self, column: usize) -> Result<Option<i64>, DatabaseError> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(row) => row.try_get(column),
            #[cfg(feature = "postgres")]
            Self::Postgres(row) => row.try_get(column),
        }
        .map_err(|_| spoilt(column))
    }

    pub(crate) fn text(&self, column: usize) -> Result<String, DatabaseError> {
        self.maybe_text(column)?.ok_or_else(|| spoilt(column))
    }

    pub(crate) fn long(&self, column: usize) -> Result<i64, DatabaseError> {
        self.maybe_long(column)?.ok_or_else(|| spoilt(column))
    }

    pub(crate) fn bool(&self, column: usize) -> Result<bool, DatabaseError> {
        Ok(self.long(column)? != 0)
    }
}

fn spoilt(column: usize) -> DatabaseError {
    DatabaseError::Unavailable(format!("column {column} of an answer is not what was written"))
}
