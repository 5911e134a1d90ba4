//! Rows of an entity, with its policies in every statement.
//!
//! In: a caller and what they ask. Out: what they may see of it. Absent: a way around the rules.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt as _};
use policy_core::contract::Stored;
use policy_core::table::Operation;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::access::Reach;
use super::across::{CrossTenant, Tenants};
use super::core::{Core, Settings};
use super::cursor::Cursors;
use super::error::EntityError;
use super::layout::Layout;
use super::paging::{Page, Paging};
use super::pool::Pool;
use super::query::Query;
use super::reader::Reader;
use super::schema::{self, SchemaError};
use super::writer::{Change, Writer, Written};
use crate::filter::{Authorized, FilterError, authorized};
use crate::security::SecurityContext;

/// How long a cursor can be used.
const LIFETIME: Duration = Duration::from_hours(1);

/// The entities in one database, and the bounds of their operations.
///
/// ```
/// use policy_runtime::entity::{Entities, Pool};
/// use policy_runtime::{Entity, SecurityContext};
///
/// #[derive(Entity, serde::Serialize, serde::Deserialize)]
/// #[entity(table = "photos")]
/// #[abac_policy(all_read(entity.owner == participant.id), all_create(entity.owner == participant.id))]
/// struct Photo {
///     id: String,
///     owner: String,
/// }
///
/// # async fn example(cx: &SecurityContext) -> Result<(), Box<dyn std::error::Error>> {
/// let entities = Entities::new(Pool::connect("sqlite::memory:").await?)?
///     .scan_limit(5_000)
///     .page_limit(100)
///     .statement_timeout(std::time::Duration::from_secs(5))
///     .cursor_key([7; 32])
///     .cursor_lifetime(std::time::Duration::from_secs(600));
/// entities.create_table::<Photo>().await?;
/// let photos = entities.repository::<Photo>().await?;
/// photos.save(cx, Photo { id: String::new(), owner: cx.participant().id().to_owned() }).await?;
/// assert_eq!(photos.count(cx).await?, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Entities {
    pool: Pool,
    scan: usize,
    page: u64,
    key: Option<[u8; 32]>,
    lifetime: Duration,
    own: [u8; 32],
}

impl Entities {
    /// The entities in a database. Without [`Entities::cursor_key`] cursors are of this process alone.
    ///
    /// # Errors
    /// When the system gives no randomness for the key of cursors.
    pub fn new(pool: Pool) -> Result<Self, SchemaError> {
        let mut own = [0; 32];
        getrandom::fill(&mut own).map_err(|_| SchemaError::Randomness)?;
        Ok(Self { pool, scan: 10_000, page: 1_000, key: None, lifetime: LIFETIME, own })
    }

    /// How many rows are looked at one by one where a rule cannot become SQL (10,000), and the most that one deletion by a
    /// query takes.
    #[must_use]
    pub const fn scan_limit(mut self, rows: usize) -> Self {
        self.scan = rows;
        self
    }

    /// The largest page (1,000).
    #[must_use]
    pub const fn page_limit(mut self, rows: u64) -> Self {
        self.page = rows;
        self
    }

    /// The key that cursors are sealed with, for servers that take each other's.
    #[must_use]
    pub const fn cursor_key(mut self, key: [u8; 32]) -> Self {
        self.key = Some(key);
        self
    }

    /// How long a cursor can be used (an hour).
    #[must_use]
    pub const fn cursor_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// How long a statement may take (30 s), streams apart; then the operation fails and nothing is written. PostgreSQL ends
    /// the statement too where it is in a transaction, which is all that writes and pages with totals; for single reads set
    /// its own `statement_timeout` as well.
    #[must_use]
    pub const fn statement_timeout(mut self, limit: Duration) -> Self {
        self.pool.limit(limit);
        self
    }

    /// Where they are.
    pub const fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Creates an entity's table if there is none; for tests and first steps, where no migration does. In SQLite it is STRICT: the
    /// types of its columns are then vouched for, and conditions do not ask each row for them.
    ///
    /// # Errors
    /// When its annotations do not hold together or the database refuses.
    pub async fn create_table<T: Stored>(&self) -> Result<(), SchemaError> {
        let layout = Layout::of::<T>()?;
        let create = schema::create(&layout, self.pool.dialect());
        let made = self.pool.create(layout.entity, &create).await;
        made.map_err(|_| SchemaError::Database(layout.table.name.to_string()))
    }

