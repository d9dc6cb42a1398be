//! What became of each email of the snapshot, by its position in the order of ids.

use model::EmailRecord;
use repository::Snapshot;

use crate::error::Result;

/// How far one email is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// Not asked for.
    Unwanted,
    /// Has to be imported.
    Open,
    /// Needs nothing: the account has it.
    Present,
    /// Was imported by this restore.
    Restored,
    /// The server refuses it, or its bytes are lost.
    Refused,
}

/// One byte an email.
#[derive(Debug)]
pub(super) struct Ledger(Vec<Mark>);

impl Ledger {
    /// Nothing is done yet.
    pub(super) async fn open(snapshot: &Snapshot, wanted: impl Fn(&EmailRecord) -> bool) -> Result<Ledger> {
        let mut emails = snapshot.emails().await?;
        let mut marks = Vec::new();
        while let Some(email) = emails.next().await? {
            marks.push(if wanted(&email) { Mark::Open } else { Mark::Unwanted });
        }
        Ok(Ledger(marks))
    }

    pub(super) fn get(&self, position: usize) -> Mark {
        self.0.get(position).copied().unwrap_or(Mark::Unwanted)
    }

    pub(super) fn set(&mut self, position: usize, mark: Mark) {
        self.0[position] = mark;
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn count(&self, mark: Mark) -> u64 {
        self.0.iter().filter(|known| **known == mark).count() as u64
    }

    pub(super) fn positions(&self, mark: Mark) -> Vec<bool> {
        self.0.iter().map(|known| *known == mark).collect()
    }
}
