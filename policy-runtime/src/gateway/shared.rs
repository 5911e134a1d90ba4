//! What all connections of a gateway share.

use std::sync::Arc;

use policy_core::context::Facts;
use policy_core::value::{IpRange, ValueRef};
use policy_core::{Context, Participant, Request, Scope};
use tokio::sync::watch;

use super::admission::{Owed, Refusals};
use super::hosts::Hosts;
use super::limits::Limits;
use super::metrics::Metrics;
use super::services::Services;
use super::sessions::Sessions;
use crate::authn::{Authenticated, AuthnCode, AuthnError, Chain, Outcome};
use crate::credential::{Credentials, Listener};
use crate::policy::Policy;
use crate::security::SecurityContext;

/// Whether the gateway goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Run {
    /// It serves.
    Serving,
    /// Calls in flight may end, nothing new begins.
    Draining,
    /// Whatever is left ends now.
    Over,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) policy: Policy,
    pub(super) chain: Chain,
    pub(super) listener: Listener,
    pub(super) limits: Limits,
    pub(super) refusals: Refusals,
    pub(super) trusted_proxies: Vec<IpRange>,
    pub(super) services: Services,
    pub(super) hosts: Arc<Hosts>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) owed: Owed,
    pub(super) metrics: Metrics,
    pub(super) run: watch::Sender<Run>,
}

impl Shared {
    /// Asks the chain, for a bounded time.
    pub(super) async fn authenticate(&self, credentials: &Credentials) -> Outcome {
        let asked = self.chain.authenticate(credentials);
        let outcome = tokio::time::timeout(self.limits.authenticate_time, asked).await;
        let outcome =
            outcome.unwrap_or_else(|_| AuthnError::new(AuthnCode::Unavailable, "the check took too long").into());
        match &outcome {
            Outcome::Authenticated(found) if self.is_over(found) => {
                AuthnError::new(AuthnCode::TokenExpired, "the credential ended while it was checked").into()
            }
            Outcome::NotPresented | Outcome::Authenticated(_) | Outcome::Rejected(_) => outcome,
        }
    }

    /// Asks for one of the platform's actions on an application that name a service.
    pub(super) fn may(&self, action: &str, context: &SecurityContext, facts: &Facts, service: &str) -> bool {
        let engine = self.policy.engine();
        let Some(action) = engine.action(action) else { return false };
        let request = Request {
            participant: context.participant(),
            action,
            scope: context.application(),
            resource: None,
            context: Context { time: self.policy.clock().now(), facts },
            args: &[ValueRef::Text(service)],
        };
        engine.decide(&request).is_allowed()
    }

    fn is_over(&self, found: &Authenticated) -> bool {
        found.expiry().is_some_and(|end| end <= self.policy.clock().now())
    }

    /// The application that a participant calls: its own, or the one that this process serves.
    pub(super) fn application_of(&self, participant: &Participant) -> Scope {
        match participant.scope() {
            own @ Scope::Application { .. } => own.clone(),
            Scope::System | Scope::Organization(_) => self.policy.application().clone(),
        }
    }
}
