//! Names that try to get out while writing, and exports made to hurt whoever reads them.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use export::{Error, Format, Limits};
use model::DataType;
use serde_json::json;
use tar::{Builder, EntryType, Header};

use crate::hostile_names::HOSTILE;
use crate::mailbox::{Mailbox, full};
use crate::place::{Container, Place, everywhere, run, walk};

/// Every hostile name as a folder (alone, in another, twice), a script, a file, a contact and an event.
fn hostile() -> Mailbox {
    let mut mailbox = Mailbox::default();
    let long = ["x".repeat(300), "ä.".repeat(200), "é".repeat(127), format!("{}.", "y".repeat(254))];
    let names = HOSTILE.iter().map(|(raw, _)| *raw).chain(long.iter().map(String::as_str));
    let mut above: Option<String> = None;
    for (n, name) in names.enumerate() {
        let ids = [format!("a{n}"), format!("b{n}"), format!("c{n}"), format!("d{n}")];
        mailbox.folder(&ids[0], name, None);
        mailbox.folder(&ids[1], &name.to_uppercase(), None);
        mailbox.folder(&ids[2], name, above.as_deref());
        mailbox.folder(&ids[3], name, Some(&ids[2]));
        above = Some(ids[2].clone());
        let node = json!({"id": ids[0], "name": name, "blobId": "x"});
        mailbox.object(DataType::FileNode, &ids[0], &node, Some(name.as_bytes()));
        mailbox.object(DataType::FileNode, &ids[1], &json!({"id": ids[1], "name": name}), None);
        let node = json!({"id": ids[2], "name": name, "parentId": ids[1], "blobId": "x"});
        mailbox.object(DataType::FileNode, &ids[2], &node, Some(b""));
        mailbox.object(DataType::SieveScript, &ids[0], &json!({"id": ids[0], "name": name}), Some(b"keep;"));
        let card = json!({"id": ids[0], "uid": name, "name": {"full": name}});
        mailbox.object(DataType::ContactCard, &ids[0], &card, None);
        let event = json!({"id": ids[0], "uid": name, "title": name, "start": "2026-01-01T00:00:00"});
        mailbox.object(DataType::CalendarEvent, &ids[0], &event, None);
    }
    let folders: Vec<String> = mailbox.objects.iter().map(|object| object.id.clone()).collect();
    for (n, id) in folders.iter().enumerate() {
        mailbox.email(&[id], &[], 0, format!("Subject: {n}\r\n\r\n{id}").as_bytes());
    }
    mailbox
}

#[test]
fn hostile_names_stay_inside_and_come_back() {
    let mailbox = hostile();
    everywhere(|format, container| {
        let place = Place::new(container);
        place.write(format, &mailbox).unwrap();
        place.assert_clean();
        let (_, back) = place.read().unwrap();
        assert_eq!(back.emails, mailbox.emails);
        assert_eq!(back.sorted().objects, mailbox.clone().sorted().objects);
        listed_names_are_safe(&place, container);
        inside(&place.unpacked());
    });
}

/// What the system's own tools say an archive holds.
fn listed_names_are_safe(place: &Place, container: Container) {
    let listing = match container {
        Container::Folder => return,
        Container::TarZst => run(Command::new("tar").args(["--zstd", "-tf"]).arg(place.export())),
        Container::Zip => {
            let script = "import sys, zipfile; print('\\n'.join(zipfile.ZipFile(sys.argv[1]).namelist()))";
            run(Command::new("python3").args(["-X", "utf8", "-c", script]).arg(place.export()))
        }
    };
    for name in listing.lines() {
        assert!(!name.starts_with('/') && !name.split('/').any(|part| part == ".."), "{name}");
    }
}

fn inside(dir: &Path) {
    let mut folded: Vec<String> = Vec::new();
    for path in walk(dir) {
        let metadata = fs::symlink_metadata(&path).unwrap();
        assert!(metadata.is_file() || metadata.is_dir(), "{path:?}");
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(
            name.len() <= 255 && !name.chars().any(|c| c.is_control() || "\\*?\"<>|".contains(c)),
            "{name:?}"
        );
        assert!(!name.ends_with([' ', '.']), "{name:?}");
        folded.push(path.to_str().unwrap().to_lowercase());
    }
    let all = folded.len();
    folded.sort();
    folded.dedup();
    assert_eq!(folded.len(), all, "two names differ in case only");
}

fn entry(kind: EntryType, path: &str, link: Option<&str>, bytes: &[u8]) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(bytes.len() as u64);
    header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
    if let Some(link) = link {
        header.as_gnu_mut().unwrap().linkname[..link.len()].copy_from_slice(link.as_bytes());
    }
    header.set_cksum();
    let mut builder = Builder::new(Vec::new());
    builder.append(&header, bytes).unwrap();
    builder.into_inner().unwrap()
}

