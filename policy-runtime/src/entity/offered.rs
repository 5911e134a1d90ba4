//! One entity as clients call it: a method's name and its arguments as JSON, to the repository and back.
//!
//! In: a call that is known to be of this entity. Out: a reply, or why there is none. Absent: which entity a call is about.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use policy_core::contract::Stored;
use policy_core::table::Operation;
use policy_core::value::{Slot, Value as RuleValue};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::across::{CrossTenant, Tenants};
use super::error::EntityError;
use super::paging::{Page, Paging};
use super::query::Query;
use super::repository::Repository;
use super::writer::{Change, Written};
use crate::code::Code;
use crate::security::SecurityContext;
use crate::service::{Arguments, CallError, CallFuture, Reply};

/// How far the called service reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The caller's own tenant.
    Own,
    /// The tenants that the call names.
    Across,
}

/// A call of an entity's method. The number of its arguments is right; the first names the entity.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) side: Side,
    pub(super) method: String,
    pub(super) arguments: Arguments,
    /// What a named query asks for.
    pub(super) query: Option<Query>,
}

/// An entity that is called by name.
pub(super) trait Offered: Send + Sync {
    fn call(self: Arc<Self>, call: Call, cx: SecurityContext) -> CallFuture;
}

impl<T: Stored + Serialize + DeserializeOwned + Send + Sync + 'static> Offered for Repository<T> {
    fn call(self: Arc<Self>, call: Call, cx: SecurityContext) -> CallFuture {
        Box::pin(async move {
            match call.side {
                Side::Own => self.own(call, &cx).await,
                Side::Across => self.beyond(call, &cx).await,
            }
        })
    }
}

/// An id, as clients write it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Id {
    Text(String),
    Number(i64),
}

impl From<Id> for String {
    fn from(id: Id) -> Self {
        match id {
            Id::Text(text) => text,
            Id::Number(n) => n.to_string(),
        }
    }
}

/// An id in a tenant.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Within {
    entity_id: Id,
    tenant_id: String,
}

