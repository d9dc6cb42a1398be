//! What was missed, and what is not done when its window ends.

use model::{MailboxId, Plan, Schedule, Slot, Timestamp};
use planning::{Budget, Facts, Outside, Settings, Verdict, zone};
use proptest::prelude::*;

use crate::oracle::{DAY, MINUTE, Oracle};
use crate::places::{PLACES, calendar, settings};

const MAILBOX: MailboxId = MailboxId(3);

fn at(local: &str) -> Timestamp {
    format!("{local}+02:00").parse().unwrap()
}

fn with(outside: Outside) -> Settings {
    Settings { outside, ..Settings::default() }
}

fn missed(plan: Plan) -> Facts {
    Facts {
        mailbox: MAILBOX,
        plan,
        plan_since: at("2026-01-01T00:00"),
        newest_slot: None,
        unfinished: false,
        paused: false,
        first: false,
    }
}

/// Missed altogether, noticed on Tuesday at noon; the night before ended at 06:00.
fn check(plan: Plan, outside: Outside, date: &str, from: &str, until: &str, budget: Budget) {
    let calendar = calendar("Europe/Paris", with(outside));
    let due = calendar.at(at("2026-06-09T12:00")).due(&missed(plan)).unwrap();
    assert_eq!((due.slot.date, due.budget), (date.parse().unwrap(), budget));
    assert!((at(from)..at(until)).contains(&due.run_at), "{plan} {outside:?}: {}", due.run_at);
    assert_eq!(due.not_after, at(until));
}

#[test]
fn a_missed_weekend_or_night_is_caught_up_in_the_next_night_or_at_once_with_less_load() {
    let (night, morning) = ("2026-06-09T22:00", "2026-06-10T06:00");
    check(Plan::Personal, Outside::Wait, "2026-06-06", night, morning, Budget::Full);
    check(Plan::Professional, Outside::Wait, "2026-06-08", night, morning, Budget::Full);
    check(Plan::Personal, Outside::Reduced, "2026-06-06", "2026-06-09T12:00", night, Budget::Reduced);
    check(Plan::Professional, Outside::Reduced, "2026-06-08", "2026-06-09T12:00", night, Budget::Reduced);
}

#[test]
fn work_stops_at_the_end_of_its_window_and_goes_on_in_the_next_night() {
    let (waits, reduced) = (Outside::Wait, Outside::Reduced);
    let verdict = |outside, schedule, now| {
        let date = if schedule == Schedule::Nightly { "2026-06-03" } else { "2026-06-06" };
        let slot = Slot { schedule, date: date.parse().unwrap() };
        calendar("Europe/Paris", with(outside)).may_continue(MAILBOX, slot, at(now))
    };
    let full = |until| Verdict::Continue { until: at(until), budget: Budget::Full };
    assert_eq!(verdict(waits, Schedule::Nightly, "2026-06-04T05:59"), full("2026-06-04T06:00"));
    let Verdict::Pause { run_at } = verdict(waits, Schedule::Nightly, "2026-06-04T06:00") else {
        panic!("the window is over");
    };
    // Not all at 22:00: at the mailbox's own place in the next night.
    assert!(run_at > at("2026-06-04T22:00") && run_at < at("2026-06-05T04:00"), "{run_at}");
    assert_eq!(verdict(waits, Schedule::Nightly, "2026-06-04T22:00"), full("2026-06-05T06:00"));
    assert_eq!(
        verdict(reduced, Schedule::Nightly, "2026-06-04T06:00"),
        Verdict::Continue { until: at("2026-06-04T22:00"), budget: Budget::Reduced }
    );
    // Sunday 24:00 lies in a night window.
    assert_eq!(verdict(waits, Schedule::Weekend, "2026-06-07T23:59"), full("2026-06-08T00:00"));
    assert_eq!(verdict(waits, Schedule::Weekend, "2026-06-08T00:00"), full("2026-06-08T06:00"));
    assert!(matches!(verdict(waits, Schedule::Weekend, "2026-06-08T06:00"), Verdict::Pause { .. }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn late_work_runs_in_open_windows_only_and_a_pause_ends_in_one(
        place in prop::sample::select(PLACES.to_vec()), settings in settings(), after in 0..14 * 1440_i32, mailbox: u64,
    ) {
        let (name, around) = place;
        let oracle = Oracle::new(&zone(name).unwrap(), around.parse().unwrap(), &settings);
        let calendar = calendar(name, settings);
        let (now, mailbox) = (oracle.from + MINUTE * after, MailboxId(mailbox));
        for schedule in Schedule::ALL {
            let slot = oracle.newest_begun(*schedule, now);
            let night = calendar.open(Schedule::Nightly, now).is_some();
            let open = now < oracle.slots[&slot].closes || night;
            match calendar.may_continue(mailbox, slot, now) {
                Verdict::Continue { until, budget } => {
                    prop_assert!(until > now);
                    prop_assert_eq!(budget == Budget::Full, open);
                    prop_assert!(open || settings.outside == Outside::Reduced);
                }
                Verdict::Pause { run_at } => {
                    prop_assert!(!open && settings.outside == Outside::Wait);
                    prop_assert!(run_at > now && run_at < now + DAY * 3);
                    let then = calendar.may_continue(mailbox, slot, run_at);
                    let goes_on = matches!(then, Verdict::Continue { budget: Budget::Full, .. });
                    prop_assert!(goes_on, "{:?}", then);
                }
            }
        }
    }
}
