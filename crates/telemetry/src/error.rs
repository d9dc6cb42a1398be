use std::io;
use std::net::SocketAddr;

use model::ErrorClass;

/// Why a role cannot be watched; all of it happens at its start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Directives that are no filter.
    #[error("log filter {filter:?} cannot be used: write it like info or info,engine=debug")]
    Filter {
        /// What was written.
        filter: String,
        /// What is wrong with it.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// An endpoint or a header that no request can carry.
    #[error("traces cannot be sent to {endpoint:?}")]
    Otlp {
        /// Where they should go, without user and password.
        endpoint: String,
        /// What is wrong with it.
        #[source]
        source: opentelemetry_otlp::ExporterBuildError,
    },
    /// No HTTP client for traces: the system has no trust store, for instance.
    #[error("HTTP client for traces cannot be set up")]
    Client(#[source] reqwest::Error),
    /// This process logs already.
    #[error("logging is installed already")]
    Twice,
    /// The address for metrics and health is taken, or not ours.
    #[error("cannot listen on {address} for metrics and health")]
    Bind {
        /// What was configured.
        address: SocketAddr,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// A person must change a setting.
    pub fn class(&self) -> ErrorClass {
        ErrorClass::Permanent
    }
}