impl<T: Stored + Serialize + DeserializeOwned + Send + Sync + 'static> Repository<T> {
    async fn own(&self, call: Call, cx: &SecurityContext) -> Result<Reply, CallError> {
        let Call { method, arguments: given, query, .. } = call;
        match method.as_str() {
            "save" => self.told(&self.save(cx, given.take(1, "entity")?).await?),
            "bulkSave" => {
                self.bulk_save(cx, given.take(1, "entities")?).await?;
                Ok(Reply::Nothing)
            }
            "update" => {
                let changes = vec![Change::Fields(given.take(1, "entity")?)];
                let written = self.writer().update(cx, Operation::Update, changes).await?.pop();
                self.told(&written.ok_or(EntityError::NotFound { entity: T::NAME })?)
            }
            "bulkUpdate" => {
                let entities: Vec<Map<String, Value>> = given.take(1, "entities")?;
                let changes = entities.into_iter().map(Change::Fields).collect();
                self.writer().update(cx, Operation::BulkUpdate, changes).await?;
                Ok(Reply::Nothing)
            }
            "findById" => {
                let id = String::from(given.take::<Id>(1, "id")?);
                Reply::value(&self.find_by_id(cx, &id).await?)
            }
            "findByIds" => {
                let ids: Vec<String> = given.take::<Vec<Id>>(1, "ids")?.into_iter().map(String::from).collect();
                Reply::value(&self.find_by_ids(cx, &ids).await?)
            }
            "findAll" => Reply::value(&self.find_all(cx, &given.take(1, "pageable")?).await?),
            "search" => Reply::value(&self.search(cx, &words(&given, 1)?, &given.take(2, "pageable")?).await?),
            "count" => Reply::value(&self.count(cx).await?),
            "countByQuery" => Reply::value(&self.count_by_query(cx, &words(&given, 1)?).await?),
            "deleteById" => {
                let id = String::from(given.take::<Id>(1, "id")?);
                self.delete_by_id(cx, &id).await?;
                Ok(Reply::Nothing)
            }
            "deleteByQuery" => {
                self.delete_by_query(cx, &some_words(&given)?).await?;
                Ok(Reply::Nothing)
            }
            // There is no index that lags behind; who may not count learns that here too.
            "syncIndex" => {
                self.reader().may(cx, Operation::Count).await?;
                Ok(Reply::Nothing)
            }
            "namedQuery" => self.all_of(&self.search(cx, &named(query)?, &self.one_page()).await?),
            "namedQueryPage" => Reply::value(&self.search(cx, &named(query)?, &given.take(3, "pageable")?).await?),
            other => Err(CallError::unknown_method(T::NAME, other)),
        }
    }

    async fn beyond(&self, call: Call, cx: &SecurityContext) -> Result<Reply, CallError> {
        let Call { method, arguments: given, query, .. } = call;
        let tenants = |at| given.take::<Vec<String>>(at, "tenants").map(|list| self.across(Tenants::List(list)));
        match method.as_str() {
            "findById" => {
                let Within { entity_id, tenant_id } = given.take(1, "id")?;
                let across = self.across(Tenants::list([tenant_id]));
                Reply::value(&across.find_by_id(cx, &String::from(entity_id)).await?)
            }
            "findByIds" => Reply::value(&self.of_tenants(cx, given.take(1, "ids")?).await?),
            "findAll" => Reply::value(&tenants(1)?.find_all(cx, &given.take(2, "pageable")?).await?),
            "search" => {
                let (across, paging): (CrossTenant<'_, T>, Paging) = (tenants(2)?, given.take(3, "pageable")?);
                Reply::value(&across.search(cx, &words(&given, 1)?, &paging).await?)
            }
            "count" => Reply::value(&tenants(1)?.count(cx).await?),
            "countByQuery" => Reply::value(&tenants(2)?.count_by_query(cx, &words(&given, 1)?).await?),
            "deleteById" => {
                let Within { entity_id, tenant_id } = given.take(1, "id")?;
                self.across(Tenants::list([tenant_id])).delete_by_id(cx, &String::from(entity_id)).await?;
                Ok(Reply::Nothing)
            }
            "deleteByQuery" => {
                tenants(2)?.delete_by_query(cx, &some_words(&given)?).await?;
                Ok(Reply::Nothing)
            }
            // The clients name no tenants here, so the policies alone say which.
            "namedQuery" => {
                let all = self.across(Tenants::All);
                self.all_of(&all.search(cx, &named(query)?, &self.one_page()).await?)
            }
            "namedQueryPage" => {
                let all = self.across(Tenants::All);
                Reply::value(&all.search(cx, &named(query)?, &given.take(3, "pageable")?).await?)
            }
            other => Err(CallError::unknown_method(T::NAME, other)),
        }
    }

    /// Rows by id, each in the tenant that is named with it.
    async fn of_tenants(&self, cx: &SecurityContext, wanted: Vec<Within>) -> Result<Vec<T>, EntityError> {
        let tenants: BTreeSet<String> = wanted.iter().map(|one| one.tenant_id.clone()).collect();
        let (mut ids, mut pairs) = (Vec::with_capacity(wanted.len()), HashSet::new());
        for Within { entity_id, tenant_id } in wanted {
            let id = String::from(entity_id);
            pairs.extend(self.core.canonical(&id).map(|id| (id, tenant_id)));
            ids.push(id);
        }
        let mut found = self.across(Tenants::list(tenants)).find_by_ids(cx, &ids).await?;
        let tenant = self.core.layout.tenant().map(|(_, column)| Slot::named(&column.field));
        found.retain(|entity| match tenant.as_ref().and_then(|slot| entity.field(slot).to_value()) {
            Some(RuleValue::Text(of)) => pairs.contains(&(entity.entity_id().into_owned(), of.to_string())),
            _ => false,
        });
        Ok(found)
    }

    fn one_page(&self) -> Paging {
        Paging::page(0, self.core.settings.page)
    }

    /// What a query without pages answers: everything, or an error.
    fn all_of(&self, page: &Page<T>) -> Result<Reply, CallError> {
        let limit = self.core.settings.page;
        if page.total_elements.is_some_and(|total| total > limit) {
            let why = format!("more than {limit} rows match; ask for pages");
            return Err(CallError::new(Code::TooManyRows, why));
        }
        Reply::value(&page.content)
    }

    /// A row that was written; of one that the caller may not see, the id.
    fn told(&self, written: &Written<T>) -> Result<Reply, CallError> {
        let id = self.core.layout.id().map_or("id", |column| &*column.field);
        match written.entity() {
            Some(entity) => Reply::value(entity),
            None => Reply::value(&Map::from_iter([(id.to_owned(), Value::from(written.id()))])),
        }
    }
}

fn words(given: &Arguments, at: usize) -> Result<Query, CallError> {
    Ok(Query::parse(&given.take::<String>(at, "query")?)?)
}

/// A query that deletes says what: nothing at all is more likely a mistake than everything.
fn some_words(given: &Arguments) -> Result<Query, CallError> {
    let text: String = given.take(1, "query")?;
    if text.trim().is_empty() {
        return Err(EntityError::Query("a query that deletes is not empty; `*` is every row".to_owned()).into());
    }
    Ok(Query::parse(&text)?)
}

fn named(query: Option<Query>) -> Result<Query, EntityError> {
    query.ok_or_else(|| EntityError::Query("there is no such query".to_owned()))
}
