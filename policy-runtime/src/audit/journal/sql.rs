//! Records in SQLite or PostgreSQL, in the same statements.
//!
//! A scope's row in `policy_audit_ends` is its lock: whoever has moved it has the chain's end until the commit.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use futures_util::future::BoxFuture;

use super::AuditError;
use super::anchor::Anchor;
use super::chain::{BEGINNING, Prepared, hash};
use super::query::{Count, Filter, Stored};
use super::store::{End, Store};
use crate::database::{Arg, Database, DatabaseAddress, DatabaseError, Row, Transaction};

/// What a filter asks for, with the placeholders that [`args`] fills.
macro_rules! found {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            " FROM policy_audit WHERE scope = $1",
            " AND (CAST($2 AS TEXT) IS NULL OR kind = $2) AND (CAST($3 AS TEXT) IS NULL OR actor = $3)",
            " AND (CAST($4 AS TEXT) IS NULL OR action = $4) AND (CAST($5 AS TEXT) IS NULL OR resource = $5)",
            " AND (CAST($6 AS TEXT) IS NULL OR outcome = $6) AND (CAST($7 AS TEXT) IS NULL OR decision = $7)",
            " AND (CAST($8 AS BIGINT) IS NULL OR time >= $8) AND (CAST($9 AS BIGINT) IS NULL OR time < $9)",
            " AND number > $10",
            $after
        )
    };
}

#[derive(Debug)]
pub(super) struct Sql {
    database: Database,
}

impl From<DatabaseError> for AuditError {
    fn from(error: DatabaseError) -> Self {
        Self(error.to_string())
    }
}

fn args(filter: &Filter) -> Vec<Arg> {
    let Filter { scope, kind, actor, action, resource, outcome, decision, from, until, after, limit: _ } =
        filter.clone();
    vec![
        scope.into(),
        kind.into(),
        actor.into(),
        action.into(),
        resource.into(),
        outcome.into(),
        decision.into(),
        from.into(),
        until.into(),
        after.unwrap_or(0).into(),
    ]
}

impl Sql {
    pub(super) async fn open(address: &DatabaseAddress) -> Result<Self, AuditError> {
        Ok(Self { database: Database::open(address).await? })
    }

    async fn append_all(&self, records: &[Prepared]) -> Result<(), AuditError> {
        let mut by_scope: BTreeMap<&str, Vec<&Prepared>> = BTreeMap::new();
        for record in records {
            by_scope.entry(&record.record.scope).or_default().push(record);
        }
        let mut tx = self.database.begin().await?;
        // Scopes in one order, so that no two writers wait for each other in a circle.
        for (scope, records) in by_scope {
            let make =
                "INSERT INTO policy_audit_ends (scope, number, hash) VALUES ($1, 0, $2) ON CONFLICT (scope) DO NOTHING";
            tx.run(make, vec![scope.into(), BEGINNING.into()]).await?;
            // The lock; what it reads is the end that nobody else moves now.
            let lock = "UPDATE policy_audit_ends SET number = number WHERE scope = $1 RETURNING number, hash";
            let end = tx.row(lock, vec![scope.into()]).await?;
            let end = end.ok_or_else(|| AuditError("the end of a chain is not there".into()))?;
            let (mut number, mut before) = (end.long(0)?, end.text(1)?);
            let (mut rows, mut personal) = (Vec::with_capacity(records.len()), Vec::new());
            for prepared in records {
                number += 1;
                before = hash(&before, number, &prepared.body);
                let r = &prepared.record;
                rows.push([
                    scope.into(),
                    number.into(),
                    r.time.into(),
                    r.kind.as_str().into(),
                    r.principal.as_str().into(),
                    r.action.as_str().into(),
                    r.resource.as_deref().into(),
                    r.outcome.into(),
                    (&*r.decision).into(),
                    prepared.body.as_str().into(),
                    before.as_str().into(),
                ]);
                let own = prepared.personal.iter();
                personal.extend(own.map(|(name, (salt, value))| {
                    [scope.into(), number.into(), name.as_str().into(), salt.as_str().into(), value.as_str().into()]
                }));
            }
            insert(&mut tx, &RECORDS, rows).await?;
            insert(&mut tx, &PERSONAL, personal).await?;
            let sql = "UPDATE policy_audit_ends SET number = $2, hash = $3 WHERE scope = $1";
            tx.run(sql, vec![scope.into(), number.into(), before.into()]).await?;
        }
        Ok(tx.commit().await?)
    }

