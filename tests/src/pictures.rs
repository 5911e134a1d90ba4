//! A table of pictures with indexes, and queries of it: with the condition of a policy, and with the same one written by hand.
//!
//! In: a database, a number of rows. Out: [`Case`]s, their plans and times. Absent: what they should be; tests and the benchmark say.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use policy_runtime::entity::{Entities, Pool};
use policy_runtime::filter::{Operation, Spoken};
use policy_runtime::{Entity, Participant, Policy, SecurityContext};
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, Postgres, QueryBuilder, Row as _, Sqlite};

/// Why there is no answer.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// A row; each operation has a rule of another sort.
#[derive(Entity, Serialize, Deserialize, Debug)]
#[serde(rename_all = "camelCase")]
#[entity(namespace = "com.example.pictures", table = "pictures")]
#[abac_policy(find_all(entity.ownerId == participant.id))]
#[abac_policy(search(entity.ownerId == participant.id or entity.sharedWith contains participant.id))]
#[abac_policy(count(entity.company == participant.tenant and entity.size < 1_000))]
#[abac_policy(count_by_query(entity.company == participant.tenant))]
pub struct Picture {
    id: String,
    owner_id: String,
    company: String,
    size: i64,
    shared_with: Vec<String>,
}

/// One rule, and what somebody would write who knew it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Case {
    /// What it is about.
    pub name: &'static str,
    operation: Operation,
    /// `@id`, `@tenant` and `@size` are bound, as in the condition: a plan for a value that stands in the text is made once.
    sqlite: &'static str,
    postgres: &'static str,
}

/// The rules of [`Picture`] that conditions say alone.
pub const CASES: [Case; 3] = [
    Case { name: "the owner's", operation: Operation::FindAll, sqlite: "owner_id = @id", postgres: "owner_id = @id" },
    Case {
        name: "the owner's or shared",
        operation: Operation::Search,
        sqlite: "(owner_id = @id OR EXISTS (SELECT 1 FROM json_each(shared_with) WHERE value = @id))",
        postgres: "(owner_id = @id OR shared_with @> ARRAY[@id])",
    },
    Case {
        name: "the company's small ones",
        operation: Operation::Count,
        sqlite: "company = @tenant AND size < @size",
        postgres: "company = @tenant AND size < @size",
    },
];

/// What a statement found, how it was done, and how long that took each time.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Seen {
    /// How many rows.
    pub count: i64,
    /// The plan, a line each.
    pub plan: Vec<String>,
    times: Vec<Duration>,
}

impl Seen {
    /// The indexes that the plan names.
    pub fn indexes(&self) -> BTreeSet<&'static str> {
        let named = |index: &&str| self.plan.iter().any(|line| line.contains(index));
        ["by_owner", "by_size", "by_shared"].into_iter().filter(named).collect()
    }

    /// The median.
    pub fn time(&self) -> Duration {
        median(self.times.clone())
    }
}

/// The median of times.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// The same lines for each type of connection.
macro_rules! asked {
    ($db:ty, $pool:expr, $mine:expr, $explain:literal, $column:literal, $hand:expr, $turns:expr) => {{
        let mut connection = $pool.acquire().await?;
        let statement = |start: &str, hand: bool| {
            let mut query = QueryBuilder::<$db>::new(format!("{start} SELECT count(*) FROM pictures WHERE "));
            if hand {
                by_hand(&mut query, $hand);
            } else {
                $mine.push_to(&mut query);
            }
            query
        };
        let mut out = [Seen::default(), Seen::default()];
        for (hand, seen) in [false, true].into_iter().zip(&mut out) {
            let rows = statement($explain, hand).build().fetch_all(&mut *connection).await?;
            seen.plan = rows.iter().map(|row| row.try_get($column)).collect::<Result<_, _>>()?;
        }
        for _ in 0..$turns {
            for (hand, seen) in [false, true].into_iter().zip(&mut out) {
                let mut query = statement("", hand);
                let started = Instant::now();
                seen.count = query.build_query_scalar().fetch_one(&mut *connection).await?;
                seen.times.push(started.elapsed());
            }
        }
        Ok(out)
    }};
}

