//! Records in SQLite or PostgreSQL, in the same statements.
//!
//! A scope's row in `policy_audit_ends` is its lock: whoever has moved it has the chain's end until the commit.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use futures_util::future::BoxFuture;

use super::AuditError;
use super::anchor::Anchor;
use super::batch::{Batch, Entry};
use super::block::{self, SPAN, Term};
use super::chain::BEGINNING;
use super::query::{Filter, Stored};
use super::store::{End, Found, Part, Store, whose};
use crate::database::{Arg, Database, DatabaseAddress, DatabaseError, Row, Transaction};

/// How many blocks are read at once.
const BLOCKS: i64 = 8;
/// How often, before others have their turn.
const TURNS: usize = 16;

/// The next blocks of a scope after a record, of those that are told by `$4` and `$5`.
macro_rules! blocks {
    ($which:literal) => {
        concat!(
            "SELECT number, latest, records FROM policy_audit WHERE scope = $1 AND number > $2 ",
            $which,
            " ORDER BY number LIMIT $3"
        )
    };
}

const ALL: &str = blocks!("");
const BY_TIME: &str =
    blocks!("AND number IN (SELECT number FROM policy_audit WHERE scope = $1 AND latest >= $4 AND latest < $5)");
const BY_TERM: &str = blocks!("AND number IN (SELECT number FROM policy_audit_terms WHERE scope = $1 AND term = $4)");

#[derive(Debug)]
pub(super) struct Sql {
    database: Database,
}

impl From<DatabaseError> for AuditError {
    fn from(error: DatabaseError) -> Self {
        Self(error.to_string())
    }
}

/// A row of `policy_audit`.
struct StoredBlock {
    number: i64,
    latest: i64,
    records: Vec<Stored>,
}

impl StoredBlock {
    fn read(scope: &str, row: &Row) -> Result<Self, DatabaseError> {
        let number = row.long(0)?;
        Ok(Self { number, latest: row.long(1)?, records: block::records(scope, number, &row.text(2)?) })
    }

    /// The number of its first record.
    fn first(&self) -> i64 {
        self.records.first().map_or(self.number, |first| first.number)
    }
}

impl Sql {
    pub(super) async fn open(address: &DatabaseAddress) -> Result<Self, AuditError> {
        Ok(Self { database: Database::open(address).await? })
    }

    async fn append_all(&self, batches: [&Batch; 2]) -> Result<(), AuditError> {
        let mut by_scope: BTreeMap<&str, Vec<Entry<'_>>> = BTreeMap::new();
        for record in batches.into_iter().flat_map(Batch::entries) {
            by_scope.entry(record.scope).or_default().push(record);
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
            let (mut number, mut hash) = (end.long(0)?, end.text(1)?);
            let (mut terms, mut personal, mut next) = (Vec::new(), Vec::new(), number);
            for record in &records {
                next += 1;
                if record.personal.is_empty() {
                    continue;
                }
                let whose = whose(scope, record.actor, record.resource);
                personal.extend(record.personal.iter().map(|one| -> [Arg; 6] {
                    let (name, salt, value) = (one.name.as_str(), one.salt.as_str(), one.value.as_str());
                    [scope.into(), next.into(), whose.as_ref().into(), name.into(), salt.into(), value.into()]
                }));
            }
            for block in block::blocks(&records, &mut number, &mut hash) {
                let own = block
                    .terms
                    .iter()
                    .map(|term| -> [Arg; 3] { [scope.into(), term.text().into(), block.number.into()] });
                terms.extend(own);
                let sql = "INSERT INTO policy_audit (scope, number, latest, records) VALUES ($1, $2, $3, $4)";
                tx.run(sql, vec![scope.into(), block.number.into(), block.latest.into(), block.records.into()]).await?;
            }
            insert(&mut tx, &TERMS, terms).await?;
            insert(&mut tx, &PERSONAL, personal).await?;
            let sql = "UPDATE policy_audit_ends SET number = $2, hash = $3 WHERE scope = $1";
            tx.run(sql, vec![scope.into(), number.into(), hash.into()]).await?;
        }
        Ok(tx.commit().await?)
    }