    async fn find(&self, filter: &Filter) -> Result<Vec<Stored>, AuditError> {
        const SQL: &str = found!(
            "SELECT number, scope, time, kind, actor, action, resource, outcome, decision, body, hash",
            " ORDER BY number LIMIT $11"
        );
        let mut args = args(filter);
        args.push(filter.page().into());
        let mut all = Vec::new();
        for row in self.database.rows(SQL, args).await? {
            all.push(stored(&row)?);
        }
        let (Some(first), Some(last)) = (all.first(), all.last()) else { return Ok(all) };
        let sql =
            "SELECT number, name, salt, value FROM policy_audit_personal WHERE scope = $1 AND number BETWEEN $2 AND $3";
        let range = vec![filter.scope.as_str().into(), first.number.into(), last.number.into()];
        for row in self.database.rows(sql, range).await? {
            let number = row.long(0)?;
            if let Ok(at) = all.binary_search_by_key(&number, |record| record.number)
                && let Some(record) = all.get_mut(at)
            {
                record.personal.insert(row.text(1)?, (row.text(2)?, row.text(3)?));
            }
        }
        Ok(all)
    }

    async fn count(&self, filter: &Filter) -> Result<Vec<Count>, AuditError> {
        const SQL: &str =
            found!("SELECT action, actor, outcome, COUNT(*)", " AND kind = 'decision' GROUP BY action, actor, outcome");
        let mut all = Vec::new();
        for row in self.database.rows(SQL, args(filter)).await? {
            all.push(Count { action: row.text(0)?, actor: row.text(1)?, outcome: row.text(2)?, count: row.long(3)? });
        }
        // The databases' own orders of text differ.
        all.sort();
        Ok(all)
    }

    async fn all_ends(&self) -> Result<Vec<End>, AuditError> {
        let mut all = Vec::new();
        for row in self.database.rows("SELECT scope, number, hash FROM policy_audit_ends", vec![]).await? {
            all.push(End { scope: row.text(0)?, number: row.long(1)?, hash: row.text(2)? });
        }
        all.sort_by(|a, b| a.scope.cmp(&b.scope));
        Ok(all)
    }

    async fn checkpoint_of(&self, scope: &str) -> Result<Option<Anchor>, AuditError> {
        let sql = "SELECT number, hash, time, signature FROM policy_audit_checkpoints WHERE scope = $1";
        let Some(row) = self.database.row(sql, vec![scope.into()]).await? else { return Ok(None) };
        let (number, hash, time, signature) = (row.long(0)?, row.text(1)?, row.long(2)?, row.text(3)?);
        Ok(Some(Anchor { scope: scope.to_owned(), number, hash, time, signature }))
    }

    async fn last_of(&self, scope: &str, before: i64) -> Result<Option<End>, AuditError> {
        let sql = "SELECT number, hash FROM policy_audit WHERE scope = $1 AND number < \
                   (SELECT COALESCE(MIN(number), 9223372036854775807) FROM policy_audit WHERE scope = $1 AND time >= $2) \
                   ORDER BY number DESC LIMIT 1";
        let Some(row) = self.database.row(sql, vec![scope.into(), before.into()]).await? else { return Ok(None) };
        Ok(Some(End { scope: scope.to_owned(), number: row.long(0)?, hash: row.text(1)? }))
    }

    async fn remove(&self, checkpoint: &Anchor) -> Result<u64, AuditError> {
        let mut tx = self.database.begin().await?;
        let Anchor { scope, number, hash, time, signature } = checkpoint.clone();
        let upto = || vec![Arg::from(scope.as_str()), Arg::from(number)];
        let sql = "INSERT INTO policy_audit_checkpoints (scope, number, hash, time, signature) VALUES ($1, $2, $3, $4, $5) \
                   ON CONFLICT (scope) DO UPDATE SET number = $2, hash = $3, time = $4, signature = $5";
        tx.run(sql, vec![scope.as_str().into(), number.into(), hash.into(), time.into(), signature.into()]).await?;
        tx.run("DELETE FROM policy_audit_personal WHERE scope = $1 AND number <= $2", upto()).await?;
        let removed = tx.run("DELETE FROM policy_audit WHERE scope = $1 AND number <= $2", upto()).await?;
        tx.commit().await?;
        Ok(removed)
    }

