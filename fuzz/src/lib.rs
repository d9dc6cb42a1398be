//! A first corpus for every target, which the target itself writes before it starts.

use std::path::Path;

pub mod exports;

const PAGE: &str = r#"["Email/query",{"accountId":"adm","queryState":"q","position":0,"ids":["e1"]},"0"]"#;
const EMAILS: &str = r#"["Email/get",{"accountId":"adm","state":"s","list":[{"id":"e1","blobId":"b1","size":1,"mailboxIds":{"m":true},"keywords":{"$seen":true},"receivedAt":"2026-11-22T14:25:01Z"}],"notFound":[]},"1"]"#;
const BLOBS: &str = r#"["Blob/get",{"accountId":"adm","list":[{"id":"b1","data:asText":"\u00e9\r\n","data:asBase64":"AAEC","isEncodingProblem":false,"isTruncated":false,"size":4}],"notFound":["x"]},"2"]"#;
const CHANGES: &str = r#"["Email/changes",{"accountId":"adm","oldState":"s0","newState":"s1","hasMoreChanges":true,"created":[],"updated":["e1"],"destroyed":[]},"3"]"#;
const FOLDERS: &str =
    r#"["Mailbox/get",{"accountId":"adm","state":"s","list":[{"id":"m","name":"Inbox"}]},"4"]"#;
const ERROR: &str = r#"["error",{"type":"cannotCalculateChanges","description":"no"},"3"]"#;
const SESSION: &str = r#"{"capabilities":{"urn:ietf:params:jmap:core":{"maxSizeUpload":1,"maxConcurrentUpload":4,"maxSizeRequest":10,"maxConcurrentRequests":4,"maxCallsInRequest":16,"maxObjectsInGet":500,"maxObjectsInSet":500,"collationAlgorithms":[]}},"accounts":{"a":{"name":"alice@example.org","isPersonal":true,"isReadOnly":false,"accountCapabilities":{"urn:ietf:params:jmap:mail":{}}}},"primaryAccounts":{"urn:ietf:params:jmap:mail":"a"},"username":"alice","apiUrl":"/jmap","downloadUrl":"/d/{accountId}/{blobId}/{name}?accept={type}","uploadUrl":"/u/{accountId}","eventSourceUrl":"/e","state":"1"}"#;

/// Writes the inputs for `target` below the directory that `MALLE_FUZZ_CORPUS` names, if it names one.
pub fn seed(target: &str) {
    let Some(root) = std::env::var_os("MALLE_FUZZ_CORPUS") else {
        return;
    };
    let dir = Path::new(&root).join(target);
    std::fs::create_dir_all(&dir).expect("makes a directory");
    let all = repository::fuzzing::seeds().into_iter().chain(answers()).chain(exports::seeds());
    for (number, (_, bytes)) in all.filter(|(of, _)| *of == target).enumerate() {
        std::fs::write(dir.join(format!("seed-{number}")), bytes).expect("writes");
    }
}

fn answers() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    let response = |calls: &[&str]| {
        format!(r#"{{"methodResponses":[{}],"sessionState":"s"}}"#, calls.join(",")).into_bytes()
    };
    let answers = [
        response(&[PAGE, EMAILS, BLOBS, CHANGES, FOLDERS]),
        response(&[PAGE, EMAILS, BLOBS, ERROR]),
        SESSION.as_bytes().to_vec(),
    ];
    answers.into_iter().map(|bytes| ("jmap_response", bytes))
}