#[test]
fn tar_archives_that_reach_out_are_refused() {
    let cases = [
        entry(EntryType::Regular, "../evil", None, b"x"),
        entry(EntryType::Regular, "a/../../evil", None, b"x"),
        entry(EntryType::Regular, "/tmp/malle-evil", None, b"x"),
        entry(EntryType::Regular, "a\\..\\evil", None, b"x"),
        entry(EntryType::Directory, "../evil", None, b""),
        entry(EntryType::Symlink, "link", Some("/etc"), b""),
        entry(EntryType::Link, "link", Some("../../../../etc/passwd"), b""),
        entry(EntryType::Link, "link", Some("/etc/passwd"), b""),
        entry(EntryType::Fifo, "pipe", None, b""),
        entry(EntryType::Char, "device", None, b""),
        entry(EntryType::GNULongName, "././@LongLink", None, &vec![b'x'; 70_000]),
        entry(EntryType::GNUSparse, "sparse", None, b""),
    ];
    for (n, tar) in cases.iter().enumerate() {
        let place = Place::new(Container::TarZst);
        fs::write(place.export(), zstd::encode_all(tar.as_slice(), 1).unwrap()).unwrap();
        let error = place.read().unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. } | Error::TooLarge { .. }), "{n}: {error}");
        place.assert_clean();
    }
    assert!(!Path::new("/tmp/malle-evil").exists() && !Path::new("/tmp/evil").exists());
}

#[test]
fn zip_archives_that_reach_out_are_refused() {
    let script = "
import sys, zipfile
name, kind = sys.argv[2], sys.argv[3]
with zipfile.ZipFile(sys.argv[1], 'w') as z:
    info = zipfile.ZipInfo('x')
    info.filename = name
    info.external_attr = (0o120777 if kind == 'link' else 0o100644) << 16
    z.writestr(info, '/etc/passwd')";
    for (name, kind) in [
        ("../evil", "file"),
        ("/tmp/malle-evil", "file"),
        ("a/../../evil", "file"),
        ("..\\evil", "file"),
        ("l", "link"),
    ] {
        let place = Place::new(Container::Zip);
        run(Command::new("python3").args(["-c", script]).arg(place.export()).args([name, kind]));
        let error = place.read().unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{name}: {error}");
        place.assert_clean();
    }
}

const ZIP: &str = "
import pathlib, sys, zipfile
with zipfile.ZipFile(sys.argv[2], 'w', zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
    for path in sorted(pathlib.Path(sys.argv[1]).rglob('*')):
        archive.write(path)";

#[test]
fn archives_made_with_the_systems_tools_are_read() {
    let mailbox = full();
    for (container, script) in [
        (Container::TarZst, "tar --format=pax --zstd -cf \"$2\" -C \"$1\" export"),
        (Container::TarZst, "tar --format=gnu --zstd -cf \"$2\" -C \"$1/export\" ."),
        (Container::Zip, "cd \"$1\" && python3 -c \"$ZIP\" export \"$2\""),
    ] {
        let from = Place::new(Container::Folder);
        from.write(Format::Maildir, &mailbox).unwrap();
        let place = Place::new(container);
        let mut shell = Command::new("sh");
        run(shell.args(["-c", script, "sh"]).arg(&from.dir).arg(place.export()).env("ZIP", ZIP));
        let (_, back) = place.read().unwrap();
        assert_eq!(back.emails, mailbox.emails, "{script}");
    }
}

#[test]
fn limits_hold() {
    for container in [Container::TarZst, Container::Zip] {
        let place = Place::new(container);
        let mut mailbox = Mailbox::default();
        mailbox.email(&[], &[], 0, &vec![0; 20 << 20]);
        place.write(Format::Maildir, &mailbox).unwrap();
        assert!(fs::metadata(place.export()).unwrap().len() < 200_000, "it is a bomb");
        for limits in [
            Limits { bytes: 10 << 20, ..Limits::GENEROUS },
            Limits { files: 5, ..Limits::GENEROUS },
            Limits { description: 20, ..Limits::GENEROUS },
        ] {
            let result = export::read(&place.export(), &place.spool(), limits, &mut Mailbox::default());
            let error = result.unwrap_err();
            assert!(matches!(error, Error::TooLarge { .. }), "{limits:?} {error}");
            place.assert_clean();
        }
    }
}

#[test]
fn links_and_paths_out_of_a_directory_are_refused() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    secret.as_file().write_all(b"secret").unwrap();
    let mut mailbox = Mailbox::default();
    mailbox.email(&[], &[], 0, b"secret");
    for format in [Format::AccountDirectory, Format::Maildir, Format::Mbox] {
        let place = Place::new(Container::Folder);
        place.write(format, &mailbox).unwrap();
        let side = place.export().join("malle/emails.jsonl");
        let line = fs::read_to_string(&side).unwrap();
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let file = line["file"].as_str().unwrap();
        for path in ["../../../../etc/passwd", "/etc/passwd", "", ".", "a/../b", "malle"] {
            let mut line = line.clone();
            line["file"] = path.into();
            fs::write(&side, line.to_string()).unwrap();
            let error = place.read().unwrap_err();
            assert!(matches!(error, Error::Corrupt { .. } | Error::Io { .. }), "{path}: {error}");
        }
        fs::write(&side, line.to_string()).unwrap();
        fs::remove_file(place.export().join(file)).unwrap();
        symlink(secret.path(), place.export().join(file)).unwrap();
        let error = place.read().unwrap_err();
        assert!(error.to_string().contains("link"), "{error}");
    }
}

