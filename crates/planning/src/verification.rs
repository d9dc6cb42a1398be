use std::num::NonZeroU16;

use jiff::tz::TimeZone;
use model::{Date, MailboxId, SignedDuration, Timestamp};

use crate::spread::mix;

const DAY: u64 = 24 * 60 * 60;
/// What an outage kept from being read is made up for so long; later it waits for its next turn.
const CATCH_UP: SignedDuration = SignedDuration::from_hours(48);

/// A mailbox's turn to have its newest backup read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// Names it, in UTC.
    pub date: Date,
    /// When it began.
    pub at: Timestamp,
}

/// The turn that began last, if it is not long ago: each mailbox has one every so many days, on a day and at an hour of its own. Loads
/// the stores evenly; mail servers have nothing to do with it, so there is no window.
pub fn verification(mailbox: MailboxId, every_days: NonZeroU16, now: Timestamp) -> Option<Turn> {
    let period = u64::from(every_days.get()) * DAY;
    // Another place than that of its backups.
    let place = u64::try_from((u128::from(mix(!mailbox.0)) * u128::from(period)) >> 64).unwrap_or(0);
    let seconds = u64::try_from(now.as_second()).ok()?.checked_sub(place)?;
    let at = Timestamp::from_second(i64::try_from(seconds / period * period + place).ok()?).ok()?;
    let date = at.to_zoned(TimeZone::UTC).date();
    (now.duration_since(at) < CATCH_UP).then_some(Turn { date, at })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn days(number: u16) -> NonZeroU16 {
        NonZeroU16::new(number).expect("not zero")
    }

    #[test]
    fn each_mailbox_has_a_turn_in_every_period_and_never_two() {
        let begin: Timestamp = "2026-03-01T00:00Z".parse().expect("a time");
        for mailbox in 0..200 {
            let hours = (0..90 * 24).map(|hour| begin + SignedDuration::from_hours(hour));
            let turns: Vec<Turn> =
                hours.filter_map(|now| verification(MailboxId(mailbox), days(30), now)).collect();
            let different: BTreeSet<_> = turns.iter().map(|turn| (turn.date, turn.at)).collect();
            // One that began before the first hour is still to be made up.
            assert!((3..=4).contains(&different.len()), "{different:?}");
            assert!(turns.len() >= 3 * 47, "it may be planned for two days: {}", turns.len());
        }
    }

    #[test]
    fn turns_are_spread_evenly() {
        let now: Timestamp = "2026-03-01T00:00Z".parse().expect("a time");
        let fresh = |mailbox| {
            let turn = verification(MailboxId(mailbox), days(30), now);
            turn.is_some_and(|turn| now.duration_since(turn.at) < SignedDuration::from_hours(24))
        };
        let count = (0..30_000).filter(|mailbox| fresh(*mailbox)).count();
        assert!((900..1100).contains(&count), "{count} of 30,000 in one day of thirty");
    }
}
