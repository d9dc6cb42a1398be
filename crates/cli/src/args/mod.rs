//! The command line. Nothing secret can be given here.

pub(crate) mod backup;
pub(crate) mod cli;
pub(crate) mod export;
pub(crate) mod find;
#[cfg(feature = "fleet")]
pub(crate) mod fleet;
pub(crate) mod restore;
pub(crate) mod shared;
pub(crate) mod snapshot_name;
pub(crate) mod upkeep;
