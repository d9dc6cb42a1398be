//! One file a subcommand.

pub(crate) mod backup;
pub(crate) mod cat;
pub(crate) mod check;
mod checked;
pub(crate) mod diff;
pub(crate) mod export;
pub(crate) mod find;
mod kept;
pub(crate) mod key;
pub(crate) mod list;
mod refused;
pub(crate) mod restore;
mod restored;
pub(crate) mod show;
pub(crate) mod verify;
