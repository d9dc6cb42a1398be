//! Frames: many small blobs, or rows of a table, compressed together and sealed together.

use std::io::Read;

use bytes::Bytes;
use model::BlobId;

use crate::error::{Error, Result};
use crate::sealing::seal::{BlobHasher, Cipher, HEADER};

/// A frame never opens to more than this; what claims more is damaged or hostile.
pub(crate) const MAX_RAW: usize = 8 << 20;
/// An object of one frame never opens to more than this.
const MAX_OBJECT: u64 = 64 << 20;
const LEVEL: i32 = 3;

/// The blobs of a frame and how long each of them is, in their order.
pub(crate) type BlobLengths = Vec<(BlobId, usize)>;

/// Compresses and seals `raw` as frame `number`.
pub(crate) fn seal(cipher: &Cipher, number: u64, raw: &[u8]) -> Result<Vec<u8>> {
    if raw.len() > MAX_RAW {
        return Err(Error::TooLarge {
            what: format!("frame {number} of {}", cipher.name()),
            length: raw.len() as u64,
            limit: MAX_RAW as u64,
        });
    }
    let mut sealed = zstd::bulk::compress(raw, LEVEL).map_err(|e| unverified(cipher, e.to_string()))?;
    cipher.seal(number, &mut sealed);
    // Its room is that of bytes that do not compress, and it waits until its pack or segment is full.
    sealed.shrink_to_fit();
    Ok(sealed)
}

/// A whole object of one frame: header, then frame 0.
pub(crate) fn seal_object(cipher: &Cipher, plain: &[u8]) -> Result<Vec<u8>> {
    let mut frame = zstd::bulk::compress(plain, LEVEL).map_err(|e| unverified(cipher, e.to_string()))?;
    cipher.seal(0, &mut frame);
    Ok([cipher.header().as_slice(), &frame].concat())
}

/// The inverse of `seal_object`; `bytes` still begin with the header the cipher was read from.
pub(crate) fn open_object(cipher: &Cipher, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut frame = bytes.get(HEADER..).unwrap_or_default().to_vec();
    cipher.open(0, &mut frame)?;
    decompress_object(cipher.name(), &frame)
}

/// What a frame of unknown length decompresses to, within bounds.
pub(crate) fn decompress_object(name: &str, frame: &[u8]) -> Result<Vec<u8>> {
    let damaged = |what: String| Error::corrupt(name, what);
    let mut plain = Vec::new();
    let read = zstd::Decoder::new(frame).and_then(|d| d.take(MAX_OBJECT + 1).read_to_end(&mut plain));
    match read {
        Err(e) => Err(damaged(format!("it does not decompress: {e}"))),
        Ok(length) if length as u64 > MAX_OBJECT => Err(damaged("it claims to be huge".to_owned())),
        Ok(_) => Ok(plain),
    }
}

/// Opens and decompresses frame `number`, which must be exactly `raw_length` bytes long then.
pub(crate) fn open(cipher: &Cipher, number: u64, sealed: &[u8], raw_length: usize) -> Result<Vec<u8>> {
    if raw_length > MAX_RAW {
        return Err(Error::corrupt(cipher.name(), format!("frame {number} claims {raw_length} bytes")));
    }
    let mut compressed = sealed.to_vec();
    cipher.open(number, &mut compressed)?;
    let raw = zstd::bulk::decompress(&compressed, raw_length)
        .map_err(|e| Error::corrupt(cipher.name(), format!("frame {number} does not decompress: {e}")))?;
    if raw.len() != raw_length {
        return Err(Error::corrupt(cipher.name(), format!("frame {number} is {} bytes long", raw.len())));
    }
    Ok(raw)
}

/// Seals blobs as one frame, then opens it again and hashes every blob: only what came back whole is returned, with the
/// length of each blob. Their bytes are let go as soon as they are copied together.
pub(crate) fn seal_blobs(
    cipher: &Cipher,
    hasher: &BlobHasher,
    number: u64,
    blobs: Vec<(BlobId, Bytes)>,
) -> Result<(Vec<u8>, BlobLengths)> {
    let length = blobs.iter().map(|(_, bytes)| bytes.len()).sum();
    let mut raw = Vec::with_capacity(length);
    let mut lengths = Vec::with_capacity(blobs.len());
    for (id, bytes) in blobs {
        raw.extend_from_slice(&bytes);
        lengths.push((id, bytes.len()));
    }
    let sealed = seal(cipher, number, &raw)?;
    drop(raw);
    let back = open(cipher, number, &sealed, length).map_err(|e| unverified(cipher, e.to_string()))?;
    let mut rest = back.as_slice();
    for (id, length) in &lengths {
        let (blob, after) = rest.split_at(*length);
        if hasher.id(blob) != *id {
            return Err(unverified(cipher, format!("a blob of frame {number} changed")));
        }
        rest = after;
    }
    Ok((sealed, lengths))
}

fn unverified(cipher: &Cipher, what: String) -> Error {
    Error::Unverified { object: cipher.name().to_owned(), what }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealing::seal::{Kind, Secret};
    use crate::storage::layout::MailboxDir;

    #[test]
    fn a_frame_that_claims_too_much_is_refused_before_memory_is_taken() {
        let cipher = Cipher::fresh(&Secret::random(), Kind::Pack, MailboxDir([0; 16]), "packs/x".to_owned());
        let sealed = seal(&cipher, 0, &[7; 100]).expect("seals");
        assert_eq!(open(&cipher, 0, &sealed, 100).expect("opens"), [7; 100]);
        for wrong in [0, 99, 101, MAX_RAW + 1] {
            assert!(open(&cipher, 0, &sealed, wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_blob_that_is_not_its_id_is_caught_before_upload() {
        let secret = Secret::random();
        let hasher = BlobHasher::new(&secret);
        let cipher = Cipher::fresh(&secret, Kind::Pack, MailboxDir([0; 16]), "packs/x".to_owned());
        let good = (hasher.id(b"good"), Bytes::from_static(b"good"));
        let lie = (hasher.id(b"good"), Bytes::from_static(b"evil"));
        assert!(seal_blobs(&cipher, &hasher, 0, vec![good.clone()]).is_ok());
        assert!(matches!(seal_blobs(&cipher, &hasher, 0, vec![good, lie]), Err(Error::Unverified { .. })));
    }
}
