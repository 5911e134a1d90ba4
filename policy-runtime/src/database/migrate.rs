//! Migrations: scripts in the program, run once each and in order, by one process at a time.

use sha2::{Digest as _, Sha256};

use super::{Arg, Database, DatabaseError, Transaction};

/// One step of the tables, for both databases.
///
/// ```
/// use policy_runtime::database::Migration;
/// fn told(migration: &Migration) -> String {
///     format!("{} {}", migration.version, migration.name)
/// }
/// ```
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Migration {
    /// Its place; never used again.
    pub version: i64,
    /// What it is about.
    pub name: &'static str,
    /// Its statements; once released, they never change.
    pub sql: &'static str,
}

/// All migrations; each subject adds its own at the end.
pub(super) const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "identity", sql: include_str!("migrations/0001_identity.sql") },
    Migration { version: 2, name: "audit", sql: include_str!("migrations/0002_audit.sql") },
    Migration { version: 3, name: "policy sets", sql: include_str!("migrations/0003_policy_sets.sql") },
    Migration { version: 4, name: "sign-in", sql: include_str!("migrations/0004_sign_in.sql") },
    Migration { version: 5, name: "manifests", sql: include_str!("migrations/0005_manifests.sql") },
    Migration { version: 6, name: "shadows", sql: include_str!("migrations/0006_shadows.sql") },
    Migration { version: 7, name: "links", sql: include_str!("migrations/0007_links.sql") },
    Migration { version: 8, name: "second factors", sql: include_str!("migrations/0008_second_factors.sql") },
    Migration { version: 9, name: "relying", sql: include_str!("migrations/0009_relying.sql") },
    Migration { version: 10, name: "sessions", sql: include_str!("migrations/0010_sessions.sql") },
    Migration { version: 11, name: "errands", sql: include_str!("migrations/0011_errands.sql") },
    Migration { version: 12, name: "requests", sql: include_str!("migrations/0012_requests.sql") },
    Migration { version: 13, name: "people", sql: include_str!("migrations/0013_people.sql") },
    Migration { version: 14, name: "shadow lists", sql: include_str!("migrations/0014_shadow_lists.sql") },
    Migration { version: 15, name: "required audit", sql: include_str!("migrations/0015_required_audit.sql") },
    Migration { version: 16, name: "ways", sql: include_str!("migrations/0016_ways.sql") },
];

/// The key of the advisory lock, the same in every release.
#[cfg(feature = "postgres")]
const LOCK: &str = "SELECT pg_advisory_xact_lock(7025466389105433)::text";

impl Database {
    /// Brings the tables up to date: everything that is missing, in one transaction, under a lock.
    pub(super) async fn migrate(&self, migrations: &[Migration]) -> Result<(), DatabaseError> {
        // Without a lock first: a user who may only read and write rows can use tables that are up to date.
        if let Ok(done) = self.rows("SELECT version, checksum FROM policy_migrations", vec![]).await {
            let done = done.iter().map(|row| Ok((row.long(0)?, row.text(1)?))).collect::<Result<Vec<_>, _>>()?;
            check(migrations, &done)?;
            if migrations.iter().all(|migration| done.iter().any(|(version, _)| *version == migration.version)) {
                return Ok(());
            }
        }
        let mut tx = self.begin().await?;
        match &tx {
            // `BEGIN IMMEDIATE` has taken it.
            #[cfg(feature = "sqlite")]
            Transaction::Sqlite(_) => {}
            #[cfg(feature = "postgres")]
            Transaction::Postgres(_) => {
                tx.row(LOCK, vec![]).await?;
            }
        }
        tx.script(
            "CREATE TABLE IF NOT EXISTS policy_migrations \
             (version BIGINT PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL)",
        )
        .await?;
        let done = tx.rows("SELECT version, checksum FROM policy_migrations", vec![]).await?;
        let done = done.iter().map(|row| Ok((row.long(0)?, row.text(1)?))).collect::<Result<Vec<_>, _>>()?;
        check(migrations, &done)?;
        for migration in migrations {
            if done.iter().any(|(version, _)| *version == migration.version) {
                continue;
            }
            tx.script(migration.sql).await?;
            let row: Vec<Arg> = vec![migration.version.into(), migration.name.into(), checksum(migration.sql).into()];
            tx.run("INSERT INTO policy_migrations (version, name, checksum) VALUES ($1, $2, $3)", row).await?;
        }
        tx.commit().await
    }
}

/// Refuses tables of a newer program, and migrations that were changed after they ran.
fn check(known: &[Migration], done: &[(i64, String)]) -> Result<(), DatabaseError> {
    for (version, sum) in done {
        let problem = match known.iter().find(|migration| migration.version == *version) {
            None => "the database was used by a newer version of this program",
            Some(migration) if checksum(migration.sql) != *sum => "it was changed after it ran",
            Some(_) => continue,
        };
        return Err(DatabaseError::Migration { version: *version, problem });
    }
    Ok(())
}

fn checksum(sql: &str) -> String {
    use std::fmt::Write as _;
    Sha256::digest(sql.as_bytes()).iter().take(16).fold(String::new(), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