    /// The rows of an entity, once its table is found to be what the struct says.
    ///
    /// # Errors
    /// Everything in which the table differs.
    pub async fn repository<T: Stored>(&self) -> Result<Repository<T>, SchemaError> {
        let layout = Layout::of::<T>()?;
        let assured = schema::check(&self.pool, &layout).await?;
        let mut bare = layout.table.clone();
        bare.tenant = None;
        let cursors = Cursors::new(self.key.as_ref().unwrap_or(&self.own), self.lifetime);
        let settings = Settings { scan: self.scan, page: self.page, cursors: cursors.ok_or(SchemaError::Randomness)? };
        Ok(Repository {
            core: Arc::new(Core {
                database: self.pool.clone(),
                settings: Arc::new(settings),
                layout: Arc::new(layout),
                bare,
                assured: assured.into(),
                of: PhantomData,
            }),
        })
    }
}

/// The rows of an entity. Every operation is of a caller: rows that they may not read do not exist for them, and what they may
/// not do is refused. Cheap to clone.
///
/// ```
/// use futures_util::StreamExt as _;
/// use policy_runtime::SecurityContext;
/// use policy_runtime::entity::{Dialect, Direction, EntityError, Operation, Paging, Query, Repository, Tenants};
/// # use policy_runtime::Entity;
/// # #[derive(Entity, Clone, serde::Serialize, serde::Deserialize)]
/// # struct Photo { id: String, title: String }
///
/// async fn tour(photos: &Repository<Photo>, cx: &SecurityContext) -> Result<(), EntityError> {
///     let new = Photo { id: String::new(), title: "sea".into() };
///     let written = photos.save(cx, new.clone()).await?;
///     photos.bulk_save(cx, vec![new.clone(), new]).await?;
///     let found = photos.find_by_id(cx, written.id()).await?;
///     let some = photos.find_by_ids(cx, &["1".into(), "2".into()]).await?;
///     photos.bulk_update(cx, some).await?;
///     if let Some(photo) = found {
///         photos.update(cx, Photo { title: "the sea".into(), ..photo }).await?;
///     }
///     let page = photos.find_all(cx, &Paging::page(0, 20).by("title", Direction::Descending)).await?;
///     let sea = Query::parse("title:*sea*")?;
///     let found = photos.search(cx, &sea, &Paging::cursor(page.cursor.as_deref(), 20)).await?;
///     let all = photos.count(cx).await? + photos.count_by_query(cx, &sea).await?;
///     let mut rows = photos.stream(cx, &sea).await?;
///     while let Some(photo) = rows.next().await {
///         println!("{} of {all} like {}", photo?.title, found.content.len());
///     }
///     photos.delete_by_id(cx, "1").await?;
///     photos.delete_by_query(cx, &sea).await?;
///     photos.across(Tenants::All).count(cx).await?;
///     let mine = photos.authorized(cx, Operation::Search).map(|mine| mine.condition(Dialect::Sqlite));
///     # drop(mine);
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct Repository<T> {
    pub(super) core: Arc<Core<T>>,
}

impl<T> Clone for Repository<T> {
    fn clone(&self) -> Self {
        Self { core: self.core.clone() }
    }
}

