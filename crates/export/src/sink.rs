//! Where the files of an export go: a directory, a tar stream, a zip stream.

mod deflated;
mod file;
mod folder;
mod place;
mod tarball;
mod zip;

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use crate::content::{Replay, Spool};
use crate::error::Doing;
use crate::format::{Output, Target};
use crate::name::SafePath;
use crate::stop::Stopper;
use crate::{Result, dates};

/// Takes files one after the other. Dropped before `finish` it leaves nothing that could be taken for a whole export.
pub(crate) trait Sink: Send {
    /// An empty directory. Directories that files lie in need not be announced.
    fn directory(&mut self, path: &SafePath) -> Result<()>;

    /// A file of exactly `size` bytes.
    fn file(&mut self, path: &SafePath, modified: u32, size: u64, content: &mut dyn Read) -> Result<()>;

    /// A file that lies spooled and is not needed there any more.
    fn adopt(&mut self, path: &SafePath, modified: u32, spooled: &Path) -> Result<()> {
        let mut file = File::open(spooled).doing("open", spooled)?;
        let size = file.metadata().doing("open", spooled)?.len();
        self.file(path, modified, size, &mut file)?;
        std::fs::remove_file(spooled).doing("remove", spooled)
    }

    /// The file written at `first`, once more. Returns whether its bytes are stored a second time.
    fn again(
        &mut self,
        first: &SafePath,
        path: &SafePath,
        modified: u32,
        content: &mut Replay,
    ) -> Result<bool> {
        let _ = first;
        let size = content.size;
        self.file(path, modified, size, &mut content.reader()?)?;
        Ok(true)
    }

    /// Whether a name may have characters in it that FAT, NTFS and Windows refuse.
    fn takes_any_name(&self) -> bool {
        true
    }

    /// Makes the export whole.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// The sink for a target.
pub(crate) fn open(target: Target, spool: &mut Spool, stopper: &Stopper) -> Result<Box<dyn Sink>> {
    Ok(match target {
        Target::Folder(path) => Box::new(folder::FolderSink::create(&path)?),
        Target::TarZst(output) => {
            archive(output, stopper, |out| Ok(Box::new(tarball::TarSink::create(out)?)))?
        }
        Target::Zip(output) => {
            archive(output, stopper, |out| Ok(Box::new(zip::ZipSink::create(out, spool)?)))?
        }
    })
}

fn archive(
    output: Output,
    stopper: &Stopper,
    create: impl FnOnce(Box<dyn Write + Send>) -> Result<Box<dyn Sink>>,
) -> Result<Box<dyn Sink>> {
    match output {
        Output::Stream(out) => create(out),
        Output::File(place) => Ok(Box::new(file::FileSink::create(&place, stopper, create)?)),
    }
}

/// The modification time of files that have none of their own.
pub(crate) fn now() -> u32 {
    dates::file_time(jiff::Timestamp::now().as_second())
}
