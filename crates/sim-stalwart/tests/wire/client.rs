//! A client that knows nothing but HTTP and JSON.

use base64::Engine as _;
use bytes::Bytes;
use serde_json::{Value, json};
use sim_stalwart::Simulator;

pub(crate) struct Client {
    pub(crate) http: reqwest::Client,
    pub(crate) url: String,
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) session: Value,
    pub(crate) account: String,
    pub(crate) using: Vec<&'static str>,
}

/// A client; reqwest wants to know who would do TLS although nobody does.
pub(crate) fn http() -> reqwest::Client {
    // Only the first call of a process can install one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

pub(crate) async fn get(url: &str, user: &str, password: &str) -> reqwest::Response {
    http().get(url).basic_auth(user, Some(password)).send().await.unwrap()
}

pub(crate) async fn json_of(answer: reqwest::Response) -> Value {
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}

/// The octets of an element of `Blob/get`.
pub(crate) fn data(blob: &Value) -> Bytes {
    match blob["data:asText"].as_str() {
        Some(text) => Bytes::from(text.to_owned()),
        None => base64::engine::general_purpose::STANDARD
            .decode(blob["data:asBase64"].as_str().unwrap())
            .unwrap()
            .into(),
    }
}

impl Client {
    pub(crate) async fn new(simulator: &Simulator, user: &str, password: &str) -> Self {
        let url = simulator.url();
        let session = json_of(get(&format!("{url}/.well-known/jmap"), user, password).await).await;
        let account =
            session["primaryAccounts"]["urn:ietf:params:jmap:mail"].as_str().unwrap_or("").to_owned();
        let using = [
            "core",
            "mail",
            "submission",
            "vacationresponse",
            "sieve",
            "blob",
            "contacts",
            "calendars",
            "filenode",
            "principals",
            "quota",
        ];
        let offered =
            |name: &&&str| session["capabilities"].get(format!("urn:ietf:params:jmap:{name}")).is_some();
        let using = using
            .iter()
            .filter(offered)
            .map(|name| &*format!("urn:ietf:params:jmap:{name}").leak())
            .collect();
        let (user, password) = (user.to_owned(), password.to_owned());
        Self { http: http(), url, user, password, session, account, using }
    }

    pub(crate) async fn send(&self, body: &str) -> reqwest::Result<reqwest::Response> {
        let request =
            self.http.post(format!("{}/jmap/", self.url)).basic_auth(&self.user, Some(&self.password));
        request.header("content-type", "application/json").body(body.to_owned()).send().await
    }

    /// Posts bytes to an account's upload URL.
    pub(crate) async fn try_upload(
        &self,
        account: &str,
        media: &str,
        bytes: impl Into<Vec<u8>>,
    ) -> reqwest::Result<reqwest::Response> {
        let template = self.session["uploadUrl"].as_str().unwrap();
        let request = self.http.post(template.replace("{accountId}", account));
        let request = request.basic_auth(&self.user, Some(&self.password)).header("content-type", media);
        request.body(bytes.into()).send().await
    }

    pub(crate) async fn upload_to(
        &self,
        account: &str,
        media: &str,
        bytes: impl Into<Vec<u8>>,
    ) -> (u16, Value) {
        let answer = self.try_upload(account, media, bytes).await.unwrap();
        let status = answer.status().as_u16();
        (status, json_of(answer).await)
    }

    pub(crate) async fn upload(&self, media: &str, bytes: impl Into<Vec<u8>>) -> (u16, Value) {
        self.upload_to(&self.account, media, bytes).await
    }

    /// Names only what 0.15 offers.
    pub(crate) fn be_old(&mut self) {
        self.using.retain(|urn| !["contacts", "calendars", "filenode"].iter().any(|it| urn.ends_with(it)));
    }

    /// The id of the own Inbox.
    pub(crate) async fn inbox(&self) -> String {
        let found = self.call("Mailbox/query", json!({ "filter": { "role": "inbox" } })).await;
        found["ids"][0].as_str().unwrap().to_owned()
    }

    pub(crate) async fn post_text(&self, body: &str) -> (u16, Value) {
        let answer = self.send(body).await.unwrap();
        let status = answer.status().as_u16();
        (status, json_of(answer).await)
    }

    pub(crate) async fn post(&self, body: &Value) -> (u16, Value) {
        self.post_text(&body.to_string()).await
    }

    /// The request for these calls, with the account filled in.
    pub(crate) fn request(&self, calls: &[(&str, Value)]) -> String {
        let call = |(number, (name, arguments)): (usize, &(&str, Value))| {
            let mut arguments = arguments.clone();
            if arguments.get("accountId").is_none() {
                arguments["accountId"] = self.account.as_str().into();
            }
            json!([name, arguments, number.to_string()])
        };
        let calls: Vec<Value> = calls.iter().enumerate().map(call).collect();
        json!({ "using": self.using, "methodCalls": calls }).to_string()
    }

    /// The arguments of the responses.
    pub(crate) async fn calls(&self, calls: &[(&str, Value)]) -> Vec<Value> {
        let (status, answer) = self.post_text(&self.request(calls)).await;
        assert_eq!(status, 200, "{answer}");
        answer["methodResponses"].as_array().unwrap().iter().map(|response| response[1].clone()).collect()
    }

    pub(crate) async fn call(&self, name: &str, arguments: Value) -> Value {
        self.calls(&[(name, arguments)]).await.remove(0)
    }
}
