//! One account of a round trip, read and written by plain requests of the tests.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::DataType;
use serde_json::{Map, Value, json};

use super::Login;
use crate::plain::Plain;
use crate::properties::{Made, properties};
use crate::truth::Digest;

/// Objects that are written at once.
const AT_ONCE: usize = 50;
/// Names of properties that are tried in one request.
const TRIED_AT_ONCE: usize = 10;

/// Members that tell nothing of what its owner put in: ids, rights, counts, what the server says of its own work.
const SERVERS_OWN: [&str; 17] = [
    "id",
    "blobId",
    "threadId",
    "myRights",
    "mayDelete",
    "totalEmails",
    "unreadEmails",
    "totalThreads",
    "unreadThreads",
    "accessed",
    "changed",
    "isOrigin",
    "baseEventId",
    "utcStart",
    "utcEnd",
    "method",
    "updated",
];
/// Lines that servers write with each text as if for the first time, and names of its parts that they make up.
const STAMPS: [&str; 4] = ["DTSTAMP", "PRODID", "LAST-MODIFIED", "JSID"];

/// An object as its owner would describe it: without ids.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// What the server calls it.
    pub id: String,
    /// References are names, content is a digest.
    pub members: Map<String, Value>,
    /// Lines of its text by CalDAV, in any order.
    pub text: Option<Vec<String>>,
}

/// Objects by what makes them the same in two accounts.
pub type Held = BTreeMap<(DataType, String), Object>;

/// An account, and where its calendars and cards lie.
#[derive(Debug)]
pub struct Side {
    /// Its owner's calls.
    pub plain: Plain,
    /// Its owner's address.
    pub address: String,
    /// The addresses of both sides.
    addresses: [String; 2],
    /// By type: names that the server gives.
    names: BTreeMap<DataType, Vec<String>>,
}

impl Side {
    pub(super) async fn of(url: &str, login: &Login, other: &Login) -> Side {
        let addresses = [login.name.clone(), other.name.clone()];
        let plain = Plain::sign_in(url, &login.name, &login.password).await.expect("signs in");
        let mut side = Side { plain, address: login.name.clone(), addresses, names: BTreeMap::new() };
        for data_type in DataType::ALL {
            let names = side.known_names(data_type).await;
            side.names.insert(data_type, names);
        }
        side
    }

    /// Names of properties that may be asked for: those of the table, and what servers give only to those who name it.
    async fn known_names(&self, data_type: DataType) -> Vec<String> {
        let mut names: BTreeSet<String> = ["shareWith", "vCard", "iCalendar"].map(str::to_owned).into();
        for case in properties().iter().filter(|case| case.data_type == data_type) {
            if let Made::Member { with, .. } = &case.made {
                names.insert(case.property.to_owned());
                names.extend(with.as_object().into_iter().flat_map(Map::keys).cloned());
            }
        }
        let names: Vec<String> = names.into_iter().collect();
        let mut known = Vec::new();
        for some in names.chunks(TRIED_AT_ONCE) {
            let call = |name: &String| json!([format!("{data_type}/get"), { "accountId": self.plain.account, "ids": [], "properties": ["id", name] }, name]);
            let calls: Vec<Value> = some.iter().map(call).collect();
            let answer = self.plain.call(json!(calls)).await.expect("the server answers");
            let answers = answer["methodResponses"].as_array().cloned().unwrap_or_default();
            known.extend(answers.iter().filter(|one| one[0] != "error").map(|one| text(&one[2])));
        }
        known
    }

