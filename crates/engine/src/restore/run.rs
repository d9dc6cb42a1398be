//! One restore: attempts until nothing is open.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jmap::{Account, Client, Id};
use model::{DataType, EmailRecord, ErrorClass, SnapshotNumber};
use repository::{Origin, Repository, Snapshot};

use crate::error::{Error, Result};
use crate::letters::Letters;
use crate::options::Backup;
use crate::restore::exact::{Exact, Safety};
use crate::restore::folders::Map;
use crate::restore::held::Held;
use crate::restore::import::Import;
use crate::restore::landing::Landing;
use crate::restore::ledger::{Ledger, Mark};
use crate::restore::objects::Objects;
use crate::restore::placing::{Places, place};
use crate::restore::report::{Refusal, Restored, RestoredObjects};
use crate::restore::request::{Mode, Restore};
use crate::restore::staging::{Phase, Staging, is_own};
use crate::restore::target::{Folder, Target};

/// Attempts in a row that brought nothing back.
const IDLE_ATTEMPTS: u32 = 6;
/// Before the second attempt, doubled for each further one.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// What asked for a safety backup, in the log.
const SAFETY: &str = "safety";
/// How often the account is backed up before, until that is complete: what is not can undo nothing.
const SAFETY_BACKUPS: u32 = 3;

/// Gives the wanted emails of a snapshot back to an account.
///
/// Whatever breaks in the middle, it may be called again with the same id, by this or another process, and goes on: no
/// email comes twice. What the server refuses is in the report.
pub async fn restore(
    client: &Client,
    account: &Account,
    snapshot: &Arc<Snapshot>,
    how: &Restore<'_>,
) -> Result<Restored> {
    if how.mode == Mode::Exact {
        may_be_exact(snapshot, how)?;
    }
    let target = Target { client, account };
    let has_emails = how.types.contains(&DataType::Email);
    let is_wanted = |email: &EmailRecord| has_emails && (how.mode == Mode::Exact || (how.wanted)(email));
    let ledger = Ledger::open(snapshot, is_wanted).await?;
    let (done, objects) = (Restored::nothing(&how.id), BTreeMap::new());
    let landing = Landing::of(account);
    let mut work = Work { target, landing, snapshot, how, has_emails, ledger, done, objects };
    if let Some(tell) = how.dry_run {
        work.rehearse(tell).await?;
        return Ok(work.report());
    }
    let (mut idle, mut before) = (0, 0);
    loop {
        let error = match work.attempt().await {
            Ok(()) => return Ok(work.report()),
            Err(error) => error,
        };
        let progress = work.progress();
        idle = if progress > before { 0 } else { idle + 1 };
        before = progress;
        let may_pass =
            matches!(error, Error::Unsettled { .. }) || matches!(error.class(), ErrorClass::Transient { .. });
        if !may_pass || idle == IDLE_ATTEMPTS {
            return Err(error);
        }
        tokio::time::sleep(FIRST_WAIT * 2_u32.pow(idle)).await;
    }
}

/// An account that became a snapshot with holes would lose what is in the holes.
fn may_be_exact(snapshot: &Snapshot, how: &Restore<'_>) -> Result<()> {
    if !snapshot.info().is_good() {
        return Err(Error::Unfit {
            reason: "the snapshot is not complete, and what it lacks would be removed",
        });
    }
    if how.safety.is_none() && how.dry_run.is_none() {
        return Err(Error::Unfit { reason: "there is nowhere to back the account up to before" });
    }
    Ok(())
}

pub(super) struct Work<'a> {
    pub(super) target: Target<'a>,
    landing: Landing,
    pub(super) snapshot: &'a Arc<Snapshot>,
    pub(super) how: &'a Restore<'a>,
    pub(super) has_emails: bool,
    pub(super) ledger: Ledger,
    pub(super) done: Restored,
    objects: BTreeMap<DataType, RestoredObjects>,
}

