//! Refuses before the body is read, where participant, action and context already decide.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use policy_core::pdp::May;
use policy_core::{ActionId, Context as Environment, Request as Decided};
use tower::{Layer, Service};

use super::problem::Problem;
use crate::code::Code;
use crate::denied::Denied;
use crate::guard::resource_scope;
use crate::policy::Policy;
use crate::security::SecurityContext;
use crate::service::CallError;

/// The action is not in the registry.
///
/// ```
/// use policy_runtime::Policy;
/// use policy_runtime::tower::RefuseEarlyLayer;
/// let policy = Policy::for_application("shop")?;
/// let unknown = RefuseEarlyLayer::new(&policy, "com.example.Orders.plac").unwrap_err();
/// assert!(unknown.to_string().contains("plac"));
/// # Ok::<(), policy_runtime::PolicyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no action `{0}` in the program")]
pub struct UnknownAction(String);

/// Refuses requests of callers to whom an action is closed whatever its arguments are, before their bodies are read.
///
/// It stands below an [`AuthenticateLayer`](super::AuthenticateLayer) and above the handler whose guard decides in the end; what
/// depends on arguments passes.
///
/// ```
/// use policy_runtime::tower::RefuseEarlyLayer;
/// use policy_runtime::{Denied, Policy, abac_policy};
///
/// #[abac_policy(authenticated, action = "Uploads.put")]
/// fn put() -> Result<(), Denied> {
///     Ok(())
/// }
/// let policy = Policy::for_application("shop")?;
/// let name = policy.engine().registry().actions().find(|(_, a)| a.name.id() == "Uploads.put").unwrap().1.name.to_string();
/// assert!(RefuseEarlyLayer::new(&policy, &name).is_ok());
/// # Ok::<(), policy_runtime::PolicyError>(())
/// ```
#[derive(Clone)]
pub struct RefuseEarlyLayer {
    action: ActionId,
    name: Arc<str>,
}

impl RefuseEarlyLayer {
    /// Names the action: the module path and name of a function (`shop.orders.approve`), or a service's `com.example.Orders.place`.
    ///
    /// # Errors
    /// When the program declares no such action.
    pub fn new(policy: &Policy, action: &str) -> Result<Self, UnknownAction> {
        let name = action.replace("::", ".");
        match policy.engine().registry().find(&name) {
            Some(action) => Ok(Self { action, name: name.into() }),
            None => Err(UnknownAction(name)),
        }
    }
}

impl fmt::Debug for RefuseEarlyLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RefuseEarlyLayer").field(&self.name).finish()
    }
}

impl<S> Layer<S> for RefuseEarlyLayer {
    type Service = RefuseEarly<S>;

    fn layer(&self, service: S) -> RefuseEarly<S> {
        RefuseEarly { layer: self.clone(), service }
    }
}

/// A service behind a [`RefuseEarlyLayer`].
///
/// ```
/// use policy_runtime::tower::{RefuseEarly, RefuseEarlyLayer};
/// use tower::Layer;
///
/// fn guarded<S>(layer: &RefuseEarlyLayer, service: S) -> RefuseEarly<S> {
///     layer.layer(service)
/// }
/// ```
#[derive(Debug, Clone)]
pub struct RefuseEarly<S> {
    layer: RefuseEarlyLayer,
    service: S,
}

impl<S, I, O> Service<Request<I>> for RefuseEarly<S>
where
    S: Service<Request<I>, Response = Response<O>>,
    S::Future: Send + 'static,
    O: From<String> + Send + 'static,
{
    type Response = Response<O>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<O>, S::Error>> + Send>>;

    fn poll_ready(&mut self, task: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(task)
    }

    fn call(&mut self, request: Request<I>) -> Self::Future {
        let refused = SecurityContext::with_current(|cx| cx.and_then(|cx| self.layer.refuse(cx)));
        if let Some(problem) = refused {
            let response = Response::from(problem);
            return Box::pin(async move { Ok(response) });
        }
        Box::pin(self.service.call(request))
    }
}

impl RefuseEarlyLayer {
    /// Without a caller the guard itself refuses.
    fn refuse(&self, cx: &SecurityContext) -> Option<Problem> {
        if let Err(refused) = cx.count_early(self.action) {
            return Some(CallError::from(refused).into());
        }
        let policy = cx.policy();
        let entry = policy.engine().registry().action(self.action)?;
        let scope = resource_scope(entry.tier, cx)?;
        let may = policy.engine().may(&Decided {
            participant: cx.participant(),
            action: self.action,
            scope: &scope,
            resource: None,
            context: Environment { time: policy.clock().now(), facts: cx.facts() },
            args: &[],
        });
        if may != May::Never {
            return None;
        }
        let denied = Denied::new(Code::AccessDenied);
        tracing::warn!(
            target: "policy",
            decision = denied.id(),
            code = denied.code().as_str(),
            action = &*self.name,
            participant = cx.participant().id(),
            "denied before the body was read: no arguments would be allowed"
        );
        cx.note_refusal(&denied);
        Some(denied.into())
    }
}
