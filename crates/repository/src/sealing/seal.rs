//! Keys, derivations and the one way in which bytes are sealed. The README's "Sealing" is the specification.

use blake3::derive_key;
use model::BlobId;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::storage::layout::MailboxDir;

/// The newest format this code reads, and the one it writes.
pub const FORMAT: u16 = 2;
/// Length of the clear header every sealed object starts with.
pub(crate) const HEADER: usize = 32;
/// What sealing adds to each frame.
pub(crate) const TAG: usize = 16;
/// Frame number of a container's footer.
pub(crate) const FOOTER: u64 = u64::MAX;

const MAGIC: &[u8; 5] = b"MALLE";
const OBJECT_CONTEXT: &str = "malle repository format 1: key of one object";
const HASH_CONTEXT: &str = "malle repository format 1: hash key of blobs";
const ID_CONTEXT: &str = "malle repository format 1: public id of a key";

/// What an object is; the byte after the magic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Key = b'K' as isize,
    Log = b'L' as isize,
    Pack = b'P' as isize,
    Segment = b'S' as isize,
    Restore = b'R' as isize,
}

/// A 32-byte secret: a master key of the ring, or the data key of one mailbox.
#[derive(Clone)]
pub struct Secret(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    pub(crate) fn random() -> Secret {
        Secret(Zeroizing::new(random()))
    }

    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Secret {
        Secret(Zeroizing::new(bytes))
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A name for this key that tells nothing about it.
    pub fn id(&self) -> [u8; 8] {
        let id = derive_key(ID_CONTEXT, self.0.as_slice());
        let mut short = [0; 8];
        short.copy_from_slice(&id[..8]);
        short
    }
}

/// Hashes blobs to their ids under the mailbox's own key, so that ids tell nothing to outsiders.
#[derive(Clone)]
pub struct BlobHasher(Zeroizing<[u8; 32]>);

impl BlobHasher {
    pub(crate) fn new(data_key: &Secret) -> BlobHasher {
        BlobHasher(Zeroizing::new(derive_key(HASH_CONTEXT, data_key.0.as_slice())))
    }

    /// The id of a blob with these bytes.
    pub fn id(&self, bytes: &[u8]) -> BlobId {
        BlobId(*blake3::keyed_hash(&self.0, bytes).as_bytes())
    }

    /// For blobs that come in pieces; the id is that of `id` over all pieces.
    pub fn stream(&self) -> blake3::Hasher {
        blake3::Hasher::new_keyed(&self.0)
    }

    /// Short keyed hash of a server's blob id (see `model::EmailRecord::source_hash`).
    pub fn short(&self, text: &str) -> u64 {
        let hash = blake3::keyed_hash(&self.0, text.as_bytes());
        hash.as_bytes()[..8].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }
}

pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system's random generator answers");
    bytes
}

/// Seals and opens the frames of one object; its key is derived for this object alone.
pub(crate) struct Cipher {
    header: [u8; HEADER],
    mailbox: MailboxDir,
    name: String,
    key: LessSafeKey,
    /// The header names a format that this code does not know.
    newer: Option<u16>,
}

impl Cipher {
    /// For an object about to be written: fresh salt, fresh key.
    pub(crate) fn fresh(secret: &Secret, kind: Kind, mailbox: MailboxDir, name: String) -> Cipher {
        let mut header = [0; HEADER];
        header[..5].copy_from_slice(MAGIC);
        header[5] = kind as u8;
        header[6..8].copy_from_slice(&FORMAT.to_be_bytes());
        header[8..16].copy_from_slice(&secret.id());
        header[16..].copy_from_slice(&random::<16>());
        Cipher::with_header(secret, header, mailbox, name)
    }

    /// For an object that begins with `header`: checks magic, kind and which key it needs.
    ///
    /// Every later format keeps the header and the sealing. So an object whose header names one is opened before that is
    /// believed: if it opens, it was written by a newer Malle; if not, its header is damaged.
    pub(crate) fn read(
        secret: &Secret,
        header: &[u8],
        kind: Kind,
        mailbox: MailboxDir,
        name: String,
    ) -> Result<Cipher> {
        let header = check_header(header, kind, &name)?;
        let newer = Some(format_of(&header)).filter(|format| *format > FORMAT);
        if header[8..16] != secret.id() {
            return Err(Error::corrupt(name, "it is sealed with the key of another mailbox"));
        }
        Ok(Cipher { newer, ..Cipher::with_header(secret, header, mailbox, name) })
    }

    fn with_header(secret: &Secret, header: [u8; HEADER], mailbox: MailboxDir, name: String) -> Cipher {
        let mut material = Zeroizing::new([0; 32 + HEADER]);
        material[..32].copy_from_slice(secret.0.as_slice());
        material[32..].copy_from_slice(&header);
        let key = Zeroizing::new(derive_key(OBJECT_CONTEXT, material.as_slice()));
        let key = UnboundKey::new(&AES_256_GCM, key.as_slice()).expect("the key has the cipher's length");
        Cipher { header, mailbox, name, key: LessSafeKey::new(key), newer: None }
    }

