//! Random rows in a temporary table of SQLite or PostgreSQL, and which of them a condition finds.
//!
//! In: rows of `policy_core::testing`. Out: ids. Absent: what the rows should be; the oracle decides that.

use std::collections::BTreeSet;

use policy_core::filter::Predicate;
use policy_core::filter::sql::Render;
use policy_core::kind::Kind;
use policy_core::table::{Dialect, Table, column_type};
use policy_core::testing::{Cell, Row, address, columns, json, micros};
use policy_core::value::{Value, uuid_text};
use sea_query::{
    Alias, Expr, ExprTrait as _, InsertStatement, PostgresQueryBuilder, Query, SqliteQueryBuilder, TableRef,
};
use sea_query_sqlx::SqlxBinder as _;
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Postgres, QueryBuilder, Row as _, Sqlite};

use crate::entity::Pool;
use crate::filter::push;

/// One connection, on which a table can be laid over the one of its name, for as long as it is needed.
///
/// ```
/// use policy_core::filter::Predicate;
/// use policy_core::table::Table;
/// use policy_core::testing::fitting;
/// use policy_runtime::entity::Pool;
/// use policy_runtime::testing::Scratch;
///
/// async fn all_are_found(pool: &Pool, table: &Table) -> Result<(), String> {
///     let mut scratch = Scratch::on(pool).await?;
///     let always = Predicate::Const(true);
///     scratch.load(table, &fitting(table, &[always.clone()], 20, 1)).await?;
///     assert_eq!(scratch.ids(table, &always, false).await?.len(), 20);
///     scratch.clear(table).await
/// }
/// ```
#[derive(Debug)]
pub struct Scratch {
    connection: Connection,
}

#[derive(Debug)]
enum Connection {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

impl Scratch {
    /// Takes a connection.
    ///
    /// # Errors
    /// What the database says, here and in all that follows.
    pub async fn on(pool: &Pool) -> Result<Self, String> {
        let connection = match (pool.sqlite(), pool.postgres()) {
            (Some(pool), _) => Connection::Sqlite(pool.acquire().await.map_err(said)?),
            (_, Some(pool)) => Connection::Postgres(pool.acquire().await.map_err(said)?),
            (None, None) => return Err("there is no database".to_owned()),
        };
        Ok(Self { connection })
    }

