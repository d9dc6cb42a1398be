//! What a restore did.

use model::{BlobId, DataType, EmailRecord, SnapshotNumber};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::restore::request::RestoreId;
use crate::restore::shares::Share;

/// Refusals that are named; all are counted.
const NAMED: usize = 10_000;

/// What a restore did, or would do.
#[derive(Debug, Clone)]
pub struct Restored {
    /// Its id.
    pub id: RestoreId,
    /// The folder that everything lies in (mode *beside*).
    pub folder: Option<String>,
    /// Emails of the snapshot that were wanted.
    pub wanted: u64,
    /// Of these, those that needed nothing: they are in the account already.
    pub present: u64,
    /// Those that a dry run leaves open.
    pub open: u64,
    /// Emails that came back, by this run or by earlier ones of the same restore.
    pub restored: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Emails that were there and got their folders and keywords back.
    pub relabelled: u64,
    /// Emails that were too much (mode *exact*); the safety backup holds them.
    pub removed: u64,
    /// Emails that are too much and stay: the store cannot give them back, so they would be lost.
    pub unremoved: Unremoved,
    /// Folders that were made.
    pub folders: u64,
    /// Folders that were too much.
    pub removed_folders: u64,
    /// Folders that the server does not take as the snapshot has them, and why; their emails are in them.
    pub odd_folders: Vec<String>,
    /// The backup of the account as it was before (mode *exact*): restoring it undoes this one.
    pub safety: Option<SnapshotNumber>,
    /// Emails that the server refuses, and that came back as attachments of emails with a note; with why.
    pub wrapped: Refusals,
    /// Emails that did not come back.
    pub refused: Refusals,
    /// Of the other types.
    pub objects: Vec<RestoredObjects>,
    /// A part of the snapshot's index cannot be read: what it named did not come back, and is not known.
    pub lacks_rows: bool,
    /// What was shared with others and is not, or is again because that was asked for.
    pub shares: Vec<Share>,
}

impl Restored {
    pub(super) fn nothing(id: &RestoreId) -> Restored {
        Restored {
            id: id.clone(),
            folder: None,
            wanted: 0,
            present: 0,
            open: 0,
            restored: 0,
            bytes: 0,
            relabelled: 0,
            removed: 0,
            unremoved: Unremoved::default(),
            folders: 0,
            removed_folders: 0,
            odd_folders: Vec::new(),
            safety: None,
            wrapped: Refusals::default(),
            refused: Refusals::default(),
            objects: Vec::new(),
            lacks_rows: false,
            shares: Vec::new(),
        }
    }
}

impl Restored {
    /// Whether all that was asked for is in its place.
    pub fn is_whole(&self) -> bool {
        let is_odd = self.refused.count > 0 || self.unremoved.count > 0 || !self.odd_folders.is_empty();
        let is_shared = self.shares.iter().all(|share| share.refusal.is_none() && !share.exposed);
        !is_odd && !self.lacks_rows && is_shared && self.objects.iter().all(RestoredObjects::is_whole)
    }
}

/// Emails that were not removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unremoved {
    /// The first ones.
    pub named: Vec<UnremovedEmail>,
    /// All of them.
    pub count: u64,
}

/// An email that was not removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnremovedEmail {
    /// Its id in the account.
    pub id: String,
    /// Its subject.
    pub subject: String,
    /// What is wrong with its copy in the store.
    pub reason: String,
}

impl Unremoved {
    pub(super) fn add(&mut self, email: &EmailRecord, reason: String) {
        self.count += 1;
        if self.named.len() < NAMED {
            let (id, subject) = (email.id.as_str().to_owned(), email.envelope.subject.clone());
            self.named.push(UnremovedEmail { id, subject, reason });
        }
    }
}

/// What the server refuses, or the repository has lost.
#[derive(Debug, Clone, Default)]
pub struct Refusals {
    /// The first ones.
    pub named: Vec<Refusal>,
    /// All of them.
    pub count: u64,
}

/// An email that did not come back.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The email.
    pub email: EmailRecord,
    /// Its bytes, unless the repository has lost them.
    pub blob: Option<BlobId>,
    /// Why, in the server's words.
    pub reason: String,
}

impl Refusals {
    pub(super) fn add(&mut self, refusal: Refusal) {
        self.count += 1;
        if self.named.len() < NAMED {
            self.named.push(refusal);
        }
    }
}

/// What became of the objects of one type that is not Email. Of a dry run: what would.
#[derive(Debug, Clone)]
pub struct RestoredObjects {
    /// The type.
    pub data_type: DataType,
    /// Objects of the snapshot.
    pub wanted: u64,
    /// Objects that were created.
    pub restored: u64,
    /// Objects that were there, and became what the snapshot says.
    pub changed: u64,
    /// Objects that were too much (mode *exact*).
    pub removed: u64,
    /// Objects that did not come back: the first ones.
    pub refused: Vec<ObjectRefusal>,
    /// All of them.
    pub refused_count: u64,
    /// Why the type as a whole did not come back.
    pub left_out: Option<String>,
    /// What is not quite as it was, for people.
    pub notes: Vec<String>,
}

/// An object that did not come back.
#[derive(Debug, Clone)]
pub struct ObjectRefusal {
    /// Its id in the snapshot.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Why, in the server's words.
    pub reason: String,
    /// The object.
    pub json: Map<String, Value>,
    /// A script's text, a file's bytes.
    pub content: Option<BlobId>,
}

impl RestoredObjects {
    pub(super) fn nothing(data_type: DataType) -> RestoredObjects {
        RestoredObjects {
            data_type,
            wanted: 0,
            restored: 0,
            changed: 0,
            removed: 0,
            refused: Vec::new(),
            refused_count: 0,
            left_out: None,
            notes: Vec::new(),
        }
    }

    pub(super) fn refuse(
        &mut self,
        id: &str,
        name: String,
        reason: impl Into<String>,
        json: &Map<String, Value>,
        content: Option<BlobId>,
    ) {
        self.refused_count += 1;
        if self.refused.len() < NAMED {
            let (id, reason, json) = (id.to_owned(), reason.into(), json.clone());
            self.refused.push(ObjectRefusal { id, name, reason, json, content });
        }
    }

    /// Tells of one more thing that is not quite as it was; of very many the first ones.
    pub(super) fn note(&mut self, note: String) {
        match self.notes.len() {
            NAMED => self.notes.push("there are more, which are not named".to_owned()),
            named if named < NAMED => self.notes.push(note),
            _ => {}
        }
    }

    /// Whether everything of the type is in the account.
    pub fn is_whole(&self) -> bool {
        self.refused_count == 0 && self.left_out.is_none() && self.notes.is_empty()
    }
}
