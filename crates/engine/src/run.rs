//! What one backup holds while it runs, and how steps of the pipeline become rows.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use jmap::{Account, Client, Download, Id, JmapBlobId, State};
use model::{BlobId, DataType, EmailId, EmailRecord, FolderId, Timestamp};
use repository::{BlobHasher, FailureRecord, ObjectRecord, Snapshot, SnapshotInfo, SnapshotWriter};

use crate::emails::server_blob;
use crate::error::{Error, Result};
use crate::fetch::{Arrived, Content, Fetched, Fetcher, Miss, Subject, Wanted};
use crate::keep::{Keeping, at};
use crate::listed::Listed;
use crate::metadata::{self, Metadata};
use crate::options::Backup;
use crate::pump::{Intake, Planner, Step, pipeline};
use crate::recent::{Recent, digest_of_row};
use crate::renumbered::Renumbered;
use crate::slice::{Alarm, Cursor, Slice};

/// After so many failures without a success between them it may not be the emails' fault.
const FAILURES_IN_A_ROW: u32 = 8;

/// Emails of the base one of which must still be there.
const CONTROLS: usize = 20;
const CONTROL_BYTES: u64 = 1 << 30;

/// One backup on its way.
pub(crate) struct Run<'a> {
    pub(crate) client: &'a Client,
    pub(crate) account: &'a Account,
    pub(crate) how: &'a Backup<'a>,
    /// What the owner may not read; the one who signs in does.
    pub(crate) denied_to_owner: Mutex<BTreeSet<DataType>>,
    pub(crate) writer: SnapshotWriter,
    pub(crate) hasher: BlobHasher,
    pub(crate) base: Option<Arc<Snapshot>>,
    pub(crate) failures: BTreeMap<(DataType, String), FailureRecord>,
    /// Emails whose rows were changed one by one, newest last; `None`: removed.
    pub(crate) late: HashMap<EmailId, Option<Box<EmailRecord>>>,
    /// The last full listing of this run and the length of each email that was fetched for it.
    pub(crate) listed: Option<Listed>,
    /// The listing is still being worked off.
    pub(crate) listing: bool,
    /// Folders that emails lay in when they were listed.
    pub(crate) listed_folders: BTreeSet<FolderId>,
    /// The server named an email that it then said not to have.
    pub(crate) contradicted: bool,
    /// Emails came or went while their ids were listed: one may have done both, and no state tells of it.
    pub(crate) listed_under_way: bool,
    /// What the server says of states may be believed.
    pub(crate) trusts: bool,
    /// Emails of the base that were touched last and are other ones now; the server's changes must name them.
    pub(crate) unexplained: BTreeSet<Id>,
    /// Emails of the snapshot that grows that were touched last.
    pub(crate) recent: Recent,
    /// Emails whose bytes are gone although the server listed them.
    pub(crate) vanished: BTreeSet<EmailId>,
    /// Emails the server named and then said not to have; its changes must say that they were destroyed.
    pub(crate) doubted: BTreeSet<EmailId>,
    /// Emails whose bytes the store has lost and that have not been fetched again.
    pub(crate) lost: BTreeSet<EmailId>,
    /// Objects whose JSON or content the store has lost and that have not been stored again.
    pub(crate) lost_objects: BTreeSet<(DataType, String)>,
    /// Emails that the listing found as they were, and whose envelopes are to be read again.
    pub(crate) outdated: Vec<(EmailId, BlobId)>,
    pub(crate) counts: Counts,
    /// Emails that came and went, to tell those that only have other ids now.
    pub(crate) renumbered: Renumbered,
    /// Bytes that the slices before fetched.
    pub(crate) fetched_before: u64,
    pub(crate) alarm: Alarm,
    pub(crate) keeping: Option<Keeping>,
    pub(crate) started: Timestamp,
    /// The last email that came.
    fetched: Option<JmapBlobId>,
    /// The listing changed a row without fetching.
    relabelled: bool,
    failed_in_a_row: u32,
}

/// Counts of the snapshot that grows.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) emails: u64,
    pub(crate) bytes: u64,
    pub(crate) new: u64,
    pub(crate) removed: u64,
    pub(crate) fetched_bytes: u64,
    /// Emails and contents of objects that came in this run.
    pub(crate) fetched: u64,
    /// Those of them, in one piece, that the repository held already.
    pub(crate) held: u64,
    /// Emails and objects that the store had lost and that were stored again in this run.
    pub(crate) healed: u64,
    /// Rows whose envelope was read again.
    pub(crate) renewed: u64,
}

impl Counts {
    fn of(info: &SnapshotInfo) -> Counts {
        Counts { emails: info.summary.emails, bytes: info.summary.email_bytes, ..Counts::default() }
    }
}

