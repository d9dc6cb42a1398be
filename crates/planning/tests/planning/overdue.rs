//! When an alarm is due.

use model::{Plan, Timestamp};
use planning::{Overdue, Settings, zone};
use proptest::prelude::*;

use crate::oracle::{MINUTE, Oracle};
use crate::places::{PLACES, calendar, settings};

fn at(local: &str) -> Timestamp {
    format!("{local}+02:00").parse().unwrap()
}

fn check(plan: Plan, since: &str, last_good: Option<&str>, now: &str, expected: Option<(&str, i64)>) {
    let overdue =
        calendar("Europe/Paris", Settings::default()).overdue(plan, at(since), last_good.map(at), at(now));
    let found = overdue.map(|Overdue { slot, by }| (slot.date.to_string(), by.as_hours()));
    assert_eq!(found, expected.map(|(date, hours)| (date.to_owned(), hours)), "{plan} at {now}");
}

#[test]
fn a_mailbox_is_overdue_from_the_end_of_the_first_window_that_nothing_covers() {
    let (pro, since) = (Plan::Professional, "2026-01-01T00:00");
    check(pro, since, Some("2026-06-02T23:10"), "2026-06-04T05:59", None);
    check(pro, since, Some("2026-06-02T23:10"), "2026-06-04T06:00", Some(("2026-06-03", 0)));
    check(pro, since, Some("2026-06-02T23:10"), "2026-06-06T18:00", Some(("2026-06-03", 60)));
    // By hand in the evening: before the window, it covers none; in it or later, it does.
    check(pro, since, Some("2026-06-03T21:59"), "2026-06-04T07:00", Some(("2026-06-03", 1)));
    check(pro, since, Some("2026-06-04T11:00"), "2026-06-04T12:00", None);
    // Never backed up: from its first window on.
    check(pro, "2026-06-03T10:00", None, "2026-06-04T05:00", None);
    check(pro, "2026-06-03T10:00", None, "2026-06-04T08:00", Some(("2026-06-03", 2)));
    check(Plan::Personal, since, Some("2026-05-31T01:00"), "2026-06-07T23:00", None);
    check(Plan::Personal, since, Some("2026-05-31T01:00"), "2026-06-08T03:00", Some(("2026-06-06", 3)));
    // A new plan brings its own nights, not those before it.
    check(pro, "2026-06-03T14:00", Some("2026-05-30T01:00"), "2026-06-03T23:00", None);
    check(pro, "2026-06-03T14:00", Some("2026-05-30T01:00"), "2026-06-04T06:30", Some(("2026-06-03", 0)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn it_is_the_first_closed_window_without_a_backup_since_it_opened(
        place in prop::sample::select(PLACES.to_vec()), settings in settings(), plan in prop::sample::select(Plan::ALL.to_vec()),
        now in 0..14 * 1440_i32, since in prop_oneof![Just(20 * 1440), 0..14 * 1440_i32],
        good in prop::option::of(prop_oneof![0..1440_i32, 0..9 * 1440_i32]),
    ) {
        let (name, around) = place;
        let oracle = Oracle::new(&zone(name).unwrap(), around.parse().unwrap(), &settings);
        let calendar = calendar(name, settings);
        let now = oracle.from + MINUTE * now;
        // Both are so long ago; the walk knows nothing of what is further back.
        let ago = |minutes: i32| (now - MINUTE * minutes).max(oracle.from);
        let (since, good) = (ago(since), good.map(ago));
        let owed = oracle.slots.iter().filter(|(slot, bounds)| {
            slot.schedule == plan.schedule() && bounds.closes > since && good.is_none_or(|good| good < bounds.opens)
        });
        let expected = owed.filter(|(_, bounds)| bounds.closes <= now).map(|(slot, bounds)| {
            Overdue { slot: *slot, by: now.duration_since(bounds.closes) }
        });
        let expected = expected.min_by_key(|overdue| overdue.slot);
        prop_assert_eq!(calendar.overdue(plan, since, good, now), expected);
        // The bound that a query uses says the same of a mailbox that has long had its plan.
        if let Some(good) = good {
            let overdue = calendar.overdue(plan, Timestamp::MIN, Some(good), now).is_some();
            prop_assert_eq!(overdue, good < calendar.covered_since(plan, now));
        }
    }
}
