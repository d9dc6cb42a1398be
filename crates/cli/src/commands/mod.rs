//! One file a subcommand.

pub(crate) mod backup;
pub(crate) mod cat;
pub(crate) mod check;
mod checked;
mod clean;
pub(crate) mod diff;
pub(crate) mod export;
pub(crate) mod find;
pub(crate) mod init;
mod kept;
pub(crate) mod key;
pub(crate) mod list;
mod refused;
pub(crate) mod reindex;
pub(crate) mod repair;
pub(crate) mod restore;
mod restored;
mod resume;
pub(crate) mod show;
pub(crate) mod verify;
