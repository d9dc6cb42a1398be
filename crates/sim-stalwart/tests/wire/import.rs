//! `Email/import`, and accounts that keep no bytes.

use crate::client::{Client, data};
use serde_json::{Value, json};
use sim_stalwart::{AccountHandle, AccountSpec, DataType, Simulator, Sizes, Version};

async fn start() -> (Simulator, Client, AccountHandle) {
    with(AccountSpec::new("alice", "secret").bare()).await
}

async fn with(spec: AccountSpec) -> (Simulator, Client, AccountHandle) {
    let source = AccountSpec::new("source", "secret").emails(30).sizes(Sizes::tiny());
    let simulator = Simulator::builder().seed(5).account(spec).account(source).admin("admin", "root");
    let simulator = simulator.start().await.unwrap();
    let client = Client::new(&simulator, "alice", "secret").await;
    let account = simulator.account("alice").unwrap();
    (simulator, client, account)
}

async fn blob(client: &Client, bytes: impl Into<Vec<u8>>) -> String {
    let (status, answer) = client.upload("message/rfc822", bytes).await;
    assert_eq!(status, 200, "{answer}");
    answer["blobId"].as_str().unwrap().to_owned()
}

fn emails(emails: &Value) -> Value {
    json!({ "emails": emails })
}

#[tokio::test]
async fn bytes_keywords_folders_and_date_arrive_as_they_were() {
    let (simulator, client, account) = start().await;
    let (inbox, raw) = (client.inbox().await, b"Subject: \xff\r\n\r\n\0body".to_vec());
    let blob = blob(&client, raw.clone()).await;
    let email = json!({
        "blobId": blob, "mailboxIds": { inbox.as_str(): true, "b": true, "c": false },
        "keywords": { "$SEEN": true, "My-Tag": true, "$malle-restore-1a2b": true, "no": false },
        "receivedAt": "2001-02-03T06:05:06.7+02:00",
    });
    let (before, folders) = (account.state(DataType::Email), account.state(DataType::Mailbox));
    let answer = client.call("Email/import", emails(&json!({ "k": email }))).await;
    assert_eq!(
        (&answer["oldState"], &answer["newState"]),
        (&json!(before), &json!(account.state(DataType::Email)))
    );
    let truth = account.emails().remove(0);
    let created = &answer["created"]["k"];
    assert_eq!((&created["id"], &created["blobId"]), (&json!(truth.id), &json!(truth.blob_id)));
    assert_eq!((&created["size"], created["threadId"].is_string()), (&json!(raw.len()), true));
    assert_eq!(account.raw(&truth.id).unwrap(), raw);
    assert_eq!(account.digest(&truth.id).unwrap(), *blake3_of(&raw).as_bytes());
    assert_eq!(truth.mailbox_ids.iter().collect::<Vec<_>>(), [&inbox, "b"]);
    assert_eq!(truth.keywords.iter().collect::<Vec<_>>(), ["$malle-restore-1a2b", "$seen", "My-Tag"]);
    assert_eq!(truth.received_at, "2001-02-03T04:05:06Z");
    let changes = client.call("Email/changes", json!({ "sinceState": before })).await;
    assert_eq!(changes["created"], json!([truth.id]));
    let changes = client.call("Mailbox/changes", json!({ "sinceState": folders })).await;
    assert_eq!(
        (&changes["updated"], &changes["updatedProperties"][0]),
        (&json!([inbox, "b"]), &json!("totalEmails"))
    );
    for (keyword, found) in [("$malle-restore-1a2b", 1), ("my-tag", 0), ("My-Tag", 1), ("$Seen", 1)] {
        let answer = client.call("Email/query", json!({ "filter": { "hasKeyword": keyword } })).await;
        assert_eq!(answer["ids"].as_array().unwrap().len(), found, "{keyword}");
    }
    assert_eq!(simulator.counters().created, 1);
}

fn blake3_of(bytes: &[u8]) -> blake3::Hash {
    blake3::hash(bytes)
}

