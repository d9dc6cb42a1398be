//! Backups, as people see them.

pub(crate) mod backup;
pub(crate) mod complete;
pub(crate) mod damage;
pub(crate) mod rebuild;
