//! The trace that a request belongs to, by the caller's `traceparent` (W3C Trace Context).
//!
//! In: two headers. Out: a parent for spans. With the feature `otel` spans that OpenTelemetry exports continue the caller's
//! trace; without it logs still name the trace.

use tracing::Span;

/// How long something took, as logs say it.
#[cfg(any(feature = "gateway", feature = "tower"))]
pub(crate) fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Makes a span part of the caller's trace. What is malformed is passed over: a trace is no reason to refuse a request.
pub(crate) fn continue_trace(span: &Span, traceparent: Option<&str>, tracestate: Option<&str>) {
    if span.is_disabled() {
        return;
    }
    let Some(parent) = traceparent.and_then(Parent::parse) else { return };
    span.record("trace", parent.trace);
    #[cfg(feature = "otel")]
    otel::continue_trace(span, &parent, tracestate);
    #[cfg(not(feature = "otel"))]
    let _ = (tracestate, parent.span, parent.is_sampled);
}

/// What goes on in a span's name to another process; without OpenTelemetry the caller's own does.
#[cfg(feature = "gateway")]
pub(crate) fn traceparent(span: &Span) -> Option<String> {
    #[cfg(feature = "otel")]
    return otel::traceparent(span);
    #[cfg(not(feature = "otel"))]
    {
        let _ = span;
        None
    }
}

/// The parts of a `traceparent`, as hexadecimal text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Parent<'a> {
    trace: &'a str,
    span: &'a str,
    is_sampled: bool,
}

impl<'a> Parent<'a> {
    fn parse(header: &'a str) -> Option<Self> {
        let mut parts = header.trim().split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let hex = |text: &str, length: usize| {
            text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        let is_zero = |text: &str| text.bytes().all(|b| b == b'0');
        let good = hex(version, 2) && version != "ff" && hex(trace, 32) && hex(span, 16) && hex(flags, 2);
        // Later versions may append parts; this one has none.
        let ends = version != "00" || parts.next().is_none();
        if !good || !ends || is_zero(trace) || is_zero(span) {
            return None;
        }
        let is_sampled = u8::from_str_radix(flags, 16).is_ok_and(|flags| flags & 1 == 1);
        Some(Self { trace, span, is_sampled })
    }
}

#[cfg(feature = "otel")]
mod otel {
    use opentelemetry::Context;
    use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
    use tracing::Span;
    use tracing_opentelemetry::OpenTelemetrySpanExt as _;

    use super::Parent;

    pub(super) fn continue_trace(span: &Span, parent: &Parent<'_>, tracestate: Option<&str>) {
        let (Ok(trace), Ok(id)) = (TraceId::from_hex(parent.trace), SpanId::from_hex(parent.span)) else { return };
        let flags = if parent.is_sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
        let state = tracestate.filter(|state| state.len() <= 512).and_then(|state| state.parse::<TraceState>().ok());
        let remote = SpanContext::new(trace, id, flags, true, state.unwrap_or_default());
        // Fails where no OpenTelemetry layer listens: then there is nothing to continue.
        let _ = span.set_parent(Context::new().with_remote_span_context(remote));
    }

    #[cfg(feature = "gateway")]
    pub(super) fn traceparent(span: &Span) -> Option<String> {
        let context = span.context();
        let own = context.span().span_context().clone();
        let text = || format!("00-{}-{}-{:02x}", own.trace_id(), own.span_id(), own.trace_flags());
        own.is_valid().then(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_standard_allows_is_a_parent() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let parent = Parent::parse(good).unwrap();
        assert_eq!(parent.trace, "0af7651916cd43dd8448eb211c80319c");
        assert!(Parent::parse("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more").is_some());
        for bad in [
            "",
            "00",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ü1",
        ] {
            assert_eq!(Parent::parse(bad), None, "{bad}");
        }
    }
}
