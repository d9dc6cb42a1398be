//! Everything that can go wrong, with the data needed to act on it.

use std::time::Duration;

use crate::class::Class;
use crate::http::problem::Problem;
use crate::methods::ids::InvalidId;
use crate::methods::method_error::{MethodError, MethodErrorKind};

/// Which wait ended a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// From sending a request to the end of its answer (for downloads: to the answer's headers).
    Request,
    /// From one piece of a body to the next, or an average rate below the configured minimum.
    Stall,
}

/// A failed call. `Display` is a lower-case fragment without secrets, email content or its source's text.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configured server URL cannot be used.
    #[error("server URL cannot be used: {reason}")]
    InvalidUrl {
        /// What is wrong with it, fit for people.
        reason: &'static str,
    },
    /// A credential holds bytes that no HTTP header can carry.
    #[error("credentials cannot be written into an HTTP header")]
    InvalidCredentials,
    /// The HTTP client could not be built (no TLS provider installed, no trust store).
    #[error("HTTP client cannot be set up")]
    Setup(#[source] reqwest::Error),
    /// No connection: name not found, refused, no route.
    #[error("server cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// The TLS handshake failed, most often by a certificate that nobody trusts.
    #[error("TLS with the server failed")]
    Tls(#[source] reqwest::Error),
    /// The connection broke in the middle of a request or of its answer.
    #[error("connection to the server broke")]
    Interrupted(#[source] reqwest::Error),
    /// The connection was closed before the server had answered anything at all: servers do so with addresses that they have
    /// blocked, Stalwart after sign-ins that were refused.
    #[error("server closed the connection without an answer, as it does if it has blocked this address")]
    ClosedAtOnce(#[source] reqwest::Error),
    /// No answer, or not enough of it, in the configured time.
    #[error("server did not {} within {} s", match wait { Wait::Request => "answer", Wait::Stall => "go on sending" }, after.as_secs_f32())]
    TimedOut {
        /// Which of the waits it was.
        wait: Wait,
        /// How long was waited.
        after: Duration,
    },
    /// HTTP 401: the server does not accept the credentials.
    #[error("server does not accept the credentials")]
    Unauthorized,
    /// The credentials were not shown to the server, because it has refused them to another client: [`RefusedCredentials`](crate::RefusedCredentials).
    #[error("credentials are not shown to the server, which has refused them")]
    Withheld,
    /// Any other HTTP status than success, with the problem details when the server sent some (RFC 7807).
    #[error("server answered HTTP {status}{}", problem.as_ref().map(|p| format!(": {p}")).unwrap_or_default())]
    Status {
        /// The HTTP status.
        status: u16,
        /// Problem details of RFC 8620 section 3.6.1, or plain ones.
        problem: Option<Problem>,
        /// `Retry-After` as the server sent it.
        retry_after: Option<Duration>,
    },
    /// A redirect that leaves the origin that was called; not followed, credentials stay here.
    #[error("server redirects to another origin, {to}: use that address if it is the right one")]
    ForeignRedirect {
        /// Scheme, host and port it points to.
        to: String,
    },
    /// More redirects than a sane server needs, or one without a usable `Location`.
    #[error("server redirects in circles or to nowhere")]
    BadRedirect,
    /// None of the usual places holds a JMAP session.
    #[error("no JMAP session found at this address")]
    NoSession(#[source] Box<Error>),
    /// One method call failed (RFC 8620 section 3.6.2).
    #[error("{method} failed: {error}")]
    Method {
        /// The method called, such as `Email/get`.
        method: &'static str,
        /// What the server said.
        error: MethodError,
    },
    /// The answer is no JSON, or not of the shape the RFC gives it. The parser's own text is left out: it quotes the input.
    #[error("server's {what} is malformed ({why})")]
    Malformed {
        /// Which answer.
        what: &'static str,
        /// Position and kind, never content.
        why: String,
    },
    /// The answer is well-formed and cannot be true: foreign account, ids not asked for, the same id twice.
    #[error("server's answer to {method} cannot be right: {reason}")]
    Untrue {
        /// The method called.
        method: &'static str,
        /// What contradicts what.
        reason: &'static str,
    },
    /// An answer grew past the limit and was dropped while being read.
    #[error("server's answer exceeds {limit} bytes")]
    AnswerTooLarge {
        /// The limit that was in force.
        limit: u64,
    },
    /// A download whose length is not the expected one; nothing after the expected length was passed on.
    #[error("download has a wrong length: expected {expected} bytes, got {got}")]
    WrongLength {
        /// What the caller or `Content-Length` said.
        expected: u64,
        /// What came, or was announced.
        got: u64,
    },
    /// A batch that the session's limits do not allow; nothing was sent.
    #[error("request exceeds the server's {limit} of {allowed}: {asked}")]
    OverLimit {
        /// The limit's name in RFC 8620 section 2.
        limit: &'static str,
        /// The (clamped) limit.
        allowed: u64,
        /// What the batch holds.
        asked: u64,
    },
    /// The session names no place to upload to.
    #[error("server does not take uploads")]
    NoUpload,
    /// An id that cannot be put into a URL.
    #[error("id cannot be used")]
    InvalidId(#[from] InvalidId),
    /// Neither the session nor the directory knows this account.
    #[error("server knows no account {name:?} that these credentials may read")]
    UnknownAccount {
        /// The name that was asked for.
        name: String,
        /// Why the directory could not help, if it was asked and refused.
        #[source]
        source: Option<Box<Error>>,
    },
    /// Several accounts carry this name.
    #[error("{count} accounts are named {name:?}: give the account id instead")]
    AmbiguousAccount {
        /// The name that was asked for.
        name: String,
        /// How many carry it.
        count: usize,
    },
    /// The configured token was cancelled.
    #[error("request was cancelled")]
    Cancelled,
}

impl Error {
    /// What the caller should do about it.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Unreachable(_) | Self::Interrupted(_) | Self::ClosedAtOnce(_) | Self::TimedOut { .. } => {
                Class::Transient { retry_after: None }
            }
            Self::Unauthorized | Self::Withheld | Self::Tls(_) => Class::Auth,
            Self::Status { status, problem, retry_after } => {
                status_class(*status, problem.as_ref(), *retry_after)
            }
            Self::Method { error, .. } => error.class(),
            Self::NoSession(source) => source.class(),
            Self::UnknownAccount { source: Some(source), .. } => match source.class() {
                transient @ Class::Transient { .. } => transient,
                _ => Class::Permanent,
            },
            Self::Malformed { .. }
            | Self::Untrue { .. }
            | Self::AnswerTooLarge { .. }
            | Self::WrongLength { .. } => Class::Corrupt,
            Self::Cancelled => Class::Cancelled,
            Self::InvalidUrl { .. }
            | Self::InvalidCredentials
            | Self::Setup(_)
            | Self::ForeignRedirect { .. }
            | Self::BadRedirect
            | Self::OverLimit { .. }
            | Self::NoUpload
            | Self::InvalidId(_)
            | Self::UnknownAccount { source: None, .. }
            | Self::AmbiguousAccount { .. } => Class::Permanent,
        }
    }

    /// The method-level error, when it is one: `cannotCalculateChanges` and `unknownMethod` are ordinary answers.
    #[must_use]
    pub fn method_error(&self) -> Option<&MethodError> {
        match self {
            Self::Method { error, .. } => Some(error),
            _ => None,
        }
    }

    /// Whether these credentials may not use this account, or there is no such account.
    #[must_use]
    pub fn denies_account(&self) -> bool {
        use MethodErrorKind::{AccountNotFound, Forbidden};
        self.method_error().is_some_and(|error| matches!(error.kind, AccountNotFound | Forbidden))
    }

    /// Whether the server certainly did nothing of what was asked, so that asking again cannot do it twice.
    #[must_use]
    pub fn did_nothing(&self) -> bool {
        match self {
            Self::Unreachable(_)
            | Self::Tls(_)
            | Self::Unauthorized
            | Self::Withheld
            | Self::OverLimit { .. } => true,
            Self::Status { problem: Some(problem), .. } if problem.is_rate_limit() => true,
            // A time-out says nothing; 5xx may come from something between us and a server that goes on.
            Self::Status { status, .. } => (400..500).contains(status) && *status != 408,
            Self::Method { error, .. } => error.did_nothing(),
            _ => false,
        }
    }

    /// Whether the server asked to be called less often or less in parallel.
    #[must_use]
    pub fn is_throttle(&self) -> bool {
        match self {
            Self::Status { status: 429 | 503, .. } => true,
            Self::Status { problem: Some(problem), .. } => problem.is_rate_limit(),
            _ => false,
        }
    }

    /// A parser's error without the input it quotes.
    pub(crate) fn malformed(what: &'static str, source: &serde_json::Error) -> Self {
        let kind = match source.classify() {
            serde_json::error::Category::Io => "unreadable",
            serde_json::error::Category::Syntax => "no JSON",
            serde_json::error::Category::Data => "wrong shape",
            serde_json::error::Category::Eof => "ends too early",
        };
        Self::Malformed { what, why: format!("{kind} at line {}, column {}", source.line(), source.column()) }
    }
}

fn status_class(status: u16, problem: Option<&Problem>, retry_after: Option<Duration>) -> Class {
    match status {
        _ if problem.is_some_and(Problem::is_rate_limit) => Class::Transient { retry_after },
        401 | 403 => Class::Auth,
        408 | 425 | 429 | 500 | 502..=504 | 506..=599 => Class::Transient { retry_after },
        _ => Class::Permanent,
    }
}
