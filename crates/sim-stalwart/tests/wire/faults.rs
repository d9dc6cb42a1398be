//! Each fault, seen on the wire.

use std::time::{Duration, Instant};

use crate::client::{Client, get};
use serde_json::{Value, json};
use sim_stalwart::{
    AccountSpec, Advice, Effect, Fault, Limits, OddId, RateLimit, Shape, Simulator, Sizes, Target,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

async fn with_limits(limits: Limits) -> (Simulator, Client) {
    let spec = AccountSpec::new("alice", "secret").emails(50).sizes(Sizes::fixed(2_000));
    let simulator = Simulator::builder().limits(limits).account(spec).start().await.unwrap();
    let client = Client::new(&simulator, "alice", "secret").await;
    (simulator, client)
}

async fn start() -> (Simulator, Client) {
    with_limits(Limits { max_concurrent_requests: 100, ..Limits::default() }).await
}

fn listing() -> (&'static str, Value) {
    ("Email/query", json!({}))
}

/// Sends one request by hand and reads until the connection ends: the bytes, and how it ended.
async fn by_hand(client: &Client) -> (Vec<u8>, std::io::Result<usize>) {
    let body = client.request(&[listing()]);
    let address = client.url.trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /jmap/ HTTP/1.1\r\nHost: {address}\r\nAuthorization: Basic YWxpY2U6c2VjcmV0\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let mut read = Vec::new();
    let end = stream.read_to_end(&mut read).await;
    (read, end)
}

#[tokio::test]
async fn reset_before_the_answer_and_within_it() {
    let (simulator, client) = start().await;
    let fault = simulator.faults().add(Fault::new(Target::Api, Effect::Reset { after: 0 }).times(1));
    let (read, end) = by_hand(&client).await;
    assert_eq!((read.len(), end.unwrap_err().kind()), (0, std::io::ErrorKind::ConnectionReset));
    assert_eq!(simulator.faults().struck(fault), 1);
    simulator.faults().add(Fault::new(Target::Api, Effect::Reset { after: 300 }).times(1));
    let (read, end) = by_hand(&client).await;
    assert!(read.len() <= 300, "{}", read.len());
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(client.calls(&[listing()]).await[0]["ids"].as_array().unwrap().len(), 50);
}

#[tokio::test]
async fn truncated_body_ends_without_a_reset() {
    let (simulator, client) = start().await;
    simulator.faults().add(Fault::new(Target::Api, Effect::Truncate { after: 400 }));
    let (read, end) = by_hand(&client).await;
    assert_eq!((read.len(), end.unwrap()), (400, 400));
    assert!(String::from_utf8_lossy(&read).to_lowercase().contains("content-length"));
    assert!(client.send(&client.request(&[listing()])).await.unwrap().bytes().await.is_err());
}

#[tokio::test]
async fn content_length_that_says_too_much_or_too_little() {
    let (simulator, client) = start().await;
    let more =
        simulator.faults().add(Fault::new(Target::method("Email/query"), Effect::ContentLength { add: 10 }));
    assert!(client.send(&client.request(&[listing()])).await.unwrap().bytes().await.is_err());
    simulator.faults().remove(more);
    simulator.faults().add(Fault::new(Target::Api, Effect::ContentLength { add: -10 }));
    let body = client.send(&client.request(&[listing()])).await.unwrap().bytes().await.unwrap();
    assert!(serde_json::from_slice::<Value>(&body).is_err());
}

#[tokio::test]
async fn slow_answers_and_slow_bodies() {
    let (simulator, client) = start().await;
    let elapsed = async |effect| {
        let fault = simulator.faults().add(Fault::new(Target::Api, effect));
        let start = Instant::now();
        assert_eq!(client.calls(&[listing()]).await[0]["ids"].as_array().unwrap().len(), 50);
        simulator.faults().remove(fault);
        start.elapsed()
    };
    assert!(elapsed(Effect::Delay(Duration::from_millis(60))).await >= Duration::from_millis(60));
    let drip = Effect::Drip { bytes: 100, pause: Duration::from_millis(10) };
    assert!(elapsed(drip).await >= Duration::from_millis(50));
}

#[tokio::test]
async fn body_without_end() {
    let (simulator, client) = start().await;
    simulator.faults().add(Fault::new(Target::Api, Effect::NeverEnding { pause: Duration::ZERO }));
    let mut answer = client.send(&client.request(&[listing()])).await.unwrap();
    let mut read = 0;
    while read < 2_000_000 {
        read += answer.chunk().await.unwrap().unwrap().len();
    }
    drop(simulator);
    let ended = tokio::time::timeout(Duration::from_secs(5), async {
        while let Ok(Some(_)) = answer.chunk().await {}
    });
    ended.await.unwrap();
}

#[tokio::test]
async fn statuses_with_and_without_advice() {
    let (simulator, client) = start().await;
    for (code, retry_after) in [(500, None), (503, None), (503, Some(7)), (429, Some(1))] {
        simulator.faults().add(Fault::new(Target::Api, Effect::Status { code, retry_after }).times(1));
        let answer = client.send(&client.request(&[listing()])).await.unwrap();
        assert_eq!(answer.status(), code);
        let advice =
            answer.headers().get("retry-after").map(|value| value.to_str().unwrap().parse().unwrap());
        assert_eq!(advice, retry_after);
    }
}

#[tokio::test]
async fn redirect_to_another_origin() {
    let (simulator, client) = start().await;
    let (elsewhere, _) = start().await;
    let url = format!("{}/jmap/session", elsewhere.url());
    simulator.faults().add(Fault::new(Target::Session, Effect::Redirect(url)));
    let answer = get(&format!("{}/.well-known/jmap", client.url), "alice", "secret").await;
    assert_eq!(answer.url().origin().ascii_serialization(), elsewhere.url());
}

#[tokio::test]
async fn bodies_that_are_no_json_or_huge() {
    let (simulator, client) = start().await;
    let body = async || client.send(&client.request(&[listing()])).await.unwrap().bytes().await.unwrap();
    simulator.faults().add(Fault::new(Target::Api, Effect::InvalidJson).times(1));
    assert!(serde_json::from_slice::<Value>(&body().await).is_err());
    simulator.faults().add(Fault::new(Target::Api, Effect::Huge { bytes: 20_000_000 }).times(1));
    let huge = body().await;
    assert!(huge.len() > 20_000_000 && serde_json::from_slice::<Value>(&huge).is_ok());
}

#[tokio::test]
async fn distorted_responses() {
    let (simulator, client) = start().await;
    let query = async |effect| {
        simulator.faults().add(Fault::new(Target::method("Email/query"), effect).times(1));
        client.calls(&[listing()]).await.remove(0)
    };
    let len = |answer: &Value| answer["ids"].as_array().map(Vec::len);
    assert_eq!(query(Effect::method_error("serverUnavailable")).await["type"], "serverUnavailable");
    assert_eq!(query(Effect::WrongShape(Shape::Text)).await, "not what you expected");
    assert_eq!(query(Effect::WrongShape(Shape::Empty)).await, json!({}));
    assert!(query(Effect::WrongShape(Shape::ListsAsObjects)).await["ids"].is_object());
    assert!(query(Effect::WrongShape(Shape::ElementsAsNumbers)).await["ids"][0].is_number());
    assert_ne!(query(Effect::WrongAccount).await["accountId"], client.account.as_str());
    assert_eq!(len(&query(Effect::DuplicateIds).await), Some(51));
    assert_eq!(len(&query(Effect::Unasked).await), Some(51));
    assert_eq!(len(&query(Effect::Omitted).await), Some(49));
    assert_eq!(query(Effect::OddIds(OddId::Long)).await["ids"][0].as_str().unwrap().len(), 300);
    assert_eq!(query(Effect::OddIds(OddId::Control)).await["ids"][0], "a\0b\nc\u{1b}[31m");
    let custom = Effect::distort(|answer| answer["queryState"] = Value::Null);
    assert_eq!(query(custom).await["queryState"], Value::Null);
}

#[tokio::test]
async fn lies_about_sizes_and_data() {
    let (simulator, client) = start().await;
    let account = simulator.account("alice").unwrap();
    let email = account.emails().remove(3);
    simulator.faults().add(Fault::new(Target::method("Email/get"), Effect::LyingSize { add: 5 }).times(1));
    let answer = client.call("Email/get", json!({ "ids": [email.id] })).await;
    assert_eq!(answer["list"][0]["size"], email.size + 5);
    simulator.faults().add(Fault::new(Target::method("Blob/get"), Effect::ShortData).times(1));
    let answer = client.call("Blob/get", json!({ "ids": [email.blob_id] })).await;
    assert!((crate::client::data(&answer["list"][0]).len() as u64) < email.size);
}

#[tokio::test]
async fn things_that_vanish() {
    let (simulator, client) = start().await;
    let account = simulator.account("alice").unwrap();
    let mut emails = account.emails();
    let (blob, email) = (emails.remove(5), emails.remove(9));
    account.vanish_blob(&blob.blob_id);
    let answer = client.call("Blob/get", json!({ "ids": [blob.blob_id] })).await;
    assert_eq!(answer["notFound"], json!([blob.blob_id]));
    let url = format!("{}/jmap/download/{}/{}/x", client.url, client.account, blob.blob_id);
    assert_eq!(get(&url, "alice", "secret").await.status(), 404);
    let (handle, id) = (account.clone(), email.id.clone());
    let destroys = Effect::before(move || assert!(handle.destroy(&id)));
    simulator.faults().add(Fault::new(Target::method("Email/get"), destroys).times(1));
    let ids = json!({ "resultOf": "0", "name": "Email/query", "path": "/ids" });
    let answers = client.calls(&[listing(), ("Email/get", json!({ "#ids": ids }))]).await;
    assert!(answers[0]["ids"].as_array().unwrap().contains(&json!(email.id)));
    assert_eq!(answers[1]["notFound"], json!([email.id]));
    simulator.faults().add(Fault::new(Target::method("Email/get"), Effect::Vanished).times(1));
    let answer = client.call("Email/get", json!({ "ids": [blob.id] })).await;
    assert_eq!((&answer["list"], &answer["notFound"]), (&json!([]), &json!([blob.id])));
}

#[tokio::test]
async fn a_type_that_always_fails() {
    let (simulator, client) = start().await;
    let account = simulator.account("alice").unwrap();
    account.set_failing(sim_stalwart::DataType::ContactCard, true);
    assert_eq!(client.call("ContactCard/get", json!({ "ids": [] })).await["type"], "serverFail");
    assert!(client.call("AddressBook/get", json!({ "ids": [] })).await["state"].is_string());
    account.set_failing(sim_stalwart::DataType::ContactCard, false);
    assert!(client.call("ContactCard/get", json!({ "ids": [] })).await["state"].is_string());
}

#[tokio::test]
async fn concurrency_over_the_limit_is_a_problem() {
    let (simulator, client) = with_limits(Limits { max_concurrent_requests: 2, ..Limits::default() }).await;
    simulator.faults().add(Fault::new(Target::Api, Effect::Delay(Duration::from_millis(100))));
    let request = client.request(&[listing()]);
    let answers = futures::future::join_all((0..3).map(|_| client.post_text(&request))).await;
    let refused: Vec<_> = answers.iter().filter(|(status, _)| *status == 400).collect();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].1["limit"], "maxConcurrentRequests");
    assert_eq!(simulator.counters().peak_concurrency, 3);
}

