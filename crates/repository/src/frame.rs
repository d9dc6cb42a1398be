//! Frames: many small blobs, or rows of a table, compressed together and sealed together.

use bytes::Bytes;
use model::BlobId;

use crate::error::{Error, Result};
use crate::seal::{BlobHasher, Cipher};

/// A frame never opens to more than this; what claims more is damaged or hostile.
pub(crate) const MAX_RAW: usize = 8 << 20;
const LEVEL: i32 = 3;

/// Compresses and seals `raw` as frame `number`.
pub(crate) fn seal(cipher: &Cipher, number: u64, raw: &[u8]) -> Result<Vec<u8>> {
    debug_assert!(raw.len() <= MAX_RAW, "frames are cut before they grow this long");
    let mut sealed = zstd::bulk::compress(raw, LEVEL).map_err(|e| unverified(cipher, e.to_string()))?;
    cipher.seal(number, &mut sealed);
    Ok(sealed)
}

/// Opens and decompresses frame `number`, which must be exactly `raw_length` bytes long then.
pub(crate) fn open(cipher: &Cipher, number: u64, sealed: &[u8], raw_length: usize) -> Result<Vec<u8>> {
    if raw_length > MAX_RAW {
        return Err(Error::corrupt(
            cipher.name(),
            format!("frame {number} claims {raw_length} bytes"),
        ));
    }
    let mut compressed = sealed.to_vec();
    cipher.open(number, &mut compressed)?;
    let raw = zstd::bulk::decompress(&compressed, raw_length)
        .map_err(|e| Error::corrupt(cipher.name(), format!("frame {number} does not decompress: {e}")))?;
    if raw.len() != raw_length {
        return Err(Error::corrupt(
            cipher.name(),
            format!("frame {number} is {} bytes long", raw.len()),
        ));
    }
    Ok(raw)
}

/// Seals blobs as one frame, then opens it again and hashes every blob: only what came back whole is returned.
pub(crate) fn seal_blobs(
    cipher: &Cipher,
    hasher: &BlobHasher,
    number: u64,
    blobs: &[(BlobId, Bytes)],
) -> Result<Vec<u8>> {
    let length = blobs.iter().map(|(_, bytes)| bytes.len()).sum();
    let mut raw = Vec::with_capacity(length);
    for (_, bytes) in blobs {
        raw.extend_from_slice(bytes);
    }
    let sealed = seal(cipher, number, &raw)?;
    drop(raw);
    let back = open(cipher, number, &sealed, length).map_err(|e| unverified(cipher, e.to_string()))?;
    let mut rest = back.as_slice();
    for (id, bytes) in blobs {
        let (blob, after) = rest.split_at(bytes.len());
        if hasher.id(blob) != *id {
            return Err(unverified(cipher, format!("a blob of frame {number} changed")));
        }
        rest = after;
    }
    Ok(sealed)
}

fn unverified(cipher: &Cipher, what: String) -> Error {
    Error::Unverified {
        object: cipher.name().to_owned(),
        what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::MailboxDir;
    use crate::seal::{Kind, Secret};

    #[test]
    fn a_frame_that_claims_too_much_is_refused_before_memory_is_taken() {
        let cipher = Cipher::fresh(
            &Secret::random(),
            Kind::Pack,
            MailboxDir([0; 16]),
            "packs/x".to_owned(),
        );
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
        assert!(seal_blobs(&cipher, &hasher, 0, std::slice::from_ref(&good)).is_ok());
        assert!(matches!(
            seal_blobs(&cipher, &hasher, 0, &[good, lie]),
            Err(Error::Unverified { .. })
        ));
    }
}
