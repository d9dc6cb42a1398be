//! The backups that an *exact* restore makes of the account before it destroys anything. They have numbers and rows like any other,
//! so that the restore can be undone.
//!
//! **Order.** The number (Postgres), the snapshot under that number (the log), the row. Nothing is destroyed before the row.
//! **Crash.** After the first the next claim keeps the number; after the second it finds the snapshot by restore and number,
//! and enters it.

use engine::{Register, RegisterError, RestoreId};
use futures::future::BoxFuture;
use model::BackupNumber;
use repository::{Repository, SnapshotInfo};

use crate::error::{self, Error};
use crate::job::run::Job;

/// Enters them in the catalogue.
pub(crate) struct SafetyBackups<'a> {
    pub(crate) job: &'a Job<'a>,
    /// Where they are.
    pub(crate) repository: &'a Repository,
}

impl SafetyBackups<'_> {
    /// Enters the backup that an earlier claim of the job made under the number that it drew, and did not enter.
    pub(crate) async fn enter_earlier(&self, id: &RestoreId) -> error::Result<()> {
        let Some(number) = self.job.claimed.number else { return Ok(()) };
        let snapshots = match self.repository.snapshots().await {
            Err(repository::Error::NoMailbox) => return Ok(()),
            snapshots => snapshots?,
        };
        let made = snapshots.iter().find(|info| {
            let origin = &info.summary.origin;
            origin.backup_number == Some(number) && origin.job == id.as_str()
        });
        match made {
            Some(made) => self.record(number, made).await,
            None => Ok(()),
        }
    }

    async fn draw(&self) -> error::Result<BackupNumber> {
        let (worker, catalog) = (self.job.worker, self.job.catalog());
        Ok(worker.persist(|| catalog.draw_number(&self.job.claimed.claim)).await?)
    }

    async fn record(&self, number: BackupNumber, made: &SnapshotInfo) -> error::Result<()> {
        let (worker, catalog) = (self.job.worker, self.job.catalog());
        let store = &worker.stores.of(self.job.mailbox)?.settings.name;
        // A row never shows a snapshot that the memory has not seen.
        self.job.remember(self.repository, store).await?;
        let backup = self.job.row(number, made.number, self.repository).await?;
        worker.persist(|| catalog.record(&self.job.claimed.claim, &backup)).await?;
        worker.services.metrics.count_state(backup.state());
        Ok(())
    }
}

impl Register for SafetyBackups<'_> {
    fn number(&self) -> BoxFuture<'_, Result<BackupNumber, RegisterError>> {
        Box::pin(async { Ok(self.draw().await?) })
    }

    fn enter<'a>(&'a self, made: &'a SnapshotInfo) -> BoxFuture<'a, Result<(), RegisterError>> {
        Box::pin(async move {
            match made.summary.origin.backup_number {
                Some(number) => Ok(self.record(number, made).await?),
                None => Ok(()),
            }
        })
    }
}

impl Error {
    /// What kept a backup from being entered is the job's own error.
    pub(crate) fn of_restore(error: engine::Error) -> Error {
        match error {
            engine::Error::Register(source) => match source.downcast::<Error>() {
                Ok(error) => *error,
                Err(source) => Error::Engine(engine::Error::Register(source)),
            },
            error => Error::Engine(error),
        }
    }
}
