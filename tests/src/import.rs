//! Fills a real Stalwart through plain JMAP calls, none of them Malle's.

use std::collections::BTreeMap;
use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use model::DataType;
use serde_json::{Map, Value, json};
use testkit::stalwart::Stalwart;

use crate::corpus::Message;
use crate::plain::Plain;

/// Of base64 in one request; the server takes 10 MB.
const REQUEST_BYTES: usize = 9_000_000;
const MESSAGES: usize = 100;

/// An email to be.
#[derive(Debug, Clone)]
pub struct Letter {
    /// Ids of the folders it lies in.
    pub folders: Vec<String>,
    /// Its keywords.
    pub keywords: Vec<String>,
    /// As JMAP writes it; the server finds one itself without.
    pub received_at: Option<String>,
    /// RFC 5322, lines ended by CRLF.
    pub raw: Bytes,
}

impl Plain {
    /// Uploads and imports letters, many a request; the emails' ids.
    pub async fn deliver(&self, letters: &[Letter]) -> io::Result<Vec<String>> {
        let mut ids = Vec::new();
        let mut rest = letters;
        while !rest.is_empty() {
            let mut bytes = 0;
            let count = rest.iter().take(MESSAGES).take_while(|letter| {
                bytes += letter.raw.len() * 4 / 3 + 300;
                bytes < REQUEST_BYTES
            });
            let count = count.count();
            let (batch, after) = rest.split_at(count.max(1));
            let blobs = match count {
                0 => vec![json!(self.upload(&batch[0].raw).await?)],
                _ => self.upload_all(batch).await?,
            };
            ids.extend(self.import(batch, &blobs).await?);
            rest = after;
        }
        Ok(ids)
    }

    async fn upload_all(&self, batch: &[Letter]) -> io::Result<Vec<Value>> {
        let mut blobs = Map::new();
        for (i, letter) in batch.iter().enumerate() {
            let data = json!([{ "data:asBase64": STANDARD.encode(&letter.raw) }]);
            blobs.insert(format!("b{i}"), json!({ "data": data, "type": "message/rfc822" }));
        }
        let answer = self.ask("Blob/upload", json!({ "create": blobs })).await?;
        Ok((0..batch.len()).map(|i| answer["created"][format!("b{i}")]["id"].clone()).collect())
    }

    async fn import(&self, batch: &[Letter], blobs: &[Value]) -> io::Result<Vec<String>> {
        let set = |names: &[String]| names.iter().map(|name| (name.clone(), json!(true))).collect::<Value>();
        let mut emails = Map::new();
        for (i, (letter, blob)) in batch.iter().zip(blobs).enumerate() {
            let mut email = json!({ "blobId": blob, "mailboxIds": set(&letter.folders), "keywords": set(&letter.keywords) });
            if let Some(date) = &letter.received_at {
                email["receivedAt"] = json!(date);
            }
            emails.insert(format!("e{i}"), email);
        }
        let answer = self.ask("Email/import", json!({ "emails": emails })).await?;
        let ids = (0..batch.len())
            .map(|i| answer["created"][format!("e{i}")]["id"].as_str().map(str::to_owned))
            .collect::<Option<Vec<_>>>();
        ids.ok_or_else(|| {
            io::Error::other(format!("not all imported: {:.500}", answer["notCreated"].to_string()))
        })
    }
}

/// Imports messages into folders by name.
#[derive(Debug)]
pub struct Importer {
    plain: Plain,
    folders: BTreeMap<&'static str, String>,
}

impl Importer {
    /// For an account that exists.
    pub fn new(server: &Stalwart, user: &str, password: &str, account: &str) -> Importer {
        Importer { plain: Plain::new(server.url(), user, password, account), folders: BTreeMap::new() }
    }

    /// Imports messages as read ones; folders are made when they are first named.
    pub async fn import(&mut self, messages: &[Message]) -> io::Result<()> {
        let mut letters = Vec::new();
        for message in messages {
            letters.push(Letter {
                folders: vec![self.folder(message.folder).await?],
                keywords: vec!["$seen".to_owned()],
                received_at: None,
                raw: message.raw.clone(),
            });
        }
        self.plain.deliver(&letters).await.map(drop)
    }

    async fn folder(&mut self, name: &'static str) -> io::Result<String> {
        if let Some(id) = self.folders.get(name) {
            return Ok(id.clone());
        }
        let answer =
            self.plain.set(DataType::Mailbox, json!({ "create": { "f": { "name": name } } })).await?;
        let id = answer["created"]["f"]["id"].as_str().unwrap_or_default().to_owned();
        self.folders.insert(name, id.clone());
        Ok(id)
    }

    /// One JMAP request; its answer's JSON.
    pub async fn call(&self, calls: Value) -> io::Result<Value> {
        self.plain.call(calls).await
    }
}
