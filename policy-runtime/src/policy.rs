//! The policies of a process: one engine, its clock, and the application that it serves.
//!
//! In: what the program declares, and rules of the upper tiers. Out: [`Policy`]. Absent: storage.

use std::sync::Arc;

use policy_core::decision::Denial;
use policy_core::name::NameError;
use policy_core::pdp::Engine;
use policy_core::registry::Registry;
use policy_core::{ActionId, Scope};

use crate::audit::AuditLog;
use crate::clock::{Clock, SystemClock};
use crate::denied::Denied;

/// The policies of a process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Policy {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    engine: Engine,
    application: Scope,
    clock: Arc<dyn Clock>,
    audit: Option<Arc<dyn AuditLog>>,
}

impl Policy {
    /// A complete set-up for one application, with the upper tiers' baselines, without database or file.
    ///
    /// # Errors
    /// When the name is not a slug or a declared policy does not validate.
    pub fn for_application(application: &str) -> Result<Self, NameError> {
        let application = Scope::application("default", application)?;
        Ok(Self {
            inner: Arc::new(Inner {
                engine: Engine::new(Registry::program()),
                application,
                clock: Arc::new(SystemClock),
                audit: None,
            }),
        })
    }

    /// The application that this process serves.
    pub fn application(&self) -> &Scope {
        &self.inner.application
    }

    /// What decides.
    pub fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    /// What tells the time.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    /// Where decisions are recorded, unless a context says otherwise.
    pub fn audit(&self) -> Option<&Arc<dyn AuditLog>> {
        self.inner.audit.as_ref()
    }

    pub(crate) fn must_audit(&self, _action: ActionId) -> bool {
        false
    }

    pub(crate) fn remember(&self, _denied: &Denied, _denial: Denial) {}
}
