//! What is asked of a journal, and what it answers.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The most records of one answer.
pub(super) const PAGE: i64 = 1_000;

/// Which records are wanted, of one scope.
///
/// ```
/// use policy_runtime::audit::RecordKind;
/// use policy_runtime::audit::journal::Filter;
///
/// let denials = Filter::scope("org:acme").kind(RecordKind::Decision).outcome("deny").between(1_000, 2_000);
/// let of_one = Filter::scope("org:acme").actor("org:acme/u-1").action("Platform.members.invite").after(20).limit(50);
/// let about = Filter::scope("app:acme/shop").resource("com::example::Photo", "7");
/// let one = Filter::scope("app:acme/shop").decision("d-1");
/// # let _ = (denials, of_one, about, one);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Filter {
    /// The scope, as records name it: `system`, `org:acme`, `app:acme/orders`.
    pub scope: String,
    /// `decision`, `sign-in`, `change` or `end`.
    pub kind: Option<String>,
    /// Whose.
    pub actor: Option<String>,
    /// The action's full name.
    pub action: Option<String>,
    /// Type and id of an entity.
    pub resource: Option<String>,
    /// `allow` or `deny`.
    pub outcome: Option<String>,
    /// The id of a decision.
    pub decision: Option<String>,
    /// From this time on, in milliseconds since 1970.
    pub from: Option<i64>,
    /// Before this time.
    pub until: Option<i64>,
    /// After the record of this number.
    pub after: Option<i64>,
    /// At most so many; never more than a thousand.
    pub limit: Option<i64>,
}

impl Filter {
    /// All records of a scope.
    pub fn scope(scope: &str) -> Self {
        Self { scope: scope.to_owned(), ..Self::default() }
    }

    /// Only of this kind: `decision`, `sign-in`, `change` or `end`.
    #[must_use]
    pub fn kind(mut self, kind: super::RecordKind) -> Self {
        self.kind = Some(kind.as_str().to_owned());
        self
    }

    /// Only of this actor.
    #[must_use]
    pub fn actor(mut self, actor: &str) -> Self {
        self.actor = Some(actor.to_owned());
        self
    }

    /// Only of this action.
    #[must_use]
    pub fn action(mut self, action: &str) -> Self {
        self.action = Some(action.to_owned());
        self
    }

    /// Only about this entity.
    #[must_use]
    pub fn resource(mut self, kind: &str, id: &str) -> Self {
        self.resource = Some(format!("{kind}::{id}"));
        self
    }

    /// Only with this outcome: `allow` or `deny`.
    #[must_use]
    pub fn outcome(mut self, outcome: &str) -> Self {
        self.outcome = Some(outcome.to_owned());
        self
    }

    /// Only of this decision.
    #[must_use]
    pub fn decision(mut self, id: &str) -> Self {
        self.decision = Some(id.to_owned());
        self
    }

    /// Only between two times; the second is not included.
    #[must_use]
    pub const fn between(mut self, from: i64, until: i64) -> Self {
        self.from = Some(from);
        self.until = Some(until);
        self
    }

    /// Only after the record of this number: the next page.
    #[must_use]
    pub const fn after(mut self, number: i64) -> Self {
        self.after = Some(number);
        self
    }

    /// At most so many.
    #[must_use]
    pub const fn limit(mut self, limit: i64) -> Self {
        self.limit = Some(limit);
        self
    }

    pub(super) fn page(&self) -> usize {
        usize::try_from(self.limit.unwrap_or(PAGE).clamp(1, PAGE)).unwrap_or(1)
    }

    /// Whether a record of the scope is one of those.
    pub(super) fn admits(&self, record: &Stored) -> bool {
        let is = |wanted: &Option<String>, value: &str| wanted.as_deref().is_none_or(|wanted| wanted == value);
        is(&self.kind, &record.kind)
            && is(&self.actor, &record.actor)
            && is(&self.action, &record.action)
            && is(&self.outcome, &record.outcome)
            && is(&self.decision, &record.decision)
            && self.resource.as_ref().is_none_or(|wanted| record.resource.as_ref() == Some(wanted))
            && self.from.is_none_or(|from| record.time >= from)
            && self.until.is_none_or(|until| record.time < until)
            && self.after.is_none_or(|after| record.number > after)
    }
}

/// A record as it was written.
///
/// ```
/// use policy_runtime::audit::journal::Stored;
/// fn address(record: &Stored) -> &str {
///     record.personal("ip").unwrap_or("(erased)")
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stored {
    /// Its place in its scope's chain, from 1.
    pub number: i64,
    /// The scope.
    pub scope: String,
    /// When, in milliseconds since 1970.
    pub time: i64,
    /// What it is about.
    pub kind: String,
    /// Whose it is.
    pub actor: String,
    /// The action's full name.
    pub action: String,
    /// Type and id of an entity.
    pub resource: Option<String>,
    /// `allow` or `deny`.
    pub outcome: String,
    /// The id of the decision.
    pub decision: String,
    /// All of it, as JSON that the chain has hashed.
    pub body: String,
    /// The hash of the one before it, its number and its body.
    pub hash: String,
    /// Personal details that were not erased, each with its salt.
    pub(super) personal: BTreeMap<String, (String, String)>,
}

impl Stored {
    /// A personal detail, if it was there and is not erased.
    pub fn personal(&self, name: &str) -> Option<&str> {
        self.personal.get(name).map(|(_, value)| value.as_str())
    }

    /// The record as one JSON value: what was hashed, its place and hash, and the personal details that are left.
    pub fn to_json(&self) -> Value {
        let record: Value = serde_json::from_str(&self.body).unwrap_or_else(|_| Value::from(self.body.as_str()));
        let personal: BTreeMap<&str, Value> = self
            .personal
            .iter()
            .map(|(name, (salt, value))| (name.as_str(), json!({ "value": value, "salt": salt })))
            .collect();
        json!({ "number": self.number, "hash": self.hash, "record": record, "personal": personal })
    }
}

/// How often something was decided.
///
/// ```
/// use policy_runtime::audit::journal::Count;
/// fn denied(counts: &[Count]) -> i64 {
///     counts.iter().filter(|c| c.outcome == "deny").map(|c| c.count).sum()
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Count {
    /// The action's full name.
    pub action: String,
    /// Whose.
    pub actor: String,
    /// `allow` or `deny`.
    pub outcome: String,
    /// How often.
    pub count: i64,
}
