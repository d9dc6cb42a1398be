//! What the HTTP library's errors mean.

use std::error::Error as _;
use std::io::ErrorKind;

use crate::error::Error;

/// Sorts the HTTP library's errors; URLs are removed, they may name people.
pub(crate) fn broken(error: reqwest::Error) -> Error {
    let error = error.without_url();
    if error.is_builder() {
        Error::Setup(error)
    } else if error.is_connect() {
        if is_tls(&error) { Error::Tls(error) } else { Error::Unreachable(error) }
    } else {
        Error::Interrupted(error)
    }
}

/// rustls reports a failed handshake as invalid data on the connection, wrapped in further I/O errors.
fn is_tls(error: &reqwest::Error) -> bool {
    io_kinds(error).any(|kind| kind == ErrorKind::InvalidData)
}

/// Whether the other side closed the connection while it was being made.
pub(crate) fn is_closed(error: &reqwest::Error) -> bool {
    io_kinds(error).any(|kind| matches!(kind, ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset))
}

/// Kinds of all I/O errors among the sources.
fn io_kinds(error: &reqwest::Error) -> impl Iterator<Item = ErrorKind> {
    let sources = std::iter::successors(error.source(), |&error| {
        let io = error.downcast_ref::<std::io::Error>();
        // An I/O error hides the error it wraps from `source` and names that one's source instead.
        let wrapped = io.and_then(std::io::Error::get_ref);
        wrapped.map(|wrapped| wrapped as &(dyn std::error::Error + 'static)).or_else(|| error.source())
    });
    sources.filter_map(|error| error.downcast_ref::<std::io::Error>().map(std::io::Error::kind))
}
