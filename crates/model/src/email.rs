use crate::{BlobId, EmailId, FolderId};

/// What a snapshot knows of one email besides its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailRecord {
    /// The server's id of the email, valid in this account only.
    pub id: EmailId,
    /// Where the raw bytes are in the repository.
    pub blob: BlobId,
    /// A keyed hash of the server's `blobId`, `size` and `receivedAt`: enough to see that the bytes may be others, too
    /// little to ask for them.
    pub source_hash: u64,
    /// `receivedAt`, seconds since 1970 UTC.
    pub received_at: i64,
    /// Length of the raw bytes, as read, not as the server claimed.
    pub size: u64,
    /// The folders it is in, sorted.
    pub folders: Vec<FolderId>,
    /// Its keywords (`$seen`, `$flagged`, …), sorted.
    pub keywords: Vec<String>,
    /// For finding it again.
    pub envelope: Envelope,
}

/// What people remember of an email, read from its raw bytes and never asked of the server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Envelope {
    /// `From`, decoded, as `Name <address>`, comma-joined when there are several.
    pub from: String,
    /// `To` and `Cc`, decoded, likewise.
    pub to: String,
    /// `Subject`, decoded.
    pub subject: String,
    /// `Message-ID` without its brackets.
    pub message_id: String,
    /// `Date`, seconds since 1970 UTC, if it could be read.
    pub date: Option<i64>,
    /// Names of the attachments, decoded, in order.
    pub attachments: Vec<String>,
    /// Version of the scanner that read it; 0: one from before versions.
    pub version: u32,
}
