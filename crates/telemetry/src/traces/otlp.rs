//! Spans on their way out: masked, sent by tasks of the role's runtime, lost without harm if nobody takes them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry::trace::Status;
use opentelemetry::{Array, KeyValue, StringValue, Value};
use opentelemetry_otlp::{Protocol, SpanExporter as OtlpExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanData, SpanExporter};
use tokio::runtime::Handle;

use crate::logs::mask::mask;
use crate::metrics::registry::TraceMetrics;
use crate::traces::sparingly::Sparingly;
use crate::{Error, Otlp, Settings};

/// How often a failure to export is logged at most.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// The SDK's provider with a batch processor: a thread of its own, 2,048 spans at most in its queue.
pub(crate) fn provider(
    settings: &Settings,
    otlp: &Otlp,
    metrics: TraceMetrics,
) -> Result<SdkTracerProvider, Error> {
    let client = reqwest::Client::builder().timeout(otlp.export_timeout).build().map_err(Error::Client)?;
    let exporter = OtlpExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/v1/traces", otlp.endpoint.trim_end_matches('/')))
        .with_timeout(otlp.export_timeout)
        .with_headers(otlp.headers.iter().cloned().collect())
        .with_http_client(client)
        .build()
        .map_err(|source| Error::Otlp { endpoint: mask(&otlp.endpoint).into_owned(), source })?;
    let exporter = Exporter {
        inner: Arc::new(exporter),
        runtime: Handle::current(),
        timeout: otlp.export_timeout,
        metrics,
        failures: Sparingly::new(SAY_EVERY),
    };
    let resource = Resource::builder_empty().with_attributes([
        KeyValue::new("service.name", format!("malle-{}", settings.role)),
        KeyValue::new("service.version", settings.version.clone()),
        KeyValue::new("service.instance.id", settings.instance.clone()),
    ]);
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(otlp.sampled))))
        .with_resource(resource.build())
        .build())
}

/// The batch processor's thread has no reactor: requests are made by a task of the runtime.
#[derive(Debug)]
struct Exporter {
    inner: Arc<OtlpExporter>,
    runtime: Handle,
    timeout: Duration,
    metrics: TraceMetrics,
    failures: Sparingly,
}

impl SpanExporter for Exporter {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        batch.iter_mut().for_each(mask_span);
        let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let (inner, timeout) = (Arc::clone(&self.inner), self.timeout);
        let sending =
            self.runtime.spawn(async move { tokio::time::timeout(timeout, inner.export(batch)).await });
        let result = match sending.await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(OTelSdkError::Timeout(timeout)),
            Err(_) => Err(OTelSdkError::InternalFailure("the runtime is gone".to_owned())),
        };
        match &result {
            Ok(()) => self.metrics.exported.inc_by(count),
            Err(error) => {
                self.metrics.lost.inc_by(count);
                if let Some(lost) = self.failures.add(count, Instant::now()) {
                    tracing::warn!(lost, %error, "spans could not be exported");
                }
            }
        }
        result
    }

    fn set_resource(&mut self, resource: &Resource) {
        // Called once, before the first batch: nobody else holds it.
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.set_resource(resource);
        }
    }
}

fn mask_span(span: &mut SpanData) {
    span.name = mask(&span.name).into_owned().into();
    span.attributes.iter_mut().for_each(|attribute| mask_value(&mut attribute.value));
    for event in &mut span.events.events {
        event.name = mask(&event.name).into_owned().into();
        event.attributes.iter_mut().for_each(|attribute| mask_value(&mut attribute.value));
    }
    if let Status::Error { description } = &mut span.status {
        *description = mask(description).into_owned().into();
    }
}

fn mask_value(value: &mut Value) {
    let mask_string = |text: &mut StringValue| *text = mask(text.as_str()).into_owned().into();
    match value {
        Value::String(text) => mask_string(text),
        Value::Array(Array::String(texts)) => texts.iter_mut().for_each(mask_string),
        _ => (),
    }
}
