//! One file a command of operators.

pub(crate) mod backups;
pub(crate) mod check;
pub(crate) mod dlq;
pub(crate) mod enqueue;
pub(crate) mod expired;
pub(crate) mod history;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod job;
pub(crate) mod migrate;
pub(crate) mod named;
pub(crate) mod rebuild;
pub(crate) mod rights;
pub(crate) mod top;