impl<'a> Run<'a> {
    pub(crate) async fn new(
        client: &'a Client,
        account: &'a Account,
        writer: SnapshotWriter,
        how: &'a Backup<'a>,
        trusts: bool,
        (slice, started): (Option<&Slice>, Timestamp),
    ) -> Result<Run<'a>> {
        let base = writer.base().cloned();
        let emails = base.as_ref().and_then(|base| base.info().type_state(DataType::Email));
        // Slices may have changed these rows.
        let recent = emails.filter(|_| writer.slices().is_none()).map_or(&[][..], |emails| &emails.recent);
        let recent = Recent::new(recent);
        let mut failures = BTreeMap::new();
        let mut counts = Counts::default();
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
        Ok(Run {
            client,
            account,
            how,
            denied_to_owner: Mutex::default(),
            hasher: writer.hasher(),
            // What slices brought is of no state that the server ever named.
            // Neither is what is left of a damaged base.
            trusts: trusts && slices.is_none() && writer.damage().is_none(),
            writer,
            base,
            failures,
            late: HashMap::new(),
            listed: None,
            listing: false,
            listed_folders: BTreeSet::new(),
            contradicted: false,
            listed_under_way: false,
            unexplained: BTreeSet::new(),
            recent,
            vanished: BTreeSet::new(),
            doubted: BTreeSet::new(),
            lost,
            lost_objects,
            outdated: Vec::new(),
            renumbered: Renumbered::default(),
            fetched_before: counts.fetched_bytes,
            keeping: Keeping::of(slice, &counts),
            counts,
            alarm: Alarm::of(slice),
            started,
            fetched: None,
            relabelled: false,
            failed_in_a_row: 0,
        })
    }

    /// No row of an email was written or counted yet.
    pub(crate) fn is_untouched(&self) -> bool {
        self.late.is_empty() && self.counts.fetched_bytes == 0 && self.counts.removed == 0 && !self.relabelled
    }

    /// Emails whose bytes or metadata could not be had.
    pub(crate) fn has_failed_emails(&self) -> bool {
        self.failures.keys().any(|(data_type, _)| *data_type == DataType::Email)
    }

    pub(crate) fn pipeline(&self) -> (Planner, Intake) {
        let session = self.client.session();
        let fetcher = |out| Fetcher {
            client: self.client.clone(),
            account: self.account.id.clone(),
            hasher: self.hasher.clone(),
            has_blob_get: session.offers(jmap::Capability::BLOB),
            failed_batches: Arc::default(),
            out,
        };
        pipeline(fetcher, self.client.concurrency(), session.limits.max_objects_in_get)
    }

    /// Fetches these and makes rows of them.
    pub(crate) async fn fetch(&mut self, wanted: Vec<Wanted>) -> Result<()> {
        if wanted.is_empty() {
            return Ok(());
        }
        let (mut planner, mut intake) = self.pipeline();
        let alarm = self.alarm.clone();
        let planning = async move {
            for one in wanted {
                if alarm.rings() {
                    break;
                }
                alarm.count(one.weight());
                planner.want(one).await;
            }
            planner.finish().await;
            Ok::<_, Error>(())
        };
        let taking = self.take_all(&mut intake);
        let ((), ()) = futures::try_join!(planning, taking)?;
        self.alarm.check()
    }

    /// Makes rows of all steps to come.
    pub(crate) async fn take_all(&mut self, intake: &mut Intake) -> Result<()> {
        let alarm = self.alarm.clone();
        let mut is_over = Box::pin(alarm.is_over());
        loop {
            let next_look = self.keeping.as_ref().map(Keeping::next_look);
            let step = tokio::select! {
                biased;
                step = intake.next() => step,
                () = &mut is_over => return Err(Error::Paused),
                () = at(next_look) => Ok(Some(Step::Idle)),
            };
            match step {
                Ok(Some(step)) => self.take(step).await?,
                Ok(None) => return Ok(()),
                Err(error) => {
                    self.take_rest(intake).await;
                    return Err(error);
                }
            }
            self.keep_if_due().await?;
        }
    }

    /// Makes rows of one step.
    pub(crate) async fn take(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Arrived(Arrived::Chunks(chunks)) => {
                self.writer.add_blobs(chunks).await?;
            }
            Step::Arrived(Arrived::Whole(fetched)) => self.take_whole(fetched).await?,
            Step::Arrived(Arrived::Missing(wanted, miss)) => self.take_missing(wanted, miss).await?,
            Step::Relabelled(record) => {
                self.how.progress.advance(1, 0);
                self.relabelled = true;
                self.recent.note(&record.id, Some(digest_of_row(&self.hasher, &record)));
                self.writer.put_email(*record).await?;
            }
            Step::Idle => {}
            Step::Removed(record) => {
                self.renumbered.went(&record.blob);
                self.recent.note(&record.id, None);
                self.count_removed(&record.id, record.size, true).await?;
            }
            Step::Outdated(id, blob) => self.outdated.push((id, blob)),
            Step::Doubted(id) => drop(self.doubted.insert(id)),
            Step::Unreadable(id, reason) => self.fail(DataType::Email, id.into(), reason).await?,
            Step::Compared(unchanged, folders) => {
                self.how.progress.advance(unchanged, 0);
                self.listed_folders.extend(folders);
            }
        }
        Ok(())
    }

    async fn take_whole(&mut self, fetched: Vec<Fetched>) -> Result<()> {
        self.failed_in_a_row = 0;
        self.fetched = fetched.last().and_then(|one| one.server_blob()).or(self.fetched.take());
        let mut rows = Vec::with_capacity(fetched.len());
        let mut blobs = Vec::with_capacity(fetched.len());
        for one in fetched {
            // What is doubted is fetched again by the next one.
            self.counts.fetched += u64::from(one.doubt.is_none());
            self.counts.fetched_bytes += one.length;
            match one.content {
                Content::Bytes(bytes) => blobs.push((one.blob, bytes)),
                Content::Chunks(chunks) => self.writer.add_chunked(one.blob, chunks, one.length).await?,
            }
            rows.push((one.subject, one.blob, one.length, one.envelope, one.doubt));
        }
        let came = blobs.len();
        let new = self.writer.add_blobs(blobs).await?;
        self.counts.held += (came - new) as u64;
        for (subject, blob, length, envelope, doubt) in rows {
            let (data_type, id) = subject.name();
            match doubt {
                Some(reason) => self.fail(data_type, id, reason).await?,
                None => self.forgive(data_type, &id).await?,
            }
            match subject {
                Subject::Email { email, replaces } => {
                    let record = record_of(&self.hasher, &email, blob, length, envelope);
                    self.how.progress.advance(1, length);
                    self.put_fetched(record, replaces).await?;
                }
                Subject::Object(mut object) => {
                    object.blob = Some(blob);
                    self.put_object(object).await?;
                }
            }
        }
        Ok(())
    }

    async fn put_fetched(&mut self, record: EmailRecord, replaces: Option<u64>) -> Result<()> {
        self.vanished.remove(&record.id);
        self.counts.healed += u64::from(self.lost.remove(&record.id));
        match self.length_of(&record.id).or(replaces) {
            Some(length) => self.counts.bytes = self.counts.bytes - length + record.size,
            None => {
                self.counts.emails += 1;
                self.counts.bytes += record.size;
                self.counts.new += 1;
                if self.base.is_some() {
                    self.renumbered.came(&record.blob);
                }
            }
        }
        match &mut self.listed {
            Some(listed) if self.listing => {
                self.recent.note(&record.id, Some(digest_of_row(&self.hasher, &record)));
                listed.note(&record.id, record.size);
            }
            _ => {
                self.late.insert(record.id.clone(), Some(Box::new(record.clone())));
            }
        }
        self.writer.put_email(record).await?;
        Ok(())
    }

    /// Length of an email as far as this run has touched it.
    pub(crate) fn length_of(&self, id: &EmailId) -> Option<u64> {
        if let Some(late) = self.late.get(id) {
            return late.as_ref().map(|record| record.size);
        }
        let listed = self.listed.as_ref()?;
        listed.length_at(listed.ids.position(id.as_str())?)
    }

    /// Counts an email out and removes its row. `from_base`: the snapshot before had it.
    pub(crate) async fn count_removed(&mut self, id: &EmailId, size: u64, from_base: bool) -> Result<()> {
        self.counts.emails = self.counts.emails.saturating_sub(1);
        self.counts.bytes = self.counts.bytes.saturating_sub(size);
        match from_base {
            true => self.counts.removed += 1,
            false => self.counts.new = self.counts.new.saturating_sub(1),
        }
        self.forgive(DataType::Email, id.as_str()).await?;
        self.lost.remove(id);
        self.writer.remove_email(id).await?;
        Ok(())
    }

    /// Stores an object whose content, if it has any, is held.
    pub(crate) async fn put_object(&mut self, object: ObjectRecord) -> Result<()> {
        let was_lost = self.lost_objects.remove(&(object.data_type, object.id.clone()));
        self.counts.healed += u64::from(was_lost);
        Ok(self.writer.put_object(object).await?)
    }

    /// Names what the store has lost and the server did not give again: the next backup asks for it once more.
    pub(crate) async fn give_up_lost(&mut self) -> Result<()> {
        const REASON: &str = "its bytes are lost from the store, and the mail server did not give them again";
        let emails = std::mem::take(&mut self.lost).into_iter().map(|id| (DataType::Email, id.into()));
        let objects = std::mem::take(&mut self.lost_objects);
        for (data_type, id) in emails.chain(objects) {
            if !self.failures.contains_key(&(data_type, id.clone())) {
                self.fail(data_type, id, REASON.to_owned()).await?;
            }
        }
        Ok(())
    }

    async fn take_missing(&mut self, wanted: Wanted, miss: Miss) -> Result<()> {
        let (data_type, id) = wanted.subject.name();
        let reason = match miss {
            Miss::Gone if data_type == DataType::Email => {
                self.vanished.insert(EmailId::from(id));
                return Ok(());
            }
            Miss::Gone => "its content is gone".to_owned(),
            Miss::Wrong(reason) => reason,
            Miss::Failed(source) if asks_for_less(&source) => {
                return Err(Error::Server { what: "emails", source });
            }
            Miss::Failed(source) => {
                self.failed_in_a_row += 1;
                if self.failed_in_a_row >= FAILURES_IN_A_ROW {
                    if !self.can_fetch_another().await? {
                        return Err(Error::ManyFailures { count: self.failed_in_a_row, source });
                    }
                    self.failed_in_a_row = 0;
                }
                source.to_string()
            }
        };
        self.fail(data_type, id, reason).await
    }

    /// Whether an email that could be fetched before can be fetched now: the failing ones are at fault, not the server.
    async fn can_fetch_another(&self) -> Result<bool> {
        let blob = match &self.fetched {
            Some(blob) => blob.clone(),
            None => match self.blob_of_base().await? {
                Some(blob) => blob,
                None => return Ok(false),
            },
        };
        let mut pieces =
            Box::pin(self.client.download(Download::new(&self.account.id, &blob, CONTROL_BYTES)));
        Ok(matches!(pieces.next().await, Some(Ok(_))))
    }

    /// The server's blob of some email of the base.
    async fn blob_of_base(&self) -> Result<Option<JmapBlobId>> {
        let Some(base) = &self.base else { return Ok(None) };
        let mut emails = base.emails().await?;
        let mut ids = Vec::new();
        while ids.len() < CONTROLS {
            let Some(email) = emails.next().await? else { break };
            ids.extend(Id::new(email.id.as_str()));
        }
        let known = metadata::get(self.client, &self.account.id, ids).await?;
        Ok(known.into_values().find_map(|email| match email {
            Metadata::Found(email) => Some(email.blob_id),
            _ => None,
        }))
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

    /// The state in which a type was in the base, if it may be trusted to ask what changed since.
    pub(crate) fn trusted_state(&self, data_type: DataType) -> Option<State> {
        let info = self.base.as_ref()?.info();
        let known = info.type_state(data_type)?;
        // An empty type's first state is one some servers count no changes from; and listing nothing costs nothing.
        let usable = known.status == repository::TypeStatus::Complete && known.count > 0;
        let due = !self.trusts || crate::backup::is_listing_due(&self.writer, self.how);
        (usable && !due).then(|| State::new(&known.state).ok()).flatten()
    }
}

