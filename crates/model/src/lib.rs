#![doc = include_str!("../README.md")]

mod backup_state;
mod clock;
mod data_type;
mod email;
mod error_class;
pub mod forms;
mod ids;
mod job;
mod job_parameters;
mod log_position;
pub mod mail_address;
mod plan;
pub mod settings;
mod words;

pub use backup_state::BackupState;
pub use clock::{Clock, SystemClock};
pub use data_type::DataType;
pub use email::{EmailRecord, Envelope};
pub use error_class::ErrorClass;
pub use ids::{
    AccountId, Attempt, BackupNumber, BlobId, EmailId, Epoch, FolderId, JobId, MailboxId, MailboxIdentity,
    SnapshotNumber,
};
pub use jiff::civil::Date;
pub use jiff::{SignedDuration, Timestamp};
pub use job::{JobKind, JobState};
pub use job_parameters::{
    BackupParameters, InvalidParameters, JobParameters, RestoreMode, RestoreParameters, VerifyParameters,
};
pub use log_position::LogPosition;
pub use plan::{Plan, Schedule, Slot};
pub use words::UnknownWord;
