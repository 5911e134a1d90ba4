//! Changing rows: what is stored and what is to be are both put to the rules, in the transaction that changes them.
//!
//! In: a caller, entities or a query. Out: what was written, or a refusal and nothing written. Absent: reads.
//!
//! A row is locked before it is looked at (in SQLite the whole database is), so that no other change comes between the check
//! and the write; what the database returns of the new row is checked before the transaction ends.

#![expect(clippy::wildcard_enum_match_arm, reason = "all other values are as they should be")]

use policy_core::contract::Stored;
use policy_core::filter::Predicate;
use policy_core::table::Operation;
use policy_core::value::{Record as _, Slot, Value as RuleValue};
use sea_query::{Alias, Condition, ExprTrait as _, OnConflict, Order, Query as Sql, SelectStatement};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::access::{Caller, FieldAccess, Reach, Reading, rendered, tenants};
use super::cell::Cell;
use super::core::Core;
use super::error::EntityError;
use super::layout::Row;
use super::pool::{Statement, Transaction};
use super::query::Query;
use super::reader::{IDS, Reader, number};
use crate::security::SecurityContext;

/// Changes an entity's rows, as far as one operation reaches.
pub(super) struct Writer<'w, T> {
    pub(super) core: &'w Core<T>,
    pub(super) reach: &'w Reach,
}

/// A row with its entity.
struct Both<T> {
    row: Row,
    entity: T,
}

/// A row that is to be written.
struct Given<T> {
    both: Both<T>,
    /// Whether the tenant came with it, instead of being filled.
    tenant_set: bool,
}

/// What an entity is to become.
#[derive(Debug)]
pub(super) enum Change<T> {
    /// All of it.
    Whole(T),
    /// Some of its fields, as serde names them, with the id; the others stay.
    Fields(Map<String, Value>),
}

