//! What people and scripts see: results, remarks, progress, errors and exit codes.

#[cfg(all(test, feature = "fleet"))]
mod every_error;
pub(crate) mod exit;
pub(crate) mod failure;
#[cfg(feature = "fleet")]
pub(crate) mod fleet_hint;
pub(crate) mod hint;
pub(crate) mod output;
pub(crate) mod progress;
pub(crate) mod waiting;
