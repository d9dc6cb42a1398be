//! The protocol on the wire: sessions, requests, methods.

use crate::client::{Client, get};
use serde_json::{Value, json};
use sim_stalwart::{AccountSpec, BlobIds, Capabilities, EmailTruth, Simulator, Sizes, Urls, Version};

async fn simulator() -> Simulator {
    let spec = AccountSpec::new("alice@example.org", "secret").emails(1200).sizes(Sizes::light());
    Simulator::builder().seed(7).account(spec).admin("admin", "root").start().await.unwrap()
}

#[tokio::test]
async fn session_names_account_limits_and_urls() {
    let simulator = simulator().await;
    let client = Client::new(&simulator, "alice@example.org", "secret").await;
    let session = &client.session;
    assert_eq!(session["capabilities"]["urn:ietf:params:jmap:core"]["maxObjectsInGet"], 500);
    assert_eq!(session["accounts"][&client.account]["name"], "alice@example.org");
    assert_eq!(session["apiUrl"], format!("{}/jmap/", simulator.url()));
    simulator.set_urls(Urls::Relative);
    let client = Client::new(&simulator, "alice@example.org", "secret").await;
    assert_eq!(client.session["apiUrl"], "/jmap/");
}

#[tokio::test]
async fn wrong_password_is_a_problem_document() {
    let simulator = simulator().await;
    let http = crate::client::http();
    let answer = http
        .get(format!("{}/jmap/session", simulator.url()))
        .basic_auth("alice@example.org", Some("no"))
        .send()
        .await;
    let answer = answer.unwrap();
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
}

#[tokio::test]
async fn administrator_finds_and_reads_an_account_by_name() {
    let simulator = simulator().await;
    let client = Client::new(&simulator, "admin", "root").await;
    assert_eq!(client.account, "d333333");
    let account = simulator.account("alice@example.org").unwrap().id();
    let answer = client.call("Mailbox/get", json!({ "accountId": account, "ids": null })).await;
    assert!(answer["list"].as_array().unwrap().iter().any(|folder| folder["name"] == "Inbox"));
    let answer = client.call("Mailbox/get", json!({ "accountId": "zz", "ids": null })).await;
    assert_eq!(answer["type"], "accountNotFound");
    let found = client.call("Principal/query", json!({ "filter": { "email": "alice@example.org" } })).await;
    assert_eq!(found["ids"], json!([account]));
    let master = Client::new(&simulator, "alice@example.org%admin", "root").await;
    assert_eq!(master.account, account);
}

#[tokio::test]
async fn capability_must_be_offered_and_named() {
    let simulator = simulator().await;
    let mut client = Client::new(&simulator, "alice@example.org", "secret").await;
    client.using = vec!["urn:ietf:params:jmap:core"];
    assert_eq!(client.call("Mailbox/get", json!({ "ids": [] })).await["type"], "unknownMethod");
    simulator.set_version(Version::V0_15);
    assert!(client.call("Mailbox/get", json!({ "ids": [] })).await["state"].is_string());
    simulator.set_version(Version::V0_16);
    simulator.set_capabilities(Capabilities::v0_15());
    client.using = vec!["urn:ietf:params:jmap:contacts"];
    let (status, problem) = client.post(&json!({ "using": client.using, "methodCalls": [] })).await;
    assert_eq!((status, &problem["type"]), (400, &json!("urn:ietf:params:jmap:error:unknownCapability")));
}

#[tokio::test]
async fn broken_requests_have_problems_of_their_own() {
    let simulator = simulator().await;
    let client = Client::new(&simulator, "alice@example.org", "secret").await;
    let kind = async |body: &str| client.post_text(body).await.1["type"].clone();
    assert_eq!(kind("{").await, "urn:ietf:params:jmap:error:notJSON");
    assert_eq!(kind("{}").await, "urn:ietf:params:jmap:error:notRequest");
    let call = json!(["Core/echo", {}, "0"]);
    let many = json!({ "using": [], "methodCalls": vec![call; 17] });
    assert_eq!(client.post(&many).await.1["limit"], "maxCallsInRequest");
    assert_eq!(client.post_text(&" ".repeat(10_000_001)).await.1["limit"], "maxSizeRequest");
}

