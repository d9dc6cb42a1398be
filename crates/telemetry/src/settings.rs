use std::io::{IsTerminal, stderr};
use std::net::SocketAddr;
use std::time::Duration;

use model::forms::{name, optional, parsed, share, text};
use model::settings;

settings! {
    /// What people choose of how a role is watched.
    #[derive(Debug, Clone)]
    pub struct Choices {
        /// Where `/metrics`, `/health/live` and `/health/ready` are: this machine alone, unless told. `0.0.0.0:9464` where something
        /// beyond this machine asks.
        pub listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 9464)), "telemetry.listen": parsed("an address like 127.0.0.1:9464");
        /// Which logs are written, by level and target.
        pub log: String = "info".to_owned(), "telemetry.log": text("a level (error, warn, info, debug, trace, off), or like info,engine=debug", filter);
        /// An OTLP collector that takes traces; without it they go nowhere.
        pub otlp: Option<String> = None, "telemetry.otlp": optional(name("the address of a collector like http://collector:4318"));
        /// The share of new traces that is recorded; one that was begun elsewhere is followed as it was begun.
        pub sampled: f64 = 1.0, "telemetry.sampled": share();
    }
}

/// A word that is no level would be taken for the name of a module, and nothing be logged.
fn filter(text: &str) -> Result<String, String> {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    let mut words = text.split(',').map(str::trim).filter(|word| !word.contains(['=', '[']));
    match words.find(|word| !LEVELS.contains(&word.to_lowercase().as_str())) {
        Some(word) => Err(format!("{word:?} is not a level")),
        None => Ok(text.to_owned()),
    }
}

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
            sampled: Choices::default().sampled,
            export_timeout: Duration::from_secs(10),
            shutdown_timeout: Duration::from_secs(3),
        }
    }
}
