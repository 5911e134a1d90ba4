//! What every operation on an entity's rows shares: its layout, its database, its statements.
//!
//! In: a layout. Out: statements with their columns and tables named. Absent: who asks.

#![expect(clippy::wildcard_enum_match_arm, reason = "ids of all other kinds are texts")]

use std::marker::PhantomData;
use std::sync::Arc;

use policy_core::filter::sql::{Assured, Render};
use policy_core::table::Table;
use sea_query::{Alias, Condition, DynIden, Expr, ExprTrait as _, IntoIden as _, Query, SelectStatement, TableRef};

use super::cell::Cell;
use super::cursor::Cursors;
use super::layout::{Column, Layout, Row};
use super::pool::Pool;
use super::{postgres, sqlite};
use policy_core::table::Dialect;

/// The bounds of operations, and the key of cursors.
#[derive(Debug)]
pub(super) struct Settings {
    /// How many rows are looked at one by one where rules cannot become SQL.
    pub(super) scan: usize,
    /// The largest page.
    pub(super) page: u64,
    pub(super) cursors: Cursors,
}

/// The rows of one entity in one database.
#[derive(Debug)]
pub(super) struct Core<T> {
    pub(super) database: Pool,
    pub(super) settings: Arc<Settings>,
    pub(super) layout: Arc<Layout>,
    /// The table as if it had no tenants: for whoever may cross them.
    pub(super) bare: Table,
    /// What the database vouches for, of each column.
    pub(super) assured: Arc<[Assured]>,
    pub(super) of: PhantomData<fn() -> T>,
}

impl<T> Core<T> {
    /// Renders what stands in the WHERE of a statement, beside other conditions.
    pub(super) fn render(&self) -> Render<'_> {
        Render::new(&self.layout.table, self.database.dialect()).vouched(self.assured.clone()).only_true()
    }

    pub(super) fn table(&self) -> TableRef {
        let name = Alias::new(&*self.layout.table.name);
        match &self.layout.table.schema {
            Some(schema) => (Alias::new(&**schema), name).into(),
            None => name.into(),
        }
    }

    /// A column with its table's name.
    pub(super) fn column(&self, column: &Column) -> Expr {
        Expr::col((Alias::new(&*self.layout.table.name), Alias::new(&*column.name)))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = DynIden> {
        self.layout.columns.iter().map(|column| Alias::new(&*column.name).into_iden())
    }

    /// All columns of the rows that a condition holds for.
    pub(super) fn select(&self, condition: Condition) -> SelectStatement {
        let mut select = Query::select();
        for column in &self.layout.columns {
            select.expr(self.column(column));
        }
        select.from(self.table()).cond_where(condition);
        select
    }

    /// A value of a column, bound.
    pub(super) fn bound(&self, column: &Column, cell: &Cell) -> Expr {
        match self.database.dialect() {
            Dialect::Sqlite => sqlite::bound(cell),
            Dialect::Postgres => postgres::bound(column.kind(), cell),
        }
    }

    /// The rows of an id: one or none.
    pub(super) fn with_id(&self, id: &Cell) -> Condition {
        let mut condition = Condition::all();
        if let Some(column) = self.layout.id() {
            condition = condition.add(self.column(column).eq(self.bound(column, id)));
        }
        condition
    }

    /// The rows of some ids.
    pub(super) fn with_ids(&self, ids: &[Cell]) -> Condition {
        let mut condition = Condition::all();
        if let Some(column) = self.layout.id() {
            condition = condition.add(self.column(column).is_in(ids.iter().map(|id| self.bound(column, id))));
        }
        condition
    }

    /// The id of a row.
    pub(super) fn id_of(&self, row: &Row) -> Cell {
        row.get(self.layout.table.id).cloned().unwrap_or(Cell::Null)
    }

    /// The cell of an id as text; `None` when no row can have it.
    pub(super) fn key(&self, id: &str) -> Option<Cell> {
        use policy_core::kind::Kind;
        Some(match self.layout.id()?.kind()? {
            Kind::Long => Cell::Long(id.parse().ok()?),
            Kind::Uuid => Cell::Uuid(policy_core::value::parse_uuid(id)?),
            _ if id.contains('\0') => return None,
            _ => Cell::Text(id.to_owned()),
        })
    }

    /// An id as entities spell it.
    pub(super) fn canonical(&self, id: &str) -> Option<String> {
        Some(match self.key(id)? {
            Cell::Long(n) => n.to_string(),
            Cell::Uuid(uuid) => policy_core::value::uuid_text(uuid),
            _ => id.to_owned(),
        })
    }
}
