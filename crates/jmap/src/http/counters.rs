//! What a client did so far, for reports.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Totals since the client connected, discovery included. Bytes are those of bodies, without headers and TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// HTTP requests sent, repetitions and redirects included.
    pub requests: u64,
    /// Of these, repetitions of a failed one.
    pub retries: u64,
    /// Times the server asked for less (429, 503, `limit`).
    pub throttled: u64,
    /// Bytes of request bodies.
    pub bytes_sent: u64,
    /// Bytes of answers, those of failed requests included.
    pub bytes_received: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) requests: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) throttled: AtomicU64,
    pub(crate) bytes_sent: AtomicU64,
    pub(crate) bytes_received: AtomicU64,
}

impl Tally {
    pub(crate) fn snapshot(&self) -> Counters {
        Counters {
            requests: self.requests.load(Relaxed),
            retries: self.retries.load(Relaxed),
            throttled: self.throttled.load(Relaxed),
            bytes_sent: self.bytes_sent.load(Relaxed),
            bytes_received: self.bytes_received.load(Relaxed),
        }
    }

    pub(crate) fn add(counter: &AtomicU64, amount: usize) {
        counter.fetch_add(amount as u64, Relaxed);
    }
}
