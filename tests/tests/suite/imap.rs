//! What the real server holds, read by plain IMAP: `tests/imap.py`.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use model::DataType;
use repository::Snapshot;
use serde_json::Value;
use tests::truth::{Digest, Mail, Mails, Things, things_of};
use tokio::process::Command;

use crate::place::User;

/// The last second of 9999. IMAP writes four digits of a year.
const LAST_SECOND: i64 = 253_402_300_799;

/// One message as IMAP shows it: SHA-256 and length, date, flags as JMAP writes them.
type Message = (String, u64, i64, BTreeSet<String>);
/// Messages by the full name of their folder; sorted, each as often as it occurs.
pub(crate) type Folders = BTreeMap<String, Vec<Message>>;

/// Every folder and every message of a user.
pub(crate) async fn folders(address: &str, user: User) -> Folders {
    let output = Command::new("python3")
        .args([concat!(env!("CARGO_MANIFEST_DIR"), "/imap.py"), address, user.name])
        .env("IMAP_PASSWORD", user.password)
        .output()
        .await
        .expect("python3 runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut folders = Folders::new();
    for line in String::from_utf8(output.stdout).expect("JSON is UTF-8").lines() {
        let line: Value = serde_json::from_str(line).expect("lines of JSON");
        let folder = folders.entry(line["folder"].as_str().expect("a name").to_owned()).or_default();
        folder.extend(message(&line));
    }
    folders.values_mut().for_each(|messages| messages.sort());
    folders
}

/// A line without a message names an empty folder.
fn message(line: &Value) -> Option<Message> {
    let flags = line["flags"].as_array()?.iter().filter_map(Value::as_str).map(as_keyword);
    let sha256 = line["sha256"].as_str()?.to_owned();
    Some((sha256, line["length"].as_u64()?, line["date"].as_i64()?, flags.collect()))
}

/// `\Seen` is `$seen` in JMAP (RFC 8621 section 4.1.1), and of keywords that begin with `$` case means nothing.
fn as_keyword(flag: &str) -> String {
    let flag = flag.replacen('\\', "$", 1);
    if flag.starts_with('$') { flag.to_lowercase() } else { flag }
}

/// The full name IMAP has for a folder of the snapshot.
fn path(folders: &Things, id: &str) -> String {
    let (folder, _) = &folders[id];
    let name = folder["name"].as_str().expect("a name");
    match folder["parentId"].as_str() {
        Some(parent) => format!("{}/{name}", path(folders, parent)),
        None if folder["role"] == "inbox" => "INBOX".to_owned(),
        None => name.to_owned(),
    }
}

/// Stalwart tells IMAP 1970 where the year has five digits.
fn as_internal_date(mail: &Mail) -> i64 {
    if is_expressible(mail) { mail.received_at } else { 0 }
}

fn is_expressible(mail: &Mail) -> bool {
    (0..=LAST_SECOND).contains(&mail.received_at)
}

/// The snapshot has the same folders, and in each the same messages. How many of its emails have a date that IMAP cannot say.
pub(crate) async fn assert_same(snapshot: &Snapshot, mails: &Mails, expected: &Folders) -> usize {
    let objects = things_of(snapshot, DataType::Mailbox).await;
    let mut found: Folders = objects.keys().map(|id| (path(&objects, id), Vec::new())).collect();
    assert_eq!(found.len(), objects.len(), "no two folders of one name");
    for mail in mails.values() {
        let digest = mail.bytes.expect("a snapshot has bytes");
        let flags: BTreeSet<String> = mail.keywords.iter().map(|keyword| as_keyword(keyword)).collect();
        for folder in &mail.folders {
            let message = (digest.hex(), digest.length, as_internal_date(mail), flags.clone());
            found.get_mut(&path(&objects, folder)).expect("the folder is there").push(message);
        }
    }
    found.values_mut().for_each(|messages| messages.sort());
    assert_eq!(names(&found), names(expected));
    for (name, messages) in &found {
        let differing = messages.iter().zip(&expected[name]).find(|(one, other)| one != other);
        assert_eq!((messages.len(), differing), (expected[name].len(), None), "ours and IMAP's in {name:?}");
    }
    mails.values().filter(|mail| !is_expressible(mail)).count()
}

fn names(folders: &Folders) -> Vec<&String> {
    folders.keys().collect()
}

/// What one account holds is what the other one holds, below this folder if there is one. Dates of emails with these bytes may
/// differ.
pub(crate) fn assert_given(
    found: &Folders,
    expected: &Folders,
    below: Option<&str>,
    undatable: &BTreeSet<Digest>,
) {
    let undatable: BTreeSet<String> = undatable.iter().map(Digest::hex).collect();
    let blurred = |messages: &[Message]| {
        let blur = |message: &Message| match undatable.contains(&message.0) {
            true => (message.0.clone(), message.1, 0, message.3.clone()),
            false => message.clone(),
        };
        let mut messages: Vec<Message> = messages.iter().map(blur).collect();
        messages.sort();
        messages
    };
    let moved = |name: &str| match below {
        Some(top) => format!("{top}/{}", name.replacen("INBOX", "Inbox", 1)),
        None => name.to_owned(),
    };
    let is_below = |name: &String| below.is_none_or(|top| name.starts_with(&format!("{top}/")));
    let expected: Folders = expected.iter().map(|(name, all)| (moved(name), blurred(all))).collect();
    let found: Folders = found
        .iter()
        .filter(|(name, _)| is_below(name))
        .map(|(name, all)| (name.clone(), blurred(all)))
        .collect();
    assert_eq!(names(&found), names(&expected));
    for (name, messages) in &found {
        let differing = messages.iter().zip(&expected[name]).find(|(one, other)| one != other);
        assert_eq!((messages.len(), differing), (expected[name].len(), None), "given and IMAP's in {name:?}");
    }
}
