//! An export as one `.zip`, written front to back. The `zip` crate keeps every entry in memory until the end, about half a
//! gigabyte for a million emails; here the central directory is spooled. Cut off, it has no central directory and every
//! reader says so.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use super::contract::Sink;
use super::deflated::{Counted, Measured, Packer, checksum, deflate};
use crate::content::Spool;
use crate::error::Doing;
use crate::name::SafePath;
use crate::{Error, Result, dates};

/// Entries up to this length are compressed in memory, so that their header tells their sizes.
const IN_MEMORY: u64 = 256 << 10;
/// From here on an entry has 64-bit sizes; below, even what does not compress fits in 32 bits.
const LARGE: u64 = 0xf000_0000;
const ARCHIVE: &str = "the zip archive";

const STORED: u16 = 0;
const DEFLATED: u16 = 8;
/// Names are UTF-8.
const UTF8: u16 = 1 << 11;
/// Sizes and checksum follow the data.
const SIZES_FOLLOW: u16 = 1 << 3;
/// Made on Unix, by version 4.5 of the specification.
const MADE_BY: u16 = (3 << 8) | 45;

pub(crate) struct ZipSink {
    out: Counted<Box<dyn Write + Send>>,
    directory: BufWriter<File>,
    directory_path: PathBuf,
    entries: u64,
    packer: Packer,
}

/// One entry, as both of its headers describe it.
struct Entry<'a> {
    path: &'a str,
    mode: u32,
    flags: u16,
    method: u16,
    modified: u32,
    measured: Measured,
    offset: u64,
}

/// Little-endian fields, one after the other.
#[derive(Default)]
struct Fields(Vec<u8>);

