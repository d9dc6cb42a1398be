use std::fmt;

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::LogFormat;
use crate::logs::mask::mask;

/// Formats as the inner one, masks addresses, and names the trace, so that one leads from a log line to it.
pub(crate) struct LogLine<F> {
    pub(crate) inner: F,
    pub(crate) format: LogFormat,
}

impl<S, N, F> FormatEvent<S, N> for LogLine<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.inner.format_event(context, Writer::new(&mut line), event)?;
        let line = mask(&line);
        let current = Context::current();
        let span = current.span();
        let trace = Some(span.span_context()).filter(|context| context.is_valid());
        match (self.format, trace, line.strip_prefix('{')) {
            (LogFormat::Json, Some(trace), Some(rest)) => {
                write!(writer, "{{\"trace_id\":\"{}\",{rest}", trace.trace_id())
            }
            _ => writer.write_str(&line),
        }
    }
}
