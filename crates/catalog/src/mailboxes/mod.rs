//! Mailboxes, and what is known of each.

pub(crate) mod listing;
pub(crate) mod log_positions;
pub(crate) mod mailbox;
pub(crate) mod pauses;
