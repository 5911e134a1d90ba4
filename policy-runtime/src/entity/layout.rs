//! The columns of an entity, and rows as lists of cells.
//!
//! In: what `#[derive(Entity)]` declares. Out: [`Layout`]; cells of an entity, and an entity of cells. Absent: SQL.

use std::sync::Arc;

use policy_core::contract::Stored;
use policy_core::kind::{Described, Kind};
use policy_core::table::{Table, TableError};
use policy_core::value::{Slot, Value as RuleValue};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::cell::{Cell, Misfit};
use super::error::EntityError;

/// A row, in the order of [`Layout::columns`].
pub(super) type Row = Vec<Cell>;

/// What rules and SQL know of an entity's columns.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) entity: &'static str,
    pub(super) table: Table,
    /// The table's columns, then those of fields that no rule reads.
    pub(super) columns: Vec<Column>,
}

/// One column.
#[derive(Debug)]
pub(super) struct Column {
    /// The field, as serde names it.
    pub(super) field: Arc<str>,
    pub(super) name: Arc<str>,
    /// Its kind; `None` for a field that no rule reads, which is kept as a document.
    pub(super) ty: Option<Described>,
}

impl Column {
    pub(super) fn kind(&self) -> Option<&Kind> {
        self.ty.as_ref().map(|ty| &ty.kind)
    }

    pub(super) fn optional(&self) -> bool {
        self.ty.as_ref().is_none_or(|ty| ty.optional)
    }
}

impl Layout {
    pub(super) fn of<T: Stored>() -> Result<Self, TableError> {
        let table = Table::new(T::TABLE)?;
        let mut columns: Vec<Column> = table
            .columns
            .iter()
            .map(|column| Column {
                field: column.attribute.clone(),
                name: column.name.clone(),
                ty: Some(column.ty.clone()),
            })
            .collect();
        columns.extend(T::UNREAD.iter().map(|column| Column {
            field: column.attribute.into(),
            name: column.column.into(),
            ty: None,
        }));
        Ok(Self { entity: T::NAME, table, columns })
    }

    pub(super) fn id(&self) -> Option<&Column> {
        self.columns.get(self.table.id)
    }

    pub(super) fn tenant(&self) -> Option<(usize, &Column)> {
        let at = self.table.tenant.as_ref()?.column;
        Some((at, self.columns.get(at)?))
    }

    /// The place of a field's column.
    pub(super) fn place(&self, field: &str) -> Option<usize> {
        self.columns.iter().position(|column| *column.field == *field)
    }

    /// The cells of an entity.
    pub(super) fn cells<T: Stored + Serialize>(&self, entity: &T) -> Result<Row, EntityError> {
        let whole = |why| EntityError::Value { entity: self.entity, field: self.entity.to_owned(), why };
        let written = serde_json::to_value(entity).map_err(|_| whole("serde cannot write it"))?;
        let Value::Object(mut written) = written else { return Err(whole("serde does not write it as a record")) };
        let mut row = Vec::with_capacity(self.columns.len());
        for (at, column) in self.columns.iter().enumerate() {
            let wrong = |why: Misfit| EntityError::Value { entity: self.entity, field: column.field.to_string(), why };
            let given = written.remove(&*column.field);
            let cell = match (&column.ty, given) {
                (None, given) => given.filter(|value| !value.is_null()).map_or(Cell::Null, Cell::Json),
                (Some(ty), given) => {
                    let index = u16::try_from(at).unwrap_or(Slot::BY_NAME);
                    let read = entity.field(&Slot { index, name: column.field.clone() });
                    if let Some(why) = read.unusable() {
                        return Err(wrong(why));
                    }
                    // serde may leave a field out of what it writes for others; it is stored all the same.
                    let value = given.or_else(|| read.to_value().map(|value| written_as(&value)));
                    Cell::of(ty, &value.unwrap_or_default()).map_err(wrong)?
                }
            };
            row.push(cell);
        }
        Ok(row)
    }

    /// The entity of cells.
    pub(super) fn entity<T: Stored + DeserializeOwned>(&self, row: Row) -> Result<T, EntityError> {
        let fields = self.value(row)?;
        serde_json::from_value(Value::Object(fields)).map_err(|error| {
            // serde's message can show the value.
            let line = error.classify();
            tracing::error!(target: "policy::entity", entity = self.entity, class = ?line, "a stored row does not fit its type");
            EntityError::Stored { entity: self.entity }
        })
    }

    /// What serde reads of a row.
    pub(super) fn value(&self, row: Row) -> Result<Map<String, Value>, EntityError> {
        let mut fields = Map::new();
        for (column, cell) in self.columns.iter().zip(row) {
            let value = cell.into_value(column.kind()).map_err(|why| self.unreadable(column, why))?;
            fields.insert(column.field.to_string(), value);
        }
        Ok(fields)
    }

    /// A stored value that its kind cannot hold: the column is for the log.
    pub(super) fn unreadable(&self, column: &Column, why: Misfit) -> EntityError {
        tracing::error!(target: "policy::entity", entity = self.entity, column = &*column.name, why, "a stored value cannot be read");
        EntityError::Stored { entity: self.entity }
    }
}

/// A value as rules read it, as serde would have written it.
fn written_as(value: &RuleValue) -> Value {
    match value {
        RuleValue::Bool(b) => (*b).into(),
        RuleValue::Long(n) => (*n).into(),
        RuleValue::Decimal(d) => d.to_string().into(),
        RuleValue::Text(text) => (**text).into(),
        RuleValue::Uuid(uuid) => policy_core::value::uuid_text(*uuid).into(),
        RuleValue::Datetime(millis) => millis.to_string().into(),
        RuleValue::Ip(ip) => ip.to_string().into(),
        RuleValue::Set(items) => items.iter().map(written_as).collect(),
        RuleValue::Record(fields) => {
            Value::Object(fields.iter().map(|(name, value)| (name.to_string(), written_as(value))).collect())
        }
    }
}
