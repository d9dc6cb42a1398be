//! What is written down of a restore: what it is, before its first write, and what it did, before it clears away.
//!
//! **Layout.** JSON texts in the repository of the snapshot (`repository::RestoreRecord`), each of which holds all of a [`Record`].
//! **Ordering.** Record 1 stands before anything is written to the account. The safety backup is named as soon as it is there,
//! before the account is changed, and folders of earlier attempts before they are destroyed. The report is written when all is in its place, before the folder of the restore goes. The
//! end comes last. So an attempt whose folder another one takes over either has written its report before anything was taken out,
//! or writes none.
//! **A crash** leaves the newest record. Whoever goes on takes from it what the restore is, and what the account held before; with
//! a report only the clearing away is left.
//! **Two processes** may write at once: each number is created by one of them, and the other takes over what stands there.

use std::collections::{BTreeMap, BTreeSet};

use jmap::{Account, Id};
use model::{DataType, SnapshotNumber};
use repository::{Recorded, Repository, Snapshot, TypeStatus};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::restore::folders::own::is_own;
use crate::restore::objects::pairs::read_object;
use crate::restore::objects::rules::is_pristine;
use crate::restore::request::{Mode, Restore, RestoreId};
use crate::restore::target::Target;
use crate::restore::told::Report;
use crate::server::types::to_jmap;

/// Other processes that may write a record between two of ours.
const MOST_RIVALS: usize = 32;

/// What a restore is. Never changes while it lasts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestoreParameters {
    /// The snapshot's number.
    pub snapshot: u64,
    /// `Snapshot::digest` in hex: another snapshot of the same number is another one.
    pub digest: String,
    /// The name of the account's mail server.
    pub server: String,
    /// The account's id there.
    pub account: String,
    /// Its name when the restore began.
    pub account_name: String,
    /// How the snapshot comes back.
    pub mode: Mode,
    /// JMAP's names of the types that come back.
    pub types: Vec<String>,
    /// The selection of emails, as it was written.
    pub select: Option<String>,
    /// The snapshot is one of this very account.
    pub same_account: bool,
    /// What was shared with others is shared again.
    #[serde(default)]
    pub grant_shares: bool,
    /// What the server refuses because it is no email comes back as the attachment of one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wrap_refused: bool,
}

impl RestoreParameters {
    fn of(snapshot: &Snapshot, account: &Account, how: &Restore<'_>) -> RestoreParameters {
        RestoreParameters {
            snapshot: snapshot.info().number.0,
            digest: hex(&snapshot.info().digest(&snapshot.hasher())),
            server: how.server.to_owned(),
            account: account.id.as_str().to_owned(),
            account_name: account.name.clone(),
            mode: how.mode,
            types: of_types(how.types),
            select: how.select.map(str::to_owned),
            same_account: how.same_account,
            grant_shares: how.grant_shares,
            wrap_refused: how.wrap_refused,
        }
    }

    /// The types that come back.
    pub fn data_types(&self) -> Vec<DataType> {
        let is_meant = |data_type: &DataType| self.types.iter().any(|name| name == data_type.name());
        DataType::ALL.into_iter().filter(is_meant).collect()
    }

    /// What of another one is not as here, for people.
    fn differs_in(&self, other: &RestoreParameters) -> Option<&'static str> {
        let differences = [
            ("snapshot", self.snapshot != other.snapshot),
            ("mail server", self.server != other.server),
            ("account", (&self.account, self.same_account) != (&other.account, other.same_account)),
            ("mode", self.mode != other.mode),
            ("choice of parts", self.types != other.types),
            ("selection", self.select != other.select),
            ("granting of shares", self.grant_shares != other.grant_shares),
            ("treatment of what is refused", self.wrap_refused != other.wrap_refused),
        ];
        differences.into_iter().find_map(|(what, differs)| differs.then_some(what))
    }
}

/// A snapshot that cannot be taken for another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pinned {
    pub(super) number: u64,
    pub(super) digest: String,
}

impl Pinned {
    pub(super) fn of(snapshot: &Snapshot) -> Pinned {
        Pinned { number: snapshot.info().number.0, digest: hex(&snapshot.info().digest(&snapshot.hasher())) }
    }

    /// Opens it; fails if another snapshot has its number.
    pub(super) async fn open(&self, repository: &Repository) -> Result<Snapshot> {
        let number = SnapshotNumber(self.number);
        let snapshot = repository.snapshot(Some(number)).await?;
        if hex(&snapshot.info().digest(&snapshot.hasher())) == self.digest {
            Ok(snapshot)
        } else {
            Err(Error::OtherSnapshot { number })
        }
    }
}

