//! What a draft would do to lists that were recorded: which rows their records do not say, but which were asked for can be asked again.
//!
//! In: what an operation on rows was decided about. Out: how the draft changes what each row is asked. Absent: the rows.

use std::collections::BTreeSet;

use policy_core::Request;
use policy_core::pdp::{Engine, Supposition};

use super::trying::{TOLD, is_as_recorded, is_sure};
use crate::audit::journal::Stored;
use crate::offline::Hypothetical;
use crate::shadow::lists::{Changed, changed};

/// How often, where it was recorded, and in which words.
///
/// ```
/// use policy_runtime::admin::ListChange;
/// fn told(change: &ListChange) -> String {
///     change.came.iter().map(|clause| format!("+ {clause}\n")).collect()
/// }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListChange {
    /// How many lists.
    pub count: u64,
    /// The ids of some.
    pub decisions: Vec<String>,
    /// Clauses that a row is asked with the draft and was not before; some of them, where callers' values make many.
    pub came: BTreeSet<String>,
    /// Clauses that it was asked before, and is not with the draft.
    pub went: BTreeSet<String>,
}

impl ListChange {
    pub(super) fn add(&mut self, decision: &str, (came, went): (Vec<String>, Vec<String>)) {
        self.count += 1;
        if self.decisions.len() < TOLD {
            self.decisions.push(decision.to_owned());
        }
        for (known, new) in [(&mut self.came, came), (&mut self.went, went)] {
            known.extend(new.into_iter().take(TOLD.saturating_sub(known.len())));
        }
    }
}

/// Asks again what was asked of rows; `None` where a draft changes nothing of it.
pub(super) fn again(
    engine: &Engine,
    draft: &Supposition,
    record: &Stored,
    asked: &Hypothetical,
    request: &Request<'_>,
) -> Result<Option<Changed>, String> {
    let rows = engine.rows_supposing(draft, request).ok_or("it is about no entity")?;
    // A clause that a value which is missing would have made is not to be missed.
    if !asked.is_unabridged() {
        return Err("it is a list for somebody of whom a secret is not kept".to_owned());
    }
    for denial in [&rows.active, &rows.supposed].into_iter().filter_map(|side| side.as_ref().err()) {
        is_sure(asked, denial)?;
    }
    let told = rows.active.as_ref().map_or(&[][..], Vec::as_slice).iter().all(|part| {
        let said = part.tier.and_then(|tier| record.personal(&format!("filter.{tier}")));
        said.is_none_or(|said| said == part.predicate.to_string())
    });
    is_as_recorded(engine, request, record, told && rows.active.is_err() == (record.outcome == "deny"))?;
    if let Some(policy) = &rows.unsure {
        return Err(format!("it is a list, whose rows `{policy}` must see"));
    }
    Ok(changed(engine, draft.scope(), request, &rows))
}
