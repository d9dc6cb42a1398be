//! Damage that a job finds.
//!
//! It is noted in the mailbox's log, so that the next backup fetches the lost objects again, and marked in the catalogue, so that
//! no damaged backup counts as good in the meantime.

use std::collections::BTreeMap;

use catalog::Backup;
use model::{BackupNumber, MailboxId, MailboxIdentity};
use repository::{BlobHasher, Listing, Repository};

use crate::adopt::is_same;
use crate::error::{Error, Result};
use crate::job::Job;

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

    /// Marks the mailbox's backups in this store that its log does not hold as whole snapshots.
    pub(crate) async fn mark_by_log(
        &self,
        mailbox: MailboxId,
        store: &str,
        (listing, hasher): (&Listing, &BlobHasher),
    ) -> Result<()> {
        let backups = self.catalog().backups_of(mailbox, None, ALL).await?;
        self.mark(mailbox, &lost_backups(&backups, store, listing, hasher)).await
    }

    /// Marks what an error proves to be lost. Failing to do so is no failure: the job failed already.
    pub(crate) async fn mark_loss(
        &self,
        (mailbox, identity): (MailboxId, &MailboxIdentity),
        store: &str,
        error: &Error,
    ) {
        let marked = match error.loss() {
            None => Ok(()),
            Some(Loss::SomeSnapshots) => self.mark_as_it_is(mailbox, identity, store).await,
            Some(Loss::AllSnapshots) => self.mark_all(mailbox, store).await,
        };
        if let Err(error) = marked {
            tracing::warn!(error = error.chain(), "backups that are lost could not be marked");
        }
    }

    /// Marks a backup after it was read again: as sound, as damaged, or not at all if reading was cut off.
    pub(crate) async fn mark_read(&self, backup: &Backup, read: &Result<bool>) -> Result<()> {
        let (catalog, mailbox) = (self.catalog(), backup.mailbox);
        match read {
            Ok(false) => Ok(()),
            Ok(true) => {
                self.worker.persist(|| catalog.mark_sound(mailbox, backup.number)).await?;
                Ok(())
            }
            // The log tells which backups another history has replaced.
            Err(error) if error.loss().is_some() && !error.is_of_history() => {
                self.mark(mailbox, &[backup.number]).await
            }
            Err(_) => Ok(()),
        }
    }

    /// By the log as the store shows it, whatever is remembered of it.
    async fn mark_as_it_is(&self, mailbox: MailboxId, identity: &MailboxIdentity, store: &str) -> Result<()> {
        let repository = self.worker.stores.as_it_is(store, identity).await?;
        let listing = repository.listing().await?;
        self.mark_by_log(mailbox, store, (&listing, &repository.hasher())).await
    }

    async fn mark_all(&self, mailbox: MailboxId, store: &str) -> Result<()> {
        let backups = self.catalog().backups_of(mailbox, None, ALL).await?;
        let here = backups.iter().filter(|backup| backup.facts.store == store);
        self.mark(mailbox, &here.map(|backup| backup.number).collect::<Vec<_>>()).await
    }

    async fn mark(&self, mailbox: MailboxId, damaged: &[BackupNumber]) -> Result<()> {
        let catalog = self.catalog();
        let marked = self.worker.persist(|| catalog.mark_damaged(mailbox, damaged)).await?;
        if marked > 0 {
            tracing::error!(mailbox = mailbox.0, marked, "backups are damaged and no longer count as good");
        }
        Ok(())
    }
}

/// Which backups an error proves to be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// Those that the log does not hold as whole snapshots.
    SomeSnapshots,
    /// All of the mailbox in that store.
    AllSnapshots,
}

impl Error {
    fn loss(&self) -> Option<Loss> {
        use repository::Error as Of;
        match self {
            Error::Damaged { .. } | Error::OtherSnapshot => Some(Loss::SomeSnapshots),
            Error::Repository(error) | Error::Engine(engine::Error::Repository(error)) => match error {
                Of::Corrupt { .. } | Of::Missing { .. } | Of::NoSnapshot { .. } | Of::History { .. } => {
                    Some(Loss::SomeSnapshots)
                }
                Of::KeyGone { .. } | Of::LogGone { .. } => Some(Loss::AllSnapshots),
                _ => None,
            },
            _ => None,
        }
    }

    fn is_of_history(&self) -> bool {
        matches!(self, Error::Repository(repository::Error::History { .. }))
    }
}
