//! Which slots there are, and when.

use model::{Date, MailboxId, Plan, Schedule, SignedDuration, Slot, Timestamp};
use planning::{Settings, zone};
use proptest::prelude::*;

use crate::oracle::{MINUTE, Oracle};
use crate::places::{PLACES, calendar, settings, window};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn slots_are_those_of_a_clock_read_minute_by_minute(
        place in prop::sample::select(PLACES.to_vec()), settings in settings(), step in 7..60_i32,
    ) {
        let (name, around) = place;
        let (calendar, around) = (calendar(name, settings), around.parse::<Date>().unwrap());
        let oracle = Oracle::new(&zone(name).unwrap(), around, &settings);
        for (slot, bounds) in &oracle.slots {
            prop_assert_eq!(calendar.bounds(*slot), *bounds, "{:?} in {}", slot, name);
        }
        for schedule in Schedule::ALL {
            let mut now = oracle.from;
            while now < oracle.until {
                let expected = oracle.newest_begun(*schedule, now);
                prop_assert_eq!(calendar.newest_begun(*schedule, now), expected, "at {} in {}", now, name);
                let open = now < oracle.slots[&expected].closes;
                prop_assert_eq!(calendar.open(*schedule, now), open.then_some(expected));
                now += MINUTE * step;
            }
            let mut same = oracle.slots.keys().filter(|slot| slot.schedule == *schedule);
            let mut slot = *same.next().unwrap();
            for expected in same {
                prop_assert_eq!(calendar.next(slot), *expected);
                slot = *expected;
            }
        }
    }

    #[test]
    fn windows_of_a_schedule_never_overlap(
        place in prop::sample::select(PLACES.to_vec()), settings in settings(),
    ) {
        let (name, around) = place;
        let oracle = Oracle::new(&zone(name).unwrap(), around.parse().unwrap(), &settings);
        let calendar = calendar(name, settings);
        for slot in oracle.slots.keys() {
            let (bounds, next) = (calendar.bounds(*slot), calendar.bounds(calendar.next(*slot)));
            prop_assert!(bounds.opens < bounds.closes && bounds.closes <= next.opens, "{:?}", slot);
        }
    }
}

fn check(zone: &str, nightly: &str, date: &str, opens: &str, closes: &str) {
    let calendar = calendar(zone, Settings { nightly: window(nightly), ..Settings::default() });
    let slot = Slot { schedule: Schedule::Nightly, date: date.parse().unwrap() };
    let bounds = calendar.bounds(slot);
    let found = (bounds.opens.to_string(), bounds.closes.to_string());
    assert_eq!(found, (opens.to_owned(), closes.to_owned()), "{nightly} of {date} in {zone}");
}

#[test]
fn nights_with_a_jump_of_the_clock_are_an_hour_shorter_or_longer() {
    let paris = "Europe/Paris";
    check(paris, "22:00-06:00", "2026-03-27", "2026-03-27T21:00:00Z", "2026-03-28T05:00:00Z");
    check(paris, "22:00-06:00", "2026-03-28", "2026-03-28T21:00:00Z", "2026-03-29T04:00:00Z");
    check(paris, "22:00-06:00", "2026-10-24", "2026-10-24T20:00:00Z", "2026-10-25T05:00:00Z");
    // Ends in the repeated hour: at its first pass. Swallowed by the skipped hour: begins with the skip, keeps its length.
    check(paris, "22:00-02:30", "2026-10-24", "2026-10-24T20:00:00Z", "2026-10-25T00:30:00Z");
    check(paris, "02:15-02:45", "2026-03-29", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z");
}

#[test]
fn a_date_that_a_country_skipped_has_no_night() {
    let calendar = calendar("Pacific/Apia", Settings::default());
    let before = Slot { schedule: Schedule::Nightly, date: "2011-12-29".parse().unwrap() };
    assert_eq!(calendar.next(before).date, "2011-12-31".parse().unwrap());
}

#[test]
fn settings_for_the_other_schedule_or_without_room_for_starts_are_refused() {
    let refused = |settings| planning::Calendar::new(settings, zone("UTC").unwrap()).unwrap_err().to_string();
    let usual = Settings::default();
    assert_eq!(
        refused(Settings { nightly: usual.weekend, ..usual }),
        "the nightly window cannot be \"Sat 00:00-Sun 24:00\": write it like 22:00-06:00"
    );
    assert_eq!(
        refused(Settings { tail_percent: 91, ..usual }),
        "a tail of 91 % leaves no time to start in: 0 to 90 are possible"
    );
}

proptest! {
    #[test]
    fn any_instant_and_any_date_are_survived(
        second in Timestamp::MIN.as_second()..=Timestamp::MAX.as_second(), days in -3_700_000..3_000_000_i64,
        place in prop::sample::select(PLACES.to_vec()), settings in settings(),
    ) {
        let calendar = calendar(place.0, settings);
        let date = Date::ZERO.saturating_add(SignedDuration::from_hours(24 * days));
        for now in [Timestamp::from_second(second).unwrap(), Timestamp::MIN, Timestamp::MAX] {
            let _ = calendar.at(now);
            for plan in Plan::ALL {
                let _ = calendar.covered_since(*plan, now);
                let _ = calendar.overdue(*plan, now, Some(now), Timestamp::MAX);
            }
            for date in [date, Date::MIN, Date::MAX] {
                let slot = Slot { schedule: Schedule::Weekend, date };
                let _ = (calendar.bounds(slot), calendar.may_continue(MailboxId(1), slot, now));
            }
        }
    }
}