#[tokio::test]
async fn each_email_is_refused_for_its_own_reason() {
    let (simulator, mut client, account) = start().await;
    let inbox = client.inbox().await;
    let good = blob(&client, "Subject: x\r\n\r\n").await;
    let (odd, empty) = (blob(&client, "no header").await, blob(&client, "").await);
    let into = |blob: &str, folder: &str| json!({ "blobId": blob, "mailboxIds": { folder: true } });
    let wanted = json!({
        "good": into(&good, &inbox), "again": into(&good, &inbox), "unknownBlob": into(&"u".repeat(33), &inbox),
        "badBlob": into("!!", &inbox), "reference": into("#x", &inbox),
        "nowhere": { "blobId": good, "mailboxIds": {} },
        "lost": into(&good, "zzz"), "odd": into(&odd, &inbox), "empty": into(&empty, &inbox),
    });
    let answer = client.call("Email/import", emails(&wanted)).await;
    let kind = |name: &str| answer["notCreated"][name]["type"].as_str();
    assert_eq!((kind("good"), kind("again")), (None, None));
    assert_eq!(kind("unknownBlob"), Some("blobNotFound"));
    for name in ["badBlob", "reference", "nowhere", "lost"] {
        assert_eq!(kind(name), Some("invalidProperties"), "{name}");
    }
    assert_eq!(answer["notCreated"]["lost"]["properties"], json!(["mailboxIds"]));
    assert_eq!((kind("odd"), kind("empty")), (Some("invalidEmail"), Some("invalidEmail")));
    assert_eq!(account.email_count(), 2);
    simulator.set_version(Version::V0_15);
    client.be_old();
    let answer = client.call("Email/import", emails(&wanted)).await;
    assert!(answer["created"]["odd"].is_object());
    assert_eq!(answer["notCreated"]["empty"]["type"], "invalidEmail");
}

#[tokio::test]
async fn what_fails_the_whole_call_does_nothing() {
    let (_simulator, client, account) = start().await;
    let (inbox, good) = (client.inbox().await, blob(&client, "Subject: x\r\n\r\n").await);
    let state = account.state(DataType::Email);
    let one = |more: Value| {
        let mut email = json!({ "blobId": good, "mailboxIds": { inbox.as_str(): true } });
        email.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        emails(&json!({ "a": { "blobId": good, "mailboxIds": { inbox.as_str(): true } }, "b": email }))
    };
    let kind = async |arguments: Value| client.call("Email/import", arguments).await["type"].clone();
    assert_eq!(kind(one(json!({ "receivedAt": "yesterday" }))).await, "invalidArguments");
    assert_eq!(kind(one(json!({ "keywords": { "$seen": "yes" } }))).await, "invalidArguments");
    assert_eq!(kind(one(json!({ "mailboxIds": { "#none": true } }))).await, "invalidResultReference");
    assert_eq!(account.email_count(), 0);
    let mut arguments = one(json!({}));
    arguments["ifInState"] = state.into();
    assert_eq!(kind(arguments.clone()).await, Value::Null);
    assert_eq!(kind(arguments).await, "stateMismatch");
    assert_eq!(account.email_count(), 2);
}

#[tokio::test]
async fn an_import_follows_the_folder_made_in_the_same_request() {
    let (_simulator, client, account) = start().await;
    let good = blob(&client, "Subject: x\r\n\r\n").await;
    let email = json!({ "blobId": good, "mailboxIds": { "#f": true } });
    let create = json!({ "create": { "f": { "name": "Restored" } } });
    let answers =
        client.calls(&[("Mailbox/set", create), ("Email/import", emails(&json!({ "e": email })))]).await;
    let folder = answers[0]["created"]["f"]["id"].as_str().unwrap();
    assert!(account.emails()[0].mailbox_ids.contains(folder), "{answers:?}");
}

#[tokio::test]
async fn an_administrator_imports_what_lies_in_any_account() {
    let (simulator, _client, account) = start().await;
    let admin = Client::new(&simulator, "admin", "root").await;
    let source = simulator.account("source").unwrap();
    let email = source.emails().remove(7);
    let own = blob(&admin, "Subject: mine\r\n\r\n").await;
    let into = |blob: &str| json!({ "blobId": blob, "mailboxIds": { "a": true } });
    let mut arguments = emails(&json!({ "a": into(&email.blob_id), "b": into(&own) }));
    arguments["accountId"] = account.id().into();
    assert_eq!(admin.call("Email/import", arguments.clone()).await["notCreated"], Value::Null);
    let copies = account.emails();
    assert_eq!(account.raw(&copies[0].id), source.raw(&email.id));
    let alice = Client::new(&simulator, "alice", "secret").await;
    arguments["accountId"] = source.id().into();
    assert_eq!(alice.call("Email/import", arguments).await["type"], "forbidden");
}

