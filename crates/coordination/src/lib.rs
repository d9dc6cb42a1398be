#![doc = include_str!("../README.md")]

mod abandoned;
mod adaptive;
mod breaker;
mod bucket;
mod budget;
mod envelope;
mod error;
mod lease;
mod memory;
mod memory_budget;
mod memory_leases;
mod memory_progress;
mod memory_sign_ins;
mod outage;
mod places;
mod progress;
mod redis_budget;
mod redis_leases;
mod redis_progress;
mod redis_sign_ins;
mod service;
mod settings;
mod sign_ins;
mod token;

pub use adaptive::{Observation, Outcome};
pub use budget::{Budget, BudgetRules, Permit, Share};
pub use error::CoordinationError;
pub use lease::{Grant, Lease, LeaseTerms, Leases, Renewal};
pub use memory::Memory;
pub use progress::{Progress, ProgressBoard};
pub use service::Redis;
pub use settings::Settings;
pub use sign_ins::{SignInRefusal, SignIns};
