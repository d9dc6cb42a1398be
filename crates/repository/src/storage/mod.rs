//! Where objects lie in a directory or a bucket, and how they get there.

pub(crate) mod bucket;
pub(crate) mod layout;
pub(crate) mod length;
pub(crate) mod objects;
pub(crate) mod proof;
pub(crate) mod trouble;
pub(crate) mod upload;
