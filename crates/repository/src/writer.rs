//! Writing one snapshot.
//!
//! **Order.** packs → segments → log entry. Rows of blobs reach a segment only after their pack lies on the store.
//! **Slices.** Between its beginning and the snapshot a writer may commit slices, each in the same order; the next writer goes
//! on from the newest one.
//! **Crash.** Before a log entry: packs and segments that nobody refers to. After it: the slice or the snapshot is complete.
//! **Retry.** Start again from the newest entry; blobs that the lost attempt stored are stored once more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use model::{BlobId, Clock, DataType, EmailId, EmailRecord, LogPosition, SnapshotNumber, Timestamp};
use prost::Message;
use proto::repository::log_entry::Kind as EntryKind;
use proto::repository::row::Content;
use proto::repository::{self as disk, Head, Row, SegmentRef};

use crate::damage::Damage;
use crate::error::{Error, Result};
use crate::info::{Origin, SnapshotInfo, Summary};
use crate::known::KnownBlobs;
use crate::log::fold::{Rebase, rebase, segment_name};
use crate::log::journal::{Appended, Found, Journal};
use crate::merging::{OldRows, merge_table};
use crate::pack::packer::Packer;
use crate::repository::Repository;
use crate::rows::{BlobPlace, FailureRecord, NewContent, NewRow, ObjectRecord, Table, email_key, object_key};
use crate::sealing::seal::{BlobHasher, Secret};
use crate::segment::builder::SegmentBuilder;
use crate::segment::compaction::first_to_merge;
use crate::segment::merge::Merge;
use crate::segment::reader::SegmentReader;
use crate::sizes::Sizes;
use crate::snapshot::{Snapshot, open_all};
use crate::storage::layout::Object;
use crate::storage::length::Length;
use crate::storage::length::PackLengths;
use crate::storage::objects::MailboxObjects;

/// A blob is at most this long; longer content is cut into chunks first.
pub const MAX_BLOB: usize = 1 << 20;
/// Longer JSON is stored as a blob, so that it is written once and not with every merge of segments.
const MAX_JSON: usize = 64 << 10;
/// No row is longer than this, so that a block stays below what a frame may open to.
const MAX_ROW: usize = 4 << 20;
/// What a row takes in the map beside its bytes: its place in a node that is two thirds full, its key, their allocations.
const ROW_OVERHEAD: usize = 160;
/// Entries of others that a commit steps over before it gives up.
const MAX_REBASES: usize = 32;

type Rows = BTreeMap<(Table, Bytes), NewContent>;

/// A snapshot in the making. Dropping it leaves unreferenced objects and nothing else.
pub struct SnapshotWriter {
    objects: MailboxObjects,
    journal: Journal,
    key: Secret,
    owner: Option<disk::Init>,
    location: String,
    base: Option<Arc<Snapshot>>,
    slices: Option<Slices>,
    damage: Option<Damage>,
    /// Newest entry when the writer began.
    newest: (LogPosition, Head),
    known: KnownBlobs,
    packer: Packer,
    rows: Rows,
    /// About what the rows take on disk, and in memory.
    rows_weight: usize,
    rows_memory: usize,
    spilled: Vec<SegmentRef>,
    kept: Kept,
    sizes: Sizes,
    held_bytes: u64,
    /// No step failed or was dropped half way.
    intact: bool,
}

/// What this writer committed in slices of its own.
#[derive(Default)]
struct Kept {
    segments: Vec<SegmentRef>,
    /// Bytes of these segments, and of the packs that they may refer to.
    segment_bytes: u64,
    pack_bytes: u64,
}

/// Slices of this snapshot that were committed before: [`SnapshotWriter::base`] has their rows, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slices {
    /// When the first one began.
    pub started: Timestamp,
    /// What the writer of the newest one left for the next.
    pub cursor: Bytes,
    /// Bytes that all of them added to the store.
    pub stored_bytes: u64,
}

