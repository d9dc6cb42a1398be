//! Reads an export back. Everything in one is taken for hostile: names, sizes, counts, links, tables.

mod account;
mod array;
mod maildir;
mod mbox;
mod root;
mod side;
mod tarball;
mod unpack;
mod vandelay;
mod zip;

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::Doing;
use crate::item::Receiver;
use crate::private::private_directory;
use crate::{Error, Format, Result, maildir as maildir_names, vandelay as vandelay_names};
use root::Root;
use unpack::Unpack;

/// How much of an export is read before it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Files and directories in it.
    pub files: u64,
    /// Bytes in it, unpacked.
    pub bytes: u64,
    /// Bytes of the description of one item: its JSON, or a line of a side file.
    pub description: u64,
}

impl Limits {
    /// For a mailbox of up to twenty million emails and four terabytes.
    pub const GENEROUS: Limits = Limits { files: 40_000_000, bytes: 4 << 40, description: 64 << 20 };
}

/// Reads the export at `path`, a directory or a `.tar.zst` or `.zip` of one, and hands its items over: objects first, then
/// emails. An archive is unpacked into a private directory below `temporary`, which needs room for all of it.
///
/// An export of ours gives back exactly what was written. One without the side files gives what its format carries.
pub fn read(path: &Path, temporary: &Path, limits: Limits, receiver: &mut dyn Receiver) -> Result<Format> {
    let metadata = fs::metadata(path).doing("look at", path)?;
    if metadata.is_dir() {
        return read_directory(path, limits, receiver);
    }
    let mut magic = Vec::new();
    File::open(path).and_then(|file| file.take(16).read_to_end(&mut magic)).doing("read", path)?;
    if magic.starts_with(b"SQLite format 3\0") {
        vandelay::read(path, limits, receiver)?;
        return Ok(Format::Vandelay);
    }
    let unpacked = private_directory("malle-import-", temporary);
    let unpacked: TempDir = unpacked.doing("create a temporary directory in", temporary)?;
    let mut unpack = Unpack::new(unpacked.path(), limits);
    if magic.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        tarball::unpack(path, &mut unpack)?;
    } else if magic.starts_with(b"PK") {
        zip::unpack(path, &mut unpack)?;
    } else {
        return Err(Error::Unknown { path: path.to_owned() });
    }
    match read_directory(unpacked.path(), limits, receiver) {
        Err(Error::Unknown { .. }) => Err(Error::Unknown { path: path.to_owned() }),
        result => result,
    }
}

fn read_directory(path: &Path, limits: Limits, receiver: &mut dyn Receiver) -> Result<Format> {
    let Some((path, format)) = recognise(path).or_else(|| recognise(&only_directory(path)?)) else {
        return Err(Error::Unknown { path: path.to_owned() });
    };
    if format == Format::Vandelay {
        vandelay::read(&path, limits, receiver)?;
        return Ok(format);
    }
    let root = Root::new(&path, limits);
    if side::is_there(&root) {
        side::read(&root, receiver)?;
        return Ok(format);
    }
    match format {
        Format::AccountDirectory => account::read(&root, receiver)?,
        Format::Maildir => maildir::read(&root, receiver)?,
        Format::Mbox | Format::Vandelay => mbox::read(&root, receiver)?,
    }
    Ok(format)
}

/// What a directory is, and where in it that begins.
fn recognise(path: &Path) -> Option<(PathBuf, Format)> {
    let archive = path.join(vandelay_names::ARCHIVE);
    let root = path.join(maildir_names::ROOT);
    if is(&archive, fs::Metadata::is_file) {
        return Some((archive, Format::Vandelay));
    }
    if is(&path.join("mailboxes.json"), fs::Metadata::is_file) {
        return Some((path.to_owned(), Format::AccountDirectory));
    }
    if is(&root.join("cur"), fs::Metadata::is_dir) || is(&path.join("cur"), fs::Metadata::is_dir) {
        return Some((path.to_owned(), Format::Maildir));
    }
    let mut boxes = fs::read_dir(path).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let has_mail = is(&path.join(crate::mbox::MAIL), fs::Metadata::is_dir);
    (has_mail || boxes.any(|name| name.ends_with(".mbox"))).then(|| (path.to_owned(), Format::Mbox))
}

fn is(path: &Path, kind: fn(&fs::Metadata) -> bool) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| kind(&metadata))
}

/// Archives are often made of a directory rather than of what is in it.
fn only_directory(path: &Path) -> Option<PathBuf> {
    let mut entries = fs::read_dir(path).ok()?;
    let only = entries.next()?.ok()?.path();
    (entries.next().is_none() && is(&only, fs::Metadata::is_dir)).then_some(only)
}
