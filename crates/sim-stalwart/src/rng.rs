//! Deterministic numbers: everything the simulator invents is a function of a seed.

/// The splitmix64 finaliser over two words; good enough that neighbours share nothing.
pub(crate) const fn mix(a: u64, b: u64) -> u64 {
    let mut z = a ^ b.wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xff51_afd7_ed55_8ccd);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A small fast generator (splitmix64); equal seeds give equal sequences on every machine.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(mix(seed, 0x5eed))
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 for a bound of 0.
    pub(crate) const fn below(&mut self, bound: u32) -> u32 {
        (((self.next() >> 32) * bound as u64) >> 32) as u32
    }

    /// True `per_mille` times in a thousand.
    pub(crate) const fn chance(&mut self, per_mille: u32) -> bool {
        self.below(1000) < per_mille
    }

    /// An element of a slice that is not empty.
    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.index(from.len())]
    }

    /// An index into something of `len` elements (at most 2^32 of them).
    pub(crate) fn index(&mut self, len: usize) -> usize {
        self.below(u32::try_from(len).unwrap_or(u32::MAX)) as usize
    }
}

const HALF: u64 = (1 << 20) - 1;

const fn round(half: u64, key: u64, number: u64) -> u64 {
    mix(half | (number << 32), key) & HALF
}

/// A permutation of the 40-bit numbers (Feistel, four rounds): ids that do not sort like what they count.
pub(crate) const fn permute(value: u64, key: u64) -> u64 {
    let (mut left, mut right) = ((value >> 20) & HALF, value & HALF);
    let mut number = 0;
    while number < 4 {
        (left, right) = (right, left ^ round(right, key, number));
        number += 1;
    }
    (left << 20) | right
}

/// The inverse of [`permute`].
pub(crate) const fn unpermute(value: u64, key: u64) -> u64 {
    let (mut left, mut right) = ((value >> 20) & HALF, value & HALF);
    let mut number = 4;
    while number > 0 {
        number -= 1;
        (left, right) = (right ^ round(left, key, number), left);
    }
    (left << 20) | right
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permutation_is_undone_and_does_not_keep_order() {
        let there: Vec<u64> = (0..2000).map(|value| permute(value, 77)).collect();
        assert!(there.iter().zip(0..).all(|(scrambled, value)| unpermute(*scrambled, 77) == value));
        assert!(!there.is_sorted());
    }

    #[test]
    fn chance_is_about_right() {
        let mut rng = Rng::new(1);
        let hits = (0..10_000).filter(|_| rng.chance(250)).count();
        assert!((2_300..2_700).contains(&hits), "{hits}");
    }
}
