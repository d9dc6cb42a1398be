//! Which blobs an account may read: those that a living email or object refers to.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;

use crate::account::Account;
use crate::email::{Content, StoredBlob};
use crate::spec::BlobIds;

/// A stored blob and who needs it.
#[derive(Debug)]
struct Held {
    blob: Arc<StoredBlob>,
    emails: u32,
    /// Scripts and files: readable for good.
    pinned: bool,
}

/// The stored blobs of an account and the counts of references.
#[derive(Debug, Default)]
pub(crate) struct Blobs {
    held: HashMap<String, Held>,
    /// Generated content and the emails of the overlay that refer to it.
    again: HashMap<u32, HashSet<u32>>,
    /// Blobs of destroyed emails, until the account is purged.
    pub(crate) unpurged: HashMap<String, Content>,
    /// Blobs that are gone although something still refers to them.
    pub(crate) vanished: HashSet<String>,
}

impl Blobs {
    pub(crate) fn claim(&mut self, index: u32, content: &Content) {
        match content {
            Content::Generated(number) => {
                self.again.entry(*number).or_default().insert(index);
            }
            Content::Stored(blob) => self.hold(blob).emails += 1,
        }
    }

    pub(crate) fn release(&mut self, index: u32, content: &Content) {
        match content {
            Content::Generated(number) => {
                self.again.entry(*number).or_default().remove(&index);
            }
            Content::Stored(blob) => {
                let held = self.hold(blob);
                held.emails = held.emails.saturating_sub(1);
            }
        }
    }

    fn hold(&mut self, blob: &Arc<StoredBlob>) -> &mut Held {
        self.held.entry(blob.id.clone()).or_insert_with(|| Held {
            blob: Arc::clone(blob),
            emails: 0,
            pinned: false,
        })
    }

    /// Keeps bytes readable whatever refers to them; returns the blob id.
    pub(crate) fn pin(&mut self, bytes: Bytes) -> String {
        let blob = Arc::new(StoredBlob::of_bytes(bytes));
        self.hold(&blob).pinned = true;
        blob.id.clone()
    }

    fn stored(&self, id: &str) -> Option<Content> {
        let held = self.held.get(id).filter(|held| held.pinned || held.emails > 0)?;
        Some(Content::Stored(Arc::clone(&held.blob)))
    }
}

impl Account {
    /// The content behind a blob id, if the account may read it now.
    pub(crate) fn blob(&self, id: &str) -> Option<Content> {
        if self.blobs.vanished.contains(id) {
            return None;
        }
        let living = match self.ids.split_owner(id) {
            Some((blob, index)) => self.blob_of(index, blob),
            None => match self.ids.blob_content(id).filter(|_| self.blob_ids == BlobIds::OfBytes) {
                Some(content) => self.is_alive(content).then_some(Content::Generated(content)),
                None => self.blobs.stored(id),
            },
        };
        living.or_else(|| self.blobs.unpurged.get(id).cloned())
    }

    fn blob_of(&self, index: u32, blob: &str) -> Option<Content> {
        let email = self.email(index).filter(|email| email.content.blob_id(self.ids) == blob)?;
        Some(email.content.clone())
    }

    /// Appends the blob id of email `index`.
    pub(crate) fn push_blob_id(&self, index: u32, content: &Content, out: &mut Vec<u8>) {
        content.push_blob_id(self.ids, out);
        if self.blob_ids == BlobIds::OfEmail {
            self.ids.push_owner(index, out);
        }
    }

    /// The blob id of email `index`.
    pub(crate) fn blob_id(&self, index: u32, content: &Content) -> String {
        let mut out = Vec::with_capacity(41);
        self.push_blob_id(index, content, &mut out);
        out.into_iter().map(char::from).collect()
    }

    fn is_alive(&self, content: u32) -> bool {
        let untouched = |index| !self.overlay.contains_key(&index);
        self.blobs.again.get(&content).is_some_and(|emails| !emails.is_empty())
            || self.mails.sharers(content).any(untouched)
    }

    /// What a delivered email consists of: equal bytes share one blob, generated ones included.
    pub(crate) fn content_of_bytes(&self, raw: Bytes) -> Content {
        match self.mails.recognise(&raw) {
            Some(content) => Content::Generated(content),
            None => Content::Stored(Arc::new(StoredBlob::of_bytes(raw))),
        }
    }
}
