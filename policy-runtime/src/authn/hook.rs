//! The post-authentication hook: the application's own word on who may come in.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use policy_core::Participant;
use policy_core::participant::BUILT_IN;
use policy_core::value::Value;

use super::{AuthnCode, AuthnError, BoxFuture};
use crate::credential::Facts;
use crate::id::random_id;

/// How long a hook may take.
const HOOK_TIMEOUT: Duration = Duration::from_secs(2);

/// Looks at every participant after authentication and before anything is decided.
///
/// It sees the participant and the request without its credentials. It answers attributes to add (none may have the name
/// of a built-in one), or refuses with [`Rejection::forbidden`]. Any other error, a panic, or more than two seconds admit
/// nobody and answer 500 with an id.
///
/// ```
/// use policy_core::Participant;
/// use policy_core::value::Value;
/// use policy_runtime::authn::{BoxFuture, PostAuthentication, Rejection};
/// use policy_runtime::credential::Facts;
///
/// #[derive(Debug)]
/// struct Contracts;
///
/// impl PostAuthentication for Contracts {
///     fn check<'a>(
///         &'a self,
///         participant: &'a Participant,
///         facts: &'a Facts,
///     ) -> BoxFuture<'a, Result<Vec<(String, Value)>, Rejection>> {
///         Box::pin(async move {
///             if facts.path.starts_with("/reports") && participant.email().is_none() {
///                 return Err(Rejection::forbidden("reports need an e-mail address"));
///             }
///             Ok(vec![("plan".to_owned(), Value::text("gold"))])
///         })
///     }
/// }
/// ```
pub trait PostAuthentication: fmt::Debug + Send + Sync {
    /// Decides about one participant.
    fn check<'a>(
        &'a self,
        participant: &'a Participant,
        facts: &'a Facts,
    ) -> BoxFuture<'a, Result<Vec<(String, Value)>, Rejection>>;
}

/// Why a hook lets nobody in.
///
/// ```
/// use policy_runtime::authn::Rejection;
/// let refused = Rejection::forbidden("the contract has ended");
/// let failed = Rejection::failed("the store of contracts does not answer");
/// ```
#[derive(Debug)]
pub struct Rejection(Kind);

#[derive(Debug)]
enum Kind {
    Forbidden(String),
    Failed(String),
}

impl Rejection {
    /// Refuses with a text that the peer reads (403).
    pub fn forbidden(text: impl Into<String>) -> Self {
        Self(Kind::Forbidden(text.into()))
    }

    /// Fails with a text for the log (500 for the peer, with an id).
    pub fn failed(text: impl Into<String>) -> Self {
        Self(Kind::Failed(text.into()))
    }
}

/// So that `?` in a hook fails it.
impl<E: std::error::Error> From<E> for Rejection {
    fn from(error: E) -> Self {
        Self::failed(error.to_string())
    }
}

/// How often the hook refused and failed, counted apart.
///
/// ```
/// use policy_runtime::authn::Chain;
/// let chain = Chain::builder().build();
/// assert_eq!((chain.hook_counters().refused(), chain.hook_counters().failed()), (0, 0));
/// ```
#[derive(Debug, Default)]
pub struct HookCounters {
    refused: AtomicU64,
    failed: AtomicU64,
}

impl HookCounters {
    /// How often the hook said no.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// How often the hook gave no usable answer.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}

pub(super) async fn run_hook(
    hook: &dyn PostAuthentication,
    participant: &Participant,
    facts: &Facts,
    counters: &HookCounters,
) -> Result<Participant, AuthnError> {
    let mut future: BoxFuture<'_, _> = Box::pin(async move { hook.check(participant, facts).await });
    let guarded =
        std::future::poll_fn(|cx| match std::panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(answer)) => Poll::Ready(answer),
            Err(_) => Poll::Ready(Err(Rejection::failed("the hook panicked"))),
        });
    let answer = match tokio::time::timeout(HOOK_TIMEOUT, guarded).await {
        Ok(answer) => answer.and_then(|added| with_attributes(participant, added)),
        Err(_) => Err(Rejection::failed("the hook took more than two seconds")),
    };
    answer.or_else(|Rejection(kind)| match kind {
        Kind::Forbidden(text) => {
            counters.refused.fetch_add(1, Ordering::Relaxed);
            Err(AuthnError::new(AuthnCode::Forbidden, text))
        }
        Kind::Failed(text) => {
            counters.failed.fetch_add(1, Ordering::Relaxed);
            Err(AuthnError::new(AuthnCode::HookFailed, text).with_id(random_id()?))
        }
    })
}

/// The participant as it is, with attributes added.
pub(crate) fn with_attributes(
    participant: &Participant,
    added: Vec<(String, Value)>,
) -> Result<Participant, Rejection> {
    if added.is_empty() {
        return Ok(participant.clone());
    }
    let mut builder = Participant::builder(participant.scope().clone(), participant.id())
        .roles(participant.roles().iter().map(|role| &**role))
        .auth_type(participant.auth_type())
        .mfa(participant.mfa());
    if let Some(email) = participant.email() {
        builder = builder.email(email);
    }
    if let Some(name) = participant.display_name() {
        builder = builder.display_name(name);
    }
    if let Some(tenant) = participant.tenant() {
        builder = builder.tenant(tenant);
    }
    if let Some(subject) = participant.subject() {
        builder = builder.subject(subject);
    }
    for (name, value) in participant.attributes() {
        builder = builder.attribute(name, value.clone());
    }
    for (name, value) in added {
        if BUILT_IN.field(&name).is_some() {
            return Err(Rejection::failed(format!("the hook set the built-in attribute `{name}`")));
        }
        builder = builder.attribute(&name, value);
    }
    Ok(builder.build())
}
