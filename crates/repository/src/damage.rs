//! What is missing or damaged: noted in the log by whoever meets it, and left out of what the next snapshot grows from.
//!
//! **Order.** A *Damaged* entry names objects; it changes nothing else. The next snapshot behind it refers to none of them.
//! **Crash.** Before the entry: nothing is noted, and the next look finds it again. After it: complete.
//! **Retry.** Noting what is noted already writes nothing.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::BoxFuture;
use futures::{StreamExt, stream};
use model::{BlobId, Clock, DataType, EmailId, EmailRecord};
use proto::repository::log_entry::Kind;
use proto::repository::{Damaged, Head, SegmentRef};

use crate::error::{Error, Result, unless_damaged};
use crate::info::{SnapshotInfo, TypeState};
use crate::known::Fingerprints;
use crate::log::fold::{objects, segment_name};
use crate::log::journal::{Appended, Folded, Found};
use crate::repository::Repository;
use crate::rows::{BlobPlace, Location, Table, object_from};
use crate::segment::reader::{SegmentReader, WHOLE};
use crate::segment::verify::verify;
use crate::snapshot::{Snapshot, malformed};
use crate::storage::layout::{Object, ObjectName};
use crate::storage::length::Length;

/// Tries to append behind entries of others.
const ATTEMPTS: usize = 16;
/// Segments looked at at the same time.
const READS_IN_FLIGHT: usize = 8;
/// Segments read to their end at the same time.
const SEGMENTS_READ: usize = 4;

/// Segments and their lengths, with the packs that their footers name; `None`: it cannot be opened.
type Footers = Vec<((ObjectName, u64), Option<Vec<(ObjectName, Length)>>)>;

/// Frames of packs.
pub(crate) type Frames = BTreeSet<(ObjectName, u32)>;

/// What a base has lost.
#[derive(Default)]
pub struct Damage {
    /// Emails whose bytes are not held.
    pub emails: BTreeSet<EmailId>,
    /// Objects whose JSON or content is not held.
    pub objects: BTreeSet<(DataType, String)>,
    /// Rows are lost too, or the log does not say for sure what the newest snapshot is.
    pub lacks_rows: bool,
    /// Emails that the base has rows of, those without bytes too, and their raw bytes.
    pub counted: (u64, u64),
    /// Objects that the base has rows of.
    counted_objects: u64,
    held: Fingerprints,
}

impl Damage {
    /// Compares the rows of emails and objects with those of blobs; `readable` are the frames of lost packs that count as held.
    /// Takes twelve bytes of memory a blob.
    pub(crate) fn of<'a>(base: &'a Snapshot, readable: &'a Frames) -> BoxFuture<'a, Result<Damage>> {
        Box::pin(async move {
            let mut damage = Damage { held: held(base, readable).await?, ..Damage::default() };
            let mut emails = base.table(Table::Emails).await?;
            while let Some(found) = emails.next_present().await? {
                let email = EmailRecord::try_from(found.row).map_err(|_| malformed("an email"))?;
                damage.counted.0 += 1;
                damage.counted.1 += email.size;
                if !damage.held.has(&email.blob) {
                    damage.emails.insert(email.id);
                }
            }
            let mut rows = base.table(Table::Objects).await?;
            while let Some(found) = rows.next_present().await? {
                let object = object_from(found.row).ok_or_else(|| malformed("an object"))?;
                damage.counted_objects += 1;
                let mut blobs = object.record.blob.iter().chain(&object.json_blob);
                if !blobs.all(|blob| damage.held.has(blob)) {
                    damage.objects.insert((object.record.data_type, object.record.id));
                }
            }
            Ok(damage)
        })
    }

    pub(crate) fn take_held(&mut self) -> Fingerprints {
        std::mem::take(&mut self.held)
    }
}

/// The blobs of a snapshot whose bytes are held, as far as its rows tell.
async fn held(base: &Snapshot, readable: &Frames) -> Result<Fingerprints> {
    let mut held = Fingerprints::default();
    let is_held = |at: &Location| !base.has_lost(at.pack) || readable.contains(&(at.pack, at.frame));
    // Chunks stand anywhere in the table, so what consists of them is decided when all of them are known.
    for chunked in [false, true] {
        let mut blobs = base.table(Table::Blobs).await?;
        while let Some(found) = blobs.next_present().await? {
            let Ok(id) = found.row.key.as_ref().try_into().map(BlobId) else { continue };
            match &found.place {
                Some(BlobPlace::Whole(at)) if !chunked && is_held(at) => held.add(&id),
                Some(BlobPlace::Chunks { chunks, .. }) if chunked && chunks.iter().all(|c| held.has(c)) => {
                    held.add(&id);
                }
                _ => {}
            }
        }
    }
    Ok(held)
}

