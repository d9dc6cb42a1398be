//! One job under one claim, and what all kinds have in common.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use catalog::{Catalog, Claimed, Mailbox, NewBackup};
use futures::future::BoxFuture;
use jmap::Credentials;
use model::{InvalidParameters, JobParameters};
use planning::Budget;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::claim::shown::Shown;
use crate::claim::watch::Answer;
use crate::error::{Error, Result};
use crate::steps::Step;
use crate::worker::Worker;

/// See the module.
pub(crate) struct Job<'a> {
    pub(crate) worker: &'a Worker,
    pub(crate) claimed: &'a Claimed,
    pub(crate) mailbox: &'a Mailbox,
    /// How hard it may press the mail server.
    pub(crate) budget: Budget,
    pub(crate) shown: &'a Shown,
    /// Told when the mail server's budget is spent for long.
    pub(crate) spent: &'a Arc<watch::Sender<Option<Duration>>>,
    /// Set once the catalogue is asked to end the job: from then on a heartbeat that is refused means nothing.
    pub(crate) ending: &'a AtomicBool,
    /// Cancelled when it should stop at the next boundary.
    pub(crate) stop: &'a CancellationToken,
    /// What the mail server took when this job signed in.
    pub(crate) signed_in_with: OnceLock<Credentials>,
}

impl Job<'_> {
    pub(crate) fn run(&self) -> BoxFuture<'_, Result<Answer>> {
        Box::pin(async move {
            let answer = match JobParameters::read(self.claimed.kind, self.claimed.parameters.as_ref()) {
                Ok(JobParameters::Backup(how)) => self.back_up(how).await,
                Ok(JobParameters::Restore(how)) => self.restore(&how).await,
                Ok(JobParameters::Verify(how)) => self.verify(how).await,
                Err(InvalidParameters::NoneTaken) => Err(Error::Unsupported),
                Err(invalid) => Err(Error::Parameters { reason: invalid.as_str() }),
            };
            self.unless_shut_out(answer).await
        })
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        &self.worker.services.catalog
    }

    /// The end of a job that did what it was for, with the backup it made.
    pub(crate) async fn complete(&self, backup: Option<&NewBackup>) -> Result<Answer> {
        let (catalog, claim) = (self.catalog(), &self.claimed.claim);
        self.ending.store(true, Relaxed);
        self.worker.persist(|| catalog.complete(claim, backup)).await?;
        if let Some(backup) = backup {
            self.worker.services.metrics.count_state(backup.state());
        }
        self.reach(Step::Completed).await;
        Ok(Answer::Done)
    }

    pub(crate) async fn reach(&self, step: Step) {
        self.worker.watched.reach(self.claimed.claim.job, step).await;
    }
}
