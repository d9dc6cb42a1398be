//! The roles, and what they are made of.

pub(crate) mod agent;
pub(crate) mod listing;
pub(crate) mod parts;
pub(crate) mod ring;
pub(crate) mod role;