    async fn forget(&self, scope: &str, actor: &str) -> Result<u64, AuditError> {
        let mut tx = self.database.begin().await?;
        let sql = "DELETE FROM policy_audit_personal WHERE scope = $1 AND number IN \
                   (SELECT number FROM policy_audit WHERE scope = $1 AND actor = $2)";
        let erased = tx.run(sql, vec![scope.into(), actor.into()]).await?;
        tx.commit().await?;
        Ok(erased)
    }
}

/// Statements that put in so many rows each: a statement is a journey to the database and back.
type Inserts = LazyLock<[(usize, String); 3]>;

static RECORDS: Inserts = LazyLock::new(|| {
    inserts("policy_audit (scope, number, time, kind, actor, action, resource, outcome, decision, body, hash)", 11)
});
static PERSONAL: Inserts = LazyLock::new(|| inserts("policy_audit_personal (scope, number, name, salt, value)", 5));

fn inserts(table: &'static str, columns: usize) -> [(usize, String); 3] {
    [64, 8, 1].map(|rows| {
        let row = |row: usize| {
            let places: Vec<String> = (1..=columns).map(|column| format!("${}", row * columns + column)).collect();
            format!("({})", places.join(", "))
        };
        let rows_of: Vec<String> = (0..rows).map(row).collect();
        (rows, format!("INSERT INTO {table} VALUES {}", rows_of.join(", ")))
    })
}

async fn insert<const N: usize>(
    tx: &mut Transaction,
    inserts: &'static Inserts,
    rows: Vec<[Arg; N]>,
) -> Result<(), DatabaseError> {
    let mut rows = rows.into_iter();
    for (count, sql) in inserts.iter() {
        while rows.len() >= *count {
            tx.run(sql, rows.by_ref().take(*count).flatten().collect()).await?;
        }
    }
    Ok(())
}

fn stored(row: &Row) -> Result<Stored, AuditError> {
    Ok(Stored {
        number: row.long(0)?,
        scope: row.text(1)?,
        time: row.long(2)?,
        kind: row.text(3)?,
        actor: row.text(4)?,
        action: row.text(5)?,
        resource: row.maybe_text(6)?,
        outcome: row.text(7)?,
        decision: row.text(8)?,
        body: row.text(9)?,
        hash: row.text(10)?,
        personal: BTreeMap::new(),
    })
}

impl Store for Sql {
    fn append<'a>(&'a mut self, records: &'a [Prepared]) -> BoxFuture<'a, Result<(), AuditError>> {
        Box::pin(self.append_all(records))
    }

    fn query<'a>(&'a mut self, filter: &'a Filter) -> BoxFuture<'a, Result<Vec<Stored>, AuditError>> {
        Box::pin(self.find(filter))
    }

    fn counts<'a>(&'a mut self, filter: &'a Filter) -> BoxFuture<'a, Result<Vec<Count>, AuditError>> {
        Box::pin(self.count(filter))
    }

    fn ends(&mut self) -> BoxFuture<'_, Result<Vec<End>, AuditError>> {
        Box::pin(self.all_ends())
    }

    fn checkpoint<'a>(&'a mut self, scope: &'a str) -> BoxFuture<'a, Result<Option<Anchor>, AuditError>> {
        Box::pin(self.checkpoint_of(scope))
    }

    fn last_before<'a>(&'a mut self, scope: &'a str, before: i64) -> BoxFuture<'a, Result<Option<End>, AuditError>> {
        Box::pin(self.last_of(scope, before))
    }

    fn retain<'a>(&'a mut self, checkpoint: &'a Anchor) -> BoxFuture<'a, Result<u64, AuditError>> {
        Box::pin(self.remove(checkpoint))
    }

    fn erase<'a>(&'a mut self, scope: &'a str, actor: &'a str) -> BoxFuture<'a, Result<u64, AuditError>> {
        Box::pin(self.forget(scope, actor))
    }
}