    async fn blocks(
        &self,
        sql: &'static str,
        scope: &str,
        after: i64,
        which: &[Arg],
    ) -> Result<Vec<StoredBlock>, AuditError> {
        let mut args = vec![scope.into(), after.into(), BLOCKS.into()];
        args.extend_from_slice(which);
        let rows = self.database.rows(sql, args).await?;
        Ok(rows.iter().map(|row| StoredBlock::read(scope, row)).collect::<Result<_, _>>()?)
    }

    /// The next blocks in which there may be what a filter wants.
    async fn candidates(&self, filter: &Filter, after: i64) -> Result<Vec<StoredBlock>, AuditError> {
        let scope = filter.scope.as_str();
        let by_term = async |term: Term<'_>| self.blocks(BY_TERM, scope, after, &[term.text().into()]).await;
        if let Some(decision) = &filter.decision {
            let mut all = by_term(Term::Decision(decision)).await?;
            if let Some(told) = block::told(decision) {
                let (from, until) = (told.saturating_sub(SPAN), told.saturating_add(2 * SPAN + 1));
                all.extend(self.blocks(BY_TIME, scope, after, &[from.into(), until.into()]).await?);
                all.sort_by_key(|block| block.number);
                all.dedup_by_key(|block| block.number);
            }
            all.truncate(usize::try_from(BLOCKS).unwrap_or(1));
            return Ok(all);
        }
        let term = filter.actor.as_deref().map(Term::Actor).or(filter.action.as_deref().map(Term::Action));
        match (term, filter.from, filter.until) {
            (Some(term), ..) => by_term(term).await,
            (None, None, None) => self.blocks(ALL, scope, after, &[]).await,
            (None, from, until) => {
                let until = until.map_or(i64::MAX, |until| until.saturating_add(SPAN));
                self.blocks(BY_TIME, scope, after, &[from.unwrap_or(i64::MIN).into(), until.into()]).await
            }
        }
    }

    async fn find(&self, filter: &Filter) -> Result<Found, AuditError> {
        let (mut all, mut next) = (Vec::new(), filter.after.or(Some(0)));
        for _ in 0..TURNS {
            let Some(after) = next.filter(|_| all.len() < filter.page()) else { break };
            let blocks = self.candidates(filter, after).await?;
            next = blocks.last().map(|last| last.number);
            all.extend(blocks.into_iter().flat_map(|block| block.records).filter(|record| filter.admits(record)));
        }
        all.truncate(filter.page());
        self.with_personal(&filter.scope, &mut all).await?;
        Ok(Found { records: all, next })
    }

