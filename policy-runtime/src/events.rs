//! What happens around identities, for the audit: sign-ins, failures, lockouts, changes of credentials and configuration.
//!
//! In: what authenticators and administrators did. Out: an [`Event`] to an [`EventSink`]. Absent: secrets, and decisions,
//! which [`audit`](crate::audit) records.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use policy_core::value::Millis;
use serde::Serialize;

/// What happened.
///
/// ```
/// use policy_runtime::events::EventKind;
/// assert_eq!(EventKind::SignInFailed.as_str(), "sign-in-failed");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum EventKind {
    /// Somebody signed in.
    SignIn,
    /// Somebody was not let in.
    SignInFailed,
    /// An account or an address must wait after too many failures.
    Lockout,
    /// A user, a password, a key, a role or an identity was made, changed or removed.
    CredentialChanged,
    /// An organization, an application, a provider or a setting was made, changed or removed.
    ConfigurationChanged,
}

impl EventKind {
    /// The kind as logs show it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "sign-in",
            Self::SignInFailed => "sign-in-failed",
            Self::Lockout => "lockout",
            Self::CredentialChanged => "credential-changed",
            Self::ConfigurationChanged => "configuration-changed",
        }
    }
}

/// Who did it, and over which request.
///
/// ```
/// use policy_runtime::Scope;
/// use policy_runtime::events::Actor;
/// let shop = Scope::application("acme", "shop").unwrap();
/// let actor = Actor::new(Some("u-1"), Some(&shop)).from_address(Some([192, 0, 2, 7].into())).in_request(Some("r-1"));
/// assert_eq!(actor.tenant_slug(), Some("acme"));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Actor {
    /// The participant's id; nobody while nobody is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The scope it acts in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The address it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The id of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

impl Actor {
    /// Makes an actor.
    pub fn new(id: Option<&str>, scope: Option<&policy_core::Scope>) -> Self {
        Self { id: id.map(str::to_owned), scope: scope.map(ToString::to_string), address: None, request: None }
    }

    /// Sets where it came from.
    #[must_use]
    pub const fn from_address(mut self, address: Option<IpAddr>) -> Self {
        self.address = address;
        self
    }

    /// Sets the request.
    #[must_use]
    pub fn in_request(mut self, id: Option<&str>) -> Self {
        self.request = id.map(str::to_owned);
        self
    }

    /// The organization's id within the scope, as logs name the tenant.
    pub fn tenant_slug(&self) -> Option<&str> {
        let rest = self.scope.as_deref()?.split_once(':')?.1;
        rest.split('/').next()
    }
}

/// Something that happened, told once.
///
/// ```
/// use policy_runtime::events::{Actor, Event, EventKind};
/// use policy_runtime::value::Millis;
/// let event = Event::new(EventKind::SignInFailed, Millis(0), Actor::default(), "password")
///     .target("u-1")
///     .failed("wrong-credentials");
/// assert_eq!(event.code.as_deref(), Some("wrong-credentials"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// When, in milliseconds since 1970.
    pub time: i64,
    /// Who did it.
    pub actor: Actor,
    /// What was done: a method of signing in, or the name of a change.
    pub what: String,
    /// What it was done to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Why it failed, as a stable code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

impl Event {
    /// Makes an event that succeeded.
    pub fn new(kind: EventKind, time: Millis, actor: Actor, what: &str) -> Self {
        Self { kind, time: time.0, actor, what: what.to_owned(), target: None, code: None }
    }

    /// Sets what it was done to.
    #[must_use]
    pub fn target(mut self, target: &str) -> Self {
        self.target = Some(target.to_owned());
        self
    }

    /// Sets why it failed.
    #[must_use]
    pub fn failed(mut self, code: &str) -> Self {
        self.code = Some(code.to_owned());
        self
    }
}

/// Where events go. It must not block: a sink that writes elsewhere queues.
///
/// ```
/// use policy_runtime::events::{Event, EventSink};
///
/// /// Counts.
/// #[derive(Debug, Default)]
/// struct Counter(std::sync::atomic::AtomicUsize);
///
/// impl EventSink for Counter {
///     fn note(&self, _: &Event) {
///         self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
///     }
/// }
/// ```
pub trait EventSink: fmt::Debug + Send + Sync {
    /// Takes one event.
    fn note(&self, event: &Event);
}

/// Writes events to the log.
///
/// ```
/// use policy_runtime::events::{Actor, Event, EventKind, EventSink as _, LoggedEvents};
/// use policy_runtime::value::Millis;
/// LoggedEvents.note(&Event::new(EventKind::Lockout, Millis(0), Actor::default(), "password"));
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct LoggedEvents;

impl EventSink for LoggedEvents {
    fn note(&self, event: &Event) {
        let actor = &event.actor;
        tracing::info!(
            target: "policy::events",
            tenantSlug = actor.tenant_slug(),
            requestId = actor.request.as_deref(),
            actor = actor.id.as_deref(),
            scope = actor.scope.as_deref(),
            address = actor.address.map(tracing::field::display),
            what = event.what,
            target = event.target.as_deref(),
            code = event.code.as_deref(),
            "{}",
            event.kind.as_str(),
        );
    }
}

/// Keeps events in memory, for tests.
///
/// ```
/// use policy_runtime::events::{Actor, Event, EventKind, EventSink as _, MemoryEvents};
/// use policy_runtime::value::Millis;
/// let events = MemoryEvents::default();
/// events.note(&Event::new(EventKind::SignIn, Millis(0), Actor::default(), "password"));
/// assert_eq!(events.all().len(), 1);
/// ```
#[derive(Debug, Default)]
pub struct MemoryEvents(Mutex<Vec<Event>>);

impl MemoryEvents {
    /// The events in order.
    pub fn all(&self) -> Vec<Event> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl EventSink for MemoryEvents {
    fn note(&self, event: &Event) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(event.clone());
    }
}

/// Several sinks as one.
///
/// ```
/// use std::sync::Arc;
/// use policy_runtime::events::{AllEvents, LoggedEvents, MemoryEvents};
/// let kept = Arc::new(MemoryEvents::default());
/// let all = AllEvents(vec![kept.clone(), Arc::new(LoggedEvents)]);
/// # drop((kept, all));
/// ```
#[derive(Debug, Clone, Default)]
pub struct AllEvents(pub Vec<Arc<dyn EventSink>>);

impl EventSink for AllEvents {
    fn note(&self, event: &Event) {
        self.0.iter().for_each(|sink| sink.note(event));
    }
}
