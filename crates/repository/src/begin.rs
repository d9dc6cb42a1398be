//! Where a new snapshot begins: the end of the log, and what the newest snapshot leaves to grow from.
//!
//! **Damage.** A base is what can be read of it. Objects that are known to be missing or damaged count as not held: their
//! rows are left out, and the writer is told which emails and objects have lost their bytes (`Damage`). If the newest
//! snapshot's own entry does not open, the newest one that does is the base, after a look at what is there.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::BoxFuture;
use model::Clock;
use proto::repository::log_entry::Kind;
use proto::repository::{Head, Init, LogEntry, Progress, SegmentRef, Upgrade};

use crate::damage::{Damage, Frames};
use crate::error::{Error, Result, unless_damaged};
use crate::info::{SnapshotInfo, millis};
use crate::log::fold::{newest_segments, segment_name};
use crate::log::journal::{Appended, Found};
use crate::repository::Repository;
use crate::sealing::seal::FORMAT;
use crate::snapshot::Snapshot;
use crate::storage::layout::{Object, ObjectName};
use crate::writer::{Slices, SnapshotWriter};

/// What the next snapshot may grow from.
#[derive(Default)]
pub(crate) struct Base {
    /// The newest snapshot whose entry can be read.
    pub(crate) info: Option<SnapshotInfo>,
    /// The live slices behind it, oldest first.
    slices: Vec<Progress>,
    /// The log could not be read as its newest entry says: nothing is known of what its objects are worth.
    pub(crate) is_doubtful: bool,
}

impl Base {
    /// Everything that the next snapshot would grow from.
    pub(crate) fn segments(&self) -> Vec<SegmentRef> {
        let snapshot = self.info.iter().flat_map(|info| &info.segments);
        snapshot.chain(self.slices.iter().flat_map(|slice| &slice.segments)).cloned().collect()
    }
}

impl Repository {
    /// Begins a snapshot that grows from the newest one and the slices behind it; the first one begins the log.
    pub fn begin_snapshot<'a>(&'a self, clock: &'a dyn Clock) -> BoxFuture<'a, Result<SnapshotWriter>> {
        Box::pin(async move {
            let (tip, head, base) = self.doubted_base(clock).await?;
            let Base { info, slices, is_doubtful } = base;
            let so_far = slices.first().zip(slices.last()).map(|(first, last)| Slices {
                started: millis(first.started_ms),
                cursor: last.cursor.clone(),
                stored_bytes: last.stored_bytes,
            });
            let mut info = info.or_else(|| so_far.is_some().then(SnapshotInfo::empty));
            if let Some(info) = &mut info {
                info.segments.extend(slices.into_iter().flat_map(|slice| slice.segments));
            }
            let is_older = info.as_ref().is_some_and(|info| info.number.0 < head.damaged);
            let (mut base, mut damage) = (None, None);
            if let Some(info) = info {
                let damaged = if is_older { self.damaged_by(&head).await? } else { BTreeSet::new() };
                let segments = info.segments.len();
                let snapshot = self.without(info, &damaged);
                if is_doubtful || is_older {
                    let mut of_base = Damage::of(&snapshot, &Frames::new()).await?;
                    of_base.lacks_rows = is_doubtful || snapshot.info().segment_count() < segments;
                    damage = Some(of_base);
                }
                base = Some(Arc::new(snapshot));
            }
            Ok(SnapshotWriter::new(self, (tip.position, head), base, so_far, damage))
        })
    }

    /// The end of the log and the base. What a doubtful base refers to is compared with a listing of the store first.
    async fn doubted_base(&self, clock: &dyn Clock) -> Result<(Found, Head, Base)> {
        loop {
            let tip = self.tip_to_write(clock).await?;
            let (head, mut base) = (self.head(&tip).await?, self.base(&tip).await?);
            base.is_doubtful |= self.has_lost_note(&head).await?;
            let is_settled =
                if base.is_doubtful { !self.note_missing(&base.segments(), clock).await? } else { true };
            if is_settled {
                return Ok((tip, head, base));
            }
        }
    }

    /// A snapshot as if these objects were not there.
    pub(crate) fn without(&self, mut info: SnapshotInfo, damaged: &BTreeSet<Object>) -> Snapshot {
        let is_whole = |name: ObjectName| !damaged.contains(&Object::Segment(name));
        info.segments.retain(|segment| segment_name(segment).is_some_and(is_whole));
        let lost = damaged.iter().filter_map(|object| match object {
            Object::Pack(name) => Some(*name),
            _ => None,
        });
        Snapshot::new(info, self.objects().clone(), self.key().clone(), lost.collect())
    }

    /// The end of the log to write behind. Begins a log that has none, and marks one of an older format.
    async fn tip_to_write(&self, clock: &dyn Clock) -> Result<Found> {
        loop {
            let tip = match (self.tip().await, &self.init) {
                (Err(Error::NoMailbox), Some(init)) => {
                    self.begin_log(init.clone(), clock).await?;
                    continue;
                }
                (tip, _) => tip?,
            };
            if tip.position.number == 1 {
                // The writer that began the log may have ended before it made the copies.
                self.heal_copies().await?;
            }
            let Some(head) = tip.head().filter(|_| tip.format < FORMAT) else { return Ok(tip) };
            self.heal_copies().await?;
            let upgrade = Kind::Upgrade(Upgrade { from: tip.format.into() });
            // Another writer may have been faster: then the loop finds its entry.
            self.journal().append(Some((tip.position, head)), upgrade, clock.now()).await?;
        }
    }

