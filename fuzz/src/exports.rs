//! Exports made of arbitrary bytes, for the readers of crate `export`.
//!
//! A tree of files is one entry behind the other: length of the name (its top bit says that this is a link), name, length of
//! the content (two bytes), content. A Vandelay archive is a true one with changes: of values by SQL, of single bytes.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};
use std::sync::LazyLock;

use export::{Content, Email, Format, Limits, Object, Origin, Output, Receiver, Result, Target, Writer};
use model::{DataType, EmailId, FolderId};
use rusqlite::{Connection, types::Value};
use tempfile::TempDir;

/// So little that counts and lengths beyond it are met.
const LIMITS: Limits = Limits { files: 200, bytes: 1 << 20, description: 1 << 14 };
/// What an entry of a tree must not be called: a directory that holds one is taken for another format.
const OTHER_FORMAT: &str = "archive.sqlite";

/// Memory if the machine has a place for files in it.
fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    dir.expect("a temporary directory")
}

/// Reads everything it is given and holds the reader to its word.
struct Drain;

impl Drain {
    fn read(content: &mut dyn Read, promised: u64) {
        let mut bytes = Vec::new();
        if content.read_to_end(&mut bytes).is_ok() {
            assert_eq!(bytes.len() as u64, promised);
        }
    }
}

impl Receiver for Drain {
    fn object(&mut self, object: Object<'_>) -> Result<()> {
        assert!(std::str::from_utf8(object.json).is_ok());
        if let Some(content) = object.content {
            Drain::read(content.bytes, content.length);
        }
        Ok(())
    }

    fn email(&mut self, email: &Email<'_>, content: &mut dyn Read) -> Result<()> {
        Drain::read(content, email.size);
        Ok(())
    }
}

fn read(path: &Path, scratch: &Path) {
    let _ = export::read(path, scratch, LIMITS, &mut Drain);
}

/// A directory of files, `marker` being what says which format it is.
pub fn tree(marker: &str, data: &[u8]) {
    let scratch = scratch();
    let root = scratch.path().join("export");
    // Before anything else: what is planted may be a link to anywhere.
    if marker.contains('.') {
        fs::create_dir_all(&root).and_then(|()| fs::write(root.join(marker), "[]")).expect("writable");
    } else {
        fs::create_dir_all(root.join(marker)).expect("writable");
    }
    plant(&root, data);
    read(&root, scratch.path());
}

fn plant(root: &Path, mut data: &[u8]) {
    while let Some((&kind, rest)) = data.split_first() {
        let (name, rest) = rest.split_at(rest.len().min((kind & 0x7f).into()));
        let length = rest.first_chunk().map_or(0, |length| u16::from_be_bytes(*length));
        let rest = rest.get(2..).unwrap_or_default();
        let (content, rest) = rest.split_at(rest.len().min(length.into()));
        data = rest;
        let name = Path::new(OsStr::from_bytes(name));
        let is_inside = name.components().all(|part| matches!(part, Component::Normal(_)));
        let path = root.join(name);
        if !is_inside || name.as_os_str().is_empty() || name.ends_with(OTHER_FORMAT) || leaves(root, &path) {
            continue;
        }
        let _ = fs::create_dir_all(path.parent().expect("the root"));
        let _ = match kind & 0x80 {
            0 => fs::write(path, content),
            _ => symlink(OsStr::from_bytes(content), path),
        };
    }
}

/// A link on the way leads out of the tree: what is planted must not follow it.
fn leaves(root: &Path, path: &Path) -> bool {
    path.ancestors().take_while(|above| *above != root).any(Path::is_symlink)
}

/// A zip archive, or with `Z` in front a tar archive that is compressed here.
pub fn archive(data: &[u8]) {
    let scratch = scratch();
    let path = scratch.path().join("export");
    let bytes = match data.split_first() {
        Some((b'Z', tar)) => zstd::encode_all(tar, 1).expect("memory"),
        _ => data.to_vec(),
    };
    fs::write(&path, bytes).expect("writable");
    read(&path, scratch.path());
}

