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
//! point is asked about each that is left. Nothing is dropped.

mod leaf;
pub(crate) mod partial;
mod predicate;
#[cfg(feature = "sql")]
pub mod sql;

pub use predicate::{Operand, Predicate, RowCheck, RowField, Test};
