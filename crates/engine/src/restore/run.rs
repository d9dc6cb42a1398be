//! One restore: attempts until nothing is open.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use jmap::{Account, Client, Id};
use model::{DataType, EmailRecord, ErrorClass, FolderId};
use repository::Snapshot;

use crate::error::{Error, Result};
use crate::restore::emails::account_emails::{AccountEmails, each};
use crate::restore::emails::import::{Import, Outcome};
use crate::restore::emails::ledger::{Ledger, Mark};
use crate::restore::emails::upload_target::UploadTarget;
use crate::restore::emails::wrapping;
use crate::restore::exact::{Exact, Safety};
use crate::restore::folders::mapping::Map;
use crate::restore::folders::own::{Phase, is_own};
use crate::restore::folders::placing::{Places, inbox, place};
use crate::restore::objects::Objects;
use crate::restore::objects::pairs::NewIds;
use crate::restore::record::{Before, End, Records};
use crate::restore::report::{Refusal, Refusals, Restored, RestoredObjects};
use crate::restore::request::{Mode, Restore};
use crate::restore::seam::Seam;
use crate::restore::shares;
use crate::restore::staging::Staging;
use crate::restore::target::{Folder, Target};
use crate::restore::told::Report;
use crate::search::folders::FolderTree;
use crate::stored_emails::StoredEmails;

/// Attempts in a row that brought nothing back.
const IDLE_ATTEMPTS: u32 = 6;
/// Why an email came back as an attachment, where an earlier process was told.
const MOST_REASON: usize = 500;
const MOST_REASONS: usize = 100;
const REFUSED_BEFORE: &str = "the mail server does not take it for an email";
/// Before the second attempt, doubled for each further one.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// Writes down what a restore is, unless that was done before; [`restore`] does it, too. From here on it can be gone on with by
/// its id alone.
pub fn begin_restore<'a>(
    client: &'a Client,
    account: &'a Account,
    snapshot: &'a Snapshot,
    how: &'a Restore<'_>,
) -> BoxFuture<'a, Result<()>> {
    Box::pin(
        async move { open_records(Target::new(client, account, how.owner), snapshot, how).await.map(drop) },
    )
}

/// Gives the wanted emails of a snapshot back to an account.
///
/// What the restore is is written down first. Whatever breaks in the middle, it may be called again with the same id, by this or
/// another process, and goes on: no email comes twice, and the report is that of the whole. A restore that is over is not
/// done again: its report comes from what is written down. What the server refuses is in the report.
pub fn restore<'a>(
    client: &'a Client,
    account: &'a Account,
    snapshot: &'a Arc<Snapshot>,
    how: &'a Restore<'_>,
) -> BoxFuture<'a, Result<Restored>> {
    Box::pin(restore_all(client, account, snapshot, how))
}

async fn restore_all(
    client: &Client,
    account: &Account,
    snapshot: &Arc<Snapshot>,
    how: &Restore<'_>,
) -> Result<Restored> {
    let target = Target::new(client, account, how.owner);
    let records = match how.dry_run {
        Some(_) => None,
        None => Some(open_records(target, snapshot, how).await?),
    };
    let over = records.as_ref().filter(|records| records.record.end.is_some());
    if let Some(report) = over.and_then(|records| records.record.report.as_ref()) {
        return report.in_full(&how.id, snapshot).await;
    }
    if how.mode == Mode::Exact {
        may_be_exact(snapshot, how)?;
    }
    let has_emails = how.types.contains(&DataType::Email);
    let tree = match how.select {
        Some(_) => Some(FolderTree::read(snapshot).await?),
        None => None,
    };
    let mut chosen = BTreeSet::new();
    let is_wanted = |email: &EmailRecord| {
        let is_wanted = has_emails && (how.mode == Mode::Exact || (how.wanted)(email));
        if let Some(tree) = tree.as_ref().filter(|_| is_wanted) {
            email.folders.iter().for_each(|folder| tree.add_upwards(folder, &mut chosen));
        }
        is_wanted
    };
    let ledger = Ledger::open(snapshot, is_wanted).await?;
    let done = Restored { lacks_rows: snapshot.lacks_rows(), ..Restored::nothing(&how.id) };
    let objects = BTreeMap::new();
    let upload_target = UploadTarget::of(account);
    let why_wrapped = BTreeMap::new();
    let mut work =
        Work { target, upload_target, snapshot, how, has_emails, ledger, chosen, done, why_wrapped, objects };
    let ended = match (records, how.dry_run) {
        (Some(mut records), _) => work.attempts(&mut records).await,
        (None, tell) => {
            if let Some(tell) = tell {
                work.rehearse(tell).await?;
            }
            work.report().await
        }
    };
    // Best effort: the next backup then fetches what this restore went around.
    let _ = how.records.note_damage(snapshot.damage_met(), how.clock).await;
    ended
}

