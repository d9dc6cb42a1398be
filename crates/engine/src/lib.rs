#![doc = include_str!("../README.md")]

mod backup;
mod chunker;
mod emails;
mod envelope;
mod error;
mod fetch;
mod join;
mod letters;
mod listed;
mod listing;
mod metadata;
mod objects;
mod options;
mod pump;
mod report;
mod restore;
mod run;
mod types;
mod witness;

pub use backup::backup;
pub use error::{Error, Result};
pub use options::{Backup, Progress, Silent};
pub use report::{Report, State};
pub use restore::{Mode, Refusal, Refusals, Restore, RestoreId, Restored, restore};
