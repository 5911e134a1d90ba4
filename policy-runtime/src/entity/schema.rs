//! Whether a table is what the struct says, looked at before the first row is.
//!
//! In: a layout and the catalogue of the database. Out: what the database vouches for, or everything that does not fit.
//! Absent: migrations; [`create`] is for tests, examples and first steps.

use policy_core::filter::sql::Assured;
use policy_core::kind::Kind;
use policy_core::table::{Dialect, column_type};
use sea_query::{Alias, ColumnDef, Expr, ExprTrait as _, Func, Table, TableCreateStatement};
use sqlx::{PgPool, Row as _, SqlitePool};

use super::layout::{Column, Layout};
use super::pool::Pool;

/// Why a table cannot hold the rows of an entity.
///
/// ```
/// use policy_runtime::entity::SchemaError;
/// fn differences(error: &SchemaError) -> usize {
///     if let SchemaError::Differs { findings, .. } = error { findings.len() } else { 0 }
/// }
/// assert_eq!(differences(&SchemaError::Randomness), 0);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// The annotations do not hold together.
    #[error(transparent)]
    Declared(#[from] policy_core::table::TableError),
    /// The table is not what the struct says.
    #[error("the table `{table}` is not what `{entity}` says:\n{}", .findings.join("\n"))]
    Differs {
        /// The entity's type.
        entity: &'static str,
        /// The table.
        table: String,
        /// Everything that does not fit.
        findings: Vec<String>,
    },
    /// The database cannot be asked.
    #[error("the database cannot be asked about the table `{0}`")]
    Database(String),
    /// The system gave no randomness for the key of cursors.
    #[error("there is no randomness to make a key of")]
    Randomness,
}

/// A column as the database has it.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is one fact of a catalogue")]
struct Found {
    name: String,
    ty: String,
    nullable: bool,
    /// A collation that folds, or may call different texts the same.
    folds: bool,
    has_default: bool,
    /// In SQLite: whether the table is STRICT, and holds in each column nothing but values of its type.
    strict: bool,
    /// In SQLite: whether the table checks that the column is an array of JSON.
    array: bool,
}

/// Compares a table with a layout.
pub(super) async fn check(database: &Pool, layout: &Layout) -> Result<Vec<Assured>, SchemaError> {
    let dialect = database.dialect();
    let mut findings = Vec::new();
    let table = match &layout.table.schema {
        Some(schema) => format!("{schema}.{}", layout.table.name),
        None => layout.table.name.to_string(),
    };
    let lost = |error: sqlx::Error| {
        tracing::error!(target: "policy::entity", entity = layout.entity, error = %error, "a table cannot be looked at");
        SchemaError::Database(table.clone())
    };
    let (columns, unique) = match (database.sqlite(), database.postgres()) {
        (Some(pool), _) => sqlite(pool, layout, &mut findings).await.map_err(lost)?,
        (_, Some(pool)) => postgres(pool, &table, layout).await.map_err(lost)?,
        (None, None) => (Vec::new(), false),
    };
    if columns.is_empty() {
        findings.push("there is no such table".to_owned());
    } else if !unique {
        let id = layout.id().map_or("", |column| &*column.name);
        findings
            .push(format!("`{id}` is the id and is not unique: it needs a primary key or a unique index of its own"));
    }
    let mut assured = Vec::with_capacity(layout.columns.len());
    for column in layout.columns.iter().filter(|_| !columns.is_empty()) {
        match columns.iter().find(|found| *found.name == *column.name) {
            None => findings.push(format!("there is no column `{}`", column.name)),
            Some(found) => {
                findings.extend(differs(column, found, dialect));
                assured.push(vouched(column, found, dialect));
            }
        }
    }
    for found in &columns {
        if !found.nullable && !found.has_default && !layout.columns.iter().any(|column| *column.name == *found.name) {
            findings
                .push(format!("`{}` must have a value, and no field of `{}` gives it one", found.name, layout.entity));
        }
    }
    if findings.is_empty() { Ok(assured) } else { Err(SchemaError::Differs { entity: layout.entity, table, findings }) }
}

fn wanted_type(column: &Column, dialect: Dialect) -> String {
    match (column.kind(), dialect) {
        (Some(kind), dialect) => column_type(kind, dialect),
        (None, Dialect::Postgres) => "JSONB".to_owned(),
        (None, Dialect::Sqlite) => "TEXT".to_owned(),
    }
}

