//! One claim: what goes on beside its job, and how the catalogue learns what became of it.

pub(crate) mod settle;
pub(crate) mod shown;
pub(crate) mod watch;
pub(crate) mod window;
