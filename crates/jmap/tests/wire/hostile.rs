use bytes::Bytes;
use jmap::{
    Batch, Call, Class, DataType, Error, Id, Ids, JmapBlobId, Query, State, parse_response, parse_session,
};
use proptest::prelude::*;

use crate::account;

struct Calls {
    batch: Batch,
    page: Call<jmap::QueryPage>,
    emails: Call<jmap::Emails>,
    blobs: Call<jmap::Blobs>,
    changes: Call<jmap::Changes>,
    folders: Call<jmap::Objects>,
}

fn calls() -> Calls {
    let mut batch = Batch::new(&account());
    let page = batch.query(DataType::Email, &Query::page(10));
    let emails = batch.emails(Ids::These(vec![Id::new("e1").unwrap()]));
    let blobs = batch.blobs(Ids::These(vec![JmapBlobId::new("b1").unwrap()]));
    let changes = batch.changes(DataType::Email, &State::new("s0").unwrap(), 10);
    let folders = batch.get(DataType::Mailbox, Ids::All);
    Calls { batch, page, emails, blobs, changes, folders }
}

const PAGE: &str = r#"["Email/query",{"accountId":"adm","queryState":"q","position":0,"ids":["e1"]},"0"]"#;
const EMAILS: &str = r#"["Email/get",{"accountId":"adm","state":"s","list":[{"id":"e1","blobId":"b1","size":1,
    "mailboxIds":{"m":true},"keywords":{"$seen":true},"receivedAt":"2026-11-22T14:25:01Z"}],"notFound":[]},"1"]"#;
const BLOBS: &str = r#"["Blob/get",{"accountId":"adm","list":[{"id":"b1","data:asText":"\u00e9\r\n","size":4}],"notFound":[]},"2"]"#;
const CHANGES: &str = r#"["Email/changes",{"accountId":"adm","oldState":"s0","newState":"s1","hasMoreChanges":true,"created":[],"updated":["e1"],"destroyed":[]},"3"]"#;
const FOLDERS: &str =
    r#"["Mailbox/get",{"accountId":"adm","state":"s","list":[{"id":"m","name":"Inbox"}]},"4"]"#;

fn response(calls: &[&str]) -> String {
    format!(r#"{{"methodResponses":[{}],"sessionState":"s"}}"#, calls.join(","))
}

/// Reads everything there is; the first failure counts.
fn read(body: &[u8]) -> Result<(), Error> {
    let calls = calls();
    let answer = parse_response(&Bytes::copy_from_slice(body), &calls.batch, 500)?;
    let results = [
        answer.take(calls.page).map(drop),
        answer.take(calls.emails).map(drop),
        answer.take(calls.blobs).map(drop),
        answer.take(calls.changes).map(drop),
        answer.take(calls.folders).map(drop),
    ];
    results.into_iter().collect()
}

#[test]
fn the_honest_answer_is_fine() {
    read(response(&[PAGE, EMAILS, BLOBS, CHANGES, FOLDERS]).as_bytes()).unwrap();
}

#[test]
fn lies_and_nonsense_are_corrupt() {
    let all = [PAGE, EMAILS, BLOBS, CHANGES, FOLDERS];
    let with = |index: usize, from: &str, to: &str| {
        let changed = all[index].replace(from, to);
        assert_ne!(changed, all[index], "{from}");
        let mut calls = all;
        calls[index] = &changed;
        response(&calls)
    };
    let deep = format!(r#"{{"methodResponses":{}}}"#, "[".repeat(1 << 20));
    let many = format!(r#"{{"methodResponses":[{}]}}"#, vec![r#"["a",{},"0"]"#; 200_000].join(","));
    let ids = format!("[{}\"e\"]", "\"e\",".repeat(200_000));
    let hostile = [
        String::new(),
        "null".into(),
        "[]".into(),
        "{}".into(),
        response(&[]),
        response(&all[1..]),
        response(&[PAGE, PAGE, EMAILS, BLOBS, CHANGES, FOLDERS]),
        response(&[PAGE, EMAILS, BLOBS, CHANGES, FOLDERS, r#"["Foo/get",{},"5"]"#]),
        with(0, "\"0\"", "\"99999999999999999999\""),
        with(0, "Email/query", "Email/get"),
        with(0, "adm", "other"),
        with(0, r#"["e1"]"#, r#"["e1","e1"]"#),
        with(0, r#"["e1"]"#, r#"["e1",""]"#),
        with(0, r#"["e1"]"#, r#"{"e1":1}"#),
        with(0, r#"["e1"]"#, &ids),
        with(1, r#""notFound":[]"#, r#""notFound":["e1"]"#),
        with(1, r#""notFound":[]"#, r#""notFound":["e9"]"#),
        with(1, r#""id":"e1""#, r#""id":"e9""#),
        with(2, "adm", "adm2"),
        with(2, r#""id":"b1""#, r#""id":"b2""#),
        with(3, r#""newState":"s1""#, r#""newState":"s0""#),
        with(4, r#"{"id":"m","name":"Inbox"}"#, r#"{"id":"m"},{"id":"m"}"#),
        with(4, r#""list":[{"id":"m","name":"Inbox"}]"#, r#""list":null"#),
        deep,
        many,
    ];
    for body in hostile {
        let error = read(body.as_bytes()).unwrap_err();
        let shown: String = body.chars().take(300).collect();
        assert_eq!(error.class(), Class::Corrupt, "{shown}: {error}");
    }
    assert_eq!(read(b"{\"\xff\":1}").unwrap_err().class(), Class::Corrupt);
}

#[test]
fn an_object_nested_too_deeply_fails_alone() {
    let deep = format!(r#"{{"id":"d","x":{}{}}}"#, "[".repeat(5000), "]".repeat(5000));
    let folders = FOLDERS.replace("[{", &format!("[{deep},{{"));
    let body = response(&[PAGE, EMAILS, BLOBS, CHANGES, &folders]);
    let calls = calls();
    let answer = parse_response(&Bytes::from(body), &calls.batch, 500).unwrap();
    let objects = answer.take(calls.folders).unwrap();
    assert_eq!((objects.list.len(), objects.failures.len()), (1, 1));
    assert_eq!(objects.failures[0].error, jmap::ObjectError::TooDeep);
}

#[test]
fn a_call_of_another_batch_is_refused() {
    let calls = calls();
    let body = Bytes::from(response(&[PAGE, EMAILS, BLOBS, CHANGES, FOLDERS]));
    let answer = parse_response(&body, &calls.batch, 500).unwrap();
    let mut other = Batch::new(&account());
    let folders = other.get(DataType::Mailbox, Ids::All);
    assert!(answer.take(folders).is_err());
}

proptest! {
    #[test]
    fn a_damaged_answer_never_panics(at in 0_usize..1200, byte in any::<u8>(), cut in proptest::bool::ANY) {
        let mut body = response(&[PAGE, EMAILS, BLOBS, CHANGES, FOLDERS]).into_bytes();
        let at = at % body.len();
        if cut { body.truncate(at) } else { body[at] = byte }
        if let Err(error) = read(&body) {
            prop_assert!(matches!(error.class(), Class::Corrupt | Class::Permanent), "{}", error);
        }
        let _ = parse_session(&body);
    }

    #[test]
    fn any_json_is_survived(text in r#"(\PC|[\[\]{}",:0-9]|"methodResponses"|"list"|"ids"|null){0,60}"#) {
        let _ = read(text.as_bytes());
        let _ = parse_session(text.as_bytes());
    }
}
