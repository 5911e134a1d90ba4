//! The door to the databases: connections, statements, transactions.
//!
//! In: statements that `sea_query` built, so that every value is bound. Out: rows as cells. Absent: which rows, and for whom.

use std::sync::Arc;

use futures_util::stream::{BoxStream, StreamExt as _};
use policy_core::table::Dialect;
use sea_query::{
    DeleteStatement, InsertStatement, PostgresQueryBuilder, SelectStatement, SqliteQueryBuilder, TableCreateStatement,
    UpdateStatement,
};
use sea_query_sqlx::{SqlxBinder as _, SqlxValues};
use sqlx::{AssertSqlSafe, PgPool, Postgres, Row as _, Sqlite, SqlitePool};

use super::error::EntityError;
use super::layout::{Layout, Row};
use super::{postgres, sqlite};

/// Where records are: a pool of connections to SQLite or to PostgreSQL. Cheap to clone.
///
/// ```
/// use policy_runtime::entity::{EntityError, Pool};
///
/// # async fn example() -> Result<(), EntityError> {
/// let pool = Pool::connect("sqlite::memory:").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Pool {
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl From<SqlitePool> for Pool {
    fn from(pool: SqlitePool) -> Self {
        Self { kind: Kind::Sqlite(pool) }
    }
}

impl From<PgPool> for Pool {
    fn from(pool: PgPool) -> Self {
        Self { kind: Kind::Postgres(pool) }
    }
}

impl Pool {
    /// Connects to `sqlite:<file>`, `sqlite::memory:` or `postgres://..`.
    ///
    /// # Errors
    /// When the address is of neither, or nothing answers there.
    pub async fn connect(url: &str) -> Result<Self, EntityError> {
        let failed = |e: sqlx::Error| EntityError::database("database", e);
        if url.starts_with("sqlite:") {
            // Each connection to `:memory:` is a database of its own.
            let memory = url.contains(":memory:") || url.contains("mode=memory");
            let options = sqlx::sqlite::SqlitePoolOptions::new().max_connections(if memory { 1 } else { 8 });
            let options = if memory { options.idle_timeout(None).max_lifetime(None) } else { options };
            return options.connect(url).await.map(Self::from).map_err(failed);
        }
        PgPool::connect(url).await.map(Self::from).map_err(failed)
    }

    /// The SQL that is spoken here.
    pub const fn dialect(&self) -> Dialect {
        match self.kind {
            Kind::Sqlite(_) => Dialect::Sqlite,
            Kind::Postgres(_) => Dialect::Postgres,
        }
    }

    /// The pool, where it is one of SQLite.
    pub const fn sqlite(&self) -> Option<&SqlitePool> {
        match &self.kind {
            Kind::Sqlite(pool) => Some(pool),
            Kind::Postgres(_) => None,
        }
    }

    /// The pool, where it is one of PostgreSQL.
    pub const fn postgres(&self) -> Option<&PgPool> {
        match &self.kind {
            Kind::Postgres(pool) => Some(pool),
            Kind::Sqlite(_) => None,
        }
    }

    pub(super) async fn create(&self, entity: &'static str, table: &TableCreateStatement) -> Result<(), EntityError> {
        let failed = |e| EntityError::database(entity, e);
        match &self.kind {
            Kind::Sqlite(pool) => {
                let sql = AssertSqlSafe(table.to_string(SqliteQueryBuilder));
                sqlx::query(sql).execute(pool).await.map(|_| ()).map_err(failed)
            }
            Kind::Postgres(pool) => {
                let sql = AssertSqlSafe(table.to_string(PostgresQueryBuilder));
                sqlx::query(sql).execute(pool).await.map(|_| ()).map_err(failed)
            }
        }
    }

    pub(super) async fn rows(&self, layout: &Layout, select: &SelectStatement) -> Result<Vec<Row>, EntityError> {
        let failed = |e| EntityError::database(layout.entity, e);
        match &self.kind {
            Kind::Sqlite(pool) => {
                let (sql, values) = select.build_sqlx(SqliteQueryBuilder);
                let rows = sqlx::query_with(AssertSqlSafe(sql), values).fetch_all(pool).await.map_err(failed)?;
                rows.iter().map(|row| sqlite::read(layout, row)).collect()
            }
            Kind::Postgres(pool) => {
                let (sql, values) = select.build_sqlx(PostgresQueryBuilder);
                let rows = sqlx::query_with(AssertSqlSafe(sql), values).fetch_all(pool).await.map_err(failed)?;
                rows.iter().map(|row| postgres::read(layout, row)).collect()
            }
        }
    }

