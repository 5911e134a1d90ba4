//! What happens around identities, for the audit: sign-ins, failures, lockouts, changes of credentials and configuration.
//!
//! In: what authenticators and administrators did. Out: an [`Event`] to an [`EventSink`], such as the log or the audit.
//! Absent: secrets, and decisions, which the guard records itself.

use std::fmt;
use std::future::ready;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use policy_core::Scope;
use policy_core::value::Millis;
use serde::Serialize;

use crate::audit::{AuditError, AuditFuture, AuditLog, Detail, Record, RecordKind};

tokio::task_local! {
    static ACTOR: Actor;
}

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
    pub fn new(id: Option<&str>, scope: Option<&Scope>) -> Self {
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
        tenant_of(self.scope.as_deref())
    }

    /// Whoever the running task signs in, as far as is known.
    pub fn current() -> Option<Self> {
        ACTOR.try_with(Clone::clone).ok()
    }

    /// Runs a future on behalf of this actor.
    pub async fn scope<F: Future>(self, future: F) -> F::Output {
        ACTOR.scope(self, future).await
    }
}

/// The organization's id in the text of a scope.
fn tenant_of(scope: Option<&str>) -> Option<&str> {
    scope?.split_once(':')?.1.split('/').next()
}

/// Something that happened, told once.
///
/// ```
/// use std::time::Duration;
/// use policy_runtime::Scope;
/// use policy_runtime::events::{Actor, Event, EventKind};
/// use policy_runtime::value::Millis;
/// let event = Event::new(EventKind::SignInFailed, Millis(0), Actor::default(), "password")
///     .target("u-1")
///     .within(&Scope::organization("acme").unwrap())
///     .failed("wrong-credentials")
///     .took(Duration::from_millis(90));
/// assert_eq!((event.code.as_deref(), event.duration), (Some("wrong-credentials"), Some(90)));
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
    /// The scope of what it was done to, where that is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// What a change consists of: names, no values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Why it failed, as a stable code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// How many milliseconds it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<u64>,
}

impl Event {
    /// Makes an event that succeeded.
    pub fn new(kind: EventKind, time: Millis, actor: Actor, what: &str) -> Self {
        Self {
            kind,
            time: time.0,
            actor,
            what: what.to_owned(),
            target: None,
            scope: None,
            detail: None,
            code: None,
            duration: None,
        }
    }

    /// Sets what it was done to.
    #[must_use]
    pub fn target(mut self, target: &str) -> Self {
        self.target = Some(target.to_owned());
        self
    }

    /// Sets the scope of what it was done to.
    #[must_use]
    pub fn within(mut self, scope: &Scope) -> Self {
        self.scope = Some(scope.to_string());
        self
    }

    /// Sets what a change consists of.
    #[must_use]
    pub fn detail(mut self, detail: String) -> Self {
        self.detail = Some(detail);
        self
    }

    /// Sets why it failed.
    #[must_use]
    pub fn failed(mut self, code: &str) -> Self {
        self.code = Some(code.to_owned());
        self
    }

    /// Sets how long it took.
    #[must_use]
    pub fn took(mut self, time: Duration) -> Self {
        self.duration = u64::try_from(time.as_millis()).ok();
        self
    }
}

/// The event as the audit keeps it, in the chain of the scope that it is about. What nobody known did to nothing that is
/// stored is kept in System's: whoever knocks can name any scope, and shall not make chains of it.
impl From<&Event> for Record {
    fn from(event: &Event) -> Self {
        let (actor, sys) = (&event.actor, Scope::System.to_string());
        let named = actor.scope.as_deref().unwrap_or(&sys);
        let proved = actor.id.as_ref().map(|_| named);
        let scope = event.scope.as_deref().or(proved).unwrap_or(&sys);
        let principal = format!("{named}/{}", actor.id.as_deref().unwrap_or("nobody"));
        let (kind, about) = match event.kind {
            EventKind::SignIn | EventKind::SignInFailed | EventKind::Lockout => (RecordKind::SignIn, "participant"),
            EventKind::CredentialChanged | EventKind::ConfigurationChanged => {
                (RecordKind::Change, event.what.split('.').next().unwrap_or_default())
            }
        };
        let outcome = if event.code.is_none() { "allow" } else { "deny" };
        let mut record = Self::new(kind, event.time, principal, event.what.as_str(), scope, outcome)
            .request(actor.request.as_deref().map(Into::into))
            .detail("event", Detail::Plain(event.kind.as_str().to_owned()));
        if let Some(target) = &event.target {
            record = record.about(about, target);
        }
        for (name, text) in [("code", &event.code), ("detail", &event.detail)] {
            record.details.extend(text.clone().map(|text| (name.to_owned(), Detail::Plain(text))));
        }
        record.details.extend(actor.address.map(|at| ("ip".to_owned(), Detail::Personal(at.to_string()))));
        record
    }
}