    /// The objects of a type with all their properties.
    pub async fn objects(&self, data_type: DataType) -> Vec<Map<String, Value>> {
        let ask = format!("{data_type}/get");
        let ids = match data_type {
            DataType::Email => json!(self.plain.email_ids().await.expect("the server answers")),
            _ => Value::Null,
        };
        let ids: Vec<Value> = match ids {
            Value::Array(ids) => ids.chunks(AT_ONCE * 4).map(|ids| json!(ids)).collect(),
            all => vec![all],
        };
        let mut objects = Vec::new();
        for ids in ids {
            let named = json!([["id".to_owned()].as_slice(), &self.names[&data_type]].concat());
            let all = match data_type {
                DataType::Email => {
                    json!(["id", "blobId", "keywords", "mailboxIds", "receivedAt", "subject", "size"])
                }
                _ => Value::Null,
            };
            let list = self.plain.ask(&ask, json!({ "ids": ids, "properties": all })).await;
            let list = list.expect("the server answers")["list"].take();
            let more = self.plain.ask(&ask, json!({ "ids": ids, "properties": named })).await;
            let more = more.expect("the server answers")["list"].take();
            let more = more.as_array().cloned().unwrap_or_default();
            for mut object in list.as_array().cloned().unwrap_or_default() {
                let of_it = more.iter().find(|more| more["id"] == object["id"]).and_then(Value::as_object);
                let members = object.as_object_mut().expect("an object");
                members.extend(of_it.cloned().unwrap_or_default());
                objects.push(members.clone());
            }
        }
        objects
    }

    /// All that the account holds, told without ids.
    pub async fn held(&self) -> Held {
        let mut names = BTreeMap::new();
        let containers = [DataType::Mailbox, DataType::AddressBook, DataType::Calendar, DataType::FileNode];
        let mut all = BTreeMap::new();
        for data_type in DataType::ALL {
            let objects = self.objects(data_type).await;
            for object in objects.iter().filter(|_| containers.contains(&data_type)) {
                let name = self.plain_name(data_type, key(data_type, object));
                names.insert((data_type, text(&object["id"])), name);
            }
            all.insert(data_type, objects);
        }
        let mut texts = self.texts().await;
        let mut held = Held::new();
        for (data_type, objects) in all {
            for object in objects {
                let key = self.plain_name(data_type, key(data_type, &object));
                // The server's own, made of the vacation response.
                if data_type == DataType::SieveScript && key == "vacation" {
                    continue;
                }
                let text = (data_type == DataType::CalendarEvent).then(|| texts.remove(&key)).flatten();
                let object = self.told(data_type, object, &names, text).await;
                if let Some(twin) = held.insert((data_type, key), object) {
                    panic!("two of one name in {}: {data_type} {twin:?}", self.address);
                }
            }
        }
        held
    }

    async fn told(
        &self,
        data_type: DataType,
        mut members: Map<String, Value>,
        names: &BTreeMap<(DataType, String), String>,
        text: Option<Vec<String>>,
    ) -> Object {
        let id = self::text(&members["id"]);
        let of = match data_type {
            DataType::Email => DataType::Mailbox,
            DataType::ContactCard => DataType::AddressBook,
            DataType::CalendarEvent => DataType::Calendar,
            other => other,
        };
        let name =
            |id: &str| names.get(&(of, id.to_owned())).cloned().unwrap_or_else(|| format!("lost {id}"));
        for member in ["mailboxIds", "addressBookIds", "calendarIds"] {
            if let Some(set) = members.get(member).and_then(Value::as_object) {
                let set: BTreeSet<String> = set.keys().map(|id| name(id)).collect();
                members.insert(member.to_owned(), json!(set));
            }
        }
        if let Some(parent) = members.get("parentId").and_then(Value::as_str) {
            members.insert("parentId".to_owned(), json!(name(parent)));
        }
        if let Some(blob) = members.get("blobId").and_then(Value::as_str) {
            let bytes = self.plain.download(blob).await.expect("the server gives the bytes");
            members.insert("content".to_owned(), json!(format!("{:?}", Digest::of(&bytes))));
        }
        members.retain(|name, value| !SERVERS_OWN.contains(&name.as_str()) && !is_nothing(value));
        members.values_mut().for_each(without_stamps);
        if let Some(Value::String(name)) = members.get_mut("name") {
            *name = self.plain_name(data_type, std::mem::take(name));
        }
        Object { id, members, text }
    }

    /// Texts of events by UID.
    async fn texts(&self) -> BTreeMap<String, Vec<String>> {
        let mut texts = BTreeMap::new();
        let home = format!("/dav/cal/{}/", self.address);
        for calendar in self.listed(&home).await {
            for event in self.listed(&calendar).await {
                let (status, body) =
                    self.plain.http("GET", &event, "", b"").await.expect("the server answers");
                assert_eq!(status, 200, "{event}");
                let lines = lines(&String::from_utf8_lossy(&body));
                let uid =
                    lines.iter().find_map(|line| line.strip_prefix("UID:")).unwrap_or_default().to_owned();
                texts.entry(uid).or_insert(lines);
            }
        }
        texts
    }

