//! Spans: how they go on from a message, and out of the process.

pub(crate) mod otlp;
pub(crate) mod sparingly;
pub(crate) mod trace_parent;
