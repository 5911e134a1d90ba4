//! Rows of a database, with the policies of their entity in every statement.
//!
//! In: a struct with `#[derive(Entity)]`, a caller, what they ask. Out: what they may see; what they may change, changed.
//! Absent: migrations, joins, and any way to reach a row past its rules.
//!
//! ```text
//! caller + operation ─► Engine::filter ─► WHERE ─► rows ─► (rules that cannot become SQL, row by row) ─► fields ─► page
//! caller + entity ─► transaction: lock, decide on the stored row, write, decide on the returned row, commit
//! ```
//!
//! The database door is this module: `database` runs statements, `sqlite` and `postgres` know the forms of values there.

mod access;
mod across;
mod cell;
mod core;
mod cursor;
mod error;
#[cfg(feature = "testing")]
mod every;
mod layout;
mod offered;
mod paging;
mod pool;
mod postgres;
mod published;
mod query;
mod reader;
mod repository;
mod schema;
mod sqlite;
mod words;
mod writer;

#[cfg(feature = "testing")]
pub(crate) use access::Reach;
pub use across::{CrossTenant, Tenants};
pub use error::EntityError;
#[cfg(feature = "testing")]
pub(crate) use every::every;
pub use paging::{Direction, Nulls, Page, Paging};
pub use policy_core::table::{Dialect, Operation};
pub use pool::Pool;
pub use published::{Parameters, PublishError, Published, services};
pub use query::{Query, QueryValue};
pub use repository::{Entities, Repository};
pub use schema::SchemaError;
pub use writer::Written;
