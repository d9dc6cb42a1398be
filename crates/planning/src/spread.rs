use std::time::Duration;

use model::{MailboxId, Timestamp};

use crate::Period;
use crate::calendar::later;

/// The mailbox's place in the period without its tail: the same share of every period, and evenly spread over all mailboxes.
pub(crate) fn spread(mailbox: MailboxId, period: Period, tail_percent: u8) -> Timestamp {
    let length = period.until.duration_since(period.from).as_millis();
    let usable = u128::try_from(length).unwrap_or(0) * u128::from(100 - tail_percent.min(100)) / 100;
    let place = (u128::from(mix(mailbox.0)) * usable) >> 64;
    later(period.from, Duration::from_millis(u64::try_from(place).unwrap_or(u64::MAX)))
}

/// SplitMix64's finaliser: neighbours end far apart. Not the standard library's hash, which may change with its version.
pub(crate) fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_every_version_and_machine() {
        // The first outputs of SplitMix64 seeded with 0 and with 1.
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(mix(1), 0x910a_2dec_8902_5cc1);
    }
}
