use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::Result;
use crate::content::Replay;
use crate::error::Doing;
use crate::name::SafePath;

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
