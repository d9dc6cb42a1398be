//! Backups of a real Stalwart, compared with what plain JMAP calls read from it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use repository::{Depth, Snapshot};
use serde_json::{Value, json};
use testkit::stalwart::Stalwart;
use tests::{Bed, Importer, Message, attachment, real_mail};

const USER: &str = "alice@example.org";
const PASSWORD: &str = "a real secret";
/// Every so many of the 6,046 messages in the usual run; all of them with `MALLE_FULL=1`.
const ONE_OF: usize = 12;
/// Names that servers and stores like to trip over. Left out: `CASE` beside `case`, which this server refuses.
const FOLDERS: [&str; 5] = ["Größe & \u{1f4e6}", "a.b", "case", "in  side", "%2e%2e"];

/// An email by plain JMAP: folders, keywords, date, bytes.
type Plain = (Vec<String>, Vec<String>, String, Vec<u8>);

async fn plain_emails(importer: &Importer<'_>) -> io::Result<BTreeMap<String, Plain>> {
    let account = &importer.account;
    let found =
        importer.call(json!([["Email/query", { "accountId": account, "limit": 10_000 }, "0"]])).await?;
    let ids = found["methodResponses"][0][1]["ids"].as_array().cloned().unwrap_or_default();
    let mut emails = BTreeMap::new();
    for chunk in ids.chunks(40) {
        let properties = json!(["id", "blobId", "mailboxIds", "keywords", "receivedAt"]);
        let get = json!({ "accountId": account, "ids": chunk, "properties": properties });
        let answer = importer.call(json!([["Email/get", get, "0"]])).await?;
        let list = answer["methodResponses"][0][1]["list"].as_array().cloned().unwrap_or_default();
        let blobs: Vec<&Value> = list.iter().map(|email| &email["blobId"]).collect();
        let get = json!({ "accountId": account, "ids": blobs, "properties": ["data:asBase64"] });
        let answer = importer.call(json!([["Blob/get", get, "0"]])).await?;
        let bytes: BTreeMap<String, Vec<u8>> = answer["methodResponses"][0][1]["list"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|blob| (text(&blob["id"]), STANDARD.decode(text(&blob["data:asBase64"])).expect("base64")))
            .collect();
        for email in &list {
            let raw = bytes.get(&text(&email["blobId"])).cloned().expect("the blob came");
            let plain =
                (keys(&email["mailboxIds"]), keys(&email["keywords"]), text(&email["receivedAt"]), raw);
            emails.insert(text(&email["id"]), plain);
        }
    }
    Ok(emails)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn keys(value: &Value) -> Vec<String> {
    let mut keys: Vec<String> = value.as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect();
    keys.sort();
    keys
}

async fn assert_equal(snapshot: &Snapshot, importer: &Importer<'_>) {
    let mut expected = plain_emails(importer).await.expect("the server answers");
    let mut emails = snapshot.emails().await.expect("reads");
    while let Some(email) = emails.next().await.expect("reads") {
        let (folders, keywords, date, raw) =
            expected.remove(email.id.as_str()).unwrap_or_else(|| panic!("{} is not on the server", email.id));
        let ours: Vec<String> = email.folders.iter().map(ToString::to_string).collect();
        assert_eq!((ours, &email.keywords), (folders, &keywords), "labels of {}", email.id);
        if let Ok(date) = date.parse::<model::Timestamp>() {
            assert_eq!(email.received_at, date.as_second(), "date of {}", email.id);
        }
        assert!(snapshot.blob(&email.blob).await.expect("reads") == raw, "bytes of {}", email.id);
    }
    assert_eq!(expected.keys().collect::<Vec<_>>(), Vec::<&String>::new(), "missing from the snapshot");
}

fn corpus() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus.sh");
    let output = Command::new(script).output().expect("the script runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
}

fn messages() -> Vec<Message> {
    let step = if std::env::var_os("MALLE_FULL").is_some() { 1 } else { ONE_OF };
    let mut messages: Vec<Message> = real_mail(&corpus()).expect("reads").into_iter().step_by(step).collect();
    let small = messages.len();
    for (i, message) in messages.iter_mut().enumerate().take(small / 2) {
        message.folder = FOLDERS[i % FOLDERS.len()];
    }
    for (seed, bytes) in [(1, 300_000), (2, 1_500_000), (3, 6_000_000)] {
        messages.push(Message { folder: "attachments", raw: attachment(seed, bytes) });
    }
    messages
}

#[tokio::test(flavor = "multi_thread")]
async fn real_mail_comes_back_byte_for_byte_in_full_and_by_its_changes() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Stalwart::start(dir.path()).await.expect("the server starts");
    let account = server.create_account(USER, PASSWORD).await.expect("the account is made");
    let mut importer = Importer::new(&server, USER, PASSWORD, account);
    let messages = messages();
    importer.import(&messages).await.expect("imports");

    let bed = Bed::new(USER, PASSWORD);
    let report = bed.backup(server.url()).await.expect("backs up");
    assert_eq!((report.state, report.emails), (engine::State::Good, messages.len() as u64), "{report:?}");
    assert_equal(&bed.newest(server.url()).await.1, &importer).await;

    let before = bed.backup(server.url()).await.expect("backs up");
    assert_eq!((before.fetched_bytes, before.stored_bytes), (0, 0));

    let ids: Vec<String> = plain_emails(&importer).await.expect("reads").into_keys().collect();
    let flagged: serde_json::Map<_, _> =
        ids.iter().take(30).map(|id| (id.clone(), json!({ "keywords/$flagged": true }))).collect();
    let set = json!({ "accountId": importer.account, "update": flagged, "destroy": &ids[30..50] });
    importer.call(json!([["Email/set", set, "0"]])).await.expect("changes");
    let fresh = Message { folder: "new", raw: attachment(9, 500_000) };
    importer.import(std::slice::from_ref(&fresh)).await.expect("imports");
    let report = bed.backup(server.url()).await.expect("backs up");
    assert_eq!(
        (report.state, report.new_emails, report.removed_emails),
        (engine::State::Good, 1, 20),
        "{report:?}"
    );
    assert_eq!(report.fetched_bytes, fresh.raw.len() as u64, "only what is new is fetched");
    let (repository, snapshot) = bed.newest(server.url()).await;
    assert_equal(&snapshot, &importer).await;
    assert_eq!(repository.check(None, Depth::Data).await.expect("checks").problems, vec![]);
}
