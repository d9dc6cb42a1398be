//! Uploads by URL and by `Blob/upload`.

use std::time::{Duration, Instant};

use crate::client::{Client, data};
use serde_json::{Value, json};
use sim_stalwart::{AccountSpec, Effect, Fault, Limits, Simulator, Sizes, Target, UploadQuota, Version};

async fn with_limits(limits: Limits) -> (Simulator, Client) {
    let spec = AccountSpec::new("alice", "secret").bare();
    let builder = Simulator::builder().limits(limits).account(spec).admin("admin", "root");
    let simulator = builder.account(AccountSpec::new("bob", "secret").emails(3).sizes(Sizes::tiny()));
    let simulator = simulator.start().await.unwrap();
    let client = Client::new(&simulator, "alice", "secret").await;
    (simulator, client)
}

fn created(answer: &Value, creation: &str) -> String {
    answer["created"][creation]["id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[tokio::test]
async fn an_upload_is_read_back_until_it_expires() {
    let (simulator, client) = with_limits(Limits::default()).await;
    let (status, answer) = client.upload("message/rfc822", "Subject: x\r\n\r\n").await;
    assert_eq!((status, &answer["size"], &answer["type"]), (200, &json!(14), &json!("message/rfc822")));
    assert_eq!(answer["accountId"], client.account);
    let id = answer["blobId"].as_str().unwrap().to_owned();
    assert_eq!(client.upload("text/plain", "Subject: x\r\n\r\n").await.1["blobId"], id);
    let read = client.call("Blob/get", json!({ "ids": [id] })).await;
    assert_eq!(data(&read["list"][0]), "Subject: x\r\n\r\n");
    let account = simulator.account("alice").unwrap();
    assert_eq!(account.uploads(), (1, 14));
    account.expire_uploads();
    assert_eq!(client.call("Blob/get", json!({ "ids": [id] })).await["notFound"], json!([id]));
    assert_ne!(client.upload("text/plain", "Subject: x\r\n\r\n").await.1["blobId"], id);
    let counters = simulator.counters();
    assert_eq!((counters.uploads, counters.blobs, counters.blob_bytes), (3, 3, 42));
}

#[tokio::test]
async fn anyone_may_upload_to_anyone_but_only_read_the_own() {
    let (simulator, client) = with_limits(Limits::default()).await;
    let bob = simulator.account("bob").unwrap();
    let (status, answer) = client.upload_to(&bob.id(), "text/plain", "x").await;
    assert_eq!(status, 200);
    assert!(bob.blob(answer["blobId"].as_str().unwrap()).is_some());
    assert_eq!(client.upload_to("zz", "text/plain", "x").await.0, 404);
    simulator.set_version(Version::V0_15);
    assert_eq!(client.upload_to("zz", "text/plain", "x").await.0, 200);
    assert_eq!(client.upload_to("!!", "text/plain", "x").await.0, 404);
}

#[tokio::test]
async fn blobs_are_put_together_from_text_base64_and_others() {
    let (_simulator, client) = with_limits(Limits::default()).await;
    let sources = json!({
        "a": { "data": [{ "data:asText": "hé" }], "type": "text/plain" },
        "b": { "data": [{ "data:asBase64": "MDEyMzQ1Njc4OQ==" }] },
        "c": { "data": [{ "blobId": "#b", "offset": 3, "length": 5 }, { "data:asText": "y" }] },
        "d": { "data": [] },
        "e": { "data": [{ "blobId": "nope" }] },
        "f": { "data": [{ "blobId": "a".repeat(33) }] },
        "g": { "data": [{ "data:asBase64": "!!" }] },
    });
    let answer = client.call("Blob/upload", json!({ "create": sources })).await;
    assert_eq!(
        (&answer["created"]["a"]["size"], &answer["created"]["a"]["type"]),
        (&json!(3), &json!("text/plain"))
    );
    let read = client.call("Blob/get", json!({ "ids": [created(&answer, "c")] })).await;
    assert_eq!(data(&read["list"][0]), "34567y");
    let kinds = ["d", "e", "f", "g"].map(|name| answer["notCreated"][name]["type"].clone());
    assert_eq!(kinds, ["invalidProperties", "invalidProperties", "forbidden", "invalidProperties"]);
}

#[tokio::test]
async fn limits_of_size_and_number() {
    let limits =
        Limits { max_size_upload: 1000, max_size_request: 3000, max_objects_in_set: 3, ..Limits::default() };
    let (simulator, client) = with_limits(limits).await;
    assert_eq!(client.upload("text/plain", "x".repeat(1000)).await.0, 200);
    let (status, answer) = client.upload("text/plain", "x".repeat(1001)).await;
    assert_eq!((status, &answer["limit"]), (400, &json!("maxSizeUpload")));
    let admin = Client::new(&simulator, "admin", "root").await;
    assert_eq!(admin.upload("text/plain", "x".repeat(1001)).await.0, 200);
    let text = |len: usize| json!({ "data": [{ "data:asText": "x".repeat(len) }] });
    let answer = client.call("Blob/upload", json!({ "create": { "a": text(999), "b": text(1000) } })).await;
    assert_eq!(answer["notCreated"]["b"]["type"], "tooLarge");
    assert!(answer["created"]["a"].is_object());
    let many = json!({ "a": text(1), "b": text(2), "c": text(3), "d": text(4) });
    assert_eq!(client.call("Blob/upload", json!({ "create": many })).await["type"], "requestTooLarge");
    let (status, answer) = client.post_text(&" ".repeat(3001)).await;
    assert_eq!((status, &answer["limit"]), (400, &json!("maxSizeRequest")));
}

#[tokio::test]
async fn a_quota_of_uploads_that_imports_do_not_give_back() {
    let uploads = Some(UploadQuota { files: 2, bytes: 100 });
    let (simulator, client) = with_limits(Limits { uploads, ..Limits::default() }).await;
    let blob = client.upload("message/rfc822", "Subject: x\r\n\r\n").await.1["blobId"].clone();
    let inbox = client.inbox().await;
    let import = json!({ "emails": { "a": { "blobId": blob, "mailboxIds": { inbox.as_str(): true } } } });
    assert!(client.call("Email/import", import).await["created"]["a"].is_object());
    assert_eq!(client.upload("text/plain", "x".repeat(87)).await.0, 403);
    assert_eq!(client.upload("text/plain", "x".repeat(86)).await.0, 200);
    assert_eq!(client.upload("text/plain", "y").await.0, 403);
    let text = json!({ "create": { "a": { "data": [{ "data:asText": "y" }] } } });
    assert_eq!(client.call("Blob/upload", text.clone()).await["notCreated"]["a"]["type"], "overQuota");
    let admin = Client::new(&simulator, "admin", "root").await;
    assert_eq!(admin.upload_to(&client.account, "text/plain", "y").await.0, 200);
    simulator.account("alice").unwrap().expire_uploads();
    assert!(client.call("Blob/upload", text).await["created"]["a"].is_object());
    assert_eq!((UploadQuota::of_the_field().files, UploadQuota::of_the_field().bytes), (1_000, 50_000_000));
}

#[tokio::test]
async fn concurrent_uploads_have_a_limit_of_their_own() {
    let limits = Limits { max_concurrent_requests: 100, max_concurrent_uploads: 2, ..Limits::default() };
    let (simulator, client) = with_limits(limits).await;
    simulator.faults().add(Fault::new(Target::Upload, Effect::Delay(Duration::from_millis(100))));
    let answers = futures::future::join_all((0..3).map(|_| client.upload("text/plain", "x"))).await;
    let refused: Vec<_> = answers.iter().filter(|(status, _)| *status == 400).collect();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].1["limit"], "maxConcurrentUpload");
}

