//! The place of an export in a file system. It is written beside it as `<name>.partial-<random>`, private to its owner, and
//! renamed at the end. What a crash leaves is that; it can be removed by hand.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::Doing;
use crate::{Error, Result};

/// Makes what is renamed at the end: by the beginning of its name, and the directory that it is to be in.
pub(super) fn beside<T>(place: &Path, make: impl FnOnce(&str, &Path) -> io::Result<T>) -> Result<T> {
    let Some(name) = place.file_name() else { return Err(occupied(place)) };
    let parent = match place.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    make(&format!("{}.partial-", name.to_string_lossy()), parent).doing("write into", parent)
}

/// Whatever it is, even a link that leads nowhere.
pub(super) fn refuse_what_is_there(place: &Path) -> Result<()> {
    match fs::symlink_metadata(place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).doing("look at", place),
        Ok(_) => Err(occupied(place)),
    }
}

pub(super) fn occupied(place: &Path) -> Error {
    Error::Occupied { path: PathBuf::from(place) }
}
