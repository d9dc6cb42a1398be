//! Fetches bytes from the mail server, several requests at once.

mod chunker;
pub(super) mod fetcher;
pub(super) mod pump;
pub(super) mod step;
