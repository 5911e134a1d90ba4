//! What chains records, and whether what is stored is what was written.

use std::fmt::Write as _;

use data_encoding::HEXLOWER;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::anchor::{Anchor, AnchorKey};
use super::query::{Filter, Stored};
use super::store::Part;
use super::worker::Command;
use super::{AuditError, Journal};

/// The hash before the first record.
pub(super) const BEGINNING: &str = "0";

/// A chain that is as it was written.
///
/// ```
/// use policy_runtime::audit::journal::Verified;
/// fn told(verified: &Verified) -> String {
///     format!("{} records, the last is {}", verified.records, verified.last)
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// How many records were looked at.
    pub records: u64,
    /// The number of the last record; 0 when there is none.
    pub last: i64,
    /// The number that the checkpoint of an earlier removal stands for, if there is one.
    pub checkpoint: Option<i64>,
}

/// A chain that is not as it was written, or could not be read.
///
/// ```
/// use policy_runtime::audit::journal::Broken;
/// let is_tampered = |broken: &Broken| !matches!(broken, Broken::Unreadable(_));
/// # let _ = is_tampered;
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Broken {
    /// This record, or one that stood before it, was changed, removed or put in.
    #[error("record {number} of `{scope}`: {problem}")]
    Record {
        /// The chain.
        scope: String,
        /// The record.
        number: i64,
        /// What is wrong.
        problem: &'static str,
    },
    /// An anchor or a checkpoint is not what this journal signed.
    #[error("`{scope}`: {problem}")]
    Anchor {
        /// The chain.
        scope: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// The chain could not be read.
    #[error(transparent)]
    Unreadable(#[from] AuditError),
}

pub(super) fn digest(salt: &str, text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(format!("{salt}:{text}")))
}

pub(super) fn hash(before: &str, number: i64, body: &str) -> String {
    let mut end = before.to_owned();
    advance(&mut end, number, body);
    end
}

/// Moves the end of a chain by a record, in the place of the hash before.
pub(super) fn advance(end: &mut String, number: i64, body: &str) {
    // Behind it, where there is room: a record costs no memory of its own. Writing to a `String` cannot fail.
    let _ = write!(end, "\n{number}\n");
    let hash = Sha256::new().chain_update(end.as_bytes()).chain_update(body).finalize();
    end.clear();
    HEXLOWER.encode_append(&hash, end);
}

pub(super) async fn verify(
    journal: &Journal,
    scope: &str,
    anchor: Option<&Anchor>,
    key: &AnchorKey,
) -> Result<Verified, Broken> {
    let wrong = |problem| Broken::Anchor { scope: scope.to_owned(), problem };
    if let Some(anchor) = anchor
        && (anchor.scope != scope || !key.verifies(anchor))
    {
        return Err(wrong("the anchor is not one of this chain, signed with this key"));
    }
    let checkpoint = journal.ask(|answer| Command::Checkpoint(scope.to_owned(), answer)).await?;
    if checkpoint.as_ref().is_some_and(|checkpoint| !key.verifies(checkpoint)) {
        return Err(wrong("the checkpoint of a removal is not signed with this key"));
    }
    let (mut number, mut before) =
        checkpoint.as_ref().map_or((0, BEGINNING.to_owned()), |c| (c.number, c.hash.clone()));
    let mut seen = anchor.is_none_or(|anchor| anchor.number < number);
    if let Some(anchor) = anchor.filter(|anchor| anchor.number == number) {
        seen = anchor.hash == before;
    }
    let mut records = 0;
    loop {
        let page = journal.query(&Filter::scope(scope).after(number)).await?;
        let Some(last) = page.last() else { break };
        let part = Part { after: number, upto: last.number };
        for record in page {
            let broken = |problem| Broken::Record { scope: scope.to_owned(), number: record.number, problem };
            if record.number != number + 1 {
                return Err(broken("one before it is missing"));
            }
            if record.hash != hash(&before, record.number, &record.body) {
                return Err(broken("it, or one before it, was changed"));
            }
            agrees(&record).map_err(broken)?;
            number = record.number;
            before = record.hash;
            records += 1;
            if let Some(anchor) = anchor.filter(|anchor| anchor.number == number) {
                seen = anchor.hash == before;
            }
        }
        let misfiled = journal.ask(|answer| Command::Misfiled(scope.to_owned(), part, answer)).await?;
        if let Some(number) = misfiled {
            let problem = "what it is found by is not what was written";
            return Err(Broken::Record { scope: scope.to_owned(), number, problem });
        }
    }
    let end = journal.ask(Command::Ends).await?.into_iter().find(|end| end.scope == scope);
    // What is written meanwhile stands after what was followed.
    match end {
        Some(end) if end.number < number || end.number == number && end.hash != before => {
            return Err(wrong("the end of the chain is not where it was"));
        }
        None if number > 0 => return Err(wrong("the end of the chain is not known")),
        Some(_) | None => {}
    }
    if !seen {
        return Err(wrong("the chain does not lead through the anchor: records were cut off or replaced"));
    }
    Ok(Verified { records, last: number, checkpoint: checkpoint.map(|c| c.number) })
}

/// Whether what a record is found by, and what is left of its personal details, is what was hashed.
fn agrees(record: &Stored) -> Result<(), &'static str> {
    let body: Value = serde_json::from_str(&record.body).map_err(|_| "its body is not JSON")?;
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let same = text("scope") == Some(record.scope.as_str())
        && text("kind") == Some(record.kind.as_str())
        && text("actor") == Some(record.actor.as_str())
        && text("action") == Some(record.action.as_str())
        && text("resource") == record.resource.as_deref()
        && text("outcome") == Some(record.outcome.as_str())
        && text("decision") == Some(record.decision.as_str())
        && body.get("time").and_then(Value::as_i64) == Some(record.time);
    if !same {
        return Err("what it is found by is not what was written");
    }
    for (name, (salt, value)) in &record.personal {
        let kept =
            body.get("details").and_then(|d| d.get(name)).and_then(|d| d.get("personal")).and_then(Value::as_str);
        if kept != Some(digest(salt, value).as_str()) {
            return Err("a personal detail is not what was written");
        }
    }
    Ok(())
}
