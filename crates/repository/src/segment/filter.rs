//! A Bloom filter over the keys of a segment: tells for most keys that they are not in it, without reading a block.

use crate::rows::Table;

const BITS_PER_KEY: usize = 16;
const HASHES: u64 = 8;

/// About 6 in 10,000 absent keys are said to be perhaps there; no present key is ever denied.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    bits: Vec<u8>,
}

/// What the filter knows of a key: an unkeyed hash will do, the filter itself is sealed.
pub(crate) fn key_hash(table: Table, key: &[u8]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[table as u8]).update(key);
    let hash = hasher.finalize();
    hash.as_bytes()[..8].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

impl Filter {
    pub(crate) fn build(hashes: &[u64]) -> Filter {
        let mut filter = Filter { bits: vec![0; (hashes.len() * BITS_PER_KEY).div_ceil(8)] };
        for hash in hashes {
            for (byte, mask) in filter.places(*hash).collect::<Vec<_>>() {
                filter.bits[byte] |= mask;
            }
        }
        filter
    }

    /// Denies no key.
    pub(crate) fn of_anything() -> Filter {
        Filter { bits: vec![0xff] }
    }

    pub(crate) fn from_bytes(bits: Vec<u8>) -> Filter {
        Filter { bits }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bits
    }

    pub(crate) fn may_contain(&self, hash: u64) -> bool {
        !self.bits.is_empty() && self.places(hash).all(|(byte, mask)| self.bits[byte] & mask != 0)
    }

    fn places(&self, hash: u64) -> impl Iterator<Item = (usize, u8)> + use<> {
        let bits = self.bits.len() as u64 * 8;
        let (first, step) = (hash >> 32, (hash & 0xffff_ffff) | 1);
        (0..HASHES).map(move |i| {
            let bit = (first + i * step) % bits;
            (usize::try_from(bit / 8).expect("a filter is far shorter than memory"), 1u8 << (bit % 8))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn present_keys_are_never_denied_and_absent_ones_mostly_are() {
        let hashes: Vec<u64> = (0u32..10_000).map(|i| key_hash(Table::Emails, &i.to_be_bytes())).collect();
        let filter = Filter::from_bytes(Filter::build(&hashes).as_bytes().to_vec());
        assert!(hashes.iter().all(|hash| filter.may_contain(*hash)));
        let wrong = (10_000u32..110_000)
            .filter(|i| filter.may_contain(key_hash(Table::Emails, &i.to_be_bytes())))
            .count();
        assert!(wrong < 200, "{wrong} of 100,000 absent keys");
        assert!(!Filter::build(&[]).may_contain(7));
    }
}