/// A true archive and what it consists of.
static ARCHIVE: LazyLock<(Vec<u8>, Vec<(String, Vec<String>)>)> = LazyLock::new(|| {
    let scratch = scratch();
    let bytes = fs::read(written(Format::Vandelay, scratch.path()).join(OTHER_FORMAT)).expect("readable");
    let path = scratch.path().join("archive");
    fs::write(&path, &bytes).expect("writable");
    let db = Connection::open(path).expect("our own archive");
    let names = |sql: &str| -> Vec<String> {
        let mut found = db.prepare(sql).expect("valid");
        let rows = found.query_map([], |row| row.get(0)).expect("valid");
        rows.map(|name| name.expect("a text")).collect()
    };
    let tables = names("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'");
    let with_columns = tables.into_iter().map(|table| {
        let columns = names(&format!("SELECT name FROM pragma_table_info('{table}')"));
        (table, columns)
    });
    (bytes, with_columns.collect())
});

/// Changes are [what, where, length, value…]: of a value of a table, of a whole table, or of bytes of the file.
pub fn vandelay(mut data: &[u8]) {
    let (bytes, tables) = &*ARCHIVE;
    let scratch = scratch();
    let path = scratch.path().join("archive.sqlite");
    let mut bytes = bytes.clone();
    let (mut values, mut patches) = (Vec::new(), Vec::new());
    while let [what, place, row, length, rest @ ..] = data {
        let (value, rest) = rest.split_at(rest.len().min((*length).into()));
        data = rest;
        match what % 8 {
            0 => patches.push((usize::from(*place) << 8 | usize::from(*row), value)),
            _ => values.push((*what, *place, *row, value)),
        }
    }
    fs::write(&path, &bytes).expect("writable");
    if let Ok(db) = Connection::open(&path) {
        let _ = db.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF; BEGIN");
        for (what, place, row, value) in values {
            change(&db, &tables[usize::from(place) % tables.len()], what, row, value);
        }
        let _ = db.execute_batch("COMMIT");
    }
    if !patches.is_empty() {
        bytes = fs::read(&path).expect("readable");
        for (at, value) in patches {
            // Most of the file is content; its head and the first pages' heads are what counts.
            let at = at % bytes.len();
            let end = bytes.len().min(at + value.len());
            bytes[at..end].copy_from_slice(&value[..end - at]);
        }
        fs::write(&path, bytes).expect("writable");
    }
    read(&path, scratch.path());
}

fn change(db: &Connection, (table, columns): &(String, Vec<String>), what: u8, row: u8, value: &[u8]) {
    let column = &columns[usize::from(row >> 3) % columns.len()];
    let value = match (what >> 3) % 4 {
        0 => Value::Blob(value.to_vec()),
        1 => Value::Integer(value.iter().fold(0, |number, byte| number << 8 | i64::from(*byte))),
        2 => Value::Null,
        _ => Value::Text(String::from_utf8_lossy(value).into_owned()),
    };
    let _ = match what % 8 {
        1 => db.execute(&format!("DELETE FROM \"{table}\" WHERE rowid = {}", row & 7), []),
        2 => db.execute(&format!("DROP TABLE \"{table}\""), []),
        3 => db.execute(&format!("INSERT INTO \"{table}\" (\"{column}\") VALUES (?1)"), [value]),
        _ => db.execute(&format!("UPDATE \"{table}\" SET \"{column}\" = ?1 WHERE rowid = {}", row & 7), [value]),
    };
}

