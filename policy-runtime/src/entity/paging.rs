//! Pages: where one begins, how long it is, and in which order rows come.
//!
//! In: what a caller asks, also as the JSON of Kinotic's clients. Out: [`Paging`], [`Page`]. Absent: rows.

use serde::{Deserialize, Deserializer, Serialize};

use super::error::EntityError;

/// Which page, of what size, in which order.
///
/// ```
/// use policy_runtime::entity::{Direction, Nulls, Paging};
/// let third = Paging::page(2, 20).by("takenAt", Direction::Descending);
/// let first = Paging::cursor(None, 20).by("note", Direction::Ascending).nulls(Nulls::First);
/// # let _ = (third, first);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paging {
    pub(super) size: u64,
    pub(super) at: At,
    pub(super) orders: Vec<Order>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum At {
    Page(u64),
    Cursor(Option<String>),
}

/// How the rows of one field are ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) field: String,
    pub(super) direction: Direction,
    pub(super) nulls: Option<Nulls>,
}

/// Which way an order goes.
///
/// ```
/// use policy_runtime::entity::{Direction, Paging};
/// let newest = Paging::page(0, 10).by("takenAt", Direction::Descending);
/// # let _ = newest;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[expect(clippy::exhaustive_enums, reason = "an order goes one way or the other")]
pub enum Direction {
    /// The least first.
    #[default]
    #[serde(rename = "ASC")]
    Ascending,
    /// The greatest first.
    #[serde(rename = "DESC")]
    Descending,
}

/// Where rows come in which the field is absent.
///
/// ```
/// use policy_runtime::entity::{Direction, Nulls, Paging};
/// let unread = Paging::page(0, 10).by("readAt", Direction::Ascending).nulls(Nulls::First);
/// # let _ = unread;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "they come first or last")]
pub enum Nulls {
    /// Before all others.
    First,
    /// After all others.
    Last,
}

impl Paging {
    /// A page by its number, from 0.
    pub const fn page(number: u64, size: u64) -> Self {
        Self { size, at: At::Page(number), orders: Vec::new() }
    }

    /// The page behind a cursor; the first one without.
    pub fn cursor(cursor: Option<&str>, size: u64) -> Self {
        Self { size, at: At::Cursor(cursor.map(str::to_owned)), orders: Vec::new() }
    }

    /// Orders by a field, after those that were named before. The id decides last.
    #[must_use]
    pub fn by(mut self, field: &str, direction: Direction) -> Self {
        self.orders.push(Order { field: field.to_owned(), direction, nulls: None });
        self
    }

    /// Says where absent values of the last named field come; without this they come last.
    #[must_use]
    pub fn nulls(mut self, nulls: Nulls) -> Self {
        if let Some(last) = self.orders.last_mut() {
            last.nulls = Some(nulls);
        }
        self
    }

    /// Checks a size, and gives the number of rows before the page.
    pub(super) fn offset(&self, largest: u64) -> Result<u64, EntityError> {
        if self.size == 0 || self.size > largest {
            return Err(EntityError::Query(format!("a page has 1 to {largest} rows")));
        }
        if self.orders.len() > 8 {
            return Err(EntityError::Query("rows are ordered by at most 8 fields".to_owned()));
        }
        match self.at {
            At::Cursor(_) => Ok(0),
            At::Page(number) => number
                .checked_mul(self.size)
                .filter(|offset| i64::try_from(*offset).is_ok())
                .ok_or_else(|| EntityError::Query("there is no page of this number".to_owned())),
        }
    }
}

/// Reads Kinotic's pageable: `{"pageSize":2,"pageNumber":0}` or `{"pageSize":2,"cursor":null}`, with a sort order or none.
impl<'de> Deserialize<'de> for Paging {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Pageable {
            page_size: u64,
            page_number: Option<u64>,
            #[serde(default)]
            cursor: Option<String>,
            sort: Option<Sort>,
        }
        #[derive(Deserialize)]
        struct Sort {
            #[serde(default)]
            orders: Vec<Sorted>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Sorted {
            property: String,
            #[serde(default)]
            direction: Direction,
            null_handling: Option<String>,
        }
        let pageable = Pageable::deserialize(deserializer)?;
        let orders = pageable.sort.map(|sort| sort.orders).unwrap_or_default();
        let order = |one: Sorted| Order {
            field: one.property,
            direction: one.direction,
            nulls: match one.null_handling.as_deref() {
                Some("NULLS_FIRST") => Some(Nulls::First),
                Some("NULLS_LAST") => Some(Nulls::Last),
                Some(_) | None => None,
            },
        };
        Ok(Self {
            size: pageable.page_size,
            at: pageable.page_number.map_or(At::Cursor(pageable.cursor), At::Page),
            orders: orders.into_iter().map(order).collect(),
        })
    }
}

/// Some rows of many.
///
/// ```
/// use policy_runtime::entity::Page;
/// fn more<T>(page: &Page<T>) -> bool {
///     page.cursor.is_some() && !page.content.is_empty()
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Page<T> {
    /// How many rows the caller can see of what was asked for; with a cursor nobody counts them.
    pub total_elements: Option<u64>,
    /// The rows.
    pub content: Vec<T>,
    /// Where the next page begins: with a cursor, `None` once a page is empty.
    pub cursor: Option<String>,
}
