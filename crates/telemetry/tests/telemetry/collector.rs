//! An OTLP collector that keeps what it is sent, and two that are no help.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

pub(crate) struct Collector {
    pub(crate) endpoint: String,
    received: mpsc::UnboundedReceiver<(HeaderMap, Bytes)>,
}

#[derive(Debug, Default)]
pub(crate) struct Received {
    pub(crate) headers: HeaderMap,
    pub(crate) resource: Vec<KeyValue>,
    pub(crate) spans: Vec<Span>,
    pub(crate) bytes: Vec<u8>,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let (sender, received) = mpsc::unbounded_channel();
        let keep = |State(sender): State<mpsc::UnboundedSender<_>>, headers: HeaderMap, body: Bytes| async move {
            let _ = sender.send((headers, body));
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/v1/traces", post(keep)).with_state(sender);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { endpoint, received }
    }

    /// All that was sent until now.
    pub(crate) fn received(mut self) -> Received {
        let mut all = Received::default();
        while let Ok((headers, body)) = self.received.try_recv() {
            let request = ExportTraceServiceRequest::decode(body.clone()).expect("protobuf");
            all.headers = headers;
            all.bytes.extend_from_slice(&body);
            for spans in request.resource_spans {
                all.resource = spans.resource.expect("a resource").attributes;
                all.spans.extend(spans.scope_spans.into_iter().flat_map(|scope| scope.spans));
            }
        }
        all
    }
}

impl Received {
    pub(crate) fn span(&self, name: &str) -> &Span {
        let found: Vec<_> = self.spans.iter().filter(|span| span.name == name).collect();
        let [span] = found[..] else { panic!("{} spans are named {name}", found.len()) };
        span
    }
}

pub(crate) fn text<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    let value = attributes.iter().find(|attribute| attribute.key == key)?.value.as_ref()?.value.as_ref()?;
    match value {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

/// Takes connections and never answers, while the listener lives.
pub(crate) async fn hanging() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    (listener, endpoint)
}

/// Where nobody listens.
pub(crate) async fn dead() -> String {
    let address: SocketAddr = hanging().await.0.local_addr().unwrap();
    format!("http://{address}")
}
