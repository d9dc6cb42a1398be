use std::error::Error as StdError;
use std::net::SocketAddr;

use model::ErrorClass;

/// Why the role cannot begin or go on. What passes by itself (broker away, database restarted) is none of these.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The windows or the time zone cannot be used.
    #[error("windows of the plan cannot be used")]
    Plan(#[from] planning::Error),
    /// A token whose name, or secret, is another one's, or whose name is no word.
    #[error(
        "token {name:?} of the API: names are words without blanks, and neither a name nor a secret is there twice"
    )]
    TokenName {
        /// Its name.
        name: String,
    },
    /// An HTTP API that nobody could use.
    #[error("HTTP API has no token: nobody could use it")]
    NoToken,
    /// A token is too short to be a secret.
    #[error("API token {name:?} is shorter than {least} characters")]
    WeakToken {
        /// Whose.
        name: String,
        /// How long it has to be.
        least: usize,
    },
    /// The API's address cannot be used.
    #[error("HTTP API cannot listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The queue of requests cannot be consumed: wrong rights, or a queue that is not ours.
    #[error("requests cannot be received")]
    Requests(#[source] queue::QueueError),
    /// A part of the role panicked; the log says where.
    #[error("a part of the producer ended by a panic")]
    Panicked(#[source] tokio::task::JoinError),
}

impl Error {
    /// What whoever supervises the role should do.
    pub fn class(&self) -> ErrorClass {
        match self {
            Error::Plan(error) => error.class(),
            Error::Requests(error) => error.class(),
            Error::NoToken
            | Error::WeakToken { .. }
            | Error::TokenName { .. }
            | Error::Listen { .. }
            | Error::Panicked(_) => ErrorClass::Permanent,
        }
    }
}

/// The whole chain in one line, for logs.
pub(crate) fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
