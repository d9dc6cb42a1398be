use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::limits::Limits;
use super::root::{parts, printable};
use crate::error::Doing;
use crate::{Error, Result};

/// Puts the entries of an archive below an empty directory, and nowhere else.
pub(super) struct Unpack {
    root: PathBuf,
    limits: Limits,
    files: u64,
    bytes: u64,
    directories: HashSet<PathBuf>,
}

impl Unpack {
    pub(super) fn new(root: &Path, limits: Limits) -> Unpack {
        Unpack { root: root.to_owned(), limits, files: 0, bytes: 0, directories: HashSet::new() }
    }

    pub(super) fn most_bytes(&self) -> u64 {
        self.limits.bytes
    }

    fn count(&mut self, name: &str) -> Result<()> {
        self.files += 1;
        let limit = self.limits.files;
        if self.files > limit {
            return Err(Error::TooLarge { file: printable(name), what: "the number of entries", limit });
        }
        Ok(())
    }

    /// Makes the directories a path needs.
    fn make(&mut self, parts: &[&str]) -> Result<PathBuf> {
        let mut path = self.root.clone();
        for part in parts {
            path.push(part);
            if self.directories.contains(&path) {
                continue;
            }
            self.count(part)?;
            fs::create_dir(&path).doing("unpack", &path)?;
            self.directories.insert(path.clone());
        }
        Ok(path)
    }

    pub(super) fn directory(&mut self, name: &str) -> Result<()> {
        if matches!(name, "." | "./") {
            return Ok(());
        }
        self.make(&parts(name)?).map(drop)
    }

    fn place(&mut self, name: &str) -> Result<PathBuf> {
        let parts = parts(name)?;
        self.count(name)?;
        let (last, above) = parts.split_last().expect("a path has a part");
        Ok(self.make(above)?.join(last))
    }

    /// Returns how many bytes came.
    pub(super) fn file(&mut self, name: &str, content: &mut dyn Read) -> Result<u64> {
        let path = self.place(name)?;
        let mut file = File::create_new(&path).doing("unpack", &path)?;
        let room = self.limits.bytes - self.bytes;
        let written = io::copy(&mut content.take(room.saturating_add(1)), &mut file);
        let written = written.doing_to("unpack", &printable(name))?;
        if written > room {
            let limit = self.limits.bytes;
            return Err(Error::TooLarge { file: printable(name), what: "the unpacked size", limit });
        }
        self.bytes += written;
        Ok(written)
    }

    /// A second name of a file that has been unpacked.
    pub(super) fn link(&mut self, name: &str, target: &str) -> Result<()> {
        let mut first = self.root.clone();
        first.extend(parts(target)?);
        let is_file = fs::symlink_metadata(&first).is_ok_and(|metadata| metadata.is_file());
        if !is_file {
            return Err(Error::corrupt(printable(name), "it is a link to a file that is not in the archive"));
        }
        let path = self.place(name)?;
        fs::hard_link(&first, &path).doing("unpack", &path)
    }
}