/// The server counts our requests: that says nothing of the email which was asked for. A 503 may well be about that one.
fn asks_for_less(error: &jmap::Error) -> bool {
    error.is_throttle() && !matches!(error, jmap::Error::Status { status: 503, .. })
}

/// The row of an email that came whole.
pub(crate) fn record_of(
    hasher: &BlobHasher,
    email: &jmap::Email,
    blob: BlobId,
    length: u64,
    envelope: model::Envelope,
) -> EmailRecord {
    EmailRecord {
        id: EmailId::from(email.id.as_str()),
        blob,
        server_blob: server_blob(hasher, email),
        received_at: email.received_at.unix_seconds(),
        size: length,
        folders: folders_of(email),
        keywords: email.keywords.iter().map(|k| k.to_string()).collect(),
        envelope,
    }
}

pub(crate) fn folders_of(email: &jmap::Email) -> Vec<FolderId> {
    email.mailbox_ids.iter().map(|id| FolderId::from(id.as_str())).collect()
}

/// The same email with the labels the server has now; `None` when they are the same.
pub(crate) fn relabelled(record: &EmailRecord, email: &jmap::Email) -> Option<EmailRecord> {
    let new = EmailRecord {
        folders: folders_of(email),
        keywords: email.keywords.iter().map(|k| k.to_string()).collect(),
        ..record.clone()
    };
    (new != *record).then_some(new)
}
