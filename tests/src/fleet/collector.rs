//! An OTLP collector that keeps what it is sent, by all processes of a fleet.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
/// As OTLP has it.
pub use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

type Kept = Arc<Mutex<Vec<Bytes>>>;

/// Listens on this machine while it lives.
pub struct Collector {
    endpoint: String,
    kept: Kept,
    _serving: AbortOnDropHandle<()>,
}

impl Collector {
    /// On a port of its own.
    pub async fn start() -> Result<Collector> {
        let kept = Kept::default();
        let keep = |State(kept): State<Kept>, body: Bytes| async move {
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(body);
        };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let router = Router::new().route("/v1/traces", post(keep)).layer(DefaultBodyLimit::disable());
        let router = router.with_state(kept.clone());
        let serving = AbortOnDropHandle::new(tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        }));
        Ok(Collector { endpoint, kept, _serving: serving })
    }

    /// What `telemetry.otlp` is told.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// As it came, all of it until now.
    pub fn received(&self) -> Vec<Bytes> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All spans until now.
    pub fn spans(&self) -> Result<Vec<Span>> {
        let mut spans = Vec::new();
        for body in self.received() {
            for resource in ExportTraceServiceRequest::decode(body)?.resource_spans {
                spans.extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
            }
        }
        Ok(spans)
    }
}
