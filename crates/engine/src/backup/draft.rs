//! The snapshot that grows: what it is made from, its rows that are no emails, what failed, and its counts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use jmap::State;
use model::{DataType, EmailId, EmailRecord};
use repository::{BlobHasher, FailureRecord, ObjectRecord, Snapshot, SnapshotWriter, TypeState, TypeStatus};

use super::counts::Counts;
use super::options::Backup;
use super::slice::Cursor;
use crate::error::Result;

/// Every so many backups everything is listed, whatever the server's states say.
const LIST_EVERY: u32 = 7;

/// Objects of one type, by id.
pub(crate) type Rows = BTreeMap<String, ObjectRecord>;

/// A snapshot on its way.
pub(crate) struct Draft<'a> {
    how: &'a Backup<'a>,
    pub(crate) writer: SnapshotWriter,
    pub(crate) hasher: BlobHasher,
    pub(crate) base: Option<Arc<Snapshot>>,
    pub(crate) failures: BTreeMap<(DataType, String), FailureRecord>,
    pub(crate) counts: Counts,
    /// What the server says of states may be believed.
    pub(crate) trusts: bool,
    /// Emails whose bytes the store has lost and that have not been fetched again.
    pub(crate) lost: BTreeSet<EmailId>,
    /// Objects whose JSON or content the store has lost and that have not been stored again.
    pub(crate) lost_objects: BTreeSet<(DataType, String)>,
    /// The objects of the base, brought up to date; read when first needed.
    objects: Option<BTreeMap<DataType, Rows>>,
}

