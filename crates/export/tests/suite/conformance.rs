use std::fs;

use export::{Error, Format, Origin, Receiver, Topic, Writer};
use model::DataType;
use proptest::prelude::*;
use serde_json::json;

use crate::mailbox::{Mailbox, full};
use crate::place::{Container, Place, everywhere};

#[test]
fn everything_comes_back() {
    let mailbox = full();
    everywhere(|format, container| {
        let place = Place::new(container);
        let report = place.write(format, &mailbox).unwrap();
        place.assert_clean();
        let (found, back) = place.read().unwrap();
        place.assert_clean();
        assert_eq!(found, format);
        assert_eq!(back.emails, mailbox.emails);
        assert_eq!(back.sorted().objects, mailbox.clone().sorted().objects);
        assert_eq!(report.emails, mailbox.emails.len() as u64);
        assert!(report.notes[&Topic::Homeless].count >= 3, "{report}");
        assert_eq!(report.notes[&Topic::UnknownFolder].count, 3, "{report}");
    });
}

#[test]
fn one_format_is_read_into_another() {
    let mailbox = full();
    let mut from = Place::new(Container::Zip);
    from.write(Format::ALL[3], &mailbox).unwrap();
    for format in Format::ALL {
        let place = Place::new(Container::TarZst);
        let mut writer = Writer::create(format, place.target(), &place.spool(), &Origin::default()).unwrap();
        export::read(&from.export(), &from.spool(), export::Limits::GENEROUS, &mut writer).unwrap();
        writer.finish().unwrap();
        from = place;
    }
    let (_, back) = from.read().unwrap();
    assert_eq!(back.emails, mailbox.emails);
    assert_eq!(back.sorted().objects, mailbox.sorted().objects);
}

#[test]
fn an_empty_mailbox_is_an_export_too() {
    everywhere(|format, container| {
        let place = Place::new(container);
        let report = place.write(format, &Mailbox::default()).unwrap();
        assert!(report.notes.is_empty());
        assert_eq!(place.read().unwrap(), (format, Mailbox::default()));
    });
}

#[test]
fn what_is_dropped_or_fails_leaves_nothing() {
    let mailbox = full();
    everywhere(|format, container| {
        let place = Place::new(container);
        let mut writer = Writer::create(format, place.target(), &place.spool(), &Origin::default()).unwrap();
        mailbox.give(&mut writer).unwrap();
        drop(writer);
        assert_eq!(crate::place::names(&place.spool()).len(), 0);
        match container {
            Container::Folder => assert!(!place.export().exists()),
            _ => drop(place.read().unwrap_err()),
        }
    });
}

#[test]
fn what_is_stopped_leaves_nothing() {
    let mailbox = full();
    for format in Format::ALL {
        let place = Place::new(Container::Folder);
        let at = |name: &str| place.dir.join(name);
        let file = |name: &str| export::Output::File(at(name));
        for (name, target) in [
            ("mail", export::Target::Folder(at("mail"))),
            ("mail.zip", export::Target::Zip(file("mail.zip"))),
            ("mail.tar.zst", export::Target::TarZst(file("mail.tar.zst"))),
        ] {
            let mut writer = Writer::create(format, target, &place.spool(), &Origin::default()).unwrap();
            mailbox.give(&mut writer).unwrap();
            writer.stopper().stop();
            writer.finish().unwrap_err();
            assert_eq!(crate::place::names(&place.dir), ["spool".to_owned()].into(), "{format} {name}");
            assert_eq!(crate::place::names(&place.spool()).len(), 0);
        }
    }
}

#[test]
fn content_that_fails_costs_its_item_and_nothing_else() {
    struct Damaged;
    impl std::io::Read for Damaged {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("damaged"))
        }
    }
    everywhere(|format, container| {
        let place = Place::new(container);
        let mut writer = Writer::create(format, place.target(), &place.spool(), &Origin::default()).unwrap();
        let json = br#"{"id": "s", "name": "filter"}"#;
        for bytes in [&mut &b"four"[..] as &mut dyn std::io::Read, &mut Damaged] {
            let content = Some(export::Content { length: 3, bytes });
            let object = export::Object { data_type: DataType::SieveScript, id: "s", json, content };
            writer.object(object).unwrap_err();
        }
        let id = "e".into();
        let email = export::Email { id: &id, folders: &[], keywords: &[], received_at: 0, size: 3 };
        let error = writer.email(&email, &mut &b"four"[..]).unwrap_err();
        assert!(matches!(error, Error::Length { announced: 3, found: 4, .. }), "{error}");
        // Long enough to be spooled as it comes.
        let long = export::Email { size: 9 << 20, ..email };
        let error = writer.email(&long, &mut Damaged).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error}");
        writer.lost("email e");
        writer.email(&email, &mut &b"all"[..]).unwrap();
        let report = writer.finish().unwrap();
        assert_eq!((report.emails, report.objects.len(), report.notes[&Topic::Lost].count), (1, 0, 1));
        let (_, read) = place.read().unwrap();
        assert_eq!(
            (read.objects.len(), read.emails.len(), read.emails[0].raw.as_slice()),
            (0, 1, &b"all"[..])
        );
        place.assert_clean();
    });
}