#[tokio::test]
async fn faults_strike_uploads() {
    let (simulator, client) = with_limits(Limits::default()).await;
    let faults = simulator.faults();
    for (code, retry_after) in [(413, None), (429, Some(1)), (503, None)] {
        faults.add(Fault::new(Target::Upload, Effect::Status { code, retry_after }).times(1));
        assert_eq!(client.upload("text/plain", "x").await.0, code);
    }
    let account = simulator.account("alice").unwrap();
    assert_eq!(account.uploads().0, 0);
    faults.add(Fault::new(Target::Upload, Effect::ResetUnserved).times(1));
    assert!(client.try_upload(&client.account, "text/plain", "lost").await.is_err());
    assert_eq!(account.uploads().0, 0);
    faults.add(Fault::new(Target::Upload, Effect::Reset { after: 0 }).times(1));
    assert!(client.try_upload(&client.account, "text/plain", "kept").await.is_err());
    assert_eq!(account.uploads(), (1, 4));
    let pause = Duration::from_millis(10);
    let slow = faults.add(Fault::new(Target::Upload, Effect::SlowRead { bytes: 100, pause }).times(1));
    let start = Instant::now();
    assert_eq!(client.upload("text/plain", "x".repeat(1000)).await.0, 200);
    assert!(start.elapsed() >= pause * 10);
    assert_eq!(faults.struck(slow), 1);
}
