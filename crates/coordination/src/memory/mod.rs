//! Coordination within one process.

pub(crate) mod budget;
pub(crate) mod leases;
pub(crate) mod progress;
pub(crate) mod service;
pub(crate) mod sign_ins;
