//! Programs that are not ours read what we write.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use export::{Format, Options, Topic};
use model::DataType;
use serde_json::{Value, json};

use crate::mailbox::{Mailbox, OneEmail, full};
use crate::place::{Container, Place, run};

fn python(format: Format, place: &Place, expected: &Value) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/others.py");
    let json = place.dir.join("expected.json");
    fs::write(&json, expected.to_string()).unwrap();
    run(Command::new("python3").arg(script).arg(format.name()).arg(place.unpacked()).arg(json));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Letters for the keywords that have one, in alphabetical order.
fn letters(email: &OneEmail, known: &[(&str, char)]) -> String {
    let set = known.iter().filter(|(keyword, _)| email.keywords.iter().any(|has| has == keyword));
    set.map(|(_, letter)| letter).collect()
}

/// What is in each of the named folders.
fn by_folder(
    mailbox: &Mailbox,
    names: &[(&str, &str)],
    describe: impl Fn(&OneEmail) -> Value,
) -> BTreeMap<String, Vec<Value>> {
    let mut folders: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (_, name) in names {
        folders.entry((*name).to_owned()).or_default();
    }
    for email in &mailbox.emails {
        let known = |id: &str| names.iter().find(|(known, _)| *known == id).map(|(_, name)| *name);
        let mut homes: Vec<&str> = email.folders.iter().filter_map(|id| known(id)).collect();
        if homes.is_empty() {
            homes = known("none").into_iter().collect();
        }
        for home in homes {
            folders.get_mut(home).unwrap().push(describe(email));
        }
    }
    folders
}

#[test]
fn python_reads_the_maildir() {
    let mailbox = full();
    let flags = [("$draft", 'D'), ("$flagged", 'F'), ("$forwarded", 'P'), ("$answered", 'R'), ("$seen", 'S')];
    let names = [
        ("inbox", "INBOX"),
        ("late", "Projects%2f2026"),
        ("child", "Projects%2f2026/Grüße & Co."),
        ("in-inbox", "INBOX/below"),
        ("circle2", "two"),
        ("circle1", "two/one"),
        ("orphan", "orphan"),
        ("box", "Projects%2f2026/Grüße & Co./late.mbox"),
        ("role8", "INBOX (2)"),
        ("role9", "INBOX (3)"),
        ("role10", "INBOX (4)"),
        ("none", "No folder"),
    ];
    for container in Container::ALL {
        let latest = if container == Container::Zip { i64::from(i32::MAX) } else { i64::from(u32::MAX) };
        let expected = by_folder(&mailbox, &names, |email| {
            let has_flag =
                |keyword: &str| flags.iter().any(|(known, flag)| *known == keyword && *flag != 'P');
            let is_word = |keyword: &str| keyword.bytes().all(|byte| byte.is_ascii_graphic());
            let others = email.keywords.iter().filter(|keyword| !has_flag(keyword) && is_word(keyword));
            let mut others: Vec<&String> = others.collect();
            others.sort();
            let received = email.received_at.clamp(0, latest);
            json!([hex(&email.raw), letters(email, &flags), received, others])
        });
        let place = Place::new(container);
        place.write(Format::Maildir, &mailbox).unwrap();
        python(Format::Maildir, &place, &json!(expected));
    }
}

#[test]
fn python_reads_the_mboxes() {
    let mailbox = full();
    let flags = [("$seen", 'R'), ("$answered", 'A'), ("$flagged", 'F'), ("$draft", 'T')];
    let names = [
        ("inbox", "Inbox.mbox"),
        ("late", "Projects_2026.mbox"),
        ("child", "Projects_2026/Grüße & Co.mbox"),
        ("in-inbox", "Inbox/below.mbox"),
        ("circle2", "two.mbox"),
        ("circle1", "two/one.mbox"),
        ("orphan", "orphan.mbox"),
        ("box", "Projects_2026/Grüße & Co/late.mbox_.mbox"),
        ("none", "No folder.mbox"),
    ];
    // Within a file emails are sorted.
    let mut sorted = mailbox.clone();
    sorted.emails.sort_by_key(|email| (email.received_at, email.id.clone()));
    let expected = by_folder(&sorted, &names, |email| {
        let date = email.received_at.clamp(-62_135_596_800, 253_402_207_200);
        json!([hex(&email.raw), format!("O{}", letters(email, &flags)), date])
    });
    for container in Container::ALL {
        let place = Place::new(container);
        place.write(Format::Mbox, &mailbox).unwrap();
        python(Format::Mbox, &place, &json!(expected));
    }
}