/// A filled table.
#[derive(Debug)]
pub struct Pictures {
    /// The entities of its database.
    pub entities: Entities,
    /// Who asks: an owner of a thousandth of the rows, in a company of a hundredth.
    pub caller: SecurityContext,
}

impl Pictures {
    /// Fills a table.
    ///
    /// # Errors
    /// What the database says.
    pub async fn of(pool: Pool, rows: u32) -> Result<Self, Error> {
        let entities = Entities::new(pool)?;
        entities.create_table::<Picture>().await?;
        let indexes =
            ["CREATE INDEX by_owner ON pictures (owner_id)", "CREATE INDEX by_size ON pictures (company, size)"];
        // The same numbers in both databases: owners by turns, every hundredth row shared with one of them.
        if let Some(pool) = entities.pool().sqlite() {
            let sql = format!(
                "WITH RECURSIVE n(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < {rows} - 1) \
                 INSERT INTO pictures (id, owner_id, company, size, shared_with) \
                 SELECT printf('p%08d', n), 'u-' || (n % 1000), 'c-' || (n % 100), n * 7919 % 100000, \
                   CASE WHEN n % 100 = 0 THEN '[\"u-' || (n / 100 % 1000) || '\"]' ELSE '[]' END FROM n"
            );
            sqlx::query(AssertSqlSafe(sql)).execute(pool).await?;
            for sql in indexes.into_iter().chain(["ANALYZE"]) {
                sqlx::query(sql).execute(pool).await?;
            }
        }
        if let Some(pool) = entities.pool().postgres() {
            let sql = format!(
                "INSERT INTO pictures (id, owner_id, company, size, shared_with) \
                 SELECT 'p' || lpad(n::text, 8, '0'), 'u-' || (n % 1000), 'c-' || (n % 100), n::bigint * 7919 % 100000, \
                   CASE WHEN n % 100 = 0 THEN ARRAY['u-' || (n / 100 % 1000)] ELSE '{{}}' END \
                 FROM generate_series(0, {rows} - 1) AS n"
            );
            sqlx::query(AssertSqlSafe(sql)).execute(pool).await?;
            let shared = "CREATE INDEX by_shared ON pictures USING gin (shared_with)";
            for sql in indexes.into_iter().chain([shared, "VACUUM ANALYZE pictures"]) {
                sqlx::query(sql).execute(pool).await?;
            }
        }
        let policy = Policy::for_application("pictures")?;
        let builder = Participant::builder(policy.application().clone(), "u-7").tenant("c-7");
        Ok(Self { entities, caller: SecurityContext::new(&policy, builder.build().into()) })
    }

    /// Counts with the condition and with what is written by hand, by turns.
    ///
    /// # Errors
    /// A refusal; what the database says.
    pub async fn both(&self, case: &Case, turns: usize) -> Result<[Seen; 2], Error> {
        let pool = self.entities.pool();
        let mine = self.entities.repository::<Picture>().await?.authorized(&self.caller, case.operation)?;
        match (pool.sqlite(), pool.postgres()) {
            (Some(pool), _) => asked!(Sqlite, pool, mine, "EXPLAIN QUERY PLAN", 3, case.sqlite, turns),
            (_, Some(pool)) => asked!(Postgres, pool, mine, "EXPLAIN (COSTS OFF)", 0, case.postgres, turns),
            (None, None) => Err("there is no database".into()),
        }
    }
}

/// Writes what stands for a condition where somebody writes it by hand.
fn by_hand<DB: Spoken>(query: &mut QueryBuilder<DB>, text: &str)
where
    for<'q> &'q str: sqlx::Encode<'q, DB> + sqlx::Type<DB>,
    for<'q> i64: sqlx::Encode<'q, DB> + sqlx::Type<DB>,
{
    let (mut parts, named) = (text.split('@'), ["id", "tenant", "size"]);
    query.push(parts.next().unwrap_or_default());
    for part in parts {
        match named.map(|name| part.strip_prefix(name)) {
            [Some(rest), ..] => query.push_bind("u-7").push(rest),
            [_, Some(rest), _] => query.push_bind("c-7").push(rest),
            [.., Some(rest)] => query.push_bind(1_000_i64).push(rest),
            // Not a value: the operator `@>`.
            [None, None, None] => query.push("@").push(part),
        };
    }
}
