//! Texts of events where they cannot be put, in a dry run, and of events that share a UID.

use engine::{Act, Mode, RestoreId, Restored};
use model::{BackupState, DataType};
use sim_stalwart::{AccountHandle, DataType as Kind, Limits, Version};

use crate::alice;
use crate::calendars::{MOVED, SERIES, ZONE, events, held, put, text, two};
use crate::restore::Two;

const PEOPLE: &str = "ORGANIZER:mailto:alice@example.org\nATTENDEE:mailto:bob@example.org";

async fn given(texts: &[(&str, &str)]) -> Two {
    let two = Two::unsaved(alice(0).objects(1, 0, 0), Limits::default(), Version::V0_16).await;
    for (name, text) in texts {
        put(&two.home.alice, name, text);
    }
    assert_eq!(two.home.backup().await.state, BackupState::Good);
    two
}

fn forget(account: &AccountHandle) {
    account.content(Kind::CalendarEvent).keys().for_each(|id| account.remove(Kind::CalendarEvent, id));
}

/// What JMAP's `timeZone` names everybody knows; a zone that a calendar defines itself is lost where its text is not put.
#[tokio::test(flavor = "multi_thread")]
async fn a_meeting_in_a_known_zone_comes_back_whole() {
    for (zone, is_whole) in [("Europe/Berlin", true), ("Own", false)] {
        let start = format!("DTSTART;TZID={zone}:20260105T100000\nDURATION:PT1H\nSUMMARY:Meeting\n{PEOPLE}");
        let defined = ZONE.replace("TZID:Own", &format!("TZID:{zone}"));
        let two = given(&[("meeting", &text("meeting", &defined, "VEVENT", &[&start]))]).await;
        for mode in [Mode::Missing, Mode::Exact, Mode::Beside] {
            forget(&two.bob);
            let before = two.home.simulator.counters();
            let restored = two.give_bob(mode, &RestoreId::random()).await.expect("restores");
            assert_eq!(events(&restored).is_whole(), is_whole, "{zone} {mode:?}: {:#?}", events(&restored));
            assert_eq!(two.home.simulator.counters().since(&before).calls_of("CalDAV/PUT"), 0);
        }
    }
}

fn counts(restored: &Restored) -> (u64, u64, u64, u64, usize) {
    let of = events(restored);
    (of.restored, of.changed, of.removed, of.refused_count, of.notes.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_compares_texts_as_the_deed_does() {
    for mode in [Mode::Missing, Mode::Exact, Mode::Beside] {
        let two = two().await;
        let (bed, url) = (&two.home.bed, &two.home.url);
        let number = bed.newest(url).await.1.info().number;
        for again in [false, true] {
            let before = two.home.simulator.counters();
            let (planned, told) = bed.rehearse(url, number, &two.bobs, mode).await;
            assert_eq!(two.home.simulator.counters().since(&before).calls_of("CalDAV/PUT"), 0);
            let restored = two.give_bob(mode, &RestoreId::random()).await.expect("restores");
            assert_eq!(counts(&planned), counts(&restored), "{mode:?} {again}: {planned:#?} {restored:#?}");
            let told = told.iter().filter(|(_, data_type, _)| *data_type == DataType::CalendarEvent).count();
            assert_eq!(told as u64, events(&planned).restored + events(&planned).changed, "{mode:?} {again}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_lists_what_differs_in_its_text_alone() {
    let invited = format!("{SERIES}\n{PEOPLE}");
    let two = given(&[
        ("series", &text("series", "", "VEVENT", &[SERIES, MOVED])),
        ("invited", &text("invited", "", "VEVENT", &[&invited, MOVED])),
    ])
    .await;
    let alice = &two.home.alice;
    put(alice, "series", &text("series", "", "VEVENT", &[SERIES, &MOVED.replace("Moved", "Other")]));
    put(alice, "invited", &text("invited", "", "VEVENT", &[&invited]));
    let (bed, url) = (&two.home.bed, &two.home.url);
    let number = bed.newest(url).await.1.info().number;
    let before = held(alice);
    let (planned, told) = bed.rehearse(url, number, bed, Mode::Exact).await;
    assert_eq!(held(alice), before);
    assert_eq!(told, [(Act::Change, DataType::CalendarEvent, "On call".to_owned())]);
    assert!(events(&planned).notes[0].contains("would come back without"), "{planned:#?}");
    let restored = bed.restore(url, Some(number), bed, Mode::Exact, &RestoreId::random()).await;
    assert_eq!(counts(&planned), counts(&restored.expect("restores")));
    assert_eq!(counts(&planned), (0, 1, 0, 0, 1));
}

/// Over JMAP a server takes each UID once, by CalDAV once in each calendar.
#[tokio::test(flavor = "multi_thread")]
async fn each_of_two_events_of_one_uid_comes_back_into_its_own_calendar() {
    let two = given(&[("a", &text("twin", "", "VEVENT", &[SERIES]))]).await;
    let alice = &two.home.alice;
    let other = text("twin", "", "VEVENT", &["DTSTART:20260105T100000Z\nDURATION:PT1H\nSUMMARY:Other"]);
    alice.put_calendar_resource("Other", "b.ics", &other);
    assert_eq!(two.home.backup().await.state, BackupState::Good);
    let number = two.home.bed.newest(&two.home.url).await.1.info().number;
    let texts = |account: &AccountHandle| {
        let named = account.content(Kind::Calendar);
        let mut texts: Vec<(String, bool)> = account
            .calendar_resources()
            .iter()
            .map(|it| (named[&it.calendar_id]["name"].to_string(), it.text.contains("SUMMARY:Other")))
            .collect();
        texts.sort();
        texts
    };
    let expected = texts(alice);
    assert_eq!(expected.len(), 2);
    for mode in [Mode::Missing, Mode::Exact] {
        for lost in [vec!["Calendar 0"], vec!["Other"], vec!["Calendar 0", "Other"]] {
            let named = alice.content(Kind::Calendar);
            for it in alice.calendar_resources() {
                if lost.iter().any(|lost| named[&it.calendar_id]["name"] == *lost) {
                    alice.remove(Kind::CalendarEvent, &it.event_id);
                }
            }
            assert_eq!(texts(alice).len(), 2 - lost.len());
            let restored = two.give_alice(number, mode).await;
            assert_eq!(texts(alice), expected, "{mode:?} {lost:?}: {restored:#?}");
            assert_eq!(events(&restored).restored, lost.len() as u64, "{mode:?} {lost:?}: {restored:#?}");
            let again = two.give_alice(number, mode).await;
            assert_eq!(counts(&again), (0, 0, 0, 0, 0), "{mode:?} {lost:?}");
        }
    }
    for mode in [Mode::Missing, Mode::Exact, Mode::Beside] {
        forget(&two.bob);
        let restored = two.give_bob(mode, &RestoreId::random()).await.expect("restores");
        assert!(events(&restored).is_whole() && texts(&two.bob).len() == 2, "{mode:?}: {restored:#?}");
    }
}