    async fn with_personal(&self, scope: &str, records: &mut [Stored]) -> Result<(), AuditError> {
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return Ok(()) };
        let sql =
            "SELECT number, name, salt, value FROM policy_audit_personal WHERE scope = $1 AND number BETWEEN $2 AND $3";
        let range = vec![scope.into(), first.number.into(), last.number.into()];
        for row in self.database.rows(sql, range).await? {
            let number = row.long(0)?;
            if let Ok(at) = records.binary_search_by_key(&number, |record| record.number)
                && let Some(record) = records.get_mut(at)
            {
                record.personal.insert(row.text(1)?, (row.text(2)?, row.text(3)?));
            }
        }
        Ok(())
    }

    async fn first_misfiled(&self, scope: &str, part: Part) -> Result<Option<i64>, AuditError> {
        let mut after = part.after;
        loop {
            let blocks = self.blocks(ALL, scope, after, &[]).await?;
            for block in &blocks {
                if block.first() > part.upto {
                    return Ok(None);
                }
                let mut is_filed = block.records.iter().map(|r| r.time).max() == Some(block.latest);
                for term in block::terms(&block.records) {
                    let sql = "SELECT number FROM policy_audit_terms WHERE scope = $1 AND term = $2 AND number = $3";
                    let args = vec![scope.into(), term.text().into(), block.number.into()];
                    is_filed &= self.database.row(sql, args).await?.is_some();
                }
                if !is_filed {
                    return Ok(Some(block.number));
                }
            }
            let Some(last) = blocks.last() else { return Ok(None) };
            after = last.number;
        }
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
        // The first block that has what is not older; where there is none, all is.
        let sql =
            "SELECT COALESCE(MIN(number), 9223372036854775807) FROM policy_audit WHERE scope = $1 AND latest >= $2";
        let stop = self.database.row(sql, vec![scope.into(), before.into()]).await?;
        let stop = stop.map_or(Ok(i64::MAX), |row| row.long(0))?;
        let sql = "SELECT number, latest, records FROM policy_audit WHERE scope = $1 AND number <= $2 ORDER BY number DESC LIMIT 2";
        let mut last = None;
        for row in self.database.rows(sql, vec![scope.into(), stop.into()]).await?.iter().rev() {
            last = StoredBlock::read(scope, row)?.records.into_iter().take_while(|r| r.time < before).last().or(last);
        }
        Ok(last.map(|r| End { scope: scope.to_owned(), number: r.number, hash: r.hash }))
    }

    async fn remove(&self, checkpoint: &Anchor) -> Result<u64, AuditError> {
        let mut tx = self.database.begin().await?;
        let Anchor { scope, number, hash, time, signature } = checkpoint.clone();
        let upto = || vec![Arg::from(scope.as_str()), Arg::from(number)];
        let sql = "SELECT number, latest, records FROM policy_audit WHERE scope = $1 ORDER BY number LIMIT 1";
        let first = tx.row(sql, vec![scope.as_str().into()]).await?;
        let first = first.map_or(Ok(i64::MAX), |row| StoredBlock::read(&scope, &row).map(|block| block.first()))?;
        let sql = "INSERT INTO policy_audit_checkpoints (scope, number, hash, time, signature) VALUES ($1, $2, $3, $4, $5) \
                   ON CONFLICT (scope) DO UPDATE SET number = $2, hash = $3, time = $4, signature = $5";
        tx.run(sql, vec![scope.as_str().into(), number.into(), hash.into(), time.into(), signature.into()]).await?;
        for sql in [
            "DELETE FROM policy_audit_personal WHERE scope = $1 AND number <= $2",
            "DELETE FROM policy_audit_terms WHERE scope = $1 AND number <= $2",
            "DELETE FROM policy_audit WHERE scope = $1 AND number <= $2",
        ] {
            tx.run(sql, upto()).await?;
        }
        // Of the block in which the checkpoint stands, what follows it.
        let args = vec![scope.as_str().into(), number.into(), Arg::from(1_i64)];
        if let Some(row) = tx.row(ALL, args).await? {
            let mut block = StoredBlock::read(&scope, &row)?;
            block.records.retain(|record| record.number > number);
            let latest = block.records.iter().map(|record| record.time).max().unwrap_or(block.latest);
            let sql = "UPDATE policy_audit SET records = $3, latest = $4 WHERE scope = $1 AND number = $2";
            let rest = block::text(&block.records);
            tx.run(sql, vec![scope.as_str().into(), block.number.into(), rest.into(), latest.into()]).await?;
        }
        tx.commit().await?;
        Ok(u64::try_from(number.saturating_sub(first).saturating_add(1)).unwrap_or_default())
    }

    async fn forget(&self, scope: &str, actor: &str) -> Result<u64, AuditError> {
        let mut tx = self.database.begin().await?;
        let sql = "DELETE FROM policy_audit_personal WHERE scope = $1 AND actor = $2";
        let erased = tx.run(sql, vec![scope.into(), actor.into()]).await?;
        tx.commit().await?;
        Ok(erased)
    }
}

/// Statements that put in so many rows each: a statement is a journey to the database and back.
type Inserts = LazyLock<[(usize, String); 3]>;

static TERMS: Inserts = LazyLock::new(|| inserts("policy_audit_terms (scope, term, number)", 3));
static PERSONAL: Inserts =
    LazyLock::new(|| inserts("policy_audit_personal (scope, number, actor, name, salt, value)", 6));

fn inserts(table: &'static str, columns: usize) -> [(usize, String); 3] {
    // SQLite looks the name of each place up among all of them, so more rows at once would not be cheaper.
    [32, 4, 1].map(|rows| {
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

impl Store for Sql {
    fn append<'a>(&'a mut self, batches: [&'a Batch; 2]) -> BoxFuture<'a, Result<(), AuditError>> {
        Box::pin(self.append_all(batches))
    }

    fn query<'a>(&'a mut self, filter: &'a Filter) -> BoxFuture<'a, Result<Found, AuditError>> {
        Box::pin(self.find(filter))
    }

    fn misfiled<'a>(&'a mut self, scope: &'a str, part: Part) -> BoxFuture<'a, Result<Option<i64>, AuditError>> {
        Box::pin(self.first_misfiled(scope, part))
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
