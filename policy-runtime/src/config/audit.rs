//! What is recorded, and where the signed ends of the records go.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::audit::journal::What;

/// What is recorded of decisions.
///
/// ```
/// use policy_runtime::config::{Config, Environment};
/// let text = "[audit]\ndecisions = '1/100'\nactions = { 'com.example.Orders.place' = 'all' }\ninputs = true";
/// let audit = Config::check(text, &Environment::default(), ".".as_ref()).unwrap().audit;
/// assert!(audit.inputs && audit.actions.len() == 1 && audit.anchors.is_none());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Audit {
    /// Which are recorded beside those that must be.
    pub decisions: What,
    /// Of single actions, by their full names.
    pub actions: BTreeMap<String, What>,
    /// The actions of which no call runs before its record is written, beside those whose attribute says so.
    pub required: BTreeSet<String>,
    /// Whether records have what was decided about, so that it can be decided again under a draft.
    pub inputs: bool,
    /// The file that signed ends of all chains are added to, and how often.
    pub anchors: Option<(PathBuf, Duration)>,
    /// For how many days records are kept; for good, if nothing is said.
    pub keep_days: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawAudit {
    decisions: Option<String>,
    actions: BTreeMap<String, String>,
    required: BTreeSet<String>,
    inputs: bool,
    anchors_file: Option<PathBuf>,
    anchors_every_s: Option<u32>,
    keep_days: Option<u32>,
}

impl RawAudit {
    pub(super) fn check(&self, folder: &Path) -> Result<Audit, String> {
        let actions = self.actions.iter().map(|(action, named)| Ok((action.clone(), what(action, named)?)));
        let every = self.anchors_every_s.unwrap_or(600);
        if every == 0 {
            return Err("`anchors_every_s` is at least 1".to_owned());
        }
        if self.keep_days == Some(0) {
            return Err("`keep_days` is at least 1; without it, records are kept for good".to_owned());
        }
        let every = Duration::from_secs(every.into());
        Ok(Audit {
            decisions: what("decisions", self.decisions.as_deref().unwrap_or("denials"))?,
            actions: actions.collect::<Result<_, String>>()?,
            required: self.required.clone(),
            inputs: self.inputs,
            anchors: self.anchors_file.as_ref().map(|file| (folder.join(file), every)),
            keep_days: self.keep_days,
        })
    }
}

fn what(of: &str, named: &str) -> Result<What, String> {
    let sampled = || named.strip_prefix("1/").and_then(|n| n.parse().ok()).filter(|n| *n > 0).map(What::Sampled);
    match named {
        "all" => Ok(What::All),
        "denials" => Ok(What::Denials),
        "required" => Ok(What::Nothing),
        _ => sampled().ok_or_else(|| {
            format!(
                "what is recorded by `{of}` is `all`, `denials`, `required`, or a share such as `1/100`, not `{named}`"
            )
        }),
    }
}