    pub(crate) fn header(&self) -> &[u8; HEADER] {
        &self.header
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Seals in place and appends the tag.
    pub(crate) fn seal(&self, frame: u64, bytes: &mut Vec<u8>) {
        self.key
            .seal_in_place_append_tag(nonce(frame), Aad::from(self.associated(frame)), bytes)
            .expect("a frame is far shorter than the cipher's limit");
    }

    /// Opens in place and cuts the tag off.
    pub(crate) fn open(&self, frame: u64, bytes: &mut Vec<u8>) -> Result<()> {
        let opened = self
            .key
            .open_in_place(nonce(frame), Aad::from(self.associated(frame)), bytes)
            .map_err(|_| Error::corrupt(&self.name, format!("frame {frame} was altered or damaged")))?
            .len();
        bytes.truncate(opened);
        match self.newer {
            Some(found) => Err(Error::NewerFormat {
                object: self.name.clone(),
                found: found.into(),
                known: FORMAT.into(),
            }),
            None => Ok(()),
        }
    }

    /// Binds a frame to its object, place and mailbox.
    fn associated(&self, frame: u64) -> Vec<u8> {
        let mut data = Vec::with_capacity(HEADER + 16 + 8 + self.name.len());
        data.extend_from_slice(&self.header);
        data.extend_from_slice(&self.mailbox.0);
        data.extend_from_slice(&frame.to_be_bytes());
        data.extend_from_slice(self.name.as_bytes());
        data
    }
}

/// The format that a clear header names; 0 if there is none.
pub(crate) fn format_of(bytes: &[u8]) -> u16 {
    bytes.get(6..8).map_or(0, |format| u16::from_be_bytes([format[0], format[1]]))
}

/// The clear header with which an object of this kind begins.
pub(crate) fn check_header(bytes: &[u8], kind: Kind, name: &str) -> Result<[u8; HEADER]> {
    let header: [u8; HEADER] = bytes
        .get(..HEADER)
        .and_then(|h| h.try_into().ok())
        .ok_or_else(|| Error::corrupt(name, "it is shorter than a header"))?;
    if &header[..5] != MAGIC || header[5] != kind as u8 {
        return Err(Error::corrupt(name, "it does not begin like an object of this kind"));
    }
    match format_of(&header) {
        0 => Err(Error::corrupt(name, "it says that it has format 0")),
        _ => Ok(header),
    }
}

fn nonce(frame: u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&frame.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

/// A key object: header, then frame 0, not compressed.
pub(crate) fn seal_plain(cipher: &Cipher, plain: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(plain.len() + TAG);
    frame.extend_from_slice(plain);
    cipher.seal(0, &mut frame);
    [cipher.header().as_slice(), &frame].concat()
}

/// The inverse of `seal_plain`; `bytes` still begin with the header the cipher was read from.
pub(crate) fn open_sealed(cipher: &Cipher, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut frame = bytes.get(HEADER..).unwrap_or_default().to_vec();
    cipher.open(0, &mut frame)?;
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIR: MailboxDir = MailboxDir([9; 16]);

    fn cipher(secret: &Secret, name: &str) -> Cipher {
        Cipher::fresh(secret, Kind::Log, DIR, name.to_owned())
    }

    #[test]
    fn what_was_sealed_opens_and_nothing_else_does() {
        let secret = Secret::random();
        let sealed = seal_plain(&cipher(&secret, "log/1"), b"hello");
        let reader =
            |name: &str| Cipher::read(&secret, &sealed, Kind::Log, DIR, name.to_owned()).expect("reads");
        assert_eq!(open_sealed(&reader("log/1"), &sealed).expect("opens"), b"hello");
        assert!(open_sealed(&reader("log/2"), &sealed).is_err(), "another place");
        for i in HEADER..sealed.len() {
            let mut bad = sealed.clone();
            bad[i] ^= 1;
            assert!(open_sealed(&reader("log/1"), &bad).is_err(), "flipped byte {i}");
        }
    }

    fn opened(secret: &Secret, sealed: &[u8]) -> Result<Vec<u8>> {
        let cipher = Cipher::read(secret, sealed, Kind::Log, DIR, "log/1".to_owned())?;
        open_sealed(&cipher, sealed)
    }

    #[test]
    fn a_newer_format_is_named_as_such_if_the_object_opens() {
        let secret = Secret::random();
        let older = cipher(&secret, "log/1");
        let mut header = *older.header();
        header[7] = 3;
        let newer = Cipher::with_header(&secret, header, DIR, "log/1".to_owned());
        let error = opened(&secret, &seal_plain(&newer, b"hello")).expect_err("is newer");
        assert!(matches!(error, Error::NewerFormat { found: 3, .. }), "{error}");

        let mut damaged = seal_plain(&older, b"hello");
        damaged[7] = 3;
        let error = opened(&secret, &damaged).expect_err("is damaged");
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    }

    #[test]
    fn another_kind_or_another_key_is_refused() {
        let secret = Secret::random();
        let sealed = seal_plain(&cipher(&secret, "log/1"), b"hello");
        assert!(Cipher::read(&secret, &sealed, Kind::Pack, DIR, "log/1".to_owned()).is_err());
        assert!(Cipher::read(&Secret::random(), &sealed, Kind::Log, DIR, "log/1".to_owned()).is_err());
        assert!(Cipher::read(&secret, &sealed[..20], Kind::Log, DIR, "log/1".to_owned()).is_err());
    }
}
