//! Requests: where they go, who makes them, how many at once, when they are made again.

pub(crate) mod broken;
pub(crate) mod config;
pub(crate) mod counters;
pub(crate) mod credentials;
pub(crate) mod discovery;
pub(crate) mod gate;
pub(crate) mod problem;
pub(crate) mod renewal;
pub(crate) mod retry;
pub(crate) mod template;
pub(crate) mod throttle;
pub(crate) mod transport;
pub(crate) mod upload;
