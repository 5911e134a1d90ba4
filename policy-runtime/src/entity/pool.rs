//! The door to the databases: connections, statements, transactions.
//!
//! In: statements that `sea_query` built, so that every value is bound. Out: rows as cells. Absent: which rows, and for whom.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt as _};
use policy_core::table::Dialect;
use sea_query::{
    DeleteStatement, InsertStatement, PostgresQueryBuilder, SelectStatement, SqliteQueryBuilder, TableCreateStatement,
    UpdateStatement,
};
use sea_query_sqlx::{SqlxBinder as _, SqlxValues};
use sqlx::{AssertSqlSafe, PgPool, Postgres, Sqlite, SqlitePool};

use super::error::EntityError;
use super::layout::{Layout, Row};
use super::{postgres, sqlite};
use crate::database;

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
    limit: Duration,
}

/// How long a statement may take.
const LIMIT: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
enum Kind {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl From<SqlitePool> for Pool {
    fn from(pool: SqlitePool) -> Self {
        Self { kind: Kind::Sqlite(pool), limit: LIMIT }
    }
}

impl From<PgPool> for Pool {
    fn from(pool: PgPool) -> Self {
        Self { kind: Kind::Postgres(pool), limit: LIMIT }
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

    /// Sets how long a statement may take.
    pub(super) const fn limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    pub(super) async fn rows(&self, layout: &Layout, select: &SelectStatement) -> Result<Vec<Row>, EntityError> {
        match &self.kind {
            Kind::Sqlite(pool) => {
                let (sql, values) = select.build_sqlx(SqliteQueryBuilder);
                let rows = sqlx::query_with(AssertSqlSafe(sql), values).fetch_all(pool);
                within(self.limit, layout, rows).await?.iter().map(|row| sqlite::read(layout, row)).collect()
            }
            Kind::Postgres(pool) => {
                let (sql, values) = select.build_sqlx(PostgresQueryBuilder);
                let rows = sqlx::query_with(AssertSqlSafe(sql), values).fetch_all(pool);
                within(self.limit, layout, rows).await?.iter().map(|row| postgres::read(layout, row)).collect()
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
                within(self.limit, layout, sqlx::query_scalar_with(AssertSqlSafe(sql), values).fetch_one(pool)).await
            }
            Kind::Postgres(pool) => {
                let (sql, values) = select.build_sqlx(PostgresQueryBuilder);
                within(self.limit, layout, sqlx::query_scalar_with(AssertSqlSafe(sql), values).fetch_one(pool)).await
            }
        };
        counted.map(|n: i64| u64::try_from(n).unwrap_or_default())
    }

    /// Begins a transaction that writes: in SQLite it holds the one place for writers from now on, so that nothing that it
    /// has read can change; in PostgreSQL the rows that it reads are to be locked by it.
    pub(super) async fn begin(&self, layout: &Layout) -> Result<Transaction, EntityError> {
        self.transaction(layout, "BEGIN IMMEDIATE", "BEGIN ISOLATION LEVEL READ COMMITTED").await
    }

    /// Begins a transaction that reads, and in which nothing changes between its statements.
    pub(super) async fn snapshot(&self, layout: &Layout) -> Result<Transaction, EntityError> {
        self.transaction(layout, "BEGIN DEFERRED", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await
    }

    async fn transaction(
        &self,
        layout: &Layout,
        sqlite: &'static str,
        postgres: &str,
    ) -> Result<Transaction, EntityError> {
        let kind = match &self.kind {
            Kind::Sqlite(pool) => Begun::Sqlite(within(self.limit, layout, database::begin(pool, sqlite)).await?),
            Kind::Postgres(pool) => {
                // The server ends a statement too, and not only the wait for it.
                let millis = i32::try_from(self.limit.as_millis()).unwrap_or(i32::MAX);
                let sql = AssertSqlSafe(format!("{postgres}; SET LOCAL statement_timeout = {millis}"));
                Begun::Postgres(within(self.limit, layout, pool.begin_with(sql)).await?)
            }
        };
        Ok(Transaction { kind, limit: self.limit })
    }
}

/// Waits no longer than that for the database.
async fn within<T>(
    limit: Duration,
    layout: &Layout,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, EntityError> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done.map_err(|error| EntityError::database(layout.entity, error)),
        Err(_) => Err(EntityError::Timeout { entity: layout.entity }),
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
pub(super) struct Transaction {
    kind: Begun,
    limit: Duration,
}

#[derive(Debug)]
enum Begun {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(sqlx::Transaction<'static, Postgres>),
}

impl Transaction {
    pub(super) async fn rows(&mut self, layout: &Layout, select: &SelectStatement) -> Result<Vec<Row>, EntityError> {
        let built = match &self.kind {
            Begun::Sqlite(_) => select.build_sqlx(SqliteQueryBuilder),
            Begun::Postgres(_) => select.build_sqlx(PostgresQueryBuilder),
        };
        self.run(layout, built).await
    }

    /// Reads rows and, in PostgreSQL, locks them until the end.
    pub(super) async fn lock(&mut self, layout: &Layout, mut select: SelectStatement) -> Result<Vec<Row>, EntityError> {
        if matches!(self.kind, Begun::Postgres(_)) {
            select.lock_exclusive();
        }
        self.rows(layout, &select).await
    }

    /// Changes rows and reads what the statement returns of them.
    pub(super) async fn change(&mut self, layout: &Layout, statement: &Statement) -> Result<Vec<Row>, EntityError> {
        let built = match &self.kind {
            Begun::Sqlite(_) => statement.sqlite(),
            Begun::Postgres(_) => statement.postgres(),
        };
        self.run(layout, built).await
    }

    async fn run(&mut self, layout: &Layout, (sql, values): (String, SqlxValues)) -> Result<Vec<Row>, EntityError> {
        let query = AssertSqlSafe(sql);
        match &mut self.kind {
            Begun::Sqlite(transaction) => {
                let rows = sqlx::query_with(query, values).fetch_all(&mut **transaction);
                within(self.limit, layout, rows).await?.iter().map(|row| sqlite::read(layout, row)).collect()
            }
            Begun::Postgres(transaction) => {
                let rows = sqlx::query_with(query, values).fetch_all(&mut **transaction);
                within(self.limit, layout, rows).await?.iter().map(|row| postgres::read(layout, row)).collect()
            }
        }
    }

    pub(super) async fn count(&mut self, layout: &Layout, select: &SelectStatement) -> Result<u64, EntityError> {
        let counted = match &mut self.kind {
            Begun::Sqlite(transaction) => {
                let (sql, values) = select.build_sqlx(SqliteQueryBuilder);
                let query = sqlx::query_scalar_with(AssertSqlSafe(sql), values);
                within(self.limit, layout, query.fetch_one(&mut **transaction)).await
            }
            Begun::Postgres(transaction) => {
                let (sql, values) = select.build_sqlx(PostgresQueryBuilder);
                let query = sqlx::query_scalar_with(AssertSqlSafe(sql), values);
                within(self.limit, layout, query.fetch_one(&mut **transaction)).await
            }
        };
        counted.map(|n: i64| u64::try_from(n).unwrap_or_default())
    }

    pub(super) async fn commit(self, layout: &Layout) -> Result<(), EntityError> {
        match self.kind {
            Begun::Sqlite(transaction) => within(self.limit, layout, transaction.commit()).await,
            Begun::Postgres(transaction) => within(self.limit, layout, transaction.commit()).await,
        }
    }
}