/// An account that became a snapshot with holes would lose what is in the holes.
fn may_be_exact(snapshot: &Snapshot, how: &Restore<'_>) -> Result<()> {
    if snapshot.lacks_rows() {
        return Err(Error::Unfit {
            reason: "a part of the snapshot's index cannot be read, and what it named would be removed",
        });
    }
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
    upload_target: UploadTarget,
    pub(super) snapshot: &'a Arc<Snapshot>,
    pub(super) how: &'a Restore<'a>,
    pub(super) has_emails: bool,
    pub(super) ledger: Ledger,
    /// The folders of the emails that a selection chose, and those they lie in.
    chosen: BTreeSet<FolderId>,
    pub(super) done: Restored,
    /// By their positions, why emails came back as attachments, as far as this process was told.
    why_wrapped: BTreeMap<usize, Arc<str>>,
    objects: BTreeMap<DataType, RestoredObjects>,
}

/// What is written down of the restore, or is now.
async fn open_records<'a>(
    target: Target<'_>,
    snapshot: &Snapshot,
    how: &'a Restore<'a>,
) -> Result<Records<'a>> {
    let records = retried(|| Records::open(target, snapshot, how)).await?;
    assert_not_given_up(&records, how)?;
    Ok(records)
}

/// Nobody may go on with a restore whose folders were taken away for good.
fn assert_not_given_up(records: &Records<'_>, how: &Restore<'_>) -> Result<()> {
    match records.record.end {
        Some(End::GivenUp) => Err(Error::GivenUp { id: how.id.to_string() }),
        Some(End::Finished) | None => Ok(()),
    }
}

/// Tries again what a moment's failure ended. It has written nothing to the account.
async fn retried<T, F: Future<Output = Result<T>>>(attempt: impl Fn() -> F) -> Result<T> {
    for number in 0.. {
        match attempt().await {
            Err(error) if number < IDLE_ATTEMPTS && may_pass(&error) => {
                tokio::time::sleep(FIRST_WAIT * 2_u32.pow(number)).await;
            }
            ended => return ended,
        }
    }
    unreachable!("the number of attempts is bounded")
}

fn may_pass(error: &Error) -> bool {
    matches!(error, Error::Unsettled { .. }) || matches!(error.class(), ErrorClass::Transient { .. })
}

/// Reasons of refusals, each kept once: servers give one for thousands of emails.
#[derive(Default)]
struct Reasons(BTreeSet<Arc<str>>);

impl Reasons {
    fn of(&mut self, reason: &str) -> Arc<str> {
        let short = &reason[..reason.floor_char_boundary(MOST_REASON)];
        if let Some(known) = self.0.get(short) {
            return Arc::clone(known);
        }
        // A server that gives each another one is not listened to for ever.
        let reason: Arc<str> = if self.0.len() < MOST_REASONS { short.into() } else { REFUSED_BEFORE.into() };
        self.0.insert(Arc::clone(&reason));
        reason
    }
}

