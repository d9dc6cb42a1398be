use std::io::{self, Read, Write};

use flate2::write::DeflateEncoder;
use flate2::{Compress, Compression, Crc, FlushCompress, Status};

const LEVEL: Compression = Compression::new(5);
const BUFFER: usize = 64 << 10;

/// Counts what goes through.
pub(crate) struct Counted<W> {
    pub(crate) inner: W,
    pub(crate) bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// What is known of an entry once it has been compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Measured {
    pub(crate) crc: u32,
    pub(crate) size: u64,
    pub(crate) packed: u64,
}

/// Compresses short contents; its tables are large and serve for all of them.
pub(crate) struct Packer(Compress);

impl Packer {
    pub(crate) fn new() -> Packer {
        Packer(Compress::new(LEVEL, false))
    }

    /// Returns the compressed bytes if they are fewer.
    pub(crate) fn pack(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        self.0.reset();
        let mut packed = Vec::with_capacity(bytes.len());
        let status = self.0.compress_vec(bytes, &mut packed, FlushCompress::Finish).ok()?;
        (status == Status::StreamEnd && packed.len() < bytes.len()).then_some(packed)
    }
}

pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// Compresses all of `content` into `out`.
pub(crate) fn deflate(content: &mut dyn Read, out: &mut dyn Write) -> io::Result<Measured> {
    let mut encoder = DeflateEncoder::new(Counted { inner: out, bytes: 0 }, LEVEL);
    let mut crc = Crc::new();
    let mut buffer = vec![0; BUFFER];
    let mut size = 0;
    loop {
        let read = match content.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        crc.update(&buffer[..read]);
        encoder.write_all(&buffer[..read])?;
        size += read as u64;
    }
    let packed = encoder.finish()?.bytes;
    Ok(Measured { crc: crc.sum(), size, packed })
}
