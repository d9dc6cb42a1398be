//! Keys, and what is sealed with them.

pub(crate) mod frame;
pub(crate) mod keys;
pub(crate) mod ring_file;
pub(crate) mod seal;
