//! What became of each email of the snapshot, by its position in the order of ids.

use model::EmailRecord;
use repository::Snapshot;

use crate::error::Result;

/// How far one email is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::restore) enum Mark {
    /// Not asked for.
    Unwanted,
    /// Has to be imported.
    Open,
    /// Needs nothing: the account has it.
    Present,
    /// Was imported by this restore.
    Restored,
    /// Was refused as no email, and came by this restore as the attachment of one.
    Wrapped,
    /// The server refuses it, or its bytes are lost.
    Refused,
}

/// Five bytes an email.
#[derive(Debug)]
pub(in crate::restore) struct Ledger {
    marks: Vec<Mark>,
    /// Which of the account's emails is this one, by its place in the order of their ids.
    pairs: Vec<u32>,
}

/// No email of the account is this one, or it does not matter which.
const ALONE: u32 = u32::MAX;

impl Ledger {
    /// Nothing is done yet.
    pub(in crate::restore) async fn open(
        snapshot: &Snapshot,
        mut wanted: impl FnMut(&EmailRecord) -> bool,
    ) -> Result<Ledger> {
        let mut emails = snapshot.emails().await?;
        let mut marks = Vec::new();
        while let Some(email) = emails.next().await? {
            marks.push(if wanted(&email) { Mark::Open } else { Mark::Unwanted });
        }
        Ok(Ledger { pairs: vec![ALONE; marks.len()], marks })
    }

    pub(in crate::restore) fn get(&self, position: usize) -> Mark {
        self.marks.get(position).copied().unwrap_or(Mark::Unwanted)
    }

    pub(in crate::restore) fn set(&mut self, position: usize, mark: Mark) {
        self.marks[position] = mark;
    }

    /// The email at `position` is the account's `at`th.
    pub(in crate::restore) fn pair(&mut self, position: usize, at: usize, mark: Mark) {
        self.set(position, mark);
        self.pairs[position] = u32::try_from(at).unwrap_or(ALONE);
    }

    /// The account's email that is this one.
    pub(in crate::restore) fn pair_of(&self, position: usize) -> Option<usize> {
        self.pairs.get(position).filter(|at| **at != ALONE).map(|at| *at as usize)
    }

    /// Which of the account's emails, of which there are so many, are one of the snapshot's.
    pub(in crate::restore) fn paired(&self, held: usize) -> Vec<bool> {
        let mut paired = vec![false; held];
        self.pairs.iter().filter(|at| **at != ALONE).for_each(|at| paired[*at as usize] = true);
        paired
    }

    /// Forgets which emails the account holds, to look again.
    pub(in crate::restore) fn forget(&mut self, held: &[Mark]) {
        self.pairs.fill(ALONE);
        for mark in self.marks.iter_mut().filter(|mark| held.contains(mark)) {
            *mark = Mark::Open;
        }
    }

    /// Of those that the account holds, the ones that this restore brought: `ours` says how, by the email's place among the
    /// account's.
    pub(in crate::restore) fn claim(&mut self, ours: impl Fn(usize) -> Option<Mark>) {
        for (mark, at) in self.marks.iter_mut().zip(&self.pairs) {
            if *mark == Mark::Present && *at != ALONE {
                *mark = ours(*at as usize).unwrap_or(Mark::Present);
            }
        }
    }

    pub(in crate::restore) fn len(&self) -> usize {
        self.marks.len()
    }

    pub(in crate::restore) fn count(&self, mark: Mark) -> u64 {
        self.marks.iter().filter(|known| **known == mark).count() as u64
    }

    pub(in crate::restore) fn positions(&self, mark: Mark) -> Vec<bool> {
        self.marks.iter().map(|known| *known == mark).collect()
    }
}
