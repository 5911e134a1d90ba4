//! Records that were written together, as one text: what a commit costs does not grow with each of them.
//!
//! A block is found by its time, and by terms: who acted, what was done. A decision is found by the time that its id tells, or by
//! a term where that would lead astray. Which records of a block are wanted, is looked at in them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::batch::Entry;
use super::chain::advance;
use super::query::Stored;

/// The furthest that two times in a block are apart, and that the time of a record may be from that in its id; in milliseconds.
pub(super) const SPAN: i64 = 60_000;
/// The most records of a block.
const RECORDS: i64 = 1_000;
/// A block of so many octets takes no more.
const FULL: usize = 256 * 1_024;
/// Hexadecimal digits of a hash.
const HASH: usize = 64;

/// What a record may be found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Term<'r> {
    Actor(&'r str),
    Action(&'r str),
    Decision(&'r str),
}

impl Term<'_> {
    pub(super) fn text(self) -> String {
        match self {
            Self::Actor(actor) => format!("actor={actor}"),
            Self::Action(action) => format!("action={action}"),
            Self::Decision(id) => format!("decision={id}"),
        }
    }

    fn of<'r>(actor: &'r str, action: &'r str, decision: &'r str, time: i64) -> impl Iterator<Item = Term<'r>> {
        let astray = told(decision).is_none_or(|told| told.abs_diff(time) > SPAN.unsigned_abs());
        [Term::Actor(actor), Term::Action(action)].into_iter().chain(astray.then_some(Term::Decision(decision)))
    }
}

/// The time that an id tells, in milliseconds since 1970 (RFC 9562, section 5.7), if it is one of those that decisions get.
pub(super) fn told(decision: &str) -> Option<i64> {
    let id = decision.strip_prefix("d-").filter(|id| id.len() == 32)?;
    let time = i64::from_str_radix(id.get(..12)?, 16).ok()?;
    id.get(12..)?.starts_with('7').then_some(time)
}

/// Records of one scope that follow each other.
#[derive(Debug)]
pub(super) struct Block<'r> {
    /// The number of the last.
    pub(super) number: i64,
    pub(super) latest: i64,
    pub(super) records: String,
    pub(super) terms: BTreeSet<Term<'r>>,
    earliest: i64,
    count: i64,
}

/// Makes blocks of records at the end of a chain, and moves that.
pub(super) fn blocks<'r>(records: &[Entry<'r>], number: &mut i64, end: &mut String) -> Vec<Block<'r>> {
    let mut all: Vec<Block<'r>> = Vec::new();
    let mut rest: usize = records.iter().map(|record| HASH + record.body.len() + 1).sum();
    for record in records {
        *number += 1;
        advance(end, *number, record.body);
        let (earliest, latest) = all
            .last()
            .map_or((record.time, record.time), |last| (last.earliest.min(record.time), last.latest.max(record.time)));
        let fits = |last: &&mut Block<'r>| {
            last.count < RECORDS && last.records.len() < FULL && latest.abs_diff(earliest) <= SPAN.unsigned_abs()
        };
        let terms = Term::of(record.actor, record.action, record.decision, record.time);
        if let Some(last) = all.last_mut().filter(fits) {
            (last.number, last.count) = (*number, last.count + 1);
            (last.earliest, last.latest) = (earliest, latest);
            last.records.push('\n');
            last.records.push_str(end);
            last.records.push_str(record.body);
            last.terms.extend(terms);
        } else {
            let mut text = String::with_capacity(rest.min(FULL + record.body.len()));
            text.push_str(end);
            text.push_str(record.body);
            all.push(Block {
                number: *number,
                latest: record.time,
                records: text,
                terms: terms.collect(),
                earliest: record.time,
                count: 1,
            });
        }
        rest = rest.saturating_sub(HASH + record.body.len() + 1);
    }
    all
}

