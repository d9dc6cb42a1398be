use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::CrcReader;
use flate2::read::DeflateDecoder;

use super::root::printable;
use super::unpack::Unpack;
use crate::error::Doing;
use crate::{Error, Result};

/// The end of the central directory lies this close to the end of the file.
const MOST_TAIL: u64 = 22 + 65_535;

/// Where the central directory is.
struct Directory {
    entries: u64,
    offset: u64,
}

/// What the central directory says of a file.
struct Listed {
    name: String,
    flags: u16,
    method: u16,
    crc: u32,
    packed: u64,
    size: u64,
    mode: u32,
    offset: u64,
}

/// Unpacks a zip archive entry by entry, by its central directory.
pub(super) fn unpack(path: &Path, unpack: &mut Unpack) -> Result<()> {
    let mut file = File::open(path).doing("open", path)?;
    let directory = find(&mut file, path)?;
    let mut listing = BufReader::new(File::open(path).doing("open", path)?);
    listing.seek(SeekFrom::Start(directory.offset)).doing("read", path)?;
    for _ in 0..directory.entries {
        let listed = Listed::read(&mut listing, path)?;
        take(&mut file, &listed, path, unpack)?;
    }
    Ok(())
}

fn broken(path: &Path, what: &str) -> Error {
    Error::corrupt(path.display().to_string(), what)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|bytes| bytes.try_into().ok()).map_or(0, u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}

fn find(file: &mut File, path: &Path) -> Result<Directory> {
    let length = file.seek(SeekFrom::End(0)).doing("read", path)?;
    let start = length.saturating_sub(MOST_TAIL);
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(start)).doing("read", path)?;
    file.take(MOST_TAIL).read_to_end(&mut tail).doing("read", path)?;
    let at = tail.windows(4).rposition(|bytes| bytes == b"PK\x05\x06");
    let at = at.ok_or_else(|| broken(path, "the archive is cut off; its end is missing"))?;
    let end = &tail[at..];
    let directory = Directory { entries: u64::from(u16_at(end, 10)), offset: u64::from(u32_at(end, 16)) };
    let is_long = directory.entries == 0xffff || directory.offset == u64::from(u32::MAX);
    match at.checked_sub(20).map(|at| &tail[at..at + 20]) {
        Some(locator) if is_long && locator.starts_with(b"PK\x06\x07") => {
            long(file, u64_at(locator, 8), path)
        }
        _ => Ok(directory),
    }
}

fn long(file: &mut File, at: u64, path: &Path) -> Result<Directory> {
    let mut end = [0; 56];
    file.seek(SeekFrom::Start(at)).doing("read", path)?;
    file.read_exact(&mut end).doing("read", path)?;
    if !end.starts_with(b"PK\x06\x06") {
        return Err(broken(path, "the end of the archive is damaged"));
    }
    Ok(Directory { entries: u64_at(&end, 32), offset: u64_at(&end, 48) })
}

impl Listed {
    fn read(listing: &mut impl Read, path: &Path) -> Result<Listed> {
        let mut fixed = [0; 46];
        listing.read_exact(&mut fixed).doing("read", path)?;
        if !fixed.starts_with(b"PK\x01\x02") {
            return Err(broken(path, "the archive's list of files is damaged"));
        }
        let mut part = |length: u16| {
            let mut bytes = vec![0; usize::from(length)];
            listing.read_exact(&mut bytes).doing("read", path)?;
            Ok(bytes)
        };
        let name = part(u16_at(&fixed, 28))?;
        let extra = part(u16_at(&fixed, 30))?;
        part(u16_at(&fixed, 32))?;
        let name = String::from_utf8(name).map_err(|_| broken(path, "a name in it is not UTF-8"))?;
        let mut listed = Listed {
            name,
            flags: u16_at(&fixed, 8),
            method: u16_at(&fixed, 10),
            crc: u32_at(&fixed, 16),
            packed: u64::from(u32_at(&fixed, 20)),
            size: u64::from(u32_at(&fixed, 24)),
            mode: u32_at(&fixed, 38) >> 16,
            offset: u64::from(u32_at(&fixed, 42)),
        };
        listed.lengthen(&extra);
        Ok(listed)
    }

    /// Takes the 64-bit fields from the extra field that has them.
    fn lengthen(&mut self, extra: &[u8]) {
        let mut rest = extra;
        while rest.len() >= 4 {
            let (kind, length) = (u16_at(rest, 0), usize::from(u16_at(rest, 2)));
            let Some(field) = rest.get(4..4 + length) else { return };
            if kind == 1 {
                let short = u64::from(u32::MAX);
                let wanted = [&mut self.size, &mut self.packed, &mut self.offset];
                let long = wanted.into_iter().filter(|value| **value == short);
                for (value, at) in long.zip((0..).step_by(8)) {
                    *value = u64_at(field, at);
                }
            }
            rest = &rest[4 + length..];
        }
    }
}

fn take(file: &mut File, listed: &Listed, path: &Path, unpack: &mut Unpack) -> Result<()> {
    let name = printable(&listed.name);
    let kind = listed.mode & 0o170_000;
    if !matches!(kind, 0 | 0o100_000 | 0o040_000) {
        return Err(Error::corrupt(name, "it is a symbolic link or the like; exports have none"));
    }
    if listed.name.ends_with('/') {
        return unpack.directory(&listed.name);
    }
    if listed.flags & 1 != 0 {
        return Err(Error::corrupt(name, "it is encrypted; unpack the archive and read the directory"));
    }
    let mut header = [0; 30];
    file.seek(SeekFrom::Start(listed.offset)).doing("read", path)?;
    file.read_exact(&mut header).doing("read", path)?;
    if !header.starts_with(b"PK\x03\x04") {
        return Err(Error::corrupt(name, "its header is damaged"));
    }
    let names = i64::from(u16_at(&header, 26)) + i64::from(u16_at(&header, 28));
    file.seek(SeekFrom::Current(names)).doing("read", path)?;
    let packed = BufReader::new(file.take(listed.packed));
    let content: Box<dyn Read> = match listed.method {
        0 => Box::new(packed),
        8 => Box::new(DeflateDecoder::new(packed)),
        _ => {
            return Err(Error::corrupt(
                name,
                "it is compressed in an unusual way; unpack the archive yourself",
            ));
        }
    };
    let mut checked = CrcReader::new(content.take(listed.size.saturating_add(1)));
    let written = unpack.file(&listed.name, &mut checked)?;
    if written != listed.size || checked.crc().sum() != listed.crc {
        return Err(Error::corrupt(name, "its bytes are not those that were packed"));
    }
    Ok(())
}
