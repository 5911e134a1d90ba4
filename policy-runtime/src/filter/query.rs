//! The condition inside a query that is text: of plain sqlx, or of anything else that takes text and values.
//!
//! In: an [`Authorized`]. Out: its condition, in parentheses, where the query has got to, every value bound behind those that are
//! bound already. Absent: the rest of the query.

use std::fmt::{self, Write};

use policy_core::table::Dialect;
use sea_query::{
    Condition, Expr, PostgresQueryBuilder, QueryBuilder as Builder, SqlWriter, SqliteQueryBuilder, Value, Values,
};
use sqlx::QueryBuilder;

use super::Authorized;

impl Authorized {
    /// Writes the condition where a query of sqlx has got to, for columns that are written with the name of their table.
    ///
    /// It is in parentheses, so what stands around it cannot reach into it; put it behind an `AND`.
    ///
    /// ```
    /// use policy_runtime::filter::{Operation, authorized};
    /// use policy_runtime::{Entity, Participant, Policy, SecurityContext, abac_policy};
    /// use sqlx::{Postgres, QueryBuilder};
    ///
    /// #[derive(Entity)]
    /// #[entity(namespace = "com.example.letters", table = "letters")]
    /// #[abac_policy(all_read(entity.owner == participant.id))]
    /// struct Letter {
    ///     id: String,
    ///     owner: String,
    /// }
    ///
    /// # #[cfg(feature = "postgres")]
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let policy = Policy::for_application("letters")?;
    /// let bob = Participant::builder(policy.application().clone(), "bob").build();
    /// let cx = SecurityContext::new(&policy, bob.into());
    /// let mut query = QueryBuilder::<Postgres>::new("SELECT id FROM letters WHERE subject LIKE ");
    /// query.push_bind("Re:%").push(" AND ");
    /// authorized::<Letter>(&cx, Operation::Search)?.push_to(&mut query);
    /// let owner = r#"("letters"."owner" = $2 AND "letters"."owner" IS NOT NULL)"#;
    /// assert_eq!(query.sql().as_str(), format!("SELECT id FROM letters WHERE subject LIKE $1 AND {owner}"));
    /// # Ok(())
    /// # }
    /// # #[cfg(feature = "postgres")]
    /// # example().unwrap();
    /// ```
    pub fn push_to<DB: Spoken>(&self, query: &mut QueryBuilder<DB>) {
        push(&self.condition(DB::DIALECT), query);
    }

    /// The condition as text, in parentheses, and its values in their order; in PostgreSQL the placeholders are numbered from
    /// `first`, in SQLite they are all `?`.
    ///
    /// ```
    /// use policy_runtime::filter::{Dialect, Operation, authorized};
    /// use policy_runtime::{Entity, Participant, Policy, SecurityContext, abac_policy};
    ///
    /// #[derive(Entity)]
    /// #[entity(namespace = "com.example.memos")]
    /// #[abac_policy(all_read(entity.owner == participant.id))]
    /// struct Memo {
    ///     id: String,
    ///     owner: String,
    /// }
    ///
    /// let policy = Policy::for_application("memos")?;
    /// let bob = Participant::builder(policy.application().clone(), "bob").build();
    /// let cx = SecurityContext::new(&policy, bob.into());
    /// let (text, values) = authorized::<Memo>(&cx, Operation::Search)?.text(Dialect::Postgres, 3);
    /// assert_eq!(text, r#"("memo"."owner" = $3 AND "memo"."owner" IS NOT NULL)"#);
    /// assert_eq!(values.0, ["bob".into()]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn text(&self, dialect: Dialect, first: usize) -> (String, Values) {
        let parts = Parts::of(&self.condition(dialect), dialect);
        let mut text = String::from("(");
        let mut values = Vec::with_capacity(parts.before.len());
        for (n, (before, value)) in parts.before.into_iter().enumerate() {
            text.push_str(&before);
            match dialect {
                Dialect::Sqlite => text.push('?'),
                Dialect::Postgres => text.extend(["$", &first.saturating_add(n).to_string()]),
            }
            values.push(value);
        }
        text.push_str(&parts.last);
        text.push(')');
        (text, Values(values))
    }
}

