#![doc = include_str!("../README.md")]

mod backup_metrics;
mod endpoint;
mod error;
mod family;
mod fleet_metrics;
mod health;
mod install;
mod job_metrics;
mod label;
mod log_line;
mod mask;
mod otlp;
mod outbox_metrics;
mod probe;
mod registry;
mod server_metrics;
mod settings;
mod sparingly;
mod trace_parent;

pub use backup_metrics::BackupMetrics;
pub use endpoint::Endpoint;
pub use error::Error;
pub use family::By;
pub use fleet_metrics::FleetMetrics;
pub use health::{Check, Health, Watchdog};
pub use install::{Telemetry, install, prepare};
pub use job_metrics::JobMetrics;
pub use label::{Ending, Label, Labels, Open, Percentile, Refusal, Verification};
pub use mask::mask;
pub use outbox_metrics::OutboxMetrics;
pub use probe::probe;
pub use registry::Registry;
pub use server_metrics::{ServerMetrics, ServerSeries};
pub use settings::{LogFormat, Otlp, Settings};
pub use trace_parent::{continue_trace, link_trace, traceparent};