#[test]
fn what_cannot_be_written_ends_the_export() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let place = Place::new(Container::Zip);
    let target = export::Target::Zip(export::Output::Stream(Box::new(Full)));
    let mut writer = Writer::create(Format::Maildir, target, &place.spool(), &Origin::default()).unwrap();
    let id = "e".into();
    let email = export::Email { id: &id, folders: &[], keywords: &[], received_at: 0, size: 3 };
    let error = writer.email(&email, &mut &b"all"[..]).unwrap_err();
    assert!(error.is_full(), "{error}");
    let error = writer.email(&email, &mut &b"all"[..]).unwrap_err();
    assert!(matches!(error, Error::Misused { .. }), "{error}");
    writer.finish().unwrap_err();
}

#[test]
fn a_directory_that_is_not_empty_is_refused_and_left_alone() {
    let place = Place::new(Container::Folder);
    fs::create_dir(place.export()).unwrap();
    fs::write(place.export().join("mine"), "x").unwrap();
    let error = place.write(Format::Mbox, &Mailbox::default()).unwrap_err();
    assert!(matches!(error, Error::Occupied { .. }), "{error}");
    assert_eq!(fs::read_to_string(place.export().join("mine")).unwrap(), "x");
}

#[test]
fn the_report_names_what_is_not_as_it_was() {
    let mailbox = full();
    for (format, topics) in [
        (Format::AccountDirectory, &[Topic::OnlyBeside, Topic::Orphaned, Topic::DateChanged][..]),
        (Format::Vandelay, &[Topic::OnlyBeside, Topic::MadeUnique, Topic::NoContent]),
        (Format::Maildir, &[Topic::Renamed, Topic::KeywordsBeside, Topic::LeftOut]),
        (Format::Mbox, &[Topic::Renamed, Topic::KeywordsBeside, Topic::Copied]),
    ] {
        let place = Place::new(Container::Folder);
        let report = place.write(format, &mailbox).unwrap();
        for topic in topics {
            assert!(report.notes.contains_key(topic), "{topic:?} {report}");
        }
        let text = fs::read_to_string(place.export().join("REPORT.txt")).unwrap();
        assert_eq!(text, report.to_string());
    }
}

/// A card of the mailbox has a photo by the id of a blob; an event has its text as iCalendar, and refers to a blob, too.
#[test]
fn blobs_of_the_server_that_cards_and_events_refer_to_are_named() {
    let mut mailbox = full();
    let json = json!({"id": "ev2", "@type": "Event", "uid": "ev2-uid", "start": "2026-03-01T09:00:00",
        "links": {"lost": {"blobId": "b"}, "known": {"blobId": "b", "href": "https://example.org/agenda"}}});
    let text = b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:ev2-uid\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    mailbox.object(DataType::CalendarEvent, "ev2", &json, Some(text));
    let json =
        json!({"id": "c3", "uid": "u3", "media": {"m": {"kind": "photo", "blobId": "b", "uri": "data:,x"}}});
    mailbox.object(DataType::ContactCard, "c3", &json, None);
    for format in Format::ALL {
        let place = Place::new(Container::Folder);
        let report = place.write(format, &mailbox).unwrap();
        let named = &report.notes[&Topic::NoContent].named;
        let is_named = |what: &str| named.iter().any(|line| line.contains(what));
        let is_ours = match format {
            Format::Vandelay => is_named("attachment of `u1`") && is_named("attachment of `ev2-uid`"),
            _ => is_named("photo of ContactCard c1 `u1`"),
        };
        assert!(is_ours && !is_named("u3"), "{report}");
        let text = fs::read_to_string(place.export().join("REPORT.txt")).unwrap();
        assert!(text.contains("Contents that the backup does not hold"), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_and_any_names_come_back(
        raws in proptest::collection::vec(
            prop_oneof!["([>From \n\r\0a:]|From |>From |\n){0,40}".prop_map(String::into_bytes),
                proptest::collection::vec(any::<u8>(), 0..200)], 0..6),
        names in proptest::collection::vec(any::<String>(), 1..5),
        keywords in proptest::collection::vec(any::<String>(), 0..3),
        received_at in any::<i64>(),
        format in 0..4_usize,
        container in 0..3_usize,
    ) {
        let mut mailbox = Mailbox::default();
        for (n, name) in names.iter().enumerate() {
            let parent = n.checked_sub(1).map(|above| above.to_string());
            mailbox.folder(&n.to_string(), name, parent.as_deref());
        }
        let keywords: Vec<&str> = keywords.iter().map(String::as_str).collect();
        for (n, raw) in raws.iter().enumerate() {
            mailbox.email(&[&(n % names.len()).to_string(), "0"][..1 + n % 2], &keywords, received_at, raw);
        }
        let place = Place::new(Container::ALL[container]);
        place.write(Format::ALL[format], &mailbox).unwrap();
        prop_assert_eq!(place.read().unwrap(), (Format::ALL[format], mailbox));
    }
}
