use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use tar::{Archive, Entry, EntryType, PaxExtensions};
use zstd::stream::read::Decoder;

use super::root::printable;
use super::unpack::Unpack;
use crate::error::Doing;
use crate::{Error, Result};

/// Longest name or block of attributes; the entries that carry them are held in memory.
const MOST_NAME: u64 = 64 << 10;
/// 128 MiB, what `zstd --long` uses.
const LARGEST_WINDOW: u32 = 27;

/// What entries before a file say about it.
#[derive(Default)]
struct Ahead {
    name: Option<String>,
    target: Option<String>,
}

/// Unpacks a `.tar.zst`. Names in GNU's and in PAX's way; hard links to files before them; nothing else.
pub(super) fn unpack(path: &Path, unpack: &mut Unpack) -> Result<()> {
    let file = File::open(path).doing("open", path)?;
    let mut decoder = Decoder::new(file).doing("read", path)?;
    decoder.window_log_max(LARGEST_WINDOW).doing("read", path)?;
    // Headers and padding come on top of what is unpacked.
    let limited = decoder.take(unpack.most_bytes().saturating_mul(2));
    let mut archive = Archive::new(limited);
    let mut ahead = Ahead::default();
    for entry in archive.entries().doing("read", path)?.raw(true) {
        take(&mut entry.doing("read", path)?, &mut ahead, unpack)?;
    }
    // To the end, where the checksum is.
    io::copy(&mut archive.into_inner(), &mut io::sink()).doing("read", path)?;
    Ok(())
}

fn take<R: Read>(entry: &mut Entry<'_, R>, ahead: &mut Ahead, unpack: &mut Unpack) -> Result<()> {
    let kind = entry.header().entry_type();
    match kind {
        EntryType::GNULongName => {
            ahead.name = Some(text(&short(entry)?)?);
            return Ok(());
        }
        EntryType::GNULongLink => {
            ahead.target = Some(text(&short(entry)?)?);
            return Ok(());
        }
        EntryType::XHeader => return attributes(&short(entry)?, ahead),
        EntryType::XGlobalHeader => return Ok(()),
        _ => {}
    }
    let Ahead { name, target } = std::mem::take(ahead);
    let name = name.map_or_else(|| text(&entry.header().path_bytes()), Ok)?;
    match kind {
        EntryType::Directory => unpack.directory(&name),
        EntryType::Regular | EntryType::Continuous if name.ends_with('/') => unpack.directory(&name),
        EntryType::Regular | EntryType::Continuous => unpack.file(&name, entry).map(drop),
        EntryType::Link => {
            let header = entry.header().link_name_bytes().unwrap_or_default();
            let target = target.map_or_else(|| text(&header), Ok)?;
            unpack.link(&name, &target)
        }
        _ => Err(Error::corrupt(
            printable(&name),
            "it is a symbolic link, a device or the like; exports have none",
        )),
    }
}

fn short<R: Read>(entry: &mut Entry<'_, R>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    entry.take(MOST_NAME + 1).read_to_end(&mut bytes).doing_to("read", "the archive")?;
    if bytes.len() as u64 > MOST_NAME {
        return Err(Error::TooLarge { file: "the archive".to_owned(), what: "a name", limit: MOST_NAME });
    }
    Ok(bytes)
}

fn text(bytes: &[u8]) -> Result<String> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let text = str::from_utf8(&bytes[..end]).map(str::to_owned);
    text.map_err(|_| Error::corrupt("the archive", "a name in it is not UTF-8"))
}

fn attributes(bytes: &[u8], ahead: &mut Ahead) -> Result<()> {
    for attribute in PaxExtensions::new(bytes) {
        let attribute = attribute.doing_to("read", "the archive")?;
        match attribute.key_bytes() {
            b"path" => ahead.name = Some(text(attribute.value_bytes())?),
            b"linkpath" => ahead.target = Some(text(attribute.value_bytes())?),
            b"size" => {
                return Err(Error::corrupt(
                    "the archive",
                    "a file in it is too large for tar; use GNU tar's format",
                ));
            }
            _ => {}
        }
    }
    Ok(())
}
