//! How large emails are.

use crate::rng::Rng;

/// No generated email is smaller: its header needs the room.
pub(crate) const SMALLEST: u64 = 480;

/// A distribution of email sizes in bytes, as quantiles with straight lines between them.
#[derive(Clone, Debug)]
pub struct Sizes {
    /// Parts in a million, and the size that this share of emails does not exceed; ascending in both.
    quantiles: Vec<(u32, u32)>,
}

impl Sizes {
    /// Median 3.5 kB, mean about 18 kB, a tail of attachments up to 8 MB.
    #[must_use]
    pub fn realistic() -> Self {
        Self::quantiles([
            (0, 500),
            (100_000, 1_200),
            (250_000, 2_000),
            (500_000, 3_500),
            (750_000, 6_500),
            (900_000, 14_000),
            (960_000, 40_000),
            (985_000, 150_000),
            (997_000, 700_000),
            (999_800, 2_000_000),
            (1_000_000, 8_000_000),
        ])
    }

    /// Like realistic mail with the tail cut at 60 kB: median 3.5 kB, mean about 5.5 kB.
    #[must_use]
    pub fn light() -> Self {
        Self::quantiles([
            (0, 500),
            (100_000, 1_200),
            (250_000, 2_000),
            (500_000, 3_500),
            (750_000, 6_500),
            (950_000, 14_000),
            (1_000_000, 60_000),
        ])
    }

    /// 480 to 800 bytes, for tests whose subject is the number of emails.
    #[must_use]
    pub fn tiny() -> Self {
        Self::between(480, 800)
    }

    /// Every email has this size (but never less than 480 bytes, which the header takes).
    #[must_use]
    pub fn fixed(bytes: u32) -> Self {
        Self::between(bytes, bytes)
    }

    /// Sizes spread evenly.
    #[must_use]
    pub fn between(smallest: u32, largest: u32) -> Self {
        Self::quantiles([(0, smallest), (1_000_000, largest)])
    }

    /// A distribution of one's own: (parts in a million, bytes), ascending, from 0 to 1,000,000.
    #[must_use]
    pub fn quantiles(points: impl IntoIterator<Item = (u32, u32)>) -> Self {
        Self { quantiles: points.into_iter().collect() }
    }

    pub(crate) fn draw(&self, rng: &mut Rng) -> u64 {
        let at = u64::from(rng.below(1_000_000));
        let drawn = self.quantiles.windows(2).find_map(|pair| {
            let [(from, low), (to, high)] = [pair[0], pair[1]].map(|(x, y)| (u64::from(x), u64::from(y)));
            (at < to).then(|| low + at.saturating_sub(from) * high.saturating_sub(low) / (to - from).max(1))
        });
        drawn.unwrap_or(0).max(SMALLEST)
    }
}

impl Default for Sizes {
    fn default() -> Self {
        Self::realistic()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn realistic_mail_has_the_median_and_tail_of_mail() {
        let mut rng = Rng::new(4);
        let mut drawn: Vec<u64> = (0..100_000).map(|_| Sizes::realistic().draw(&mut rng)).collect();
        drawn.sort_unstable();
        assert!((3_300..3_700).contains(&drawn[50_000]), "{}", drawn[50_000]);
        assert!(drawn[99_950] > 1_500_000);
        let mean = drawn.iter().sum::<u64>() / 100_000;
        assert!((14_000..22_000).contains(&mean), "{mean}");
    }
}
