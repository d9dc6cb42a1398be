//! Damage that a job finds.
//!
//! It is noted in the mailbox's log, so that the next backup fetches the lost objects again, and marked in the catalogue, so that
//! no damaged backup counts as good in the meantime.

use std::collections::BTreeMap;

use catalog::Backup;
use model::{BackupNumber, BackupState, MailboxId, MailboxIdentity};
use repository::{BlobHasher, Listing, Repository, SnapshotInfo};

use crate::error::{Error, Result};
use crate::job::adopt::is_same;
use crate::job::run::Job;

/// More than a mailbox has.
const ALL: u32 = 100_000;

/// Returns those of these backups that lie in this store and are not whole snapshots of this log.
pub fn lost_backups(
    backups: &[Backup],
    store: &str,
    listing: &Listing,
    hasher: &BlobHasher,
) -> Vec<BackupNumber> {
    let held: BTreeMap<_, _> = listing.snapshots.iter().map(|info| (info.number, info)).collect();
    let is_whole = |backup: &&Backup| {
        let number = backup.facts.snapshot;
        held.get(&number).is_some_and(|info| is_same(info, hasher, backup))
            && !listing.damaged.contains(&number)
    };
    let lost = backups.iter().filter(|backup| backup.facts.store == store && !is_whole(backup));
    lost.map(|backup| backup.number).collect()
}

impl Job<'_> {
    /// Notes the object that an error says is damaged. Failing to note it is no failure.
    pub(crate) async fn noting<T>(
        &self,
        repository: &Repository,
        reading: impl Future<Output = engine::Result<T>>,
    ) -> engine::Result<T> {
        let read = reading.await;
        if let Err(engine::Error::Repository(error)) = &read {
            let _ = repository.note_damage(error.damaged(), &*self.worker.services.clock).await;
        }
        read
    }

    /// Marks the mailbox's backups in this store that its log does not hold as whole snapshots. Returns what the log says.
    pub(crate) async fn mark_by_log(
        &self,
        repository: &Repository,
        mailbox: MailboxId,
        store: &str,
    ) -> Result<Listing> {
        // Before the log is read: what was a row by then must stand in it.
        let backups = self.catalog().backups_of(mailbox, None, ALL).await?;
        let (marked, backups): (Vec<_>, Vec<_>) =
            backups.into_iter().partition(|backup| backup.facts.state == BackupState::Damaged);
        let hasher = repository.hasher();
        // Of those that are marked already nothing is to be learnt.
        let marked: BTreeMap<_, _> = marked
            .iter()
            .filter(|backup| backup.facts.store == store)
            .map(|backup| (backup.facts.snapshot, backup))
            .collect();
        let is_open = |info: &SnapshotInfo| {
            marked.get(&info.number).is_none_or(|backup| !is_same(info, &hasher, backup))
        };
        let lost = |listing: &Listing| lost_backups(&backups, store, listing, &hasher);
        let mut listing = repository.listing_about(&is_open).await?;
        let mut found = lost(&listing);
        if !found.is_empty() {
            // An answer of the store may be wrong once.
            listing = repository.listing_about(&is_open).await?;
            let again = lost(&listing);
            found.retain(|number| again.contains(number));
            self.mark(mailbox, &found).await?;
        }
        Ok(listing)
    }

    /// Marks what the store no longer holds of a mailbox after an error that may come from that. Failing to do so is no failure:
    /// the job failed already.
    pub(crate) async fn mark_after(
        &self,
        error: &Error,
        (mailbox, identity): (MailboxId, &MailboxIdentity),
        store: &str,
    ) {
        if error.may_be_loss()
            && let Err(error) = self.mark_as_it_is(mailbox, identity, store).await
        {
            tracing::warn!(error = error.chain(), "backups that are lost could not be marked");
        }
    }

    /// Marks by the log as the store shows it, whatever is remembered of it.
    pub(crate) async fn mark_as_it_is(
        &self,
        mailbox: MailboxId,
        identity: &MailboxIdentity,
        store: &str,
    ) -> Result<()> {
        use repository::Error::{KeyGone, LogGone};
        match self.worker.stores.as_it_is(store, identity).await {
            Ok(repository) => self.mark_by_log(&repository, mailbox, store).await.map(drop),
            Err(Error::Repository(KeyGone { .. } | LogGone { .. })) => {
                let backups = self.catalog().backups_of(mailbox, None, ALL).await?;
                let here = backups.iter().filter(|backup| backup.facts.store == store);
                self.mark(mailbox, &here.map(|backup| backup.number).collect::<Vec<_>>()).await
            }
            Err(error) => Err(error),
        }
    }

    /// Marks a backup after it was read again: as sound, as damaged, or not at all if reading was cut off.
    pub(crate) async fn mark_read(&self, backup: &Backup, read: &Result<bool>) -> Result<()> {
        let catalog = self.catalog();
        match read {
            Ok(false) => Ok(()),
            Ok(true) => {
                self.worker.persist(|| catalog.mark_sound(&self.claimed.claim, backup.number)).await?;
                Ok(())
            }
            // The log tells which backups another history has replaced.
            Err(error) if error.may_be_loss() && !error.is_of_history() => {
                self.mark(backup.mailbox, &[backup.number]).await
            }
            Err(_) => Ok(()),
        }
    }

    pub(crate) async fn mark(&self, mailbox: MailboxId, damaged: &[BackupNumber]) -> Result<()> {
        let catalog = self.catalog();
        let marked = self.worker.persist(|| catalog.mark_damaged(mailbox, damaged)).await?;
        if marked > 0 {
            tracing::error!(mailbox = mailbox.0, marked, "backups are damaged and no longer count as good");
        }
        Ok(())
    }
}

impl Error {
    /// Whether a store that has lost something answers so.
    fn may_be_loss(&self) -> bool {
        use repository::Error as Of;
        match self {
            Error::Damaged { .. } | Error::OtherSnapshot => true,
            Error::Repository(error) | Error::Engine(engine::Error::Repository(error)) => matches!(
                error,
                Of::Corrupt { .. }
                    | Of::Missing { .. }
                    | Of::NoSnapshot { .. }
                    | Of::History { .. }
                    | Of::KeyGone { .. }
                    | Of::LogGone { .. }
            ),
            _ => false,
        }
    }

    fn is_of_history(&self) -> bool {
        matches!(self, Error::Repository(repository::Error::History { .. }))
    }
}
