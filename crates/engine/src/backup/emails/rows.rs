//! The row of an email, as the server's metadata say it.

use model::{BlobId, EmailId, EmailRecord, Envelope, FolderId};
use repository::BlobHasher;

use crate::backup::fetch::step::{Subject, Wanted};

/// By which an email's bytes are known to be those we have. Ids alone do not prove it: a server that was restored from an
/// old copy gives them out again.
pub(crate) fn source_hash(hasher: &BlobHasher, email: &jmap::Email) -> u64 {
    hasher.short(&format!("{} {} {}", email.blob_id, email.size, email.received_at.unix_seconds()))
}

/// What has to be fetched of an email.
pub(crate) fn wanted_email(email: jmap::Email, replaces: Option<&EmailRecord>) -> Wanted {
    let subject =
        Subject::Email { replaces: replaces.map(|record| record.size), email: Box::new(email.clone()) };
    Wanted { blob: email.blob_id, size: Some(email.size), subject }
}

/// The row of an email that came whole.
pub(crate) fn record_of(
    hasher: &BlobHasher,
    email: &jmap::Email,
    blob: BlobId,
    length: u64,
    envelope: Envelope,
) -> EmailRecord {
    EmailRecord {
        id: EmailId::from(email.id.as_str()),
        blob,
        source_hash: source_hash(hasher, email),
        received_at: email.received_at.unix_seconds(),
        size: length,
        folders: folders_of(email),
        keywords: email.keywords.iter().map(|k| k.to_string()).collect(),
        envelope,
    }
}

/// The folders that an email lies in.
pub(crate) fn folders_of(email: &jmap::Email) -> Vec<FolderId> {
    email.mailbox_ids.iter().map(|id| FolderId::from(id.as_str())).collect()
}

/// The same email with the labels the server has now; `None` when they are the same.
pub(crate) fn relabelled(record: &EmailRecord, email: &jmap::Email) -> Option<EmailRecord> {
    let new = EmailRecord {
        folders: folders_of(email),
        keywords: email.keywords.iter().map(|k| k.to_string()).collect(),
        ..record.clone()
    };
    (new != *record).then_some(new)
}
