use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::limits::Limits;
use crate::error::Doing;
use crate::{Error, Result};

/// The parts of a path that comes from outside and stays inside.
pub(super) fn parts(path: &str) -> Result<Vec<&str>> {
    let outside =
        || Error::corrupt(printable(path), "its path leads out of the export; it is not from malle");
    if path.starts_with('/') || path.contains(['\\', '\0']) {
        return Err(outside());
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.is_empty() || parts.contains(&"..") {
        return Err(outside());
    }
    Ok(parts)
}

/// For messages; names come from outside.
pub(super) fn printable(name: &str) -> String {
    name.chars().take(200).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A directory that is read without following links out of it.
pub(super) struct Root {
    path: PathBuf,
    pub(super) limits: Limits,
}

/// A file or directory in a directory.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) is_dir: bool,
}

impl Root {
    pub(super) fn new(path: &Path, limits: Limits) -> Root {
        Root { path: path.to_owned(), limits }
    }

    /// The path of something that is neither a link nor behind one.
    fn locate(&self, path: &str) -> Result<(PathBuf, fs::Metadata)> {
        let mut at = self.path.clone();
        let mut found = None;
        for part in parts(path)? {
            at.push(part);
            let metadata = fs::symlink_metadata(&at).doing("look at", &at)?;
            if metadata.is_symlink() {
                return Err(Error::corrupt(
                    printable(path),
                    "it is a link; exports have none, so it is not followed",
                ));
            }
            found = Some(metadata);
        }
        let metadata = found.ok_or_else(|| Error::corrupt(printable(path), "it has no name"))?;
        Ok((at, metadata))
    }

    /// A regular file and its length.
    pub(super) fn open(&self, path: &str) -> Result<(File, u64)> {
        let (at, metadata) = self.locate(path)?;
        if !metadata.is_file() {
            return Err(Error::corrupt(printable(path), "it is no regular file"));
        }
        Ok((File::open(&at).doing("open", &at)?, metadata.len()))
    }

    pub(super) fn exists(&self, path: &str) -> bool {
        self.locate(path).is_ok()
    }

    /// Seconds since 1970 of the last change.
    pub(super) fn modified(&self, path: &str) -> i64 {
        let time = self.locate(path).ok().and_then(|(_, metadata)| metadata.modified().ok());
        let since = time.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        since.and_then(|since| i64::try_from(since.as_secs()).ok()).unwrap_or_default()
    }

    /// What is in a directory, sorted; links and what is neither file nor directory are left out. `""` is the root.
    pub(super) fn list(&self, path: &str) -> Result<Vec<Entry>> {
        let at = if path.is_empty() { self.path.clone() } else { self.locate(path)?.0 };
        let mut entries = Vec::new();
        for entry in fs::read_dir(&at).doing("list", &at)? {
            let entry = entry.doing("list", &at)?;
            let kind = entry.file_type().doing("list", &at)?;
            let Ok(name) = entry.file_name().into_string() else {
                return Err(Error::corrupt(at.display().to_string(), "a name in it is not UTF-8"));
            };
            if kind.is_file() || kind.is_dir() {
                entries.push(Entry { name, is_dir: kind.is_dir() });
            }
        }
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Calls `take` with every line of a file.
    pub(super) fn lines(&self, path: &str, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut file = BufReader::new(self.open(path)?.0);
        let mut line = Vec::new();
        let limit = self.limits.description;
        loop {
            line.clear();
            let read = file.by_ref().take(limit + 1).read_until(b'\n', &mut line).doing_to("read", path)?;
            if read == 0 {
                return Ok(());
            }
            if read as u64 > limit {
                return Err(Error::TooLarge { file: path.to_owned(), what: "a line", limit });
            }
            take(&line)?;
        }
    }
}
