//! What JMAP does not show of events comes by CalDAV, is in the backup and comes back.

use std::collections::BTreeMap;

use engine::{Mode, RestoreId, Restored, RestoredObjects};
use model::{BackupState, DataType};
use sim_stalwart::{AccountHandle, CalDav, DataType as Kind, Effect, Fault, Limits, Target, Version};
use tests::truth::assert_texts;

use crate::restore::Two;
use crate::{Home, alice};

pub(crate) const SERIES: &str = "DTSTART;VALUE=DATE:20260105\nRRULE:FREQ=WEEKLY;COUNT=10\nSUMMARY:On call";
pub(crate) const MOVED: &str =
    "RECURRENCE-ID;VALUE=DATE:20260112\nDTSTART;VALUE=DATE:20260113\nSUMMARY:Moved";
pub(crate) const ZONE: &str = "BEGIN:VTIMEZONE\nTZID:Own\nBEGIN:STANDARD\nDTSTART:19700101T000000\nTZOFFSETFROM:+0330\nTZOFFSETTO:+0330\nEND:STANDARD\nEND:VTIMEZONE\n";

/// An event in one component or more.
pub(crate) fn text(uid: &str, head: &str, kind: &str, components: &[&str]) -> String {
    let component =
        |lines: &&str| format!("BEGIN:{kind}\nUID:{uid}\nDTSTAMP:20260101T000000Z\n{lines}\nEND:{kind}\n");
    let components: String = components.iter().map(component).collect();
    format!("BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\n{head}{components}END:VCALENDAR\n").replace('\n', "\r\n")
}

/// What JMAP shows in full, in part and not at all.
fn texts() -> Vec<(&'static str, String)> {
    let timed = "DTSTART;TZID=Europe/Berlin:20260105T100000\nDURATION:PT1H\nSUMMARY:Timed";
    let own = "DTSTART;TZID=Own:20260105T100000\nDTEND;TZID=Own:20260105T110000\nSUMMARY:Own zone";
    let scheduled = format!("{SERIES}\nORGANIZER:mailto:alice@example.org\nATTENDEE:mailto:bob@example.org");
    vec![
        ("timed", text("timed", "", "VEVENT", &[timed])),
        ("series", text("series", "", "VEVENT", &[SERIES])),
        ("moved", text("moved", "", "VEVENT", &[SERIES, MOVED])),
        ("task", text("task", "", "VTODO", &[SERIES, MOVED])),
        ("zone", text("zone", ZONE, "VEVENT", &[own])),
        ("journal", text("journal", "", "VJOURNAL", &["DTSTART;VALUE=DATE:20260105\nSUMMARY:Diary"])),
        ("scheduled", text("scheduled", "", "VEVENT", &[&scheduled, MOVED])),
    ]
}

/// Texts by UID, each a list of lines in any order, without stamps.
pub(crate) fn held(account: &AccountHandle) -> BTreeMap<String, Vec<String>> {
    let told = |text: &str| {
        let lines = text.lines().filter(|line| !line.starts_with("DTSTAMP") && !line.starts_with("PRODID"));
        let mut lines: Vec<String> = lines.map(|line| line.replace('"', "")).collect();
        lines.sort();
        lines
    };
    let uid = |lines: &[String]| lines.iter().find(|line| line.starts_with("UID:")).expect("a UID").clone();
    let resources = account.calendar_resources();
    resources.iter().map(|it| told(&it.text)).map(|lines| (uid(&lines), lines)).collect()
}

pub(crate) async fn two() -> Two {
    let two = Two::unsaved(alice(0).objects(1, 0, 0), Limits::default(), Version::V0_16).await;
    for (name, text) in texts() {
        two.home.alice.put_calendar_resource("Calendar 0", &format!("{name}.ics"), &text);
    }
    assert_eq!(two.home.backup().await.state, BackupState::Good);
    assert_texts(&two.home.bed.newest(&two.home.url).await.1, &two.home.alice).await;
    two
}

pub(crate) fn events(restored: &Restored) -> &RestoredObjects {
    restored.objects.iter().find(|of| of.data_type == DataType::CalendarEvent).expect("it is told")
}