impl Fields {
    fn u16(mut self, value: u16) -> Fields {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn u32(mut self, value: u32) -> Fields {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn u64(mut self, value: u64) -> Fields {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn bytes(mut self, value: &[u8]) -> Fields {
        self.0.extend(value);
        self
    }
}

/// The value if it fits, or the mark that the 64-bit field has it.
fn short(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn length(bytes: &[u8]) -> u16 {
    u16::try_from(bytes.len()).unwrap_or(u16::MAX)
}

impl Entry<'_> {
    fn is_large(&self) -> bool {
        self.measured.size >= LARGE
    }

    fn version(&self) -> u16 {
        if self.is_large() || self.offset > u64::from(u32::MAX - 1) { 45 } else { 20 }
    }

    /// The modification time to the second, a signed number.
    fn time_field(&self) -> Fields {
        Fields::default().u16(0x5455).u16(5).bytes(&[1]).u32(self.modified.min(i32::MAX.unsigned_abs()))
    }

    fn common(&self, fields: Fields, sizes: (u32, u32, u32), extra: &[u8]) -> Fields {
        let (date, time) = dates::dos(self.modified);
        let (crc, packed, size) = sizes;
        let fields = fields.u16(self.version()).u16(self.flags).u16(self.method).u16(time).u16(date);
        let fields = fields.u32(crc).u32(packed).u32(size);
        fields.u16(length(self.path.as_bytes())).u16(length(extra))
    }

    fn local_header(&self) -> Vec<u8> {
        let mut extra = self.time_field();
        let sizes = match (self.flags & SIZES_FOLLOW != 0, self.is_large()) {
            (true, true) => {
                extra = extra.u16(1).u16(16).u64(0).u64(0);
                (0, u32::MAX, u32::MAX)
            }
            (true, false) => (0, 0, 0),
            (false, _) => (self.measured.crc, short(self.measured.packed), short(self.measured.size)),
        };
        let header = self.common(Fields::default().u32(0x0403_4b50), sizes, &extra.0);
        header.bytes(self.path.as_bytes()).bytes(&extra.0).0
    }

    fn descriptor(&self) -> Vec<u8> {
        let fields = Fields::default().u32(0x0807_4b50).u32(self.measured.crc);
        if self.is_large() {
            return fields.u64(self.measured.packed).u64(self.measured.size).0;
        }
        fields.u32(short(self.measured.packed)).u32(short(self.measured.size)).0
    }

    fn central_header(&self) -> Vec<u8> {
        let mut long = Fields::default();
        let sizes = if self.is_large() {
            long = long.u64(self.measured.size).u64(self.measured.packed);
            (self.measured.crc, u32::MAX, u32::MAX)
        } else {
            (self.measured.crc, short(self.measured.packed), short(self.measured.size))
        };
        if self.offset >= u64::from(u32::MAX) {
            long = long.u64(self.offset);
        }
        let mut extra = self.time_field();
        if !long.0.is_empty() {
            extra = extra.u16(1).u16(length(&long.0)).bytes(&long.0);
        }
        let header = self.common(Fields::default().u32(0x0201_4b50).u16(MADE_BY), sizes, &extra.0);
        let header = header.u16(0).u16(0).u16(0).u32(self.mode << 16).u32(short(self.offset));
        header.bytes(self.path.as_bytes()).bytes(&extra.0).0
    }
}

impl ZipSink {
    pub(crate) fn create(out: Box<dyn Write + Send>, spool: &mut Spool) -> Result<ZipSink> {
        let directory_path = spool.path();
        let file = File::options().read(true).write(true).create_new(true).open(&directory_path);
        let directory = BufWriter::new(file.doing("create", &directory_path)?);
        let (out, packer) = (Counted { inner: out, bytes: 0 }, Packer::new());
        Ok(ZipSink { out, directory, directory_path, entries: 0, packer })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).doing_to("write", ARCHIVE)
    }

    fn list(&mut self, entry: &Entry<'_>) -> Result<()> {
        self.entries += 1;
        self.directory.write_all(&entry.central_header()).doing("write", &self.directory_path)
    }

    fn in_memory(&mut self, mut entry: Entry<'_>, content: &mut dyn Read) -> Result<u64> {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).doing_to("read the content of", entry.path)?;
        let packed = self.packer.pack(&bytes);
        if packed.is_none() {
            entry.method = STORED;
        }
        let (crc, size) = (checksum(&bytes), bytes.len() as u64);
        let packed = packed.unwrap_or(bytes);
        entry.measured = Measured { crc, size, packed: packed.len() as u64 };
        self.write(&entry.local_header())?;
        self.write(&packed)?;
        self.list(&entry)?;
        Ok(entry.measured.size)
    }

    fn streamed(&mut self, mut entry: Entry<'_>, content: &mut dyn Read) -> Result<u64> {
        entry.flags |= SIZES_FOLLOW;
        self.write(&entry.local_header())?;
        entry.measured = deflate(content, &mut self.out).doing_to("write", ARCHIVE)?;
        self.write(&entry.descriptor())?;
        self.list(&entry)?;
        Ok(entry.measured.size)
    }

    /// The end of the central directory, in its 64-bit form too where the short one cannot say it.
    fn end(&self, start: u64, size: u64) -> Vec<u8> {
        let end = start + size;
        let mut fields = Fields::default();
        if self.entries >= 0xffff || end >= u64::from(u32::MAX) {
            fields = fields.u32(0x0606_4b50).u64(44).u16(MADE_BY).u16(45).u32(0).u32(0);
            fields = fields.u64(self.entries).u64(self.entries).u64(size).u64(start);
            fields = fields.u32(0x0706_4b50).u32(0).u64(end).u32(1);
        }
        let entries = u16::try_from(self.entries).unwrap_or(u16::MAX);
        let fields = fields.u32(0x0605_4b50).u16(0).u16(0).u16(entries).u16(entries);
        fields.u32(short(size)).u32(short(start)).u16(0).0
    }

    fn entry<'a>(&self, path: &'a str, modified: u32, size: u64) -> Entry<'a> {
        let measured = Measured { crc: 0, size, packed: 0 };
        let (flags, method, mode) = (UTF8, DEFLATED, 0o100_600);
        Entry { path, mode, flags, method, modified, measured, offset: self.out.bytes }
    }
}

impl Sink for ZipSink {
    fn directory(&mut self, path: &SafePath) -> Result<()> {
        let path = format!("{}/", path.as_str());
        let entry = Entry { mode: 0o040_700, method: STORED, ..self.entry(&path, dates::now(), 0) };
        self.write(&entry.local_header())?;
        self.list(&entry)
    }

    fn file(&mut self, path: &SafePath, modified: u32, size: u64, content: &mut dyn Read) -> Result<()> {
        let entry = self.entry(path.as_str(), modified, size);
        let found =
            if size <= IN_MEMORY { self.in_memory(entry, content)? } else { self.streamed(entry, content)? };
        if found == size {
            return Ok(());
        }
        Err(Error::Length { item: path.as_str().to_owned(), announced: size, found })
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        let start = self.out.bytes;
        self.directory.flush().doing("write", &self.directory_path)?;
        let directory = self.directory.get_mut();
        directory.seek(SeekFrom::Start(0)).doing("read", &self.directory_path)?;
        let mut directory = BufReader::new(directory);
        let size = std::io::copy(&mut directory, &mut self.out).doing_to("end", ARCHIVE)?;
        let end = self.end(start, size);
        self.write(&end)?;
        self.out.flush().doing_to("end", ARCHIVE)
    }
}
