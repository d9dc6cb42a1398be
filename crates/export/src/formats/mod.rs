//! What each format writes.

pub(crate) mod account;
pub(crate) mod maildir;
pub(crate) mod mbox;
pub(crate) mod quote;
pub(crate) mod utf7;
pub(crate) mod vandelay;
