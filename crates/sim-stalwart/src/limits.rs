//! The limits of the server, as its session object states them and as it enforces them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What the server allows. The defaults are Stalwart's, without a rate limit and a quota of uploads.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Ids in one `get`.
    pub max_objects_in_get: usize,
    /// Objects in one `set`, and blobs in one `Blob/upload`. `Email/import` knows no limit.
    pub max_objects_in_set: usize,
    /// Uploads by URL of one user at the same time.
    pub max_concurrent_uploads: usize,
    /// Uploads that an account may have which have not expired.
    pub uploads: Option<UploadQuota>,
    /// Folders that an account may have when one more is created.
    pub max_folders: usize,
    /// Requests of one user served at the same time; one more is refused with a problem.
    pub max_concurrent_requests: usize,
    /// Method calls in one request.
    pub max_calls_in_request: usize,
    /// Bytes of a request.
    pub max_size_request: usize,
    /// Bytes of an upload.
    pub max_size_upload: usize,
    /// Ids that one page of a query has at most, whatever the client asks for.
    pub query_page: usize,
    /// Ids that one page of `/changes` has at most.
    pub changes_page: usize,
    /// Resources that a `PROPFIND` or report of CalDAV and CardDAV answers with. An answer with so many says 507 of the requested path.
    pub dav_results: usize,
    /// Requests a user may make in a window of time; one more is answered 429 with `Retry-After`.
    pub rate: Option<RateLimit>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_objects_in_get: 500,
            max_objects_in_set: 500,
            max_concurrent_uploads: 4,
            uploads: None,
            max_folders: 250,
            max_concurrent_requests: 4,
            max_calls_in_request: 16,
            max_size_request: 10_000_000,
            max_size_upload: 50_000_000,
            query_page: 5_000,
            changes_page: 5_000,
            dav_results: 2_000,
            rate: None,
        }
    }
}

/// So many requests in a window that begins with the first of them. Stalwart's default is 1,000 a minute;
/// administrators are exempt.
#[derive(Clone, Copy, Debug)]
pub struct RateLimit {
    /// Requests in one window.
    pub requests: u32,
    /// Length of the window.
    pub window: Duration,
    /// Whether a 429 says when to come again.
    pub advice: Advice,
}

/// Uploads, by URL and by `Blob/upload`, that an account may have at a time; importing them gives nothing
/// back, only their expiry does. Administrators are exempt.
#[derive(Clone, Copy, Debug)]
pub struct UploadQuota {
    /// Number of uploads.
    pub files: usize,
    /// Their bytes together.
    pub bytes: u64,
}

impl UploadQuota {
    /// Stalwart's default: 1,000 files and 50 MB in an hour.
    #[must_use]
    pub const fn of_the_field() -> Self {
        Self { files: 1_000, bytes: 50_000_000 }
    }
}

/// What a 429 says about the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Advice {
    /// Nothing, as Stalwart 0.15.
    #[default]
    Silent,
    /// `Retry-After` in seconds.
    RetryAfter,
}

/// Who has made how many requests since when.
#[derive(Debug, Default)]
pub(crate) struct RateMeter {
    windows: Mutex<HashMap<String, (Instant, u32)>>,
}

impl RateMeter {
    /// Counts a request; `Err` is the number of seconds after which the next one will be served, at least 1.
    pub(crate) fn admit(&self, user: &str, limit: RateLimit) -> Result<(), u64> {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let (since, made) = windows.entry(user.to_owned()).or_insert((now, 0));
        if now.duration_since(*since) >= limit.window {
            (*since, *made) = (now, 0);
        }
        *made += 1;
        if *made <= limit.requests {
            return Ok(());
        }
        let left = limit.window.saturating_sub(now.duration_since(*since));
        Err(left.as_secs() + 1)
    }
}
