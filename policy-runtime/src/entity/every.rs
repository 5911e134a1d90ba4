//! All rows of a table, past all rules: for tests that hold lists against decisions, and for nothing else.

use policy_core::contract::Stored;
use sea_query::{Alias, Query};
use serde::de::DeserializeOwned;

use super::error::EntityError;
use super::layout::Layout;
use super::pool::Pool;

/// Reads every row that an entity's table holds.
pub(crate) async fn every<T: Stored + DeserializeOwned>(pool: &Pool) -> Result<Vec<T>, EntityError> {
    let layout = Layout::of::<T>().map_err(|error| EntityError::Query(error.to_string()))?;
    let mut select = Query::select();
    select.columns(layout.columns.iter().map(|column| Alias::new(&*column.name)));
    let table = Alias::new(&*layout.table.name);
    match &layout.table.schema {
        Some(schema) => select.from((Alias::new(&**schema), table)),
        None => select.from(table),
    };
    let rows = pool.rows(&layout, &select).await?;
    rows.into_iter().map(|row| layout.entity(row)).collect()
}
