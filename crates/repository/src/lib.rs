#![doc = include_str!("../README.md")]

mod error;
mod keys;
mod layout;
pub mod log;
mod ring_file;
mod seal;
mod store;

pub use error::{Error, Result};
pub use layout::{MailboxDir, Object, ObjectName};
pub use ring_file::KeyRing;
pub use seal::{BlobHasher, FORMAT, Secret};
