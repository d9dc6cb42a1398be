//! Reads an export back. Everything in one is taken for hostile: names, sizes, counts, links, tables.

mod account;
mod array;
pub(crate) mod export;
pub(crate) mod limits;
mod maildir;
mod mbox;
mod root;
mod side;
mod tarball;
mod unpack;
mod vandelay;
mod zip;
