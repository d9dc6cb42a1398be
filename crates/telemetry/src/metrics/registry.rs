use prometheus::core::Collector;
use prometheus::{IntCounter, IntGauge, Opts, TextEncoder};

/// All metrics of a role.
#[derive(Debug, Clone)]
pub struct Registry(prometheus::Registry);

impl Registry {
    /// Knows what is running.
    pub fn new(role: &str, version: &str, revision: &str) -> Self {
        let registry = Registry(prometheus::Registry::new());
        let build = Opts::new("malle_build_info", "What is running; always 1")
            .const_label("role", role)
            .const_label("version", version)
            .const_label("revision", revision);
        let build = IntGauge::with_opts(build).expect("the name is valid");
        build.set(1);
        registry.add(build);
        registry
    }

    /// In Prometheus' text format, version 0.0.4.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Fails for a family without series only, and each has its series from the start.
        let _ = TextEncoder::new().encode_utf8(&self.0.gather(), &mut text);
        text
    }

    pub(crate) fn add(&self, collector: impl Collector + 'static) {
        self.0.register(Box::new(collector)).expect("a role makes each of its metrics once");
    }
}

/// What happened to spans.
#[derive(Debug, Clone)]
pub(crate) struct TraceMetrics {
    pub(crate) exported: IntCounter,
    pub(crate) lost: IntCounter,
}

impl TraceMetrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        TraceMetrics {
            exported: registry.counter("malle_spans_exported_total", "Spans that a collector took"),
            lost: registry.counter("malle_spans_lost_total", "Spans that no collector took in time"),
        }
    }
}
