//! Coordination through Redis.

pub(crate) mod abandoned;
pub(crate) mod breaker;
pub(crate) mod budget;
pub(crate) mod leases;
pub(crate) mod outage;
pub(crate) mod places;
pub(crate) mod progress;
pub(crate) mod service;
pub(crate) mod sign_ins;