fn differs(column: &Column, found: &Found, dialect: Dialect) -> Vec<String> {
    let mut out = Vec::new();
    let wanted = wanted_type(column, dialect);
    if !same_type(&wanted, &found.ty, dialect) {
        out.push(format!("`{}` is {} and has to be {wanted}", column.name, found.ty));
    }
    if found.nullable && !column.optional() {
        out.push(format!(
            "`{}` may be NULL, and `{}` is always there: write `NOT NULL`, or `Option<..>`",
            column.name, column.field
        ));
    }
    if !found.nullable && column.optional() && column.ty.is_some() {
        out.push(format!("`{}` is NOT NULL, and `{}` may be absent", column.name, column.field));
    }
    if found.folds {
        out.push(format!("`{}` has a collation in which different texts are the same", column.name));
    }
    out
}

fn same_type(wanted: &str, found: &str, dialect: Dialect) -> bool {
    let found = found.to_ascii_uppercase();
    match dialect {
        Dialect::Postgres => {
            let array = |ty: &str| ty.strip_suffix("[]").map(str::to_owned);
            match (array(wanted), array(&found)) {
                (Some(wanted), Some(found)) => postgres_type(&wanted, &found),
                (None, None) => postgres_type(wanted, &found),
                (Some(_), None) | (None, Some(_)) => false,
            }
        }
        Dialect::Sqlite => match wanted {
            "BOOLEAN" => matches!(found.as_str(), "BOOLEAN" | "BOOL" | "INTEGER" | "INT"),
            "BIGINT" => found.contains("INT"),
            "BLOB" => found == "BLOB",
            _ => matches!(found.as_str(), "TEXT" | "JSON") || found.starts_with("VARCHAR"),
        },
    }
}

fn postgres_type(wanted: &str, found: &str) -> bool {
    match wanted {
        "BIGINT" => matches!(found, "BIGINT" | "INTEGER" | "SMALLINT"),
        "TIMESTAMPTZ" => found.starts_with("TIMESTAMP") && found.ends_with("WITH TIME ZONE"),
        "TEXT" => found == "TEXT" || found.starts_with("CHARACTER VARYING"),
        "NUMERIC(19, 4)" => found == "NUMERIC" || found.starts_with("NUMERIC("),
        "JSONB" => matches!(found, "JSONB" | "JSON"),
        other => other == found,
    }
}

/// What need not be asked of each row: types that hold nothing but values of the kind.
fn vouched(column: &Column, found: &Found, dialect: Dialect) -> Assured {
    let typed = match (dialect, column.kind()) {
        (Dialect::Postgres, Some(Kind::Bool | Kind::Long | Kind::Text | Kind::Uuid)) => true,
        (Dialect::Sqlite, Some(Kind::Long | Kind::Decimal | Kind::Text)) => found.strict,
        (Dialect::Postgres | Dialect::Sqlite, _) => false,
    };
    Assured { not_null: !found.nullable, typed, array: found.array }
}

/// What checks in SQLite that a column is an array of JSON, or NULL; what is no JSON is an error.
fn is_array(column: &str) -> Expr {
    Expr::from(Func::cust("json_type").arg(Expr::col(Alias::new(column)))).eq("array")
}

/// Whether the text of a table has that check of a column, as [`create`] writes it. Nothing is believed of a text with comments.
fn checks_array(text: &str, column: &str) -> bool {
    let commented = text.contains("--") || text.contains("/*");
    !commented && text.contains(&format!("CHECK (json_type(\"{column}\") = 'array')"))
}

