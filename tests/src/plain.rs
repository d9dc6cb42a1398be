//! Plain JMAP calls of a test: HTTP and JSON, nothing of Malle's client. What a snapshot is compared with is read by these.

use std::collections::BTreeMap;
use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use model::DataType;
use serde_json::{Value, json};

use crate::truth::{Digest, Mail, Mails, Things, set, without_counts};

const USING: [&str; 6] = ["core", "mail", "blob", "sieve", "vacationresponse", "submission"];
/// `maxObjectsInGet` of every server here.
const OBJECTS: usize = 500;
/// Raw bytes asked for in one `Blob/get`; an email that is larger is downloaded.
const BATCH: u64 = 4_000_000;

/// One user's calls on one account.
#[derive(Debug, Clone)]
pub struct Plain {
    address: String,
    authorization: String,
    using: Vec<String>,
    /// The JMAP account id that the calls name.
    pub account: String,
}

impl Plain {
    /// For an account that is known; the user need not be its owner.
    pub fn new(url: &str, user: &str, password: &str, account: &str) -> Plain {
        Plain {
            address: url.trim_start_matches("http://").to_owned(),
            authorization: STANDARD.encode(format!("{user}:{password}")),
            using: USING.iter().map(|name| format!("urn:ietf:params:jmap:{name}")).collect(),
            account: account.to_owned(),
        }
    }

    /// For the user's own account, naming every capability that the session offers.
    pub async fn sign_in(url: &str, user: &str, password: &str) -> io::Result<Plain> {
        let mut plain = Plain::new(url, user, password, "");
        let session: Value = serde_json::from_slice(&plain.request("GET", "/jmap/session", b"").await?)?;
        plain.using = set(&session["capabilities"]).into_iter().collect();
        let account = &session["primaryAccounts"]["urn:ietf:params:jmap:mail"];
        plain.account =
            account.as_str().ok_or_else(|| io::Error::other(format!("no account: {session}")))?.to_owned();
        Ok(plain)
    }

    /// The same user's calls on another account.
    #[must_use]
    pub fn of(mut self, account: &str) -> Plain {
        account.clone_into(&mut self.account);
        self
    }

    /// The body of the answer.
    async fn request(&self, method: &str, path: &str, body: &[u8]) -> io::Result<Vec<u8>> {
        let (status, answer) = self.http(method, path, "", body).await?;
        match status {
            200 => Ok(answer),
            _ => Err(io::Error::other(format!("HTTP {status}: {}", String::from_utf8_lossy(&answer)))),
        }
    }

    /// One request with more header lines, each after `\r\n`; status and body. HTTP/1.0, so that the answer is never chunked and ends with
    /// the connection.
    pub async fn http(
        &self,
        method: &str,
        path: &str,
        more: &str,
        body: &[u8],
    ) -> io::Result<(u16, Vec<u8>)> {
        let head = format!("{method} {path} HTTP/1.0\r\nAuthorization: Basic {}{more}", self.authorization);
        testkit::http(&self.address, &head, body).await
    }

    /// One request of several calls; the whole answer.
    pub async fn call(&self, calls: Value) -> io::Result<Value> {
        let request = json!({ "using": self.using, "methodCalls": calls }).to_string();
        Ok(serde_json::from_slice(&self.request("POST", "/jmap/", request.as_bytes()).await?)?)
    }

    /// One call on the account; a method error is an error.
    pub async fn ask(&self, method: &str, mut arguments: Value) -> io::Result<Value> {
        arguments["accountId"] = json!(self.account);
        let mut answer = self.call(json!([[method, arguments, "0"]])).await?;
        let mut answer = answer["methodResponses"][0].take();
        match answer[0] == method {
            true => Ok(answer[1].take()),
            false => Err(io::Error::other(format!("{method}: {answer}"))),
        }
    }

    /// A `set` all of whose parts must succeed; its answer.
    pub async fn set(&self, data_type: DataType, arguments: Value) -> io::Result<Value> {
        let answer = self.ask(&format!("{data_type}/set"), arguments).await?;
        let refused = ["notCreated", "notUpdated", "notDestroyed"].map(|part| &answer[part]);
        match refused.iter().all(|part| part.as_object().is_none_or(serde_json::Map::is_empty)) {
            true => Ok(answer),
            false => Err(io::Error::other(format!("{data_type}/set: {refused:?}"))),
        }
    }

    /// Uploads bytes of any size; the blob id.
    pub async fn upload(&self, bytes: &[u8]) -> io::Result<String> {
        let answer = self.request("POST", &format!("/jmap/upload/{}/", self.account), bytes).await?;
        let answer: Value = serde_json::from_slice(&answer)?;
        answer["blobId"].as_str().map(str::to_owned).ok_or_else(|| io::Error::other(answer.to_string()))
    }

    /// The bytes of a blob.
    pub async fn download(&self, blob: &str) -> io::Result<Bytes> {
        let path = format!("/jmap/download/{}/{blob}/blob?accept=application%2Foctet-stream", self.account);
        self.request("GET", &path, b"").await.map(Bytes::from)
    }

    /// The state of a type.
    pub async fn state(&self, data_type: DataType) -> io::Result<Value> {
        Ok(self.ask(&format!("{data_type}/get"), json!({ "ids": [] })).await?["state"].take())
    }

    /// The ids of all emails.
    pub async fn email_ids(&self) -> io::Result<Vec<String>> {
        let mut ids: Vec<String> = Vec::new();
        loop {
            let page = self.ask("Email/query", json!({ "position": ids.len(), "limit": 5_000 })).await?;
            let page = page["ids"].as_array().cloned().unwrap_or_default();
            if page.is_empty() {
                return Ok(ids);
            }
            ids.extend(page.iter().map(text));
        }
    }

