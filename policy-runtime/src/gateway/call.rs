//! One call of a Rust service.
//!
//! In: a service, a method, arguments, the caller. Out: outcomes, in order, no faster than the connection takes them.
//! A call that has to wait for nothing may be made at once, as most small ones can; one that waits goes on in a task of its own.
//! A panic of the service is its call's failure.

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use policy_core::Slug;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tracing::{Instrument as _, Span};

use super::connection::{Call, CallId, Outcome};
use super::metrics::Metrics;
use super::session::Event;
use super::shared::Shared;
use crate::code::Code;
use crate::security::SecurityContext;
use crate::service::{Arguments, CallError, Reply, Service};
use crate::trace::{continue_trace, millis};
use crate::wire::header;

/// A call that is ready to be made.
pub(super) struct Job {
    pub(super) id: CallId,
    pub(super) service: Arc<dyn Service>,
    pub(super) method: String,
    pub(super) body: Bytes,
    pub(super) context: SecurityContext,
    pub(super) request_id: Arc<str>,
    /// Continues the caller's trace.
    pub(super) span: Span,
}

/// The span of a call, part of the caller's trace.
pub(super) fn span(call: &Call, service: &str, method: &str, context: &SecurityContext) -> Span {
    let span = tracing::info_span!(
        target: "policy::gateway", "call", otel.kind = "server", rpc.service = service, rpc.method = method,
        request = &*call.request_id, participant = context.participant().id(), trace = tracing::field::Empty,
    );
    continue_trace(&span, call.headers.get(header::TRACEPARENT), call.headers.get(header::TRACESTATE));
    span
}

/// What log and metrics say of a call when it is over.
pub(super) struct Account {
    started: Instant,
    context: SecurityContext,
    request_id: Arc<str>,
    service: Cow<'static, str>,
    /// Only where it is logged.
    method: Option<String>,
}

impl Account {
    /// The call starts now.
    pub(super) fn open(
        context: &SecurityContext,
        request_id: &Arc<str>,
        service: impl Into<Cow<'static, str>>,
        method: &str,
    ) -> Self {
        let is_logged = tracing::event_enabled!(target: "policy::requests", tracing::Level::INFO);
        let method = is_logged.then(|| method.to_owned());
        let (context, request_id) = (context.clone(), request_id.clone());
        Self { started: Instant::now(), context, request_id, service: service.into(), method }
    }

    /// It is over.
    pub(super) fn close(&self, metrics: &Metrics, streamed: bool, failed: Option<Code>) {
        let took = self.started.elapsed();
        let who = self.context.participant();
        tracing::info!(
            target: "policy::requests",
            tenantSlug = who.scope().organization_id().map(Slug::as_str),
            requestId = &*self.request_id,
            duration = millis(took),
            participant = who.id(),
            service = &*self.service,
            method = self.method,
            code = failed.map(Code::as_str),
            "call",
        );
        metrics.call(took, streamed, failed);
    }
}

/// A task that ends when this is dropped.
#[derive(Debug)]
pub(super) struct Running(AbortHandle);

impl Running {
    /// Starts a task.
    pub(super) fn start(task: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(task).abort_handle())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What became of a call that was begun.
pub(super) enum Begun {
    /// It came to this.
    Done(Outcome),
    /// What it came to is on its way, as an event.
    Told,
    /// It goes on.
    Running(Running),
}

/// Begins a call; `at_once` it is made as far as it goes without waiting, while its connection does nothing else.
pub(super) fn begin(job: Job, shared: Arc<Shared>, events: mpsc::Sender<Event>, at_once: bool) -> Begun {
    let id = job.id;
    let mut work = Box::pin(work(job, shared, events.clone()));
    if at_once {
        // Nobody is woken: what waits is asked again by its own task.
        match work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Some(last)) => return Begun::Done(last),
            Poll::Ready(None) => return Begun::Told,
            Poll::Pending => {}
        }
    }
    Begun::Running(Running::start(async move {
        if let Some(last) = work.await {
            let _ = events.send(Event::Call(id, last)).await;
        }
    }))
}

/// Makes a call and gives its last outcome, unless that went the way of the values before it.
async fn work(job: Job, shared: Arc<Shared>, events: mpsc::Sender<Event>) -> Option<Outcome> {
    let span = job.span.clone();
    let work = async move {
        let (id, request_id) = (job.id, job.request_id.clone());
        let account = Account::open(&job.context, &request_id, job.service.declaration().name, &job.method);
        let mut streamed = false;
        let made = AssertUnwindSafe(make(job, &shared, &events, &mut streamed)).catch_unwind().await;
        let result = made.unwrap_or_else(|_| {
            tracing::error!(target: "policy::gateway", request = &*request_id, "a service panicked");
            Err(Ended::Failed(CallError::new(Code::Internal, Code::Internal.text())))
        });
        let (last, failed) = match result {
            Ok(last) => (Some(last), None),
            Err(Ended::Unwanted) => (None, None),
            Err(Ended::Failed(error)) => {
                let code = error.code();
                (Some(Outcome::Failed(error)), Some(code))
            }
        };
        account.close(&shared.metrics, streamed, failed);
        match last {
            Some(last) if streamed => {
                let _ = events.send(Event::Call(id, last)).await;
                None
            }
            last => last,
        }
    };
    work.instrument(span).await
}

/// Why there is no last value.
enum Ended {
    /// The connection is gone.
    Unwanted,
    Failed(CallError),
}

impl From<CallError> for Ended {
    fn from(error: CallError) -> Self {
        Self::Failed(error)
    }
}

async fn make(job: Job, shared: &Shared, events: &mpsc::Sender<Event>, streamed: &mut bool) -> Result<Outcome, Ended> {
    let Job { id, service, method, body, context, .. } = job;
    let arguments = Arguments::parse(&body)?;
    drop(body);
    let context = shared.sources.complete(context).await;
    // A stream is polled as the caller too.
    let work = async {
        match service.call(&method, arguments, context.clone()).await? {
            Reply::Value(json) => Ok(Outcome::Value(json.into())),
            Reply::Nothing => Ok(Outcome::Value(Bytes::from_static(b"null"))),
            Reply::Stream(mut values) => {
                *streamed = true;
                while let Some(value) = values.next().await {
                    let item = Event::Call(id, Outcome::Item(value?.into()));
                    events.send(item).await.map_err(|_| Ended::Unwanted)?;
                }
                Ok(Outcome::Complete)
            }
        }
    };
    context.scope(work).await
}
