//! An export as a directory.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use tempfile::TempDir;

use super::contract::Sink;
use super::place::{beside, refuse_what_is_there};
use crate::content::Replay;
use crate::error::Doing;
use crate::name::SafePath;
use crate::private::private_directory;
use crate::{Error, Result};

pub(crate) struct FolderSink {
    place: PathBuf,
    partial: TempDir,
    directories: HashSet<String>,
    takes_any_name: bool,
}

impl FolderSink {
    pub(crate) fn create(place: &Path) -> Result<FolderSink> {
        refuse_what_is_in(place)?;
        let partial = beside(place, private_directory)?;
        let takes_any_name = takes_any_name(partial.path());
        Ok(FolderSink { place: place.to_owned(), partial, directories: HashSet::new(), takes_any_name })
    }

    fn parents(&mut self, path: &SafePath) -> Result<PathBuf> {
        for parent in path.parents() {
            self.make(parent)?;
        }
        Ok(self.partial.path().join(path.as_str()))
    }

    fn make(&mut self, directory: &str) -> Result<()> {
        if !self.directories.contains(directory) {
            let path = self.partial.path().join(directory);
            fs::create_dir(&path).doing("create", &path)?;
            self.directories.insert(directory.to_owned());
        }
        Ok(())
    }
}

/// Asks the file system: FAT, NTFS and shares of Windows take no `:`.
fn takes_any_name(dir: &Path) -> bool {
    let probe = dir.join("a:b");
    File::create_new(&probe).is_ok() && fs::remove_file(&probe).is_ok()
}

/// An empty directory is as good as none.
fn refuse_what_is_in(place: &Path) -> Result<()> {
    let is_directory = fs::symlink_metadata(place).is_ok_and(|metadata| metadata.is_dir());
    if is_directory && fs::read_dir(place).doing("list", place)?.next().is_none() {
        Ok(())
    } else {
        refuse_what_is_there(place)
    }
}

fn set_modified(file: &File, modified: u32, path: &Path) -> Result<()> {
    let modified = UNIX_EPOCH + Duration::from_secs(u64::from(modified));
    file.set_modified(modified).doing("set the time of", path)
}

impl Sink for FolderSink {
    fn directory(&mut self, path: &SafePath) -> Result<()> {
        self.parents(path)?;
        self.make(path.as_str())
    }

    fn file(&mut self, path: &SafePath, modified: u32, size: u64, content: &mut dyn Read) -> Result<()> {
        let path = self.parents(path)?;
        let mut file = File::create_new(&path).doing("create", &path)?;
        let written = io::copy(content, &mut file).doing("write", &path)?;
        if written != size {
            let item = path.display().to_string();
            return Err(Error::Length { item, announced: size, found: written });
        }
        set_modified(&file, modified, &path)
    }

    fn adopt(&mut self, path: &SafePath, modified: u32, spooled: &Path) -> Result<()> {
        let target = self.parents(path)?;
        if fs::rename(spooled, &target).is_err() {
            fs::copy(spooled, &target).doing("write", &target)?;
            fs::remove_file(spooled).doing("remove", spooled)?;
        }
        let file = File::options().append(true).open(&target).doing("open", &target)?;
        set_modified(&file, modified, &target)
    }

    fn again(
        &mut self,
        first: &SafePath,
        path: &SafePath,
        modified: u32,
        content: &mut Replay,
    ) -> Result<bool> {
        let target = self.parents(path)?;
        if fs::hard_link(self.partial.path().join(first.as_str()), target).is_ok() {
            return Ok(false);
        }
        let size = content.size;
        self.file(path, modified, size, &mut content.reader()?)?;
        Ok(true)
    }

    fn takes_any_name(&self) -> bool {
        self.takes_any_name
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let FolderSink { place, partial, .. } = *self;
        refuse_what_is_in(&place)?;
        fs::rename(partial.path(), &place).doing("put the finished export at", &place)?;
        // The directory that would be removed has another name now.
        let _ = partial.keep();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
        entries.map(|name| name.into_string().unwrap()).collect()
    }

    #[test]
    fn it_appears_as_a_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("mail");
        let path = SafePath::top("a").with("b");
        let mut sink = Box::new(FolderSink::create(&place).unwrap());
        sink.file(&path, 5, 2, &mut &b"hi"[..]).unwrap();
        assert!(entries(dir.path())[0].starts_with("mail.partial-"));
        drop(sink);
        assert!(entries(dir.path()).is_empty());

        fs::create_dir(&place).unwrap();
        let mut sink = Box::new(FolderSink::create(&place).unwrap());
        sink.file(&path, 5, 2, &mut &b"hi"[..]).unwrap();
        sink.finish().unwrap();
        assert_eq!(entries(dir.path()), ["mail"]);
        assert_eq!(fs::read(place.join("a/b")).unwrap(), b"hi");
        let again = FolderSink::create(&place).err().expect("occupied");
        assert!(matches!(again, Error::Occupied { .. }), "{again}");
    }

    #[test]
    fn what_somebody_else_put_there_meanwhile_stays() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("mail");
        let sink = Box::new(FolderSink::create(&place).unwrap());
        fs::create_dir(&place).unwrap();
        fs::write(place.join("theirs"), "x").unwrap();
        sink.finish().unwrap_err();
        assert_eq!(entries(dir.path()), ["mail"]);
        assert_eq!(entries(&place), ["theirs"]);
    }
}
