//! What restores left in an account whose jobs were cancelled or dropped.
//!
//! The next job of the mailbox that reaches its server takes it away, before it backs anything up: whoever drops a job need
//! not reach a mail server. A crash in between leaves the row as it was, and the job after the next does it again.

use catalog::DroppedRestore;
use engine::{KnownRestore, RestoreId};
use repository::Repository;

use crate::error::{Error, Result};
use crate::job::run::Job;
use crate::job::server::Reached;

impl Job<'_> {
    /// Takes away what is left. A failure ends nothing: the next job tries again.
    pub(crate) async fn clear_dropped_restores(&self, server: &Reached) {
        if let Err(error) = self.clear(server).await {
            tracing::warn!(error = %error.chain(), "what a dropped restore left stays for now");
        }
    }

    async fn clear(&self, server: &Reached) -> Result<()> {
        for dropped in self.catalog().dropped_restores(self.mailbox.id).await? {
            if let Some(id) = RestoreId::parse(&dropped.restore) {
                self.give_up(&dropped, &id).await?;
                engine::clear_leftover(&server.client, &server.account, &id).await?;
                tracing::info!(job = dropped.job.0, "what a dropped restore left is taken away");
            }
            self.catalog().give_up_restore(dropped.job).await?;
        }
        Ok(())
    }

    /// Writes down where the restore is written down that nobody can go on with it.
    async fn give_up(&self, dropped: &DroppedRestore, id: &RestoreId) -> Result<()> {
        let Some(repository) = self.repository_of(dropped).await? else { return Ok(()) };
        match KnownRestore::find(&repository, id).await? {
            Some(known) => Ok(known.give_up(&repository, id).await?),
            None => Ok(()),
        }
    }

    /// `None`: the backup or its repository is no more.
    async fn repository_of(&self, dropped: &DroppedRestore) -> Result<Option<Repository>> {
        let catalog = self.catalog();
        let Some(backup) = catalog.backup(dropped.number).await? else { return Ok(None) };
        let source = catalog.mailbox(backup.mailbox).await?;
        let Some(identity) = source.and_then(|source| source.identity()) else { return Ok(None) };
        match self.worker.stores.to_read(catalog, backup.mailbox, &backup.facts.store, &identity).await {
            Err(Error::RepositoryMissing | Error::UnknownStore) => Ok(None),
            repository => repository.map(Some),
        }
    }
}
