//! Metrics and health over HTTP.

pub(crate) mod endpoint;
pub(crate) mod health;
pub(crate) mod probe;
pub(crate) mod server;