const PLAIN: [&str; 4] = [
    "X-Plain: 1\r\nFrom: Ann <Ann@Example.ORG>\r\nTo: b@example.org, \"C, D\" <CD@example.org>\r\nSubject: Hello\r\n\
     Message-ID: <ABC@example.org>\r\nDate: Sat, 3 Jan 2026 09:00:00 -0730\r\n\r\nbody",
    "X-Plain: 1\nFrom: =?utf-8?q?J=C3=BCrgen?= <j@example.org>\nSubject: =?utf-8?b?SMOpbGxv?= world\nDate: Thu, 1 Jan 1970 00:00:00 +0000\n\n",
    "X-Plain: 1\n\nnothing\n",
    "X-Plain: 1\nTo: x@y.z\nMessage-ID: <only@id>\nSubject: a\n folded one\n\n",
];

#[test]
fn sqlite_reads_the_vandelay_archive() {
    let mut mailbox = full();
    for raw in PLAIN {
        mailbox.email(&["inbox"], &[], 0, raw.as_bytes());
    }
    let name = |id: &String| match id.as_str() {
        "inbox" => Some("Inbox"),
        "child" => Some("Grüße & Co."),
        "late" => Some("Projects/2026"),
        "circle1" => Some("one"),
        _ => None,
    };
    let emails = mailbox.emails.iter().map(|email| {
        let mut names: Vec<&str> = email.folders.iter().filter_map(name).collect();
        if names.is_empty() {
            names.push("No folder");
        }
        let seconds = email.received_at.clamp(-62_135_596_800, 253_402_207_200);
        let date = model::Timestamp::from_second(seconds).unwrap().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        json!([hex(&email.raw), date, names, email.keywords])
    });
    let counts = json!({"mailboxes": 12, "identities": 2, "sieve_scripts": 2, "address_books": 2, "contact_cards": 2,
        "calendars": 1, "calendar_events": 1, "participant_identities": 1, "file_nodes": 11});
    let expected = json!({"emails": emails.collect::<Vec<Value>>(), "counts": counts});
    for container in Container::ALL {
        let place = Place::new(container);
        place.write(Format::Vandelay, &mailbox).unwrap();
        python(Format::Vandelay, &place, &expected);
    }
}

#[test]
fn the_account_directory_is_as_stalwart_cli_expects() {
    let mailbox = full();
    for container in Container::ALL {
        let place = Place::new(container);
        place.write(Format::AccountDirectory, &mailbox).unwrap();
        let dir = place.unpacked();
        let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
        let array = |name: &str| -> Vec<Value> {
            assert!(!read(name).contains([' ', '\n']) || name != "sieve.json", "compact");
            serde_json::from_str(&read(name)).unwrap()
        };
        let blob =
            |value: &Value| fs::read(dir.join("blobs").join(value["blobId"].as_str().unwrap())).unwrap();
        account_emails(&mailbox, &array("emails.json"), &blob);
        account_folders(&array("mailboxes.json"));
        let scripts = array("sieve.json");
        assert_eq!(scripts.len(), 2, "vacation is none");
        assert_eq!(scripts[0]["name"], "main");
        assert_eq!(blob(&scripts[0]), b"keep; # s2\r\n");
        assert_eq!(array("vacation.json")[0]["id"], "singleton");
        let identity = json!({"id": "i1", "name": "Me", "email": "me@example.org", "textSignature": "-- \nme",
            "htmlSignature": "", "bcc": [{"name": null, "email": "x@example.org"}]});
        assert_eq!(array("identities.json")[0], identity);
    }
}

fn account_emails(mailbox: &Mailbox, emails: &[Value], blob: &dyn Fn(&Value) -> Vec<u8>) {
    assert_eq!(emails.len(), mailbox.emails.len());
    for (found, email) in emails.iter().zip(&mailbox.emails) {
        assert_eq!(found["id"], email.id.as_str());
        assert_eq!(blob(found), email.raw);
        let mut keywords: Vec<&str> = email.keywords.iter().map(String::as_str).collect();
        keywords.sort_unstable();
        assert_eq!(found["keywords"].as_object().unwrap().keys().collect::<Vec<_>>(), keywords);
        assert!(!found["mailboxIds"].as_object().unwrap().is_empty());
        let has_id = String::from_utf8_lossy(&email.raw).to_lowercase().contains("message-id:");
        assert!(found.get("messageId").map_or(!has_id, |ids| *ids != json!([])), "{found}");
    }
    assert!(emails.iter().any(|email| email.get("messageId").is_none()), "one has none");
    assert_eq!(emails[0]["mailboxIds"], json!({"inbox": true}));
    assert_eq!(emails[0]["messageId"], json!(["one@example.org"]));
    assert_eq!(emails[0]["receivedAt"], "1970-01-01T00:00:00Z");
    assert_eq!(emails[3]["mailboxIds"], json!({"malle-no-folder-1": true}));
    assert_eq!(emails[3]["receivedAt"], "2026-11-22T21:33:23Z");
}

