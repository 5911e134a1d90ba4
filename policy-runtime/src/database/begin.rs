//! The beginning of transactions in SQLite, also on a connection where SQLite ended the one before by itself.
//!
//! In: a pool. Out: a transaction. Absent: what is done in it.

use sqlx::{Connection as _, SqlSafeStr as _, Sqlite, SqlitePool, Transaction};

/// Begins a transaction.
///
/// SQLite ends one by itself where the disk is full or fails, or a trigger says so. sqlx goes on counting it, and since its
/// rollback then finds nothing, that connection would never begin another; it is put right here.
pub(crate) async fn begin(
    pool: &SqlitePool,
    statement: &'static str,
) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    if connection.is_in_transaction() {
        // What is rolled back must have begun; where it has, this fails and changes nothing.
        let _ = sqlx::raw_sql("BEGIN").execute(&mut *connection).await;
        // None begins within another, and what does not begin is rolled back.
        let _ = connection.begin_with("BEGIN").await;
    }
    Transaction::begin(connection, Some(statement.into_sql_str())).await
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use sqlx::sqlite::SqlitePoolOptions;

    use super::*;

    #[tokio::test]
    async fn a_connection_begins_again_after_sqlite_has_rolled_back_by_itself() {
        let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
        let schema = "CREATE TABLE t (n INTEGER); \
            CREATE TRIGGER cut BEFORE INSERT ON t WHEN NEW.n = 1 BEGIN SELECT RAISE(ROLLBACK, 'gone'); END";
        sqlx::raw_sql(schema).execute(&pool).await.unwrap();
        for _ in 0..3 {
            let mut cut = begin(&pool, "BEGIN IMMEDIATE").await.unwrap();
            sqlx::query("INSERT INTO t VALUES (0)").execute(&mut *cut).await.unwrap();
            sqlx::query("INSERT INTO t VALUES (1)").execute(&mut *cut).await.unwrap_err();
            drop(cut);
        }
        let mut whole = begin(&pool, "BEGIN IMMEDIATE").await.unwrap();
        sqlx::query("INSERT INTO t VALUES (2)").execute(&mut *whole).await.unwrap();
        whole.commit().await.unwrap();
        let stored: Vec<i64> = sqlx::query_scalar("SELECT n FROM t").fetch_all(&pool).await.unwrap();
        assert_eq!(stored, [2]);
    }
}
