//! What is wanted, and what comes of it.

use std::collections::BTreeSet;

use bytes::Bytes;
use jmap::JmapBlobId;
use model::{BlobId, DataType, EmailId, EmailRecord, Envelope, FolderId};
use repository::ObjectRecord;

use super::chunker::WHOLE;

/// What a blob without a claimed size counts.
const UNKNOWN_SIZE: u64 = 16 << 10;

/// Something whose bytes are wanted.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) blob: JmapBlobId,
    /// What the server claims.
    pub(crate) size: Option<u64>,
    pub(crate) subject: Subject,
}

/// What the bytes belong to.
#[derive(Debug, Clone)]
pub(crate) enum Subject {
    Email {
        email: Box<jmap::Email>,
        /// Length of the email's bytes in the base, which these replace.
        replaces: Option<u64>,
    },
    Object(ObjectRecord),
}

impl Subject {
    pub(crate) fn name(&self) -> (DataType, String) {
        match self {
            Subject::Email { email, .. } => (DataType::Email, email.id.as_str().to_owned()),
            Subject::Object(object) => (object.data_type, object.id.clone()),
        }
    }
}

impl Wanted {
    pub(crate) fn weight(&self) -> u64 {
        self.size.unwrap_or(UNKNOWN_SIZE)
    }

    /// Too long for a batch.
    pub(crate) fn is_big(&self) -> bool {
        self.weight() > WHOLE as u64
    }
}

/// What the fetchers hand on.
pub(crate) enum Arrived {
    /// Pieces of something big that is on its way.
    Chunks(Vec<(BlobId, Bytes)>),
    Whole(Vec<Fetched>),
    Missing(Wanted, Miss),
}

/// Why something did not come.
pub(crate) enum Miss {
    /// The server says that there is no such blob.
    Gone,
    Failed(jmap::Error),
    Wrong(String),
}

/// Something that came whole.
pub(crate) struct Fetched {
    pub(crate) subject: Subject,
    pub(crate) blob: BlobId,
    pub(crate) length: u64,
    pub(crate) content: Content,
    pub(crate) envelope: Envelope,
    /// Why this may not be all of it.
    pub(crate) doubt: Option<String>,
}

impl Fetched {
    /// The server's name of an email's bytes.
    pub(crate) fn server_blob(&self) -> Option<JmapBlobId> {
        match &self.subject {
            Subject::Email { email, .. } => Some(email.blob_id.clone()),
            Subject::Object(_) => None,
        }
    }
}

pub(crate) enum Content {
    Bytes(Bytes),
    Chunks(Vec<BlobId>),
}

/// What reaches the intake.
pub(crate) enum Step {
    Arrived(Arrived),
    /// The bytes are known already, folders or keywords changed.
    Relabelled(Box<EmailRecord>),
    Removed(Box<EmailRecord>),
    /// Listed, and then said to be gone.
    Doubted(EmailId),
    /// Listed, but its metadata could not be read.
    Unreadable(EmailId, String),
    /// So many emails were compared: those that are as they were, and the folders that all of them lie in.
    Compared(u64, BTreeSet<FolderId>),
    /// It is as it was, and its envelope is to be read again.
    Outdated(EmailId, BlobId),
    /// Nothing came for a while.
    Idle,
}
