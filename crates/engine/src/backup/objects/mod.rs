//! Objects of all types but Email.

mod collections;
mod events;
pub(crate) mod found;
mod properties;
mod put;
pub(super) mod reading;
mod sync;
