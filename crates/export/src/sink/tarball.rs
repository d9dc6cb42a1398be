//! An export as one `.tar.zst`. Cut off, the zstd frame has no end and every reader says so.

use std::io::{Read, Write};

use tar::{Builder, EntryType, Header};
use zstd::stream::write::Encoder;

use super::contract::Sink;
use crate::Result;
use crate::dates::now;
use crate::error::Doing;
use crate::name::SafePath;

const LEVEL: i32 = 3;
const ARCHIVE: &str = "the tar archive";

pub(crate) struct TarSink {
    archive: Builder<Encoder<'static, Box<dyn Write + Send>>>,
}

impl TarSink {
    pub(crate) fn create(out: Box<dyn Write + Send>) -> Result<TarSink> {
        let mut encoder = Encoder::new(out, LEVEL).doing_to("begin", ARCHIVE)?;
        encoder.include_checksum(true).doing_to("begin", ARCHIVE)?;
        Ok(TarSink { archive: Builder::new(encoder) })
    }
}

fn header(kind: EntryType, mode: u32, modified: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(u64::from(modified));
    header.set_size(size);
    header
}

impl Sink for TarSink {
    fn directory(&mut self, path: &SafePath) -> Result<()> {
        let mut header = header(EntryType::Directory, 0o700, now(), 0);
        let path = format!("{}/", path.as_str());
        self.archive.append_data(&mut header, path, std::io::empty()).doing_to("write", ARCHIVE)
    }

    fn file(&mut self, path: &SafePath, modified: u32, size: u64, content: &mut dyn Read) -> Result<()> {
        let mut header = header(EntryType::Regular, 0o600, modified, size);
        self.archive.append_data(&mut header, path.as_str(), content).doing_to("write", ARCHIVE)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let encoder = self.archive.into_inner().doing_to("end", ARCHIVE)?;
        let mut out = encoder.finish().doing_to("end", ARCHIVE)?;
        out.flush().doing_to("end", ARCHIVE)
    }
}
