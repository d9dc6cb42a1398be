//! Jobs, from the request or the plan to their end.

pub(crate) mod claim;
pub(crate) mod due;
pub(crate) mod job;
pub(crate) mod outbox;
pub(crate) mod reaper;
pub(crate) mod requests;
pub(crate) mod restores;
pub(crate) mod running;
