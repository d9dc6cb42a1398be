#![doc = include_str!("../README.md")]

mod leaks;
mod seeds;
mod service;
mod wire;

pub mod decorated;
pub mod failing;
pub mod lying;
pub mod manual_clock;
pub mod postgres;
pub mod quirk;
pub mod rabbitmq;
pub mod recording;
pub mod redis;
pub mod s3;
pub mod seaweedfs;
pub mod shaken;
pub mod stalwart;

pub use decorated::{Behaviour, Call, CallKind, Decorated};
pub use failing::{Failing, Fault, Moment, Span};
pub use leaks::leaks;
pub use lying::Lie;
pub use manual_clock::ManualClock;
pub use postgres::Postgres;
pub use quirk::Quirk;
pub use recording::{Recorded, Recorder, Recording};
pub use s3::S3;
pub use seeds::{is_soak, seeds, stride};
pub use service::{free_ports, http};
pub use shaken::Shaken;
