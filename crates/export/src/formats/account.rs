//! Account directory: what `stalwart-cli import account` reads.

use std::collections::BTreeMap;

use model::DataType;
use serde_json::{Map, Value, json};

use crate::content::{Replay, Spool};
use crate::head::{Head, MOST_HEAD};
use crate::item::Email;
use crate::layout::{Out, Parsed};
use crate::lines::JsonArray;
use crate::name::{Name, SafePath};
use crate::report::Topic;
use crate::side::directory::{Mail, Place, PlaceOf};
use crate::tree::{Folder, Tree};
use crate::{Result, dates};

pub(crate) struct Account {
    emails: JsonArray,
    scripts: JsonArray,
    identities: JsonArray,
    vacation: JsonArray,
    /// Ids of the folders by their index.
    folders: BTreeMap<usize, String>,
    blobs: u64,
}

impl Account {
    pub(crate) fn create(spool: &mut Spool) -> Result<Account> {
        Ok(Account {
            emails: JsonArray::create(spool)?,
            scripts: JsonArray::create(spool)?,
            identities: JsonArray::create(spool)?,
            vacation: JsonArray::create(spool)?,
            folders: BTreeMap::new(),
            blobs: 0,
        })
    }

    /// A blob id of our own, and where its bytes go.
    fn blob(&mut self, kind: char) -> (String, SafePath) {
        self.blobs += 1;
        let id = format!("{kind}{}", self.blobs);
        let path = SafePath::top("blobs").join(&Name::sanitised(&id));
        (id, path)
    }

    fn script(&mut self, object: &Parsed<'_>, content: &mut Replay, out: &mut Out) -> Result<()> {
        let (blob, path) = self.blob('s');
        out.replay(&path, dates::now(), content)?;
        let mut script = picked(object, &["name", "isActive"]);
        script.insert("blobId".to_owned(), blob.into());
        self.scripts.push(&script)
    }
}

/// The id and some properties, without those that are `null`.
fn picked(object: &Parsed<'_>, keys: &[&str]) -> Map<String, Value> {
    let known = keys.iter().filter_map(|key| Some((*key, object.map.get(*key)?)));
    let there = known.filter(|(_, value)| !value.is_null());
    let id = [("id".to_owned(), Value::from(object.id))];
    id.into_iter().chain(there.map(|(key, value)| (key.to_owned(), value.clone()))).collect()
}

const IDENTITY: [&str; 6] = ["name", "email", "replyTo", "bcc", "textSignature", "htmlSignature"];
const VACATION: [&str; 6] = ["isEnabled", "fromDate", "toDate", "subject", "textBody", "htmlBody"];

impl Mail for Account {
    fn object(&mut self, object: &Parsed<'_>, content: Option<&mut Replay>, out: &mut Out) -> Result<()> {
        match object.data_type {
            DataType::Mailbox | DataType::Email => Ok(()),
            DataType::SieveScript if object.is_vacation_script() => Ok(()),
            DataType::SieveScript => match content {
                Some(content) => self.script(object, content, out),
                None => Ok(()),
            },
            DataType::Identity => self.identities.push(&picked(object, &IDENTITY)),
            DataType::VacationResponse => self.vacation.push(&picked(object, &VACATION)),
            other => {
                out.note(Topic::OnlyBeside, || format!("{other} {}", object.id));
                Ok(())
            }
        }
    }

    fn folder(&mut self, index: usize, folder: &Folder, _: &mut Out) -> Result<()> {
        self.folders.insert(index, folder.id.clone());
        Ok(())
    }

    fn email(
        &mut self,
        email: &Email<'_>,
        folders: &[usize],
        content: &mut Replay,
        out: &mut Out,
    ) -> Result<Option<Place>> {
        let (blob, path) = self.blob('e');
        out.replay(&path, dates::file_time(email.received_at), content)?;
        let received = dates::rfc3339(email.received_at);
        if received.is_clamped {
            out.note(Topic::DateChanged, || format!("email {}", email.id));
        }
        let set = |names: &mut dyn Iterator<Item = &str>| -> Map<String, Value> {
            names.map(|name| (name.to_owned(), Value::Bool(true))).collect()
        };
        let mut object = json!({
            "id": email.id.as_str(),
            "mailboxIds": set(&mut folders.iter().map(|index| self.folders[index].as_str())),
            "keywords": set(&mut email.keywords.iter().map(String::as_str)),
            "receivedAt": received.text,
            "blobId": blob,
        });
        // The CLI compares with what the server says, and that is no empty list: such an email would come once more each time.
        let message_ids = Head::read(&content.start(MOST_HEAD)?).message_ids;
        if !message_ids.is_empty() {
            object["messageId"] = message_ids.into();
        }
        self.emails.push(&object)?;
        Ok(Some(Place { path, start: None }))
    }

    fn finish(self, tree: &Tree, out: &mut Out) -> Result<Option<PlaceOf>> {
        let mut mailboxes = JsonArray::create(&mut out.spool)?;
        for folder in tree.in_order() {
            mailboxes.push(&mailbox(folder, tree))?;
        }
        let sink = out.sink.as_mut();
        mailboxes.hand_over(&SafePath::top("mailboxes.json"), sink)?;
        self.emails.hand_over(&SafePath::top("emails.json"), sink)?;
        self.scripts.hand_over(&SafePath::top("sieve.json"), sink)?;
        self.identities.hand_over(&SafePath::top("identities.json"), sink)?;
        self.vacation.hand_over(&SafePath::top("vacation.json"), sink)?;
        Ok(None)
    }
}

fn mailbox(folder: &Folder, tree: &Tree) -> Value {
    let mut mailbox = json!({
        "id": folder.id,
        "name": folder.name,
        "isSubscribed": folder.is_subscribed,
        "sortOrder": folder.sort_order,
    });
    if let Some(parent) = folder.parent {
        mailbox["parentId"] = tree.get(parent).id.as_str().into();
    }
    if let Some(role) = &folder.role {
        mailbox["role"] = role.as_str().into();
    }
    mailbox
}
