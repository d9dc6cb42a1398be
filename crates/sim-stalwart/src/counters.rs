//! What the server has done so far, for tests that assert how much a client asked of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

#[derive(Debug, Default)]
pub(crate) struct Meters {
    requests: AtomicU64,
    downloads: AtomicU64,
    sessions: AtomicU64,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    connections: AtomicU64,
    now: AtomicU64,
    peak: AtomicU64,
    refused: AtomicU64,
    unauthorized: AtomicU64,
    uploads: AtomicU64,
    caldav: AtomicU64,
    blobs: AtomicU64,
    blob_bytes: AtomicU64,
    created: AtomicU64,
    updated: AtomicU64,
    destroyed: AtomicU64,
    calls: Mutex<BTreeMap<String, u64>>,
}

/// Counters at one moment. Subtract by [`Counters::since`] to learn what a piece of work cost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// HTTP requests of every kind, refused ones included.
    pub requests: u64,
    /// Requests to the download URL.
    pub downloads: u64,
    /// Requests for the session object.
    pub sessions: u64,
    /// Requests to the upload URL.
    pub uploads: u64,
    /// Requests of CalDAV; `calls` has them by name, such as `CalDAV/PUT`.
    pub caldav: u64,
    /// Blobs taken in, by the upload URL and by `Blob/upload`.
    pub blobs: u64,
    /// Their bytes.
    pub blob_bytes: u64,
    /// Objects that `set` and `import` created.
    pub created: u64,
    /// Objects that `set` changed.
    pub updated: u64,
    /// Objects that `set` destroyed; what went with them is not counted.
    pub destroyed: u64,
    /// Requests answered 4xx or 5xx.
    pub refused: u64,
    /// Those among them answered 401.
    pub unauthorized: u64,
    /// TCP connections accepted.
    pub connections: u64,
    /// Bytes read from sockets, heads included.
    pub bytes_in: u64,
    /// Bytes written to sockets, heads included.
    pub bytes_out: u64,
    /// Most requests that were being served at the same moment since the simulator started.
    pub peak_concurrency: u64,
    /// Method calls by name, and requests of CalDAV and CardDAV.
    pub calls: BTreeMap<String, u64>,
}

impl Counters {
    /// What was added since `earlier`; the peak stays the overall one.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let calls = self.calls.iter().map(|(name, count)| (name.clone(), count - earlier.calls_of(name)));
        Self {
            requests: self.requests - earlier.requests,
            downloads: self.downloads - earlier.downloads,
            sessions: self.sessions - earlier.sessions,
            uploads: self.uploads - earlier.uploads,
            caldav: self.caldav - earlier.caldav,
            blobs: self.blobs - earlier.blobs,
            blob_bytes: self.blob_bytes - earlier.blob_bytes,
            created: self.created - earlier.created,
            updated: self.updated - earlier.updated,
            destroyed: self.destroyed - earlier.destroyed,
            refused: self.refused - earlier.refused,
            unauthorized: self.unauthorized - earlier.unauthorized,
            connections: self.connections - earlier.connections,
            bytes_in: self.bytes_in - earlier.bytes_in,
            bytes_out: self.bytes_out - earlier.bytes_out,
            peak_concurrency: self.peak_concurrency,
            calls: calls.filter(|(_, count)| *count > 0).collect(),
        }
    }

    /// Calls of one method, such as `Email/get`.
    #[must_use]
    pub fn calls_of(&self, method: &str) -> u64 {
        self.calls.get(method).copied().unwrap_or(0)
    }
}

/// A request being served, counted until dropped.
#[derive(Debug)]
pub(crate) struct Serving(Arc<Meters>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Relaxed);
    }
}

impl Meters {
    pub(crate) fn request(self: &Arc<Self>, path: &str) -> Serving {
        // Looking at the counters must not move them.
        self.requests.fetch_add(u64::from(!path.starts_with("/sim/")), Relaxed);
        if path.starts_with("/jmap/download/") {
            self.downloads.fetch_add(1, Relaxed);
        } else if path.starts_with("/jmap/upload/") {
            self.uploads.fetch_add(1, Relaxed);
        } else if path == "/dav/cal" || path.starts_with("/dav/cal/") {
            self.caldav.fetch_add(1, Relaxed);
        } else if path == "/jmap/session" {
            self.sessions.fetch_add(1, Relaxed);
        }
        let now = self.now.fetch_add(1, Relaxed) + 1;
        self.peak.fetch_max(now, Relaxed);
        Serving(Arc::clone(self))
    }

    pub(crate) fn call(&self, name: &str) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        match calls.get_mut(name) {
            Some(count) => *count += 1,
            None => drop(calls.insert(name.to_owned(), 1)),
        }
    }

    pub(crate) fn blob(&self, bytes: u64) {
        self.blobs.fetch_add(1, Relaxed);
        self.blob_bytes.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn set(&self, created: u64, updated: u64, destroyed: u64) {
        self.created.fetch_add(created, Relaxed);
        self.updated.fetch_add(updated, Relaxed);
        self.destroyed.fetch_add(destroyed, Relaxed);
    }

    pub(crate) fn connection(&self) {
        self.connections.fetch_add(1, Relaxed);
    }

    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub(crate) fn unauthorized(&self) {
        self.unauthorized.fetch_add(1, Relaxed);
    }

    pub(crate) fn read(&self) -> Counters {
        Counters {
            requests: self.requests.load(Relaxed),
            downloads: self.downloads.load(Relaxed),
            sessions: self.sessions.load(Relaxed),
            uploads: self.uploads.load(Relaxed),
            caldav: self.caldav.load(Relaxed),
            blobs: self.blobs.load(Relaxed),
            blob_bytes: self.blob_bytes.load(Relaxed),
            created: self.created.load(Relaxed),
            updated: self.updated.load(Relaxed),
            destroyed: self.destroyed.load(Relaxed),
            refused: self.refused.load(Relaxed),
            unauthorized: self.unauthorized.load(Relaxed),
            connections: self.connections.load(Relaxed),
            bytes_in: self.bytes_in.load(Relaxed),
            bytes_out: self.bytes_out.load(Relaxed),
            peak_concurrency: self.peak.load(Relaxed),
            calls: self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}