    /// Rows as the database gives them, without holding all of them.
    pub(super) fn stream(
        &self,
        layout: Arc<Layout>,
        select: &SelectStatement,
    ) -> BoxStream<'static, Result<Row, EntityError>> {
        let entity = layout.entity;
        let failed = move |e| EntityError::database(entity, e);
        match self.kind.clone() {
            Kind::Sqlite(pool) => {
                let (sql, values) = select.build_sqlx(SqliteQueryBuilder);
                async_stream(move |out| async move {
                    let mut rows = sqlx::query_with(AssertSqlSafe(sql), values).fetch(&pool);
                    while let Some(row) = rows.next().await {
                        let row = row.map_err(failed).and_then(|row| sqlite::read(&layout, &row));
                        if out.send(row).await.is_err() {
                            return;
                        }
                    }
                })
            }
            Kind::Postgres(pool) => {
                let (sql, values) = select.build_sqlx(PostgresQueryBuilder);
                async_stream(move |out| async move {
                    let mut rows = sqlx::query_with(AssertSqlSafe(sql), values).fetch(&pool);
                    while let Some(row) = rows.next().await {
                        let row = row.map_err(failed).and_then(|row| postgres::read(&layout, &row));
                        if out.send(row).await.is_err() {
                            return;
                        }
                    }
                })
            }
        }
    }

    pub(super) async fn count(&self, layout: &Layout, select: &SelectStatement) -> Result<u64, EntityError> {
        let counted = match &self.kind {
            Kind::Sqlite(pool) => {
                let (sql, values) = select.build_sqlx(SqliteQueryBuilder);
                let row = sqlx::query_with(AssertSqlSafe(sql), values).fetch_one(pool).await;
                row.and_then(|row| row.try_get::<i64, _>(0))
            }
            Kind::Postgres(pool) => {
                let (sql, values) = select.build_sqlx(PostgresQueryBuilder);
                let row = sqlx::query_with(AssertSqlSafe(sql), values).fetch_one(pool).await;
                row.and_then(|row| row.try_get::<i64, _>(0))
            }
        };
        counted.map(|n| u64::try_from(n).unwrap_or_default()).map_err(|e| EntityError::database(layout.entity, e))
    }

    /// Begins a transaction that writes: in SQLite it holds the one place for writers from now on, so that nothing that it
    /// has read can change; in PostgreSQL the rows that it reads are to be locked by it.
    pub(super) async fn begin(&self, layout: &Layout) -> Result<Transaction, EntityError> {
        let begun = match &self.kind {
            Kind::Sqlite(pool) => pool.begin_with("BEGIN IMMEDIATE").await.map(Transaction::Sqlite),
            Kind::Postgres(pool) => {
                pool.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await.map(Transaction::Postgres)
            }
        };
        begun.map_err(|e| EntityError::database(layout.entity, e))
    }
}

/// Runs a producer beside the consumer, which it never outruns by more than a few rows, and ends it with the stream.
fn async_stream<T, F>(produce: impl FnOnce(tokio::sync::mpsc::Sender<T>) -> F) -> BoxStream<'static, T>
where
    T: Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let (sender, receiver) = tokio::sync::mpsc::channel(64);
    let producer = Ending(tokio::spawn(produce(sender)));
    futures_util::stream::unfold((receiver, producer), |(mut receiver, producer)| async move {
        receiver.recv().await.map(|item| (item, (receiver, producer)))
    })
    .boxed()
}

struct Ending(tokio::task::JoinHandle<()>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A statement that changes rows.
#[derive(Debug)]
pub(super) enum Statement {
    Insert(InsertStatement),
    Update(UpdateStatement),
    Delete(DeleteStatement),
}

impl Statement {
    fn sqlite(&self) -> (String, SqlxValues) {
        match self {
            Self::Insert(s) => s.build_sqlx(SqliteQueryBuilder),
            Self::Update(s) => s.build_sqlx(SqliteQueryBuilder),
            Self::Delete(s) => s.build_sqlx(SqliteQueryBuilder),
        }
    }

    fn postgres(&self) -> (String, SqlxValues) {
        match self {
            Self::Insert(s) => s.build_sqlx(PostgresQueryBuilder),
            Self::Update(s) => s.build_sqlx(PostgresQueryBuilder),
            Self::Delete(s) => s.build_sqlx(PostgresQueryBuilder),
        }
    }
}

/// A transaction; dropped, it is rolled back.
#[derive(Debug)]
pub(super) enum Transaction {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(sqlx::Transaction<'static, Postgres>),
}

impl Transaction {
    /// Reads rows and, in PostgreSQL, locks them until the end.
    pub(super) async fn lock(&mut self, layout: &Layout, mut select: SelectStatement) -> Result<Vec<Row>, EntityError> {
        let failed = |e| EntityError::database(layout.entity, e);
        match self {
            Self::Sqlite(transaction) => {
                let (sql, values) = select.build_sqlx(SqliteQueryBuilder);
                let rows =
                    sqlx::query_with(AssertSqlSafe(sql), values).fetch_all(&mut **transaction).await.map_err(failed)?;
                rows.iter().map(|row| sqlite::read(layout, row)).collect()
            }
            Self::Postgres(transaction) => {
                let (sql, values) = select.lock_exclusive().build_sqlx(PostgresQueryBuilder);
                let rows =
                    sqlx::query_with(AssertSqlSafe(sql), values).fetch_all(&mut **transaction).await.map_err(failed)?;
                rows.iter().map(|row| postgres::read(layout, row)).collect()
            }
        }
    }

    /// Changes rows and reads what the statement returns of them.
    pub(super) async fn change(&mut self, layout: &Layout, statement: &Statement) -> Result<Vec<Row>, EntityError> {
        let failed = |e| EntityError::database(layout.entity, e);
        match self {
            Self::Sqlite(transaction) => {
                let (sql, values) = statement.sqlite();
                let rows =
                    sqlx::query_with(AssertSqlSafe(sql), values).fetch_all(&mut **transaction).await.map_err(failed)?;
                rows.iter().map(|row| sqlite::read(layout, row)).collect()
            }
            Self::Postgres(transaction) => {
                let (sql, values) = statement.postgres();
                let rows =
                    sqlx::query_with(AssertSqlSafe(sql), values).fetch_all(&mut **transaction).await.map_err(failed)?;
                rows.iter().map(|row| postgres::read(layout, row)).collect()
            }
        }
    }

    pub(super) async fn commit(self, layout: &Layout) -> Result<(), EntityError> {
        let done = match self {
            Self::Sqlite(transaction) => transaction.commit().await,
            Self::Postgres(transaction) => transaction.commit().await,
        };
        done.map_err(|e| EntityError::database(layout.entity, e))
    }
}
