//! Ids in the server's manner: short, base32-like, opaque.

use crate::rng::{mix, permute, unpermute};

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz792013";
const LONG: usize = 8;
/// Length of a blob id that names no email.
const BLOB: usize = 33;

fn push_fixed(out: &mut Vec<u8>, value: u64, chars: usize) {
    out.extend((0..chars).rev().map(|place| ALPHABET[((value >> (5 * place)) & 31) as usize]));
}

/// A number without leading zeros, "a" for nought: folders, states, accounts.
pub(crate) fn short(value: u64) -> String {
    let digits = (1..13).rev().find(|place| value >> (5 * place) != 0).unwrap_or(0);
    (0..=digits).rev().map(|place| char::from(ALPHABET[((value >> (5 * place)) & 31) as usize])).collect()
}

/// The number that [`short`] or a fixed-width id came from.
pub(crate) fn number(text: &str) -> Option<u64> {
    if text.is_empty() || text.len() > 12 {
        return None;
    }
    text.bytes().try_fold(0u64, |value, byte| {
        let digit = ALPHABET.iter().position(|letter| *letter == byte)?;
        Some((value << 5) | u64::try_from(digit).ok()?)
    })
}

fn scrambled(prefix: u8, value: u32, key: u64, out: &mut Vec<u8>) {
    out.push(prefix);
    push_fixed(out, permute(u64::from(value), key), LONG);
}

fn descrambled(prefix: &str, text: &str, key: u64) -> Option<u32> {
    let rest = text.strip_prefix(prefix)?;
    if rest.len() != LONG {
        return None;
    }
    u32::try_from(unpermute(number(rest)?, key)).ok()
}

/// Translates between numbers of emails and the ids of one account.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ids {
    key: u64,
}

impl Ids {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { key: mix(seed, 0x1d5) }
    }

    pub(crate) fn push_email(self, index: u32, out: &mut Vec<u8>) {
        scrambled(b'e', index, self.key, out);
    }

    pub(crate) fn email(self, index: u32) -> String {
        text(|out| self.push_email(index, out))
    }

    pub(crate) fn email_index(self, id: &str) -> Option<u32> {
        descrambled("e", id, self.key)
    }

    pub(crate) fn push_thread(self, index: u32, out: &mut Vec<u8>) {
        scrambled(b't', index, mix(self.key, 1), out);
    }

    /// Blob id of generated content: the content's number hidden among digits that look like a hash.
    pub(crate) fn push_blob(self, content: u32, out: &mut Vec<u8>) {
        scrambled(b'c', content, mix(self.key, 2), out);
        push_fixed(out, mix(self.key, u64::from(content)), 12);
        push_fixed(out, mix(self.key, u64::from(content) << 32), 12);
    }

    /// What a blob id ends in if it names the email: always eight letters.
    pub(crate) fn push_owner(self, index: u32, out: &mut Vec<u8>) {
        push_fixed(out, permute(u64::from(index), mix(self.key, 3)), LONG);
    }

    /// The blob id without its owner, and the owner, if it names one.
    pub(crate) fn split_owner(self, id: &str) -> Option<(&str, u32)> {
        let (blob, owner) = id.split_at_checked(BLOB)?;
        let owner = (owner.len() == LONG).then(|| number(owner))??;
        Some((blob, u32::try_from(unpermute(owner, mix(self.key, 3))).ok()?))
    }

    pub(crate) fn blob(self, content: u32) -> String {
        text(|out| self.push_blob(content, out))
    }

    pub(crate) fn blob_content(self, id: &str) -> Option<u32> {
        let content = descrambled("c", id.get(..=LONG)?, mix(self.key, 2))?;
        (self.blob(content) == id).then_some(content)
    }
}

/// Blob id of bytes that were given: equal bytes, equal id.
pub(crate) fn blob_of_bytes(hash: &blake3::Hash) -> String {
    of_hash(b'h', hash)
}

/// Blob id of an upload, from a hash of its bytes and of where and when it was made.
pub(crate) fn upload(hash: &blake3::Hash) -> String {
    of_hash(b'u', hash)
}

fn of_hash(prefix: u8, hash: &blake3::Hash) -> String {
    text(|out| {
        out.push(prefix);
        for chunk in hash.as_bytes()[..20].chunks(5) {
            push_fixed(out, chunk.iter().fold(0, |value, byte| (value << 8) | u64::from(*byte)), LONG);
        }
    })
}

/// Whether a text could be an id of this server.
pub(crate) fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= 20 && text.bytes().all(|byte| ALPHABET.contains(&byte))
}

/// Whether a text could be a blob id of this server.
pub(crate) fn is_blob(text: &str) -> bool {
    [BLOB, BLOB + LONG].contains(&text.len()) && text.bytes().all(|byte| ALPHABET.contains(&byte))
}

fn text(fill: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::with_capacity(40);
    fill(&mut out);
    out.into_iter().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_numbers_round_trip() {
        for value in [0, 1, 31, 32, 1000, u64::from(u32::MAX)] {
            assert_eq!(number(&short(value)), Some(value));
        }
        assert_eq!(short(0), "a");
    }

    #[test]
    fn ids_lead_back_and_strangers_do_not() {
        let ids = Ids::new(7);
        for index in [0, 1, 2, 999_999] {
            assert_eq!(ids.email_index(&ids.email(index)), Some(index));
            assert_eq!(ids.blob_content(&ids.blob(index)), Some(index));
        }
        for stranger in ["", "e", "eaaaaaaa!", "ü", "eaaaaaaaaaaaaaaaaaaaa"] {
            assert_eq!(ids.email_index(stranger), None);
            assert_eq!(ids.blob_content(stranger), None);
        }
    }
}
