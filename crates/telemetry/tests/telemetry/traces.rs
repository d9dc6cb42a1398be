//! Spans on their way to a collector.

use std::time::Duration;

use rustls::crypto::ring;
use telemetry::{Error, LogFormat, Otlp, Registry, Telemetry, continue_trace, link_trace, traceparent};
use tracing::dispatcher::DefaultGuard;
use tracing::{Span, info, info_span, warn_span};

use crate::collector::{Collector, dead, hanging, text};
use crate::exposition::read;
use crate::settings;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

struct Role {
    telemetry: Telemetry,
    registry: Registry,
    _guard: DefaultGuard,
}

fn role(otlp: Otlp) -> Role {
    // Fails if another test of this process was first; then it is the same one.
    let _ = ring::default_provider().install_default();
    let registry = Registry::new("worker", "0.1.0", "abc1234");
    let settings = telemetry::Settings { filter: "warn".to_owned(), ..settings(LogFormat::Json, Some(otlp)) };
    let (dispatch, telemetry) = telemetry::prepare(&settings, &registry, std::io::sink).unwrap();
    Role { telemetry, registry, _guard: tracing::dispatcher::set_default(&dispatch) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn counted(registry: &Registry, name: &str) -> f64 {
    read(&registry.text())[name].value(&[])
}

#[tokio::test]
async fn spans_arrive_with_parents_and_links_whatever_the_log_filter() {
    let collector = Collector::start().await;
    let headers = vec![("authorization".to_owned(), "Bearer t0ken".to_owned())];
    let role = role(Otlp { headers, ..Otlp::new(format!("{}/", collector.endpoint)) });

    let job = info_span!("job", job = 7, account = "alice@example.org");
    assert!(continue_trace(&job, PARENT));
    let ticket = job.in_scope(|| {
        let upload = warn_span!("upload", otel.kind = "client");
        upload.in_scope(|| info!(error = "no such account \"bob@example.org\"", "failed"));
        traceparent(&Span::current()).expect("a trace is recorded")
    });
    let slice = info_span!("slice");
    assert!(link_trace(&slice, &ticket) && !link_trace(&slice, "no traceparent"));
    slice.in_scope(|| assert!(!continue_trace(&Span::current(), PARENT), "too late"));
    tracing::debug_span!("detail").in_scope(|| ());
    drop((job, slice));
    role.telemetry.shutdown().await;

    let received = collector.received();
    assert_eq!(received.headers["authorization"], "Bearer t0ken");
    assert_eq!(received.headers["content-type"], "application/x-protobuf");
    assert_eq!(text(&received.resource, "service.name"), Some("malle-worker"));
    assert_eq!(text(&received.resource, "service.instance.id"), Some("pod-1"));
    let (job, upload, slice) = (received.span("job"), received.span("upload"), received.span("slice"));
    assert_eq!(ticket, format!("00-{}-{}-01", hex(&job.trace_id), hex(&job.span_id)));
    assert_eq!(PARENT, format!("00-{}-{}-01", hex(&job.trace_id), hex(&job.parent_span_id)));
    assert_eq!((&upload.trace_id, &upload.parent_span_id), (&job.trace_id, &job.span_id));
    assert!(slice.parent_span_id.is_empty() && slice.trace_id != job.trace_id, "a trace of its own");
    let [link] = &slice.links[..] else { panic!("{:?}", slice.links) };
    assert_eq!((&link.trace_id, &link.span_id), (&job.trace_id, &job.span_id));
    assert_eq!(received.spans.len(), 3, "nothing below INFO");
    assert_eq!(text(&job.attributes, "account"), Some("<address>"));
    assert_eq!(text(&upload.events[0].attributes, "error"), Some("no such account \"<address>\""));
    assert_eq!(testkit::leaks(&received.bytes, &["alice@example.org", "bob@example.org"]), [""; 0]);
    assert_eq!(counted(&role.registry, "malle_spans_exported_total"), 3.0);
}

#[tokio::test]
async fn a_trace_that_is_not_recorded_is_still_handed_on_as_such() {
    let collector = Collector::start().await;
    let role = role(Otlp { sampled: 0.0, ..Otlp::new(&collector.endpoint) });
    let (unrecorded, continued) = (info_span!("unrecorded"), info_span!("continued"));
    assert!(unrecorded.in_scope(|| traceparent(&Span::current())).expect("an id").ends_with("-00"));
    assert!(continue_trace(&continued, PARENT));
    drop((unrecorded, continued));
    role.telemetry.shutdown().await;
    let names: Vec<_> = collector.received().spans.into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["continued"], "whoever began a trace decides");
}

#[tokio::test]
async fn a_dead_or_hanging_collector_holds_nobody_up() {
    let (listener, hanging) = hanging().await;
    for endpoint in [dead().await, hanging] {
        let limit = Duration::from_millis(200);
        // Without the limit the end would wait for the export.
        let role = role(Otlp {
            shutdown_timeout: limit,
            export_timeout: Duration::from_secs(300),
            ..Otlp::new(endpoint)
        });
        // More than the queue holds: what does not fit is dropped, nobody waits.
        for _ in 0..5000 {
            info_span!("job").in_scope(|| ());
        }
        tokio::time::timeout(Duration::from_secs(60), role.telemetry.shutdown())
            .await
            .expect("within the limit");
    }
    drop(listener);
}

#[tokio::test]
async fn without_a_collector_there_is_no_trace_and_nothing_to_wait_for() {
    let registry = Registry::new("worker", "0.1.0", "abc1234");
    let (dispatch, telemetry) =
        telemetry::prepare(&settings(LogFormat::Json, None), &registry, std::io::sink).unwrap();
    let _guard = tracing::dispatcher::set_default(&dispatch);
    let span = info_span!("job");
    assert_eq!((continue_trace(&span, PARENT), traceparent(&span)), (false, None));
    telemetry.shutdown().await;
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_named_without_their_secrets() {
    let _ = ring::default_provider().install_default();
    let registry = Registry::new("worker", "0.1.0", "abc1234");
    let mut wrong = settings(LogFormat::Json, Some(Otlp::new("http://user:s3cret@collector:no port")));
    let Err(error) = telemetry::prepare(&wrong, &registry, std::io::sink) else { panic!("no URL") };
    assert_eq!(error.to_string(), "traces cannot be sent to \"http://<address>:no port\"");
    wrong.filter = "engine=loud".to_owned();
    let Err(error @ Error::Filter { .. }) = telemetry::prepare(&wrong, &registry, std::io::sink) else {
        panic!("no filter")
    };
    assert!(error.to_string().contains("\"engine=loud\""), "{error}");
}