impl<T: Stored + Serialize + DeserializeOwned + Sync> Writer<'_, T> {
    fn both(&self, row: Row) -> Result<Both<T>, EntityError> {
        Ok(Both { entity: self.core.layout.entity(row.clone())?, row })
    }

    fn missing() -> EntityError {
        EntityError::NotFound { entity: T::NAME }
    }

    /// The caller's own tenant; `None` where the entity has no tenants.
    fn tenant(&self, caller: &Caller, id: &str) -> Result<Option<(usize, Cell)>, EntityError> {
        let (Some(tenant), Reach::Own) = (&self.core.layout.table.tenant, self.reach) else { return Ok(None) };
        match caller.cx.participant().field(&Slot::named(&tenant.participant)).to_value() {
            Some(RuleValue::Text(text)) => Ok(Some((tenant.column, Cell::Text(text.to_string())))),
            _ => Err(caller.refuse(id, "the caller has no tenant")),
        }
    }

    /// A tenant that is set by hand is refused.
    fn tenant_by_hand(&self) -> EntityError {
        let field = self.core.layout.tenant().map(|(_, column)| column.field.to_string()).unwrap_or_default();
        let why = "it is filled with the caller's own tenant, and cannot be set by hand";
        EntityError::Value { entity: T::NAME, field, why }
    }

    /// An entity in the caller's tenant, which is filled. A row that is there already has its tenant, and may come with it.
    fn given(&self, entity: &T, tenant: Option<&(usize, Cell)>, new: bool) -> Result<Given<T>, EntityError> {
        let mut row = self.core.layout.cells(entity)?;
        let mut tenant_set = false;
        if let Some((at, own)) = tenant
            && let Some(cell) = row.get_mut(*at)
        {
            tenant_set = !(matches!(cell, Cell::Null) || matches!(cell, Cell::Text(text) if text.is_empty()));
            if tenant_set && cell != own {
                return Err(self.tenant_by_hand());
            }
            cell.clone_from(own);
        }
        if new && let Some(cell) = row.get_mut(self.core.layout.table.id) {
            match cell {
                Cell::Text(text) if text.is_empty() => *text = uuid::Uuid::new_v4().to_string(),
                Cell::Uuid(0) => *cell = Cell::Uuid(uuid::Uuid::new_v4().as_u128()),
                _ => {}
            }
        }
        Ok(Given { both: self.both(row)?, tenant_set })
    }

    /// More entities in one call than are looked at one by one are too many.
    fn bounded(&self, count: usize) -> Result<(), EntityError> {
        let limit = self.core.settings.scan;
        if count > limit { Err(EntityError::TooManyRows { limit }) } else { Ok(()) }
    }

    fn own(&self, tenant: Option<&(usize, Cell)>) -> Condition {
        let mut condition = Condition::all();
        if let Some((at, cell)) = tenant
            && let Some(column) = self.core.layout.columns.get(*at)
        {
            condition = condition.add(self.core.column(column).eq(self.core.bound(column, cell)));
        }
        condition
    }

    /// Whether the caller sees a row, which is whether it exists for them.
    fn visible(&self, caller: &Caller, entity: &T) -> bool {
        let id = self.reach.action::<T>(Operation::FindById);
        caller.action::<T>(&id).is_ok_and(|action| caller.decide(action, entity).is_ok())
    }

    /// What the caller is shown of a row that was written.
    fn shown(&self, caller: &Caller, fields: &[FieldAccess], both: Both<T>) -> Result<Written<T>, EntityError> {
        let id = both.entity.entity_id().into_owned();
        if !self.visible(caller, &both.entity) {
            return Ok(Written { id, entity: None });
        }
        let reader = Reader { core: self.core, reach: self.reach };
        let entity = reader.masked(caller, fields, both.row, both.entity)?;
        Ok(Written { id, entity: Some(entity) })
    }

    /// Writes entities that may be new; each with what the caller is shown of it.
    pub(super) async fn save(
        &self,
        cx: &SecurityContext,
        operation: Operation,
        entities: &[T],
    ) -> Result<Vec<Written<T>>, EntityError> {
        let id = self.reach.action::<T>(operation);
        let update = if operation == Operation::BulkSave { Operation::BulkUpdate } else { Operation::Update };
        let update = self.reach.action::<T>(update);
        let caller = Caller::of::<T>(cx, &id)?;
        let tenant = self.tenant(&caller, &id)?;
        let fields = caller.fields::<T>(&self.core.bare)?;
        self.bounded(entities.len())?;
        let mut new = Vec::with_capacity(entities.len());
        for entity in entities {
            let given = self.given(entity, tenant.as_ref(), true)?;
            caller.require::<T>(&id, &given.both.entity)?;
            new.push(given);
        }
        let mut audit = caller.begin::<T>(&id, None).await?;
        // Rows are locked in one order by everybody, so that two bulks never wait for each other.
        new.sort_by(|a, b| a.both.entity.entity_id().cmp(&b.both.entity.entity_id()));
        let mut transaction = self.core.database.begin(&self.core.layout).await?;
        let mut written = Vec::with_capacity(new.len());
        for Given { both, tenant_set } in new {
            let inserted =
                transaction.change(&self.core.layout, &Statement::Insert(self.insert(&both.row)?)).await?.pop();
            let done = if let Some(row) = inserted {
                if tenant_set {
                    return Err(self.tenant_by_hand());
                }
                let done = self.both(row)?;
                caller.require::<T>(&id, &done.entity)?;
                self.created(&caller, &id, &fields, &done)?;
                done
            } else {
                let stored = self.locked(&mut transaction, Condition::all(), &self.core.id_of(&both.row)).await?;
                let stored = stored.filter(|stored| Self::same_tenant(tenant.as_ref(), &stored.row));
                // Whoever may not see the row learns no more than from any refused save.
                let Some(stored) = stored.filter(|stored| self.visible(&caller, &stored.entity)) else {
                    if tenant_set {
                        return Err(self.tenant_by_hand());
                    }
                    return Err(caller.refuse(&id, "another row has this id, and the caller may not see it"));
                };
                let done = self.replaced(&mut transaction, &caller, &update, &fields, stored, both).await?;
                caller.require::<T>(&id, &done.entity)?;
                done
            };
            written.push(done);
        }
        transaction.commit(&self.core.layout).await?;
        audit.add_rows(number(written.len()));
        written.into_iter().map(|both| self.shown(&caller, &fields, both)).collect()
    }

    /// Changes entities that are there.
    pub(super) async fn update(
        &self,
        cx: &SecurityContext,
        operation: Operation,
        changes: Vec<Change<T>>,
    ) -> Result<Vec<Written<T>>, EntityError> {
        let id = self.reach.action::<T>(operation);
        let caller = Caller::of::<T>(cx, &id)?;
        let tenant = self.tenant(&caller, &id)?;
        let fields = caller.fields::<T>(&self.core.bare)?;
        self.bounded(changes.len())?;
        let mut keyed = Vec::with_capacity(changes.len());
        for change in changes {
            keyed.push((self.key(&change)?, change));
        }
        let mut audit = caller.begin::<T>(&id, None).await?;
        keyed.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut transaction = self.core.database.begin(&self.core.layout).await?;
        let mut written = Vec::with_capacity(keyed.len());
        for (key, change) in keyed {
            let key = self.core.key(&key).ok_or_else(Self::missing)?;
            let stored = self.locked(&mut transaction, self.own(tenant.as_ref()), &key).await?;
            let stored = stored.filter(|stored| self.visible(&caller, &stored.entity)).ok_or_else(Self::missing)?;
            let new = match change {
                Change::Whole(entity) => entity,
                Change::Fields(some) => self.merged(&caller, &fields, &stored, some)?,
            };
            let new = self.given(&new, tenant.as_ref(), false)?.both;
            written.push(self.replaced(&mut transaction, &caller, &id, &fields, stored, new).await?);
        }
        transaction.commit(&self.core.layout).await?;
        audit.add_rows(number(written.len()));
        written.into_iter().map(|both| self.shown(&caller, &fields, both)).collect()
    }

    /// Deletes the row of an id; `false` when there is none that the caller may see.
    pub(super) async fn delete_by_id(&self, cx: &SecurityContext, id: &str) -> Result<bool, EntityError> {
        let action = self.reach.action::<T>(Operation::DeleteById);
        let caller = Caller::of::<T>(cx, &action)?;
        let tenant = self.tenant(&caller, &action)?;
        let mut audit = caller.begin::<T>(&action, None).await?;
        let Some(key) = self.core.key(id) else { return Ok(false) };
        let mut transaction = self.core.database.begin(&self.core.layout).await?;
        let within = rendered(&self.core.render(), [tenants(&self.core.layout.table, self.reach)]);
        let select = self.core.select(self.own(tenant.as_ref()).add(within).add(self.core.with_id(&key)));
        let Some(row) = transaction.lock(&self.core.layout, select).await?.pop() else { return Ok(false) };
        let stored = self.both(row)?;
        if !self.visible(&caller, &stored.entity) {
            return Ok(false);
        }
        caller.require::<T>(&action, &stored.entity)?;
        self.delete(&mut transaction, &[key]).await?;
        transaction.commit(&self.core.layout).await?;
        audit.add_rows(1);
        Ok(true)
    }

    /// Deletes the visible rows that a query matches; one that may not be deleted keeps all of them.
    pub(super) async fn delete_by_query(&self, cx: &SecurityContext, query: &Query) -> Result<u64, EntityError> {
        let action = self.reach.action::<T>(Operation::DeleteByQuery);
        let caller = Caller::of::<T>(cx, &action)?;
        let tenant = self.tenant(&caller, &action)?;
        let table = match self.reach {
            Reach::Own => &self.core.layout.table,
            Reach::AllTenants | Reach::Tenants(_) => &self.core.bare,
        };
        let visible = caller.access::<T>(&self.reach.action::<T>(Operation::FindById), table)?;
        let fields = caller.fields::<T>(&self.core.bare)?;
        let readable = |name: &str| fields.iter().all(|field| field.attribute != name || field.read == Reading::Always);
        let query = query.predicate::<T>(&self.core.layout.table, &readable)?;
        let mut audit = caller.begin::<T>(&action, Some(&visible.predicate)).await?;
        let all: [Predicate; 3] = [tenants(&self.core.layout.table, self.reach), visible.predicate.clone(), query];
        let mut select = self.core.select(rendered(&self.core.render(), all).add(self.own(tenant.as_ref())));
        if let Some(column) = self.core.layout.id() {
            select.order_by_expr(self.core.column(column), Order::Asc);
        }
        let limit = self.core.settings.scan;
        select.limit(number(limit).saturating_add(1));
        let mut transaction = self.core.database.begin(&self.core.layout).await?;
        let rows = transaction.lock(&self.core.layout, select).await?;
        if rows.len() > limit {
            return Err(EntityError::TooManyRows { limit });
        }
        let mut keys = Vec::with_capacity(rows.len());
        for row in rows {
            let stored = self.both(row)?;
            if !visible.exact && caller.decide(visible.action, &stored.entity).is_err() {
                continue;
            }
            caller.require::<T>(&action, &stored.entity)?;
            keys.push(self.core.id_of(&stored.row));
        }
        for some in keys.chunks(IDS) {
            self.delete(&mut transaction, some).await?;
        }
        transaction.commit(&self.core.layout).await?;
        let deleted = number(keys.len());
        audit.add_rows(deleted);
        Ok(deleted)
    }

    /// The id of what is to be changed.
    fn key(&self, change: &Change<T>) -> Result<String, EntityError> {
        match change {
            Change::Whole(entity) => Ok(entity.entity_id().into_owned()),
            Change::Fields(fields) => {
                let field = self.core.layout.id().map_or("", |column| &*column.field);
                match fields.get(field) {
                    Some(Value::String(id)) => Ok(id.clone()),
                    Some(Value::Number(id)) => Ok(id.to_string()),
                    _ => Err(EntityError::Value { entity: T::NAME, field: field.to_owned(), why: "it is no id" }),
                }
            }
        }
    }

    /// A stored row, as far as the caller may see it, with some fields changed.
    fn merged(
        &self,
        caller: &Caller,
        fields: &[FieldAccess],
        stored: &Both<T>,
        some: Map<String, Value>,
    ) -> Result<T, EntityError> {
        let mut row = stored.row.clone();
        Reader { core: self.core, reach: self.reach }.hide(caller, fields, &mut row, &stored.entity);
        let mut whole = self.core.layout.value(row)?;
        whole.extend(some);
        serde_json::from_value(Value::Object(whole))
            .map_err(|error| EntityError::Query(format!("the fields do not fit `{}`: {error}", T::NAME)))
    }

    fn same_tenant(tenant: Option<&(usize, Cell)>, row: &Row) -> bool {
        tenant.is_none_or(|(at, own)| row.get(*at) == Some(own))
    }

    async fn locked(
        &self,
        transaction: &mut Transaction,
        own: Condition,
        id: &Cell,
    ) -> Result<Option<Both<T>>, EntityError> {
        let select: SelectStatement = self.core.select(own.add(self.core.with_id(id)));
        transaction.lock(&self.core.layout, select).await?.pop().map(|row| self.both(row)).transpose()
    }

    /// Replaces a stored row that is locked: the rules of both rows and of every changed field must hold.
    async fn replaced(
        &self,
        transaction: &mut Transaction,
        caller: &Caller,
        id: &str,
        fields: &[FieldAccess],
        stored: Both<T>,
        new: Both<T>,
    ) -> Result<Both<T>, EntityError> {
        caller.require::<T>(id, &stored.entity)?;
        let new = self.kept(caller, id, fields, &stored, new)?;
        for field in fields {
            let Some(write) = field.write else { continue };
            let at = self.core.layout.place(field.attribute);
            let changed = at.is_some_and(|at| stored.row.get(at) != new.row.get(at));
            if changed {
                caller.require::<T>(write, &stored.entity)?;
                caller.require::<T>(write, &new.entity)?;
            }
        }
        let done = match self.change(&new.row) {
            Some(change) => transaction.change(&self.core.layout, &change).await?.pop().ok_or_else(Self::missing)?,
            None => stored.row,
        };
        let done = self.both(done)?;
        caller.require::<T>(id, &done.entity)?;
        Ok(done)
    }

    /// Keeps the fields that the caller may not read, and refuses those of them that are set.
    fn kept(
        &self,
        caller: &Caller,
        id: &str,
        fields: &[FieldAccess],
        stored: &Both<T>,
        new: Both<T>,
    ) -> Result<Both<T>, EntityError> {
        let mut row = new.row;
        let mut kept = false;
        for field in fields {
            let readable = match field.read {
                Reading::Always => true,
                Reading::Never => false,
                Reading::OfRow(action) => caller.decide(action, &stored.entity).is_ok(),
            };
            let Some(at) = self.core.layout.place(field.attribute).filter(|_| !readable) else { continue };
            let (Some(cell), Some(old)) = (row.get_mut(at), stored.row.get(at)) else { continue };
            if *cell != Cell::Null {
                return Err(caller.refuse(id, "a field that the caller may not read is set"));
            }
            cell.clone_from(old);
            kept = true;
        }
        if kept { self.both(row) } else { Ok(Both { row, entity: new.entity }) }
    }

    /// Who creates a row writes its fields too.
    fn created(&self, caller: &Caller, id: &str, fields: &[FieldAccess], new: &Both<T>) -> Result<(), EntityError> {
        for field in fields {
            let at = self.core.layout.place(field.attribute);
            if at.and_then(|at| new.row.get(at)).is_none_or(|cell| *cell == Cell::Null) {
                continue;
            }
            match (field.write, field.read) {
                (Some(write), _) => caller.require::<T>(write, &new.entity)?,
                (None, Reading::Always) => {}
                (None, Reading::OfRow(action)) if caller.decide(action, &new.entity).is_ok() => {}
                (None, Reading::Never | Reading::OfRow(_)) => {
                    return Err(caller.refuse(id, "a field that the caller may not read is set"));
                }
            }
        }
        Ok(())
    }

    fn insert(&self, row: &Row) -> Result<sea_query::InsertStatement, EntityError> {
        let columns = &self.core.layout.columns;
        let mut insert = Sql::insert();
        insert.into_table(self.core.table()).columns(self.core.names());
        let values = columns.iter().zip(row).map(|(column, cell)| self.core.bound(column, cell));
        insert.values(values).map_err(|_| EntityError::Stored { entity: T::NAME })?;
        if let Some(column) = self.core.layout.id() {
            insert.on_conflict(OnConflict::column(Alias::new(&*column.name)).do_nothing().to_owned());
        }
        insert.returning(Sql::returning().columns(self.core.names()));
        Ok(insert)
    }

    /// Everything but the id and the tenant, which never change.
    fn change(&self, row: &Row) -> Option<Statement> {
        let layout = &self.core.layout;
        let tenant = layout.table.tenant.as_ref().map(|tenant| tenant.column);
        let mut update = Sql::update();
        update.table(self.core.table());
        let mut any = false;
        for (at, (column, cell)) in layout.columns.iter().zip(row).enumerate() {
            if at != layout.table.id && Some(at) != tenant {
                update.value(Alias::new(&*column.name), self.core.bound(column, cell));
                any = true;
            }
        }
        update.cond_where(self.core.with_id(&self.core.id_of(row)));
        update.returning(Sql::returning().columns(self.core.names()));
        any.then_some(Statement::Update(update))
    }

    async fn delete(&self, transaction: &mut Transaction, keys: &[Cell]) -> Result<(), EntityError> {
        let mut delete = Sql::delete();
        delete.from_table(self.core.table()).cond_where(self.core.with_ids(keys));
        transaction.change(&self.core.layout, &Statement::Delete(delete)).await.map(|_| ())
    }
}

/// A row that was written, as far as the caller may see it.
///
/// ```
/// use policy_runtime::entity::Written;
/// fn told<T: std::fmt::Debug>(written: &Written<T>) -> String {
///     written.entity().map_or_else(|| format!("{} is stored", written.id()), |entity| format!("{entity:?}"))
/// }
/// fn taken<T>(written: Written<T>) -> Option<T> {
///     written.into_entity()
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written<T> {
    pub(super) id: String,
    pub(super) entity: Option<T>,
}

impl<T> Written<T> {
    /// Its id, which may have been made for it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The row as the database has it; `None` for a caller who may write it and not read it.
    pub const fn entity(&self) -> Option<&T> {
        self.entity.as_ref()
    }

    /// The row as the database has it; `None` for a caller who may write it and not read it.
    pub fn into_entity(self) -> Option<T> {
        self.entity
    }
}