fn account_folders(folders: &[Value]) {
    let inbox =
        json!({"id": "inbox", "name": "Inbox", "role": "inbox", "sortOrder": 1, "isSubscribed": true});
    assert!(folders.contains(&inbox), "{folders:?}");
    let mut seen = Vec::new();
    for folder in folders {
        let parent = folder.get("parentId");
        assert!(parent.is_none_or(|parent| seen.contains(&parent)), "parents come first");
        assert!(folder.get("role").is_none_or(|role| role != "" && !role.is_null()));
        seen.push(&folder["id"]);
    }
    assert!(seen.contains(&&json!("malle-no-folder-1")));
}

#[test]
fn contacts_events_scripts_and_files_lie_beside() {
    for format in [Format::AccountDirectory, Format::Maildir, Format::Mbox] {
        let place = Place::new(Container::Folder);
        place.write(format, &full()).unwrap();
        let read = |path: &str| fs::read_to_string(place.export().join(path)).unwrap();
        let contact = read("contacts/single/000001 Jürgen Groß.vcf");
        for line in ["BEGIN:VCARD", "VERSION:4.0", "FN:Jürgen Groß", "j@example.org", "UID:u1", "END:VCARD"]
        {
            assert!(contact.contains(line), "{line}: {contact}");
        }
        let event = read("calendars/single/000003 Standup.ics");
        for line in ["BEGIN:VCALENDAR", "UID:ev-uid", "SUMMARY:Standup", "RRULE:FREQ=WEEKLY", "SUMMARY:Moved"]
        {
            assert!(event.contains(line), "{line}: {event}");
        }
        assert_eq!(read("sieve/main.sieve"), "keep; # s2\r\n");
        assert_eq!(read("sieve/main (2).sieve"), "keep; # s3\r\n");
        assert_eq!(read("files/Documents/deep/notes.txt"), "late directory");
        assert_eq!(read("files/Documents/notes.txt"), "");
        assert_eq!(read("files/Documents/notes.txt"), "");
        assert_eq!(read("files/lost"), "orphan");
    }
}

/// Without the side files, as a foreign export or one that a mail program has changed.
#[test]
fn formats_are_read_without_side_files_too() {
    let mut mailbox = Mailbox::default();
    mailbox.folder("a", "Ärger. A/B", None);
    mailbox.folder("b", "below", Some("a"));
    for raw in crate::mailbox::RAW {
        mailbox.email(&["a"], &["$flagged", "$seen"], 1_700_000_000, raw);
        mailbox.email(&["b"], &[], 5, raw);
    }
    for format in Format::ALL {
        let place = Place::new(Container::Folder);
        place.write(format, &mailbox).unwrap();
        if format == Format::Vandelay {
            let script = "import sqlite3, sys\ndb = sqlite3.connect(sys.argv[1])\n\
                db.executescript('DROP TABLE malle_emails; DROP TABLE malle_objects')";
            run(Command::new("python3").args(["-c", script]).arg(place.export().join("archive.sqlite")));
        } else {
            fs::remove_dir_all(place.export().join("malle")).unwrap();
        }
        let (found, back) = place.read().unwrap();
        assert_eq!(found, format);
        foreign(format, &mailbox, &back);
    }
}

fn foreign(format: Format, written: &Mailbox, back: &Mailbox) {
    let keys = |mailbox: &Mailbox| {
        let mut keys: Vec<(i64, Vec<String>, Vec<u8>)> = mailbox
            .emails
            .iter()
            .map(|email| {
                let added = email.raw.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
                let is_added = format == Format::Mbox && email.raw.starts_with(b"Status: ");
                let mut raw = email.raw[if is_added { added } else { 0 }..].to_vec();
                if let Some(rest) =
                    raw.strip_prefix(b"X-Status: F\n").or(raw.strip_prefix(b"X-Status: F\r\n"))
                {
                    raw = rest.to_vec();
                }
                if format == Format::Mbox {
                    // An mbox cannot say whether the last line had an end; and foreign `Status` lines are not ours.
                    raw = raw.strip_suffix(b"\n").unwrap_or(&raw).to_vec();
                }
                (email.received_at, email.keywords.clone(), raw)
            })
            .collect();
        keys.retain(|(_, _, raw)| !raw.starts_with(b"Status: RO") && !raw.starts_with(b"X-Status: A"));
        keys.sort();
        keys
    };
    let (written_keys, back_keys) = (keys(written), keys(back));
    assert!(back.emails.len() == written.emails.len(), "{format}");
    assert_eq!(back_keys, written_keys, "{format}");
    let names: Vec<String> = back
        .objects
        .iter()
        .map(|object| {
            serde_json::from_str::<Value>(&object.json).unwrap()["name"].as_str().unwrap().to_owned()
        })
        .collect();
    let name = if format == Format::Mbox { "Ärger. A_B" } else { "Ärger. A/B" };
    assert!(names.contains(&name.to_owned()) && names.contains(&"below".to_owned()), "{format} {names:?}");
}

