//! From policies to a condition on rows: everything but the resource is known.
//!
//! ```text
//! Ir + participant, action, context ─► Predicate (data) ─► sea_query condition, for SQLite or PostgreSQL
//! ```
//!
//! In: conditions of policies ([`crate::ir::Ir`]) and a [`crate::table::Table`]. Out: a [`Predicate`] that holds for a row
//! exactly where the policy decides so, and never is unknown. Absent: tiers; [`crate::pdp::Engine::filter`] joins them.
//!
//! What cannot be said of a row becomes [`Predicate::Row`]: the rest of the predicate still narrows the rows, and the decision
//! point is asked about each that is left. Nothing is dropped. A rule of the language needs that only for
//! what stands in a nested record under a name that no path of SQLite can have. Cedar says more: arithmetic on attributes of the
//! row, and its records and sets of records where they are compared as a whole.
//!
//! A kind is what is compared, not the Rust type: a number below zero in the column of a `u64` is a number to every condition, and
//! cannot be read as a row; a repository answers with an error then, and hands out nothing.

mod implied;
mod leaf;
pub(crate) mod partial;
mod predicate;
#[cfg(feature = "sql")]
pub mod sql;

pub use predicate::{Items, Operand, Predicate, RowCheck, RowField, Test};
