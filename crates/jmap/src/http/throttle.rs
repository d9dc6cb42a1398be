//! Load that many clients share: who keeps it is asked before each request and told how it went.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::class::Class;
use crate::error::Error;

/// Lets requests of many clients pass at a common pace. Asked for every attempt of every request, after the client's own
/// bound; while it waits no time-out runs.
#[async_trait]
pub trait Throttle: fmt::Debug + Send + Sync {
    /// Waits until one more request may be made.
    async fn acquire(&self) -> Box<dyn Turn>;
}

/// The right to make one request. Dropped without an end: the request was abandoned, and nobody knows how it would have gone.
pub trait Turn: Send + Sync {
    /// The request is over. `latency` is the time to the answer's last byte; of a download that to its first.
    fn end(self: Box<Self>, outcome: Outcome, latency: Duration);
}

/// How a request ended, as far as load is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The server did its work, whatever it said.
    Answered,
    /// It has too much to do.
    Refused {
        /// 429 or 503; a problem `limit` of another status counts as 429.
        status: u16,
        /// The server's own `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// More requests were in flight than the session grants one user (RFC 8620 section 2, `maxConcurrentRequests` and
    /// `maxConcurrentUpload`).
    Crowded,
    /// No answer, or another 5xx.
    Failed,
}

impl Outcome {
    fn of(error: &Error) -> Outcome {
        match (error, error.class()) {
            (Error::Status { problem: Some(problem), .. }, _) if problem.is_concurrency_limit() => {
                Outcome::Crowded
            }
            (Error::Status { status, .. }, Class::Transient { retry_after }) if error.is_throttle() => {
                Outcome::Refused { status: if *status == 503 { 503 } else { 429 }, retry_after }
            }
            (Error::Status { status: 500.., .. }, _) => Outcome::Failed,
            (Error::Unreachable(_) | Error::Tls(_) | Error::Interrupted(_) | Error::TimedOut { .. }, _) => {
                Outcome::Failed
            }
            _ => Outcome::Answered,
        }
    }
}

/// A turn under way; without a throttle it is nothing.
pub(crate) struct Metered(Option<(Box<dyn Turn>, Instant)>);

impl Metered {
    pub(crate) async fn acquire(throttle: Option<&Arc<dyn Throttle>>) -> Metered {
        match throttle {
            None => Metered(None),
            Some(throttle) => Metered(Some((throttle.acquire().await, Instant::now()))),
        }
    }

    /// The request ended so, just now. One that was never sent tells nothing of the server: its turn is abandoned.
    pub(crate) fn end<T>(self, result: &Result<T, Error>) {
        if let Some((turn, since)) = self.0.filter(|_| !matches!(result, Err(Error::Withheld))) {
            let outcome = result.as_ref().err().map_or(Outcome::Answered, Outcome::of);
            turn.end(outcome, since.elapsed());
        }
    }

    /// The answer has begun well; the turn ends with the guard.
    pub(crate) fn begun(self) -> Underway {
        Underway(self.0.map(|(turn, since)| (turn, since.elapsed())))
    }
}

/// A turn whose answer is being read.
pub(crate) struct Underway(Option<(Box<dyn Turn>, Duration)>);

impl Drop for Underway {
    fn drop(&mut self) {
        if let Some((turn, latency)) = self.0.take() {
            turn.end(Outcome::Answered, latency);
        }
    }
}