/// True exports as inputs.
pub fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let scratch = scratch();
    let mut seeds = vec![("vandelay", Vec::new()), ("vandelay", vec![4, 2, 9, 3, b'[', b'9', b']'])];
    for (format, target) in
        [(Format::AccountDirectory, "account_directory"), (Format::Maildir, "maildir"), (Format::Mbox, "mbox")]
    {
        let root = written(format, scratch.path());
        let side_files = |path: &Path| path.components().any(|part| part.as_os_str() == "malle");
        for with_side_files in [true, false] {
            let mut entries = Vec::new();
            for path in files_below(&root) {
                let name = path.strip_prefix(&root).expect("it is below");
                if with_side_files || !side_files(name) {
                    entries.extend(entry(name, &fs::read(&path).expect("readable")));
                }
            }
            seeds.push((target, entries));
        }
    }
    for format in Format::ALL {
        let [zip, tar] = ["zip", "tar"].map(|end| scratch.path().join(format!("{format}.{end}")));
        write(format, Target::Zip(Output::File(zip.clone())), scratch.path());
        write(format, Target::TarZst(Output::File(tar.clone())), scratch.path());
        let tar = zstd::decode_all(fs::File::open(tar).expect("readable")).expect("ours");
        seeds.push(("archive", fs::read(zip).expect("readable")));
        seeds.push(("archive", [&b"Z"[..], &tar].concat()));
    }
    seeds
}

fn entry(name: &Path, content: &[u8]) -> Vec<u8> {
    let name = name.as_os_str().as_bytes();
    let content = &content[..content.len().min(u16::MAX.into())];
    let length = u16::try_from(content.len()).expect("cut");
    [&[u8::try_from(name.len() & 0x7f).expect("seven bits")], name, &length.to_be_bytes()[..], content].concat()
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(dir).expect("listable") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn written(format: Format, scratch: &Path) -> PathBuf {
    let root = scratch.join(format.name());
    write(format, Target::Folder(root.clone()), scratch);
    root
}

fn write(format: Format, target: Target, scratch: &Path) {
    let mut writer = Writer::create(format, target, scratch, &Origin::default()).expect("writable");
    give(&mut writer).expect("writable");
    writer.finish().expect("writable");
}

const OBJECTS: [(DataType, &str, &str, Option<&str>); 8] = [
    (DataType::Mailbox, "f1", r#"{"id":"f1","name":"Inbox","role":"inbox"}"#, None),
    (DataType::Mailbox, "f2", r#"{"id":"f2","name":"in/side","parentId":"f1"}"#, None),
    (DataType::Identity, "i", r#"{"id":"i","name":"A","email":"a@example.org"}"#, None),
    (DataType::SieveScript, "s", r#"{"id":"s","name":"s","isActive":true,"blobId":"b"}"#, Some("keep;")),
    (DataType::AddressBook, "a", r#"{"id":"a","name":"A","isDefault":true}"#, None),
    (DataType::ContactCard, "c", r#"{"id":"c","uid":"c","addressBookIds":{"a":true},"name":{"full":"C"}}"#, None),
    (DataType::FileNode, "d", r#"{"id":"d","name":"dir"}"#, None),
    (DataType::FileNode, "n", r#"{"id":"n","name":"n.txt","parentId":"d","blobId":"x"}"#, Some("text")),
];

fn give(writer: &mut Writer) -> Result<()> {
    for (data_type, id, json, content) in OBJECTS {
        let mut bytes = content.unwrap_or_default().as_bytes();
        let length = bytes.len() as u64;
        let content = content.is_some().then_some(Content { length, bytes: &mut bytes });
        writer.object(Object { data_type, id, json: json.as_bytes(), content })?;
    }
    let emails: [&[u8]; 3] =
        [b"Subject: s\r\nMessage-ID: <m@x>\r\n\r\nFrom b\r\n", b"", b"From x\n\n>From\n\r"];
    for (n, raw) in emails.into_iter().enumerate() {
        let id = EmailId::from(format!("e{n}"));
        let folders = [FolderId::from("f1"), FolderId::from("f2")];
        let keywords = ["$seen".to_owned(), "mine".to_owned()];
        let (received_at, size) = (1_795_383_203, raw.len() as u64);
        let email = Email { id: &id, folders: &folders[..1 + n % 2], keywords: &keywords, received_at, size };
        writer.email(&email, &mut &*raw)?;
    }
    Ok(())
}
