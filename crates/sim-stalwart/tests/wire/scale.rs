//! A million emails, one enormous email, and bytes that compress as mail does.

use crate::client::{Client, get};
use serde_json::json;
use sim_stalwart::{AccountSpec, Limits, Simulator, Sizes};

/// Peak memory of this process in MiB.
fn peak() -> u64 {
    peak_in_kib() / 1024
}

fn peak_in_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_million_emails_take_little_memory() {
    let before = peak();
    let spec = AccountSpec::new("alice", "secret").emails(1_000_000).sizes(Sizes::tiny());
    let simulator = Simulator::builder().account(spec).start().await.unwrap();
    let client = Client::new(&simulator, "alice", "secret").await;
    let sort = json!([{ "property": "receivedAt", "isAscending": false }]);
    let answer = client
        .call("Email/query", json!({ "sort": sort, "position": 700_000, "calculateTotal": true }))
        .await;
    assert_eq!((answer["total"].as_u64(), answer["ids"].as_array().unwrap().len()), (Some(1_000_000), 5_000));
    assert_eq!(answer["limit"], 5_000);
    let ids = &answer["ids"].as_array().unwrap()[..500];
    let answer = client.call("Email/get", json!({ "ids": ids })).await;
    assert_eq!(answer["list"].as_array().unwrap().len(), 500);
    assert!(peak() - before < 64, "{} MiB", peak() - before);
}

#[tokio::test]
async fn an_email_of_100_megabytes_is_streamed() {
    let spec = AccountSpec::new("alice", "secret").bare();
    let simulator = Simulator::builder().account(spec).start().await.unwrap();
    let account = simulator.account("alice").unwrap();
    let email = account.email(&account.deliver_large(100_000_000)).unwrap();
    let url = format!("{}/jmap/download/{}/{}/large.eml", simulator.url(), account.id(), email.blob_id);
    let (before, mut read) = (peak(), 0);
    let mut answer = get(&url, "alice", "secret").await;
    while let Some(chunk) = answer.chunk().await.unwrap() {
        read += chunk.len() as u64;
    }
    assert_eq!((read, email.size), (100_000_000, 100_000_000));
    assert!(peak() - before < 16, "{} MiB", peak() - before);
}

#[tokio::test]
async fn prose_compresses_and_attachments_do_not() {
    let simulator = Simulator::builder()
        .account(AccountSpec::new("prose", "").emails(300).sizes(Sizes::between(2_000, 8_000)))
        .account(AccountSpec::new("files", "").emails(20).sizes(Sizes::between(200_000, 400_000)))
        .start()
        .await
        .unwrap();
    // Percent that zstd leaves of all emails together.
    let left = |name: &str| {
        let account = simulator.account(name).unwrap();
        let raws = account.emails().into_iter().map(|email| account.raw(&email.id).unwrap());
        let all: Vec<u8> = raws.flatten().collect();
        zstd::bulk::compress(&all, 3).unwrap().len() * 100 / all.len()
    };
    let (prose, files) = (left("prose"), left("files"));
    assert!((20..50).contains(&prose), "{prose} %");
    assert!((65..80).contains(&files), "{files} %");
}

/// Blanks and a number: a million small emails that nobody generated.
fn strange(number: usize) -> Vec<u8> {
    format!("Subject: {number}\r\n\r\n{}\r\n", " ".repeat(400)).into_bytes()
}

#[tokio::test]
async fn imported_emails_take_less_than_a_kilobyte_without_their_bytes() {
    const COUNT: usize = 20_000;
    let spec = AccountSpec::new("alice", "secret").bare().forget_bytes();
    let limits = Limits { max_objects_in_set: 1_000, ..Limits::default() };
    let simulator = Simulator::builder().limits(limits).account(spec).start().await.unwrap();
    let client = Client::new(&simulator, "alice", "secret").await;
    let mut before = 0;
    for batch in 0..=COUNT / 1_000 {
        if batch == 1 {
            before = peak_in_kib();
        }
        let blob = |at: usize| {
            let text = String::from_utf8(strange(batch * 1_000 + at)).unwrap();
            (format!("b{at}"), json!({ "data": [{ "data:asText": text }] }))
        };
        let create: serde_json::Map<_, _> = (0..1_000).map(blob).collect();
        let uploaded = client.call("Blob/upload", json!({ "create": create })).await;
        let email = |(creation, made): (&String, &serde_json::Value)| {
            (
                creation.clone(),
                json!({ "blobId": made["id"], "mailboxIds": { "a": true }, "keywords": { "$malle-1": true } }),
            )
        };
        let emails: serde_json::Map<_, _> =
            uploaded["created"].as_object().unwrap().iter().map(email).collect();
        let answer = client.call("Email/import", json!({ "emails": emails })).await;
        assert_eq!(answer["created"].as_object().unwrap().len(), 1_000);
    }
    let each = (peak_in_kib() - before) * 1024 / COUNT as u64;
    println!("{each} bytes each");
    assert!(each < 1_000, "{each} bytes each");
    let account = simulator.account("alice").unwrap();
    assert_eq!(account.email_count(), COUNT + 1_000);
    let digests: std::collections::BTreeSet<_> =
        account.emails().iter().map(|email| account.digest(&email.id).unwrap()).collect();
    assert!((0..COUNT + 1_000).all(|number| digests.contains(blake3::hash(&strange(number)).as_bytes())));
}