#[tokio::test]
async fn an_account_has_room_for_so_many_bytes() {
    let (_simulator, client, account) = with(AccountSpec::new("alice", "secret").bare().quota(100)).await;
    let (inbox, large) = (client.inbox().await, blob(&client, format!("Subject: {}", "x".repeat(41))).await);
    let email = json!({ "blobId": large, "mailboxIds": { inbox.as_str(): true } });
    let three = || emails(&json!({ "a": email, "b": email, "c": email }));
    let answer = client.call("Email/import", three()).await;
    assert_eq!(answer["created"].as_object().unwrap().len(), 2);
    assert_eq!(answer["notCreated"]["c"]["type"], "overQuota");
    let quota = client.call("Quota/get", json!({ "ids": null })).await["list"][0].clone();
    assert_eq!((&quota["used"], &quota["hardLimit"]), (&json!(100), &json!(100)));
    let first = account.emails().remove(0).id;
    client.call("Email/set", json!({ "destroy": [first] })).await;
    assert_eq!(client.call("Email/import", three()).await["created"].as_object().unwrap().len(), 1);
    account.set_quota(None);
    assert_eq!(client.call("Quota/get", json!({})).await["list"], json!([]));
    assert_eq!(client.call("Email/import", three()).await["created"].as_object().unwrap().len(), 3);
}

#[tokio::test]
async fn forgotten_bytes_have_a_digest_and_known_ones_stay_readable() {
    let (simulator, client, account) = with(AccountSpec::new("alice", "secret").bare().forget_bytes()).await;
    let source = simulator.account("source").unwrap();
    let first = source.emails().remove(0);
    let known = blob(&client, source.raw(&first.id).unwrap().to_vec()).await;
    let strange = blob(&client, "Subject: strange\r\n\r\n").await;
    let into = |blob: &str| json!({ "blobId": blob, "mailboxIds": { "a": true } });
    let answer =
        client.call("Email/import", emails(&json!({ "a": into(&known), "b": into(&strange) }))).await;
    assert_eq!(answer["notCreated"], Value::Null, "{answer}");
    let [copy, gone] = [0, 1].map(|at| account.emails()[at].clone());
    assert_eq!(account.raw(&copy.id), source.raw(&first.id));
    let read = client.call("Blob/get", json!({ "ids": [copy.blob_id, gone.blob_id] })).await;
    assert_eq!(data(&read["list"][0]), source.raw(&first.id).unwrap());
    assert_eq!(read["notFound"], json!([gone.blob_id]));
    assert_eq!((account.raw(&gone.id), gone.size), (None, 20));
    assert_eq!(account.digest(&gone.id).unwrap(), *blake3_of(b"Subject: strange\r\n\r\n").as_bytes());
    assert_eq!(account.digest(&copy.id), source.digest(&first.id));
    let again = client.call("Email/import", emails(&json!({ "b": into(&strange) }))).await;
    assert!(again["created"]["b"].is_object(), "{again}");
}

#[tokio::test]
async fn imported_emails_go_with_a_roll_back() {
    let (_simulator, client, account) = start().await;
    let (inbox, good) = (client.inbox().await, blob(&client, "Subject: x\r\n\r\n").await);
    let (point, before) = (account.checkpoint(), account.content(DataType::Email));
    let email = json!({ "blobId": good, "mailboxIds": { inbox.as_str(): true } });
    let first = client.call("Email/import", emails(&json!({ "a": email }))).await;
    let with = account.content(DataType::Email);
    account.roll_back(&point);
    assert_eq!(account.content(DataType::Email), before);
    let state = first["newState"].as_str().unwrap();
    assert_eq!(account.state_contents(DataType::Email, state), [with]);
    let again = client.call("Email/import", emails(&json!({ "a": email }))).await;
    assert_eq!(again["created"], first["created"]);
}
