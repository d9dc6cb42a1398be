use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The span as a W3C `traceparent`, to be put into a ticket or a header; `None` if no traces are recorded.
pub fn traceparent(span: &Span) -> Option<String> {
    let context = span.context();
    let span = context.span();
    let context = span.span_context();
    let flags = context.trace_flags() & TraceFlags::SAMPLED;
    context
        .is_valid()
        .then(|| format!("00-{}-{}-{:02x}", context.trace_id(), context.span_id(), flags.to_u8()))
}

/// Makes the span a child of one elsewhere. Only for a span that was not entered yet; says whether it worked.
pub fn continue_trace(span: &Span, traceparent: &str) -> bool {
    let Some(parent) = parse(traceparent) else { return false };
    span.set_parent(Context::new().with_remote_span_context(parent)).is_ok()
}

/// Links the span, which begins a trace of its own, to one elsewhere, as slices and retries link to what came before;
/// says whether the text was a `traceparent`.
pub fn link_trace(span: &Span, traceparent: &str) -> bool {
    let linked = parse(traceparent);
    linked.into_iter().map(|context| span.add_link(context)).count() == 1
}

/// W3C Trace Context, section 3.2: later versions may append fields, version 00 may not.
fn parse(traceparent: &str) -> Option<SpanContext> {
    let fields: Vec<&str> = traceparent.split('-').collect();
    let &[version, trace, span, flags, ref more @ ..] = fields.as_slice() else { return None };
    let is_hex = |field: &str, length: usize| {
        field.len() == length && field.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let well_formed = is_hex(version, 2) && is_hex(trace, 32) && is_hex(span, 16) && is_hex(flags, 2);
    if !well_formed || version == "ff" || (version == "00" && !more.is_empty()) {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    let context = SpanContext::new(trace, span, flags, true, TraceState::default());
    context.is_valid().then_some(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_standard_allows_is_read() {
        let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        let check = |text: String, sampled: Option<bool>| {
            assert_eq!(parse(&text).map(|context| context.is_sampled()), sampled, "{text}");
        };
        check(format!("00-{trace}-{span}-01"), Some(true));
        check(format!("00-{trace}-{span}-02"), Some(false));
        check(format!("cc-{trace}-{span}-01-more"), Some(true));
        check(format!("00-{trace}-{span}-01-more"), None);
        check(format!("ff-{trace}-{span}-01"), None);
        check(format!("00-{}-{span}-01", trace.to_uppercase()), None);
        check(format!("00-{}-{span}-01", "0".repeat(32)), None);
        check(format!("00-{trace}-{}-01", "0".repeat(16)), None);
        check(format!("00-{trace}-{span}"), None);
        check(format!("00-{trace}-é{}-01", &span[2..]), None);
        check(String::new(), None);
    }
}
