//! Stores: from a URL to a directory or a bucket, and what this machine remembers of them.

#[cfg(test)]
pub(crate) mod as_they_are;
pub(crate) mod checksums;
pub(crate) mod client;
pub(crate) mod from_url;
pub(crate) mod http;
pub(crate) mod memory;
pub(crate) mod temporaries;
