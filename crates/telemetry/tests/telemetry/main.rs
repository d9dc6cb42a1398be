//! A role as its surroundings see it: over HTTP, in its log, at a collector.

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod child;
mod collector;
mod exposition;
mod held_open;
mod logs;
mod names;
mod served;
mod traces;

use telemetry::{
    BackupMetrics, FleetMetrics, JobMetrics, LogFormat, Otlp, OutboxMetrics, Registry, ServerMetrics,
    Settings,
};

/// Every family that there is.
pub(crate) struct All {
    pub(crate) registry: Registry,
    pub(crate) jobs: JobMetrics,
    pub(crate) backups: BackupMetrics,
    pub(crate) outbox: OutboxMetrics,
    pub(crate) fleet: FleetMetrics,
    pub(crate) servers: ServerMetrics,
}

pub(crate) fn all() -> All {
    let registry = Registry::new("worker", "0.1.0", "abc1234");
    // Brings the families about spans.
    let _ = telemetry::prepare(&settings(LogFormat::Json, None), &registry, std::io::sink).unwrap();
    All {
        jobs: JobMetrics::new(&registry),
        backups: BackupMetrics::new(&registry),
        outbox: OutboxMetrics::new(&registry),
        fleet: FleetMetrics::new(&registry),
        servers: ServerMetrics::new(&registry, ["mail-1.example", "mail \"2\"\\\n"]),
        registry,
    }
}

pub(crate) fn settings(format: LogFormat, otlp: Option<Otlp>) -> Settings {
    Settings {
        role: "worker".to_owned(),
        version: "0.1.0".to_owned(),
        instance: "pod-1".to_owned(),
        filter: "info".to_owned(),
        format,
        otlp,
    }
}
