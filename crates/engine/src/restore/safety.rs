//! The backup that is made of an account before it becomes a snapshot.

use std::sync::Arc;

use model::SnapshotNumber;
use repository::{Origin, Repository, Snapshot};

use crate::error::{Error, Result};
use crate::options::Backup;
use crate::restore::exact::Safety;
use crate::restore::held::Held;
use crate::restore::ledger::Mark;
use crate::restore::record::{Pinned, Records};
use crate::restore::run::Work;
use crate::restore::staging::Staging;
use crate::restore::target::Target;

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
    ) -> Result<(Safety, Held)> {
        let safety = self.back_up(repository, records, staging).await?;
        self.done.safety = Some(safety.first.info().number);
        self.how.progress.phase("comparing");
        // What an earlier attempt brought back is in the backup, and must be found there: what is not is too much.
        self.ledger.forget(&[Mark::Present, Mark::Restored]);
        let same = self.how.same_account;
        let mut held = Held::of_backup(&safety.now, same, staging).await?;
        held.mark_present(self.target, self.snapshot, &mut self.ledger, same).await?;
        self.ledger.claim(|at| held.is_ours(at));
        Ok((safety, held))
    }

    /// Backups that are complete: what one lacks would come twice, or could not be undone.
    async fn back_up(
        &self,
        repository: &Repository,
        records: &mut Records<'_>,
        staging: &Staging<'_>,
    ) -> Result<Safety> {
        let Target { client, account } = self.target;
        let job = self.how.id.to_string();
        let earlier = self.earlier_safety(repository, records).await?;
        let origin = Origin { kind: SAFETY.to_owned(), job, ..Origin::default() };
        let (progress, clock) = (self.how.progress, self.how.clock);
        let how = Backup { origin, full_listing: false, progress, clock };
        let mut last = SnapshotNumber(0);
        for _ in 0..SAFETY_BACKUPS {
            last = crate::backup::backup(client, account, repository, &how).await?.number;
            let now = Arc::new(repository.snapshot(Some(last)).await?);
            if now.info().is_good() {
                let first = match earlier {
                    Some(earlier) => Arc::new(earlier),
                    None => Arc::clone(&now),
                };
                records.name_safety(Pinned::of(&first)).await?;
                return Ok(Safety { now, first });
            }
        }
        if earlier.is_none() {
            staging.clear(&staging.folder).await?;
        }
        Err(Error::Unsafe { number: last, times: SAFETY_BACKUPS })
    }

    /// The backup that an earlier attempt made first. It may have died before it could name it: then the log tells.
    async fn earlier_safety(
        &self,
        repository: &Repository,
        records: &Records<'_>,
    ) -> Result<Option<Snapshot>> {
        if let Some(safety) = &records.record.safety {
            return safety.open(repository).await.map(Some);
        }
        let known = match repository.snapshots().await {
            Err(repository::Error::NoMailbox) => Vec::new(),
            known => known?,
        };
        let is_ours = |origin: &Origin| origin.kind == SAFETY && origin.job == self.how.id.as_str();
        let earlier = known.into_iter().find(|known| is_ours(&known.summary.origin) && known.is_good());
        match earlier {
            Some(earlier) => Ok(Some(repository.snapshot(Some(earlier.number)).await?)),
            None => Ok(None),
        }
    }
}
