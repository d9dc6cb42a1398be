//! Which folders of the account those of the snapshot are, and making what is missing.

pub(super) mod finding;
pub(super) mod mapping;
pub(super) mod own;
pub(super) mod placing;