/// What the account held before the restore wrote anything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Before {
    /// Ids of folders.
    folders: BTreeSet<String>,
    /// Ids of other objects, by JMAP's name of the type.
    objects: BTreeMap<String, BTreeSet<String>>,
    /// Those of them that nobody had put anything into.
    pristine: BTreeMap<String, BTreeSet<String>>,
}

impl Before {
    /// Looks at the account, in as few requests as objects allow.
    async fn look(target: Target<'_>, snapshot: &Snapshot, how: &Restore<'_>) -> Result<Before> {
        let mut before = Before::default();
        for folder in target.folders().await?.iter().filter(|folder| !is_own(folder)) {
            before.folders.insert(folder.id.to_string());
        }
        let is_known = |data_type: &DataType| {
            let status = snapshot.info().type_state(*data_type).map(|state| state.status);
            !matches!(status, None | Some(TypeStatus::NotOffered))
        };
        let is_object = |data_type: &DataType| !matches!(data_type, DataType::Mailbox | DataType::Email);
        for data_type in how.types.iter().copied().filter(is_object).filter(is_known) {
            if !target.account.offers(to_jmap(data_type)) {
                continue;
            }
            let found = match target.objects(to_jmap(data_type)).await {
                // The type is left out, and the report says so.
                Err(Error::Server { source, .. }) if source.method_error().is_some() => continue,
                found => found?,
            };
            let name = data_type.name();
            let things = found.iter().filter_map(|object| read_object(object.id.as_str(), &object.json));
            let mut things: Vec<_> = things.collect();
            if how.mode == Mode::Missing && things.iter().any(|thing| is_pristine(data_type, thing)) {
                target.add_properties(data_type, &mut things).await?;
            }
            for thing in things {
                if is_pristine(data_type, &thing) {
                    before.pristine.entry(name.to_owned()).or_default().insert(thing.id.clone());
                }
                before.objects.entry(name.to_owned()).or_default().insert(thing.id);
            }
        }
        Ok(before)
    }

    pub(super) fn has_folder(&self, id: &Id) -> bool {
        self.folders.contains(id.as_str())
    }

    pub(super) fn has(&self, data_type: DataType, id: &str) -> bool {
        self.objects.get(data_type.name()).is_some_and(|ids| ids.contains(id))
    }

    pub(super) fn was_pristine(&self, data_type: DataType, id: &str) -> bool {
        self.pristine.get(data_type.name()).is_some_and(|ids| ids.contains(id))
    }
}

/// How a restore ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum End {
    /// Everything is done, and cleared away.
    Finished,
    /// Its folder was taken away before.
    GivenUp,
}

/// All that is known of a restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    pub(super) what: RestoreParameters,
    /// When it began, in milliseconds since 1970.
    begun_ms: i64,
    pub(super) before: Before,
    /// The backup that undoes it (mode *exact*).
    pub(super) safety: Option<Pinned>,
    /// The folders of attempts that others took over: written down before they are destroyed.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    taken_over: BTreeSet<String>,
    /// What it did. From here on there is only clearing away.
    pub(super) report: Option<Report>,
    pub(super) end: Option<End>,
}

impl Record {
    fn read(id: &RestoreId, text: &[u8]) -> Result<Record> {
        serde_json::from_slice(text)
            .map_err(|source| Error::Record { id: id.to_string(), reason: source.to_string() })
    }
}

/// A restore that is written down, for whoever goes on with it.
#[derive(Debug, Clone)]
pub struct KnownRestore {
    record: Record,
}

impl KnownRestore {
    /// Reads what is written down of a restore; `None`: nothing is, in this repository.
    pub async fn find(repository: &Repository, id: &RestoreId) -> Result<Option<KnownRestore>> {
        let found = repository.restore_record(id.name()).await?;
        found.map(|found| Ok(KnownRestore { record: Record::read(id, &found.text)? })).transpose()
    }

    /// What it is.
    pub fn parameters(&self) -> &RestoreParameters {
        &self.record.what
    }

    /// Everything is done, and cleared away.
    pub fn is_finished(&self) -> bool {
        self.record.end == Some(End::Finished)
    }

    /// It was taken away, and cannot be gone on with.
    pub fn is_given_up(&self) -> bool {
        self.record.end == Some(End::GivenUp)
    }

    /// Opens its snapshot; fails if another one has the number now.
    pub async fn snapshot(&self, repository: &Repository) -> Result<Snapshot> {
        let RestoreParameters { snapshot: number, digest, .. } = self.record.what.clone();
        Pinned { number, digest }.open(repository).await
    }

    /// Writes down that it is given up: nobody can go on with it.
    pub async fn give_up(self, repository: &Repository, id: &RestoreId) -> Result<()> {
        let mut records = Records { repository, id, number: 0, record: self.record };
        records.reload().await?;
        records.end(End::GivenUp).await
    }
}

