#![doc = include_str!("../README.md")]

mod clock;
mod data_type;
mod email;
mod error_class;
mod ids;

pub use clock::{Clock, SystemClock};
pub use data_type::DataType;
pub use email::{EmailRecord, Envelope};
pub use error_class::ErrorClass;
pub use ids::{AccountId, BackupNumber, BlobId, EmailId, FolderId, MailboxIdentity, SnapshotNumber};
pub use jiff::{SignedDuration, Timestamp};