impl Work<'_> {
    /// Attempts until nothing is open.
    async fn attempts(mut self, records: &mut Records<'_>) -> Result<Restored> {
        let (mut idle, mut before) = (0, 0);
        loop {
            let error = match self.attempt(records).await {
                Ok(()) => break,
                Err(error) => error,
            };
            let progress = self.progress();
            idle = if progress > before { 0 } else { idle + 1 };
            before = progress;
            if !may_pass(&error) || idle == IDLE_ATTEMPTS {
                return Err(error);
            }
            tokio::time::sleep(FIRST_WAIT * 2_u32.pow(idle)).await;
        }
        match &records.record.report {
            Some(report) => report.in_full(&self.how.id, self.snapshot).await,
            None => Err(Error::Superseded),
        }
    }

    async fn attempt(&mut self, records: &mut Records<'_>) -> Result<()> {
        records.reload().await?;
        assert_not_given_up(records, self.how)?;
        if records.record.report.is_some() && !Staging::is_there(self.target, &self.how.id).await? {
            return records.end(End::Finished).await;
        }
        let mut staging = Staging::begin(self.target, &self.how.id, records).await?;
        // Another process may have written its report since we looked; it does so before it takes anything out of its folder.
        records.reload().await?;
        if records.record.end == Some(End::GivenUp) {
            staging.clear(&staging.folder).await?;
        }
        assert_not_given_up(records, self.how)?;
        if records.record.report.is_none() {
            self.assert_known(&staging).await?;
            self.do_all(records, &staging).await?;
            if self.has_emails {
                staging.settle(self.how.under_way).await?;
            }
            staging.assert_alive().await?;
            records.report(Report::of(&self.report().await?), &staging.folder).await?;
        }
        self.how.progress.phase("finishing");
        staging.finish(&self.home().await?).await?;
        records.end(End::Finished).await
    }

    async fn do_all(&mut self, records: &mut Records<'_>, staging: &Staging<'_>) -> Result<()> {
        self.done.odd_folders.clear();
        let safety = match (self.how.mode, self.how.safety) {
            (Mode::Exact, Some(repository)) => Some(self.look_at_backup(repository, records, staging).await?),
            _ => None,
        };
        let map = self.map(Some(&staging.folder)).await?;
        let before = &records.record.before;
        self.done.folders = self.made(&map, before);
        self.done.odd_folders.extend(map.odd.iter().cloned());
        if safety.is_none() && self.has_emails {
            self.look_around(&map, staging).await?;
        }
        self.import(&map, staging).await?;
        let ids = match &safety {
            Some((safety, held)) => self.make_exact((safety, held), &map, staging, before).await?,
            None => self.give_objects(Seam::Real { staging, safety: None, before }).await?,
        };
        self.settle_shares(ids, Some(&map)).await
    }

    /// `ids`: of the account, by those of the snapshot.
    pub(super) async fn settle_shares(&mut self, mut ids: NewIds, map: Option<&Map>) -> Result<()> {
        let folders = map.into_iter().flat_map(|map| &map.folders);
        ids.extend(folders.map(|(of, there)| ((DataType::Mailbox, of.to_string()), there.to_string())));
        self.done.shares = shares::settle(self.target, self.snapshot, self.how, &ids).await?;
        Ok(())
    }

    /// The folder beside everything else is made after that of the attempt, which goes last. Alone, it says that somebody took
    /// the folders of all attempts away, and with them the list of what has come.
    async fn assert_known(&self, staging: &Staging<'_>) -> Result<()> {
        let is_lost = staging.is_alone || staging.phase() == Phase::Finishing;
        if self.how.mode != Mode::Beside || !self.has_emails || !is_lost {
            return Ok(());
        }
        if self.root(&self.target.folders().await?).is_some() {
            staging.clear(&staging.folder).await?;
            return Err(Error::GivenUp { id: self.how.id.to_string() });
        }
        Ok(())
    }

    /// The folder beside everything else.
    fn root(&self, folders: &[Folder]) -> Option<Id> {
        let name = self.folder_name();
        let root = folders.iter().find(|folder| folder.parent_id.is_none() && folder.name == name);
        root.map(|folder| folder.id.clone())
    }

    /// Where emails go that lie nowhere else.
    async fn home(&self) -> Result<Id> {
        let mut folders = self.target.folders().await?;
        folders.retain(|folder| !is_own(folder));
        match self.root(&folders).filter(|_| self.how.mode == Mode::Beside) {
            Some(root) => Ok(root),
            None => inbox(&folders),
        }
    }

    /// How many of the snapshot's folders the account did not have before.
    fn made(&self, map: &Map, before: &Before) -> u64 {
        if !self.has_emails {
            return map.made;
        }
        let root = (self.how.mode == Mode::Beside).then_some(&map.home);
        let folders: BTreeSet<&Id> = map.folders.values().chain(root).collect();
        folders.into_iter().filter(|id| !before.has_folder(id)).count() as u64
    }

    /// Finds out what the account holds already.
    async fn look_around(&mut self, map: &Map, staging: &Staging<'_>) -> Result<()> {
        self.how.progress.phase("comparing");
        // What was there at the last look may have come into this restore's folder since.
        self.ledger.forget(&[Mark::Present]);
        let held = AccountEmails::list(self.target, None, Some(&staging.folder), None).await?;
        if held.len() > 0 {
            let copies = held.mark_restored(self.target, self.snapshot, &mut self.ledger, map).await?;
            self.done.odd_folders.extend(staging.destroy_copies(&copies).await?);
        }
        if self.how.mode != Mode::Beside {
            self.compare(Some(&staging.folder)).await?;
        }
        Ok(())
    }

    /// Marks what the account holds. `but`: what lies in this folder is left out.
    pub(super) async fn compare(&mut self, but: Option<&Id>) -> Result<AccountEmails> {
        self.how.progress.phase("comparing");
        self.ledger.forget(&[Mark::Present]);
        let same = self.how.same_account;
        let hasher = same.then(|| self.snapshot.hasher());
        let mut held = AccountEmails::list(self.target, hasher.as_ref(), None, but).await?;
        held.mark_present(self.target, self.snapshot, &mut self.ledger, same).await?;
        Ok(held)
    }

    /// `staging_folder`: the restore's own folder; without it nothing is written.
    pub(super) async fn map(&self, staging_folder: Option<&Id>) -> Result<Map> {
        let folders =
            if self.has_emails { self.snapshot.objects_of(DataType::Mailbox).await? } else { Vec::new() };
        let is_selection = self.how.select.is_some();
        let is_wanted =
            |folder: &Folder| !is_selection || self.chosen.contains(&FolderId::from(folder.id.as_str()));
        let mut folders: Vec<Folder> = folders
            .iter()
            .filter_map(|object| serde_json::from_slice(&object.json).ok())
            .filter(|folder| !is_own(folder) && is_wanted(folder))
            .collect();
        if !self.snapshot.info().is_of_owner(DataType::Mailbox) {
            // The snapshot does not know what its owner had subscribed to.
            folders.iter_mut().for_each(|folder| folder.is_subscribed = None);
        }
        let name = self.folder_name();
        let places = match self.how.mode {
            Mode::Beside if self.has_emails => Places::Below(&name),
            Mode::Beside | Mode::Missing => Places::Missing { same_account: self.how.same_account },
            Mode::Exact => Places::Exact { same_account: self.how.same_account },
        };
        place(self.target, &folders, places, staging_folder).await
    }

    /// The folder beside everything else: when, which backup (by the fleet's number, if it has one), which restore.
    fn folder_name(&self) -> String {
        let info = self.snapshot.info();
        let day = info.finished.strftime("%Y-%m-%d");
        let number = info.summary.origin.backup_number.map_or(info.number.0, |number| number.0);
        format!("Restored {day} (#{number} {})", self.how.id)
    }

    async fn import(&mut self, map: &Map, staging: &Staging<'_>) -> Result<()> {
        self.how.progress.phase("importing");
        self.how.progress.expect(self.ledger.count(Mark::Open));
        let open = self.ledger.positions(Mark::Open);
        let stored = StoredEmails::new(self.snapshot, |position, _| open[position]).await?;
        let import = Import {
            target: self.target,
            upload_target: &self.upload_target,
            snapshot: self.snapshot,
            map,
            staging,
            wraps: None,
        };
        let (ledger, done, progress) = (&mut self.ledger, &mut self.done, self.how.progress);
        let (wraps_refused, mut wraps) = (self.how.wrap_refused, BTreeMap::new());
        let mut reasons = Reasons::default();
        import
            .run(stored, |Outcome { position, email, refusal, is_no_email }| match refusal {
                // Stays open: an attempt that ends before it is wrapped is told so once more.
                Some(reason) if wraps_refused && is_no_email && email.size <= wrapping::MOST_BYTES => {
                    wraps.insert(position, reasons.of(&reason));
                }
                refusal => {
                    progress.advance(1, email.size);
                    match refusal {
                        None => {
                            ledger.set(position, Mark::Restored);
                            done.restored += 1;
                            done.bytes += email.size;
                        }
                        Some(reason) => {
                            ledger.set(position, Mark::Refused);
                            let blob = Some(email.blob);
                            done.refused.add(Refusal { email, blob, reason });
                        }
                    }
                }
            })
            .await?;
        if wraps.is_empty() { Ok(()) } else { self.wrap(wraps, map, staging).await }
    }

    /// Imports what the server does not take for an email as attachments.
    async fn wrap(
        &mut self,
        wraps: BTreeMap<usize, Arc<str>>,
        map: &Map,
        staging: &Staging<'_>,
    ) -> Result<()> {
        let stored = StoredEmails::new(self.snapshot, |position, _| wraps.contains_key(&position)).await?;
        let (target, upload_target, snapshot) = (self.target, &self.upload_target, self.snapshot);
        let import = Import { target, upload_target, snapshot, map, staging, wraps: Some(&wraps) };
        let (ledger, done, progress) = (&mut self.ledger, &mut self.done, self.how.progress);
        let why_wrapped = &mut self.why_wrapped;
        import
            .run(stored, |Outcome { position, email, refusal, .. }| {
                progress.advance(1, email.size);
                let why = wraps.get(&position).map_or_else(|| Arc::from(""), Arc::clone);
                match refusal {
                    None => {
                        ledger.set(position, Mark::Wrapped);
                        why_wrapped.insert(position, why);
                    }
                    Some(again) => {
                        ledger.set(position, Mark::Refused);
                        let (blob, reason) = (Some(email.blob), format!("{why}; as an attachment: {again}"));
                        done.refused.add(Refusal { email, blob, reason });
                    }
                }
            })
            .await
    }

    /// Everything is there; now what is there gets into its place, and what is too much goes.
    async fn make_exact(
        &mut self,
        (safety, held): (&Safety, &AccountEmails),
        map: &Map,
        staging: &Staging<'_>,
        before: &Before,
    ) -> Result<NewIds> {
        let (target, snapshot) = (self.target, self.snapshot);
        let exact = Exact { target, snapshot, safety, held, map, staging, progress: self.how.progress };
        if self.has_emails {
            self.how.progress.phase("putting into place");
            self.done.relabelled = exact.relabel(&self.ledger).await?;
        }
        let ids = self.give_objects(Seam::Real { staging, safety: Some(safety), before }).await?;
        if self.has_emails {
            self.how.progress.phase("removing");
            (self.done.removed, self.done.unremoved) = exact.remove_surplus(&self.ledger).await?;
            self.done.removed_folders = exact.remove_folders().await?;
        }
        Ok(ids)
    }

    /// Everything but emails and folders; in mode *exact* what is too much of it goes.
    pub(super) async fn give_objects(&mut self, seam: Seam<'_>) -> Result<NewIds> {
        let label = self.folder_name();
        let mut objects = Objects::new(self.target, self.snapshot, self.how, seam, &label);
        objects.give(&mut self.objects).await?;
        objects.remove(&mut self.objects).await?;
        Ok(objects.into_ids())
    }

    /// Grows while attempts achieve something.
    fn progress(&self) -> u64 {
        let done = &self.done;
        let objects = self.objects.values().map(|of| of.restored + of.changed + of.removed);
        let wrapped = self.ledger.count(Mark::Wrapped);
        done.restored + wrapped + done.relabelled + done.removed + done.folders + objects.sum::<u64>()
    }

    /// What was done by all attempts, as the account and the ledger say.
    async fn report(&self) -> Result<Restored> {
        let unwanted = self.ledger.count(Mark::Unwanted);
        let restored = self.ledger.count(Mark::Restored);
        // What earlier attempts brought was not counted here.
        let bytes = if restored == self.done.restored {
            self.done.bytes
        } else {
            self.bytes_of(Mark::Restored).await?
        };
        Ok(Restored {
            folder: (self.how.mode == Mode::Beside && self.has_emails).then(|| self.folder_name()),
            wanted: self.ledger.len() as u64 - unwanted,
            present: self.ledger.count(Mark::Present),
            open: self.ledger.count(Mark::Open),
            restored,
            bytes,
            wrapped: self.wrapped().await?,
            objects: self.objects.values().cloned().collect(),
            ..self.done.clone()
        })
    }

    /// What came back as attachments, by this process or an earlier one.
    async fn wrapped(&self) -> Result<Refusals> {
        let mut wrapped = Refusals::default();
        if self.ledger.count(Mark::Wrapped) == 0 {
            return Ok(wrapped);
        }
        each(self.snapshot, |position, email| {
            if self.ledger.get(position) == Mark::Wrapped {
                let why = self.why_wrapped.get(&position).map_or(REFUSED_BEFORE, |why| &**why);
                let (email, reason) = (email.clone(), why.to_owned());
                wrapped.add(Refusal { blob: Some(email.blob), email, reason });
            }
        })
        .await?;
        Ok(wrapped)
    }

    async fn bytes_of(&self, mark: Mark) -> Result<u64> {
        let mut bytes = 0;
        each(self.snapshot, |position, email| {
            if self.ledger.get(position) == mark {
                bytes += email.size;
            }
        })
        .await?;
        Ok(bytes)
    }
}
