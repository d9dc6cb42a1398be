//! Starts fill the window evenly, leave its tail free, and stay where they are from night to night.

use model::{MailboxId, Plan, Timestamp};
use planning::{Facts, Settings};

use crate::oracle::DAY;
use crate::places::calendar;

const BUCKETS: usize = 96;

fn facts(mailbox: u64) -> Facts {
    Facts {
        mailbox: MailboxId(mailbox),
        plan: Plan::Professional,
        plan_since: Timestamp::MIN,
        newest_slot: None,
        unfinished: false,
        paused: false,
        first: false,
    }
}

/// Chi-square over the buckets is about 95 ± 14 if the starts are even; seven deviations above are allowed.
fn check(settings: Settings, mailboxes: impl Iterator<Item = u64>) {
    let calendar = calendar("UTC", settings);
    let opens: Timestamp = "2026-06-03T22:00Z".parse().unwrap();
    let (tonight, tomorrow) = (calendar.at(opens), calendar.at(opens + DAY));
    let usable = 8 * 3_600_000 * i64::from(100 - settings.tail_percent) / 100;
    let (mut starts, mut count) = ([0_u32; BUCKETS], 0_u32);
    for mailbox in mailboxes {
        let facts = facts(mailbox);
        let run_at = tonight.due(&facts).unwrap().run_at;
        assert_eq!(tomorrow.due(&facts).unwrap().run_at, run_at + DAY, "the same place every night");
        let place = run_at.as_millisecond() - opens.as_millisecond();
        assert!((0..usable).contains(&place), "the tail stays free: {place}");
        starts[usize::try_from(place).unwrap() * BUCKETS / usize::try_from(usable).unwrap()] += 1;
        count += 1;
    }
    let expected = f64::from(count) / BUCKETS as f64;
    let chi_square: f64 = starts.iter().map(|start| (f64::from(*start) - expected).powi(2) / expected).sum();
    assert!(chi_square < 95.0 + 7.0 * 13.8, "uneven: {chi_square}");
    // A counter that fills buckets in turn would be far below what chance gives.
    assert!(chi_square > 95.0 - 5.0 * 13.8, "too even: {chi_square}");
}

#[test]
fn starts_are_even_for_numbers_in_sequence_with_strides_and_at_random() {
    let usual = Settings::default();
    check(usual, 0..100_000);
    check(usual, (0..100_000).map(|number| 5_000_000_000 + number * 1024));
    check(usual, (0..100_000).map(|number| number << 40));
    check(Settings { tail_percent: 0, ..usual }, 1_000_000..1_100_000);
    check(Settings { tail_percent: 90, ..usual }, 0..100_000);
}

#[test]
fn whose_place_has_passed_starts_now_and_the_others_keep_theirs() {
    let calendar = calendar("UTC", Settings::default());
    let opens: Timestamp = "2026-06-03T22:00Z".parse().unwrap();
    let now = opens + DAY / 8;
    for mailbox in 0..1000 {
        let planned = calendar.at(opens).due(&facts(mailbox)).unwrap().run_at;
        assert_eq!(calendar.at(now).due(&facts(mailbox)).unwrap().run_at, planned.max(now));
    }
}
