//! One file a subcommand.

pub(crate) mod backup;
pub(crate) mod cat;
pub(crate) mod check;
mod checked;
pub(crate) mod diff;
pub(crate) mod export;
pub(crate) mod find;
pub(crate) mod init;
mod kept;
pub(crate) mod key;
pub(crate) mod list;
pub(crate) mod reindex;
pub(crate) mod repair;
pub(crate) mod restore;
mod rows;
pub(crate) mod show;
pub(crate) mod verify;