/// A snapshot that stands in the log.
#[derive(Debug, Clone)]
pub struct Committed {
    /// Its number.
    pub number: SnapshotNumber,
    /// Bytes of its new packs and segments.
    pub stored_bytes: u64,
    /// A fleet has numbered this snapshot or one before it.
    pub is_of_fleet: bool,
    /// The last checkpoint is long ago: call `Repository::checkpoint_if_due`.
    pub checkpoint_due: bool,
    /// Its log entry.
    pub at: LogPosition,
}

impl SnapshotWriter {
    pub(crate) fn new(
        repository: &Repository,
        newest: (LogPosition, Head),
        base: Option<Arc<Snapshot>>,
        slices: Option<Slices>,
        mut damage: Option<Damage>,
    ) -> SnapshotWriter {
        SnapshotWriter {
            known: damage.as_mut().map(|damage| KnownBlobs::with(damage.take_held())).unwrap_or_default(),
            damage,
            packer: Packer::new(repository.objects().clone(), repository.key().clone(), repository.sizes()),
            objects: repository.objects().clone(),
            journal: repository.journal().clone(),
            key: repository.key().clone(),
            location: repository.zone().to_owned(),
            owner: repository.init.clone(),
            base,
            slices,
            newest,
            rows: BTreeMap::new(),
            rows_weight: 0,
            rows_memory: 0,
            spilled: Vec::new(),
            kept: Kept::default(),
            sizes: repository.sizes(),
            held_bytes: 0,
            intact: true,
        }
    }

    /// The snapshot this one grows from, with the rows of the slices so far; its number is 0 if there are only these. A row
    /// that is not replaced or removed stays as it is there.
    pub fn base(&self) -> Option<&Arc<Snapshot>> {
        self.base.as_ref()
    }

    /// Returns the slices of this snapshot that were committed earlier.
    pub fn slices(&self) -> Option<&Slices> {
        self.slices.as_ref()
    }

    /// What the base has lost; `None`: nothing that is known of.
    ///
    /// Whoever makes a snapshot from such a base lists everything again and fetches what it has lost. What cannot be had any
    /// more is put as a failure: a snapshot without failures is whole.
    pub fn damage(&self) -> Option<&Damage> {
        self.damage.as_ref()
    }

    /// Bytes of blobs that this writer was given and that were stored already.
    pub fn held_bytes(&self) -> u64 {
        self.held_bytes
    }

    /// Computes blob ids; cheap to clone and to hand to other threads.
    pub fn hasher(&self) -> BlobHasher {
        BlobHasher::new(&self.key)
    }

