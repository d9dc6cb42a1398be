//! Mailboxes of the store, and what their snapshots are called.

pub(crate) mod account_in_store;
pub(crate) mod mailbox;
pub(crate) mod numbers;
pub(crate) mod snapshot_row;
