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
//! that it replaces, so that nobody overwrites what somebody else has activated meanwhile. A draft in shadow is asked beside the
//! active set on every server, and only counted. Programs register what they declare (`manifests`), and a set is checked in each
//! of those that run (`programs`); those of programs that are long gone can be removed (`prune`), and what decides in one that
//! runs elsewhere is made of them (`elsewhere`). A server without the database is given sets under a signature (`bundle`; the module `pull`
//! takes them). Which actions are recorded before anything is done is said by scope, too (`required`). Absent: who may do it.

#[cfg(any(feature = "admin", feature = "pull"))]
pub(crate) mod bundle;
pub(crate) mod content;
mod currency;
#[cfg(all(any(feature = "sqlite", feature = "postgres"), any(feature = "admin", feature = "authzen")))]
mod elsewhere;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod follow;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod manifests;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod programs;
#[cfg(feature = "admin")]
mod prune;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod required;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod shadow;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod store;

pub use currency::Currency;
#[cfg(all(any(feature = "sqlite", feature = "postgres"), feature = "authzen"))]
pub(crate) use elsewhere::Decider;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use {
    follow::Follower,
    manifests::{ManifestState, OnBreak, RegisteredManifest},
    shadow::Shadow,
    store::{PolicySets, SetState, SetVersion, SetsError},
};
