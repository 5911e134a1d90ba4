//! Who and what decisions are about: looked up here, because a request's own words prove nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use policy_core::Participant;
use policy_core::value::Value;

/// A look-up failed; the text is for the log.
///
/// ```
/// use policy_runtime::authzen::LookupError;
/// assert_eq!(LookupError("no answer in time".into()).to_string(), "a look-up failed: no answer in time");
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[error("a look-up failed: {0}")]
pub struct LookupError(pub String);

/// Knows those whom requests call subjects.
///
/// ```
/// use policy_runtime::authn::BoxFuture;
/// use policy_runtime::authzen::{LookupError, Subjects};
/// use policy_runtime::{Participant, Scope};
///
/// /// Everybody is a guest.
/// #[derive(Debug)]
/// struct Guests(Scope);
///
/// impl Subjects for Guests {
///     fn subject<'a>(&'a self, _: &'a str, id: &'a str) -> BoxFuture<'a, Result<Option<Participant>, LookupError>> {
///         let guest = Participant::builder(self.0.clone(), id).role("guest").build();
///         Box::pin(async move { Ok(Some(guest)) })
///     }
///
///     fn subjects<'a>(
///         &'a self,
///         _: &'a str,
///         _: Option<&'a str>,
///         _: usize,
///     ) -> BoxFuture<'a, Result<Vec<(String, Participant)>, LookupError>> {
///         Box::pin(async { Err(LookupError("guests are not listed".into())) })
///     }
/// }
/// ```
pub trait Subjects: fmt::Debug + Send + Sync {
    /// The participant that a subject is, with all that decisions read of it; `None` for one that is not there or may not sign in.
    fn subject<'a>(&'a self, kind: &'a str, id: &'a str) -> BoxFuture<'a, Result<Option<Participant>, LookupError>>;

    /// The next subjects of a type in the order of their ids, from the one after `after` on.
    fn subjects<'a>(
        &'a self,
        kind: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(String, Participant)>, LookupError>>;
}

/// The attributes of a stored entity.
///
/// ```
/// use policy_runtime::authzen::Fields;
/// use policy_runtime::value::Value;
/// let todo = Fields::from([("ownerID".into(), Value::text("alice")), ("done".into(), Value::Bool(false))]);
/// # drop(todo);
/// ```
pub type Fields = BTreeMap<Arc<str>, Value>;

/// Knows the application's entities.
///
/// ```
/// use policy_runtime::authn::BoxFuture;
/// use policy_runtime::authzen::{Fields, LookupError, Resources};
/// use policy_runtime::value::Value;
///
/// /// Documents are their own owners.
/// #[derive(Debug)]
/// struct Documents;
///
/// impl Resources for Documents {
///     fn resource<'a>(&'a self, _: &'a str, id: &'a str) -> BoxFuture<'a, Result<Option<Fields>, LookupError>> {
///         Box::pin(async move { Ok(Some(Fields::from([("owner".into(), Value::text(id))]))) })
///     }
///
///     fn resources<'a>(
///         &'a self,
///         _: &'a str,
///         _: Option<&'a str>,
///         _: usize,
///     ) -> BoxFuture<'a, Result<Vec<(String, Fields)>, LookupError>> {
///         Box::pin(async { Ok(Vec::new()) })
///     }
/// }
/// ```
pub trait Resources: fmt::Debug + Send + Sync {
    /// What is stored of an entity; `None` when nothing is.
    fn resource<'a>(&'a self, kind: &'a str, id: &'a str) -> BoxFuture<'a, Result<Option<Fields>, LookupError>>;

    /// The next entities of a type in the order of their ids, from the one after `after` on.
    fn resources<'a>(
        &'a self,
        kind: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(String, Fields)>, LookupError>>;
}

/// Subjects and entities in memory.
///
/// ```
/// use std::collections::BTreeMap;
/// use policy_runtime::authzen::Catalog;
/// use policy_runtime::value::Value;
/// use policy_runtime::{Participant, Scope};
///
/// let shop = Scope::application("acme", "shop")?;
/// let alice = Participant::builder(shop, "u-1").role("editor").build();
/// let known = Catalog::default()
///     .with_subject("user", "alice", alice)
///     .with_resource("todo", "7", BTreeMap::from([("ownerID".into(), Value::text("alice"))]));
/// # let _ = known;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default, Clone)]
pub struct Catalog {
    subjects: BTreeMap<(String, String), Participant>,
    resources: BTreeMap<(String, String), Fields>,
}

impl Catalog {
    /// Adds a subject.
    #[must_use]
    pub fn with_subject(mut self, kind: &str, id: &str, participant: Participant) -> Self {
        self.subjects.insert((kind.to_owned(), id.to_owned()), participant);
        self
    }

    /// Adds an entity.
    #[must_use]
    pub fn with_resource(mut self, kind: &str, id: &str, attributes: Fields) -> Self {
        self.resources.insert((kind.to_owned(), id.to_owned()), attributes);
        self
    }
}

fn next<T: Clone>(
    all: &BTreeMap<(String, String), T>,
    kind: &str,
    after: Option<&str>,
    limit: usize,
) -> Vec<(String, T)> {
    let start = match after {
        Some(after) => Bound::Excluded((kind.to_owned(), after.to_owned())),
        None => Bound::Included((kind.to_owned(), String::new())),
    };
    let range = all.range((start, Bound::Unbounded)).take_while(|((k, _), _)| k == kind);
    range.take(limit).map(|((_, id), found)| (id.clone(), found.clone())).collect()
}

impl Subjects for Catalog {
    fn subject<'a>(&'a self, kind: &'a str, id: &'a str) -> BoxFuture<'a, Result<Option<Participant>, LookupError>> {
        let found = self.subjects.get(&(kind.to_owned(), id.to_owned())).cloned();
        Box::pin(async move { Ok(found) })
    }

    fn subjects<'a>(
        &'a self,
        kind: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(String, Participant)>, LookupError>> {
        let found = next(&self.subjects, kind, after, limit);
        Box::pin(async move { Ok(found) })
    }
}

impl Resources for Catalog {
    fn resource<'a>(&'a self, kind: &'a str, id: &'a str) -> BoxFuture<'a, Result<Option<Fields>, LookupError>> {
        let found = self.resources.get(&(kind.to_owned(), id.to_owned())).cloned();
        Box::pin(async move { Ok(found) })
    }

    fn resources<'a>(
        &'a self,
        kind: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(String, Fields)>, LookupError>> {
        let found = next(&self.resources, kind, after, limit);
        Box::pin(async move { Ok(found) })
    }
}
