//! How fast the simulator serves: it must not be what a benchmark measures.
//! `cargo run --release -p sim-stalwart --example throughput -- [EMAILS]`

use std::io::Write as _;
use std::time::Instant;

use serde_json::{Value, json};
use sim_stalwart::{AccountSpec, Simulator, Sizes};

const USING: [&str; 3] =
    ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail", "urn:ietf:params:jmap:blob"];

struct Client {
    http: reqwest::Client,
    url: String,
    account: String,
}

impl Client {
    async fn call(&self, calls: Value) -> bytes::Bytes {
        let body = json!({ "using": USING, "methodCalls": calls }).to_string();
        let request =
            self.http.post(format!("{}/jmap/", self.url)).basic_auth("alice", Some("secret")).body(body);
        request.send().await.expect("it answers").bytes().await.expect("it ends")
    }

    async fn list(&self, position: usize) -> Vec<String> {
        let query = json!([["Email/query", { "accountId": self.account, "position": position }, "0"]]);
        let answer: Value = serde_json::from_slice(&self.call(query).await).expect("it is JSON");
        serde_json::from_value(answer["methodResponses"][0][1]["ids"].clone()).expect("they are ids")
    }
}

#[tokio::main]
async fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let emails = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(100_000);
    for (name, sizes) in
        [("tiny", Sizes::tiny()), ("light", Sizes::light()), ("realistic", Sizes::realistic())]
    {
        let spec = AccountSpec::new("alice", "secret").emails(emails).sizes(sizes);
        let simulator = Simulator::builder().account(spec).start().await.expect("a port is free");
        let account = simulator.account("alice").expect("it was added").id();
        let client = Client { http: reqwest::Client::new(), url: simulator.url(), account };
        measure(name, &client).await;
    }
}

async fn measure(name: &str, client: &Client) {
    let start = Instant::now();
    let mut ids: Vec<String> = Vec::new();
    loop {
        let page = client.list(ids.len()).await;
        if page.is_empty() {
            break;
        }
        ids.extend(page);
    }
    report(name, "Email/query", ids.len(), 0, start);
    let start = Instant::now();
    let mut bytes = 0;
    let properties = json!(["id", "blobId", "mailboxIds", "keywords", "receivedAt", "size"]);
    for page in ids.chunks(500) {
        let call = json!([["Email/get", { "accountId": client.account, "ids": page, "properties": properties }, "0"]]);
        bytes += client.call(call).await.len();
    }
    report(name, "Email/get", ids.len(), bytes, start);
    let (start, mut bytes) = (Instant::now(), 0);
    let some = &ids[..ids.len().min(20_000)];
    for page in some.chunks(200) {
        let reference = json!({ "resultOf": "0", "name": "Email/get", "path": "/list/*/blobId" });
        let call = json!([
            ["Email/get", { "accountId": client.account, "ids": page, "properties": ["blobId"] }, "0"],
            ["Blob/get", { "accountId": client.account, "#ids": reference, "properties": ["data"] }, "1"],
        ]);
        bytes += client.call(call).await.len();
    }
    report(name, "Blob/get", some.len(), bytes, start);
}

fn report(sizes: &str, what: &str, emails: usize, bytes: usize, start: Instant) {
    let elapsed = start.elapsed().as_millis().max(1);
    let (rate, speed) = (emails as u128 * 1000 / elapsed, bytes as u128 / 1000 / elapsed);
    // A closed pipe ends a report that nobody reads.
    let _ = writeln!(
        std::io::stdout(),
        "{sizes:10} {what:12} {emails:8} emails {rate:8} emails/s {speed:5} MB/s"
    );
}