impl Work<'_> {
    async fn attempt(&mut self) -> Result<()> {
        let mut staging = Staging::begin(self.target, &self.how.id).await?;
        if self.how.mode == Mode::Beside && self.has_emails && staging.is_alone && self.is_over().await? {
            self.ledger.settle();
            return staging.clear(&staging.folder).await;
        }
        let safety = self.look_around(&staging).await?;
        let map = self.map(Some(&staging.folder)).await?;
        self.done.folders += map.made;
        self.done.odd_folders.clone_from(&map.odd);
        if staging.phase() == Phase::Importing {
            self.import(&map, &staging).await?;
            match &safety {
                Some((safety, held)) => self.make_exact(safety, held, &map, &staging).await?,
                None => self.give_objects(Some(&staging), None).await?,
            }
        }
        self.how.progress.phase("finishing");
        staging.finish(&map.home).await
    }

    /// The folder beside everything else is made after that of the attempt, which goes last: alone, it says that another
    /// process has brought this restore to its end.
    async fn is_over(&self) -> Result<bool> {
        let name = self.folder_name();
        let folders = self.target.folders().await?;
        Ok(folders.iter().any(|folder| folder.parent_id.is_none() && folder.name == name))
    }

    /// Finds out what the account holds already.
    async fn look_around(&mut self, staging: &Staging<'_>) -> Result<Option<(Safety, Held)>> {
        if let (Mode::Exact, Some(repository)) = (self.how.mode, self.how.safety) {
            return self.look_at_backup(repository, staging).await.map(Some);
        }
        if !self.has_emails {
            return Ok(None);
        }
        self.how.progress.phase("comparing");
        let held = Held::list(self.target, None, Some(&staging.folder), None).await?;
        if held.len() > 0 {
            held.mark_restored(self.target, self.snapshot, &mut self.ledger).await?;
        }
        if self.how.mode != Mode::Beside {
            self.compare(Some(&staging.folder)).await?;
        }
        Ok(None)
    }

    /// Marks what the account holds. `but`: what lies in this folder is left out.
    pub(super) async fn compare(&mut self, but: Option<&Id>) -> Result<Held> {
        self.how.progress.phase("comparing");
        self.ledger.forget(&[Mark::Present]);
        let same = self.how.same_account;
        let hasher = same.then(|| self.snapshot.hasher());
        let mut held = Held::list(self.target, hasher.as_ref(), None, but).await?;
        held.mark_present(self.target, self.snapshot, &mut self.ledger, same).await?;
        Ok(held)
    }

    /// Backs the account up and compares with that.
    async fn look_at_backup(
        &mut self,
        repository: &Repository,
        staging: &Staging<'_>,
    ) -> Result<(Safety, Held)> {
        let safety = self.back_up(repository, staging).await?;
        self.done.safety = Some(safety.first.info().number);
        self.how.progress.phase("comparing");
        // What an earlier attempt brought back is in the backup, and must be found there: what is not is too much.
        self.ledger.forget(&[Mark::Present, Mark::Restored]);
        let same = self.how.same_account;
        let mut held = Held::of_backup(&safety.now, same, &staging.given_up).await?;
        held.mark_present(self.target, self.snapshot, &mut self.ledger, same).await?;
        Ok((safety, held))
    }

    /// Backups that are complete: what one lacks would come twice, or could not be undone.
    async fn back_up(&self, repository: &Repository, staging: &Staging<'_>) -> Result<Safety> {
        let Target { client, account } = self.target;
        let job = self.how.id.to_string();
        let known = match repository.snapshots().await {
            Err(repository::Error::NoMailbox) => Vec::new(),
            known => known?,
        };
        let is_ours = |origin: &Origin| origin.kind == SAFETY && origin.job == job;
        let earlier = known.into_iter().find(|known| is_ours(&known.summary.origin) && known.is_good());
        let origin = Origin { kind: SAFETY.to_owned(), job, ..Origin::default() };
        let (progress, clock) = (self.how.progress, self.how.clock);
        let how = Backup { origin, full_listing: false, progress, clock };
        let mut last = SnapshotNumber(0);
        for _ in 0..SAFETY_BACKUPS {
            last = crate::backup::backup(client, account, repository, &how).await?.number;
            let now = Arc::new(repository.snapshot(Some(last)).await?);
            if now.info().is_good() {
                let first = match &earlier {
                    Some(earlier) => Arc::new(repository.snapshot(Some(earlier.number)).await?),
                    None => Arc::clone(&now),
                };
                return Ok(Safety { now, first });
            }
        }
        if earlier.is_none() {
            staging.clear(&staging.folder).await?;
        }
        Err(Error::Unsafe { number: last, times: SAFETY_BACKUPS })
    }

    /// `workshop`: the restore's own folder; without it nothing is written.
    pub(super) async fn map(&self, workshop: Option<&Id>) -> Result<Map> {
        let folders = match self.has_emails {
            true => self.snapshot.objects_of(DataType::Mailbox).await?,
            false => Vec::new(),
        };
        let folders: Vec<Folder> = folders
            .iter()
            .filter_map(|object| serde_json::from_slice(&object.json).ok())
            .filter(|folder| !is_own(folder))
            .collect();
        let name = self.folder_name();
        let places = match self.how.mode {
            Mode::Beside if self.has_emails => Places::Below(&name),
            Mode::Beside | Mode::Missing => Places::Missing,
            Mode::Exact => Places::Exact { same_account: self.how.same_account },
        };
        place(self.target, &folders, places, workshop).await
    }

    /// The folder beside everything else: when, which snapshot, which restore.
    fn folder_name(&self) -> String {
        let info = self.snapshot.info();
        let day = info.finished.strftime("%Y-%m-%d");
        format!("Restored {day} (#{} {})", info.number, self.how.id)
    }

    async fn import(&mut self, map: &Map, staging: &Staging<'_>) -> Result<()> {
        self.how.progress.phase("importing");
        self.how.progress.expect(self.ledger.count(Mark::Open));
        let open = self.ledger.positions(Mark::Open);
        let letters = Letters::new(self.snapshot, |position, _| open[position]).await?;
        let import =
            Import { target: self.target, landing: &self.landing, snapshot: self.snapshot, map, staging };
        let (ledger, done, progress) = (&mut self.ledger, &mut self.done, self.how.progress);
        import
            .run(letters, |outcome| {
                progress.advance(1, outcome.email.size);
                match outcome.refusal {
                    None => {
                        ledger.set(outcome.position, Mark::Restored);
                        done.restored += 1;
                        done.bytes += outcome.email.size;
                    }
                    Some(reason) => {
                        ledger.set(outcome.position, Mark::Refused);
                        let blob = Some(outcome.email.blob);
                        done.refused.add(Refusal { email: outcome.email, blob, reason });
                    }
                }
            })
            .await
    }

    /// Everything is there; now what is there gets into its place, and what is too much goes.
    async fn make_exact(
        &mut self,
        safety: &Safety,
        held: &Held,
        map: &Map,
        staging: &Staging<'_>,
    ) -> Result<()> {
        let (target, snapshot) = (self.target, self.snapshot);
        let exact = Exact { target, snapshot, safety, held, map, staging };
        if self.has_emails {
            self.how.progress.phase("putting into place");
            self.done.relabelled += exact.relabel(&self.ledger).await?;
        }
        self.give_objects(Some(staging), Some(safety)).await?;
        if self.has_emails {
            self.how.progress.phase("removing");
            self.done.removed += exact.remove_surplus(&self.ledger).await?;
            self.done.removed_folders += exact.remove_folders().await?;
        }
        Ok(())
    }

    /// Everything but emails and folders; in mode *exact* what is too much of it goes.
    pub(super) async fn give_objects(
        &mut self,
        staging: Option<&Staging<'_>>,
        safety: Option<&Safety>,
    ) -> Result<()> {
        let label = self.folder_name();
        let mut objects = Objects::new(self.target, self.snapshot, self.how, staging, safety, &label);
        objects.give(&mut self.objects).await?;
        objects.remove(&mut self.objects).await
    }

    /// Grows while attempts achieve something.
    fn progress(&self) -> u64 {
        let done = &self.done;
        let objects = self.objects.values().map(|of| of.restored + of.changed + of.removed);
        done.restored + done.relabelled + done.removed + done.folders + objects.sum::<u64>()
    }

    fn report(self) -> Restored {
        let unwanted = self.ledger.count(Mark::Unwanted);
        Restored {
            folder: (self.how.mode == Mode::Beside && self.has_emails).then(|| self.folder_name()),
            wanted: self.ledger.len() as u64 - unwanted,
            present: self.ledger.count(Mark::Present),
            open: self.ledger.count(Mark::Open),
            // Of the other modes, with what earlier runs brought back.
            restored: match self.how.mode {
                Mode::Exact => self.done.restored,
                Mode::Beside | Mode::Missing => self.ledger.count(Mark::Restored),
            },
            objects: self.objects.into_values().collect(),
            ..self.done
        }
    }
}
