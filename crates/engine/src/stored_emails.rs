//! Emails of a snapshot together with where their bytes lie, in an order in which reading is cheap.

use std::collections::BTreeMap;

use model::{BlobId, EmailRecord};
use repository::{Emails, Located, Snapshot};

use crate::error::Result;

/// Emails that are looked up together: few enough to hold, many enough that they share blocks of the index and frames.
pub(crate) const WINDOW: usize = 8192;

/// Blobs whose places are looked up together: each keeps its block of the index in memory until all of them are found.
const LOOKUPS: usize = 2048;

/// Where these blobs lie, as far as they are known. Looked up in the order of their ids, in which they share blocks of the index.
pub(crate) async fn locate(snapshot: &Snapshot, mut ids: Vec<BlobId>) -> Result<BTreeMap<BlobId, Located>> {
    ids.sort_unstable();
    let mut places = BTreeMap::new();
    for ids in ids.chunks(LOOKUPS) {
        places.append(&mut snapshot.locate(ids).await?);
    }
    Ok(places)
}

/// An email and its bytes.
pub(crate) struct StoredEmail {
    /// Its position among all emails of the snapshot, ordered by id.
    pub(crate) position: usize,
    pub(crate) email: EmailRecord,
    /// `None`: the repository has lost it.
    pub(crate) blob: Option<Located>,
}

/// The emails of a snapshot that are wanted.
pub(crate) struct StoredEmails<'a, W> {
    snapshot: &'a Snapshot,
    emails: Emails,
    position: usize,
    wanted: W,
    window: std::vec::IntoIter<StoredEmail>,
}

impl<'a, W: FnMut(usize, &EmailRecord) -> bool> StoredEmails<'a, W> {
    /// `wanted` is asked once for each email, in order.
    pub(crate) async fn new(snapshot: &'a Snapshot, wanted: W) -> Result<StoredEmails<'a, W>> {
        let emails = snapshot.emails().await?;
        Ok(StoredEmails { snapshot, emails, position: 0, wanted, window: Vec::new().into_iter() })
    }

    /// The next one, `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<StoredEmail>> {
        if self.window.len() == 0 {
            self.window = self.next_window().await?.into_iter();
        }
        Ok(self.window.next())
    }

    /// The next ones that are looked up together, in the order of their places; none at the end.
    pub(crate) async fn next_window(&mut self) -> Result<Vec<StoredEmail>> {
        let mut emails = Vec::new();
        while emails.len() < WINDOW
            && let Some(email) = self.emails.next().await?
        {
            if (self.wanted)(self.position, &email) {
                emails.push((self.position, email));
            }
            self.position += 1;
        }
        let places = locate(self.snapshot, emails.iter().map(|(_, email)| email.blob).collect()).await?;
        let stored_email = |(position, email): (usize, EmailRecord)| StoredEmail {
            position,
            blob: places.get(&email.blob).cloned(),
            email,
        };
        let mut window: Vec<StoredEmail> = emails.into_iter().map(stored_email).collect();
        window.sort_by_cached_key(|stored_email| stored_email.blob.as_ref().map(Located::order));
        Ok(window)
    }
}
