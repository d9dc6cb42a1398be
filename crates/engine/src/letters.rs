//! Emails of a snapshot together with where their bytes lie, in an order in which reading is cheap.

use model::EmailRecord;
use repository::{Emails, Located, Snapshot};

use crate::error::Result;

/// Emails that are looked up together: few enough to hold, many enough that they share blocks of the index and frames.
const WINDOW: usize = 8192;

/// An email and its bytes.
pub(crate) struct Letter {
    /// Its position among all emails of the snapshot, ordered by id.
    pub(crate) position: usize,
    pub(crate) email: EmailRecord,
    /// `None`: the repository has lost it.
    pub(crate) blob: Option<Located>,
}

/// The emails of a snapshot that are wanted.
pub(crate) struct Letters<'a, W> {
    snapshot: &'a Snapshot,
    emails: Emails,
    position: usize,
    wanted: W,
    window: std::vec::IntoIter<Letter>,
}

impl<'a, W: FnMut(usize, &EmailRecord) -> bool> Letters<'a, W> {
    /// `wanted` is asked once for each email, in order.
    pub(crate) async fn new(snapshot: &'a Snapshot, wanted: W) -> Result<Letters<'a, W>> {
        let emails = snapshot.emails().await?;
        Ok(Letters { snapshot, emails, position: 0, wanted, window: Vec::new().into_iter() })
    }

    /// The next one, `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Letter>> {
        if self.window.len() == 0 {
            self.window = self.next_window().await?.into_iter();
        }
        Ok(self.window.next())
    }

    /// The next ones that are looked up together, in the order of their places; none at the end.
    pub(crate) async fn next_window(&mut self) -> Result<Vec<Letter>> {
        let mut emails = Vec::new();
        while emails.len() < WINDOW
            && let Some(email) = self.emails.next().await?
        {
            if (self.wanted)(self.position, &email) {
                emails.push((self.position, email));
            }
            self.position += 1;
        }
        let ids: Vec<_> = emails.iter().map(|(_, email)| email.blob).collect();
        let places = self.snapshot.locate(&ids).await?;
        let letter = |(position, email): (usize, EmailRecord)| Letter {
            position,
            blob: places.get(&email.blob).cloned(),
            email,
        };
        let mut window: Vec<Letter> = emails.into_iter().map(letter).collect();
        window.sort_by_cached_key(|letter| letter.blob.as_ref().map(Located::order));
        Ok(window)
    }
}
