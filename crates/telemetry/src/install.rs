use std::panic;
use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::level_filters::LevelFilter;
use tracing::{Dispatch, Subscriber};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer};

use crate::logs::line::LogLine;
use crate::metrics::registry::TraceMetrics;
use crate::traces::otlp;
use crate::{Error, LogFormat, Registry, Settings};

/// What has to be ended with the role: spans still under way.
#[must_use = "spans of the last seconds are lost without shutdown()"]
pub struct Telemetry {
    traces: Option<(SdkTracerProvider, Duration)>,
}

/// Logs to standard error and sends traces, for the whole process, panics included. Called once, in the role's runtime,
/// after rustls got its process-wide provider: the client that sends traces panics without one.
pub fn install(settings: &Settings, registry: &Registry) -> Result<Telemetry, Error> {
    let (dispatch, telemetry) = prepare(settings, registry, std::io::stderr)?;
    tracing::dispatcher::set_global_default(dispatch).map_err(|_| Error::Twice)?;
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let message = panic.payload_as_str();
        tracing::error!(place, panic = message, "panicked");
    }));
    Ok(telemetry)
}

/// The same for a part of a process, with logs to wherever: for tests that look at them.
pub fn prepare<W>(settings: &Settings, registry: &Registry, logs: W) -> Result<(Dispatch, Telemetry), Error>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::builder()
        .parse(&settings.filter)
        .map_err(|source| Error::Filter { filter: settings.filter.clone(), source })?;
    let metrics = TraceMetrics::new(registry);
    let otlp = settings.otlp.as_ref();
    let provider = otlp.map(|otlp| otlp::provider(settings, otlp, metrics)).transpose()?;
    // Not by the log filter: a role that logs warnings only has whole traces. Nothing below INFO, so that the client
    // that sends spans makes none.
    let spans = provider.as_ref().map(|provider| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("malle"))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(LevelFilter::INFO)
    });
    let subscriber =
        tracing_subscriber::registry().with(spans).with(log_layer(settings.format, logs).with_filter(filter));
    let traces = provider.zip(otlp.map(|otlp| otlp.shutdown_timeout));
    Ok((Dispatch::new(subscriber), Telemetry { traces }))
}

fn log_layer<S, W>(format: LogFormat, logs: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(logs).with_ansi(false);
    match format {
        LogFormat::Json => {
            let json = layer.json().flatten_event(true).with_current_span(false);
            json.map_event_format(|inner| LogLine { inner, format }).boxed()
        }
        LogFormat::Text => layer.map_event_format(|inner| LogLine { inner, format }).boxed(),
    }
}

impl Telemetry {
    /// Sends what is left, within the time-out; a collector that does not answer cannot hold the role up.
    pub async fn shutdown(self) {
        let Some((provider, limit)) = self.traces else { return };
        let flush = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(limit));
        if !matches!(flush.await, Ok(Ok(()))) {
            tracing::warn!("the last spans could not be exported");
        }
    }
}
