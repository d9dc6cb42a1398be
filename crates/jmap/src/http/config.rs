//! How to reach a server, and how much of it and of us to use.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use url::Url;

use crate::http::credentials::Credentials;
use crate::http::renewal::{RefusedCredentials, Renewal};
use crate::http::throttle::Throttle;

/// Everything a client needs. [`Config::new`] fills in the defaults named on each field.
#[derive(Debug, Clone)]
pub struct Config {
    /// Base URL of the server, or the URL of its session.
    pub url: Url,
    /// Sent to this URL's origin and nowhere else.
    pub credentials: Credentials,
    /// Asked for newer credentials when the server answers 401, once for each refused request. None.
    pub renewal: Option<Arc<dyn Renewal>>,
    /// What the server refused to clients that share it: this one does not try it again. None.
    pub refused: Option<Arc<RefusedCredentials>>,
    /// PEM certificates of authorities that are trusted beside the system's. Empty.
    pub authorities: Vec<u8>,
    /// `User-Agent`; `malle` by default.
    pub user_agent: String,
    /// Most requests and downloads in flight; the session's `maxConcurrentRequests` bounds it too. 8.
    pub concurrency: usize,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// How much to read of what.
    pub limits: SizeLimits,
    /// How often to try again.
    pub retry: RetryPolicy,
    /// Once cancelled, every call and download of the client ends with [`Error::Cancelled`](crate::Error::Cancelled).
    pub cancel: CancellationToken,
    /// Asked before every request, for load that many clients share. None.
    pub throttle: Option<Arc<dyn Throttle>>,
    /// Told when the server lets a request wait. None.
    pub waiting: Option<Waiting>,
}

/// Who is told that a server does not answer.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// The time without an answer after which it is told; an attempt that fails for want of one later is told as well.
    pub after: Duration,
    /// The server's name.
    pub server: String,
    /// Takes the server's name, what is awaited, such as `an answer`, and the time since the request was first made.
    pub tell: fn(&str, &'static str, Duration),
}

impl Waiting {
    pub(crate) fn tell_after(&self, what: &'static str, since: Duration) {
        if since >= self.after {
            (self.tell)(&self.server, what, since);
        }
    }
}

/// Waits, each of one attempt.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// TCP and TLS handshakes. 10 s.
    pub connect: Duration,
    /// An API request from sending to the answer's last byte; a download to its first. 120 s.
    pub request: Duration,
    /// Between two pieces of a body. 30 s.
    pub stall: Duration,
    /// A body slower than this on average, after the stall time as grace, counts as stalled; bytes per second. 1,024.
    pub slowest_rate: u32,
}

/// Most bytes read of an answer, enforced while reading; `Content-Length` is not trusted.
#[derive(Debug, Clone, Copy)]
pub struct SizeLimits {
    /// The session object. 8 MiB: a server lists every account the user may see.
    pub session: u64,
    /// The answer to an API request. 64 MiB; [`Batch::limit_answer`](crate::Batch::limit_answer) lowers it for one request.
    ///
    /// Parsed metadata takes up to ten times the bytes of a hostile answer, so lower it for batches without blobs.
    pub answer: u64,
}

/// When a failed read is sent again. Applies to connection errors, time-outs, 429, 5xx and `limit`.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// Most attempts, the first included. 5.
    pub attempts: u32,
    /// Wait before the second attempt, doubled for each further one, half of it random. 500 ms.
    pub first_wait: Duration,
    /// The longest such wait. 20 s.
    pub longest_wait: Duration,
    /// The longest `Retry-After` that is sat out; a longer one is handed to the caller with the error. 60 s.
    pub longest_retry_after: Duration,
    /// No attempt starts this long after the first. 5 min.
    pub total: Duration,
}

impl Config {
    /// A configuration with the defaults.
    #[must_use]
    pub fn new(url: Url, credentials: Credentials) -> Self {
        Self {
            url,
            credentials,
            renewal: None,
            refused: None,
            authorities: Vec::new(),
            user_agent: "malle".into(),
            concurrency: 8,
            timeouts: Timeouts {
                connect: Duration::from_secs(10),
                request: Duration::from_secs(120),
                stall: Duration::from_secs(30),
                slowest_rate: 1024,
            },
            limits: SizeLimits { session: 8 << 20, answer: 64 << 20 },
            retry: RetryPolicy {
                attempts: 5,
                first_wait: Duration::from_millis(500),
                longest_wait: Duration::from_secs(20),
                longest_retry_after: Duration::from_secs(60),
                total: Duration::from_secs(300),
            },
            cancel: CancellationToken::new(),
            throttle: None,
            waiting: None,
        }
    }
}
