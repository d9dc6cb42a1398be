//! Real mail and attachments in nested folders with odd names.

use std::path::{Path, PathBuf};
use std::process::Command;

use model::DataType;
use tests::{Letter, Message, attachment, real_mail};

use crate::place::{ALICE, Place};

/// Every so many of the 6,046 messages in the usual run.
const ONE_OF: usize = 12;

/// All messages and the largest attachments.
pub(crate) fn is_full() -> bool {
    ["MALLE_FULL", "MALLE_SOAK"].iter().any(|name| std::env::var_os(name).is_some())
}

/// Name, and the position in this list of the folder around it. Spaces around a name are not the server's to keep.
const FOLDERS: [(&str, Option<usize>); 24] = [
    ("Größe & \u{1f4e6}", None),
    ("受信箱", Some(0)),
    ("a/b", None),
    ("a/b", Some(2)),
    ("a.b", None),
    ("case", Some(4)),
    ("in  side", None),
    ("CASE", Some(6)),
    ("case", None),
    ("%2e%2e", None),
    ("..", None),
    (".", Some(10)),
    ("*?<>|", None),
    ("quo\"te\\back", None),
    ("tab\there", None),
    ("new\nline\0", Some(14)),
    ("\u{e9}t\u{e9}", None),
    ("e\u{301}te\u{301}", None),
    (" spaces around ", None),
    ("2024", None),
    ("12", Some(19)),
    ("31", Some(20)),
    ("Inbox", Some(21)),
    ("~&-con", Some(22)),
];

/// Makes them, one of 200 characters and, where it may be, one that differs from another in case alone; their ids.
pub(crate) async fn odd_folders<P: Place>(place: &P) -> Vec<String> {
    let inbox = inbox(place).await;
    let mut ids: Vec<String> = Vec::new();
    for (name, parent) in FOLDERS {
        let parent = parent.map(|at| ids[at].as_str());
        ids.push(place.create_folder(name, parent).await.expect("the server takes this name"));
    }
    ids.push(place.create_folder(&"n".repeat(200), None).await.expect("the server takes this name"));
    ids.push(place.create_folder("受信箱", Some(&inbox)).await.expect("the server takes this name"));
    ids.push(inbox);
    match place.create_folder("CASE", None).await {
        Ok(id) => {
            assert!(!P::REFUSES_CASE_TWINS);
            ids.push(id);
        }
        Err(reason) => assert!(P::REFUSES_CASE_TWINS && reason.contains("already exists"), "{reason}"),
    }
    ids
}

/// The id of Alice's inbox.
pub(crate) async fn inbox<P: Place>(place: &P) -> String {
    let folders = place.plain(ALICE).await.things(DataType::Mailbox).await.expect("the server answers");
    let (id, _) = folders.into_iter().find(|(_, (folder, _))| folder["role"] == "inbox").expect("an inbox");
    id
}

fn corpus() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus.sh");
    let output = Command::new(script).output().expect("the script runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
}

/// Dates that servers and programs trip over; Stalwart makes the one before 1970 the year 32548.
const DATES: [&str; 5] = [
    "1970-01-01T00:00:00Z",
    "1969-12-31T23:59:59Z",
    "2038-01-19T03:14:08Z",
    "2024-02-29T23:59:59Z",
    "9999-12-31T23:59:59Z",
];
const KEYWORDS: [&[&str]; 7] = [
    &[],
    &["$seen"],
    &["$seen", "$flagged", "My-Tag"],
    &["$answered", "$forwarded", "facture-2024"],
    &["$draft"],
    &["$junk", "$seen"],
    &["größe"],
];

/// Letter number `i`: in a folder or two, with and without keywords; every other one says when it was received.
fn letter(i: usize, message: Message, folders: &[String]) -> Letter {
    let mut lies_in = vec![folders[i % folders.len()].clone()];
    if i % 9 == 4 {
        lies_in.push(folders[(i + 7) % folders.len()].clone());
    }
    let received_at = match i {
        0..5 => Some(DATES[i].to_owned()),
        _ if i.is_multiple_of(2) => {
            Some(format!("20{:02}-{:02}-28T23:{:02}:07Z", i % 40, i % 12 + 1, i % 60))
        }
        _ => None,
    };
    let keywords = KEYWORDS[i % KEYWORDS.len()].iter().map(|keyword| (*keyword).to_owned()).collect();
    Letter { folders: lies_in, keywords, received_at, raw: message.raw }
}

/// The corpus, or a part of it, and attachments up to 6 MB, or 25 MB.
pub(crate) fn real_letters(folders: &[String]) -> Vec<Letter> {
    let step = if is_full() { 1 } else { ONE_OF };
    let mut messages: Vec<Message> = real_mail(&corpus()).expect("reads").into_iter().step_by(step).collect();
    let large: &[u64] = if is_full() { &[12_000_000, 25_000_000] } else { &[] };
    for (seed, bytes) in (1..).zip([300_000, 1_500_000, 6_000_000].iter().chain(large)) {
        messages.push(Message { folder: "attachments", raw: attachment(seed, *bytes) });
    }
    messages.into_iter().enumerate().map(|(i, message)| letter(i, message, folders)).collect()
}

/// Some letters of a few words that nobody else has.
pub(crate) fn small_letters(count: usize, what: &str, folder: &str) -> Vec<Letter> {
    let letter = |i: usize| {
        Letter {
        folders: vec![folder.to_owned()],
        keywords: KEYWORDS[i % 6].iter().map(|keyword| (*keyword).to_owned()).collect(),
        received_at: None,
        raw: format!(
            "From: s@example.org\r\nSubject: {what} {i}\r\nMessage-ID: <{what}-{i}@example.org>\r\n\r\nHello {what} {i}\r\n"
        )
        .into(),
    }
    };
    (0..count).map(letter).collect()
}
