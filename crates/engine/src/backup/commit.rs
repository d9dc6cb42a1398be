//! Entries of a backup in the log: the snapshot at its end, and slices on the way.

use model::Timestamp;
use repository::Summary;
use tokio::time::Instant;

use super::report::{Report, state_of_summary};
use super::run::Run;
use super::slice::{Cursor, Paused};
use super::states::TypeStates;
use crate::error::Result;

impl Run<'_> {
    /// Returns the report, and whether a checkpoint is due.
    pub(crate) async fn commit(mut self, types: TypeStates, started: Timestamp) -> Result<(Report, bool)> {
        self.draft.give_up_lost().await?;
        let base = self.draft.base.as_ref().map(|base| base.info()).filter(|info| info.number.0 > 0);
        let base = base.map(|info| &info.summary);
        let had = base.map_or(0, |base| base.emails);
        // Rows that the store has lost say of no email that it is gone; the number of all does.
        let least = had.saturating_sub(self.draft.counts.emails);
        let removed = self.draft.counts.removed.max(least);
        let gone = match self.draft.writer.slices() {
            // What is there under another id is not gone.
            None => {
                self.draft.counts.removed.saturating_sub(std::mem::take(&mut self.emails.renumbered).count())
            }
            // Emails that a slice brought may be among them: then the alarm comes too early rather than never.
            Some(_) => self.draft.counts.removed.min(had),
        };
        let summary = Summary {
            account_name: self.server.account.name.clone(),
            types: types.states.into_values().collect(),
            emails: self.draft.counts.emails,
            email_bytes: self.draft.counts.bytes,
            new_emails: self.draft.counts.new,
            removed_emails: removed,
            failures: self.draft.failures.len() as u64,
            shrunk: gone.max(least) * 2 > had,
            since_listing: if types.listed { 0 } else { base.map_or(0, |base| base.since_listing + 1) },
            started,
            origin: self.how.origin.clone(),
        };
        let held_bytes = self.draft.writer.held_bytes();
        let committed = self.draft.writer.commit(summary.clone(), self.how.clock).await?;
        let report = Report {
            number: committed.number,
            is_of_fleet: committed.is_of_fleet,
            state: state_of_summary(&summary),
            emails: summary.emails,
            email_bytes: summary.email_bytes,
            new_emails: summary.new_emails,
            removed_emails: summary.removed_emails,
            stored_bytes: committed.stored_bytes,
            fetched_bytes: self.draft.counts.fetched_bytes,
            held_emails: self.draft.counts.held,
            held_bytes,
            healed: self.draft.counts.healed,
            renewed: self.draft.counts.renewed,
            found_damage: false,
            types: summary.types,
            failures: self.draft.failures.into_values().collect(),
        };
        Ok((report, committed.checkpoint_due))
    }

    /// Commits what came when it is time, and notices another writer early.
    pub(crate) async fn keep_if_due(&mut self) -> Result<()> {
        let Some(keeping) = &mut self.keeping else { return Ok(()) };
        let now = Instant::now();
        if keeping.is_due(&self.draft.counts, now) {
            keeping.keep(&self.draft.counts, now);
            self.keep_fetched().await?;
        } else if keeping.next_look() <= now {
            keeping.looked = now;
            self.draft.writer.look_for_rival().await?;
        }
        Ok(())
    }

    /// Commits what came so far, if anything did.
    pub(crate) async fn keep_fetched(&mut self) -> Result<Paused> {
        if self.draft.counts.fetched == 0 {
            return Ok(Paused::default());
        }
        let so_far = Paused {
            emails: self.draft.counts.fetched,
            fetched_bytes: self.draft.counts.fetched_bytes - self.fetched_before,
        };
        let (cursor, how) = (Cursor::of(&self.draft.counts), self.how);
        self.draft.writer.commit_slice(cursor, &how.origin, self.started, how.clock).await?;
        how.progress.kept(so_far);
        Ok(so_far)
    }
}
