//! Where the files of an export go: a directory, a tar stream, a zip stream.

pub(crate) mod contract;
mod deflated;
mod file;
mod folder;
pub(crate) mod open;
mod place;
mod tarball;
mod zip;
