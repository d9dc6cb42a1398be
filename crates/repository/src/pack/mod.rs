//! Packs: sealed blobs, one behind the other.

pub(crate) mod opened;
pub(crate) mod packer;
pub(crate) mod reader;
