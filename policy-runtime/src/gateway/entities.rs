//! Where published entities answer.
//!
//! In: entities. Out: mounts, under the address with the zone that Kinotic's clients name, and the older one without.

use policy_core::Scope;

use super::services::{Mount, MountError};
use crate::entity::{Published, services};

/// The zone of data, as `@kinotic-ai/persistence` 4 names it.
const ZONE: &str = "app-api";

pub(super) fn mounts(published: Vec<Published>, own: &Scope) -> Result<Vec<Mount>, MountError> {
    let mut out = Vec::new();
    for (scope, service) in services(published, own)? {
        let id = scope.application_id().map(ToString::to_string).unwrap_or_default();
        let mount = Mount::new(service).application(&id);
        out.extend([mount.clone(), mount.zone(ZONE)]);
    }
    Ok(out)
}
