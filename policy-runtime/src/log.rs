//! The log as lines of JSON on the standard output.
//!
//! In: events of `tracing`. Out: one object for each, with `time`, `level`, `message` and what the event says, among it
//! `tenantSlug`, `requestId` and `duration`, which are always there. Absent: secrets, whose types cannot be written.

use std::fmt;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

use crate::clock::{Clock, SystemClock};

/// Writes the log of this process to the standard output: its own events from `INFO`, those of libraries from `WARN`.
///
/// Does nothing when a subscriber is installed already.
///
/// ```
/// policy_runtime::log::install();
/// tracing::info!("the first line");
/// ```
pub fn install() {
    let layer = JsonLog::new(std::io::stdout());
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer));
}

/// A layer that writes lines of JSON.
///
/// ```
/// use policy_runtime::log::JsonLog;
/// let log = JsonLog::new(std::io::stderr());
/// # drop(log);
/// ```
pub struct JsonLog<W> {
    out: Mutex<W>,
    clock: SystemClock,
}

impl<W> fmt::Debug for JsonLog<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonLog").finish_non_exhaustive()
    }
}

impl<W: Write> JsonLog<W> {
    /// Writes to an output.
    pub fn new(out: W) -> Self {
        Self { out: Mutex::new(out), clock: SystemClock }
    }
}

#[derive(Default)]
struct Members(Map<String, Value>);

impl Visit for Members {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), Value::String(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

/// The request that a span is part of.
struct RequestOf(Value);

fn request_of<S: Subscriber + for<'a> LookupSpan<'a>>(context: &Context<'_, S>, event: &Event<'_>) -> Option<Value> {
    let mut spans = context.event_scope(event)?;
    spans.find_map(|span| span.extensions().get::<RequestOf>().map(|request| request.0.clone()))
}

impl<S: Subscriber + for<'a> LookupSpan<'a>, W: Write + 'static> Layer<S> for JsonLog<W>
where
    Self: 'static,
{
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        let own = metadata.target().starts_with("policy");
        *metadata.level() <= if own { tracing::Level::INFO } else { tracing::Level::WARN }
    }

    fn on_new_span(&self, span: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut said = Members::default();
        span.record(&mut said);
        if let (Some(request), Some(span)) = (said.0.remove("request"), context.span(id)) {
            span.extensions_mut().insert(RequestOf(request));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut said = Members::default();
        event.record(&mut said);
        let mut line = Map::new();
        line.insert("time".into(), json!(policy_core::value::Millis(self.clock.now().0).to_string()));
        line.insert("level".into(), json!(event.metadata().level().as_str().to_ascii_lowercase()));
        line.insert("message".into(), said.0.remove("message").unwrap_or_default());
        if let Some(id) = said.0.remove("request").or_else(|| request_of(&context, event)) {
            said.0.entry("requestId").or_insert(id);
        }
        for always in ["tenantSlug", "requestId", "duration"] {
            line.insert(always.into(), said.0.remove(always).unwrap_or(Value::Null));
        }
        line.insert("module".into(), json!(event.metadata().target()));
        line.extend(said.0);
        let mut text = Value::Object(line).to_string();
        text.push('\n');
        // A log that cannot be written stops nothing.
        let _ = self.out.lock().unwrap_or_else(PoisonError::into_inner).write_all(text.as_bytes());
    }
}
