#![doc = include_str!("../README.md")]

mod adopt;
mod backup;
mod damage;
mod disposition;
mod error;
mod job;
mod lane;
mod leftovers;
mod line;
mod metrics;
mod readiness;
mod restore;
mod run;
mod safety;
mod serve;
mod server;
mod settings;
mod settle;
mod shown;
mod sign_in;
mod steps;
mod stores;
mod throttle;
mod verify;
mod watch;
mod window;

pub use adopt::facts;
pub use damage::lost_backups;
pub use error::{Error, Result};
pub use metrics::Metrics;
pub use run::{MakeSlice, Services, run};
pub use settings::{BackupStore, Limits, MailServer, Rings, Settings, Slots, Times, is_same_zone};

#[cfg(feature = "steps")]
pub use run::run_watched;
#[cfg(feature = "steps")]
pub use steps::{Step, Steps};
