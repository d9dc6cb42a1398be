#![doc = include_str!("../README.md")]

mod bucket;
mod check;
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
pub mod log;
mod pack_reader;
mod packer;
mod repository;
mod ring_file;
mod rows;
mod seal;
mod segment;
mod sizes;
mod snapshot;
mod store;
mod writer;

pub use bucket::{Store, StoreOptions};
pub use check::{CheckReport, Depth, Problem};
pub use error::{Error, Result};
pub use history::{Differing, EmailHistory, EmailVersion, History, Keys, Places};
pub use info::{Origin, RowDigest, SnapshotInfo, Summary, TypeState, TypeStatus};
pub use layout::{MailboxDir, Object, ObjectName};
pub use object_store::ObjectStore;
pub use proto::EmailRow;
pub use repository::Repository;
pub use ring_file::KeyRing;
pub use rows::{BlobPlace, FailureRecord, Location, ObjectRecord, Table};
pub use seal::{BlobHasher, FORMAT, Secret};
pub use sizes::Sizes;
pub use snapshot::{BlobReader, Emails, Located, ObjectFound, Objects, Snapshot};
pub use writer::{Committed, MAX_BLOB, Slices, SnapshotWriter};
