#![doc = include_str!("../README.md")]

mod error;
mod http;
mod install;
mod logs;
mod metrics;
mod settings;
mod traces;
mod waits;

pub use error::Error;
pub use http::endpoint::Endpoint;
pub use http::health::{Check, Health, Watchdog};
pub use http::probe::probe;
pub use http::server::{HttpLimits, serve_http};
pub use install::{Telemetry, install, prepare};
pub use logs::mask::mask;
pub use metrics::backups::BackupMetrics;
pub use metrics::family::By;
pub use metrics::fleet::FleetMetrics;
pub use metrics::jobs::JobMetrics;
pub use metrics::label::{Ending, Label, Labels, Listed, Open, Percentile, Refusal, Verification};
pub use metrics::outbox::OutboxMetrics;
pub use metrics::registry::Registry;
pub use metrics::servers::{ServerMetrics, ServerSeries};
pub use settings::{Choices, LogFormat, Otlp, Settings};
pub use traces::trace_parent::{continue_trace, link_trace, traceparent};
pub use waits::waits;
