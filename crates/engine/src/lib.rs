#![doc = include_str!("../README.md")]

mod backup;
mod chunker;
mod emails;
mod envelope;
mod error;
mod fetch;
mod join;
mod listed;
mod listing;
mod metadata;
mod objects;
mod options;
mod pump;
mod report;
mod run;
mod types;
mod witness;

pub use backup::backup;
pub use error::{Error, Result};
pub use options::{Backup, Progress, Silent};
pub use report::{Report, State};
