#![doc = include_str!("../README.md")]

mod backup;
mod error;
mod options;
mod report;

pub use backup::backup;
pub use error::{Error, Result};
pub use options::{Backup, Progress, Silent};
pub use report::{Report, State};