#[test]
fn thunderbirds_tree_is_read_with_and_without_the_side_files() {
    let mut mailbox = Mailbox::default();
    for (id, name, parent) in
        [("a", "Work", None), ("b", "late.sbd", Some("a")), ("c", "deep", Some("b")), ("d", "x.mbox", None)]
    {
        mailbox.folder(id, name, parent);
        mailbox.email(&[id], &[], 1_700_000_000, format!("Subject: {name}\n\n").as_bytes());
    }
    let place = Place::new(Container::Folder);
    let options = Options { thunderbird: true, ..Options::default() };
    place.write_with(Format::Mbox, &mailbox, options).unwrap();
    for path in ["mail/Work", "mail/Work.sbd/late.sbd_", "mail/Work.sbd/late.sbd_.sbd/deep", "mail/x.mbox_"] {
        assert!(place.export().join(path).is_file(), "{path}");
    }
    assert_eq!(place.read().unwrap().1.sorted(), mailbox.clone().sorted());
    fs::remove_dir_all(place.export().join("malle")).unwrap();
    let (_, foreign) = place.read().unwrap();
    assert_eq!(foreign.emails.len(), 4);
    let parents = foreign.objects.iter().map(|object| serde_json::from_str::<Value>(&object.json).unwrap());
    assert_eq!(parents.filter(|folder| !folder["parentId"].is_null()).count(), 2);
}

/// In each file as many whole emails as fit, in one that is too long for that alone; with and without the side files.
#[test]
fn an_mbox_is_split_between_emails() {
    let mut mailbox = Mailbox::default();
    mailbox.folder("a", "Work", None);
    mailbox.folder("b", "Work.part2", None);
    for number in 0..20_usize {
        let body = "From x\n".repeat(10 * number * (1 + 20 * (number % 10 / 9)));
        let raw = format!("Subject: {number}\nStatus: RO\n\n{body}");
        mailbox.email(&["a"], &["$flagged"], 1_700_000_000, raw.as_bytes());
    }
    mailbox.email(&["b"], &[], 1_700_000_000, b"Subject: other\n\n");
    let place = Place::new(Container::Folder);
    place.write_with(Format::Mbox, &mailbox, Options { split: Some(4000), ..Options::default() }).unwrap();
    let mut emails = 0;
    let mut long = 0;
    for entry in fs::read_dir(place.export().join("mail")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let found = text.matches("From MAILER-DAEMON").count();
        long += usize::from(text.len() > 4000);
        assert!(text.len() <= 4000 || found == 1, "{}", path.display());
        emails += found;
    }
    assert_eq!((emails, long), (21, 2));
    assert_eq!(place.read().unwrap().1.sorted(), mailbox.clone().sorted());
    fs::remove_dir_all(place.export().join("malle")).unwrap();
    let (_, foreign) = place.read().unwrap();
    assert_eq!(foreign.emails.len(), 21);
    // What an email says of its own status is no keyword.
    let flagged = |email: &&OneEmail| email.keywords == ["$flagged"];
    assert_eq!(foreign.emails.iter().filter(flagged).count(), 20);
}

