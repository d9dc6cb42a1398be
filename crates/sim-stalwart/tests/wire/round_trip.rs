//! Everything of one account, given to another by the simplest of clients: `set` takes what `get` gave.

use std::collections::BTreeMap;

use crate::client::Client;
use serde_json::{Map, Value, json};
use sim_stalwart::{AccountHandle, AccountSpec, DataType, Folders, Simulator, Sizes, TypeContent};

/// Properties that the server decides, or that no restore may set.
const SERVERS: [&str; 6] = ["id", "myRights", "isDefault", "mayDelete", "isActive", "size"];

struct Copier {
    source: AccountHandle,
    client: Client,
    /// New ids by type and old id.
    ids: BTreeMap<(DataType, String), String>,
}

/// The type that the ids in a property name.
fn named(kind: DataType, property: &str) -> Option<DataType> {
    match property {
        "parentId" | "id" => Some(kind),
        "mailboxIds" => Some(DataType::Mailbox),
        "addressBookIds" => Some(DataType::AddressBook),
        "calendarIds" => Some(DataType::Calendar),
        _ => None,
    }
}

impl Copier {
    fn new_id(&self, kind: DataType, old: &str) -> String {
        self.ids.get(&(kind, old.to_owned())).cloned().unwrap_or_else(|| panic!("{kind:?} {old}"))
    }

    /// An object with the ids of the target.
    fn translated(&self, kind: DataType, object: &Value) -> Map<String, Value> {
        let translate = |(name, value): (&String, &Value)| {
            let of = named(kind, name);
            let value = match (of, value) {
                (Some(of), Value::String(id)) => self.new_id(of, id).into(),
                (Some(of), Value::Object(set)) => {
                    set.iter().map(|(id, is)| (self.new_id(of, id), is.clone())).collect::<Map<_, _>>().into()
                }
                _ => value.clone(),
            };
            (name.clone(), value)
        };
        object.as_object().unwrap().iter().map(translate).collect()
    }

    async fn upload(&self, blob: &Value) -> Value {
        let bytes = self.source.blob(blob.as_str().unwrap()).unwrap();
        self.client.upload("application/octet-stream", bytes).await.1["blobId"].clone()
    }

    /// Makes one object, or updates the default one that is there already.
    async fn copy(&mut self, kind: DataType, old: &str, object: &Value, present: Option<&String>) {
        let mut object = object.clone();
        object.as_object_mut().unwrap().retain(|name, _| !SERVERS.contains(&name.as_str()));
        if object["blobId"].is_string() {
            object["blobId"] = self.upload(&object["blobId"]).await;
        }
        let mut object = self.translated(kind, &object);
        let method = format!("{}/set", kind.name());
        let id = if let Some(present) = present {
            let fixed = ["role", "email", "calendarAddress"];
            object.retain(|name, _| !fixed.contains(&name.as_str()));
            let answer = self.client.call(&method, json!({ "update": { present: object } })).await;
            assert!(answer["updated"].is_object(), "{method} {answer}");
            present.clone()
        } else {
            let answer = self.client.call(&method, json!({ "create": { "a": object } })).await;
            answer["created"]["a"]["id"].as_str().unwrap_or_else(|| panic!("{method} {answer}")).to_owned()
        };
        self.ids.insert((kind, old.to_owned()), id);
    }

    async fn import(&self, content: &TypeContent) {
        for email in content.values() {
            let mut email = self.translated(DataType::Email, &json!({
                "mailboxIds": email["mailboxIds"], "keywords": email["keywords"], "blobId": email["blobId"],
                "receivedAt": email["receivedAt"],
            }));
            email["blobId"] = self.upload(&email["blobId"]).await;
            let answer = self.client.call("Email/import", json!({ "emails": { "a": email } })).await;
            assert!(answer["created"]["a"].is_object(), "{answer}");
        }
    }
}

/// What makes a default object of the target the counterpart of one of the source.
fn is_counterpart(kind: DataType, one: &Value, other: &Value) -> bool {
    match kind {
        DataType::Mailbox => !one["role"].is_null() && one["role"] == other["role"],
        DataType::AddressBook | DataType::Calendar => one["isDefault"] == true && other["isDefault"] == true,
        DataType::Identity => true,
        _ => false,
    }
}

fn without(content: TypeContent, properties: &[&str]) -> Vec<Value> {
    let mut objects: Vec<Value> = content.into_values().collect();
    for object in &mut objects {
        object.as_object_mut().unwrap().retain(|name, _| !properties.contains(&name.as_str()));
    }
    objects.sort_by_key(Value::to_string);
    objects
}

#[tokio::test]
async fn what_get_gave_is_taken_by_set() {
    let full =
        AccountSpec::new("a@example.org", "secret").folders(Folders::Many(5)).emails(60).sizes(Sizes::tiny());
    let empty = AccountSpec::new("b@example.org", "secret").alias("a@example.org").bare();
    let simulator = Simulator::builder().seed(3).account(full).account(empty).start().await.unwrap();
    let [source, target] = ["a", "b"].map(|name| simulator.account(&format!("{name}@example.org")).unwrap());
    // 0.16 refuses them: no header at all.
    for email in source.emails() {
        if !source.raw(&email.id).unwrap().starts_with(b"From") {
            source.destroy(&email.id);
        }
    }
    let client = Client::new(&simulator, "b@example.org", "secret").await;
    let mut copier = Copier { source: source.clone(), client, ids: BTreeMap::new() };
    let skipped = [DataType::Email, DataType::ParticipantIdentity, DataType::VacationResponse];
    for kind in DataType::ALL.into_iter().filter(|kind| !skipped.contains(kind)) {
        let defaults = target.content(kind);
        for (old, object) in source.content(kind) {
            if kind == DataType::SieveScript && object["name"] == "vacation" {
                continue;
            }
            let present = defaults.iter().find(|(_, other)| is_counterpart(kind, &object, other));
            copier.copy(kind, &old, &object, present.map(|(id, _)| id)).await;
        }
    }
    let vacation = source.content(DataType::VacationResponse)["singleton"].clone();
    let mut patch = vacation.clone();
    patch.as_object_mut().unwrap().remove("id");
    copier.client.call("VacationResponse/set", json!({ "update": { "singleton": patch } })).await;
    assert_eq!(target.content(DataType::VacationResponse)["singleton"], vacation);
    let emails = source.content(DataType::Email);
    copier.import(&emails).await;
    compare(&copier, &source, &target);
}

fn compare(copier: &Copier, source: &AccountHandle, target: &AccountHandle) {
    for kind in [
        DataType::Mailbox,
        DataType::AddressBook,
        DataType::ContactCard,
        DataType::Calendar,
        DataType::CalendarEvent,
        DataType::FileNode,
    ] {
        let there = source.content(kind).into_iter();
        let there = there.map(|(id, object)| (id, copier.translated(kind, &object).into())).collect();
        let ignored = ["blobId", "id"];
        assert_eq!(without(target.content(kind), &ignored), without(there, &ignored), "{kind:?}");
    }
    let mails = |account: &AccountHandle| {
        let emails = account.emails().into_iter();
        let mut all: Vec<_> = emails
            .map(|email| {
                (email.received_at, email.keywords, account.digest(&email.id), account.raw(&email.id))
            })
            .collect();
        all.sort();
        all
    };
    assert_eq!(mails(target), mails(source));
    assert!(!target.emails().is_empty());
}