    /// The SQL that is spoken here.
    pub const fn dialect(&self) -> Dialect {
        match self.connection {
            Connection::Sqlite(_) => Dialect::Sqlite,
            Connection::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Lays a table with these rows over the one of its name; only this connection sees it.
    ///
    /// # Errors
    /// What the database says.
    pub async fn load(&mut self, table: &Table, rows: &[Row]) -> Result<(), String> {
        self.clear(table).await?;
        let dialect = self.dialect();
        let columns = columns(table, dialect);
        let columns: Vec<String> = columns.iter().map(|(name, ty)| format!("{} {ty}", quoted(name))).collect();
        self.run(format!("CREATE TEMPORARY TABLE {} ({})", quoted(&table.name), columns.join(", "))).await?;
        for row in rows {
            let insert = insert(table, row, dialect)?;
            match &mut self.connection {
                Connection::Sqlite(connection) => {
                    let (sql, values) = insert.build_sqlx(SqliteQueryBuilder);
                    sqlx::query_with(AssertSqlSafe(sql), values).execute(&mut **connection).await.map_err(said)?;
                }
                Connection::Postgres(connection) => {
                    let (sql, values) = insert.build_sqlx(PostgresQueryBuilder);
                    let query = sqlx::query_with(AssertSqlSafe(sql), values).persistent(false);
                    query.execute(&mut **connection).await.map_err(said)?;
                }
            }
        }
        Ok(())
    }

    /// Takes the table away again.
    ///
    /// # Errors
    /// What the database says.
    pub async fn clear(&mut self, table: &Table) -> Result<(), String> {
        let schema = match self.dialect() {
            Dialect::Sqlite => "temp",
            Dialect::Postgres => "pg_temp",
        };
        self.run(format!("DROP TABLE IF EXISTS {schema}.{}", quoted(&table.name))).await
    }

    async fn run(&mut self, sql: String) -> Result<(), String> {
        let sql = AssertSqlSafe(sql);
        match &mut self.connection {
            Connection::Sqlite(connection) => {
                sqlx::query(sql).execute(&mut **connection).await.map(|_| ()).map_err(said)
            }
            Connection::Postgres(connection) => {
                sqlx::query(sql).persistent(false).execute(&mut **connection).await.map(|_| ()).map_err(said)
            }
        }
    }

    /// The ids of the rows for which the condition of the predicate holds, or for which `not` of it does.
    ///
    /// # Errors
    /// What the database says.
    pub async fn ids(
        &mut self,
        table: &Table,
        predicate: &Predicate,
        negated: bool,
    ) -> Result<BTreeSet<String>, String> {
        let render = Render::new(table, self.dialect());
        let condition = if negated { render } else { render.only_true() }.condition(predicate);
        let id = Alias::new(table.id_column().map_or("id", |column| &*column.name));
        let name = Alias::new(&*table.name);
        let from: TableRef = match &table.schema {
            Some(schema) => (Alias::new(&**schema), name.clone()).into(),
            None => name.clone().into(),
        };
        let mut select = Query::select();
        select.expr(Expr::col((name, id)).cast_as("text")).from(from);
        // One as repositories write it, one as programs do, into a query of their own.
        match &mut self.connection {
            Connection::Sqlite(connection) => {
                let rows = if negated {
                    let mut query = QueryBuilder::<Sqlite>::new(select.to_string(SqliteQueryBuilder));
                    push(&condition, query.push(" WHERE NOT "));
                    query.build().persistent(false).fetch_all(&mut **connection).await
                } else {
                    let (sql, values) = select.cond_where(condition).build_sqlx(SqliteQueryBuilder);
                    let query = sqlx::query_with(AssertSqlSafe(sql), values).persistent(false);
                    query.fetch_all(&mut **connection).await
                };
                rows.map_err(said)?.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(said)
            }
            Connection::Postgres(connection) => {
                let rows = if negated {
                    let mut query = QueryBuilder::<Postgres>::new(select.to_string(PostgresQueryBuilder));
                    push(&condition, query.push(" WHERE NOT "));
                    query.build().persistent(false).fetch_all(&mut **connection).await
                } else {
                    let (sql, values) = select.cond_where(condition).build_sqlx(PostgresQueryBuilder);
                    let query = sqlx::query_with(AssertSqlSafe(sql), values).persistent(false);
                    query.fetch_all(&mut **connection).await
                };
                rows.map_err(said)?.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(said)
            }
        }
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn insert(table: &Table, row: &Row, dialect: Dialect) -> Result<InsertStatement, String> {
    let cells = table.columns.iter().map(|column| match dialect {
        Dialect::Sqlite => for_sqlite(row.cell(&column.attribute), row),
        Dialect::Postgres => for_postgres(&column.ty.kind, row.cell(&column.attribute), row),
    });
    let mut insert = Query::insert();
    insert.into_table(Alias::new(&*table.name)).columns(table.columns.iter().map(|c| Alias::new(&*c.name)));
    insert.values(cells).map_err(said)?;
    Ok(insert)
}

fn for_sqlite(cell: &Cell, row: &Row) -> Expr {
    match cell {
        Cell::Absent => Expr::null(),
        Cell::Odd => Expr::val("odd!"),
        Cell::Value(value) => match value {
            Value::Bool(b) => Expr::val(*b),
            Value::Long(n) => Expr::val(*n),
            Value::Decimal(d) => Expr::val(d.scaled()),
            Value::Text(t) => Expr::val(&**t),
            Value::Uuid(uuid) => Expr::val(uuid_text(*uuid)),
            Value::Datetime(at) => Expr::val(micros(*at, row.fine)),
            Value::Ip(ip) => Expr::val(address(ip.address()).to_vec()),
            Value::Set(_) | Value::Record(_) => Expr::val(json(value, row.fine, row.holes).to_string()),
        },
    }
}

/// Every value as PostgreSQL reads it from text.
fn for_postgres(kind: &Kind, cell: &Cell, row: &Row) -> Expr {
    let ty = column_type(kind, Dialect::Postgres);
    let read = |text: String| Expr::val(text).cast_as(Alias::new(ty.clone()));
    match cell {
        Cell::Absent => Expr::null(),
        Cell::Odd => read(match kind {
            Kind::Decimal => "NaN".to_owned(),
            Kind::Datetime => "infinity".to_owned(),
            Kind::Ip => "10.0.0.0/8".to_owned(),
            Kind::Bool | Kind::Long | Kind::Text | Kind::Uuid | Kind::Enum(_) | Kind::Set(_) | Kind::Record(_) => {
                "odd!".to_owned()
            }
        }),
        Cell::Value(Value::Set(items)) if matches!(kind, Kind::Set(of) if of.is_scalar()) => {
            let quoted =
                |item: &Value| format!("\"{}\"", scalar(item, row.fine).replace('\\', "\\\\").replace('"', "\\\""));
            let items = items.iter().map(quoted).chain(row.holes.then(|| "NULL".to_owned()));
            read(format!("{{{}}}", items.collect::<Vec<_>>().join(",")))
        }
        Cell::Value(value @ (Value::Set(_) | Value::Record(_))) => read(json(value, row.fine, row.holes).to_string()),
        Cell::Value(value) => read(scalar(value, row.fine)),
    }
}

fn scalar(value: &Value, fine: i64) -> String {
    match value {
        Value::Bool(b) => b.to_string(),
        Value::Long(n) => n.to_string(),
        Value::Decimal(d) => d.to_string(),
        Value::Text(t) => t.to_string(),
        Value::Uuid(uuid) => uuid_text(*uuid),
        Value::Datetime(at) => policy_core::filter::sql::timestamp(micros(*at, fine)),
        Value::Ip(ip) => ip.to_string(),
        Value::Set(_) | Value::Record(_) => String::new(),
    }
}
