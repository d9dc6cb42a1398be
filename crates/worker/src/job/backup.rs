//! A backup as a job.
//!
//! It writes in this order: the number (Postgres), the snapshot under that number (the log's conditional commit), the row and
//! the job's end (one transaction that checks the epoch). A crash after the first leaves a number that the next claim keeps;
//! after the second a snapshot that the next claim finds by job and number and adopts; after the third nothing is left to do.
//! A partial backup fills no slot: it gets its row, and the job is tried again a few times.

use catalog::NewBackup;
use engine::{Backup, Ended, Owner, Slice};
use model::{BackupNumber, BackupParameters, SnapshotNumber};
use repository::{Repository, SnapshotInfo};
use tracing::Instrument;

use crate::claim::watch::Answer;
use crate::disposition::wants_another;
use crate::error::{Error, Result};
use crate::job::adopt::{committed_earlier, facts, origin};
use crate::job::run::Job;
use crate::job::server::Reached;
use crate::steps::Step;

impl Job<'_> {
    pub(crate) async fn back_up(&self, parameters: BackupParameters) -> Result<Answer> {
        let made = self.make_backup(parameters).await;
        if let (Err(error), Some(identity)) = (&made, self.mailbox.identity())
            && let Ok(place) = self.worker.stores.of(self.mailbox)
        {
            self.mark_after(error, (self.mailbox.id, &identity), &place.settings.name).await;
        }
        made
    }

    async fn make_backup(&self, parameters: BackupParameters) -> Result<Answer> {
        if let Some(backup) = self.find_committed().await? {
            tracing::info!(number = backup.number.0, "an earlier try committed the snapshot: it is adopted");
            return self.list(&backup).await;
        }
        let server = self.reach_server().await?;
        self.reach(Step::ServerReached).await;
        self.clear_dropped_restores(&server).await;
        let (catalog, stores) = (self.catalog(), &self.worker.stores);
        let account_name = &server.account.name;
        let repository = stores.to_write(catalog, self.mailbox, &server.identity, account_name).await?;
        self.reach(Step::RepositoryOpened).await;
        let number = self.worker.persist(|| catalog.draw_number(&self.claimed.claim)).await?;
        self.reach(Step::NumberDrawn).await;
        let span = tracing::info_span!("snapshot", number = number.0);
        let slice = self.slice(&server, &repository, number, parameters).instrument(span).await;
        let metrics = &self.worker.services.metrics;
        metrics.count_read(server.client.counters().bytes_received);
        let store = &stores.of(self.mailbox)?.settings.name;
        self.remember(&repository, store).await?;
        match slice {
            Ok(Ended::Done(report)) => {
                self.reach(Step::SnapshotCommitted).await;
                metrics.count_backup(&report);
                if report.healed > 0 {
                    tracing::warn!(
                        number = number.0,
                        healed = report.healed,
                        "stored again what the store had lost"
                    );
                }
                self.list(&self.row(number, report.number, &repository).await?).await
            }
            Ok(Ended::Paused(paused)) => {
                self.mark_noted(&repository).await?;
                self.reach(Step::SliceCommitted).await;
                Ok(Answer::Sliced { progressed: paused.has_progressed() })
            }
            Err(error) => {
                let _ = self.mark_noted(&repository).await;
                Err(error)
            }
        }
    }

    /// Only a number drawn before can stand in a log.
    async fn find_committed(&self) -> Result<Option<NewBackup>> {
        let (Some(number), Some(identity)) = (self.claimed.number, self.mailbox.identity()) else {
            return Ok(None);
        };
        let stores = &self.worker.stores;
        let store = &stores.of(self.mailbox)?.settings.name;
        match stores.to_read(self.catalog(), self.mailbox.id, store, &identity).await {
            // That try did not get so far as to make it.
            Err(Error::RepositoryMissing) => Ok(None),
            repository => {
                let repository = repository?;
                let found = committed_earlier(&repository, self.claimed, number).await?;
                match found {
                    Some(info) => Ok(Some(self.row(number, info.number, &repository).await?)),
                    None => Ok(None),
                }
            }
        }
    }

    /// The one place that calls the engine.
    async fn slice(
        &self,
        server: &Reached,
        repository: &Repository,
        number: BackupNumber,
        parameters: BackupParameters,
    ) -> Result<Ended> {
        let services = &self.worker.services;
        let sign_in = self.as_owner(server);
        let owner = Owner::when_needed(&sign_in);
        let how = Backup {
            owner: Some(&owner),
            origin: origin(self.claimed, number),
            full_listing: parameters.full,
            compares_store: false,
            progress: self.shown,
            clock: &*services.clock,
        };
        let length = self.worker.settings.times.slice;
        let slice = Slice { length, stop: self.stop.clone(), keep: None };
        Ok((services.make_slice)(&server.client, &server.account, repository, &how, &slice).await?)
    }

    /// Keeps how far the log had come outside the store, so that one that goes back is noticed. Comes before the job's end: a
    /// row never shows a snapshot that the memory has not seen.
    pub(crate) async fn remember(&self, repository: &Repository, store: &str) -> Result<()> {
        let Some(position) = repository.position() else { return Ok(()) };
        let (catalog, mailbox) = (self.catalog(), self.mailbox.id);
        Ok(self.worker.persist(|| catalog.remember_log(mailbox, store, &position)).await?)
    }

    /// Marks the backups that the log's note of damage touches, if it has one. Returns the newest snapshot, and whether the note
    /// touches it.
    async fn mark_noted(&self, repository: &Repository) -> Result<Option<(SnapshotInfo, bool)>> {
        let newest = match repository.newest().await {
            // A first backup that got nowhere.
            Err(repository::Error::NoMailbox) => return Ok(None),
            newest => newest?,
        };
        let mut is_damaged = false;
        if newest.notes_damage {
            let store = &self.worker.stores.of(self.mailbox)?.settings.name;
            let listing = self.mark_by_log(repository, self.mailbox.id, store).await?;
            is_damaged = newest.info.as_ref().is_some_and(|info| listing.damaged.contains(&info.number));
        }
        Ok(newest.info.map(|info| (info, is_damaged)))
    }

    /// What people see of the snapshot that was just committed. Nobody else commits under our claim, but people at a terminal do.
    pub(crate) async fn row(
        &self,
        number: BackupNumber,
        snapshot: SnapshotNumber,
        repository: &Repository,
    ) -> Result<NewBackup> {
        let store = &self.worker.stores.of(self.mailbox)?.settings;
        let (info, damaged) = match self.mark_noted(repository).await? {
            Some((info, damaged)) if info.number == snapshot => (info, damaged),
            _ => {
                let info = repository.snapshot(Some(snapshot)).await?.info().clone();
                let damaged = repository.listing().await?.damaged.contains(&snapshot);
                (info, damaged)
            }
        };
        Ok(NewBackup { number, facts: facts(&info, &repository.hasher(), store), damaged })
    }

    async fn list(&self, backup: &NewBackup) -> Result<Answer> {
        let claimed = self.claimed;
        let scheduled = claimed.slot_date.is_some();
        if !scheduled || !wants_another(backup.state(), claimed.attempt, self.worker.settings.retry) {
            return self.complete(Some(backup)).await;
        }
        self.worker.persist(|| self.catalog().record(&claimed.claim, backup)).await?;
        self.worker.services.metrics.count_state(backup.state());
        Ok(Answer::Incomplete)
    }
}
