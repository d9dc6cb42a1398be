//! Old repositories read as on the first day, by this crate and by the independent reader.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use model::{EmailRecord, Envelope, SnapshotNumber, SystemClock};
use object_store::local::LocalFileSystem;
use repository::{Depth, FailureRecord, KeyRing, ObjectRecord, Repository, Snapshot, Store, StoreOptions};
use serde_json::{Value, json};

const ALL: [&str; 6] = [
    "format-1/small",
    "format-1/nights",
    "format-1/pruned",
    "format-2/nights",
    "format-2/healed",
    "format-2/accepted",
];
/// Its newest entry was lost, and what that one referred to is there still.
const WITH_REST: &str = "format-2/accepted";
/// [`seal_of`] each: whoever has to change one of these has edited what must never be edited.
const SEALS: [&str; 6] = [
    "b3b724cf4bb7c96994bd6f58a2b0e2d495ace5e918ab14b3fb64ef8383cfd2d7",
    "81af4dcad4a8ec2ca405f45d9cba3ee71e86d6af90fcb0df2175b1e83a17f201",
    "506f71159a108e562c02478a343258966090e633c59befe7ea1bf4a4eedd3784",
    "10e4eb4795cf2f7d7e721fc0bf3821778a8ae498c333277c0108a2ec32145ff9",
    "2a03d190e6f984fd404de3bcba629e7310be9166dfd83fd2ced2c1b81b7b4796",
    "1da9a3d384719220e0e8d467b47a3effb26830fa66a2db59e842327e60debec2",
];

fn dir(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name)
}

fn expected(name: &str) -> Value {
    let text = std::fs::read(dir(name).join("expected.json")).expect("is there");
    serde_json::from_slice(&text).expect("is JSON")
}

fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

fn email(email: &EmailRecord, bytes: &[u8]) -> Value {
    let mut said = json!({
        "id": email.id.as_str(),
        "bytes": hash(bytes),
        "server_blob": email.source_hash,
        "received_at": email.received_at,
        "size": email.size,
        "folders": email.folders.iter().map(|folder| folder.as_str()).collect::<Vec<_>>(),
        "keywords": email.keywords,
        "from": email.envelope.from,
        "to": email.envelope.to,
        "subject": email.envelope.subject,
        "message_id": email.envelope.message_id,
        "date": email.envelope.date,
        "attachments": email.envelope.attachments,
    });
    // Rows from before versions say nothing of it.
    if email.envelope.version > 0 {
        said["envelope_version"] = email.envelope.version.into();
    }
    said
}

async fn object(snapshot: &Snapshot, object: ObjectRecord) -> Value {
    let blob = match object.blob {
        Some(id) => Some(hash(&snapshot.blob(&id).await.expect("reads"))),
        None => None,
    };
    json!({ "type": object.data_type.number(), "id": object.id, "json": hash(&object.json), "blob": blob })
}

fn failure(failure: FailureRecord) -> Value {
    let FailureRecord { data_type, id, reason, attempts, first_ms } = failure;
    json!({ "type": data_type.number(), "id": id, "reason": reason, "attempts": attempts, "first_ms": first_ms })
}

async fn listing(repository: &Repository, number: SnapshotNumber) -> Value {
    let snapshot = repository.snapshot(Some(number)).await.expect("opens");
    let (mut emails, mut objects) = (Vec::new(), Vec::new());
    let mut rows = snapshot.emails().await.expect("reads");
    while let Some(record) = rows.next().await.expect("reads") {
        let bytes = snapshot.blob(&record.blob).await.expect("reads");
        emails.push(email(&record, &bytes));
    }
    for record in snapshot.objects().await.expect("reads") {
        objects.push(object(&snapshot, record).await);
    }
    let failures: Vec<Value> = snapshot.failures().await.expect("reads").into_iter().map(failure).collect();
    let base = snapshot.info().base.map_or(0, |base| base.0);
    json!({ "number": number.0, "base": base, "emails": emails, "objects": objects, "failures": failures })
}

async fn open(name: &str, root: &Path) -> (Store, KeyRing) {
    let inner = LocalFileSystem::new_with_prefix(root).expect("opens");
    let ring = std::fs::read_to_string(dir(name).join("ring.key")).expect("is there");
    let store = Store::open(Arc::new(inner), StoreOptions::default()).await.expect("opens");
    (store, ring.parse().expect("parses"))
}