#[test]
fn databases_that_run_things_are_refused() {
    let make = |sql: &str| {
        let place = Place::new(Container::Folder);
        fs::create_dir(place.export()).unwrap();
        let script = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(sys.argv[2])";
        let path = place.export().join("archive.sqlite");
        run(Command::new("python3").args(["-c", script]).arg(path).arg(sql));
        let mut mailbox = Mailbox::default();
        let result = export::read(&place.export(), &place.spool(), Limits::GENEROUS, &mut mailbox);
        result.map(|_| mailbox)
    };
    let view = "CREATE VIEW mailboxes AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) \
        SELECT x AS id, 'a' AS name, NULL AS parent_id, NULL AS role, 0 AS sort_order, 1 AS is_subscribed FROM n";
    assert_eq!(make(view).unwrap(), Mailbox::default(), "views are not looked at");
    for sql in [
        "CREATE TABLE mailboxes (id)",
        "CREATE TABLE emails (id, blob_id, received_at, mailbox_ids, keywords); INSERT INTO emails VALUES (1, 9, '', '[]', '[]')",
        "CREATE TABLE emails (id, blob_id, received_at, mailbox_ids, keywords); CREATE TABLE blobs (id INTEGER PRIMARY KEY, data); \
         INSERT INTO blobs VALUES (1, x'00'); INSERT INTO emails VALUES (1, 1, '', '[', '[]')",
        "CREATE TABLE malle_objects (id, type_name, jmap_id, json, blob_id); CREATE TABLE malle_emails (x); \
         INSERT INTO malle_objects VALUES (1, 'Weapon', 'a', '{}', NULL)",
    ] {
        let error = make(sql).unwrap_err();
        assert!(matches!(error, Error::Sqlite { .. } | Error::Corrupt { .. }), "{sql}: {error}");
    }
}

/// Cut off or damaged anywhere, it is an error or it is whole; never a panic, never something else.
#[test]
fn archives_that_are_cut_off_or_damaged_are_told() {
    let mut mailbox = Mailbox::default();
    mailbox.folder("a", "A", None);
    for raw in crate::mailbox::RAW {
        mailbox.email(&["a"], &["$seen"], 0, raw);
    }
    for container in [Container::TarZst, Container::Zip] {
        let place = Place::new(container);
        place.write(Format::Maildir, &mailbox).unwrap();
        let whole = fs::read(place.export()).unwrap();
        for at in (0..whole.len()).step_by(whole.len() / 60) {
            fs::write(place.export(), &whole[..at]).unwrap();
            place.read().unwrap_err();
            let mut damaged = whole.clone();
            damaged[at] ^= 0x55;
            fs::write(place.export(), &damaged).unwrap();
            if let Ok((_, back)) = place.read() {
                assert_eq!(back, mailbox, "byte {at}");
            }
        }
    }
}

/// A file that lacks its end is an error, or nothing was lost with it.
#[test]
fn files_that_are_cut_off_are_told() {
    let mut mailbox = Mailbox::default();
    mailbox.folder("a", "A", None);
    for raw in crate::mailbox::RAW {
        mailbox.email(&["a"], &["$seen"], 0, raw);
    }
    for format in [Format::AccountDirectory, Format::Maildir, Format::Mbox] {
        let place = Place::new(Container::Folder);
        place.write(format, &mailbox).unwrap();
        for path in walk(&place.export()).into_iter().filter(|path| path.is_file()) {
            let whole = fs::read(&path).unwrap();
            for length in (0..whole.len()).step_by((whole.len() / 40).max(1)) {
                fs::write(&path, &whole[..length]).unwrap();
                if let Ok((_, back)) = place.read() {
                    let lost = format!("{format}: {path:?} with {length} of {} bytes", whole.len());
                    assert!(back == mailbox || path.starts_with(place.export().join("malle")), "{lost}");
                }
            }
            fs::write(&path, &whole).unwrap();
        }
    }
}

#[test]
fn what_is_no_export_is_told() {
    for bytes in [&b""[..], b"hello", b"PK\x03\x04", b"\x28\xb5\x2f\xfd", b"SQLite format 3\0"] {
        let place = Place::new(Container::Zip);
        fs::write(place.export(), bytes).unwrap();
        place.read().unwrap_err();
    }
    let place = Place::new(Container::Folder);
    fs::create_dir(place.export()).unwrap();
    assert!(matches!(place.read().unwrap_err(), Error::Unknown { .. }));
}
