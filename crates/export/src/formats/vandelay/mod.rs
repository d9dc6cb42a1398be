//! Vandelay archive: one SQLite file, built in the spool. Objects are kept as they come and turned into rows when all are
//! there, in the order in which rows refer to each other.

pub(crate) mod archive;
mod blobs;
mod rows;
mod schema;
mod unique;
