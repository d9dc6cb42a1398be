//! Whole calendars and address books, as other programs import them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use export::{Format, Topic};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use model::DataType;
use serde_json::{Value, json};

use crate::mailbox::Mailbox;
use crate::place::{Container, Place};

fn add(mailbox: &mut Mailbox, data_type: DataType, id: &str, json: &Value) {
    mailbox.object(data_type, id, json, None);
}

fn event(uid: &str, calendars: &[&str], more: &Value) -> Value {
    let ids: BTreeMap<&str, bool> = calendars.iter().map(|id| (*id, true)).collect();
    let mut event =
        json!({"@type": "Event", "uid": uid, "title": uid, "calendarIds": ids, "duration": "PT1H"});
    event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    event
}

#[test]
fn each_calendar_and_each_address_book_is_a_file() {
    let mut mailbox = Mailbox::default();
    let at = json!({"start": "2026-07-01T09:00:00", "timeZone": "America/Phoenix"});
    let on_mars = json!({"start": "2026-07-01T09:00:00", "timeZone": "Mars/Olympus"});
    add(&mut mailbox, DataType::CalendarEvent, "e1", &event("both", &["k1", "k2"], &at));
    add(&mut mailbox, DataType::CalendarEvent, "e2", &event("first", &["k1"], &at));
    add(&mut mailbox, DataType::CalendarEvent, "e3", &event("astray", &["gone"], &on_mars));
    add(&mut mailbox, DataType::CalendarEvent, "e4", &event("nowhere", &[], &at));
    add(&mut mailbox, DataType::Calendar, "k1", &json!({"name": "Work"}));
    add(&mut mailbox, DataType::Calendar, "k2", &json!({"name": "work"}));
    add(&mut mailbox, DataType::Calendar, "k3", &json!({"name": "Empty"}));
    add(&mut mailbox, DataType::AddressBook, "a1", &json!({"name": "People/here"}));
    for (id, name) in [("c1", "Ann"), ("c2", "Bob")] {
        let card = json!({"@type": "Card", "version": "1.0", "uid": id, "name": {"full": name}, "addressBookIds": {"a1": true}});
        add(&mut mailbox, DataType::ContactCard, id, &card);
    }
    for format in [Format::AccountDirectory, Format::Maildir, Format::Mbox] {
        let place = Place::new(Container::Folder);
        let report = place.write(format, &mailbox).unwrap();
        let read = |path: &str| fs::read_to_string(place.export().join(path)).unwrap();
        let uids = |path: &str| {
            let text = read(path);
            assert!(
                text.starts_with("BEGIN:VCALENDAR\r\n") && text.ends_with("\r\nEND:VCALENDAR\r\n"),
                "{text}"
            );
            let zones = text.matches("BEGIN:VTIMEZONE").count();
            let uids: Vec<String> =
                text.lines().filter_map(|line| line.strip_prefix("UID:")).map(str::to_owned).collect();
            (uids, zones)
        };
        let found = ["Work", "work (2)", "No calendar", "No calendar (2)"]
            .map(|name| uids(&format!("calendars/{name}.ics")));
        let both =
            |uids: &[&str], zones| (uids.iter().map(|uid| (*uid).to_owned()).collect::<Vec<_>>(), zones);
        assert_eq!(found[..2], [both(&["both", "first"], 1), both(&["both"], 1)], "{format}");
        let mut astray = [found[2].clone(), found[3].clone()];
        astray.sort();
        assert_eq!(astray, [both(&["astray"], 0), both(&["nowhere"], 1)], "{format}");
        let book = read("contacts/People_here.vcf");
        assert_eq!(book.matches("BEGIN:VCARD\r\n").count(), 2, "{book}");
        assert!(book.contains("FN:Ann\r\n") && book.ends_with("END:VCARD\r\n"), "{book}");
        assert_eq!(fs::read_dir(place.export().join("calendars/single")).unwrap().count(), 4);
        let unknown = &report.notes[&Topic::UnknownZone];
        assert!(unknown.count == 1 && unknown.named[0].contains("Mars/Olympus"), "{unknown:?}");
    }
}

/// Zones with rules of their own, before and after their clocks change, once and in series, with an occurrence that is moved.
#[test]
fn thunderbirds_library_sees_events_when_they_are() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/node.sh");
    let installed = Command::new("sh").arg(script).output().expect("runs sh");
    if !installed.status.success() {
        let why = String::from_utf8_lossy(&installed.stderr);
        return eprintln!("SKIPPED: the JavaScript packages cannot be installed: {why}");
    }
    let modules = String::from_utf8(installed.stdout).unwrap();
    let zones = [
        "America/Phoenix",
        "America/New_York",
        "America/St_Johns",
        "Europe/Berlin",
        "Europe/Lisbon",
        "Africa/Cairo",
        "Asia/Kolkata",
        "Asia/Kathmandu",
        "Australia/Lord_Howe",
        "Pacific/Auckland",
        "Pacific/Chatham",
        "America/Sao_Paulo",
    ];
    let starts = [
        "1999-10-25T02:30:00",
        "2026-01-15T09:00:00",
        "2026-03-20T02:30:00",
        "2026-10-20T23:30:00",
        "2051-06-01T12:00:00",
    ];
    let (mut mailbox, mut expected) = (Mailbox::default(), BTreeMap::new());
    add(&mut mailbox, DataType::Calendar, "k", &json!({"name": "All"}));
    for (zone, start) in zones.into_iter().flat_map(|zone| starts.map(|start| (zone, start))) {
        let uid = format!("{zone} {start}");
        let rule = json!({"@type": "RecurrenceRule", "frequency": "weekly", "count": 4});
        let first: DateTime = start.parse().unwrap();
        let weeks = (0..4).map(|week| first.checked_add(jiff::Span::new().days(7 * week)).unwrap());
        let mut at: Vec<DateTime> = weeks.collect();
        let moved = at[2].checked_add(jiff::Span::new().hours(5)).unwrap();
        let overrides = json!({at[2].to_string(): {"start": moved.to_string()}});
        at[2] = moved;
        let series = json!({"start": start, "timeZone": zone, "recurrenceRule": rule, "recurrenceOverrides": overrides});
        add(&mut mailbox, DataType::CalendarEvent, &uid, &event(&uid, &["k"], &series));
        let zone = TimeZone::get(zone).unwrap();
        let begins = at.into_iter().map(|at| at.to_zoned(zone.clone()).unwrap().timestamp().as_second());
        expected.insert(uid, begins.collect::<Vec<i64>>());
    }
    let place = Place::new(Container::Folder);
    place.write(Format::Mbox, &mailbox).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/calendars.mjs");
    let file = place.export().join("calendars/All.ics");
    let read =
        Command::new("node").arg(script).arg(modules.trim()).arg(file).arg("4").output().expect("runs node");
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let found: BTreeMap<String, Vec<i64>> = serde_json::from_slice(&read.stdout).unwrap();
    for (uid, begins) in &expected {
        assert_eq!(&found[uid], begins, "{uid}");
    }
    assert_eq!(found.len(), expected.len());
}
