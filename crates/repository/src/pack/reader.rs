//! Reads whole packs, by nothing but their own footers.

use bytes::{Buf, Bytes};
use prost::Message;
use proto::repository::PackFooter;

use crate::error::{Error, Result};
use crate::rows::Location;
use crate::sealing::frame;
use crate::sealing::seal::{Cipher, FOOTER, HEADER};
use crate::storage::layout::ObjectName;

/// Walks through the blobs of a pack as its own footer describes it, one frame in memory at a time.
pub(crate) fn read_pack(
    cipher: &Cipher,
    name: ObjectName,
    bytes: &Bytes,
    mut each: impl FnMut(&Location, &[u8]),
) -> Result<()> {
    let damaged = |what: &str| Error::corrupt(cipher.name(), what);
    let end = bytes.len().checked_sub(4).ok_or_else(|| damaged("it is cut off"))?;
    let length = bytes.slice(end..).get_u32() as usize;
    let start = end.checked_sub(length).filter(|start| *start >= HEADER);
    let start = start.ok_or_else(|| damaged("its footer claims to be longer than itself"))?;
    let mut footer = bytes[start..end].to_vec();
    cipher.open(FOOTER, &mut footer)?;
    let frames = parse_footer(name, &footer, start).map_err(damaged)?;
    for blobs in frames {
        let Some(first) = blobs.first() else { continue };
        let sealed = &bytes[to_usize(first.offset)..][..first.sealed_length as usize];
        let raw = frame::open(cipher, first.frame.into(), sealed, first.raw_length as usize)?;
        for at in &blobs {
            each(at, &raw[at.start as usize..][..at.length as usize]);
        }
    }
    Ok(())
}

/// Where the blobs of each frame lie. The frames fill the pack from its header to its footer at `end`.
pub(crate) fn parse_footer(
    pack: ObjectName,
    footer: &[u8],
    end: usize,
) -> Result<Vec<Vec<Location>>, &'static str> {
    let footer = PackFooter::decode(footer).map_err(|_| "its footer does not decode")?;
    let (mut frames, mut offset) = (Vec::new(), HEADER as u64);
    for (frame, described) in (0u32..).zip(&footer.frames) {
        let raw_length: u64 = described.blob_lengths.iter().map(|l| u64::from(*l)).sum();
        let raw_length = u32::try_from(raw_length).map_err(|_| "a frame claims to be huge")?;
        let mut start = 0;
        let blobs = described.blob_lengths.iter().map(|length| {
            let at = Location {
                pack,
                frame,
                offset,
                sealed_length: described.sealed_length,
                raw_length,
                start,
                length: *length,
            };
            start += length;
            at
        });
        frames.push(blobs.collect());
        offset += u64::from(described.sealed_length);
    }
    if offset == end as u64 { Ok(frames) } else { Err("its frames do not add up to its length") }
}

fn to_usize(offset: u64) -> usize {
    usize::try_from(offset).expect("offsets in a buffer fit memory")
}
