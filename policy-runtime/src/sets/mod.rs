//! Policy sets in the database: versions of each scope's set, which of them is active, and servers that follow.
//!
//! ```text
//! draft ─► validated ─► active ─► superseded ─► active again (a rollback)
//!            │                │
//!            └ checked        └► every server, announced and polled; one that cannot confirm it within the bound denies
//! ```
//!
//! In: what an administrator writes. Out: versions with author, time, comment and hash, activations that never share a number,
//! and an engine that decides by the active ones. A set that does not check changes nothing, and an activation names the version
//! that it replaces, so that nobody overwrites what somebody else has activated meanwhile. Absent: who may do it.

mod follow;
mod store;

pub use follow::{Currency, Follower};
pub use store::{PolicySets, SetState, SetVersion, SetsError};
