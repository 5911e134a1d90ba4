//! Reading rows: only those that the caller may see, and of those only the fields that they may.
//!
//! In: a caller, a query. Out: entities, pages, counts. Absent: changes.

use policy_core::contract::Stored;
use policy_core::filter::Predicate;
use policy_core::kind::Kind;
use policy_core::table::{Operation, Table};
use sea_query::{
    Condition, Expr, ExprTrait as _, Func, NullOrdering, Order as SqlOrder, Query as Sql, SelectStatement,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::access::{Access, Caller, FieldAccess, Reach, Reading, rendered, sortable, tenants};
use super::cell::Cell;
use super::core::Core;
use super::error::EntityError;
use super::layout::{Column, Row};
use super::paging::{At, Direction, Nulls, Page, Paging};
use super::query::Query;
use crate::guard::Opened;
use crate::security::SecurityContext;

/// How many ids stand in one statement.
pub(super) const IDS: usize = 500;

/// Reads an entity's rows, as far as one operation reaches.
pub(super) struct Reader<'r, T> {
    pub(super) core: &'r Core<T>,
    pub(super) reach: &'r Reach,
}

/// A question of a caller, with everything that the decision point said of it.
pub(super) struct Asked {
    pub(super) caller: Caller,
    pub(super) rules: Rules,
    query: Predicate,
    /// What a cursor of this question is bound to.
    bound: String,
    pub(super) audit: Opened,
}

/// What the decision point said.
#[derive(Debug)]
pub(super) struct Rules {
    access: Access,
    fields: Vec<FieldAccess>,
}

