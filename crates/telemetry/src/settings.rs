use std::io::{IsTerminal, stderr};
use std::time::Duration;

/// How a role is watched. No `Debug`: headers hold tokens.
#[derive(Clone)]
pub struct Settings {
    /// `producer`, `worker`, `portal`: the subcommand; a label of metrics and the name of the service in traces.
    pub role: String,
    /// Of the binary.
    pub version: String,
    /// Which of many: the host or pod.
    pub instance: String,
    /// Which logs are written, by level and target: `info`, `info,engine=debug`.
    pub filter: String,
    /// How they are written.
    pub format: LogFormat,
    /// Where traces go; nowhere without it.
    pub otlp: Option<Otlp>,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// An object a line, for machines.
    Json,
    /// Plain text, for people.
    Text,
}

impl LogFormat {
    /// Text on a terminal, else JSON.
    pub fn of_stderr() -> LogFormat {
        if stderr().is_terminal() { LogFormat::Text } else { LogFormat::Json }
    }
}

/// Where traces go: OTLP over HTTP with protobuf.
#[derive(Clone)]
pub struct Otlp {
    /// Base URL of the collector, such as `http://collector:4318`; `/v1/traces` is appended.
    pub endpoint: String,
    /// Sent with every request.
    pub headers: Vec<(String, String)>,
    /// Which share of new traces is recorded, from 0 to 1; one that was begun elsewhere is followed as it was begun.
    pub sampled: f64,
    /// For one batch, repetitions included; then it is lost.
    pub export_timeout: Duration,
    /// For the last batches at the end of the role.
    pub shutdown_timeout: Duration,
}

impl Otlp {
    /// All traces to this collector, with the usual time-outs.
    pub fn new(endpoint: impl Into<String>) -> Self {
        Otlp {
            endpoint: endpoint.into(),
            headers: Vec::new(),
            sampled: 1.0,
            export_timeout: Duration::from_secs(10),
            shutdown_timeout: Duration::from_secs(3),
        }
    }
}
