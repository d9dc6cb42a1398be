//! Damage that a job finds.
//!
//! It is noted in the mailbox's log, so that the next backup fetches the lost objects again, and in the catalogue, so that no
//! damaged backup counts as good in the meantime.

use std::collections::BTreeSet;

use catalog::Backup;
use model::{MailboxId, SnapshotNumber};
use repository::Repository;

use crate::error::{Error, Result};
use crate::job::Job;

/// More than a mailbox has.
const ALL: u32 = 100_000;

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

    /// Marks the backups in the catalogue that the log knows to be damaged.
    pub(crate) async fn mark_damaged(
        &self,
        repository: &Repository,
        mailbox: MailboxId,
        store: &str,
    ) -> Result<()> {
        let damaged = repository.listing().await?.not_whole();
        self.mark(mailbox, store, &damaged).await
    }

    /// Marks a backup after it was read again: as sound, as damaged, or not at all if reading was cut off.
    pub(crate) async fn mark_read(&self, backup: &Backup, read: &Result<bool>) -> Result<()> {
        let (mailbox, store, snapshot) = (backup.mailbox, &backup.facts.store, backup.facts.snapshot);
        match read {
            Ok(false) => Ok(()),
            Ok(true) => {
                let catalog = self.catalog();
                self.worker.persist(|| catalog.mark_sound(mailbox, store, snapshot)).await?;
                Ok(())
            }
            Err(error) => match error.loss() {
                None => Ok(()),
                Some(Loss::Backup) => self.mark(mailbox, store, &BTreeSet::from([snapshot])).await,
                Some(Loss::Mailbox) => {
                    let all = self.catalog().backups_of(mailbox, None, ALL).await?;
                    let here = all.iter().filter(|one| one.facts.store == *store);
                    self.mark(mailbox, store, &here.map(|one| one.facts.snapshot).collect()).await
                }
            },
        }
    }

    async fn mark(&self, mailbox: MailboxId, store: &str, damaged: &BTreeSet<SnapshotNumber>) -> Result<()> {
        let catalog = self.catalog();
        let news = self.worker.persist(|| catalog.mark_damaged(mailbox, store, damaged)).await?;
        if news > 0 {
            tracing::error!(
                mailbox = mailbox.0,
                store,
                backups = news,
                "backups are damaged and no longer count as good"
            );
        }
        Ok(())
    }
}

/// What cannot be given back any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// The backup that was read.
    Backup,
    /// All of the mailbox's backups in that store.
    Mailbox,
}

impl Error {
    fn loss(&self) -> Option<Loss> {
        use repository::Error as Of;
        match self {
            Error::Damaged { .. } | Error::OtherSnapshot => Some(Loss::Backup),
            Error::Repository(
                Of::Corrupt { .. } | Of::Missing { .. } | Of::NoSnapshot { .. } | Of::History { .. },
            ) => Some(Loss::Backup),
            Error::Repository(Of::KeyGone { .. } | Of::LogGone { .. }) => Some(Loss::Mailbox),
            _ => None,
        }
    }
}
