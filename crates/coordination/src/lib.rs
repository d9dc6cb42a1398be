#![doc = include_str!("../README.md")]

mod adaptive;
mod bucket;
mod budget;
mod envelope;
mod error;
mod lease;
mod memory;
mod progress;
mod redis;
mod settings;
mod sign_ins;
mod token;

pub use adaptive::{Observation, Outcome};
pub use budget::{Budget, BudgetRules, Permit, Share};
pub use error::CoordinationError;
pub use lease::{Grant, Lease, LeaseTerms, Leases, Renewal};
pub use memory::service::Memory;
pub use progress::{Progress, ProgressBoard};
pub use redis::service::Redis;
pub use settings::Settings;
pub use sign_ins::{SignInRefusal, SignIns};
