use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::limits::Limits;
use super::root::Root;
use super::unpack::Unpack;
use super::{account, maildir, mbox, side, tarball, vandelay, zip};
use crate::error::Doing;
use crate::formats::maildir as maildir_names;
use crate::formats::vandelay::archive::ARCHIVE;
use crate::item::Receiver;
use crate::private::private_directory;
use crate::{Error, Format, Result};

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
    let archive = path.join(ARCHIVE);
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
    let has_mail = is(&path.join(crate::formats::mbox::MAIL), fs::Metadata::is_dir);
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
