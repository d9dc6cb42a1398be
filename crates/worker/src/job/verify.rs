//! Reading a backup again, as a job: every byte of it, opened and hashed.

use catalog::Backup;
use engine::Progress;
use futures::future::BoxFuture;
use model::{ErrorClass, VerifyParameters};
use repository::Depth;
use telemetry::Verification;
use tracing::Instrument;

use crate::claim::watch::Answer;
use crate::error::{Error, Result};
use crate::job::adopt::assert_same;
use crate::job::run::Job;
use crate::steps::Step;

impl Job<'_> {
    pub(crate) async fn verify(&self, parameters: VerifyParameters) -> Result<Answer> {
        let result = self.read_again(parameters).await;
        let verifications = &self.worker.services.metrics.backups.verifications;
        match &result {
            Ok(Answer::Done) => verifications.of(Verification::Sound).inc(),
            Err(error) if error.class() == ErrorClass::Corrupt => {
                verifications.of(Verification::Damaged).inc()
            }
            Ok(Answer::Incomplete | Answer::Sliced { .. }) | Err(_) => {
                verifications.of(Verification::Unfinished).inc()
            }
        }
        result
    }

    async fn read_again(&self, parameters: VerifyParameters) -> Result<Answer> {
        let backup = self.backup(parameters).await?;
        let read = self.read_all_of(&backup).await;
        if let (Err(error), Some(identity)) = (&read, self.mailbox.identity()) {
            self.mark_after(error, (backup.mailbox, &identity), &backup.facts.store).await;
        }
        self.mark_read(&backup, &read).await?;
        if read? {
            self.reach(Step::Verified).await;
            self.complete(None).await
        } else {
            Ok(Answer::Sliced { progressed: false })
        }
    }

    /// Reads every byte of it. Returns false if the job was told to stop.
    async fn read_all_of(&self, backup: &Backup) -> Result<bool> {
        let identity = self.mailbox.identity().ok_or(Error::NoBackup)?;
        let (stores, store) = (&self.worker.stores, &backup.facts.store);
        let repository = stores.to_read(self.catalog(), self.mailbox.id, store, &identity).await?;
        assert_same(&repository.snapshot(Some(backup.facts.snapshot)).await?, backup)?;
        self.reach(Step::RepositoryOpened).await;
        self.shown.phase("verifying");
        let checking: BoxFuture<'_, _> = Box::pin(repository.check(Some(backup.facts.snapshot), Depth::Data));
        let checking = checking.instrument(tracing::info_span!("verify", number = backup.number.0));
        let Some(report) = self.stop.run_until_cancelled(checking).await else { return Ok(false) };
        let report = report?;
        // Best effort: what is noted as lost is fetched again by the mailbox's next backup.
        let clock = &*self.worker.services.clock;
        let _ = repository.note_damage(report.damaged.iter().copied(), clock).await;
        let _ = repository.note_sound(&report.whole, clock).await;
        let _ = repository.heal_copies().await;
        self.remember(&repository, store).await?;
        for problem in &report.problems {
            tracing::error!(number = backup.number.0, problem = %telemetry::mask(&problem.what), "what a verification found");
        }
        self.mark_by_log(&repository, backup.mailbox, store).await?;
        if report.is_harmful() { Err(Error::Damaged { problems: report.problems.len() }) } else { Ok(true) }
    }

    async fn backup(&self, parameters: VerifyParameters) -> Result<Backup> {
        let catalog = self.catalog();
        let backup = match parameters.number {
            Some(number) => catalog.backup(number).await?,
            None => catalog.backups_of(self.mailbox.id, None, 1).await?.pop(),
        };
        let backup = backup.ok_or(Error::NoBackup)?;
        if backup.mailbox == self.mailbox.id { Ok(backup) } else { Err(Error::OtherMailbox) }
    }
}