impl<'a> Draft<'a> {
    /// Begins with what the base has.
    pub(crate) async fn new(writer: SnapshotWriter, how: &'a Backup<'a>, trusts: bool) -> Result<Draft<'a>> {
        let base = writer.base().cloned();
        let (mut failures, mut counts) = (BTreeMap::new(), Counts::default());
        let slices = writer.slices();
        if let Some(base) = &base {
            counts = match slices {
                Some(slices) => Cursor::read(slices)?,
                None => Counts::of(base.info()),
            };
            if base.info().summary.failures > 0 || slices.is_some() || writer.damage().is_some() {
                let known = base.failures().await?;
                failures.extend(known.into_iter().map(|f| ((f.data_type, f.id.clone()), f)));
            }
        }
        let (mut lost, mut lost_objects) = (BTreeSet::new(), BTreeSet::new());
        if let Some(damage) = writer.damage() {
            (counts.emails, counts.bytes) = damage.counted;
            (lost, lost_objects) = (damage.emails.clone(), damage.objects.clone());
        }
        Ok(Draft {
            how,
            hasher: writer.hasher(),
            // What slices brought is of no state that the server ever named. Neither is what is left of a damaged base.
            trusts: trusts && slices.is_none() && writer.damage().is_none(),
            writer,
            base,
            failures,
            counts,
            lost,
            lost_objects,
            objects: None,
        })
    }

    /// How the base knows a type.
    pub(crate) fn base_state(&self, data_type: DataType) -> Option<&TypeState> {
        self.base.as_ref()?.info().type_state(data_type)
    }

    /// The state in which a type was in the base, if it may be trusted to ask what changed since.
    pub(crate) fn trusted_state(&self, data_type: DataType) -> Option<State> {
        let known = self.base_state(data_type)?;
        // An empty type's first state is one some servers count no changes from; and listing nothing costs nothing.
        let usable = known.status == TypeStatus::Complete && known.count > 0;
        let due = !self.trusts || is_listing_due(&self.writer, self.how);
        (usable && !due).then(|| State::new(&known.state).ok()).flatten()
    }

    /// Whether this could not be had, the last time that it was asked for.
    pub(crate) fn has_failed(&self, data_type: DataType, id: &str) -> bool {
        !self.failures.is_empty() && self.failures.contains_key(&(data_type, id.to_owned()))
    }

    /// What of this type could not be had.
    pub(crate) fn failed_of(&self, data_type: DataType) -> impl Iterator<Item = (&str, &FailureRecord)> {
        let of_type = self.failures.iter().filter(move |((failed, _), _)| *failed == data_type);
        of_type.map(|((_, id), failure)| (id.as_str(), failure))
    }

    /// Whether something of this type could not be had.
    pub(crate) fn has_failures_of(&self, data_type: DataType) -> bool {
        self.failed_of(data_type).next().is_some()
    }

    /// Notes that something could not be fetched; its row of the snapshot before stays, if there is one.
    pub(crate) async fn fail(&mut self, data_type: DataType, id: String, reason: String) -> Result<()> {
        let now = self.how.clock.now().as_millisecond();
        let record = self.failures.entry((data_type, id.clone())).or_insert(FailureRecord {
            data_type,
            id,
            reason: String::new(),
            attempts: 0,
            first_ms: now,
        });
        record.attempts += 1;
        record.reason = reason;
        self.writer.put_failure(record.clone()).await?;
        Ok(())
    }

    /// Takes a failure back: the thing came after all, or is no more.
    pub(crate) async fn forgive(&mut self, data_type: DataType, id: &str) -> Result<()> {
        if !self.failures.is_empty() && self.failures.remove(&(data_type, id.to_owned())).is_some() {
            self.writer.remove_failure(data_type, id).await?;
        }
        Ok(())
    }

    /// Names what the store has lost and the server did not give again: the next backup asks for it once more.
    pub(crate) async fn give_up_lost(&mut self) -> Result<()> {
        const REASON: &str = "its bytes are lost from the store, and the mail server did not give them again";
        let emails = std::mem::take(&mut self.lost).into_iter().map(|id| (DataType::Email, id.into()));
        let objects = std::mem::take(&mut self.lost_objects);
        for (data_type, id) in emails.chain(objects) {
            if !self.has_failed(data_type, &id) {
                self.fail(data_type, id, REASON.to_owned()).await?;
            }
        }
        Ok(())
    }

    /// Stores an object whose content, if it has any, is held.
    pub(crate) async fn put_object(&mut self, object: ObjectRecord) -> Result<()> {
        let was_lost = self.lost_objects.remove(&(object.data_type, object.id.clone()));
        self.counts.healed += u64::from(was_lost);
        Ok(self.writer.put_object(object).await?)
    }

    /// Removes an object that the base has.
    pub(crate) async fn remove_object(&mut self, data_type: DataType, id: &str) -> Result<()> {
        self.lost_objects.remove(&(data_type, id.to_owned()));
        Ok(self.writer.remove_object(data_type, id).await?)
    }

    /// Removes the row of an email. `from_base`: the snapshot before had it.
    pub(crate) async fn remove_email(&mut self, id: &EmailId, size: u64, from_base: bool) -> Result<()> {
        let counts = &mut self.counts;
        counts.emails = counts.emails.saturating_sub(1);
        counts.bytes = counts.bytes.saturating_sub(size);
        if from_base {
            counts.removed += 1
        } else {
            counts.new = counts.new.saturating_sub(1)
        }
        self.forgive(DataType::Email, id.as_str()).await?;
        self.lost.remove(id);
        self.writer.remove_email(id).await?;
        Ok(())
    }

    /// The base's rows of these emails.
    pub(crate) async fn emails_of_base(&self, ids: &[EmailId]) -> Result<BTreeMap<EmailId, EmailRecord>> {
        let found = match self.base.as_ref().filter(|_| !ids.is_empty()) {
            Some(base) => base.find_emails(ids).await?,
            None => Vec::new(),
        };
        Ok(found.into_iter().map(|record| (record.id.clone(), record)).collect())
    }

    /// The objects of a type as they are known now.
    pub(crate) async fn objects_of(&mut self, data_type: DataType) -> Result<&mut Rows> {
        if self.objects.is_none() {
            self.objects = Some(self.read_objects().await?);
        }
        Ok(self.objects.get_or_insert_default().entry(data_type).or_default())
    }

    async fn read_objects(&self) -> Result<BTreeMap<DataType, Rows>> {
        let mut all: BTreeMap<DataType, Rows> = BTreeMap::new();
        let Some(base) = &self.base else { return Ok(all) };
        let mut objects = base.each_object().await?;
        while let Some(found) = objects.next().await? {
            let (data_type, id) = (found.data_type, found.id);
            let is_lost = self.lost_objects.contains(&(data_type, id.clone()));
            let object = match found.object {
                // One that has lost its JSON differs from whatever the server has.
                _ if is_lost => ObjectRecord { data_type, id: id.clone(), json: Bytes::new(), blob: None },
                object => object?,
            };
            all.entry(data_type).or_default().insert(id, object);
        }
        Ok(all)
    }
}

/// Whether a backup lists everything, whatever the server's states say.
pub(crate) fn is_listing_due(writer: &SnapshotWriter, how: &Backup<'_>) -> bool {
    let base = writer.base().map(|base| base.info());
    base.is_some_and(|info| how.full_listing || info.summary.since_listing + 1 >= LIST_EVERY)
}