/// Nobody is written to: that alone does not come back, and is named.
fn assert_all_but_scheduled(
    restored: &Restored,
    found: &BTreeMap<String, Vec<String>>,
    expected: &BTreeMap<String, Vec<String>>,
) {
    let events = events(restored);
    let [note] = events.notes.as_slice() else { panic!("{events:#?}") };
    assert!(note.contains("On call") && note.contains("participants"), "{note}");
    assert_eq!((events.restored, events.refused_count), (7, 0), "{events:#?}");
    let others = |texts: &BTreeMap<String, Vec<String>>| {
        let mut texts = texts.clone();
        texts.remove("UID:scheduled");
        texts
    };
    assert_eq!(others(found), others(expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_jmap_does_not_show_of_events_comes_back() {
    for mode in [Mode::Missing, Mode::Exact, Mode::Beside] {
        let two = two().await;
        let expected = held(&two.home.alice);
        let restored = two.give_bob(mode, &RestoreId::random()).await.expect("restores");
        assert_all_but_scheduled(&restored, &held(&two.bob), &expected);
        let again = two.give_bob(mode, &RestoreId::random()).await.expect("restores");
        assert_eq!(events(&again).restored, 0, "{again:#?}");
    }
}

/// Texts are compared a hundred at a time; only those that say more are put.
#[tokio::test(flavor = "multi_thread")]
async fn many_series_cost_few_requests() {
    let two = Two::unsaved(alice(0).objects(1, 0, 0), Limits::default(), Version::V0_16).await;
    for number in 0..250 {
        let (name, uid) = (format!("{number}.ics"), format!("series-{number}"));
        let components: &[&str] = if number % 50 == 0 { &[SERIES, MOVED] } else { &[SERIES] };
        two.home.alice.put_calendar_resource("Calendar 0", &name, &text(&uid, "", "VEVENT", components));
    }
    assert_eq!(two.home.backup().await.state, BackupState::Good);
    let (expected, before) = (held(&two.home.alice), two.home.simulator.counters());
    two.give_bob(Mode::Missing, &RestoreId::random()).await.expect("restores");
    let asked = two.home.simulator.counters().since(&before);
    assert_eq!(held(&two.bob), expected);
    let calendars = two.bob.content(Kind::Calendar).len() as u64;
    // Where the calendars are, what lies in each, three times a hundred texts, five that are put, and what came of these; what programs set
    // to the default calendar and address book, twice.
    assert!(asked.caldav <= 1 + calendars + 3 + 5 + 3 + 4, "{asked:#?}");
    assert_eq!(asked.calls_of("CalDAV/PUT"), 5);
}

/// A restore that is cut off at any of its requests by CalDAV goes on.
#[tokio::test(flavor = "multi_thread")]
async fn texts_come_back_whatever_request_fails() {
    let two = two().await;
    let expected = held(&two.home.alice);
    let faults = two.home.simulator.faults();
    for effect in [
        Effect::Status { code: 500, retry_after: None },
        Effect::Reset { after: 20 },
        Effect::ResetUnserved,
        Effect::InvalidJson,
    ] {
        for skipped in 0..12 {
            for (id, _) in two.bob.content(Kind::CalendarEvent) {
                two.bob.remove(Kind::CalendarEvent, &id);
            }
            let fault = faults.add(Fault::new(Target::CalDav, effect.clone()).after(skipped).times(1));
            let id = RestoreId::random();
            let mut restored = two.give_bob(Mode::Missing, &id).await;
            if restored.is_err() {
                restored = two.give_bob(Mode::Missing, &id).await;
            }
            faults.remove(fault);
            let restored = restored.unwrap_or_else(|error| panic!("{effect:?} {skipped}: {error}"));
            // A malformed answer is not asked for again, and what it was about is named.
            let is_named = |told: &str| told.contains("malformed") || told.contains("does not show");
            let reasons = events(&restored).refused.iter().map(|refusal| &refusal.reason);
            if events(&restored).notes.iter().chain(reasons).any(|told| is_named(told)) {
                assert!(matches!(effect, Effect::InvalidJson), "{restored:#?}");
                continue;
            }
            assert_all_but_scheduled(&restored, &held(&two.bob), &expected);
        }
    }
}

/// As a client of the account's owner does it.
pub(crate) fn put(account: &AccountHandle, name: &str, text: &str) {
    account.put_calendar_resource("Calendar 0", &format!("{name}.ics"), text);
}

/// Servers write to those who take part in what is put, and to those who no longer do.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_with_participants_is_put() {
    let people = "ORGANIZER:mailto:alice@example.org\nattendee:mailto:bob@example.org";
    let diary = format!("DTSTART;VALUE=DATE:20260105\nSUMMARY:Diary\n{people}");
    // JMAP shows nothing of an occurrence of an all-day series.
    let invited = format!("{MOVED}\n{people}");
    let two = Two::unsaved(alice(0).objects(1, 0, 0), Limits::default(), Version::V0_16).await;
    put(&two.home.alice, "diary", &text("diary", "", "VJOURNAL", &[&diary]));
    put(&two.home.alice, "moved", &text("moved", "", "VEVENT", &[SERIES, MOVED]));
    assert_eq!(two.home.backup().await.state, BackupState::Good);
    let number = two.home.bed.newest(&two.home.url).await.1.info().number;
    let before = two.home.simulator.counters();
    let restored = two.give_bob(Mode::Missing, &RestoreId::random()).await.expect("restores");
    assert!(events(&restored).refused[0].reason.contains("participants"), "{restored:#?}");
    assert_eq!(two.home.simulator.counters().since(&before).calls_of("CalDAV/PUT"), 1);
    // Invited since: an exact restore would call them off.
    put(&two.home.alice, "moved", &text("moved", "", "VEVENT", &[SERIES, &invited]));
    let before = two.home.simulator.counters();
    let bed = &two.home.bed;
    let restored = bed.restore(&two.home.url, Some(number), bed, Mode::Exact, &RestoreId::random()).await;
    let restored = restored.expect("restores");
    assert_eq!(two.home.simulator.counters().since(&before).calls_of("CalDAV/PUT"), 0);
    assert!(events(&restored).notes.iter().any(|note| note.contains("participants")), "{restored:#?}");
}

/// In both directions, and what is the same is left alone.
#[tokio::test(flavor = "multi_thread")]
async fn exact_gives_and_takes_what_jmap_does_not_show() {
    for (kept, now) in [(vec![SERIES], vec![SERIES, MOVED]), (vec![SERIES, MOVED], vec![SERIES])] {
        let home = Home::of(alice(0).objects(1, 0, 0)).await;
        put(&home.alice, "series", &text("series", "", "VEVENT", &kept));
        put(&home.alice, "other", &text("other", "", "VEVENT", &[SERIES, MOVED]));
        home.good_backup().await;
        let (expected, number) = (held(&home.alice), home.bed.newest(&home.url).await.1.info().number);
        put(&home.alice, "series", &text("series", "", "VEVENT", &now));
        for puts in [1, 0] {
            let before = home.simulator.counters();
            let id = RestoreId::random();
            let restored = home.bed.restore(&home.url, Some(number), &home.bed, Mode::Exact, &id).await;
            let restored = restored.expect("restores");
            assert!(events(&restored).is_whole() && events(&restored).changed == puts, "{restored:#?}");
            assert_eq!(held(&home.alice), expected);
            assert_eq!(home.simulator.counters().since(&before).calls_of("CalDAV/PUT"), puts);
        }
    }
}

/// What its owner made of an event since an earlier attempt made it stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_goes_on_undoes_nobodys_change() {
    let two = two().await;
    let faults = two.home.simulator.faults();
    let id = RestoreId::random();
    // Nothing is tried again with credentials that are refused.
    let refused = Effect::Status { code: 401, retry_after: None };
    let fault = faults.add(Fault::new(Target::method("CalDAV/PUT"), refused).after(3));
    two.give_bob(Mode::Missing, &id).await.expect_err("it is cut off");
    faults.remove(fault);
    let mine = text("series", "", "VEVENT", &[SERIES, "RECURRENCE-ID;VALUE=DATE:20260119\nSUMMARY:Mine"]);
    let moved = text("moved", "", "VEVENT", &[SERIES, "RECURRENCE-ID;VALUE=DATE:20260119\nSUMMARY:Mine"]);
    for (uid, changed) in [("UID:series", &mine), ("UID:moved", &moved)] {
        let resources = two.bob.calendar_resources();
        let it = resources.iter().find(|it| it.text.contains(&format!("{uid}\r\n"))).expect("it came");
        let name = it.path.rsplit('/').next().expect("a name");
        two.bob.put_calendar_resource("Calendar 0", name, changed);
    }
    let restored = two.give_bob(Mode::Missing, &id).await.expect("goes on");
    // Of the series nothing is missing; the other one has lost the occurrence that was moved.
    let named = events(&restored).notes.iter().filter(|note| note.contains("somebody has changed it"));
    assert_eq!(named.count(), 1, "{:#?}", events(&restored));
    let texts = held(&two.bob);
    for uid in ["UID:series", "UID:moved"] {
        assert!(texts[uid].iter().any(|line| line == "SUMMARY:Mine"), "{texts:#?}");
    }
    assert!(texts["UID:task"].iter().any(|line| line == "SUMMARY:Moved"), "{texts:#?}");
}

/// The server makes text of the occurrences that JMAP shows. That is nobody's change: the snapshot's text takes its place.
#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_goes_on_puts_the_texts_of_what_it_has_made() {
    let series = "DTSTART;TZID=Own:20260105T100000\nDURATION:PT1H\nRRULE:FREQ=WEEKLY;COUNT=10\nSUMMARY:Sync";
    let moved = "RECURRENCE-ID;TZID=Own:20260112T100000\nDTSTART;TZID=Own:20260113T113000\nDURATION:PT1H\nSUMMARY:Moved";
    let two = Two::unsaved(alice(0).objects(1, 0, 0), Limits::default(), Version::V0_16).await;
    put(&two.home.alice, "zoned", &text("zoned", ZONE, "VEVENT", &[series, moved]));
    put(&two.home.alice, "plain", &text("plain", "", "VEVENT", &[SERIES, MOVED]));
    assert_eq!(two.home.backup().await.state, BackupState::Good);
    let (expected, faults) = (held(&two.home.alice), two.home.simulator.faults());
    for (mode, puts) in
        [Mode::Missing, Mode::Exact, Mode::Beside].into_iter().flat_map(|mode| [(mode, 0), (mode, 1)])
    {
        for (id, _) in two.bob.content(Kind::CalendarEvent) {
            two.bob.remove(Kind::CalendarEvent, &id);
        }
        let id = RestoreId::random();
        let refused = Effect::Status { code: 401, retry_after: None };
        let fault = faults.add(Fault::new(Target::method("CalDAV/PUT"), refused).after(puts));
        two.give_bob(mode, &id).await.expect_err("it is cut off");
        faults.remove(fault);
        assert_ne!(held(&two.bob), expected);
        let restored = two.give_bob(mode, &id).await.expect("goes on");
        assert!(events(&restored).is_whole() && events(&restored).restored == 2, "{mode:?}: {restored:#?}");
        assert_eq!(held(&two.bob), expected, "{mode:?} after {puts}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_jmap_does_not_show_is_in_the_next_backup() {
    let home = Home::of(alice(0).objects(1, 3, 0)).await;
    home.alice.put_calendar_resource("Calendar 0", "moved.ics", &text("moved", "", "VEVENT", &[SERIES]));
    home.good_backup().await;
    home.alice.put_calendar_resource(
        "Calendar 0",
        "moved.ics",
        &text("moved", "", "VEVENT", &[SERIES, MOVED]),
    );
    home.good_backup().await;
    let before = home.simulator.counters();
    home.good_backup().await;
    assert_eq!(home.simulator.counters().since(&before).caldav, 0, "an unchanged night asks for no text");
    assert_eq!(home.bed.checked(&home.url).await, 3);
}

/// Two events of one UID, which servers take in two calendars.
#[tokio::test(flavor = "multi_thread")]
async fn events_of_one_uid_keep_their_own_texts() {
    let home = Home::of(alice(0).objects(1, 0, 0)).await;
    home.alice.put_calendar_resource("Calendar 0", "a.ics", &text("twin", "", "VEVENT", &[SERIES]));
    home.alice.put_calendar_resource("Other", "b.ics", &text("twin", "", "VEVENT", &[SERIES, MOVED]));
    home.good_backup().await;
}

/// The same in two calendars of one name: told apart by an event that one of them alone has, else named. All others keep their texts.
#[tokio::test(flavor = "multi_thread")]
async fn of_calendars_of_one_name_only_what_is_not_told_lacks_its_text() {
    for is_told in [true, false] {
        let home = Home::of(alice(0).objects(1, 3, 0)).await;
        let put = |calendar, uid, of: &[&str]| {
            let text = text(uid, "", "VEVENT", of);
            home.alice.put_calendar_resource(calendar, &format!("{uid}.ics"), &text)
        };
        let twins = [put("First", "twin", &[SERIES]), put("Second", "twin", &[SERIES, MOVED])];
        if is_told {
            put("First", "first", &[SERIES, MOVED]);
        }
        let rename = |from: &str, to: &str| {
            let calendars = home.alice.content(Kind::Calendar);
            let (id, _) = calendars.iter().find(|(_, it)| it["name"] == from).expect("it is there");
            home.alice.edit(Kind::Calendar, id, |it| it["name"] = to.into());
            id.clone()
        };
        let second = rename("Second", "First");
        if is_told {
            home.good_backup().await;
            continue;
        }
        let report = home.backup().await;
        assert_eq!(report.state, BackupState::Good, "{report:#?}");
        let events = report.types.iter().find(|it| it.data_type == DataType::CalendarEvent).expect("told");
        assert!(matches!(&events.not_given[..], [text] if text.contains("UID")), "{report:#?}");
        let rows = home.bed.newest(&home.url).await.1.objects_of(DataType::CalendarEvent).await;
        let rows = rows.expect("reads");
        assert!(rows.iter().all(|row| row.blob.is_some() != twins.contains(&row.id)), "{rows:#?}");
        home.alice.edit(Kind::Calendar, &second, |it| it["name"] = "Second".into());
        home.good_backup().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_shown_by_caldav_is_named() {
    for caldav in [CalDav::Missing, CalDav::Forbidden] {
        let home = Home::of(alice(0).objects(1, 3, 0)).await;
        home.simulator.set_caldav(caldav);
        let report = home.backup().await;
        assert_eq!(report.state, BackupState::Good, "{report:?}");
        let events = report.types.iter().find(|it| it.data_type == DataType::CalendarEvent).expect("told");
        assert_eq!(events.not_given, ["text by CalDAV"], "{report:?}");
        home.simulator.set_caldav(CalDav::Offered);
        home.good_backup().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_fetched_by_caldav_now_is_tried_again() {
    for method in ["CalDAV/PROPFIND", "CalDAV/calendar-query", "CalDAV/calendar-multiget"] {
        let home = Home::of(alice(0).objects(1, 3, 0)).await;
        let busy = Effect::Status { code: 503, retry_after: None };
        let fault = home.simulator.faults().add(Fault::new(Target::method(method), busy));
        for _ in 0..2 {
            let report = home.backup().await;
            assert_eq!(
                (report.state, report.failures.len()),
                (BackupState::Partial, 3),
                "{method}: {report:?}"
            );
            assert!(report.failures[0].reason.contains("text"), "{report:?}");
        }
        home.simulator.faults().remove(fault);
        home.good_backup().await;
        // What is there stays where it fails later, however often.
        let busy = Effect::Status { code: 503, retry_after: None };
        let fault = home.simulator.faults().add(Fault::new(Target::method(method), busy));
        home.alice.put_calendar_resource("Calendar 0", "new.ics", &text("new", "", "VEVENT", &[SERIES]));
        for _ in 0..2 {
            assert_eq!(home.backup().await.state, BackupState::Partial);
            let snapshot = home.bed.newest(&home.url).await.1;
            let events = snapshot.objects_of(DataType::CalendarEvent).await.expect("reads");
            assert_eq!(events.iter().filter(|event| event.blob.is_some()).count(), 3, "{method}");
        }
        home.simulator.faults().remove(fault);
        home.good_backup().await;
    }
}