/// Takes a block apart; `number` is that of its last record.
pub(super) fn records(scope: &str, number: i64, text: &str) -> Vec<Stored> {
    let mut all: Vec<Stored> =
        text.rsplit('\n').zip((0..=number).rev()).map(|(line, n)| read(scope, n, line)).collect();
    all.reverse();
    all
}

/// Puts records together again.
pub(super) fn text(records: &[Stored]) -> String {
    let lines: Vec<String> = records.iter().map(|record| format!("{}{}", record.hash, record.body)).collect();
    lines.join("\n")
}

/// What records are found by.
pub(super) fn terms(records: &[Stored]) -> BTreeSet<Term<'_>> {
    records.iter().flat_map(|r| Term::of(&r.actor, &r.action, &r.decision, r.time)).collect()
}

/// Of a body, what records are looked for by.
#[derive(Deserialize, Default)]
struct Face {
    kind: String,
    time: i64,
    decision: String,
    actor: String,
    action: String,
    resource: Option<String>,
    outcome: String,
}

fn read(scope: &str, number: i64, line: &str) -> Stored {
    let (hash, body) = line.split_at_checked(HASH).unwrap_or((line, ""));
    // What cannot be read is nobody's, and the chain's check says so.
    let Face { kind, time, decision, actor, action, resource, outcome } =
        serde_json::from_str(body).unwrap_or_default();
    Stored {
        number,
        scope: scope.to_owned(),
        time,
        kind,
        actor,
        action,
        resource,
        outcome,
        decision,
        body: body.to_owned(),
        hash: hash.to_owned(),
        personal: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::batch::{Batch, prepare};
    use super::super::chain::hash;
    use super::*;
    use crate::audit::{Record, RecordKind};
    use crate::clock::{Clock as _, SystemClock};

    #[test]
    fn ids_tell_their_time() {
        let record = Record::new(RecordKind::Decision, 0, "ann", "a.b", "org:acme", "allow");
        let told = told(&record.decision).unwrap();
        assert!(SystemClock.now().0.abs_diff(told) < 60_000, "{told}");
        for other in ["", "d-1", "d-0189f7e5a3b84c0e9b6a2f1d3c4b5a69", "d-é189f7e5a3b87c0e9b6a2f1d3c4b5a6", "x"] {
            assert_eq!(super::told(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn what_is_put_together_is_taken_apart(times in prop::collection::vec((0_i64..200_000, "\\PC{0,8}"), 1..40), start in 0_i64..5) {
            let mut batch = Batch::default();
            for (time, actor) in &times {
                let record = Record::new(RecordKind::Decision, *time, actor.as_str(), "a.b", "org:acme", "allow");
                batch.push(&record, prepare(&record).unwrap());
            }
            let all: Vec<_> = batch.entries().collect();
            let (mut number, mut end) = (start, "0".to_owned());
            let made = blocks(&all, &mut number, &mut end);
            prop_assert_eq!(number, start + i64::try_from(all.len()).unwrap());
            let mut found = Vec::new();
            for block in &made {
                let records = records("org:acme", block.number, &block.records);
                prop_assert_eq!(text(&records), block.records.as_str());
                prop_assert_eq!(&terms(&records), &block.terms);
                let times: Vec<i64> = records.iter().map(|r| r.time).collect();
                prop_assert_eq!(times.iter().max(), Some(&block.latest));
                prop_assert!(times.iter().max().unwrap() - times.iter().min().unwrap() <= SPAN);
                found.extend(records);
            }
            prop_assert_eq!(found.len(), all.len());
            let mut before = "0".to_owned();
            for (n, (found, record)) in found.iter().zip(&all).enumerate() {
                prop_assert_eq!(found.number, start + 1 + i64::try_from(n).unwrap());
                prop_assert_eq!(&*found.body, record.body);
                prop_assert_eq!(&*found.actor, record.actor);
                prop_assert_eq!(&found.hash, &hash(&before, found.number, &found.body));
                before.clone_from(&found.hash);
            }
            prop_assert_eq!(before, end);
        }
    }
}
