//! Where a journal's records are kept.

use std::borrow::Cow;

use futures_util::future::BoxFuture;

use super::AuditError;
use super::anchor::Anchor;
use super::batch::Batch;
use super::query::{Filter, Stored};

/// The end of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct End {
    pub(super) scope: String,
    pub(super) number: i64,
    pub(super) hash: String,
}

/// What was looked at for a filter: not more than can be read while others wait.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) records: Vec<Stored>,
    /// After which record there is more to look at.
    pub(super) next: Option<i64>,
}

/// The records after one, up to another.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(
    not(any(feature = "sqlite", feature = "postgres")),
    expect(dead_code, reason = "what memory is found by is the record itself")
)]
pub(super) struct Part {
    pub(super) after: i64,
    pub(super) upto: i64,
}

/// Whose the personal details of a record are: those of whoever acted, or, where nobody known did, of whom it was about, such as
/// the addresses from which somebody tried to sign in as them.
pub(super) fn whose<'r>(scope: &str, actor: &'r str, resource: Option<&str>) -> Cow<'r, str> {
    match resource.and_then(|resource| resource.split_once("::")) {
        Some((_, id)) if actor.ends_with("/nobody") => format!("{scope}/{id}").into(),
        _ => actor.into(),
    }
}

/// Keeps records. One writer of this process calls it; other processes may write to the same store.
pub(super) trait Store: Send {
    /// Puts records at the ends of their chains: all of them, durably, or none.
    fn append<'a>(&'a mut self, batches: [&'a Batch; 2]) -> BoxFuture<'a, Result<(), AuditError>>;

    fn query<'a>(&'a mut self, filter: &'a Filter) -> BoxFuture<'a, Result<Found, AuditError>>;

    /// A record in a part of a chain that cannot be found by what it says.
    fn misfiled<'a>(&'a mut self, scope: &'a str, part: Part) -> BoxFuture<'a, Result<Option<i64>, AuditError>>;

    fn ends(&mut self) -> BoxFuture<'_, Result<Vec<End>, AuditError>>;

    fn checkpoint<'a>(&'a mut self, scope: &'a str) -> BoxFuture<'a, Result<Option<Anchor>, AuditError>>;

    /// The last record of those at the beginning of a chain that are older than `before`.
    fn last_before<'a>(&'a mut self, scope: &'a str, before: i64) -> BoxFuture<'a, Result<Option<End>, AuditError>>;

    /// Removes a chain's records up to a checkpoint, and keeps that.
    fn retain<'a>(&'a mut self, checkpoint: &'a Anchor) -> BoxFuture<'a, Result<u64, AuditError>>;

    /// Erases the personal details that are somebody's, as [`whose`] says.
    fn erase<'a>(&'a mut self, scope: &'a str, actor: &'a str) -> BoxFuture<'a, Result<u64, AuditError>>;
}