/// Whatever order they come in, whatever the container, in one file or several; copies in other folders are sorted, too.
#[test]
fn emails_of_an_mbox_are_sorted_by_date_and_then_by_id() {
    let mut mailbox = Mailbox::default();
    mailbox.folder("a", "A", None);
    mailbox.folder("b", "B", None);
    for number in 0..40_i64 {
        let folders: &[&str] = if number % 3 == 0 { &["b", "a"] } else { &["a"] };
        // Of every date there are four, and ids as text are not in the order in which they come.
        let date = [i64::MIN, -5, 1_700_000_000, 0, i64::MAX][usize::try_from(number % 5).unwrap()];
        mailbox.email(
            folders,
            &[],
            date + i64::from(number < 20 && date == 0),
            format!("Subject: {number}\n\n").as_bytes(),
        );
    }
    let subjects = |id: &str| {
        let mut emails: Vec<&OneEmail> =
            mailbox.emails.iter().filter(|email| email.folders.iter().any(|folder| folder == id)).collect();
        emails.sort_by_key(|email| (email.received_at, &email.id));
        emails.iter().map(|email| String::from_utf8_lossy(&email.raw).trim().to_owned()).collect::<Vec<_>>()
    };
    for container in Container::ALL {
        for split in [None, Some(700)] {
            let place = Place::new(container);
            place.write_with(Format::Mbox, &mailbox, Options { split, ..Options::default() }).unwrap();
            place.assert_clean();
            assert_eq!(place.read().unwrap().1, mailbox, "the side files keep the order in which they came");
            let mail = place.unpacked().join("mail");
            for (id, name) in [("a", "A"), ("b", "B")] {
                let parts = (1..).map(|part| match part {
                    1 => mail.join(format!("{name}.mbox")),
                    part => mail.join(format!("{name}.part{part}.mbox")),
                });
                let texts: Vec<String> = parts.map_while(|path| fs::read_to_string(path).ok()).collect();
                assert_eq!(texts.len() > 1, split.is_some(), "{texts:?}");
                let text = texts.concat();
                let found: Vec<&str> = text.lines().filter(|line| line.starts_with("Subject")).collect();
                assert_eq!(found, subjects(id), "{container:?} {split:?} {name}");
            }
        }
    }
}

#[test]
fn portable_names_have_nothing_in_them_that_windows_refuses() {
    let mailbox = full();
    for container in Container::ALL {
        let place = Place::new(container);
        place
            .write_with(Format::Maildir, &mailbox, Options { portable_names: true, ..Options::default() })
            .unwrap();
        assert_eq!(place.read().unwrap().1.sorted(), mailbox.clone().sorted());
        let listed = run(Command::new("find").arg(place.unpacked()));
        assert!(listed.contains("!2,") && !listed.contains([':', '?', '*', '\\', '|']), "{listed}");
    }
    let mut mailbox = Mailbox::default();
    mailbox.folder("a", "A", None);
    mailbox.email(&["a"], &["$seen", "mine", "yours"], 5, b"x");
    let place = Place::new(Container::Folder);
    place
        .write_with(Format::Maildir, &mailbox, Options { portable_names: true, ..Options::default() })
        .unwrap();
    fs::remove_dir_all(place.export().join("malle")).unwrap();
    assert_eq!(place.read().unwrap().1.emails[0].keywords, ["$seen", "mine", "yours"]);
}

/// The server takes no contact or event that lies in nothing, no uid twice, and tells identities apart by name and address.
#[test]
fn what_an_account_takes_once_is_made_unique_in_the_vandelay_archive() {
    let mut mailbox = Mailbox::default();
    for id in ["c1", "c2"] {
        let card = json!({"@type": "Card", "uid": "card", "name": {"full": id}});
        mailbox.object(DataType::ContactCard, id, &card, None);
        let event = json!({"@type": "Event", "uid": "event", "title": id, "start": "2026-01-01T00:00:00"});
        mailbox.object(DataType::CalendarEvent, id, &event, None);
        let identity = json!({"name": "Ann", "email": "ann@example.org", "textSignature": id});
        mailbox.object(DataType::Identity, id, &identity, None);
    }
    let place = Place::new(Container::Folder);
    let report = place.write(Format::Vandelay, &mailbox).unwrap();
    let db = rusqlite::Connection::open(place.export().join("archive.sqlite")).unwrap();
    let texts = |sql: &str| -> Vec<String> {
        let mut query = db.prepare(sql).unwrap();
        let rows = query.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    };
    assert_eq!(texts("SELECT uid FROM contact_cards ORDER BY id"), ["card", "card (2)"]);
    assert_eq!(
        texts("SELECT json_extract(data, '$.uid') FROM calendar_events ORDER BY id"),
        ["event", "event (2)"]
    );
    assert_eq!(texts("SELECT name FROM identities ORDER BY id"), ["Ann", "Ann (2)"]);
    for (items, ids, homes, name) in [
        ("contact_cards", "address_book_ids", "address_books", "No address book"),
        ("calendar_events", "calendar_ids", "calendars", "No calendar"),
    ] {
        let sql =
            format!("SELECT homes.name FROM {items} JOIN {homes} homes ON {ids} = json_array(homes.id)");
        assert_eq!(texts(&sql), [name, name]);
    }
    assert_eq!(report.notes[&Topic::Homeless].count, 4);
    assert_eq!(report.notes[&Topic::MadeUnique].count, 3);
}