impl<T: Stored + Serialize + DeserializeOwned + Sync> Reader<'_, T> {
    fn table(&self) -> &Table {
        match self.reach {
            Reach::Own => &self.core.layout.table,
            Reach::AllTenants | Reach::Tenants(_) => &self.core.bare,
        }
    }

    async fn ask(&self, cx: &SecurityContext, operation: Operation, query: &Query) -> Result<Asked, EntityError> {
        let id = self.reach.action::<T>(operation);
        let caller = Caller::of::<T>(cx, &id)?;
        caller.cast_shadow::<T>(&id);
        let access = caller.access::<T>(&id, self.table())?;
        let fields = caller.fields::<T>(&self.core.bare)?;
        let readable = |name: &str| fields.iter().all(|field| field.attribute != name || field.read == Reading::Always);
        let query = query.predicate::<T>(&self.core.layout.table, &readable)?;
        let audit = caller.begin::<T>(&id, Some(&access.predicate)).await?;
        let bound = format!("{}|{}|{id}|{:?}|{query:?}", cx.participant().uid_id(), T::NAMESPACE, self.reach);
        Ok(Asked { caller, rules: Rules { access, fields }, query, bound, audit })
    }

    fn condition(&self, asked: &Asked) -> Condition {
        let all =
            [tenants(&self.core.layout.table, self.reach), asked.rules.access.predicate.clone(), asked.query.clone()];
        rendered(&self.core.render(), all)
    }

    /// The entity of a row, if the caller may see it, without what they may not.
    pub(super) fn seen(&self, caller: &Caller, rules: &Rules, row: Row) -> Result<Option<T>, EntityError> {
        let exact = rules.access.exact;
        let entity = match self.core.layout.entity::<T>(row.clone()) {
            Ok(entity) => entity,
            // Reported by now; where each row is put to the rules, what they cannot read is hidden.
            Err(_) if !exact => return Ok(None),
            Err(error) => return Err(error),
        };
        if !exact && caller.decide(rules.access.action, &entity).is_err() {
            return Ok(None);
        }
        self.masked(caller, &rules.fields, row, entity).map(Some)
    }

    /// Takes out the fields that the caller may not read in this row.
    pub(super) fn masked(
        &self,
        caller: &Caller,
        fields: &[FieldAccess],
        mut row: Row,
        entity: T,
    ) -> Result<T, EntityError> {
        if self.hide(caller, fields, &mut row, &entity) { self.core.layout.entity(row) } else { Ok(entity) }
    }

    /// Takes the cells of those fields out of the row of an entity, and says whether there are any.
    pub(super) fn hide(&self, caller: &Caller, fields: &[FieldAccess], row: &mut Row, entity: &T) -> bool {
        let mut hidden = false;
        for field in fields {
            let readable = match field.read {
                Reading::Always => true,
                Reading::Never => false,
                Reading::OfRow(action) => caller.decide(action, entity).is_ok(),
            };
            if !readable && let Some(cell) = self.core.layout.place(field.attribute).and_then(|at| row.get_mut(at)) {
                *cell = Cell::Null;
                hidden = true;
            }
        }
        hidden
    }

    pub(super) async fn find_by_id(&self, cx: &SecurityContext, id: &str) -> Result<Option<T>, EntityError> {
        let mut asked = self.ask(cx, Operation::FindById, &Query::all()).await?;
        let mut found = None;
        if let Some(key) = self.core.key(id) {
            let select = self.core.select(self.condition(&asked).add(self.core.with_id(&key)));
            if let Some(row) = self.core.database.rows(&self.core.layout, &select).await?.pop() {
                found = self.seen(&asked.caller, &asked.rules, row)?;
            }
        }
        asked.audit.add_rows(found.is_some().into());
        Ok(found)
    }

    pub(super) async fn find_by_ids(&self, cx: &SecurityContext, ids: &[String]) -> Result<Vec<T>, EntityError> {
        let mut asked = self.ask(cx, Operation::FindByIds, &Query::all()).await?;
        if ids.len() > self.core.settings.scan {
            return Err(EntityError::Query(format!("at most {} ids can be asked for", self.core.settings.scan)));
        }
        let keys: Vec<Cell> = ids.iter().filter_map(|id| self.core.key(id)).collect();
        let mut found: Vec<(Cell, T)> = Vec::new();
        for some in keys.chunks(IDS) {
            let select = self.core.select(self.condition(&asked).add(self.core.with_ids(some)));
            for row in self.core.database.rows(&self.core.layout, &select).await? {
                let key = self.core.id_of(&row);
                found.extend(self.seen(&asked.caller, &asked.rules, row)?.map(|entity| (key, entity)));
            }
        }
        // In the order in which they were asked for.
        let mut out = Vec::with_capacity(found.len());
        for key in &keys {
            if let Some(at) = found.iter().position(|(other, _)| other == key) {
                out.push(found.swap_remove(at).1);
            }
        }
        asked.audit.add_rows(number(out.len()));
        Ok(out)
    }

    /// Whether an operation is open to the caller at all.
    pub(super) async fn may(&self, cx: &SecurityContext, operation: Operation) -> Result<(), EntityError> {
        self.ask(cx, operation, &Query::all()).await.map(|_| ())
    }

    pub(super) async fn count(
        &self,
        cx: &SecurityContext,
        operation: Operation,
        query: &Query,
    ) -> Result<u64, EntityError> {
        let mut asked = self.ask(cx, operation, query).await?;
        let mut count = 0;
        if asked.rules.access.exact {
            count = self.core.database.count(&self.core.layout, &self.total(&asked)).await?;
        } else {
            for row in self.scanned(self.core.select(self.condition(&asked))).await? {
                count += u64::from(self.seen(&asked.caller, &asked.rules, row)?.is_some());
            }
        }
        asked.audit.add_rows(count);
        Ok(count)
    }

    /// The statement that counts what is asked for.
    fn total(&self, asked: &Asked) -> SelectStatement {
        let mut select = Sql::select();
        let everything = Expr::col(sea_query::Asterisk);
        select.expr(Func::count(everything)).from(self.core.table()).cond_where(self.condition(asked));
        select
    }

    /// Rows and, if it is asked for, how many there are in all, of one moment.
    async fn counted(
        &self,
        select: &SelectStatement,
        total: Option<SelectStatement>,
    ) -> Result<(Vec<Row>, Option<u64>), EntityError> {
        let (database, layout) = (&self.core.database, &self.core.layout);
        let Some(total) = total else { return Ok((database.rows(layout, select).await?, None)) };
        let mut snapshot = database.snapshot(layout).await?;
        let rows = snapshot.rows(layout, select).await?;
        let total = snapshot.count(layout, &total).await?;
        snapshot.commit(layout).await?;
        Ok((rows, Some(total)))
    }

    /// Rows that are to be looked at one by one: all of them, or an error where they are too many.
    async fn scanned(&self, mut select: SelectStatement) -> Result<Vec<Row>, EntityError> {
        let limit = self.core.settings.scan;
        select.limit(number(limit).saturating_add(1));
        let rows = self.core.database.rows(&self.core.layout, &select).await?;
        if rows.len() > limit { Err(EntityError::TooManyRows { limit }) } else { Ok(rows) }
    }

    pub(super) async fn page(
        &self,
        cx: &SecurityContext,
        operation: Operation,
        query: &Query,
        paging: &Paging,
    ) -> Result<Page<T>, EntityError> {
        let offset = paging.offset(self.core.settings.page)?;
        let mut asked = self.ask(cx, operation, query).await?;
        let keys = self.keys(paging, &asked.rules.fields)?;
        let mut condition = self.condition(&asked);
        let bound = format!("{}|{:?}", asked.bound, paging.orders);
        let cursors = &self.core.settings.cursors;
        if let At::Cursor(Some(cursor)) = &paging.at {
            let values = cursors.open(cursor, &bound, asked.caller.time.0)?;
            condition = condition.add(self.behind(&keys, &values)?);
        }
        let mut select = self.core.select(condition);
        for key in &keys {
            key.order(&mut select, self.core.column(key.column));
        }
        let size = usize::try_from(paging.size).unwrap_or(usize::MAX);
        let (content, last, total) = if asked.rules.access.exact {
            select.limit(paging.size).offset(offset);
            let counts = matches!(paging.at, At::Page(_));
            let (rows, total) = self.counted(&select, counts.then(|| self.total(&asked))).await?;
            let last = rows.last().cloned();
            let mut content = Vec::with_capacity(rows.len());
            for row in rows {
                content.extend(self.seen(&asked.caller, &asked.rules, row)?);
            }
            (content, last, total)
        } else {
            let mut seen = Vec::new();
            for row in self.scanned(select).await? {
                let kept = row.clone();
                seen.extend(self.seen(&asked.caller, &asked.rules, row)?.map(|entity| (kept, entity)));
            }
            let total = Some(number(seen.len())).filter(|_| matches!(paging.at, At::Page(_)));
            let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
            let mut content = Vec::new();
            let mut last = None;
            for (row, entity) in seen.into_iter().skip(skipped).take(size) {
                last = Some(row);
                content.push(entity);
            }
            (content, last, total)
        };
        let cursor = match (&paging.at, last) {
            (At::Cursor(_), Some(row)) => {
                let values: Vec<Value> = keys.iter().map(|key| key.of(&row).into_stored()).collect();
                cursors.seal(&values, &bound, asked.caller.time.0)
            }
            (At::Cursor(_) | At::Page(_), _) => None,
        };
        asked.audit.add_rows(number(content.len()));
        Ok(Page { total_elements: total, content, cursor })
    }

    /// What rows are ordered by: the named fields, then the id.
    fn keys(&self, paging: &Paging, fields: &[FieldAccess]) -> Result<Vec<Key<'_>>, EntityError> {
        let layout = &self.core.layout;
        let mut keys = Vec::new();
        for order in &paging.orders {
            let hidden = fields.iter().any(|field| field.attribute == order.field && field.read != Reading::Always);
            let at = layout.place(&order.field).filter(|_| !hidden);
            let column = at.and_then(|at| layout.columns.get(at).map(|column| (at, column)));
            match column {
                Some((at, column)) if column.kind().is_some_and(sortable) => {
                    keys.push(Key {
                        at,
                        column,
                        direction: order.direction,
                        nulls: order.nulls.unwrap_or(Nulls::Last),
                    });
                }
                Some(_) => return Err(EntityError::Query(format!("rows have no order by `{}`", order.field))),
                None => {
                    let known = layout.columns.iter().filter(|column| column.ty.is_some()).map(|column| &*column.field);
                    let known = known.filter(|name| fields.iter().all(|field| field.attribute != *name));
                    let near = policy_core::name::nearest(&order.field, known);
                    let near = near.map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default();
                    return Err(EntityError::Query(format!("there is no field `{}`{near}", order.field)));
                }
            }
        }
        if let Some(column) = layout.id().filter(|_| keys.iter().all(|key| key.at != layout.table.id)) {
            keys.push(Key { at: layout.table.id, column, direction: Direction::Ascending, nulls: Nulls::Last });
        }
        Ok(keys)
    }

    /// The rows behind a cursor: with a greater first key, or the same and a greater second one, and so on.
    fn behind(&self, keys: &[Key<'_>], values: &[Value]) -> Result<Condition, EntityError> {
        if keys.len() != values.len() {
            return Err(EntityError::Cursor);
        }
        let mut any = Condition::any();
        let mut same = Condition::all();
        for (key, value) in keys.iter().zip(values) {
            let kind = key.column.kind().unwrap_or(&Kind::Text);
            let cell = Cell::from_stored(kind, value.clone()).map_err(|_| EntityError::Cursor)?;
            let column = || self.core.column(key.column);
            let null = cell == Cell::Null;
            let bound = self.core.bound(key.column, &cell);
            let after = match (null, key.nulls) {
                (true, Nulls::First) => Some(Condition::all().add(column().is_not_null())),
                (true, Nulls::Last) => None,
                (false, nulls) => {
                    let beyond = match key.direction {
                        Direction::Ascending => column().gt(bound.clone()),
                        Direction::Descending => column().lt(bound.clone()),
                    };
                    let beyond = Condition::any().add(beyond);
                    let nullable = key.column.optional() && nulls == Nulls::Last;
                    Some(if nullable { beyond.add(column().is_null()) } else { beyond })
                }
            };
            if let Some(after) = after {
                any = any.add(same.clone().add(after));
            }
            same = same.add(if null { column().is_null() } else { column().eq(bound) });
        }
        Ok(any)
    }

    /// The statement that gives everything the caller may see of what is asked for, and what is to be asked of each row.
    pub(super) async fn statement(
        &self,
        cx: &SecurityContext,
        operation: Operation,
        query: &Query,
    ) -> Result<(SelectStatement, Asked), EntityError> {
        let asked = self.ask(cx, operation, query).await?;
        let mut select = self.core.select(self.condition(&asked));
        if let Some(column) = self.core.layout.id() {
            select.order_by_expr(self.core.column(column), SqlOrder::Asc);
        }
        Ok((select, asked))
    }
}

/// How many there are.
pub(super) fn number(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}

/// One thing that rows are ordered by.
struct Key<'l> {
    at: usize,
    column: &'l Column,
    direction: Direction,
    nulls: Nulls,
}

impl Key<'_> {
    fn of(&self, row: &Row) -> Cell {
        row.get(self.at).cloned().unwrap_or(Cell::Null)
    }

    fn order(&self, select: &mut SelectStatement, column: Expr) {
        let order = match self.direction {
            Direction::Ascending => SqlOrder::Asc,
            Direction::Descending => SqlOrder::Desc,
        };
        if self.column.optional() {
            let nulls = match self.nulls {
                Nulls::First => NullOrdering::First,
                Nulls::Last => NullOrdering::Last,
            };
            select.order_by_expr_with_nulls(column, order, nulls);
        } else {
            select.order_by_expr(column, order);
        }
    }
}
