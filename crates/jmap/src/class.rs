//! What a caller should do about a failure.

use std::time::Duration;

/// What to do about an [`Error`](crate::Error); exhaustive, so that a caller's `match` stays complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The same call may succeed later, at the earliest after `retry_after` when the server named a time.
    Transient {
        /// The server's own `Retry-After`, unshortened.
        retry_after: Option<Duration>,
    },
    /// A person must act: the credentials are wrong or do not allow this, or the certificate is not to be trusted.
    Auth,
    /// The same call will fail again: wrong address, unknown account, unsupported method.
    Permanent,
    /// The server's answer breaks the protocol; nothing of it was used.
    Corrupt,
    /// The caller's own token was cancelled.
    Cancelled,
}