/// Writes a condition where a query has got to.
pub(crate) fn push<DB: Spoken>(condition: &Condition, query: &mut QueryBuilder<DB>) {
    let parts = Parts::of(condition, DB::DIALECT);
    query.push("(");
    for (before, value) in parts.before {
        query.push(before);
        DB::bind(query, value);
    }
    query.push(parts.last).push(")");
}

/// A database of sqlx for which there are conditions: SQLite and PostgreSQL.
///
/// ```
/// use policy_runtime::filter::{Authorized, Spoken};
///
/// fn only<DB: Spoken>(mine: &Authorized, query: &mut sqlx::QueryBuilder<DB>) {
///     query.push(" WHERE ");
///     mine.push_to(query);
/// }
/// ```
pub trait Spoken: sealed::Bind {}

impl<DB: sealed::Bind> Spoken for DB {}

mod sealed {
    use super::{Dialect, QueryBuilder, Value};

    #[doc(hidden)]
    #[expect(unnameable_types, reason = "no other database is spoken")]
    pub trait Bind: sqlx::Database {
        const DIALECT: Dialect;

        fn bind(query: &mut QueryBuilder<Self>, value: Value);
    }
}

/// What is bound is what conditions are made with; anything else would be NULL, which equals nothing.
#[cfg(feature = "sqlite")]
impl sealed::Bind for sqlx::Sqlite {
    const DIALECT: Dialect = Dialect::Sqlite;

    #[expect(clippy::wildcard_enum_match_arm, reason = "conditions are made with no others")]
    fn bind(query: &mut QueryBuilder<Self>, value: Value) {
        match value {
            Value::Bool(b) => query.push_bind(b),
            Value::Int(n) => query.push_bind(n),
            Value::BigInt(n) => query.push_bind(n),
            Value::String(text) => query.push_bind(text),
            Value::Bytes(bytes) => query.push_bind(bytes),
            _ => query.push_bind(None::<String>),
        };
    }
}

#[cfg(feature = "postgres")]
impl sealed::Bind for sqlx::Postgres {
    const DIALECT: Dialect = Dialect::Postgres;

    #[expect(clippy::wildcard_enum_match_arm, reason = "conditions are made with no others")]
    fn bind(query: &mut QueryBuilder<Self>, value: Value) {
        use sea_query::{ArrayType, ValueType};

        // An array that is none must not become the empty one, which every set contains.
        fn items<T: ValueType>(array: Value) -> Option<T> {
            T::try_from(array).ok()
        }
        match value {
            Value::Bool(b) => query.push_bind(b),
            Value::Int(n) => query.push_bind(n),
            Value::BigInt(n) => query.push_bind(n),
            Value::String(text) => query.push_bind(text),
            Value::Bytes(bytes) => query.push_bind(bytes),
            array @ Value::Array(ArrayType::Bool, _) => query.push_bind(items::<Vec<bool>>(array)),
            array @ Value::Array(ArrayType::BigInt, _) => query.push_bind(items::<Vec<i64>>(array)),
            array @ Value::Array(ArrayType::String, _) => query.push_bind(items::<Vec<String>>(array)),
            _ => query.push_bind(None::<String>),
        };
    }
}

/// A condition as text that is cut at its values: each with what stands before it.
#[derive(Default)]
struct Parts {
    before: Vec<(String, Value)>,
    last: String,
}

impl Parts {
    fn of(condition: &Condition, dialect: Dialect) -> Self {
        let mut parts = Self::default();
        let condition = Expr::from(condition.clone());
        match dialect {
            Dialect::Sqlite => SqliteQueryBuilder.prepare_expr(&condition, &mut parts),
            Dialect::Postgres => PostgresQueryBuilder.prepare_expr(&condition, &mut parts),
        }
        parts
    }
}

impl Write for Parts {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.last.write_str(text)
    }
}

impl fmt::Display for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.before.iter().try_for_each(|(before, _)| write!(f, "{before}?"))?;
        f.write_str(&self.last)
    }
}

impl SqlWriter for Parts {
    fn push_param<B: Builder>(&mut self, value: Value, _: &B) {
        self.before.push((std::mem::take(&mut self.last), value));
    }

    fn as_writer(&mut self) -> &mut dyn Write {
        self
    }
}
