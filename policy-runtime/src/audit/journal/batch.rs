//! Records that are ready to be put at the ends of their chains: many of them in one text, which whoever made it gets back empty.
//! A record that one thread makes of many pieces and another throws away costs more than to decide what it is about.

use std::collections::BTreeMap;
use std::ops::Range;

use data_encoding::HEXLOWER;
use policy_core::Revision;
use serde::Serialize;
use serde_json::{Value, json};

use super::AuditError;
use super::chain::digest;
use super::query::Stored;
use crate::audit::{Detail, Record, RecordKind, revisions};

/// A text that grew longer is not kept for the next records.
const KEPT: usize = 8 * 1_024 * 1_024;

/// What the chain gets of a record, and what is kept beside it.
#[derive(Debug)]
pub(super) struct Prepared {
    body: String,
    personal: Vec<Personal>,
}

/// A detail about a person.
#[derive(Debug, Clone)]
pub(super) struct Personal {
    pub(super) name: String,
    pub(super) salt: String,
    pub(super) value: String,
}

pub(super) fn prepare(record: &Record) -> Result<Prepared, AuditError> {
    let (mut details, mut personal) = (BTreeMap::new(), Vec::new());
    for (name, detail) in &record.details {
        let kept = match detail {
            Detail::Plain(text) => Value::from(text.as_str()),
            Detail::Secret => json!({ "secret": true }),
            Detail::Personal(text) => {
                let mut salt = [0; 16];
                getrandom::fill(&mut salt).map_err(|_| AuditError("the system gives no random numbers".into()))?;
                let salt = HEXLOWER.encode(&salt);
                let kept = json!({ "personal": digest(&salt, text) });
                personal.push(Personal { name: name.clone(), salt, value: text.clone() });
                kept
            }
        };
        details.insert(name.as_str(), kept);
    }
    let body = Body {
        kind: record.kind.as_str(),
        time: record.time,
        decision: &record.decision,
        actor: &record.principal,
        action: &record.action,
        resource: record.resource.as_deref(),
        scope: &record.scope,
        outcome: record.outcome,
        revisions: record.revisions,
        request: record.request.as_deref(),
        details,
    };
    // As long as most are.
    let mut text = Vec::with_capacity(512);
    serde_json::to_writer(&mut text, &body).map_err(|error| AuditError(error.to_string()))?;
    let body = String::from_utf8(text).map_err(|error| AuditError(error.to_string()))?;
    Ok(Prepared { body, personal })
}

/// What the chain has the hash of.
#[derive(Serialize)]
struct Body<'r> {
    kind: &'r str,
    time: i64,
    decision: &'r str,
    actor: &'r str,
    action: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<&'r str>,
    scope: &'r str,
    outcome: &'r str,
    #[serde(serialize_with = "revisions")]
    revisions: Option<[Revision; 3]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<&'r str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    details: BTreeMap<&'r str, Value>,
}

/// Records, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Batch {
    text: String,
    entries: Vec<Place>,
    personal: Vec<Personal>,
}

/// Where a record stands in its batch.
#[derive(Debug)]
struct Place {
    kind: RecordKind,
    time: i64,
    outcome: &'static str,
    scope: Range<usize>,
    actor: Range<usize>,
    action: Range<usize>,
    decision: Range<usize>,
    resource: Option<Range<usize>>,
    body: Range<usize>,
    personal: Range<usize>,
}

/// A record of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'b> {
    pub(super) kind: RecordKind,
    pub(super) time: i64,
    pub(super) outcome: &'static str,
    pub(super) scope: &'b str,
    pub(super) actor: &'b str,
    pub(super) action: &'b str,
    pub(super) decision: &'b str,
    pub(super) resource: Option<&'b str>,
    pub(super) body: &'b str,
    pub(super) personal: &'b [Personal],
}

impl Batch {
    pub(super) fn push(&mut self, record: &Record, prepared: Prepared) {
        let mut put = |text: &str| {
            let from = self.text.len();
            self.text.push_str(text);
            from..self.text.len()
        };
        let from = self.personal.len();
        self.personal.extend(prepared.personal);
        self.entries.push(Place {
            kind: record.kind,
            time: record.time,
            outcome: record.outcome,
            scope: put(&record.scope),
            actor: put(&record.principal),
            action: put(&record.action),
            decision: put(&record.decision),
            resource: record.resource.as_deref().map(&mut put),
            body: put(&prepared.body),
            personal: from..self.personal.len(),
        });
    }

    pub(super) const fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn clear(&mut self) {
        if self.text.capacity() > KEPT {
            return *self = Self::default();
        }
        self.text.clear();
        self.entries.clear();
        self.personal.clear();
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let text = |range: &Range<usize>| self.text.get(range.clone()).unwrap_or_default();
        self.entries.iter().map(move |place| Entry {
            kind: place.kind,
            time: place.time,
            outcome: place.outcome,
            scope: text(&place.scope),
            actor: text(&place.actor),
            action: text(&place.action),
            decision: text(&place.decision),
            resource: place.resource.as_ref().map(text),
            body: text(&place.body),
            personal: self.personal.get(place.personal.clone()).unwrap_or_default(),
        })
    }
}

impl Entry<'_> {
    /// As it is found again in memory.
    pub(super) fn stored(self, number: i64, hash: String) -> Stored {
        let personal = self.personal.iter().map(|one| (one.name.clone(), (one.salt.clone(), one.value.clone())));
        Stored {
            number,
            scope: self.scope.to_owned(),
            time: self.time,
            kind: self.kind.as_str().to_owned(),
            actor: self.actor.to_owned(),
            action: self.action.to_owned(),
            resource: self.resource.map(str::to_owned),
            outcome: self.outcome.to_owned(),
            decision: self.decision.to_owned(),
            body: self.body.to_owned(),
            hash,
            personal: personal.collect(),
        }
    }
}
