//! What the mail server says of an account.

pub(crate) mod account;
pub(crate) mod listing;
pub(crate) mod metadata;
pub(crate) mod owner;
pub(crate) mod properties;
pub(crate) mod types;
