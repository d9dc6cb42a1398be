//! Segments: immutable sorted runs of rows, in the manner of a log-structured merge tree.
//!
//! **Layout.** header (32 bytes) · sealed blocks, ordered by table and key · one sealed filter · sealed footer · its
//! length (4 bytes, big-endian). A snapshot is a list of segments, oldest first; of several rows with one key the newest counts.

pub(crate) mod builder;
pub(crate) mod compaction;
pub(crate) mod filter;
pub(crate) mod groups;
pub(crate) mod merge;
pub(crate) mod reader;
pub(crate) mod scan;
pub(crate) mod verify;