    /// Stores those of these blobs that are not stored yet. `id` must be the hasher's id of the bytes, which are at most
    /// `MAX_BLOB` long. Returns how many were new.
    pub fn add_blobs<'a>(&'a mut self, blobs: Vec<(BlobId, Bytes)>) -> BoxFuture<'a, Result<usize>> {
        Box::pin(async move {
            if let Some((_, bytes)) = blobs.iter().find(|(_, bytes)| bytes.len() > MAX_BLOB) {
                return Err(too_large("a blob in one piece", bytes.len(), MAX_BLOB));
            }
            let ids = blobs.iter().map(|(id, _)| *id);
            let mut unknown = self.known.claim(ids, self.base.as_deref()).await?;
            self.begin_step()?;
            let new = unknown.len();
            for (id, bytes) in blobs {
                if unknown.remove(&id) {
                    self.packer.add(id, bytes).await?
                } else {
                    self.held_bytes += bytes.len() as u64
                }
            }
            self.intact = true;
            self.take_stored().await?;
            Ok(new)
        })
    }

    /// Makes `id` stand for these chunks, all of which were added, one behind the other, `length` bytes together.
    pub async fn add_chunked(&mut self, id: BlobId, chunks: Vec<BlobId>, length: u64) -> Result<()> {
        let unknown = self.known.claim(std::iter::once(id), self.base.as_deref()).await?;
        if unknown.contains(&id) {
            self.put(NewRow::blob(id, BlobPlace::Chunks { chunks, length })).await?;
        }
        Ok(())
    }

    /// Adds or replaces an email.
    pub async fn put_email(&mut self, email: EmailRecord) -> Result<()> {
        let key = email_key(&email.id);
        let row = Row::from(email);
        self.put(NewRow { table: Table::Emails, key, content: encoded(&row) }).await
    }

    /// Removes an email, if it is there.
    pub async fn remove_email(&mut self, id: &EmailId) -> Result<()> {
        self.put(gone(Table::Emails, email_key(id))).await
    }

    /// Adds or replaces an object.
    pub async fn put_object(&mut self, mut object: ObjectRecord) -> Result<()> {
        let json_blob = match object.json.len() {
            0..=MAX_JSON => Bytes::new(),
            _ => self.put_long(std::mem::take(&mut object.json)).await?,
        };
        let key = object_key(object.data_type, &object.id);
        let blob = object.blob.map(|id| Bytes::copy_from_slice(&id.0)).unwrap_or_default();
        let content = Content::Object(disk::Object { json: object.json, blob, json_blob });
        let row = Row { key: key.clone(), content: Some(content) };
        self.put(NewRow { table: Table::Objects, key, content: encoded(&row) }).await
    }

    /// Stores bytes of any length as a blob, whole or in chunks of one length.
    async fn put_long(&mut self, bytes: Bytes) -> Result<Bytes> {
        let hasher = self.hasher();
        let id = hasher.id(&bytes);
        let length = bytes.len();
        let starts = (0..length).step_by(MAX_BLOB);
        let pieces = starts.map(|start| bytes.slice(start..length.min(start + MAX_BLOB)));
        let pieces: Vec<_> = pieces.map(|piece| (hasher.id(&piece), piece)).collect();
        let ids: Vec<_> = pieces.iter().map(|(id, _)| *id).collect();
        self.add_blobs(pieces).await?;
        if ids != [id] {
            self.add_chunked(id, ids, length as u64).await?;
        }
        Ok(Bytes::copy_from_slice(&id.0))
    }

    /// Removes an object, if it is there.
    pub async fn remove_object(&mut self, data_type: DataType, id: &str) -> Result<()> {
        self.put(gone(Table::Objects, object_key(data_type, id))).await
    }

    /// Notes something that could not be fetched.
    pub async fn put_failure(&mut self, failure: FailureRecord) -> Result<()> {
        let key = object_key(failure.data_type, &failure.id);
        let FailureRecord { reason, attempts, first_ms, .. } = failure;
        let content = Content::Failure(disk::Failure { reason, attempts, first_ms });
        let row = Row { key: key.clone(), content: Some(content) };
        self.put(NewRow { table: Table::Failures, key, content: encoded(&row) }).await
    }

    /// Takes a failure back.
    pub async fn remove_failure(&mut self, data_type: DataType, id: &str) -> Result<()> {
        self.put(gone(Table::Failures, object_key(data_type, id))).await
    }

    /// Waits until everything lies on the store, then commits. Of several writers that began at the same entry one
    /// succeeds, the others get `Error::Lost`.
    pub fn commit<'a>(mut self, summary: Summary, clock: &'a dyn Clock) -> BoxFuture<'a, Result<Committed>> {
        Box::pin(async move {
            self.store_all().await?;
            let live = summary.emails + summary.types.iter().map(|t| t.count).sum::<u64>();
            let segments = self.write_segments(live).await?;
            let stored_bytes = self.stored_bytes(&segments);
            let info = SnapshotInfo {
                number: SnapshotNumber(0),
                base: self.number_of_base(),
                finished: clock.now(),
                stored_bytes,
                location: std::mem::take(&mut self.location),
                summary,
                segments,
                owner: self.owner.take(),
            };
            let is_of_fleet =
                self.newest.1.highest_backup_number > 0 || info.summary.origin.backup_number.is_some();
            let at = self.append(EntryKind::Snapshot(info.to_disk()), &info.segments, clock).await?.position;
            let checkpoint_due = at.number >= self.newest.1.checkpoint + self.sizes.checkpoint;
            let number = SnapshotNumber(at.number);
            Ok(Committed { number, stored_bytes, is_of_fleet, checkpoint_due, at })
        })
    }

    /// Commits what was written since the last slice as one more: the writer of the next snapshot goes on from there, with
    /// `cursor`, unless this writer comes to its own end. Returns the bytes that all slices added, or `None` if this one would be
    /// empty.
    pub fn commit_slice<'a>(
        &'a mut self,
        cursor: Bytes,
        origin: &'a Origin,
        started: Timestamp,
        clock: &'a dyn Clock,
    ) -> BoxFuture<'a, Result<Option<u64>>> {
        Box::pin(async move {
            self.store_all().await?;
            self.spill().await?;
            if self.spilled.is_empty() {
                return Ok(None);
            }
            let segments = self.spilled.clone();
            let stored_bytes = self.stored_bytes(&segments);
            let progress = disk::Progress {
                base: self.newest.1.snapshot,
                previous: if self.goes_on() { self.newest.1.progress } else { 0 },
                segments: segments.clone(),
                cursor,
                job: origin.job.clone(),
                slot: origin.slot.clone(),
                started_ms: self.slices.as_ref().map_or(started, |slices| slices.started).as_millisecond(),
                stored_bytes,
            };
            let slice = self.append(EntryKind::Progress(progress), &segments, clock).await?;
            self.newest = (slice.position, slice.head().cloned().unwrap_or_default());
            self.spilled.clear();
            self.kept.segment_bytes += segments.iter().map(|segment| segment.bytes).sum::<u64>();
            self.kept.segments.extend(segments);
            self.kept.pack_bytes = self.packer.bytes_written();
            Ok(Some(stored_bytes))
        })
    }

    /// Looks whether an entry stands in the log behind which this writer can commit nothing; one request to the store as long
    /// as nothing was appended.
    ///
    /// # Errors
    /// [`Error::Lost`] and [`Error::Erased`] as a commit would return them.
    pub async fn look_for_rival(&mut self) -> Result<()> {
        let uses = self.uses(&self.spilled);
        while let Some(found) = self.journal.found(self.newest.0.number + 1).await? {
            self.step_over(&found, &uses, &self.spilled)?;
            self.newest = (found.position, found.head().cloned().unwrap_or_default());
        }
        Ok(())
    }

    /// Whether slices of this snapshot stand in the log, of this writer or of earlier ones.
    fn goes_on(&self) -> bool {
        self.slices.is_some() || !self.kept.segments.is_empty()
    }

    /// Bytes added by this writer, `segments` among them, and by the slices before.
    fn stored_bytes(&self, segments: &[SegmentRef]) -> u64 {
        let added = self.packer.bytes_written() + self.kept.segment_bytes + self.fresh_bytes(segments);
        added + self.slices.as_ref().map_or(0, |slices| slices.stored_bytes)
    }

    /// Bytes of those of these segments that no entry refers to yet.
    fn fresh_bytes(&self, segments: &[SegmentRef]) -> u64 {
        let is_kept = |segment: &SegmentRef| self.kept.segments.iter().any(|kept| kept.name == segment.name);
        segments.iter().filter(|s| !self.in_base(s) && !is_kept(s)).map(|s| s.bytes).sum()
    }

    /// Bytes that this writer stored and that no entry refers to, `segments` among them.
    fn unused_bytes(&self, segments: &[SegmentRef]) -> u64 {
        self.packer.bytes_written() - self.kept.pack_bytes + self.fresh_bytes(segments)
    }

    fn number_of_base(&self) -> Option<SnapshotNumber> {
        // An older one than the head's is a base of which only what can be read counts.
        let number = self.base.as_ref().map(|base| base.info().number);
        number.filter(|number| number.0 > 0 && number.0 == self.newest.1.snapshot)
    }

    fn append<'a>(
        &'a self,
        kind: EntryKind,
        segments: &'a [SegmentRef],
        clock: &'a dyn Clock,
    ) -> BoxFuture<'a, Result<Found>> {
        Box::pin(async move {
            let uses = self.uses(segments);
            let (mut position, mut head) = self.newest.clone();
            for _ in 0..MAX_REBASES {
                let before = Some((position, &head));
                let found = match self.journal.append(before, kind.clone(), clock.now()).await {
                    Ok((ours, Appended::Done)) => return Ok(ours),
                    Ok((_, Appended::Taken(found))) => found,
                    // The entry in between knew another newest snapshot: this one's base is no longer what it was.
                    Err(Error::Misplaced { number }) if position != self.newest.0 => {
                        let (winner, unused_bytes) =
                            ("another entry".to_owned(), self.unused_bytes(segments));
                        return Err(Error::Lost { winner, number: number - 1, unused_bytes });
                    }
                    Err(error) => return Err(error),
                };
                self.step_over(&found, &uses, segments)?;
                position = found.position;
                head = found.head().cloned().unwrap_or_default();
            }
            let (winner, number) = ("a stream of other entries".to_owned(), position.number);
            Err(Error::Lost { winner, number, unused_bytes: self.unused_bytes(segments) })
        })
    }

    /// An error unless this writer may commit behind what another one wrote.
    fn step_over(&self, found: &Found, uses: &BTreeSet<Object>, segments: &[SegmentRef]) -> Result<()> {
        let number = found.position.number;
        let Some(entry) = &found.entry else {
            let what = "what stands there cannot be read: the store changed it, or it is damaged; the next run goes on behind it";
            return Err(Error::corrupt(Object::Log(number).relative(), what));
        };
        match rebase(entry, uses) {
            Rebase::Next => Ok(()),
            Rebase::Lost => {
                Err(Error::Lost { winner: found.writer(), number, unused_bytes: self.unused_bytes(segments) })
            }
            Rebase::Erased => Err(Error::Erased { number }),
        }
    }

    /// What a prune must not have condemned meanwhile: the segments and the packs of this run. The packs of the base and the
    /// slices before need no mention: while they are the newest they are kept, and once they are not, this commit is lost anyway.
    fn uses(&self, segments: &[SegmentRef]) -> BTreeSet<Object> {
        let segments = segments.iter().filter_map(segment_name).map(Object::Segment);
        segments.chain(self.packer.packs().keys().copied().map(Object::Pack)).collect()
    }

    fn in_base(&self, segment: &SegmentRef) -> bool {
        self.base.as_ref().is_some_and(|base| base.info().segments.iter().any(|s| s.name == segment.name))
    }

    /// From here until `intact` is set again an error, or a caller that drops the future, leaves a gap: no commit then.
    fn begin_step(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.intact, false) { Ok(()) } else { Err(Error::Interrupted) }
    }

    async fn put(&mut self, row: NewRow) -> Result<()> {
        let weight = row.weight();
        if weight > MAX_ROW {
            return Err(too_large("a row", weight, MAX_ROW));
        }
        self.rows_weight += weight;
        self.rows_memory += weight + ROW_OVERHEAD;
        self.rows.insert((row.table, row.key), row.content);
        if self.rows_memory >= self.sizes.spill {
            self.spill().await?;
        }
        Ok(())
    }

    /// Writes the rows in memory into segments of their own.
    fn spill<'a>(&'a mut self) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.begin_step()?;
            let rows = std::mem::take(&mut self.rows);
            self.spilled.extend(self.build(rows).await?);
            (self.rows_weight, self.rows_memory) = (0, 0);
            self.intact = true;
            Ok(())
        })
    }

    /// Segments of these rows alone.
    async fn build(&self, rows: Rows) -> Result<Vec<SegmentRef>> {
        let lengths = self.packer.packs().clone();
        let mut builder = SegmentBuilder::new(&self.objects, &self.key, self.sizes, lengths);
        for ((table, key), content) in rows {
            builder.push(NewRow { table, key, content }).await?;
        }
        builder.finish().await
    }

    /// Waits until all packs lie on the store.
    async fn store_all(&mut self) -> Result<()> {
        self.begin_step()?;
        self.packer.finish().await?;
        self.intact = true;
        self.take_stored().await
    }

    async fn take_stored(&mut self) -> Result<()> {
        for (id, location) in self.packer.take_stored() {
            self.put(NewRow::blob(id, BlobPlace::Whole(location))).await?;
        }
        Ok(())
    }

    /// Writes the remaining rows, merged with as many of the newest segments as is worth it.
    async fn write_segments(&mut self, live_rows: u64) -> Result<Vec<SegmentRef>> {
        let mut segments = self.base.as_ref().map(|base| base.info().segments.clone()).unwrap_or_default();
        segments.extend_from_slice(&self.kept.segments);
        segments.append(&mut self.spilled);
        if self.rows.is_empty() && self.first_with_lost_packs().await? >= segments.len() {
            return Ok(segments);
        }
        // Rows compress to about a third.
        let fresh = self.rows_weight as u64 / 3;
        let rows = std::mem::take(&mut self.rows);
        let first = first_to_merge(&segments, fresh, live_rows, self.sizes).unwrap_or(segments.len());
        let old = segments.split_off(first.min(self.first_with_lost_packs().await?));
        let drops_gone = segments.is_empty();
        let opened = open_all(&self.objects, &self.key, &old).await?;
        let mut fresh_rows = rows.into_iter().peekable();
        let lengths = self.lengths_of_packs(&opened);
        let mut builder = SegmentBuilder::new(&self.objects, &self.key, self.sizes, lengths);
        for table in Table::ALL {
            let old = Merge::new(&opened, table).await?;
            let old = OldRows { rows: old, base: self.base.as_deref() };
            merge_table(&mut builder, table, old, &mut fresh_rows, drops_gone).await?;
        }
        segments.extend(builder.finish().await?);
        Ok(segments)
    }

    /// Lengths of this run's packs, and of those that these segments name.
    fn lengths_of_packs(&self, segments: &[Arc<SegmentReader>]) -> PackLengths {
        let named = segments.iter().flat_map(|segment| segment.packs_and_lengths());
        let known = named.filter_map(|(pack, length)| match length {
            Length::Exactly(length) => Some((pack, length)),
            Length::AtLeast(_) => None,
        });
        known.chain(self.packer.packs().iter().map(|(pack, length)| (*pack, *length))).collect()
    }

    /// Index of the oldest segment of the base whose rows point to a pack that is lost: from there on all are merged, so
    /// that the new snapshot names no such pack.
    async fn first_with_lost_packs(&self) -> Result<usize> {
        let Some(base) = self.base.as_ref().filter(|base| base.has_lost_packs()) else {
            return Ok(usize::MAX);
        };
        let segments = base.segments().await?;
        let names_lost =
            |segment: &Arc<SegmentReader>| segment.packs().iter().any(|pack| base.has_lost(*pack));
        Ok(segments.iter().position(names_lost).unwrap_or(usize::MAX))
    }
}

fn too_large(what: &str, length: usize, limit: usize) -> Error {
    Error::TooLarge { what: what.to_owned(), length: length as u64, limit: limit as u64 }
}

fn encoded(row: &Row) -> NewContent {
    NewContent::Encoded(row.encode_to_vec().into())
}

fn gone(table: Table, key: Bytes) -> NewRow {
    NewRow { table, key, content: NewContent::Gone }
}
