//! What a server without the database is given: the sets that decide for one application, under one signature.
//!
//! ```text
//! content: the sets from System down, each with its revision and what it is checked beside; what must be recorded
//! statement: a signed token of a kind of its own; for whom, when, in answer to which question, and the hash of the content
//! ```
//!
//! Absent: signing and verifying.

use std::collections::BTreeSet;

#[cfg(feature = "admin")]
use policy_core::Scope;
use policy_core::pdp::Beside;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The `typ` of statements: no other token is taken for one, and none is taken for a token.
pub(crate) const STATEMENT_KIND: &str = "policy-sets+jwt";

/// How long a statement says that it is good for; each server has its own bound, which is no longer.
pub(crate) const STATEMENT_S: u32 = 24 * 3_600;

/// Whom statements of a server are for.
pub(crate) fn audience(url: &str) -> String {
    format!("{url}#policies")
}

/// Sets on their way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bundle {
    pub(crate) statement: String,
    /// As text, so that its hash is that of what was sent.
    pub(crate) content: String,
}

/// What a bundle has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Content {
    /// The application.
    pub(crate) scope: String,
    /// Of System, of the organization and of the application.
    pub(crate) sets: [ActiveSet; 3],
    /// The actions of which administrators say, for it or above, that no call runs before its record.
    #[serde(default)]
    pub(crate) required: BTreeSet<String>,
}

/// The set that decides for a scope.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ActiveSet {
    pub(crate) scope: String,
    pub(crate) epoch: u64,
    pub(crate) number: u64,
    pub(crate) source: Value,
    pub(crate) beside: Beside,
}

/// What became of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "admin", derive(utoipa::ToSchema))]
pub(crate) struct Outcome {
    /// `accepted`, `flagged` or `refused`.
    pub(crate) state: String,
    pub(crate) hash: String,
    /// The rules that it breaks.
    pub(crate) broken: Vec<String>,
    /// The actions that are denied until an administrator accepts it.
    pub(crate) closed: Vec<String>,
}

#[cfg(feature = "admin")]
impl super::PolicySets {
    /// What decides for an application now, for a program with a manifest of this hash.
    pub(crate) async fn content(&self, application: &Scope, hash: &str) -> Result<Content, super::SetsError> {
        let set = async |scope: Scope| {
            let (source, (epoch, number)) = self.active_set(&scope).await?;
            let beside = self.beside(&scope, application, hash).await?;
            let source = super::content::to_json(&source);
            Ok::<_, super::SetsError>(ActiveSet { scope: scope.to_string(), epoch, number, source, beside })
        };
        let organization = application.organization_id().map_or(Scope::System, |id| Scope::Organization(id.clone()));
        let sets = [set(Scope::System).await?, set(organization).await?, set(application.clone()).await?];
        let said = self.required_audit().await?.into_iter().filter(|(at, _)| at.covers(application));
        let required = said.flat_map(|(_, actions)| actions).collect();
        Ok(Content { scope: application.to_string(), sets, required })
    }
}