#[tokio::test]
async fn rate_over_the_limit_is_429_with_advice() {
    let advice = Advice::RetryAfter;
    let rate = Some(RateLimit { advice, requests: 3, window: Duration::from_millis(300) });
    let (_simulator, client) = with_limits(Limits { rate, ..Limits::default() }).await;
    // The session object was the first of the three.
    let statuses = async |count| {
        let mut statuses = Vec::new();
        for _ in 0..count {
            statuses.push(client.send(&client.request(&[listing()])).await.unwrap());
        }
        statuses
    };
    let answers = statuses(3).await;
    assert_eq!(answers.iter().map(|answer| answer.status().as_u16()).collect::<Vec<_>>(), [200, 200, 429]);
    assert_eq!(answers[2].headers()["retry-after"], "1");
    let deadline = Instant::now() + Duration::from_secs(5);
    while statuses(1).await[0].status() != 200 {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn counters_tell_what_a_piece_of_work_cost() {
    let (simulator, client) = start().await;
    let before = simulator.counters();
    client.calls(&[listing(), listing()]).await;
    let cost = simulator.counters().since(&before);
    assert_eq!((cost.requests, cost.calls_of("Email/query")), (1, 2));
    assert!(cost.bytes_in > 100 && cost.bytes_out > 500, "{cost:?}");
}