    /// What lies directly in a collection.
    pub async fn listed(&self, collection: &str) -> Vec<String> {
        let body = b"<propfind xmlns=\"DAV:\"><prop><getetag/></prop></propfind>";
        let more = "\r\nDepth: 1\r\nContent-Type: application/xml";
        let (status, body) = self.plain.http("PROPFIND", collection, more, body).await.expect("it answers");
        if status != 207 {
            return Vec::new();
        }
        let body = String::from_utf8_lossy(&body).into_owned();
        let hrefs = body.split("href>").skip(1).step_by(2).filter_map(|it| it.split("</").next());
        let is_within =
            |href: &str| href.trim_end_matches('/').len() > collection.trim_end_matches('/').len();
        hrefs.filter(|href| is_within(&href.replace("%40", "@"))).map(str::to_owned).collect()
    }

    /// Puts a text into a collection; the server's refusal.
    pub async fn put(&self, path: &str, media_type: &str, text: &str) -> Result<(), String> {
        let more = format!("\r\nContent-Type: {media_type}; charset=utf-8");
        match self.plain.http("PUT", path, &more, text.as_bytes()).await {
            Ok((200..=299, _)) => Ok(()),
            Ok((status, body)) => Err(format!("{status} {}", String::from_utf8_lossy(&body))),
            Err(error) => Err(error.to_string()),
        }
    }

    /// One `set`; its answer. What is refused is in there.
    pub async fn set(&self, data_type: DataType, arguments: Value) -> Value {
        let answer = self.plain.ask(&format!("{data_type}/set"), arguments.clone()).await;
        answer.unwrap_or_else(|error| panic!("{data_type}/set {arguments:.300}: {error}"))
    }

    /// A blob of a few bytes or many.
    pub async fn blob(&self, content: &[u8]) -> String {
        let data = json!([{ "data:asBase64": STANDARD.encode(content) }]);
        let create = json!({ "create": { "b": { "data": data, "type": "application/octet-stream" } } });
        let answer = self.plain.ask("Blob/upload", create).await.expect("the server takes it");
        text(&answer["created"]["b"]["id"])
    }

    /// Takes away everything that users can.
    pub async fn wipe(&self) {
        self.set(DataType::SieveScript, json!({ "onSuccessDeactivateScript": true })).await;
        for data_type in DataType::ALL.into_iter().rev() {
            let objects = self.objects(data_type).await;
            let is_kept = |object: &Map<String, Value>| match data_type {
                DataType::Mailbox => {
                    ["inbox", "trash", "junk", "drafts", "sent"].contains(&text(&object["role"]).as_str())
                }
                DataType::AddressBook | DataType::Calendar => object.get("isDefault") == Some(&json!(true)),
                DataType::VacationResponse | DataType::ParticipantIdentity => true,
                DataType::Identity => object["name"] == self.address.as_str(),
                DataType::SieveScript => object["name"] == "vacation",
                _ => false,
            };
            let ids: Vec<&Value> =
                objects.iter().filter(|object| !is_kept(object)).map(|object| &object["id"]).collect();
            for ids in ids.chunks(AT_ONCE) {
                let mut arguments = json!({ "destroy": ids });
                for (of, flag) in [
                    (DataType::AddressBook, "onDestroyRemoveContents"),
                    (DataType::Calendar, "onDestroyRemoveEvents"),
                    (DataType::Mailbox, "onDestroyRemoveEmails"),
                    (DataType::FileNode, "onDestroyRemoveChildren"),
                ] {
                    if of == data_type {
                        arguments[flag] = true.into();
                    }
                }
                self.set(data_type, arguments).await;
            }
        }
        let nothing = json!({ "isEnabled": false, "subject": null, "textBody": null, "htmlBody": null, "fromDate": null, "toDate": null });
        self.set(DataType::VacationResponse, json!({ "update": { "singleton": nothing } })).await;
        for data_type in [DataType::ParticipantIdentity, DataType::AddressBook, DataType::Calendar] {
            self.make_natural(data_type).await;
        }
    }

