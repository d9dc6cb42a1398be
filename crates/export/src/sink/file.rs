//! An archive as a file that appears when it is whole.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use super::contract::Sink;
use super::place::{beside, occupied, refuse_what_is_there};
use crate::Result;
use crate::error::Doing;
use crate::name::SafePath;
use crate::stop::{Stoppable, Stopper};

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
        match put(partial, &place) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(occupied(&place)),
            put => put.doing("put the finished export at", &place),
        }
    }
}

/// Gives the archive its name unless something has it. File systems without links (FAT, exFAT) cannot do that at once: there an empty
/// file takes the name first. A crash between the two leaves that and the whole archive as `….partial-…`; delete the empty one.
fn put(partial: NamedTempFile, place: &Path) -> io::Result<()> {
    let refused = match partial.persist_noclobber(place) {
        Ok(_) => return Ok(()),
        Err(refused) => refused,
    };
    if refused.error.kind() == io::ErrorKind::AlreadyExists {
        return Err(refused.error);
    }
    File::create_new(place)?;
    refused.file.persist(place).map(drop).map_err(|refused| {
        let _ = fs::remove_file(place);
        refused.error
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
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
