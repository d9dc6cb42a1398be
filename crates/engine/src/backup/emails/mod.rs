//! Emails of a backup: which came, changed and went, and the rows of them.

mod join;
pub(super) mod listed;
pub(super) mod recent;
pub(crate) mod renewal;
pub(super) mod renumbered;
pub(crate) mod rows;
mod sync;
pub(super) mod tracked;
pub(super) mod witness;