    /// Makes of the default one what it is by nature.
    async fn make_natural(&self, data_type: DataType) {
        let mut natural = json!({ "name": self.natural_name(data_type) });
        if self.objects(data_type).await.is_empty() {
            let create = json!({ "create": { "c": natural }, "onSuccessSetIsDefault": "#c" });
            self.set(data_type, create).await;
        }
        let more = match data_type {
            DataType::AddressBook => json!({ "description": null, "sortOrder": 0 }),
            DataType::Calendar => {
                json!({ "description": null, "sortOrder": 0, "color": null, "timeZone": null, "isVisible": true })
            }
            _ => json!({}),
        };
        natural.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        for object in self.objects(data_type).await {
            let id = text(&object["id"]);
            let answer = self.set(data_type, json!({ "update": { &id: natural } })).await;
            assert!(answer["notUpdated"][&id].is_null(), "{answer}");
        }
    }

    /// Servers call the default address book and calendar by the account's address.
    fn plain_name(&self, data_type: DataType, name: String) -> String {
        match data_type {
            DataType::AddressBook | DataType::Calendar => {
                self.addresses.iter().fold(name, |name, address| name.replace(address, "{address}"))
            }
            _ => name,
        }
    }

    fn natural_name(&self, data_type: DataType) -> String {
        match data_type {
            DataType::AddressBook => format!("Stalwart Address Book ({})", self.address),
            DataType::Calendar => format!("Stalwart Calendar ({})", self.address),
            _ => self.address.clone(),
        }
    }
}

/// What makes an object the same one in two accounts.
pub fn key(data_type: DataType, object: &Map<String, Value>) -> String {
    let member = match data_type {
        DataType::Email => "subject",
        DataType::ContactCard => "uid",
        DataType::CalendarEvent => {
            return match text(object.get("uid").unwrap_or(&Value::Null)).as_str() {
                "" => uid_of_journal(object).unwrap_or_default(),
                uid => uid.to_owned(),
            };
        }
        DataType::VacationResponse => return "the response".to_owned(),
        DataType::ParticipantIdentity => "calendarAddress",
        _ => "name",
    };
    text(object.get(member).unwrap_or(&Value::Null))
}

/// Stalwart shows a journal as a group of nothing that keeps its iCalendar.
fn uid_of_journal(object: &Map<String, Value>) -> Option<String> {
    let properties = object.get("iCalendar")?.get("components")?.get(0)?.get(1)?.as_array()?;
    properties.iter().find(|one| one[0] == "uid").map(|one| text(&one[3]))
}

/// Lines of an iCalendar text: unfolded, sorted, without stamps, without quotes that may or may not be there. Parameters are sorted, and
/// what kind of value follows (`VALUE`) is seen from the value.
pub(super) fn lines(text: &str) -> Vec<String> {
    let text = text.replace("\r\n", "\n").replace("\n ", "").replace("\n\t", "");
    let is_said = |line: &&str| {
        !line.is_empty() && !STAMPS.contains(&line.split([';', ':']).next().unwrap_or_default())
    };
    let mut lines: Vec<String> = text.lines().filter(is_said).map(in_order).collect();
    lines.sort();
    lines
}

fn in_order(line: &str) -> String {
    let mut is_quoted = false;
    let colon = line.find(|character| {
        is_quoted ^= character == '"';
        character == ':' && !is_quoted
    });
    let Some((head, value)) = colon.map(|colon| line.split_at(colon)) else { return line.to_owned() };
    let mut head: Vec<&str> = head.split(';').filter(|part| !part.starts_with("VALUE=")).collect();
    head[1..].sort_unstable();
    format!("{}{value}", head.join(";")).replace('"', "")
}

/// A set of nothing is as good as none.
fn is_nothing(value: &Value) -> bool {
    value.is_null()
        || value.as_object().is_some_and(Map::is_empty)
        || value.as_array().is_some_and(Vec::is_empty)
}

/// Without what servers overwrite in parts of an event when they write it.
pub(super) fn without_stamps(value: &mut Value) {
    if let Value::Object(members) = value {
        members.remove("updated");
        members.values_mut().for_each(without_stamps);
    }
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
