//! The backup that is made of an account before it becomes a snapshot.

use std::sync::Arc;

use model::{BackupNumber, SnapshotNumber};
use repository::{Origin, Repository, Snapshot, SnapshotInfo};

use crate::backup::options::Backup;
use crate::error::{Error, Result};
use crate::restore::emails::account_emails::AccountEmails;
use crate::restore::emails::ledger::Mark;
use crate::restore::exact::{Safety, read_surplus};
use crate::restore::record::{Pinned, Records};
use crate::restore::run::Work;
use crate::restore::staging::Staging;
use crate::restore::target::Target;
use crate::restore::uploads::is_damage;
use crate::server::owner::Owner;

/// What asked for a safety backup, in the log.
const SAFETY: &str = "safety";
/// How often the account is backed up before, until that is complete: what is not can undo nothing.
const SAFETY_BACKUPS: u32 = 3;

impl Work<'_> {
    /// Backs the account up and compares with that.
    pub(super) async fn look_at_backup(
        &mut self,
        repository: &Repository,
        records: &mut Records<'_>,
        staging: &Staging<'_>,
    ) -> Result<(Safety, AccountEmails)> {
        let named = match &records.record.safety {
            Some(safety) => Some(safety.clone()),
            None => self.unnamed(repository).await?,
        };
        let first = match &named {
            Some(safety) => Some(Arc::new(self.opened(repository, safety).await?)),
            None => None,
        };
        let is_named = records.record.safety.is_some();
        let (mut safety, mut held) = self.look_at(repository, first.clone(), staging).await?;
        // Until one is named nothing in the account is changed, so that another one is as good, unless the record was lost.
        if !is_named && self.has_damage(repository, &safety, &held).await? {
            (safety, held) = self.look_at(repository, first, staging).await?;
        }
        records.name_safety(Pinned::of(&safety.first)).await?;
        self.done.safety = Some(safety.first.info().number);
        Ok((safety, held))
    }

    /// The first complete backup that this restore made: the record that names it may be lost.
    async fn unnamed(&self, repository: &Repository) -> Result<Option<Pinned>> {
        let snapshots = match repository.snapshots().await {
            // The account was never backed up.
            Err(repository::Error::NoMailbox) => Vec::new(),
            snapshots => snapshots?,
        };
        let first = snapshots.iter().find(|info| self.is_own(info) && info.is_good());
        match first.map(|info| info.number) {
            Some(number) => Ok(Some(Pinned::of(&repository.snapshot(Some(number)).await?))),
            None => Ok(None),
        }
    }

    /// Reads the rows of the backup that an earlier attempt made: lost or damaged, it can be compared with no more.
    async fn opened(&self, repository: &Repository, safety: &Pinned) -> Result<Snapshot> {
        let reading = async {
            let safety = safety.open(repository).await?;
            let mut emails = safety.emails().await?;
            while emails.next().await?.is_some() {}
            let mut objects = safety.each_object().await?;
            while objects.next().await?.is_some() {}
            drop((emails, objects));
            Ok(safety)
        };
        match reading.await {
            Err(Error::Repository(source))
                if is_damage(&source) || matches!(source, repository::Error::NoSnapshot { .. }) =>
            {
                // Best effort: the next backup then fetches it again.
                let _ = repository.note_damage(source.damaged(), self.how.clock).await;
                Err(Error::SafetyLost { id: self.how.id.to_string(), source: Box::new(source) })
            }
            read => read,
        }
    }

    /// Whether the newest snapshot was made by this very restore: by the process from which this one took it over.
    async fn is_own_newest(&self, repository: &Repository) -> Result<bool> {
        let newest = repository.snapshots().await?.pop();
        Ok(newest.is_some_and(|newest| self.is_own(&newest)))
    }

    fn is_own(&self, info: &SnapshotInfo) -> bool {
        let origin = &info.summary.origin;
        origin.kind == SAFETY && origin.job == self.how.id.as_str()
    }

    /// Makes another backup and compares with that.
    async fn look_at(
        &mut self,
        repository: &Repository,
        first: Option<Arc<Snapshot>>,
        staging: &Staging<'_>,
    ) -> Result<(Safety, AccountEmails)> {
        let now = self.back_up(repository, first.is_none(), staging).await?;
        let safety = Safety { first: first.unwrap_or_else(|| Arc::clone(&now)), now };
        self.how.progress.phase("comparing");
        // What an earlier attempt brought back is in the backup, and must be found there: what is not is too much.
        self.ledger.forget(&[Mark::Present, Mark::Restored, Mark::Wrapped]);
        let same = self.how.same_account;
        let mut held = AccountEmails::of_backup(&safety.now, same, staging).await?;
        held.mark_present(self.target, self.snapshot, &mut self.ledger, same).await?;
        self.ledger.claim(|at| held.brought_by_us(at));
        Ok((safety, held))
    }

    async fn next_number(&self) -> Result<Option<BackupNumber>> {
        match self.how.register {
            Some(register) => register.number().await.map(Some).map_err(Error::Register),
            None => Ok(None),
        }
    }

    /// Reads what may be removed from the store, and notes what does not open: the next backup fetches it from the server again.
    async fn has_damage(
        &self,
        repository: &Repository,
        safety: &Safety,
        held: &AccountEmails,
    ) -> Result<bool> {
        self.how.progress.phase("reading back");
        // Opened once more: what it keeps in memory must prove nothing when the removing begins.
        let backup = repository.snapshot(Some(safety.now.info().number)).await?;
        read_surplus(&backup, self.snapshot, held, &self.ledger).await?;
        let damaged = backup.damage_met();
        let is_any = !damaged.is_empty();
        if is_any {
            repository.note_damage(damaged, self.how.clock).await?;
        }
        Ok(is_any)
    }

    /// Backups that are complete: what one lacks would come twice, or could not be undone.
    async fn back_up(
        &self,
        repository: &Repository,
        is_first: bool,
        staging: &Staging<'_>,
    ) -> Result<Arc<Snapshot>> {
        let Target { client, account, .. } = self.target;
        let (progress, clock) = (self.how.progress, self.how.clock);
        let (mut last, mut lost) = (SnapshotNumber(0), None);
        for _ in 0..SAFETY_BACKUPS {
            let origin = Origin {
                kind: SAFETY.to_owned(),
                job: self.how.id.to_string(),
                slot: String::new(),
                backup_number: self.next_number().await?,
            };
            let owner = self.target.owner.map(Owner::signed_in);
            let owner = owner.as_ref();
            let how = Backup { origin, owner, full_listing: false, compares_store: true, progress, clock };
            last = match crate::backup::attempts::backup(client, account, repository, &how).await {
                Ok(report) => report.number,
                // Its last backup, under way when it was taken over, ended first.
                Err(error @ Error::Repository(repository::Error::Lost { .. }))
                    if self.is_own_newest(repository).await? =>
                {
                    staging.assert_alive().await?;
                    lost = Some(error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let now = Arc::new(repository.snapshot(Some(last)).await?);
            if let Some(register) = self.how.register {
                register.enter(now.info()).await.map_err(Error::Register)?;
            }
            if now.info().is_good() {
                return Ok(now);
            }
        }
        if is_first {
            staging.clear(&staging.folder).await?;
        }
        match lost {
            Some(error) if last.0 == 0 => Err(error),
            _ => Err(Error::Unsafe { number: last, times: SAFETY_BACKUPS }),
        }
    }
}
