//! `SeaORM` 2: the struct that is its model is the entity of the policies, and `authorized` narrows its queries.

use std::sync::Arc;

use policy_runtime::filter::{FilterAuthorized as _, Operation, decide};
use policy_runtime::{Participant, Policy, SecurityContext};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, Condition, ConnectOptions, ConnectionTrait as _, Database,
    DatabaseConnection, EntityTrait as _, IntoActiveModel as _, PaginatorTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, QueryTrait as _, Schema,
};

/// A failure of the policies or of the database.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Photos: `SeaORM` calls every model `Model`, rules call this one `Photo`.
pub mod photo {
    #![expect(
        missing_docs,
        unused_qualifications,
        clippy::exhaustive_enums,
        reason = "SeaORM generates what stands here"
    )]
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, policy_runtime::Entity)]
    #[sea_orm(table_name = "photos")]
    #[entity(namespace = "com.example.gallery", name = "Photo", table = "photos")]
    #[abac_policy(all_read(entity.owner_id == participant.id or entity.public))]
    #[abac_policy(all_create(entity.owner_id == participant.id), all_update(entity.owner_id == participant.id))]
    #[abac_policy(all_delete(entity.owner_id == participant.id))]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        pub owner_id: String,
        pub title: Option<String>,
        pub public: bool,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The photos with one of these titles that the caller may see.
///
/// # Errors
/// A refusal; the database.
pub async fn titled(db: &DatabaseConnection, cx: &SecurityContext, titles: [&str; 2]) -> Result<Vec<String>, Error> {
    let any = titles.into_iter().fold(Condition::any(), |any, title| any.add(photo::Column::Title.eq(title)));
    let mine = photo::Entity::find().filter(any).authorized::<photo::Model>(cx, Operation::Search, db)?;
    let ids = mine.select_only().column(photo::Column::Id).order_by_asc(photo::Column::Id);
    Ok(ids.into_tuple().all(db).await?)
}

/// Adds a photo, if the caller may: what is new is not stored yet, so no condition can say.
///
/// # Errors
/// A refusal; the database.
pub async fn add(db: &DatabaseConnection, cx: &SecurityContext, photo: photo::Model) -> Result<(), Error> {
    decide(cx, Operation::Save, &photo)?;
    photo.into_active_model().insert(db).await?;
    Ok(())
}

/// Makes photos public that the caller may change; the others stay as they are.
///
/// # Errors
/// A refusal; the database.
pub async fn publish(db: &DatabaseConnection, cx: &SecurityContext) -> Result<u64, Error> {
    let all = photo::Entity::update_many().col_expr(photo::Column::Public, true.into());
    Ok(all.authorized::<photo::Model>(cx, Operation::BulkUpdate, db)?.exec(db).await?.rows_affected)
}

/// What was seen.
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it is printed")]
pub struct Seen {
    /// How many photos alice and bob count, and what they find by title.
    pub before: [(u64, Vec<String>); 2],
    /// How many bob makes public.
    pub published: u64,
    /// The same for alice, then.
    pub after: (u64, Vec<String>),
    /// How many bob deletes, and what is left.
    pub deleted: (u64, u64),
    /// The statement of bob's list.
    pub sql: String,
}

/// Plays it on a database in memory.
///
/// # Errors
/// When anything is not as it should be.
pub async fn tell() -> Result<Seen, Error> {
    let mut options = ConnectOptions::new("sqlite::memory:");
    options.max_connections(1);
    let db = Database::connect(options).await?;
    db.execute(&Schema::new(db.get_database_backend()).create_table_from_entity(photo::Entity)).await?;
    let policy = Policy::for_application("gallery")?;
    let caller = |id: &str| {
        SecurityContext::new(&policy, Arc::new(Participant::builder(policy.application().clone(), id).build()))
    };
    let (alice, bob) = (caller("alice"), caller("bob"));
    let photo = |id: &str, owner: &str, title: &str, public| photo::Model {
        id: id.to_owned(),
        owner_id: owner.to_owned(),
        title: Some(title.to_owned()),
        public,
    };
    add(&db, &alice, photo("a1", "alice", "sea", false)).await?;
    add(&db, &alice, photo("a2", "alice", "hills", true)).await?;
    add(&db, &bob, photo("b1", "bob", "sea", false)).await?;
    if add(&db, &bob, photo("a3", "alice", "sea", true)).await.is_ok() {
        return Err("bob adds a photo of alice's".into());
    }
    let before = [look(&db, &alice).await?, look(&db, &bob).await?];
    let published = publish(&db, &bob).await?;
    let after = look(&db, &alice).await?;
    let sql = photo::Entity::find().authorized::<photo::Model>(&bob, Operation::FindAll, &db)?;
    let sql = sql.build(db.get_database_backend()).to_string();
    let gone = photo::Entity::delete_many().authorized::<photo::Model>(&bob, Operation::DeleteByQuery, &db)?;
    let gone = gone.exec(&db).await?.rows_affected;
    let left = photo::Entity::find().count(&db).await?;
    Ok(Seen { before, published, after, deleted: (gone, left), sql })
}

async fn look(db: &DatabaseConnection, cx: &SecurityContext) -> Result<(u64, Vec<String>), Error> {
    let count = photo::Entity::find().authorized::<photo::Model>(cx, Operation::Count, db)?.count(db).await?;
    Ok((count, titled(db, cx, ["sea", "hills"]).await?))
}
