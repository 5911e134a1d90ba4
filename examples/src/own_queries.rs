//! Queries of one's own with plain sqlx: the rules of `Photo` stand in them, bound and in parentheses.
//!
//! Joins, groups, windows: whatever SQL says. Only the condition comes from the policies.

use std::sync::Arc;

use policy_runtime::filter::{FilterError, Operation, authorized, decide};
use policy_runtime::{Participant, Policy, SecurityContext};
use sqlx::sqlite::{SqlitePool, SqlitePoolOptions};
use sqlx::{QueryBuilder, Sqlite};

use crate::photos::Photo;

/// A failure of the policies or of the database.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// How many photos each owner has whose id begins so, among those that the caller may see.
///
/// # Errors
/// A refusal; the database.
pub async fn counted(db: &SqlitePool, cx: &SecurityContext, prefix: &str) -> Result<Vec<(String, i64)>, Error> {
    let mut query = QueryBuilder::<Sqlite>::new("SELECT owner_id, count(*) FROM photos WHERE id >= ");
    query.push_bind(prefix.to_owned()).push(" AND ");
    authorized::<Photo>(cx, Operation::Search)?.push_to(&mut query);
    query.push(" GROUP BY owner_id ORDER BY owner_id");
    Ok(query.build_query_as().fetch_all(db).await?)
}

/// Adds a photo, if the caller may: what is new is not stored yet, so no condition can say.
///
/// # Errors
/// A refusal; the database.
pub async fn add(db: &SqlitePool, cx: &SecurityContext, photo: &Photo) -> Result<(), Error> {
    decide(cx, Operation::Save, photo)?;
    let shared_with = serde_json::to_string(&photo.shared_with)?;
    sqlx::query("INSERT INTO photos (id, owner_id, shared_with) VALUES (?, ?, ?)")
        .bind(&photo.id)
        .bind(&photo.owner_id)
        .bind(shared_with)
        .execute(db)
        .await?;
    Ok(())
}

/// Deletes all photos of an owner that the caller may delete; the others stay.
///
/// # Errors
/// A refusal; the database.
pub async fn delete_of(db: &SqlitePool, cx: &SecurityContext, owner: &str) -> Result<u64, Error> {
    let mut query = QueryBuilder::<Sqlite>::new("DELETE FROM photos WHERE owner_id = ");
    query.push_bind(owner.to_owned()).push(" AND ");
    authorized::<Photo>(cx, Operation::DeleteByQuery)?.push_to(&mut query);
    Ok(query.build().execute(db).await?.rows_affected())
}

/// What was seen.
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it is printed")]
pub struct Seen {
    /// What each caller counts.
    pub counted: Vec<(&'static str, Vec<(String, i64)>)>,
    /// Whether bob may add a photo that is alice's.
    pub bob_adds_for_alice: bool,
    /// How many of alice's photos bob deletes, and how many alice does.
    pub deleted: [u64; 2],
}

/// Plays it on a database in memory.
///
/// # Errors
/// When anything is not as it should be.
pub async fn tell() -> Result<Seen, Error> {
    // Each connection to `:memory:` is a database of its own.
    let db = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await?;
    let table = "CREATE TABLE photos (id TEXT NOT NULL PRIMARY KEY, owner_id TEXT NOT NULL, shared_with TEXT NOT NULL)";
    sqlx::query(table).execute(&db).await?;
    let policy = Policy::for_application("photos")?;
    let caller = |id: &str| {
        let participant = Participant::builder(policy.application().clone(), id).role("user").build();
        SecurityContext::new(&policy, Arc::new(participant))
    };
    let (alice, bob) = (caller("alice"), caller("bob"));
    let photo = |id: &str, owner: &str, shared_with: &[&str]| Photo {
        id: id.to_owned(),
        owner_id: owner.to_owned(),
        shared_with: shared_with.iter().map(ToString::to_string).collect(),
    };
    add(&db, &alice, &photo("a1", "alice", &[])).await?;
    add(&db, &alice, &photo("a2", "alice", &["bob"])).await?;
    add(&db, &bob, &photo("b1", "bob", &[])).await?;
    let refused = decide(&bob, Operation::Save, &photo("a3", "alice", &[]));
    let mut seen = Vec::new();
    for (name, cx) in [("alice", &alice), ("bob", &bob)] {
        seen.push((name, counted(&db, cx, "a").await?));
    }
    Ok(Seen {
        counted: seen,
        bob_adds_for_alice: !matches!(refused, Err(FilterError::Denied(_))),
        deleted: [delete_of(&db, &bob, "alice").await?, delete_of(&db, &alice, "alice").await?],
    })
}
