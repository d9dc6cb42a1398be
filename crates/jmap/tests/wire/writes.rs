use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use jmap::{Batch, Class, DataType, Error, Id, MethodErrorKind, Set, State, Upload};
use serde_json::{Value, json};

use crate::server::{Server, Step, answer, head, ok};
use crate::{account, config, connect, server};

const DONE: &str = r#"{"methodResponses":[["Mailbox/set",
    {"accountId":"adm","newState":"2","created":{"a":{"id":"m1"}},"destroyed":["m7"]},"0"]],"sessionState":"s"}"#;

/// A server whose API first answers so, then that it was done.
async fn first(first: Vec<Step>) -> Server {
    let asked = AtomicUsize::new(0);
    server(move |_| if asked.fetch_add(1, SeqCst) == 0 { first.clone() } else { ok(DONE) }).await
}

fn set() -> Set {
    let mut set = Set::new().if_in_state(&State::new("1").unwrap());
    set.create("a", json!({ "name": "Été" }));
    set.destroy(&Id::new("m7").unwrap());
    set
}

async fn change(server: &Server) -> Result<jmap::Written, Error> {
    let mut batch = Batch::new(&account());
    let call = batch.set(DataType::Mailbox, set());
    connect(server).await.change(&batch).await?.take(call)
}

#[tokio::test]
async fn what_is_written_and_what_came_of_it() {
    let server = server(|_| ok(DONE)).await;
    let written = change(&server).await.unwrap();
    assert_eq!(written.created["a"].id.as_str(), "m1");
    assert_eq!(written.new_state.unwrap().as_str(), "2");
    let body: Value = serde_json::from_str(&server.seen()[1].body).unwrap();
    assert_eq!(body["methodCalls"][0][0], "Mailbox/set");
    let arguments = json!({ "accountId": "adm", "ifInState": "1", "create": { "a": { "name": "Été" } }, "destroy": ["m7"] });
    assert_eq!(body["methodCalls"][0][1], arguments);
}

#[tokio::test]
async fn refusals_before_anything_was_done_are_retried() {
    let limit = r#"{"type":"urn:ietf:params:jmap:error:limit","limit":"maxConcurrentRequests","status":400}"#;
    for fault in
        [answer("429 Too Many Requests", "retry-after: 0\r\n", ""), answer("400 Bad Request", "", limit)]
    {
        let server = first(fault).await;
        change(&server).await.unwrap();
        assert_eq!(server.lines().len(), 3);
    }
}

#[tokio::test]
async fn what_may_have_been_done_is_not_sent_again() {
    for fault in [
        vec![Step::Close],
        vec![head("content-length: 100\r\n"), Step::Send(b"{".to_vec()), Step::Close],
        answer("500 Internal Server Error", "", ""),
        answer("503 Service Unavailable", "", ""),
        answer("504 Gateway Timeout", "", ""),
    ] {
        let server = first(fault).await;
        let error = change(&server).await.unwrap_err();
        assert!(!error.did_nothing() && matches!(error.class(), Class::Transient { .. }), "{error}");
        assert_eq!(server.lines().len(), 2, "{error}");
    }
}

#[tokio::test]
async fn an_answer_that_leaves_open_what_was_done_is_an_error() {
    let server = server(|_| ok(DONE.replace(r#","destroyed":["m7"]"#, ""))).await;
    let error = change(&server).await.unwrap_err();
    assert!(matches!(error, Error::Untrue { .. }) && !error.did_nothing(), "{error}");
}

#[tokio::test]
async fn another_state_than_the_one_demanded() {
    let answer = r#"{"methodResponses":[["error",{"type":"stateMismatch"},"0"]],"sessionState":"s"}"#;
    let server = server(move |_| ok(answer)).await;
    let error = change(&server).await.unwrap_err();
    assert_eq!(error.method_error().unwrap().kind, MethodErrorKind::StateMismatch);
    assert!(error.did_nothing());
}

fn upload(pieces: usize, asked: &Arc<AtomicUsize>) -> Upload {
    let asked = Arc::clone(asked);
    Upload::new("message/rfc822", 10 * pieces as u64, move || {
        asked.fetch_add(1, SeqCst);
        stream::iter(0..pieces).map(|_| Ok(Bytes::from_static(b"0123456789"))).boxed()
    })
}

fn uploaded(size: usize) -> Vec<Step> {
    ok(format!(r#"{{"accountId":"adm","blobId":"B1","type":"message/rfc822","size":{size}}}"#))
}

#[tokio::test]
async fn an_upload_is_streamed_and_begun_again_after_a_failure() {
    let tries = AtomicUsize::new(0);
    let server = server(move |seen| match tries.fetch_add(1, SeqCst) {
        0 => answer("503 Service Unavailable", "", ""),
        1 => vec![Step::Close],
        _ => uploaded(seen.body.len()),
    })
    .await;
    let asked = Arc::default();
    let client = connect(&server).await;
    let blob = client.upload(&account(), &upload(1000, &asked)).await.unwrap();
    assert_eq!((blob.as_str(), asked.load(SeqCst)), ("B1", 3));
    let seen = server.seen();
    assert_eq!(seen[3].line, "post /up/adm/");
    assert!(seen[3].head.contains("content-length: 10000\r\n") && seen[3].body == "0123456789".repeat(1000));
}

#[tokio::test]
async fn an_upload_that_came_short_or_goes_nowhere() {
    let short = server(|_| uploaded(19)).await;
    let asked = Arc::default();
    let error = connect(&short).await.upload(&account(), &upload(2, &asked)).await.unwrap_err();
    assert!(matches!(error, Error::WrongLength { expected: 20, got: 19 }), "{error}");
    let client = jmap::Client::connect(config(&short.url)).await.unwrap();
    let error = client.upload(&account(), &upload(6_000_000, &asked)).await.unwrap_err();
    assert!(matches!(error, Error::OverLimit { limit: "maxSizeUpload", .. }), "{error}");
    let silent = server(|_| vec![Step::Hang]).await;
    let mut impatient = config(&silent.url);
    impatient.timeouts.request = Duration::from_millis(100);
    let client = jmap::Client::connect(impatient).await.unwrap();
    let error = client.upload(&account(), &upload(2, &asked)).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error}");
}