/// What the reader of this crate finds in the store at `root`, which is that of `name` or goes on from it.
async fn read(name: &str, root: &Path) -> Value {
    let (store, ring) = open(name, root).await;
    let mut mailboxes = Vec::new();
    let mut dirs = store.mailboxes().await.expect("lists");
    dirs.sort();
    for dir in dirs {
        let repository = store.mailbox(&ring, dir).await.expect("opens");
        let report = repository.check(None, Depth::Data).await.expect("checks");
        let damaged = repository.listing().await.expect("lists").damaged;
        assert_eq!(report.problems.is_empty(), damaged.is_empty(), "{name}: {report:?}");
        assert_eq!(report.unreferenced == 0, name != WITH_REST, "{name}: {report:?}");
        let (who, account_name) = repository.identity().await.expect("says");
        assert_eq!(ring.directory(&who), dir);
        let mut snapshots = Vec::new();
        let whole = repository.snapshots().await.expect("lists");
        for info in whole.iter().filter(|info| !damaged.contains(&info.number)) {
            snapshots.push(listing(&repository, info.number).await);
        }
        let mut mailbox = json!({
            "server": who.server,
            "account_id": who.account.as_str(),
            "incarnation": who.incarnation,
            "account_name": account_name,
            "snapshots": snapshots,
        });
        if !damaged.is_empty() {
            mailbox["damaged"] = damaged.iter().map(|number| number.0).collect();
        }
        mailboxes.push(mailbox);
    }
    json!({ "zone": store.zone(), "mailboxes": mailboxes })
}

/// Hash over the names and bytes of all files.
fn seal_of(name: &str) -> String {
    let (mut dirs, mut files) = (vec![dir(name)], Vec::new());
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).expect("lists") {
            let path = entry.expect("lists").path();
            if path.is_dir() { dirs.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    let mut all = String::new();
    for file in files {
        let relative = file.strip_prefix(dir(name)).expect("lies below").display().to_string();
        all += &format!("{relative} {}\n", hash(&std::fs::read(&file).expect("reads")));
    }
    hash(all.as_bytes())
}

#[test]
fn nobody_has_edited_them() {
    assert_eq!(ALL.map(seal_of), SEALS);
}

#[tokio::test]
async fn repositories_of_every_format_read_as_expected() {
    for name in ALL {
        assert_eq!(read(name, &dir(name).join("store")).await, expected(name), "{name}");
    }
}

/// One more snapshot in each mailbox: those before stay what they were, of format 1 behind an *upgrade* entry.
#[tokio::test]
async fn repositories_of_every_format_go_on() {
    for name in ALL {
        let copy = tempfile::tempdir().expect("a directory");
        let copied = Command::new("cp").arg("-a").args([&dir(name).join("store"), copy.path()]).status();
        assert!(copied.expect("cp runs").success());
        let root = copy.path().join("store");
        let (store, ring) = open(name, &root).await;
        for dir in store.mailboxes().await.expect("lists") {
            let repository = store.mailbox(&ring, dir).await.expect("opens");
            let mut writer = repository.begin_snapshot(&SystemClock).await.expect("begins");
            let base = writer.base().expect("one").clone();
            let email = base.emails().await.expect("reads").next().await.expect("reads").expect("has one");
            let bytes = Bytes::from_static(b"Subject: one more\r\n\r\n");
            let (blob, size) = (writer.hasher().id(&bytes), bytes.len() as u64);
            writer.add_blobs(vec![(blob, bytes)]).await.expect("stores");
            let mut summary = base.info().summary.clone();
            summary.email_bytes = summary.email_bytes - email.size + size;
            let envelope = Envelope { version: 7, ..email.envelope };
            writer.put_email(EmailRecord { blob, size, envelope, ..email }).await.expect("writes");
            writer.commit(summary, &SystemClock).await.expect("commits");
        }
        let mut found = read(name, &root).await;
        for mailbox in found["mailboxes"].as_array_mut().expect("a list") {
            assert_gone_on(mailbox["snapshots"].as_array_mut().expect("a list").pop());
        }
        assert_eq!(found, expected(name), "{name}");
        if let Some(python) = python() {
            let mut found = spec_reader(&python, name, &root);
            for mailbox in found["mailboxes"].as_array_mut().expect("a list") {
                assert_gone_on(mailbox["snapshots"].as_array_mut().expect("a list").pop());
            }
            assert_eq!(found, expected(name), "{name}");
        }
    }
}

fn assert_gone_on(snapshot: Option<Value>) {
    let snapshot = snapshot.expect("the new one");
    let emails = snapshot["emails"].as_array().expect("a list");
    assert_eq!(emails.iter().filter(|email| email["envelope_version"] == 7).count(), 1, "{snapshot}");
}

/// With the packages that the reader needs; `None` if they cannot be installed.
fn python() -> Option<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/python.sh");
    let installed = Command::new("sh").arg(script).output().expect("runs sh");
    if !installed.status.success() {
        let why = String::from_utf8_lossy(&installed.stderr);
        eprintln!("SKIPPED: the Python packages cannot be installed: {why}");
        return None;
    }
    Some(String::from_utf8(installed.stdout).expect("is text").trim().to_owned())
}

fn spec_reader(python: &str, name: &str, root: &Path) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/spec_reader.py");
    let listed = Command::new(python).arg(script).args([root, &dir(name).join("ring.key")]).output();
    let listed = listed.expect("runs Python");
    assert!(listed.status.success(), "{name}: {}", String::from_utf8_lossy(&listed.stderr));
    serde_json::from_slice(&listed.stdout).expect("is JSON")
}

/// The specification is good enough: this reader was written from it.
#[test]
fn a_reader_that_knows_the_readme_only_reads_the_same() {
    let Some(python) = python() else { return };
    for name in ALL {
        assert_eq!(spec_reader(&python, name, &dir(name).join("store")), expected(name), "{name}");
    }
}
