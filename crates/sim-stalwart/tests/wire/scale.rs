//! A million emails, one enormous email, and bytes that compress as mail does.

use crate::client::{Client, get};
use serde_json::json;
use sim_stalwart::{AccountSpec, Simulator, Sizes};

/// Peak memory of this process in MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
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
