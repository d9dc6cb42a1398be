//! Old repositories read as on the first day, by this crate and by the independent reader.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use model::{EmailRecord, SnapshotNumber};
use object_store::local::LocalFileSystem;
use repository::{Depth, FailureRecord, KeyRing, ObjectRecord, Repository, Snapshot, Store, StoreOptions};
use serde_json::{Value, json};

const ALL: [&str; 3] = ["format-1/small", "format-1/nights", "format-1/pruned"];
/// [`seal_of`] each: whoever has to change one of these has edited what must never be edited.
const SEALS: [&str; 3] = [
    "b3b724cf4bb7c96994bd6f58a2b0e2d495ace5e918ab14b3fb64ef8383cfd2d7",
    "81af4dcad4a8ec2ca405f45d9cba3ee71e86d6af90fcb0df2175b1e83a17f201",
    "506f71159a108e562c02478a343258966090e633c59befe7ea1bf4a4eedd3784",
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
    json!({
        "id": email.id.as_str(),
        "bytes": hash(bytes),
        "server_blob": email.server_blob,
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
    })
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

async fn read(name: &str) -> Value {
    let inner = LocalFileSystem::new_with_prefix(dir(name).join("store")).expect("opens");
    let ring = std::fs::read_to_string(dir(name).join("ring.key")).expect("is there");
    let ring: KeyRing = ring.parse().expect("parses");
    let store = Store::open(Arc::new(inner), StoreOptions::default()).await.expect("opens");
    let mut mailboxes = Vec::new();
    let mut dirs = store.mailboxes().await.expect("lists");
    dirs.sort();
    for dir in dirs {
        let repository = store.mailbox(&ring, dir).await.expect("opens");
        let report = repository.check(None, Depth::Data).await.expect("checks");
        assert_eq!((report.problems, report.unreferenced), (vec![], 0), "{name}");
        let (who, account_name) = repository.identity().await.expect("says");
        assert_eq!(ring.directory(&who), dir);
        let mut snapshots = Vec::new();
        for info in repository.snapshots().await.expect("lists") {
            snapshots.push(listing(&repository, info.number).await);
        }
        mailboxes.push(json!({
            "server": who.server,
            "account_id": who.account.as_str(),
            "incarnation": who.incarnation,
            "account_name": account_name,
            "snapshots": snapshots,
        }));
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
async fn repositories_of_format_1_read_as_expected() {
    for name in ALL {
        assert_eq!(read(name).await, expected(name), "{name}");
    }
}

/// The specification is good enough: this reader was written from it.
#[test]
fn a_reader_that_knows_the_readme_only_reads_the_same() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let installed = Command::new("sh").arg(root.join("../../tests/python.sh")).output().expect("runs sh");
    if !installed.status.success() {
        eprintln!(
            "SKIPPED: the Python packages cannot be installed: {}",
            String::from_utf8_lossy(&installed.stderr)
        );
        return;
    }
    let python = String::from_utf8(installed.stdout).expect("is text");
    for name in ALL {
        let listed = Command::new(python.trim())
            .arg(root.join("tests/spec_reader.py"))
            .args([dir(name).join("store"), dir(name).join("ring.key")])
            .output()
            .expect("runs Python");
        assert!(listed.status.success(), "{name}: {}", String::from_utf8_lossy(&listed.stderr));
        let listed: Value = serde_json::from_slice(&listed.stdout).expect("is JSON");
        assert_eq!(listed, expected(name), "{name}");
    }
}
