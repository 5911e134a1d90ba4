//! Tables of SQLite and PostgreSQL for the oracle of filters.
//!
//! In: rows of `policy_core::testing`. Out: [`Rows`] over a database in memory, and over a server. Absent: what the rows should
//! be; the oracle decides that.

use std::collections::BTreeSet;

use policy_core::filter::Predicate;
use policy_core::filter::sql::Render;
use policy_core::kind::Kind;
use policy_core::table::{Dialect, Table};
use policy_core::testing::{Cell, Row, Rows, address, columns, json, micros};
use policy_core::value::{Value, uuid_text};
use sea_query::{
    Alias, Condition, Expr, ExprTrait as _, InsertStatement, PostgresQueryBuilder, Query, SelectStatement,
    SqliteQueryBuilder,
};
use sea_query_sqlx::SqlxBinder as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _};
use tokio::runtime::{Builder, Runtime};

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn runtime() -> Result<Runtime, String> {
    Builder::new_current_thread().enable_all().build().map_err(text)
}

/// Both databases: SQLite in memory, and PostgreSQL at a URL.
///
/// # Errors
/// When one cannot be opened.
pub fn databases(postgres: Option<&str>) -> Result<Vec<Box<dyn Rows>>, String> {
    let mut out: Vec<Box<dyn Rows>> = vec![Box::new(Sqlite::new()?)];
    if let Some(url) = postgres {
        out.push(Box::new(Postgres::new(url)?));
    }
    Ok(out)
}

fn query(table: &Table, predicate: &Predicate, negated: bool, dialect: Dialect) -> SelectStatement {
    let condition = Render::new(table, dialect).condition(predicate);
    let condition: Condition = if negated { condition.not() } else { condition };
    let id = table.id_column().map_or("id", |column| &*column.name);
    Query::select().column(Alias::new(id)).from(Alias::new(&*table.name)).cond_where(condition).take()
}

fn create(table: &Table, dialect: Dialect) -> String {
    let columns = columns(table, dialect);
    let columns: Vec<String> =
        columns.iter().map(|(name, ty)| format!("\"{}\" {ty}", name.replace('"', "\"\""))).collect();
    format!("CREATE TABLE \"{}\" ({})", table.name, columns.join(", "))
}

fn insert(table: &Table, row: &Row, write: impl Fn(&Kind, &Cell) -> Expr) -> Result<InsertStatement, String> {
    let cells = table.columns.iter().map(|column| write(&column.ty.kind, row.cell(&column.attribute)));
    let mut insert = Query::insert();
    insert.into_table(Alias::new(&*table.name)).columns(table.columns.iter().map(|c| Alias::new(&*c.name)));
    insert.values(cells).map_err(text)?;
    Ok(insert)
}

/// A database in memory.
struct Sqlite {
    runtime: Runtime,
    connection: SqliteConnection,
}

impl Sqlite {
    fn new() -> Result<Self, String> {
        let runtime = runtime()?;
        let options = SqliteConnectOptions::new().in_memory(true).statement_cache_capacity(0);
        let connection = runtime.block_on(options.connect()).map_err(text)?;
        Ok(Self { runtime, connection })
    }
}

impl Rows for Sqlite {
    fn name(&self) -> &'static str {
        "SQLite"
    }

    fn load(&mut self, table: &Table, rows: &[Row]) -> Result<(), String> {
        self.runtime.block_on(async {
            let drop = format!("DROP TABLE IF EXISTS \"{}\"", table.name);
            sqlx::query(AssertSqlSafe(drop)).execute(&mut self.connection).await.map_err(text)?;
            let create = create(table, Dialect::Sqlite);
            sqlx::query(AssertSqlSafe(create)).execute(&mut self.connection).await.map_err(text)?;
            for row in rows {
                let insert = insert(table, row, |kind, cell| for_sqlite(kind, cell, row))?;
                let (sql, values) = insert.build_sqlx(SqliteQueryBuilder);
                sqlx::query_with(AssertSqlSafe(sql), values).execute(&mut self.connection).await.map_err(text)?;
            }
            Ok(())
        })
    }

    fn ids(&mut self, table: &Table, predicate: &Predicate, negated: bool) -> Result<BTreeSet<String>, String> {
        let (sql, values) = query(table, predicate, negated, Dialect::Sqlite).build_sqlx(SqliteQueryBuilder);
        let rows = sqlx::query_with(AssertSqlSafe(sql.clone()), values).fetch_all(&mut self.connection);
        let rows = self.runtime.block_on(rows).map_err(|e| format!("{e}\n{sql}"))?;
        rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(text)
    }
}

