//! Random life: mail arrives, moves, is read and vanishes; folders and other objects change too.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::Value;

use crate::account::Account;
use crate::email::Email;
use crate::furniture::folder;
use crate::ids;
use crate::kind::DataType;
use crate::rng::Rng;
use crate::vocabulary::{self, Flavour, phrase};

/// What kinds of change churn makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Kinds {
    /// Emails alone.
    Emails,
    /// Emails mostly, folders and every other type sometimes.
    #[default]
    All,
}

/// Changes made around every method call that names an account: the state moves between a client's requests
/// and inside them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Churn {
    /// Changes before each call.
    pub before: u32,
    /// Changes after each call.
    pub after: u32,
    /// What is changed.
    pub kinds: Kinds,
    /// Which changes: equal seeds and equal requests give equal histories.
    pub seed: u64,
}

impl Account {
    /// One random change.
    pub(crate) fn mutate(&mut self, rng: &mut Rng, kinds: Kinds) {
        match (rng.below(100), kinds) {
            (0..40, _) => self.deliver_something(rng),
            (40..60, _) => self.change_email(rng, |_, email, rng| toggle(email, rng)),
            (60..75, _) => self.change_email(rng, Self::moved),
            (75..90, _) => {
                if let Some((index, _)) = self.some_email(rng) {
                    self.put_email(index, None);
                }
            }
            (90..94, Kinds::All) => self.change_folders(rng),
            (94.., Kinds::All) => self.change_object(rng),
            (90.., Kinds::Emails) => self.deliver_something(rng),
        }
    }

    fn deliver_something(&mut self, rng: &mut Rng) {
        let Some(folder) = self.some_folder(rng) else {
            return;
        };
        let (subject, len) = (phrase(rng, 4), 400 + rng.index(4000));
        let mut raw = format!("From: churn@example.com\r\nSubject: {subject}\r\n\r\n").into_bytes();
        vocabulary::text(rng.next(), Flavour::Utf8, len, &mut raw);
        self.deliver(Bytes::from(raw), vec![folder], Vec::new());
    }

    /// A new email in these folders; its index.
    pub(crate) fn deliver(&mut self, raw: Bytes, folders: Vec<u32>, keywords: Vec<Cow<'static, str>>) -> u32 {
        let content = self.content_of_bytes(raw);
        let (index, received_at) = (self.next_email, self.now());
        self.put_email(index, Some(Email { content, folders, keywords, received_at, thread: index }));
        index
    }

    fn some_email(&self, rng: &mut Rng) -> Option<(u32, std::sync::Arc<Email>)> {
        let tries = (0..64).map(|_| rng.below(self.next_email));
        tries.into_iter().find_map(|index| self.email(index).map(|email| (index, email)))
    }

    fn some_folder(&self, rng: &mut Rng) -> Option<u32> {
        let folders = self.folders();
        (!folders.is_empty()).then(|| *rng.pick(&folders))
    }

    fn change_email(&mut self, rng: &mut Rng, change: impl FnOnce(&Self, &Email, &mut Rng) -> Option<Email>) {
        let Some((index, email)) = self.some_email(rng) else {
            return;
        };
        if let Some(changed) = change(self, &email, rng) {
            self.put_email(index, Some(changed));
        }
    }

    fn moved(&self, email: &Email, rng: &mut Rng) -> Option<Email> {
        let folder = self.some_folder(rng).filter(|folder| email.folders != [*folder])?;
        Some(Email { folders: vec![folder], ..email.clone() })
    }

    fn change_folders(&mut self, rng: &mut Rng) {
        let Some(number) = self.some_folder(rng) else {
            return;
        };
        let id = ids::short(u64::from(number));
        match rng.below(4) {
            0 | 1 => {
                let new = self.draw_id(DataType::Mailbox);
                let parent = rng.chance(500).then_some(id.as_str());
                let object = folder(&new, &phrase(rng, 2), parent, None);
                self.put_object(DataType::Mailbox, &new, Some(object));
            }
            2 => self.edit(DataType::Mailbox, &id, |object| object["name"] = phrase(rng, 2).into()),
            _ if self.may_destroy(&id) => self.destroy_folder(&id),
            _ => {}
        }
    }

    /// A folder without role and without folders inside.
    fn may_destroy(&self, id: &str) -> bool {
        let folders = &self.objects[&DataType::Mailbox].present;
        folders.get(id).is_some_and(|object| object["role"].is_null())
            && !folders.values().any(|object| object["parentId"] == id)
    }

    fn change_object(&mut self, rng: &mut Rng) {
        let kind = *rng.pick(&[
            DataType::Identity,
            DataType::SieveScript,
            DataType::AddressBook,
            DataType::ContactCard,
            DataType::Calendar,
            DataType::CalendarEvent,
            DataType::FileNode,
        ]);
        let present: Vec<String> = self.objects[&kind].present.keys().cloned().collect();
        if present.is_empty() {
            return;
        }
        let id = rng.pick(&present).clone();
        // The vacation response's script keeps its name.
        if self.object(kind, &id).is_some_and(|object| object["name"] == "vacation") {
            return;
        }
        match rng.below(3) {
            0 if matches!(kind, DataType::ContactCard | DataType::CalendarEvent) => {
                let Some(mut copy) = self.object(kind, &id).map(|object| Value::clone(object)) else {
                    return;
                };
                let new = self.draw_id(kind);
                copy["id"] = new.as_str().into();
                copy["uid"] = format!("{:016x}", rng.next()).into();
                self.put_object(kind, &new, Some(copy));
            }
            1 if matches!(kind, DataType::ContactCard | DataType::CalendarEvent) => {
                self.put_object(kind, &id, None)
            }
            _ => self.edit(kind, &id, |object| object["name"] = phrase(rng, 2).into()),
        }
    }

    /// Changes an object's JSON; nothing happens if it is not there.
    pub(crate) fn edit(&mut self, kind: DataType, id: &str, change: impl FnOnce(&mut Value)) {
        if let Some(mut object) = self.object(kind, id).map(|object| Value::clone(object)) {
            change(&mut object);
            self.put_object(kind, id, Some(object));
        }
    }
}

fn toggle(email: &Email, rng: &mut Rng) -> Option<Email> {
    let keyword = *rng.pick(&["$seen", "$flagged", "$answered", "facture-2024"]);
    let mut keywords = email.keywords.clone();
    match keywords.iter().position(|present| *present == keyword) {
        Some(at) => drop(keywords.remove(at)),
        None => keywords.push(Cow::Borrowed(keyword)),
    }
    Some(Email { keywords, ..email.clone() })
}