/// How much of a snapshot lies in what the store has lost or damaged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Losses {
    /// Emails.
    pub emails: u64,
    /// Objects of other types, folders among them.
    pub objects: u64,
    /// A part of the index cannot be read: at least so much is lost, since what that part replaced or removed counts as held.
    pub lacks_rows: bool,
}

impl Losses {
    /// Nothing is known to be lost.
    pub fn is_none(self) -> bool {
        self == Losses::default()
    }
}

/// How closely the base of the next snapshot is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Segments and packs are there, each of its own length (a pack that format 1 wrote: as long as it has to be).
    Listing,
    /// All of that, every row of every segment is read, and second copies are made good again.
    Rows,
}

impl Repository {
    /// Compares what the next snapshot would grow from with a listing of the store, and notes what is missing or damaged.
    /// True if that was not noted before.
    pub fn examine<'a>(&'a self, look: Look, clock: &'a dyn Clock) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            let tip = self.tip().await?;
            let base = self.base(&tip).await?;
            let segments = base.segments();
            match look {
                Look::Listing => self.note_missing(&segments, clock).await,
                Look::Rows => {
                    self.heal_copies().await?;
                    let damaged = self.unreadable(&segments).await?;
                    let is_new = self.note_damage(damaged, clock).await?;
                    Ok(self.note_missing(&segments, clock).await? || is_new)
                }
            }
        })
    }

    /// The same snapshot, which goes around what cannot be read of its rows. All of them are read to learn that. If nothing of them
    /// can be, it is returned as it is, to fail where it is read.
    pub async fn readable(&self, snapshot: Snapshot) -> Result<Snapshot> {
        let segments = &snapshot.info().segments;
        let damaged = self.unreadable(segments).await?;
        if damaged.is_empty() {
            return Ok(snapshot);
        }
        let reduced = self.around(snapshot.info(), &self.packs_of(segments).await?, damaged);
        Ok(if reduced.lacks_rows() && !reduced.info().segments.is_empty() { reduced } else { snapshot })
    }

    /// A snapshot as far as the rows of its segments can be read, of which these are damaged.
    fn around(&self, info: &SnapshotInfo, opened: &Footers, damaged: BTreeSet<Object>) -> Snapshot {
        if damaged.is_empty() {
            return self.open_snapshot(info.clone());
        }
        let unopened = opened.iter().filter(|(_, packs)| packs.is_none());
        let unopened = unopened.map(|((name, _), _)| Object::Segment(*name)).collect();
        self.without(info.clone(), &unopened).going_around(damaged)
    }

    /// Counts what of a snapshot cannot be read, as far as its segments, a listing, and the frames of packs that are noted as damaged
    /// tell; bytes that changed inside another pack, or a long segment, show when it is read only.
    pub fn losses<'a>(&'a self, snapshot: &'a Snapshot) -> BoxFuture<'a, Result<Losses>> {
        Box::pin(async move {
            let info = snapshot.info();
            let mut damaged = self.known_damage().await?;
            let opened = self.packs_of(&info.segments).await?;
            // Short ones were read to their end when they were opened.
            let doubtful = opened.iter().zip(&info.segments).filter(|(((name, bytes), packs), _)| {
                packs.is_none() || *bytes <= WHOLE || damaged.contains(&Object::Segment(*name))
            });
            let doubtful: Vec<SegmentRef> = doubtful.map(|(_, segment)| segment.clone()).collect();
            let reduced = self.around(info, &opened, self.unreadable(&doubtful).await?);
            let lacks_rows = snapshot.lacks_rows() || reduced.lacks_rows();
            let named: BTreeSet<ObjectName> = opened
                .iter()
                .filter_map(|(_, packs)| packs.as_ref())
                .flatten()
                .map(|(pack, _)| *pack)
                .collect();
            damaged.extend(self.missing_among(opened).await?);
            damaged.retain(|object| matches!(object, Object::Pack(pack) if named.contains(pack)));
            if damaged.is_empty() && !lacks_rows {
                return Ok(Losses::default());
            }
            let base = self.without(reduced.info().clone(), &damaged);
            let base = if lacks_rows { base.going_around(BTreeSet::new()) } else { base };
            let left = Damage::of(&base, &self.readable_frames(&base).await?).await?;
            let is_object = |of: &&TypeState| of.data_type != DataType::Email;
            let objects: u64 = info.summary.types.iter().filter(is_object).map(|of| of.count).sum();
            Ok(Losses {
                emails: left.emails.len() as u64 + info.summary.emails.saturating_sub(left.counted.0),
                objects: left.objects.len() as u64 + objects.saturating_sub(left.counted_objects),
                lacks_rows,
            })
        })
    }

    /// The frames of lost packs that open all the same.
    async fn readable_frames(&self, base: &Snapshot) -> Result<Frames> {
        let present: BTreeSet<Object> =
            self.objects().list("packs").await?.into_iter().map(|(object, _)| object).collect();
        let mut frames = BTreeMap::new();
        let mut blobs = base.table(Table::Blobs).await?;
        while let Some(found) = blobs.next_present().await? {
            if let Some(BlobPlace::Whole(at)) = found.place
                && base.has_lost(at.pack)
                && present.contains(&Object::Pack(at.pack))
            {
                frames.insert((at.pack, at.frame), at);
            }
        }
        let mut opened = stream::iter(frames)
            .map(|(frame, at)| async move { (frame, base.opens(&at).await) })
            .buffered(READS_IN_FLIGHT);
        let mut readable = Frames::new();
        while let Some((frame, read)) = opened.next().await {
            readable.extend(unless_damaged(read)?.map(|()| frame));
        }
        Ok(readable)
    }

    /// Notes in the log that these packs and segments are missing or damaged; others are left out. True if that took an entry.
    pub async fn note_damage(
        &self,
        found: impl IntoIterator<Item = Object>,
        clock: &dyn Clock,
    ) -> Result<bool> {
        let found = found.into_iter().filter(|object| matches!(object, Object::Pack(_) | Object::Segment(_)));
        let found: BTreeSet<Object> = found.collect();
        self.change_damage(|known| known.extend(&found), clock).await
    }

    /// Notes that these objects were found whole again. True if one of them was noted as damaged.
    pub async fn note_sound(&self, found: &BTreeSet<Object>, clock: &dyn Clock) -> Result<bool> {
        self.change_damage(|known| known.retain(|object| !found.contains(object)), clock).await
    }

    /// The packs and segments that are noted as missing or damaged.
    pub async fn known_damage(&self) -> Result<BTreeSet<Object>> {
        let tip = self.tip().await?;
        let head = self.head(&tip).await?;
        self.damaged_by(&head).await
    }

    async fn change_damage(&self, change: impl Fn(&mut BTreeSet<Object>), clock: &dyn Clock) -> Result<bool> {
        for _ in 0..ATTEMPTS {
            let tip = self.tip().await?;
            let head = self.head(&tip).await?;
            // A lost note is replaced even if nothing is found: otherwise every backup to come would look for it.
            let is_lost = self.has_lost_note(&head).await?;
            let known = if is_lost { self.found_again(&tip).await? } else { self.damaged_by(&head).await? };
            let mut all = known.clone();
            change(&mut all);
            if all == known && !is_lost {
                return Ok(false);
            }
            let kind = Kind::Damaged(Damaged { objects: all.iter().map(Object::relative).collect() });
            let (_, appended) = self.journal().append(Some((tip.position, &head)), kind, clock.now()).await?;
            if matches!(appended, Appended::Done) {
                return Ok(true);
            }
        }
        let number = self.position().map_or(0, |position| position.number);
        Err(Error::Lost { winner: "a stream of other entries".to_owned(), number, unused_bytes: 0 })
    }

    /// The newest *Damaged* entry cannot be read itself: what it named has to be found again.
    pub(crate) async fn has_lost_note(&self, head: &Head) -> Result<bool> {
        match head.damaged {
            0 => Ok(false),
            number => Ok(self.note(number).await?.is_none()),
        }
    }

    /// What a lost *Damaged* entry may have named: what the last readable one names, and what a snapshot needs and the store
    /// lacks.
    async fn found_again(&self, tip: &Found) -> Result<BTreeSet<Object>> {
        let Folded { state, .. } = self.journal().fold(tip).await?;
        let all = state.snapshots.values().flat_map(|snapshot| &snapshot.segments);
        let different: BTreeMap<_, _> = all.map(|segment| (segment.name.clone(), segment.clone())).collect();
        let segments: Vec<SegmentRef> = different.into_values().collect();
        let mut found = state.damaged;
        found.extend(self.missing_of(&segments).await?);
        Ok(found)
    }

    /// What the newest *Damaged* entry names.
    pub(crate) async fn damaged_by(&self, head: &Head) -> Result<BTreeSet<Object>> {
        if head.damaged == 0 {
            return Ok(BTreeSet::new());
        }
        let note = self.note(head.damaged).await?;
        Ok(note.map(|damaged| objects(&damaged.objects)).unwrap_or_default())
    }

    /// The *Damaged* entry of this number; `None`: it cannot be read, or another one stands in its place.
    async fn note(&self, number: u64) -> Result<Option<Damaged>> {
        let entry = unless_damaged(self.journal().read(number).await)?;
        Ok(entry.and_then(|entry| match entry.kind {
            Some(Kind::Damaged(damaged)) => Some(damaged),
            _ => None,
        }))
    }

    /// Notes what these segments need and the store lacks. True if that was not noted before.
    pub(crate) async fn note_missing(&self, segments: &[SegmentRef], clock: &dyn Clock) -> Result<bool> {
        let missing = self.missing_of(segments).await?;
        self.note_damage(missing, clock).await
    }

    /// Those of these segments, and of the packs that they name, that the store does not have, or of another length.
    fn missing_of<'a>(&'a self, segments: &'a [SegmentRef]) -> BoxFuture<'a, Result<Vec<Object>>> {
        Box::pin(async move { self.missing_among(self.packs_of(segments).await?).await })
    }

    /// The same of segments whose footers were read.
    fn missing_among<'a>(&'a self, opened: Footers) -> BoxFuture<'a, Result<Vec<Object>>> {
        Box::pin(async move {
            let mut listed: BTreeMap<Object, u64> =
                self.objects().list("segments").await?.into_iter().collect();
            listed.extend(self.objects().list("packs").await?);
            let is_there = |object: &Object, length: Length| {
                listed.get(object).is_some_and(|found| length.admits(*found))
            };
            let mut missing = BTreeMap::new();
            for (segment, packs) in opened {
                let (object, length) = (Object::Segment(segment.0), Length::Exactly(segment.1));
                let packs = packs.filter(|_| is_there(&object, length));
                if packs.is_none() {
                    missing.insert(object, length);
                }
                let packs = packs.into_iter().flatten().map(|(pack, length)| (Object::Pack(pack), length));
                missing.extend(packs.filter(|(pack, length)| !is_there(pack, *length)));
            }
            self.truly_missing(missing).await
        })
    }

    /// Those of these objects that are missing or of another length. A listing may be old or cut off, so each is asked for its
    /// last byte.
    async fn truly_missing(&self, unlisted: BTreeMap<Object, Length>) -> Result<Vec<Object>> {
        let mut asked = stream::iter(unlisted)
            .map(|(object, length)| async move {
                let found = self.objects().length_beside(&object, length.least().saturating_sub(1)).await;
                (object, length, found)
            })
            .buffered(READS_IN_FLIGHT);
        let mut missing = Vec::new();
        while let Some((object, length, found)) = asked.next().await {
            if !unless_damaged(found)?.is_some_and(|found| length.admits(found)) {
                missing.push(object);
            }
        }
        Ok(missing)
    }

    /// What the footers of these segments say.
    fn packs_of<'a>(&'a self, segments: &'a [SegmentRef]) -> BoxFuture<'a, Result<Footers>> {
        Box::pin(async move {
            let named = segments.iter().filter_map(|segment| Some((segment_name(segment)?, segment.clone())));
            let named: Vec<(ObjectName, SegmentRef)> = named.collect();
            let mut opened = stream::iter(named)
                .map(|(name, segment)| async move {
                    let opened = SegmentReader::open(self.objects(), self.key(), &segment).await;
                    ((name, segment.bytes), opened)
                })
                .buffered(READS_IN_FLIGHT);
            let mut all = Vec::new();
            while let Some((segment, opened)) = opened.next().await {
                all.push((
                    segment,
                    unless_damaged(opened)?.map(|opened| opened.packs_and_lengths().collect()),
                ));
            }
            Ok(all)
        })
    }

    /// Those of these segments that cannot be read to their end.
    async fn unreadable(&self, segments: &[SegmentRef]) -> Result<BTreeSet<Object>> {
        // Owned, so that the whole may move between threads.
        let mut reading = stream::iter(segments.to_vec())
            .map(|segment| async move {
                let read = async {
                    let opened = SegmentReader::open(self.objects(), self.key(), &segment).await?;
                    verify(&std::sync::Arc::new(opened), &segment).await
                };
                (segment_name(&segment), read.await)
            })
            .buffered(SEGMENTS_READ);
        let mut damaged = BTreeSet::new();
        while let Some((name, read)) = reading.next().await {
            if unless_damaged(read)?.is_none() {
                damaged.extend(name.map(Object::Segment));
            }
        }
        Ok(damaged)
    }
}
