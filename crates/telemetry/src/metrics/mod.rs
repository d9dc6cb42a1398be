//! What is counted, and how its series are named.

pub(crate) mod backups;
pub(crate) mod family;
pub(crate) mod fleet;
pub(crate) mod jobs;
pub(crate) mod label;
pub(crate) mod outbox;
pub(crate) mod registry;
pub(crate) mod servers;
