use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::Doing;
use crate::private::private_directory;
use crate::{Error, Result};

/// Content up to this length is held in memory, longer content in a temporary file.
const IN_MEMORY: u64 = 1 << 20;

/// A private directory for what is needed later, gone when dropped.
pub(crate) struct Spool {
    dir: TempDir,
    files: u64,
}

impl Spool {
    pub(crate) fn create(below: &Path) -> Result<Spool> {
        let dir = private_directory("malle-export-", below);
        Ok(Spool { dir: dir.doing("create a temporary directory in", below)?, files: 0 })
    }

    /// A path in it that nothing has yet.
    pub(crate) fn path(&mut self) -> PathBuf {
        self.files += 1;
        self.dir.path().join(self.files.to_string())
    }

    /// A nameless file.
    fn file(&self) -> Result<File> {
        tempfile::tempfile_in(self.dir.path()).doing("create a temporary file in", self.dir.path())
    }
}

/// Content that can be read more than once, in constant memory.
pub(crate) struct Replay {
    pub(crate) size: u64,
    held: Held,
}

enum Held {
    Memory(Vec<u8>),
    File(File),
}

impl Replay {
    /// Reads `content` to its end, which must come after `size` bytes.
    pub(crate) fn capture(
        content: &mut dyn Read,
        size: u64,
        spool: &Spool,
        item: &dyn Fn() -> String,
    ) -> Result<Replay> {
        let mut limited = content.take(size.saturating_add(1));
        let held = if size <= IN_MEMORY {
            let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
            limited.read_to_end(&mut bytes).map_err(|source| unreadable(item, source))?;
            Held::Memory(bytes)
        } else {
            let mut file = spool.file()?;
            io::copy(&mut limited, &mut file).map_err(|source| unreadable(item, source))?;
            Held::File(file)
        };
        let found = size.saturating_add(1) - limited.limit();
        if found != size {
            return Err(Error::Length { item: item(), announced: size, found });
        }
        Ok(Replay { size, held })
    }

    /// From the first byte on.
    pub(crate) fn reader(&mut self) -> Result<Box<dyn Read + '_>> {
        Ok(match &mut self.held {
            Held::Memory(bytes) => Box::new(bytes.as_slice()),
            Held::File(file) => {
                file.seek(SeekFrom::Start(0)).doing_to("read", "a temporary file")?;
                Box::new(file)
            }
        })
    }

    /// The first bytes, `most` at most.
    pub(crate) fn start(&mut self, most: u64) -> Result<Vec<u8>> {
        let mut start = Vec::new();
        self.reader()?.take(most).read_to_end(&mut start).doing_to("read", "a temporary file")?;
        Ok(start)
    }
}

fn unreadable(item: &dyn Fn() -> String, source: io::Error) -> Error {
    Error::Io { doing: format!("read the content of {}", item()), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_comes_back_twice_and_must_be_as_long_as_announced() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::create(dir.path()).unwrap();
        let item = || "email e1".to_owned();
        for length in [0, 5, 1 << 20, (1 << 20) + 1] {
            let bytes: Vec<u8> = (0..length).map(|n: u32| n.to_le_bytes()[1]).collect();
            let size = u64::from(length);
            let mut replay = Replay::capture(&mut bytes.as_slice(), size, &spool, &item).unwrap();
            for _ in 0..2 {
                assert_eq!(replay.start(u64::MAX).unwrap(), bytes);
            }
            for wrong in [size + 1, size.saturating_sub(1)] {
                let result = Replay::capture(&mut bytes.as_slice(), wrong, &spool, &item);
                assert_eq!(result.is_err(), wrong != size, "{length} {wrong}");
            }
        }
        drop(spool);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