async fn sqlite(
    pool: &SqlitePool,
    layout: &Layout,
    findings: &mut Vec<String>,
) -> Result<(Vec<Found>, bool), sqlx::Error> {
    let table = &*layout.table.name;
    if layout.table.schema.is_some() {
        findings.push("SQLite has no schemas: name the table alone".to_owned());
    }
    let rows = sqlx::query("SELECT name, type, \"notnull\", pk, dflt_value FROM pragma_table_info(?)")
        .bind(table)
        .fetch_all(pool)
        .await?;
    let sql: Option<String> =
        sqlx::query_scalar("SELECT sql FROM sqlite_master WHERE type = 'table' AND lower(name) = lower(?)")
            .bind(table)
            .fetch_optional(pool)
            .await?
            .flatten();
    let strict: Option<i64> = sqlx::query_scalar("SELECT strict FROM pragma_table_list(?) WHERE schema = 'main'")
        .bind(table)
        .fetch_optional(pool)
        .await?;
    // The catalogue does not tell a column's collation, so the table's own text is asked.
    let text = sql.unwrap_or_default();
    let folds = text
        .to_ascii_uppercase()
        .split("COLLATE")
        .skip(1)
        .any(|rest| !rest.trim_start().trim_start_matches(['"', '\'', '[', '`']).starts_with("BINARY"));
    let mut out = Vec::new();
    let (mut keys, mut of_id) = (0, false);
    for row in &rows {
        let (name, pk): (String, i64) = (row.try_get(0)?, row.try_get(3)?);
        keys += usize::from(pk > 0);
        of_id |= pk > 0 && layout.id().is_some_and(|column| *column.name == *name);
        let not_null: i64 = row.try_get(2)?;
        let rowid = pk > 0 && row.try_get::<String, _>(1)?.eq_ignore_ascii_case("INTEGER");
        out.push(Found {
            array: checks_array(&text, &name),
            name,
            ty: row.try_get(1)?,
            nullable: not_null == 0 && !rowid,
            folds,
            has_default: row.try_get::<Option<String>, _>(4)?.is_some() || rowid,
            strict: strict == Some(1),
        });
    }
    let id = layout.id().map_or("", |column| &*column.name);
    let index: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pragma_index_list(?1) AS l WHERE l.\"unique\" = 1 AND l.partial = 0 \
         AND (SELECT group_concat(i.name) FROM pragma_index_info(l.name) AS i) = ?2",
    )
    .bind(table)
    .bind(id)
    .fetch_one(pool)
    .await?;
    Ok((out, (of_id && keys == 1) || index > 0))
}

async fn postgres(pool: &PgPool, table: &str, layout: &Layout) -> Result<(Vec<Found>, bool), sqlx::Error> {
    let schema = layout.table.schema.as_deref();
    let rows = sqlx::query(
        "SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull, \
                coalesce(NOT c.collisdeterministic, false), a.atthasdef OR a.attidentity <> '' \
         FROM pg_attribute a JOIN pg_class t ON t.oid = a.attrelid JOIN pg_namespace n ON n.oid = t.relnamespace \
         LEFT JOIN pg_collation c ON c.oid = a.attcollation \
         WHERE t.relname = $1 AND t.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped \
           AND CASE WHEN $2::text IS NULL THEN pg_table_is_visible(t.oid) ELSE n.nspname = $2 END \
         ORDER BY a.attnum",
    )
    .bind(&*layout.table.name)
    .bind(schema)
    .fetch_all(pool)
    .await?;
    let mut out = Vec::new();
    for row in &rows {
        out.push(Found {
            name: row.try_get(0)?,
            ty: row.try_get(1)?,
            nullable: !row.try_get::<bool, _>(2)?,
            folds: row.try_get(3)?,
            has_default: row.try_get(4)?,
            strict: false,
            array: false,
        });
    }
    let id = layout.id().map_or("", |column| &*column.name);
    let unique: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace \
         JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = i.indkey[0] \
         WHERE t.relname = $1 AND i.indisunique AND i.indpred IS NULL AND i.indimmediate AND i.indnkeyatts = 1 AND a.attname = $3 \
           AND CASE WHEN $2::text IS NULL THEN pg_table_is_visible(t.oid) ELSE n.nspname = $2 END",
    )
    .bind(&*layout.table.name)
    .bind(schema)
    .bind(id)
    .fetch_one(pool)
    .await?;
    let _ = table;
    Ok((out, unique > 0))
}

/// The table that holds an entity's rows.
pub(super) fn create(layout: &Layout, dialect: Dialect) -> TableCreateStatement {
    let mut out = Table::create();
    out.if_not_exists();
    match &layout.table.schema {
        Some(schema) => out.table((Alias::new(&**schema), Alias::new(&*layout.table.name))),
        None => out.table(Alias::new(&*layout.table.name)),
    };
    for (at, column) in layout.columns.iter().enumerate() {
        let mut definition = ColumnDef::new(Alias::new(&*column.name));
        let ty = wanted_type(column, dialect);
        // The types of a STRICT table are few.
        let is_int = dialect == Dialect::Sqlite && matches!(ty.as_str(), "BIGINT" | "BOOLEAN");
        definition.custom(Alias::new(if is_int { "INT".to_owned() } else { ty }));
        if !column.optional() {
            definition.not_null();
        }
        if at == layout.table.id {
            definition.primary_key();
        }
        if dialect == Dialect::Sqlite && matches!(column.kind(), Some(Kind::Set(_))) {
            definition.check(is_array(&column.name));
        }
        out.col(&mut definition);
    }
    if dialect == Dialect::Sqlite {
        out.extra("STRICT");
    }
    out
}
