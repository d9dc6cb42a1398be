#![doc = include_str!("../README.md")]

mod begin;
mod check;
mod damage;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod history;
mod info;
mod known;
pub mod log;
mod mailboxes;
mod merging;
mod pack;
mod repository;
mod restores;
mod rows;
mod sealing;
mod segment;
mod sizes;
mod snapshot;
mod storage;
mod touched;
mod writer;

pub use check::{CheckReport, Depth, Problem};
pub use damage::{Damage, Look, Losses};
pub use error::{Error, HistoryFault, Result};
pub use history::{Differing, EmailHistory, EmailVersion, History, Keys, Places};
pub use info::{Origin, RowDigest, SnapshotInfo, Summary, TypeState, TypeStatus};
pub use object_store::ObjectStore;
pub use proto::EmailRow;
pub use repository::{Listing, Newest, Repository};
pub use restores::{Recorded, RestoreRecord};
pub use rows::{BlobPlace, FailureRecord, Location, ObjectRecord, Table};
pub use sealing::keys::OlderWraps;
pub use sealing::ring_file::KeyRing;
pub use sealing::seal::{BlobHasher, FORMAT, Secret};
pub use sizes::Sizes;
pub use snapshot::{BlobReader, Emails, Located, ObjectFound, Objects, Snapshot};
pub use storage::bucket::{Store, StoreId, StoreOptions};
pub use storage::layout::{MailboxDir, Object, ObjectName, RestoreName};
pub use storage::trouble::{StoreAnswer, Trouble};
pub use writer::{Committed, MAX_BLOB, Slices, SnapshotWriter};