    /// Entry 1 settles which data key is the mailbox's: it opens with that key only.
    async fn begin_log(&self, init: Init, clock: &dyn Clock) -> Result<()> {
        match self.journal().append(None, Kind::Init(init), clock.now()).await? {
            (_, Appended::Done) => self.heal_copies().await.map(drop),
            // It opened with our key: another writer began the same log a moment earlier.
            (_, Appended::Taken(found)) if found.entry.is_some() => Ok(()),
            (_, Appended::Taken(_)) => {
                let what = "it does not open with the key that this writer found";
                Err(Error::corrupt(Object::Log(1).relative(), what))
            }
        }
    }

    /// What the log says of the state at its end; of an end that cannot be read, what the last readable entry says.
    pub(crate) async fn head(&self, tip: &Found) -> Result<Head> {
        if let Some(head) = tip.head() {
            return Ok(head.clone());
        }
        let before = self.journal().readable_before(tip.position.number).await?;
        before.and_then(|entry| entry.head).ok_or_else(|| {
            Error::corrupt(Object::Log(tip.position.number).relative(), "no entry of this log can be read")
        })
    }

    /// The newest snapshot, from the newest entry and at most two that its head names.
    pub(crate) fn base<'a>(&'a self, tip: &'a Found) -> BoxFuture<'a, Result<Base>> {
        Box::pin(async move {
            let named = match &tip.entry {
                Some(newest) => self.base_by_head(newest).await.map(Some),
                None => Ok(None),
            };
            match named {
                Ok(Some(base)) => Ok(base),
                Ok(None) | Err(Error::Corrupt { .. } | Error::Missing { .. }) => {
                    let folded = self.journal().fold(tip).await?;
                    let newest = folded.state.snapshots.last_key_value();
                    let info = newest.map(|(number, snapshot)| SnapshotInfo::from_disk(*number, snapshot));
                    let slices = match &tip.entry {
                        Some(newest) => unless_damaged(self.slices_of(newest).await)?.unwrap_or_default(),
                        None => Vec::new(),
                    };
                    Ok(Base { info, slices, is_doubtful: true })
                }
                Err(error) => Err(error),
            }
        })
    }

    async fn base_by_head(&self, newest: &LogEntry) -> Result<Base> {
        let (info, slices) = (self.newest_by_head(newest).await?, self.slices_of(newest).await?);
        Ok(Base { info, slices, is_doubtful: false })
    }

    /// The live slices, oldest first.
    async fn slices_of(&self, newest: &LogEntry) -> Result<Vec<Progress>> {
        let head = newest.head.clone().unwrap_or_default();
        let (mut slices, mut number) = (Vec::new(), head.progress);
        while number > 0 {
            let entry = self.entry(number, newest).await?;
            match entry.kind {
                Some(Kind::Progress(slice)) if slice.base == head.snapshot && slice.previous < number => {
                    number = slice.previous;
                    slices.push(slice);
                }
                _ => {
                    let what = "a later entry names it as a slice of the next snapshot, and it is not one";
                    return Err(Error::corrupt(Object::Log(number).relative(), what));
                }
            }
        }
        slices.reverse();
        Ok(slices)
    }

    async fn newest_by_head(&self, newest: &LogEntry) -> Result<Option<SnapshotInfo>> {
        let head = newest.head.clone().unwrap_or_default();
        let number = head.snapshot;
        if number == 0 {
            return Ok(None);
        }
        if let Some(Kind::Checkpoint(checkpoint)) = &newest.kind {
            let kept = checkpoint.snapshots.iter().find(|s| s.number == number);
            if let Some(snapshot) = kept.and_then(|s| s.snapshot.as_ref()) {
                return Ok(Some(SnapshotInfo::from_disk(number, snapshot)));
            }
        }
        let made = self.entry(number, newest).await?;
        let rewritten = match head.rewritten {
            0 => None,
            rewritten => Some(self.entry(rewritten, newest).await?),
        };
        match (&made.kind, newest_segments(&made, rewritten.as_ref())) {
            (Some(Kind::Snapshot(snapshot)), Some(segments)) => {
                let mut info = SnapshotInfo::from_disk(number, snapshot);
                info.segments = segments.to_vec();
                Ok(Some(info))
            }
            _ => Err(Error::corrupt(
                Object::Log(newest.number).relative(),
                format!(
                    "it names entry {number} as the newest snapshot and {} as what replaced its segments, and they are not",
                    head.rewritten
                ),
            )),
        }
    }

    async fn entry(&self, number: u64, newest: &LogEntry) -> Result<LogEntry> {
        if number == newest.number { Ok(newest.clone()) } else { self.journal().read(number).await }
    }
}
