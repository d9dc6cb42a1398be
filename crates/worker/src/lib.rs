#![doc = include_str!("../README.md")]

mod claim;
mod disposition;
mod error;
mod job;
mod lane;
mod metrics;
mod readiness;
mod role;
mod serve;
mod servers;
mod settings;
mod steps;
mod stores;
mod worker;

pub use error::{Error, Result};
pub use job::adopt::facts;
pub use job::damage::lost_backups;
pub use metrics::Metrics;
pub use role::run;
pub use settings::{BackupStore, Limits, MailServer, Rings, Settings, Slots, Times, is_same_zone};
pub use worker::{MakeSlice, Services};

#[cfg(feature = "steps")]
pub use role::run_watched;
#[cfg(feature = "steps")]
pub use steps::{Step, Steps};
