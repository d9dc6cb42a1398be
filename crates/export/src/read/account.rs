//! An account directory that is not ours: `stalwart-cli export account` writes the same.

use std::collections::BTreeMap;

use model::{DataType, EmailId, FolderId};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::array::elements;
use super::root::Root;
use crate::item::{Content, Email, Object, Receiver};
use crate::{Error, Result, dates};

const OBJECTS: [(&str, DataType); 4] = [
    ("mailboxes.json", DataType::Mailbox),
    ("sieve.json", DataType::SieveScript),
    ("identities.json", DataType::Identity),
    ("vacation.json", DataType::VacationResponse),
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListedEmail {
    id: String,
    #[serde(default)]
    mailbox_ids: BTreeMap<String, bool>,
    #[serde(default)]
    keywords: BTreeMap<String, bool>,
    #[serde(default)]
    received_at: String,
    blob_id: String,
}

pub(super) fn read(root: &Root, receiver: &mut dyn Receiver) -> Result<()> {
    for (file, data_type) in OBJECTS {
        if root.exists(file) {
            elements(root, file, &mut |json| object(root, file, data_type, json, receiver))?;
        }
    }
    if !root.exists("emails.json") {
        return Ok(());
    }
    elements(root, "emails.json", &mut |json| email(root, json, receiver))
}

fn object(
    root: &Root,
    file: &str,
    data_type: DataType,
    json: &str,
    receiver: &mut dyn Receiver,
) -> Result<()> {
    let damaged = |error| Error::corrupt(file, format!("an element is no object: {error}"));
    let map: Map<String, Value> = serde_json::from_str(json).map_err(damaged)?;
    let text = |key: &str| map.get(key).and_then(Value::as_str);
    let id = text("id").ok_or_else(|| Error::corrupt(file, "an element has no id"))?;
    let mut blob = match text("blobId").filter(|_| data_type == DataType::SieveScript) {
        Some(blob) => Some(root.open(&format!("blobs/{blob}"))?),
        None => None,
    };
    let content = blob.as_mut().map(|(file, length)| Content { length: *length, bytes: file });
    receiver.object(Object { data_type, id, json: json.as_bytes(), content })
}

fn email(root: &Root, json: &str, receiver: &mut dyn Receiver) -> Result<()> {
    let damaged = |error| Error::corrupt("emails.json", format!("an element is no email: {error}"));
    let listed: ListedEmail = serde_json::from_str(json).map_err(damaged)?;
    let set = |set: BTreeMap<String, bool>| set.into_iter().filter(|(_, is_in)| *is_in).map(|(name, _)| name);
    let folders: Vec<FolderId> = set(listed.mailbox_ids).map(FolderId::from).collect();
    let keywords: Vec<String> = set(listed.keywords).collect();
    let (mut file, size) = root.open(&format!("blobs/{}", listed.blob_id))?;
    let email = Email {
        id: &EmailId::from(listed.id),
        folders: &folders,
        keywords: &keywords,
        received_at: dates::seconds(&listed.received_at).unwrap_or_default(),
        size,
    };
    receiver.email(&email, &mut file)
}
