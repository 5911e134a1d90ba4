//! Decides.
//!
//! In: a [`Request`]. Out: a [`Decision`]. Absent: enforcement.

use std::sync::Arc;

use crate::decision::{Decision, Denial, DenialKind};
use crate::registry::Registry;
use crate::request::Request;

/// The decision point.
#[derive(Debug)]
pub struct Engine {
    registry: Arc<Registry>,
}

impl Engine {
    /// An engine over a registry.
    pub fn new(registry: Arc<Registry>) -> Self {
        Self { registry }
    }

    /// What it knows.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Decides one request.
    pub fn decide(&self, _request: &Request<'_>) -> Decision {
        Decision::Deny(Box::new(Denial {
            kind: DenialKind::UnknownAction,
            tier: None,
            policy: None,
            source: None,
            clause: None,
            values: Vec::new(),
            message: String::new(),
            errors: Vec::new(),
            tiers: Default::default(),
            revisions: Default::default(),
        }))
    }
}