/// Where events go.
///
/// ```
/// use policy_runtime::audit::AuditFuture;
/// use policy_runtime::events::{Event, EventSink};
///
/// /// Counts.
/// #[derive(Debug, Default)]
/// struct Counter(std::sync::atomic::AtomicUsize);
///
/// impl EventSink for Counter {
///     fn note<'a>(&'a self, _: &'a Event) -> AuditFuture<'a> {
///         self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
///         Box::pin(std::future::ready(Ok(())))
///     }
/// }
/// ```
pub trait EventSink: fmt::Debug + Send + Sync {
    /// Takes one event; while the sink is behind, whoever tells waits. Nobody signs in whose sign-in is not taken.
    fn note<'a>(&'a self, event: &'a Event) -> AuditFuture<'a>;
}

/// Writes events to the log.
///
/// ```
/// use policy_runtime::events::{Actor, Event, EventKind, EventSink as _, LoggedEvents};
/// use policy_runtime::value::Millis;
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// LoggedEvents.note(&Event::new(EventKind::Lockout, Millis(0), Actor::default(), "password")).await.unwrap();
/// # });
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct LoggedEvents;

impl EventSink for LoggedEvents {
    fn note<'a>(&'a self, event: &'a Event) -> AuditFuture<'a> {
        let actor = &event.actor;
        tracing::info!(
            target: "policy::events",
            tenantSlug = tenant_of(event.scope.as_deref()).or_else(|| actor.tenant_slug()),
            requestId = actor.request.as_deref(),
            actor = actor.id.as_deref(),
            scope = actor.scope.as_deref(),
            address = actor.address.map(tracing::field::display),
            what = event.what,
            target = event.target.as_deref(),
            within = event.scope.as_deref(),
            detail = event.detail.as_deref(),
            code = event.code.as_deref(),
            duration = event.duration,
            "{}",
            event.kind.as_str(),
        );
        Box::pin(ready(Ok(())))
    }
}

/// Records events in the audit.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use std::sync::Arc;
/// use policy_runtime::audit::MemoryAudit;
/// use policy_runtime::events::{Actor, Event, EventKind, EventSink as _, RecordedEvents};
/// use policy_runtime::value::Millis;
/// let audit = Arc::new(MemoryAudit::default());
/// let event = Event::new(EventKind::Lockout, Millis(0), Actor::default(), "password");
/// RecordedEvents(audit.clone()).note(&event).await.unwrap();
/// assert_eq!(&*audit.records()[0].0.action, "password");
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct RecordedEvents(pub Arc<dyn AuditLog>);

impl EventSink for RecordedEvents {
    fn note<'a>(&'a self, event: &'a Event) -> AuditFuture<'a> {
        Box::pin(async move { self.0.note(&Record::from(event)).await })
    }
}

/// Keeps events in memory, for tests.
///
/// ```
/// use policy_runtime::events::{Actor, Event, EventKind, EventSink as _, MemoryEvents};
/// use policy_runtime::value::Millis;
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let events = MemoryEvents::default();
/// events.note(&Event::new(EventKind::SignIn, Millis(0), Actor::default(), "password")).await.unwrap();
/// assert_eq!(events.all().len(), 1);
/// # });
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
    fn note<'a>(&'a self, event: &'a Event) -> AuditFuture<'a> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(event.clone());
        Box::pin(ready(Ok(())))
    }
}

/// Several sinks as one; each is told, whether another fails or not.
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
    fn note<'a>(&'a self, event: &'a Event) -> AuditFuture<'a> {
        Box::pin(async move {
            let mut told: Result<(), AuditError> = Ok(());
            for sink in &self.0 {
                told = told.and(sink.note(event).await);
            }
            told
        })
    }
}
