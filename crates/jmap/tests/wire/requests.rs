use jmap::{Batch, Class, DataType, Error, Id, Ids, JmapBlobId, MethodErrorKind, Query, State};

use crate::server::ok;
use crate::{account, connect, server};

const CHAIN: &str = r#"{"methodResponses":[
    ["Email/query",{"accountId":"adm","queryState":"q1","canCalculateChanges":true,"position":0,"ids":["e1","e2"],"total":9},"0"],
    ["Email/get",{"accountId":"adm","state":"s1","list":[
        {"id":"e1","blobId":"b1","size":5,"mailboxIds":{"m":true},"keywords":{},"receivedAt":"2026-11-22T14:25:01Z"},
        {"id":"e2","blobId":"b2","size":3,"mailboxIds":{"m":true},"receivedAt":"2026-11-22T14:25:02Z"}],"notFound":[]},"1"],
    ["Blob/get",{"accountId":"adm","list":[
        {"id":"b1","data:asText":"a\r\nb\n","size":5},
        {"id":"b2","data:asBase64":"/wD/","isEncodingProblem":true,"size":3}],"notFound":[]},"2"],
    ["error",{"type":"cannotCalculateChanges"},"3"],
    ["Mailbox/get",{"accountId":"adm","state":"m1","list":[{"id":"m", "name":"Inbox" ,"x":1.50e3}]},"4"]
  ],"sessionState":"s2"}"#;

#[tokio::test]
async fn a_chain_of_calls_goes_in_one_request_and_each_result_is_read() {
    let server = server(|_| ok(CHAIN)).await;
    let client = connect(&server).await;
    let mut batch = Batch::new(&account());
    let page = batch.query(DataType::Email, &Query::page(2).with_total().after(&Id::new("e0").unwrap()));
    let emails = batch.emails(Ids::Of(page.ids()));
    let blobs = batch.blobs(Ids::Of(emails.blob_ids()));
    let changes = batch.changes(DataType::Email, &State::new("old").unwrap(), 100);
    let folders = batch.get(DataType::Mailbox, Ids::All);
    let answer = client.call(&batch).await.unwrap();

    let page = answer.take(page).unwrap();
    assert_eq!((page.ids.len(), page.total, page.query_state), (2, Some(9), State::new("q1").ok()));
    let emails = answer.take(emails).unwrap();
    assert_eq!(emails.list[1].size, 3);
    let blobs = answer.take(blobs).unwrap();
    assert_eq!((&blobs.list[0].data[..], &blobs.list[1].data[..]), (&b"a\r\nb\n"[..], &b"\xff\0\xff"[..]));
    let error = answer.take(changes).unwrap_err();
    assert_eq!(error.method_error().map(|error| &error.kind), Some(&MethodErrorKind::CannotCalculateChanges));
    assert_eq!(error.to_string(), "Email/changes failed: cannotCalculateChanges");
    let folders = answer.take(folders).unwrap();
    assert_eq!(&folders.list[0].json[..], br#"{"id":"m", "name":"Inbox" ,"x":1.50e3}"#);
    assert!(!folders.may_be_cut);
    assert_eq!(answer.session_state(), State::new("s2").ok().as_ref());

    let sent: serde_json::Value = serde_json::from_str(&server.seen().last().unwrap().body).unwrap();
    let expected = serde_json::json!({
        "using": ["urn:ietf:params:jmap:blob", "urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"],
        "methodCalls": [
            ["Email/query", {"accountId": "adm", "limit": 2, "calculateTotal": true, "anchor": "e0", "anchorOffset": 1}, "0"],
            ["Email/get", {"accountId": "adm", "#ids": {"resultOf": "0", "name": "Email/query", "path": "/ids"},
                "properties": ["id", "blobId", "size", "mailboxIds", "keywords", "receivedAt"]}, "1"],
            ["Blob/get", {"accountId": "adm", "#ids": {"resultOf": "1", "name": "Email/get", "path": "/list/*/blobId"}}, "2"],
            ["Email/changes", {"accountId": "adm", "sinceState": "old", "maxChanges": 100}, "3"],
            ["Mailbox/get", {"accountId": "adm", "ids": null}, "4"],
        ]
    });
    assert_eq!(sent, expected);
    let counters = client.counters();
    assert_eq!(
        (counters.requests, counters.retries, counters.bytes_sent),
        (2, 0, sent.to_string().len() as u64)
    );
    assert!(counters.bytes_received > CHAIN.len() as u64);
}

#[tokio::test]
async fn a_batch_over_the_sessions_limits_is_not_sent() {
    let server = server(|_| ok("")).await;
    let client = connect(&server).await;
    let ids: Vec<_> = ["a", "b", "c", "d"].iter().map(|id| JmapBlobId::new(id).unwrap()).collect();
    let mut many = Batch::new(&account());
    many.blobs(Ids::These(ids));
    let mut long = Batch::new(&account());
    for _ in 0..17 {
        long.state(DataType::Email);
    }
    for (batch, name) in [(many, "maxObjectsInGet"), (long, "maxCallsInRequest")] {
        let error = client.call(&batch).await.unwrap_err();
        assert!(matches!(error, Error::OverLimit { limit, .. } if limit == name), "{error}");
        assert_eq!(error.class(), Class::Permanent);
    }
    assert_eq!(server.lines().len(), 1);
}

#[tokio::test]
async fn a_listing_as_long_as_the_servers_limit_may_be_cut() {
    let server = server(|_| {
        ok(r#"{"methodResponses":[["Identity/get",{"list":[{"id":"a"},{"id":"b"},{"id":"c"}]},"0"]]}"#)
    })
    .await;
    let client = connect(&server).await;
    let mut batch = Batch::new(&account());
    let all = batch.get(DataType::Identity, Ids::All);
    let objects = client.call(&batch).await.unwrap().take(all).unwrap();
    assert!(objects.may_be_cut);
    assert_eq!(objects.state, None);
}
