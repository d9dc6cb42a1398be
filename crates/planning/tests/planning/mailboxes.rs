//! Mailboxes that come, change their plan, are paused, and are backed up for the first time.

use model::{MailboxId, Plan, Timestamp};
use planning::{Calendar, Due, Facts, Settings, first_backups_admitted};

use crate::places::calendar;

/// 2026-06-03 is a Wednesday. Times are local, two hours ahead of UTC.
fn at(local: &str) -> Timestamp {
    format!("{local}+02:00").parse().unwrap()
}

fn paris() -> Calendar {
    calendar("Europe/Paris", Settings::default())
}

fn facts(plan: Plan, since: &str) -> Facts {
    Facts {
        mailbox: MailboxId(1),
        plan,
        plan_since: at(since),
        newest_slot: None,
        unfinished: false,
        paused: false,
        first: false,
    }
}

fn slot(due: Option<Due>) -> Option<String> {
    due.map(|due| format!("{} {}", due.slot.schedule, due.slot.date))
}

fn check(facts: &Facts, now: &str, expected: Option<&str>) {
    assert_eq!(slot(paris().at(at(now)).due(facts)).as_deref(), expected, "at {now}");
}

#[test]
fn a_new_mailbox_owes_no_night_before_it_came_and_the_one_it_came_in() {
    let by_day = facts(Plan::Professional, "2026-06-03T10:00");
    check(&by_day, "2026-06-03T10:01", None);
    check(&by_day, "2026-06-03T22:00", Some("nightly 2026-06-03"));
    let by_night = facts(Plan::Professional, "2026-06-03T05:59");
    check(&by_night, "2026-06-03T05:59", Some("nightly 2026-06-02"));
    check(&by_night, "2026-06-03T09:00", Some("nightly 2026-06-02"));
    check(&facts(Plan::Professional, "2026-06-03T06:00"), "2026-06-03T06:00", None);
    check(&facts(Plan::Personal, "2026-06-03T10:00"), "2026-06-05T23:59", None);
    check(&facts(Plan::Personal, "2026-06-03T10:00"), "2026-06-06T00:00", Some("weekend 2026-06-06"));
}

#[test]
fn from_personal_to_professional_and_back_in_the_middle_of_the_week() {
    // The weekend had its backup; professional since Wednesday.
    let upgraded = facts(Plan::Professional, "2026-06-03T14:00");
    check(&upgraded, "2026-06-03T14:00", None);
    check(&upgraded, "2026-06-03T23:00", Some("nightly 2026-06-03"));
    // Back on Friday: the catalogue still has the weekend's slot, and now looks at that schedule.
    let last = Some("2026-05-30".parse().unwrap());
    let back = Facts { newest_slot: last, ..facts(Plan::Personal, "2026-06-05T09:00") };
    check(&back, "2026-06-05T23:00", None);
    check(&back, "2026-06-06T00:00", Some("weekend 2026-06-06"));
    // Back on Sunday: this weekend is still owed.
    let late = Facts { newest_slot: last, ..facts(Plan::Personal, "2026-06-07T20:00") };
    check(&late, "2026-06-07T20:01", Some("weekend 2026-06-06"));
}

#[test]
fn nothing_is_planned_while_paused_or_while_a_backup_is_unfinished_and_once_afterwards() {
    let mailbox = facts(Plan::Professional, "2026-01-01T00:00");
    for now in ["2026-06-03T22:00", "2026-06-05T12:00"] {
        check(&Facts { paused: true, ..mailbox }, now, None);
        check(&Facts { unfinished: true, ..mailbox }, now, None);
    }
    // Three nights were passed over, one is caught up.
    let resumed = Facts { newest_slot: Some("2026-06-01".parse().unwrap()), ..mailbox };
    check(&resumed, "2026-06-05T12:00", Some("nightly 2026-06-04"));
    check(&Facts { newest_slot: Some("2026-06-04".parse().unwrap()), ..mailbox }, "2026-06-05T12:00", None);
}

#[test]
fn first_backups_start_at_once_inside_windows_only_and_so_many_an_hour() {
    let new = Facts { first: true, ..facts(Plan::Professional, "2026-06-01T10:00") };
    check(&new, "2026-06-03T12:00", None);
    let now = at("2026-06-03T23:00");
    let due = paris().at(now).due(&new).unwrap();
    assert_eq!((due.run_at, due.not_after), (now, at("2026-06-04T06:00")));
    // Ten thousand mailboxes; a producer that looks every ten minutes.
    let mut started: Vec<i64> = Vec::new();
    for minute in (0..480).step_by(10) {
        let in_last_hour = started.iter().filter(|at| **at > minute - 60).count();
        let admitted = first_backups_admitted(100, u32::try_from(in_last_hour).unwrap());
        started.extend((0..admitted).map(|_| minute));
    }
    assert_eq!(started.len(), 800);
    let most = (0..480).map(|minute| started.iter().filter(|at| (minute..minute + 60).contains(*at)).count());
    assert_eq!(most.max(), Some(100));
}