impl<T: Stored + Serialize + DeserializeOwned + Send + Sync + 'static> Repository<T> {
    pub(super) fn reader(&self) -> Reader<'_, T> {
        Reader { core: &self.core, reach: &Reach::Own }
    }

    pub(super) fn writer(&self) -> Writer<'_, T> {
        Writer { core: &self.core, reach: &Reach::Own }
    }

    /// Writes an entity, new or not: on an id that exists it is decided as creation and as update. An empty id of text or UUID
    /// is made, and the tenant is filled.
    ///
    /// # Errors
    /// A refusal; a value that cannot be stored; a conflict; the database.
    pub async fn save(&self, cx: &SecurityContext, entity: T) -> Result<Written<T>, EntityError> {
        let written = self.writer().save(cx, Operation::Save, &[entity]).await?;
        written.into_iter().next().ok_or(EntityError::NotFound { entity: T::NAME })
    }

    /// Writes entities, all or none.
    ///
    /// # Errors
    /// As [`Repository::save`], for any of them.
    pub async fn bulk_save(&self, cx: &SecurityContext, entities: Vec<T>) -> Result<(), EntityError> {
        self.writer().save(cx, Operation::BulkSave, &entities).await.map(|_| ())
    }

    /// Changes an entity. Its id and tenant never change; fields that the caller may not read are kept.
    ///
    /// # Errors
    /// [`EntityError::NotFound`] when there is none that the caller may read; a refusal, when the rules do not hold for the
    /// stored row and for the new one.
    pub async fn update(&self, cx: &SecurityContext, entity: T) -> Result<Written<T>, EntityError> {
        let written = self.writer().update(cx, Operation::Update, vec![Change::Whole(entity)]).await?;
        written.into_iter().next().ok_or(EntityError::NotFound { entity: T::NAME })
    }

    /// Changes entities, all or none.
    ///
    /// # Errors
    /// As [`Repository::update`], for any of them.
    pub async fn bulk_update(&self, cx: &SecurityContext, entities: Vec<T>) -> Result<(), EntityError> {
        let changes = entities.into_iter().map(Change::Whole).collect();
        self.writer().update(cx, Operation::BulkUpdate, changes).await.map(|_| ())
    }

    /// The entity of an id; `None` also where the caller may not read it.
    ///
    /// # Errors
    /// A refusal of the operation itself; a stored value that cannot be read; the database.
    pub async fn find_by_id(&self, cx: &SecurityContext, id: &str) -> Result<Option<T>, EntityError> {
        self.reader().find_by_id(cx, id).await
    }

    /// The entities of those ids that the caller may read, in this order.
    ///
    /// # Errors
    /// As [`Repository::find_by_id`].
    pub async fn find_by_ids(&self, cx: &SecurityContext, ids: &[String]) -> Result<Vec<T>, EntityError> {
        self.reader().find_by_ids(cx, ids).await
    }

    /// A page of all that the caller may read.
    ///
    /// # Errors
    /// As [`Repository::find_by_id`]; a page, an order or a cursor that is none.
    pub async fn find_all(&self, cx: &SecurityContext, paging: &Paging) -> Result<Page<T>, EntityError> {
        self.reader().page(cx, Operation::FindAll, &Query::all(), paging).await
    }

    /// A page of what a query matches.
    ///
    /// # Errors
    /// As [`Repository::find_all`]; a query that cannot be understood.
    pub async fn search(&self, cx: &SecurityContext, query: &Query, paging: &Paging) -> Result<Page<T>, EntityError> {
        self.reader().page(cx, Operation::Search, query, paging).await
    }

    /// How many there are for the caller.
    ///
    /// # Errors
    /// As [`Repository::find_by_id`]; [`EntityError::TooManyRows`] where rules must see each row.
    pub async fn count(&self, cx: &SecurityContext) -> Result<u64, EntityError> {
        self.reader().count(cx, Operation::Count, &Query::all()).await
    }

    /// How many a query matches.
    ///
    /// # Errors
    /// As [`Repository::count`]; a query that cannot be understood.
    pub async fn count_by_query(&self, cx: &SecurityContext, query: &Query) -> Result<u64, EntityError> {
        self.reader().count(cx, Operation::CountByQuery, query).await
    }

    /// Deletes the entity of an id; `false` when there is none that the caller may read.
    ///
    /// # Errors
    /// A refusal, when the caller may read it and not delete it.
    pub async fn delete_by_id(&self, cx: &SecurityContext, id: &str) -> Result<bool, EntityError> {
        self.writer().delete_by_id(cx, id).await
    }

    /// Deletes what a query matches and the caller may read, and says how many. One that may not be deleted keeps all.
    ///
    /// # Errors
    /// A refusal; a query that cannot be understood; [`EntityError::TooManyRows`].
    pub async fn delete_by_query(&self, cx: &SecurityContext, query: &Query) -> Result<u64, EntityError> {
        self.writer().delete_by_query(cx, query).await
    }

    /// Everything that a query matches, ordered by id, as a stream that never holds more than a few rows. It is decided as
    /// [`Repository::search`].
    ///
    /// # Errors
    /// As [`Repository::search`], at once or in the stream.
    pub async fn stream(
        &self,
        cx: &SecurityContext,
        query: &Query,
    ) -> Result<BoxStream<'static, Result<T, EntityError>>, EntityError> {
        let (select, mut asked) = self.reader().statement(cx, Operation::Search, query).await?;
        // Rows that were given are counted also where the stream is left early.
        asked.audit.add_rows(0);
        let core = self.core.clone();
        let rows = core.database.stream(core.layout.clone(), &select);
        let seen = move |row: Result<_, EntityError>| {
            let reader = Reader { core: &core, reach: &Reach::Own };
            let seen = row.and_then(|row| reader.seen(&asked.caller, &asked.rules, row));
            asked.audit.add_rows(matches!(seen, Ok(Some(_))).into());
            std::future::ready(seen.transpose())
        };
        Ok(rows.filter_map(seen).boxed())
    }

    /// The condition of an operation, as [`filter::authorized`](authorized) gives it, for queries of one's own of this table: it does
    /// not ask of each row what the database was found to vouch for when the repository was made.
    ///
    /// # Errors
    /// As there.
    pub fn authorized(&self, cx: &SecurityContext, operation: Operation) -> Result<Authorized, FilterError> {
        Ok(authorized::<T>(cx, operation)?.vouched(self.core.database.dialect(), self.core.assured.clone()))
    }

    /// The rows of other tenants, too: operations of their own, which nobody may do without a policy that says so.
    pub fn across(&self, tenants: Tenants) -> CrossTenant<'_, T> {
        CrossTenant::new(&self.core, tenants)
    }
}
