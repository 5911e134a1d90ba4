//! Rows of several tenants: another type, whose operations have actions of their own.
//!
//! In: a list of tenants, or all. Out: what the caller may see of them. Absent: writing anew; a row is created in one tenant.

use policy_core::contract::Stored;
use policy_core::table::Operation;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::access::Reach;
use super::core::Core;
use super::error::EntityError;
use super::paging::{Page, Paging};
use super::query::Query;
use super::reader::Reader;
use super::writer::Writer;
use crate::security::SecurityContext;

/// Which tenants are asked for. A list only narrows what the policies allow.
///
/// ```
/// use policy_runtime::entity::Tenants;
/// assert_ne!(Tenants::All, Tenants::list(["acme", "globex"]));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "all or some")]
pub enum Tenants {
    /// All.
    All,
    /// These.
    List(Vec<String>),
}

impl Tenants {
    /// Some tenants.
    pub fn list<S: Into<String>>(tenants: impl IntoIterator<Item = S>) -> Self {
        Self::List(tenants.into_iter().map(Into::into).collect())
    }
}

/// The rows of several tenants. Its operations are decided as `tenantsFindAll`, `tenantsDeleteById` and so on, of the groups
/// `allTenantsRead` and `allTenantsDelete`, and denied without a policy.
///
/// ```
/// use policy_runtime::SecurityContext;
/// use policy_runtime::entity::{EntityError, Paging, Query, Repository, Tenants};
/// # use policy_runtime::Entity;
/// # #[derive(Entity, serde::Serialize, serde::Deserialize)]
/// # struct Photo { id: String }
///
/// async fn tour(photos: &Repository<Photo>, cx: &SecurityContext) -> Result<(), EntityError> {
///     let some = photos.across(Tenants::list(["acme", "globex"]));
///     some.find_by_id(cx, "1").await?;
///     some.find_by_ids(cx, &["1".into()]).await?;
///     some.find_all(cx, &Paging::page(0, 20)).await?;
///     some.search(cx, &Query::exists("id"), &Paging::page(0, 20)).await?;
///     let _ = some.count(cx).await? + some.count_by_query(cx, &Query::eq("id", "1")).await?;
///     some.delete_by_id(cx, "1").await?;
///     some.delete_by_query(cx, &Query::like("id", "old-*")).await?;
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct CrossTenant<'r, T> {
    core: &'r Core<T>,
    reach: Reach,
}

impl<'r, T: Stored + Serialize + DeserializeOwned + Send + Sync + 'static> CrossTenant<'r, T> {
    pub(super) fn new(core: &'r Core<T>, tenants: Tenants) -> Self {
        let reach = match tenants {
            Tenants::All => Reach::AllTenants,
            Tenants::List(list) => Reach::Tenants(list),
        };
        Self { core, reach }
    }

    fn reader(&self) -> Reader<'_, T> {
        Reader { core: self.core, reach: &self.reach }
    }

    fn writer(&self) -> Writer<'_, T> {
        Writer { core: self.core, reach: &self.reach }
    }

    /// As [`Repository::find_by_id`](super::Repository::find_by_id).
    ///
    /// # Errors
    /// As there.
    pub async fn find_by_id(&self, cx: &SecurityContext, id: &str) -> Result<Option<T>, EntityError> {
        self.reader().find_by_id(cx, id).await
    }

    /// As [`Repository::find_by_ids`](super::Repository::find_by_ids).
    ///
    /// # Errors
    /// As there.
    pub async fn find_by_ids(&self, cx: &SecurityContext, ids: &[String]) -> Result<Vec<T>, EntityError> {
        self.reader().find_by_ids(cx, ids).await
    }

    /// As [`Repository::find_all`](super::Repository::find_all).
    ///
    /// # Errors
    /// As there.
    pub async fn find_all(&self, cx: &SecurityContext, paging: &Paging) -> Result<Page<T>, EntityError> {
        self.reader().page(cx, Operation::FindAll, &Query::all(), paging).await
    }

    /// As [`Repository::search`](super::Repository::search).
    ///
    /// # Errors
    /// As there.
    pub async fn search(&self, cx: &SecurityContext, query: &Query, paging: &Paging) -> Result<Page<T>, EntityError> {
        self.reader().page(cx, Operation::Search, query, paging).await
    }

    /// As [`Repository::count`](super::Repository::count).
    ///
    /// # Errors
    /// As there.
    pub async fn count(&self, cx: &SecurityContext) -> Result<u64, EntityError> {
        self.reader().count(cx, Operation::Count, &Query::all()).await
    }

    /// As [`Repository::count_by_query`](super::Repository::count_by_query).
    ///
    /// # Errors
    /// As there.
    pub async fn count_by_query(&self, cx: &SecurityContext, query: &Query) -> Result<u64, EntityError> {
        self.reader().count(cx, Operation::CountByQuery, query).await
    }

    /// As [`Repository::delete_by_id`](super::Repository::delete_by_id).
    ///
    /// # Errors
    /// As there.
    pub async fn delete_by_id(&self, cx: &SecurityContext, id: &str) -> Result<bool, EntityError> {
        self.writer().delete_by_id(cx, id).await
    }

    /// As [`Repository::delete_by_query`](super::Repository::delete_by_query).
    ///
    /// # Errors
    /// As there.
    pub async fn delete_by_query(&self, cx: &SecurityContext, query: &Query) -> Result<u64, EntityError> {
        self.writer().delete_by_query(cx, query).await
    }
}
