//! What this program declares, told to the others of its organization when it starts.

use std::time::Duration;

use super::ServerError;
use crate::config::Config;
use crate::policy::Policy;
use crate::sets::{ManifestState, OnBreak, PolicySets};

/// How often it is said that the program runs.
const SAID: Duration = Duration::from_mins(1);

/// Registers the program's manifest, if it declares anything; answers its hash.
pub(super) async fn register(
    policy: &Policy,
    sets: &PolicySets,
    config: &Config,
    on_break: OnBreak,
) -> Result<Option<String>, ServerError> {
    let registry = policy.engine().registry();
    if registry.actions().all(|(_, entry)| entry.places.is_empty()) {
        return Ok(None);
    }
    let (manifest, now) = (registry.manifest().to_string(), policy.clock().now());
    let registered = sets.register_manifest(policy.application(), &config.version, &manifest, on_break, now).await?;
    match registered.state {
        ManifestState::Accepted => {}
        ManifestState::Flagged => tracing::warn!(
            target: "policy::server", rules = ?registered.broken, actions = ?registered.closed,
            "what this program declares breaks active rules; what is new or changed is denied until it is accepted"
        ),
        ManifestState::Refused => return Err(ServerError::Breaks(registered.broken)),
    }
    Ok(Some(registered.hash))
}

/// Says again and again that the program runs, so that rules are checked in it.
pub(super) async fn say_that_it_runs(policy: Policy, sets: PolicySets, hash: String) {
    loop {
        tokio::time::sleep(SAID).await;
        if let Err(error) = sets.heard_of(policy.application(), &hash, policy.clock().now()).await {
            tracing::warn!(target: "policy::server", %error, "that this program runs could not be noted");
        }
    }
}
