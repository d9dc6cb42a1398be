//! Fills a real Stalwart through plain JMAP calls, none of them Malle's.

use std::collections::BTreeMap;
use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use testkit::stalwart::Stalwart;

use crate::corpus::Message;

const USING: [&str; 3] =
    ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail", "urn:ietf:params:jmap:blob"];
/// Of base64 in one request; the server takes 10 MB.
const REQUEST_BYTES: usize = 9_000_000;
const MESSAGES: usize = 100;

/// One signed-in user of a Stalwart.
pub struct Importer<'a> {
    /// The server.
    pub server: &'a Stalwart,
    /// Sign-in name.
    pub user: &'a str,
    /// Password.
    pub password: &'a str,
    /// JMAP account id.
    pub account: String,
    folders: BTreeMap<String, String>,
}

impl<'a> Importer<'a> {
    /// For an account that exists.
    pub fn new(server: &'a Stalwart, user: &'a str, password: &'a str, account: String) -> Importer<'a> {
        Importer { server, user, password, account, folders: BTreeMap::new() }
    }

    /// Uploads and imports messages, many a request.
    pub async fn import(&mut self, messages: &[Message]) -> io::Result<()> {
        let mut rest = messages;
        while !rest.is_empty() {
            let mut bytes = 0;
            let count = rest.iter().take(MESSAGES).take_while(|m| {
                bytes += m.raw.len() * 4 / 3 + 300;
                bytes < REQUEST_BYTES
            });
            let (batch, after) = rest.split_at(count.count().max(1));
            self.import_batch(batch).await?;
            rest = after;
        }
        Ok(())
    }

    async fn import_batch(&mut self, batch: &[Message]) -> io::Result<()> {
        let mut blobs = serde_json::Map::new();
        for (i, message) in batch.iter().enumerate() {
            let data = json!([{ "data:asBase64": STANDARD.encode(&message.raw) }]);
            blobs.insert(format!("b{i}"), json!({ "data": data, "type": "message/rfc822" }));
        }
        let upload = json!([["Blob/upload", { "accountId": self.account, "create": blobs }, "0"]]);
        let uploaded = self.call(upload).await?["methodResponses"][0][1]["created"].take();
        let mut emails = serde_json::Map::new();
        for (i, message) in batch.iter().enumerate() {
            let folder = self.folder(message.folder).await?;
            let blob = &uploaded[format!("b{i}")]["id"];
            let email =
                json!({ "blobId": blob, "mailboxIds": { folder: true }, "keywords": { "$seen": true } });
            emails.insert(format!("e{i}"), email);
        }
        let import = json!([["Email/import", { "accountId": self.account, "emails": emails }, "0"]]);
        let answer = self.call(import).await?["methodResponses"][0][1].take();
        match answer["created"].as_object().map_or(0, serde_json::Map::len) == batch.len() {
            true => Ok(()),
            false => {
                Err(io::Error::other(format!("not all imported: {:.500}", answer["notCreated"].to_string())))
            }
        }
    }

    async fn folder(&mut self, name: &str) -> io::Result<String> {
        if let Some(id) = self.folders.get(name) {
            return Ok(id.clone());
        }
        let create = json!({ "accountId": self.account, "create": { "f": { "name": name } } });
        let answer = self.call(json!([["Mailbox/set", create, "0"]])).await?;
        let id = answer["methodResponses"][0][1]["created"]["f"]["id"].as_str();
        let id = id.ok_or_else(|| io::Error::other(format!("no folder: {answer}")))?.to_owned();
        self.folders.insert(name.to_owned(), id.clone());
        Ok(id)
    }

    /// One JMAP request; its answer's JSON.
    pub async fn call(&self, calls: Value) -> io::Result<Value> {
        let request = json!({ "using": USING, "methodCalls": calls });
        let (status, answer) = self.server.jmap(self.user, self.password, &request).await?;
        match status {
            200 => Ok(answer),
            _ => Err(io::Error::other(format!("HTTP {status}: {answer}"))),
        }
    }
}
