//! Which emails of snapshots are meant, and what differs between two snapshots.

pub(crate) mod diff;
pub(crate) mod find;
pub(crate) mod fold;
pub(crate) mod folders;
pub(crate) mod query;
pub(crate) mod selection;
