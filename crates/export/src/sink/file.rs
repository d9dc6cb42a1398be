//! An archive as a file that appears when it is whole.

use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use super::Sink;
use super::place::{beside, occupied, refuse_what_is_there};
use crate::error::Doing;
use crate::name::SafePath;
use crate::stop::{Stoppable, Stopper};
use crate::{Error, Result};

const BUFFER: usize = 256 << 10;

pub(crate) struct FileSink {
    /// Goes before the file it writes to.
    archive: Box<dyn Sink>,
    partial: NamedTempFile,
    place: PathBuf,
    stopper: Stopper,
}

impl FileSink {
    pub(crate) fn create(
        place: &Path,
        stopper: &Stopper,
        archive: impl FnOnce(Box<dyn Write + Send>) -> Result<Box<dyn Sink>>,
    ) -> Result<FileSink> {
        refuse_what_is_there(place)?;
        let partial = beside(place, |prefix, parent| Builder::new().prefix(prefix).tempfile_in(parent))?;
        let out = partial.as_file().try_clone().doing("open", partial.path())?;
        let archive = archive(Box::new(BufWriter::with_capacity(BUFFER, out)))?;
        Ok(FileSink { archive, partial, place: place.to_owned(), stopper: stopper.clone() })
    }
}

impl Sink for FileSink {
    fn directory(&mut self, path: &SafePath) -> Result<()> {
        self.archive.directory(path)
    }

    fn file(&mut self, path: &SafePath, modified: u32, size: u64, content: &mut dyn Read) -> Result<()> {
        // What was spooled may be as long as the mailbox.
        let mut content = Stoppable { content, stopper: &self.stopper };
        self.archive.file(path, modified, size, &mut content)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let FileSink { archive, partial, place, .. } = *self;
        archive.finish()?;
        match partial.persist_noclobber(&place) {
            Ok(_) => Ok(()),
            Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => Err(occupied(&place)),
            Err(error) => Err(Error::Io {
                doing: format!("put the finished export at {}", place.display()),
                source: error.error,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::sink::tarball::TarSink;

    fn sink(place: &Path) -> Result<Box<FileSink>> {
        FileSink::create(place, &Stopper::default(), |out| Ok(Box::new(TarSink::create(out)?))).map(Box::new)
    }

    fn entries(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
        entries.map(|name| name.into_string().unwrap()).collect()
    }

    #[test]
    fn it_appears_as_a_whole_or_not_at_all_and_replaces_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("mail.tar.zst");
        let mut dropped = sink(&place).unwrap();
        dropped.file(&SafePath::top("a"), 5, 2, &mut &b"hi"[..]).unwrap();
        assert!(entries(dir.path())[0].starts_with("mail.tar.zst.partial-"));
        drop(dropped);
        assert!(entries(dir.path()).is_empty());

        let late = sink(&place).unwrap();
        sink(&place).unwrap().finish().unwrap();
        let whole = fs::read(&place).unwrap();
        for refused in [sink(&place).err(), late.finish().err()] {
            assert!(matches!(refused, Some(Error::Occupied { .. })), "{refused:?}");
        }
        assert_eq!(
            (entries(dir.path()), fs::read(&place).unwrap()),
            (vec!["mail.tar.zst".to_owned()], whole)
        );
    }
}