fn for_sqlite(kind: &Kind, cell: &Cell, row: &Row) -> Expr {
    match cell {
        Cell::Absent => Expr::null(),
        Cell::Odd => Expr::val("odd!"),
        Cell::Value(value) => match (kind, value) {
            (_, Value::Bool(b)) => Expr::val(*b),
            (_, Value::Long(n)) => Expr::val(*n),
            (_, Value::Decimal(d)) => Expr::val(d.scaled()),
            (_, Value::Text(t)) => Expr::val(&**t),
            (_, Value::Uuid(uuid)) => Expr::val(uuid_text(*uuid)),
            (_, Value::Datetime(at)) => Expr::val(micros(*at, row.fine)),
            (_, Value::Ip(ip)) => Expr::val(address(ip.address()).to_vec()),
            (_, value @ (Value::Set(_) | Value::Record(_))) => Expr::val(json(value, row.fine, row.holes).to_string()),
        },
    }
}

/// A database of a server.
struct Postgres {
    runtime: Runtime,
    connection: PgConnection,
}

impl Postgres {
    fn new(url: &str) -> Result<Self, String> {
        let runtime = runtime()?;
        let options: PgConnectOptions = url.parse().map_err(text)?;
        let connection = runtime.block_on(options.statement_cache_capacity(0).connect()).map_err(text)?;
        Ok(Self { runtime, connection })
    }
}

impl Rows for Postgres {
    fn name(&self) -> &'static str {
        "PostgreSQL"
    }

    fn load(&mut self, table: &Table, rows: &[Row]) -> Result<(), String> {
        self.runtime.block_on(async {
            // It belongs to this connection alone, and goes with it.
            let drop = format!("DROP TABLE IF EXISTS pg_temp.\"{}\"", table.name);
            sqlx::query(AssertSqlSafe(drop)).execute(&mut self.connection).await.map_err(text)?;
            let create = create(table, Dialect::Postgres).replacen("TABLE", "TEMPORARY TABLE", 1);
            sqlx::query(AssertSqlSafe(create)).execute(&mut self.connection).await.map_err(text)?;
            for row in rows {
                let insert = insert(table, row, |kind, cell| for_postgres(kind, cell, row))?;
                let (sql, values) = insert.build_sqlx(PostgresQueryBuilder);
                sqlx::query_with(AssertSqlSafe(sql), values).execute(&mut self.connection).await.map_err(text)?;
            }
            Ok(())
        })
    }

    fn ids(&mut self, table: &Table, predicate: &Predicate, negated: bool) -> Result<BTreeSet<String>, String> {
        let (sql, values) = query(table, predicate, negated, Dialect::Postgres).build_sqlx(PostgresQueryBuilder);
        let rows = sqlx::query_with(AssertSqlSafe(sql.clone()), values).fetch_all(&mut self.connection);
        let rows = self.runtime.block_on(rows).map_err(|e| format!("{e}\n{sql}"))?;
        rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(text)
    }
}

/// Every value as PostgreSQL reads it from text.
fn for_postgres(kind: &Kind, cell: &Cell, row: &Row) -> Expr {
    let ty = policy_core::table::column_type(kind, Dialect::Postgres);
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