#[tokio::test]
async fn query_get_and_blobs_chain_by_reference() {
    let simulator = simulator().await;
    let client = Client::new(&simulator, "alice@example.org", "secret").await;
    let of = |call: &str, name: &str, path: &str| json!({ "resultOf": call, "name": name, "path": path });
    let answers = client
        .calls(&[
            ("Email/query", json!({ "limit": 100, "calculateTotal": true })),
            ("Email/get", json!({ "#ids": of("0", "Email/query", "/ids"), "properties": ["blobId", "size"] })),
            ("Blob/get", json!({ "#ids": of("1", "Email/get", "/list/*/blobId"), "properties": ["id", "data", "size"] })),
            ("Email/get", json!({ "#ids": of("1", "Email/query", "/ids") })),
        ])
        .await;
    assert_eq!(answers[0]["total"], 1200);
    assert_eq!(answers[1]["list"].as_array().unwrap().len(), 100);
    assert_eq!(answers[3]["type"], "invalidResultReference");
    let account = simulator.account("alice@example.org").unwrap();
    for (email, blob) in
        answers[1]["list"].as_array().unwrap().iter().zip(answers[2]["list"].as_array().unwrap())
    {
        assert_eq!(email["size"], blob["size"]);
        assert_eq!(crate::client::data(blob), account.raw(email["id"].as_str().unwrap()).unwrap());
    }
}

#[tokio::test]
async fn listing_by_pages_and_by_anchor_is_the_same() {
    let simulator = simulator().await;
    let client = Client::new(&simulator, "alice@example.org", "secret").await;
    let sort = json!([{ "property": "receivedAt", "isAscending": false }]);
    let whole = client.call("Email/query", json!({ "sort": sort })).await;
    let ids = whole["ids"].as_array().unwrap();
    assert_eq!(ids.len(), 1200);
    let second = client.call("Email/query", json!({ "sort": sort, "position": 500, "limit": 500 })).await;
    assert_eq!(second["ids"].as_array().unwrap()[..], ids[500..1000]);
    let arguments = json!({ "sort": sort, "anchor": ids[499], "anchorOffset": 1, "limit": 500 });
    let anchored = client.call("Email/query", arguments).await;
    assert_eq!(anchored["ids"], second["ids"]);
    let lost = client.call("Email/query", json!({ "anchor": "e" })).await;
    assert_eq!(lost["type"], "anchorNotFound");
    let last = client.call("Email/query", json!({ "sort": sort, "position": -3 })).await;
    assert_eq!(last["ids"].as_array().unwrap()[..], ids[1197..]);
}

#[tokio::test]
async fn too_many_ids_are_refused_and_unknown_ones_named() {
    let simulator = simulator().await;
    let client = Client::new(&simulator, "alice@example.org", "secret").await;
    let many = client.call("Email/get", json!({ "ids": vec!["a"; 501] })).await;
    assert_eq!(many["type"], "requestTooLarge");
    let none = client.call("Email/get", json!({ "ids": ["nope", "eaaaaaaaa"] })).await;
    assert_eq!(none["notFound"], json!(["nope", "eaaaaaaaa"]));
}

#[tokio::test]
async fn every_type_answers_its_state_to_an_empty_list() {
    let simulator = simulator().await;
    let client = Client::new(&simulator, "alice@example.org", "secret").await;
    for kind in sim_stalwart::DataType::ALL {
        let answer = client.call(&format!("{}/get", kind.name()), json!({ "ids": [] })).await;
        let stateless = kind == sim_stalwart::DataType::ParticipantIdentity;
        assert_eq!(answer["state"].is_string(), !stateless, "{kind:?}: {answer}");
        assert_eq!(answer["list"], json!([]));
        let changes =
            client.call(&format!("{}/changes", kind.name()), json!({ "sinceState": answer["state"] })).await;
        match kind.name() {
            "SieveScript" | "VacationResponse" => assert_eq!(changes["type"], "unknownMethod"),
            "Identity" => assert_eq!((&answer["state"], &changes["newState"]), (&json!("n"), &json!("n"))),
            "ParticipantIdentity" => assert!(changes["type"].is_string(), "{changes}"),
            _ => assert_eq!(changes["newState"], answer["state"], "{changes}"),
        }
    }
}

