//! Which blobs an account may read: those that a living email or object refers to.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;

use crate::account::Account;
use crate::email::{Content, StoredBlob};
use crate::ids;
use crate::mail;
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
    /// Contents by the id that an upload got.
    pub(crate) uploads: HashMap<String, Content>,
    /// Grows when uploads expire: the ids of the next are others.
    era: u64,
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

    /// Uploads are gone, and what is uploaded from now on has other ids.
    pub(crate) fn expire_uploads(&mut self) {
        self.uploads.clear();
        self.era += 1;
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
        let others = || self.blobs.uploads.get(id).or_else(|| self.blobs.unpurged.get(id)).cloned();
        living.or_else(others)
    }

    /// The same, unless its bytes were not kept.
    pub(crate) fn readable_blob(&self, id: &str) -> Option<Content> {
        self.blob(id).filter(Content::is_readable)
    }

    /// Keeps bytes until uploads expire. Equal bytes get an equal id until then.
    pub(crate) fn upload(&mut self, bytes: Bytes) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.id.as_bytes()).update(&self.blobs.era.to_le_bytes()).update(&bytes);
        let id = ids::upload(&hasher.finalize());
        let content = self.content_of_bytes(bytes);
        self.blobs.uploads.entry(id.clone()).or_insert(content);
        id
    }

    /// Number and bytes of the uploads that have not expired.
    pub(crate) fn uploaded(&self) -> (usize, u64) {
        let uploads = &self.blobs.uploads;
        (uploads.len(), uploads.values().map(|content| content.size(&self.mails)).sum())
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
        let stored = |blob| Content::Stored(Arc::new(blob));
        let tags = mail::tags(&raw);
        match self.mails.recognise(&raw, &tags) {
            Some(content) => Content::Generated(content),
            None => match self.stock.recognise(&raw, &tags) {
                Some((mails, content)) => stored(StoredBlob::lent(mails, content)),
                None => stored(StoredBlob::of_bytes(raw)),
            },
        }
    }

    /// Lets go of the bytes of an imported blob, the upload's included, if this account keeps none.
    pub(crate) fn forget_bytes(&mut self, upload: &str, content: Content) -> Content {
        let Content::Stored(blob) = &content else { return content };
        let Some(forgotten) = blob.forgotten().filter(|_| self.forgets) else { return content };
        let forgotten = Content::Stored(Arc::new(forgotten));
        if let Some(upload) = self.blobs.uploads.get_mut(upload) {
            upload.clone_from(&forgotten);
        }
        forgotten
    }
}
