//! What all connections of a gateway share.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use policy_core::context::OwnAttributes;
use policy_core::value::{Millis, ValueRef};
use policy_core::{ActionId, Context, Participant, Request, Scope};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::admission::{Owed, Refusals};
use super::hosts::Hosts;
use super::limits::Limits;
use super::metrics::Metrics;
use super::presence::Feed;
use super::services::Services;
use super::sessions::Sessions;
use crate::authn::session::Sessions as Cookies;
use crate::authn::{Authenticated, AuthnCode, AuthnError, BoxFuture, Chain, Outcome};
use crate::credential::{Credentials, Facts as Presented, Listener};
use crate::edge::{Limiter, Origins, TrustedProxies};
use crate::guard::{self, Permit};
use crate::pip::Sources;
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

/// The application's function that adds attributes to the context of a connection.
#[derive(Clone)]
pub(super) struct AddAttributes(pub(super) Arc<AddFn>);

type AddFn = dyn Fn(&Presented, &mut OwnAttributes) + Send + Sync;

/// What `/ready` says beside that, asked for each time.
pub(super) type Remarks = Arc<dyn Fn() -> BoxFuture<'static, Vec<String>> + Send + Sync>;

impl fmt::Debug for AddAttributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AddAttributes(..)")
    }
}

pub(super) struct Shared {
    pub(super) policy: Policy,
    pub(super) chain: Chain,
    pub(super) listener: Listener,
    pub(super) limits: Limits,
    pub(super) refusals: Refusals,
    pub(super) trusted_proxies: TrustedProxies,
    pub(super) origins: Origins,
    pub(super) cookies: Option<Cookies>,
    pub(super) limiter: Arc<Limiter>,
    pub(super) attributes: Option<AddAttributes>,
    pub(super) sources: Sources,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) feed: Option<Arc<dyn Feed>>,
    pub(super) services: Services,
    pub(super) hosts: Arc<Hosts>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) owed: Owed,
    pub(super) remarks: Option<Remarks>,
    pub(super) metrics: Metrics,
    pub(super) run: watch::Sender<Run>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("services", &self.services).finish_non_exhaustive()
    }
}

impl Shared {
    /// Asks the chain, for a bounded time.
    pub(super) async fn authenticate(&self, credentials: &Credentials) -> Outcome {
        let asked = self.chain.authenticate(credentials);
        let outcome = tokio::time::timeout(self.limits.authenticate_time, asked).await;
        let refused = match outcome {
            Err(_) => AuthnError::new(AuthnCode::Unavailable, "the check took too long"),
            Ok(Outcome::Authenticated(found)) if self.is_over(&found) => {
                AuthnError::new(AuthnCode::TokenExpired, "the credential ended while it was checked")
            }
            Ok(outcome) => return outcome,
        };
        self.chain.refuse(refused, credentials.facts()).await.into()
    }

    /// Whether a participant may do one of the platform's actions on an application that name a service.
    pub(super) fn may(&self, action: &str, context: &SecurityContext, service: &str) -> bool {
        let engine = self.policy.engine();
        engine
            .action(action)
            .is_some_and(|action| engine.decide(&self.about(action, context, &[ValueRef::Text(service)])).is_allowed())
    }

    /// Asks for such an action as the guard of a function would.
    pub(super) fn permit(&self, action: &str, context: &SecurityContext, service: &str) -> Option<Permit> {
        let known = self.policy.engine().action(action)?;
        guard::ask(context, &self.about(known, context, &[ValueRef::Text(service)]), action, false).ok()
    }

    fn about<'r>(&self, action: ActionId, context: &'r SecurityContext, args: &'r [ValueRef<'r>]) -> Request<'r> {
        Request {
            participant: context.participant(),
            action,
            scope: context.application(),
            resource: None,
            context: Context { time: self.policy.clock().now(), facts: context.facts() },
            args,
        }
    }

    /// How long it is until then.
    pub(super) fn until(&self, end: Millis) -> Duration {
        let left = end.0.saturating_sub(self.policy.clock().now().0);
        Duration::from_millis(u64::try_from(left).unwrap_or_default())
    }

    fn is_over(&self, found: &Authenticated) -> bool {
        found.expiry().is_some_and(|end| end <= self.policy.clock().now())
    }

    /// Calls of a participant on the application that is its own, or else the one that this process serves.
    pub(super) fn context(&self, participant: Arc<Participant>) -> SecurityContext {
        let application = self.application_of(&participant);
        SecurityContext::new(&self.policy, participant).on(application).counting(self.limiter.of_actions())
    }

    /// The application that a participant calls: its own, or the one that this process serves.
    fn application_of(&self, participant: &Participant) -> Scope {
        match participant.scope() {
            own @ Scope::Application { .. } => own.clone(),
            Scope::System | Scope::Organization(_) => self.policy.application().clone(),
        }
    }
}
