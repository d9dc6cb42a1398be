//! Rows of emails as an earlier version wrote them, and what they should be.

use std::collections::BTreeMap;

use model::{EmailRecord, Envelope, SystemClock};
use repository::{Repository, Snapshot};

/// Makes a snapshot in which rows have wrong envelopes from before versions: those at whose positions, in the order of ids, `chosen` says so.
/// Returns how many.
///
/// # Panics
/// If the repository cannot be read or written.
pub async fn outdate(repository: &Repository, chosen: impl Fn(usize) -> bool) -> u64 {
    let mut writer = repository.begin_snapshot(&SystemClock).await.expect("begins");
    let base = writer.base().expect("there is a snapshot").clone();
    let mut emails = base.emails().await.expect("emails are read");
    let (mut position, mut outdated) = (0, 0);
    while let Some(email) = emails.next().await.expect("emails are read") {
        if chosen(position) {
            let (subject, attachments) = ("outdated".to_owned(), vec!["wrong.pdf".to_owned()]);
            let envelope = Envelope { subject, attachments, ..Envelope::default() };
            writer.put_email(EmailRecord { envelope, ..email }).await.expect("puts");
            outdated += 1;
        }
        position += 1;
    }
    writer.commit(base.info().summary.clone(), &SystemClock).await.expect("commits");
    outdated
}

/// The envelopes of a snapshot by the ids of their emails.
///
/// # Panics
/// If the snapshot cannot be read.
pub async fn envelopes(snapshot: &Snapshot) -> BTreeMap<String, Envelope> {
    let mut emails = snapshot.emails().await.expect("emails are read");
    let mut envelopes = BTreeMap::new();
    while let Some(email) = emails.next().await.expect("emails are read") {
        envelopes.insert(email.id.to_string(), email.envelope);
    }
    envelopes
}
