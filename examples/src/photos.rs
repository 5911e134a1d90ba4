//! A service and an entity, each with its policy: one caller is stopped by each, and a list shows what was shared.
//!
//! No line here compares an owner. What `PhotoService` may be asked is said above it, which rows anybody sees above `Photo`.

use std::sync::Arc;

use policy_runtime::entity::{Entities, EntityError, Paging, Pool, Repository};
use policy_runtime::filter::{Dialect, Operation, authorized};
use policy_runtime::{Denied, Entity, Participant, Policy, SecurityContext, abac_policy, publish};
use sea_query::{Asterisk, Query, SqliteQueryBuilder};
use serde::{Deserialize, Serialize};

/// A row of the table `photos`.
#[derive(Debug, Clone, Entity, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[entity(namespace = "com.example", table = "photos")]
#[abac_policy(all_read = "entity.ownerId == participant.id or entity.sharedWith contains participant.id")]
#[abac_policy(all_create = "participant.roles contains 'user' and entity.ownerId == participant.id")]
#[abac_policy(all_update(entity.ownerId == participant.id), all_delete(entity.ownerId == participant.id))]
pub struct Photo {
    /// Made when it is empty.
    pub id: String,
    /// Whose it is.
    pub owner_id: String,
    /// Who else sees it.
    pub shared_with: Vec<String>,
}

/// Why a photo was not shared.
#[expect(clippy::exhaustive_enums, reason = "whoever answers a caller decides about every case")]
#[derive(Debug, thiserror::Error)]
pub enum PhotoError {
    /// The service's policy said no.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The entity's did, or the database.
    #[error(transparent)]
    Entity(#[from] EntityError),
}

/// Shares photos.
#[derive(Debug)]
pub struct PhotoService {
    photos: Repository<Photo>,
}

#[publish("com.example")]
impl PhotoService {
    /// Lets somebody see a photo.
    #[abac_policy(participant.roles contains "user")]
    pub async fn share(&self, #[context] cx: &SecurityContext, photo: String, with: String) -> Result<(), PhotoError> {
        let found = self.photos.find_by_id(cx, &photo).await?;
        let mut found = found.ok_or(EntityError::NotFound { entity: "Photo" })?;
        found.shared_with.push(with);
        self.photos.update(cx, found).await?;
        Ok(())
    }
}

/// What was seen.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "it is printed")]
pub struct Seen {
    /// Each caller with the ids that they see, before and after alice shares `a2` with bob.
    pub lists: Vec<(&'static str, Vec<String>, Vec<String>)>,
    /// What dan, a visitor, is told who asks the service.
    pub by_the_service: String,
    /// What bob is told who shares alice's photo on, which he only sees.
    pub by_the_entity: String,
    /// Bob's list, as SQL.
    pub sql: String,
    /// The values that are bound in it.
    pub values: Vec<String>,
}

/// Plays it on a database in memory.
///
/// # Errors
/// When anything is not as it should be.
pub async fn tell() -> Result<Seen, Box<dyn std::error::Error + Send + Sync>> {
    let policy = Policy::builder().organization("acme").application("photos").build()?;
    let caller = |id: &str, role: &str| {
        let participant = Participant::builder(policy.application().clone(), id).role(role).build();
        SecurityContext::new(&policy, Arc::new(participant))
    };
    let (alice, bob, dan) = (caller("alice", "user"), caller("bob", "user"), caller("dan", "visitor"));

    let entities = Entities::new(Pool::connect("sqlite::memory:").await?)?;
    entities.create_table::<Photo>().await?;
    let photos = entities.repository::<Photo>().await?;
    for (cx, id) in [(&alice, "a1"), (&alice, "a2"), (&bob, "b1")] {
        let owner_id = cx.participant().id().to_owned();
        photos.save(cx, Photo { id: id.to_owned(), owner_id, shared_with: Vec::new() }).await?;
    }

    let before = [ids(&photos, &alice).await?, ids(&photos, &bob).await?, ids(&photos, &dan).await?];
    let service = PhotoService { photos: photos.clone() };
    service.share(&alice, "a2".into(), "bob".into()).await?;
    let after = [ids(&photos, &alice).await?, ids(&photos, &bob).await?, ids(&photos, &dan).await?];
    let refused = |result: Result<(), PhotoError>| match result {
        Ok(()) => Err("it was let through"),
        Err(PhotoError::Denied(denied)) => Ok(format!("{} by the service's policy", denied.code())),
        Err(PhotoError::Entity(error)) => Ok(format!("{} by the entity's policy", error.code())),
    };
    let by_the_service = refused(service.share(&dan, "a2".into(), "dan".into()).await)?;
    let by_the_entity = refused(service.share(&bob, "a2".into(), "dan".into()).await)?;

    // The same condition for queries of one's own, with plain sqlx or any other.
    let condition = authorized::<Photo>(&bob, Operation::FindAll)?.condition(Dialect::Sqlite);
    let (sql, values) = Query::select().column(Asterisk).from("photos").cond_where(condition).build(SqliteQueryBuilder);
    let values = values.iter().map(|value| format!("{value:?}")).collect();
    let lists = ["alice", "bob", "dan"].into_iter().zip(before).zip(after).map(|((name, b), a)| (name, b, a)).collect();
    Ok(Seen { lists, by_the_service, by_the_entity, sql, values })
}

async fn ids(photos: &Repository<Photo>, cx: &SecurityContext) -> Result<Vec<String>, EntityError> {
    Ok(photos.find_all(cx, &Paging::page(0, 10)).await?.content.into_iter().map(|photo| photo.id).collect())
}