/// The records of one restore, and the newest of them.
pub(super) struct Records<'a> {
    repository: &'a Repository,
    id: &'a RestoreId,
    number: u32,
    pub(super) record: Record,
}

impl<'a> Records<'a> {
    /// Takes over what is written down, or looks at the account and writes down what the restore is.
    pub(super) async fn open(
        target: Target<'_>,
        snapshot: &Snapshot,
        how: &'a Restore<'_>,
    ) -> Result<Records<'a>> {
        let (repository, id) = (how.records, &how.id);
        let what = RestoreParameters::of(snapshot, target.account, how);
        let (number, record) = match repository.restore_record(id.name()).await? {
            Some(found) => (found.number, Record::read(id, &found.text)?),
            None => {
                let before = Before::look(target, snapshot, how).await?;
                let begun_ms = how.clock.now().as_millisecond();
                let (safety, report, end) = (None, None, None);
                let (what, taken_over) = (what.clone(), BTreeSet::new());
                let record = Record { what, begun_ms, before, safety, taken_over, report, end };
                (1, write(repository, id, 1, &record).await?.unwrap_or(record))
            }
        };
        let known = &record.what;
        if let Some(difference) = known.differs_in(&what) {
            return Err(Error::OtherRestore { id: id.to_string(), difference });
        }
        if known.digest == what.digest {
            Ok(Records { repository, id, number, record })
        } else {
            Err(Error::OtherSnapshot { number: SnapshotNumber(what.snapshot) })
        }
    }

    /// Reads what other processes have written meanwhile.
    pub(super) async fn reload(&mut self) -> Result<()> {
        let (number, text) = self.repository.restore_record_behind(self.id.name(), self.number).await?;
        self.number = number;
        if let Some(text) = text {
            self.record = Record::read(self.id, &text)?;
        }
        Ok(())
    }

    /// Names the safety backup; the first one that was named counts.
    pub(super) async fn name_safety(&mut self, safety: Pinned) -> Result<()> {
        self.update(|record| record.safety = record.safety.take().or_else(|| Some(safety.clone()))).await
    }

    /// Writes down which folders are about to be destroyed, because this attempt takes them over.
    pub(super) async fn take_over(&mut self, folders: impl Iterator<Item = &Id>) -> Result<()> {
        let folders: Vec<String> = folders.map(Id::to_string).collect();
        self.update(|record| record.taken_over.extend(folders.iter().cloned())).await
    }

    /// The folders that attempts took over.
    pub(super) fn taken_over(&self) -> BTreeSet<Id> {
        self.record.taken_over.iter().filter_map(|id| Id::new(id).ok()).collect()
    }

    /// Writes down what was done by the attempt of this folder; the first report counts. Fails when another attempt takes the
    /// folder over: it may have moved emails out before they were counted here, and counts again.
    pub(super) async fn report(&mut self, report: Report, folder: &Id) -> Result<()> {
        let change = |record: &mut Record| {
            if record.report.is_none() && record.taken_over.contains(folder.as_str()) {
                return Err(Error::Superseded);
            }
            record.report.get_or_insert_with(|| report.clone());
            Ok(())
        };
        self.try_update(change).await
    }

    /// Writes down that it is over.
    pub(super) async fn end(&mut self, end: End) -> Result<()> {
        self.update(|record| record.end = record.end.or(Some(end))).await
    }

    async fn update(&mut self, change: impl Fn(&mut Record)) -> Result<()> {
        let change = |record: &mut Record| {
            change(record);
            Ok(())
        };
        self.try_update(change).await
    }

    async fn try_update(&mut self, change: impl Fn(&mut Record) -> Result<()>) -> Result<()> {
        for _ in 0..MOST_RIVALS {
            let mut next = self.record.clone();
            change(&mut next)?;
            if next == self.record {
                return Ok(());
            }
            let theirs = write(self.repository, self.id, self.number + 1, &next).await?;
            self.number += 1;
            let is_ours = theirs.is_none();
            self.record = theirs.unwrap_or(next);
            if is_ours {
                return Ok(());
            }
        }
        Err(Error::Superseded)
    }
}

/// `Some`: another process wrote this one under the number.
async fn write(
    repository: &Repository,
    id: &RestoreId,
    number: u32,
    record: &Record,
) -> Result<Option<Record>> {
    let text = serde_json::to_vec(record)
        .map_err(|source| Error::Record { id: id.to_string(), reason: source.to_string() })?;
    match repository.record_restore(id.name(), number, &text).await? {
        Recorded::Ours => Ok(None),
        Recorded::Theirs(text) => Record::read(id, &text).map(Some),
    }
}

/// Names of types, always in the same order.
fn of_types(types: &[DataType]) -> Vec<String> {
    let meant = DataType::ALL.into_iter().filter(|data_type| types.contains(data_type));
    meant.map(|data_type| data_type.name().to_owned()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