    /// Every email, every byte of it read.
    pub async fn mails(&self) -> io::Result<Mails> {
        let properties = ["id", "blobId", "size", "mailboxIds", "keywords", "receivedAt"];
        let mut mails = Mails::new();
        for ids in self.email_ids().await?.chunks(OBJECTS) {
            let answer = self.ask("Email/get", json!({ "ids": ids, "properties": properties })).await?;
            let emails = answer["list"].as_array().cloned().unwrap_or_default();
            assert_eq!(emails.len(), ids.len(), "the test reads a mailbox that holds still");
            let digests = self.digests(&emails).await?;
            for email in &emails {
                let digest = digests.get(&text(&email["blobId"])).copied();
                assert_eq!(digest.map(|d| d.length), email["size"].as_u64(), "the server's own size");
                let mail = Mail {
                    folders: set(&email["mailboxIds"]),
                    keywords: set(&email["keywords"]),
                    received_at: seconds(&text(&email["receivedAt"])).expect("the server writes dates"),
                    bytes: digest,
                };
                mails.insert(text(&email["id"]), mail);
            }
        }
        Ok(mails)
    }

    /// The digests of emails' bytes by blob id.
    async fn digests(&self, emails: &[Value]) -> io::Result<BTreeMap<String, Digest>> {
        let mut digests = BTreeMap::new();
        let mut rest = emails;
        while !rest.is_empty() {
            let mut bytes = 0;
            let count = rest.iter().take_while(|email| {
                bytes += email["size"].as_u64().unwrap_or(u64::MAX / 2);
                bytes <= BATCH
            });
            let (batch, after) = rest.split_at(count.count().max(1));
            rest = after;
            if let ([email], true) = (batch, bytes > BATCH) {
                let blob = text(&email["blobId"]);
                let digest = Digest::of(&self.download(&blob).await?);
                digests.insert(blob, digest);
                continue;
            }
            let ids: Vec<&Value> = batch.iter().map(|email| &email["blobId"]).collect();
            let answer = self.ask("Blob/get", json!({ "ids": ids, "properties": ["data:asBase64"] })).await?;
            for blob in answer["list"].as_array().into_iter().flatten() {
                let bytes = STANDARD.decode(text(&blob["data:asBase64"])).map_err(io::Error::other)?;
                digests.insert(text(&blob["id"]), Digest::of(&bytes));
            }
        }
        Ok(digests)
    }

    /// The objects of a type that is not Email, and what their blobs contain.
    pub async fn things(&self, data_type: DataType) -> io::Result<Things> {
        let answer = self.ask(&format!("{data_type}/get"), json!({ "ids": null })).await?;
        let list = answer["list"].as_array().cloned().unwrap_or_default();
        assert!(list.len() < OBJECTS, "the server may have kept some for itself");
        let names = json!({ "ids": null, "properties": named(data_type) });
        let named = self.ask(&format!("{data_type}/get"), names).await?;
        let mut things = Things::new();
        for mut object in list {
            let of_it = |more: &&Value| more["id"] == object["id"];
            let more = named["list"]
                .as_array()
                .into_iter()
                .flatten()
                .find(of_it)
                .and_then(Value::as_object)
                .cloned();
            let members = object.as_object_mut().expect("an object");
            members.extend(more.unwrap_or_default());
            // The time of this very request.
            members.remove("accessed");
            let content = match object["blobId"].as_str() {
                Some(blob) => Some(Digest::of(&self.download(blob).await?)),
                None => None,
            };
            things.insert(text(&object["id"]), (without_counts(object), content));
        }
        Ok(things)
    }
}

/// What a server gives only to those who name it.
fn named(data_type: DataType) -> &'static [&'static str] {
    match data_type {
        DataType::Mailbox | DataType::AddressBook => &["id", "shareWith"],
        DataType::Calendar => &[
            "id",
            "shareWith",
            "isVisible",
            "includeInAvailability",
            "defaultAlertsWithTime",
            "defaultAlertsWithoutTime",
        ],
        DataType::ContactCard => &["id", "vCard"],
        DataType::CalendarEvent => &[
            "id",
            "iCalendar",
            "alerts",
            "recurrenceOverrides",
            "locations",
            "virtualLocations",
            "participants",
            "links",
            "relatedTo",
            "useDefaultAlerts",
            "hideAttendees",
            "mayInviteSelf",
            "mayInviteOthers",
        ],
        _ => &["id"],
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Seconds since 1970 of `YYYY-MM-DDThh:mm:ssZ` with a year of any length: counted here, because it is the client's reading
/// of such years that is tested.
fn seconds(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let numbers = |text: &str, by| text.split(by).map(|n| n.parse::<i64>().ok()).collect::<Option<Vec<_>>>();
    let ([year, month, day], [hour, minute, second]) = (&numbers(date, '-')?[..], &numbers(time, ':')?[..])
    else {
        return None;
    };
    // Years begin in March here, so that the leap day is the last; 1970-01-01 is day 719,468 of that calendar.
    let year = if *month <= 2 { year - 1 } else { *year };
    let days = 365 * year + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (153 * ((month + 9) % 12) + 2) / 5
        + day
        - 1
        - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_any_year() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2024-02-29T12:00:01Z", Some(1_709_208_001)),
            ("2000-03-01T00:00:00Z", Some(951_868_800)),
            ("1969-12-31T23:59:59Z", Some(-1)),
            ("9999-12-31T23:59:59Z", Some(253_402_300_799)),
            // 2281 plus 71 times 400 years.
            ("30681-01-01T00:00:00Z", Some(9_814_262_400 + 71 * 146_097 * 86_400)),
            ("2024-02-29 12:00:01", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }
}