#[tokio::test]
async fn blobs_come_as_text_or_base64_and_in_part() {
    let simulator = simulator().await;
    let client = Client::new(&simulator, "alice@example.org", "secret").await;
    let account = simulator.account("alice@example.org").unwrap();
    let (text, binary) = (account.put_blob("hé"), account.put_blob(&b"\xff\xfe"[..]));
    let all = json!(["data:asText", "data:asBase64", "size"]);
    let answer = client.call("Blob/get", json!({ "ids": [text, binary, "nope"], "properties": all })).await;
    assert_eq!(answer["list"][0]["data:asText"], "hé");
    assert_eq!(answer["list"][0]["data:asBase64"], "aMOp");
    assert_eq!(answer["list"][1]["data:asText"], Value::Null);
    assert_eq!(answer["list"][1]["isEncodingProblem"], true);
    assert_eq!(answer["notFound"], json!(["nope"]));
    let part = client
        .call("Blob/get", json!({ "ids": [text], "properties": ["data", "size"], "offset": 1, "length": 1 }));
    let part = part.await;
    assert_eq!((&part["list"][0]["data:asBase64"], &part["list"][0]["size"]), (&json!("ww=="), &json!(3)));
    let long = client.call("Blob/get", json!({ "ids": [text], "length": 9 })).await;
    assert_eq!(long["list"][0]["isTruncated"], true);
}

#[tokio::test]
async fn download_streams_what_blob_get_gives() {
    let simulator = simulator().await;
    let account = simulator.account("alice@example.org").unwrap();
    let large = account.email(&account.deliver_large(5_000_000)).unwrap();
    let address = format!(
        "{}/jmap/download/{}/{}/mail.eml?accept=message%2Frfc822",
        simulator.url(),
        account.id(),
        large.blob_id
    );
    let answer = get(&address, "alice@example.org", "secret").await;
    assert_eq!(answer.headers()["content-type"], "message/rfc822");
    let bytes = answer.bytes().await.unwrap();
    assert_eq!(bytes.len() as u64, large.size);
    assert!(bytes == account.raw(&large.id).unwrap());
    account.destroy(&large.id);
    assert_eq!(get(&address, "alice@example.org", "secret").await.status(), 200);
    account.purge();
    assert_eq!(get(&address, "alice@example.org", "secret").await.status(), 404);
}

#[tokio::test]
async fn blob_ids_of_bytes_are_shared_until_the_last_email_is_gone() {
    let spec = AccountSpec::new("alice", "secret").emails(100).blob_ids(BlobIds::OfBytes).purging_at_once();
    let simulator = Simulator::builder().account(spec).start().await.unwrap();
    let account = simulator.account("alice").unwrap();
    let emails = account.emails();
    let alone =
        |email: &&EmailTruth| emails.iter().filter(|other| other.blob_id == email.blob_id).count() == 1;
    let first = emails.iter().find(alone).unwrap();
    let again = account.deliver(account.raw(&first.id).unwrap(), &[], &[]);
    assert_eq!(account.email(&again).unwrap().blob_id, first.blob_id);
    assert!(account.destroy(&first.id));
    assert!(account.blob(&first.blob_id).is_some());
    assert!(account.destroy(&again));
    assert!(account.blob(&first.blob_id).is_none());
}

#[tokio::test]
async fn blob_ids_of_emails_differ_for_the_same_bytes() {
    let simulator = simulator().await;
    let account = simulator.account("alice@example.org").unwrap();
    let [one, two] = [0, 1].map(|_| account.deliver("Subject: x\r\n\r\n", &[], &[]));
    let [one, two] = [one, two].map(|id| account.email(&id).unwrap().blob_id);
    assert_ne!(one, two);
    assert_eq!(account.blob(&one), account.blob(&two));
    for email in account.emails().iter().take(50) {
        assert_eq!(account.blob(&email.blob_id), account.raw(&email.id));
    }
}

#[tokio::test]
async fn old_stalwart_makes_a_mailbox_by_reading_it_and_strangers_are_forbidden() {
    let simulator = simulator().await;
    simulator.set_version(Version::V0_15);
    let admin = Client::new(&simulator, "admin", "root").await;
    let folders = admin.call("Mailbox/get", json!({ "accountId": "zz" })).await;
    assert_eq!(folders["list"].as_array().unwrap().len(), 5);
    assert_eq!(folders["list"][0]["isSubscribed"], false);
    let alice = Client::new(&simulator, "alice@example.org", "secret").await;
    let blobs = alice.call("Blob/get", json!({ "ids": ["nope", "a".repeat(41)] })).await;
    assert_eq!(blobs["notFound"], json!(["a".repeat(41)]));
    assert_eq!(
        alice.call("ContactCard/changes", json!({ "sinceState": "n" })).await["type"],
        "cannotCalculateChanges"
    );
    assert_eq!(alice.call("Mailbox/get", json!({ "accountId": "zz" })).await["type"], "forbidden");
    assert_eq!(alice.call("Mailbox/get", json!({ "accountId": "!!" })).await["type"], "invalidArguments");
    assert_eq!(alice.call("Principal/query", json!({})).await["type"], "forbidden");
}
