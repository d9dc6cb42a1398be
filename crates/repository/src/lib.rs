#![doc = include_str!("../README.md")]

mod begin;
mod bucket;
mod check;
mod damage;
mod error;
mod frame;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod history;
mod info;
mod keys;
mod known;
mod layout;
mod length;
pub mod log;
mod merging;
mod opened;
mod pack_reader;
mod packer;
mod proof;
mod repository;
mod restores;
mod ring_file;
mod rows;
mod seal;
mod segment;
mod sizes;
mod snapshot;
mod store;
mod touched;
mod trouble;
mod upload;
mod writer;

pub use bucket::{Store, StoreId, StoreOptions};
pub use check::{CheckReport, Depth, Problem};
pub use damage::{Damage, Look, Losses};
pub use error::{Error, HistoryFault, Result};
pub use history::{Differing, EmailHistory, EmailVersion, History, Keys, Places};
pub use info::{Origin, RowDigest, SnapshotInfo, Summary, TypeState, TypeStatus};
pub use keys::OlderWraps;
pub use layout::{MailboxDir, Object, ObjectName, RestoreName};
pub use object_store::ObjectStore;
pub use proto::EmailRow;
pub use repository::{Listing, Newest, Repository};
pub use restores::{Recorded, RestoreRecord};
pub use ring_file::KeyRing;
pub use rows::{BlobPlace, FailureRecord, Location, ObjectRecord, Table};
pub use seal::{BlobHasher, FORMAT, Secret};
pub use sizes::Sizes;
pub use snapshot::{BlobReader, Emails, Located, ObjectFound, Objects, Snapshot};
pub use trouble::{StoreAnswer, Trouble};
pub use writer::{Committed, MAX_BLOB, Slices, SnapshotWriter};
