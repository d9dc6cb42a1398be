//! What a restore did.

use model::{BlobId, EmailRecord, SnapshotNumber};

use crate::restore::request::RestoreId;

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
    /// Bytes of what this run brought back.
    pub bytes: u64,
    /// Emails that were there and got their folders and keywords back.
    pub relabelled: u64,
    /// Emails that were too much (mode *exact*); the safety backup holds them.
    pub removed: u64,
    /// Folders that were made.
    pub folders: u64,
    /// Folders that were too much.
    pub removed_folders: u64,
    /// Folders that the server does not take as the snapshot has them, and why; their emails are in them.
    pub odd_folders: Vec<String>,
    /// The backup of the account as it was before (mode *exact*): restoring it undoes this one.
    pub safety: Option<SnapshotNumber>,
    /// Emails that did not come back.
    pub refused: Refusals,
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
            folders: 0,
            removed_folders: 0,
            odd_folders: Vec::new(),
            safety: None,
            refused: Refusals::default(),
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
