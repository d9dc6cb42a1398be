//! `check` proves that references are consistent, `scrub` that the bytes are still there and right.

mod needs;
pub(crate) mod report;
mod tables;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{StreamExt, stream};
use model::SnapshotNumber;
use proto::repository::log_entry::Kind as EntryKind;
use proto::repository::{LogEntry, SegmentRef};

use crate::check::needs::{Listed, Needs, place_hash};
use crate::check::report::MAX_PROBLEMS;
pub use crate::check::report::{CheckReport, Problem};
use crate::check::tables::check_snapshot;
use crate::error::{Error, Result};
use crate::info::SnapshotInfo;
use crate::log::fold::{LogState, segment_name};
use crate::log::journal::Folded;
use crate::pack::reader::read_pack;
use crate::repository::Repository;
use crate::sealing::seal::{BlobHasher, Cipher, FORMAT, Kind};
use crate::segment::reader::SegmentReader;
use crate::segment::verify::verify;
use crate::storage::layout::{Object, ObjectName};
use crate::storage::length::Length;

/// How much is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Log, segments, and that every pack is there and of its length.
    Structure,
    /// All of that, and every byte of every log entry, segment and pack that is referred to is read, opened and hashed.
    Data,
}

const LONGER: &str = "is longer than it was written";

/// Log entries read at the same time.
const READS_IN_FLIGHT: usize = 8;

impl Repository {
    /// Checks all snapshots, or one.
    pub fn check<'a>(
        &'a self,
        only: Option<SnapshotNumber>,
        depth: Depth,
    ) -> BoxFuture<'a, Result<CheckReport>> {
        Box::pin(async move {
            let mut report = CheckReport::default();
            let tip = self.tip().await?;
            let Folded { state, unreadable } = self.journal().fold(&tip).await?;
            let mut needs = Needs { noted: state.damaged.clone(), ..Needs::default() };
            if let Some(only) = only.filter(|only| !state.snapshots.contains_key(&only.0)) {
                let has = format!("{} snapshots", state.snapshots.len());
                return Err(Error::NoSnapshot { number: only.0, has });
            }
            self.check_log(tip.position.number, unreadable, depth, &mut report).await?;
            // A log that is only just begun may lack copies: the next writer makes them before it appends anything.
            if tip.format == FORMAT && tip.position.number > 1 {
                self.check_copies(&mut report).await?;
            }
            let mut listed: Listed = self.objects().list("segments").await?.into_iter().collect();
            listed.extend(self.objects().list("packs").await?);
            self.check_segments(&state, only, depth, &listed, &mut needs, &mut report).await?;
            let mut walked = HashMap::new();
            for (number, snapshot) in &state.snapshots {
                let number = SnapshotNumber(*number);
                if only.is_some_and(|only| only != number) {
                    continue;
                }
                let snapshot = self.open_snapshot(SnapshotInfo::from_disk(number.0, snapshot));
                if let Err(error) = check_snapshot(&snapshot, &mut walked, &mut needs, &mut report).await {
                    needs.lacks_rows = true;
                    report.problem_of(Some(number), error)?;
                }
            }
            report.blobs = needs.packs.values().map(|(_, blobs)| blobs.len() as u64).sum();
            self.check_packs(&needs, depth, &listed, &mut report).await?;
            report.harms_slices = !report.damaged.is_disjoint(&needs.of_slices);
            if only.is_none() {
                (report.unreferenced, report.unreferenced_bytes) = needs.count_unreferenced(&listed);
                if depth == Depth::Data {
                    report.damaged_records = self.damaged_records().await?;
                }
            }
            Ok(report)
        })
    }

    /// Every number up to the newest has an entry; with `Depth::Data` each opens, and checkpoints say what those before add up to.
    async fn check_log(
        &self,
        newest: u64,
        mut unreadable: BTreeSet<u64>,
        depth: Depth,
        report: &mut CheckReport,
    ) -> Result<()> {
        // It lies twice, so it is looked at with the copies.
        unreadable.remove(&1);
        let present = self.journal().numbers().await?;
        // Entries that came during the check follow without a gap. Entry 1 may lie in its copy alone.
        let last = present.last().copied().unwrap_or_default().max(newest);
        let gaps = (2..=last).filter(|number| !present.contains(number));
        for number in gaps.take(MAX_PROBLEMS) {
            unreadable.remove(&number);
            report.problem_beside(format!("log entry {number} is missing"));
        }
        match depth {
            Depth::Structure => {
                for number in unreadable {
                    report.problem_beside(format!("log entry {number} was altered or damaged"));
                }
                Ok(())
            }
            Depth::Data => {
                let entries = present.range(..=newest).copied().filter(|number| *number > 1);
                self.check_entries(entries.collect(), report).await
            }
        }
    }

    /// Checks that each copied object and its copy are the same bytes.
    async fn check_copies(&self, report: &mut CheckReport) -> Result<()> {
        let mut listed = self.objects().list("keys").await?;
        listed.extend(self.objects().list("copies").await?);
        let mut originals: BTreeSet<Object> = listed.iter().map(|(object, _)| object.original()).collect();
        originals.insert(Object::Log(1));
        for original in originals {
            let Some(copy) = original.copy() else { continue };
            if original == Object::Log(1)
                && self.journal().found(1).await?.is_none_or(|found| found.entry.is_none())
            {
                report.problem_beside("log entry 1 and its copy are missing or damaged".to_owned());
                continue;
            }
            let (first, second) = (self.objects().get(&original).await?, self.objects().get(&copy).await?);
            if first.is_none() || first != second {
                let names = format!("{} and {}", original.relative(), copy.relative());
                let what = format!("{names} are not the same bytes; `malle repair` makes them so again");
                report.problem_beside(what);
                report.copies += 1;
            }
        }
        Ok(())
    }

    async fn check_entries(&self, numbers: Vec<u64>, report: &mut CheckReport) -> Result<()> {
        let mut entries =
            stream::iter(numbers).map(|number| self.journal().read(number)).buffered(READS_IN_FLIGHT);
        let mut folded = Some(LogState::default());
        while let Some(entry) = entries.next().await {
            match entry {
                Ok(entry) => folded = fold_on(folded, &entry, report),
                Err(error) => {
                    folded = None;
                    report.problem_of(None, error)?;
                    report.beside += 1;
                }
            }
        }
        Ok(())
    }

    /// The segments of all roots, each once.
    async fn check_segments(
        &self,
        state: &LogState,
        only: Option<SnapshotNumber>,
        depth: Depth,
        listed: &Listed,
        needs: &mut Needs,
        report: &mut CheckReport,
    ) -> Result<()> {
        let wanted = |number: &u64| only.is_none_or(|only| only.0 == *number);
        let snapshots = state.snapshots.iter().filter(|(number, _)| wanted(number));
        let chain = state.progress.iter().filter(|_| only.is_none());
        let of_slices = chain.clone().flat_map(|(_, progress)| &progress.segments).filter_map(segment_name);
        needs.of_slices = of_slices.map(Object::Segment).collect();
        let references = snapshots
            .flat_map(|(_, snapshot)| &snapshot.segments)
            .chain(chain.flat_map(|(_, progress)| &progress.segments));
        let fresh = references
            .filter(|reference| segment_name(reference).is_some_and(|name| needs.segments.insert(name)));
        // Owned: a closure over references keeps the compiler from seeing that the whole check may move between threads.
        let fresh: Vec<SegmentRef> = fresh.cloned().collect();
        let mut checks = stream::iter(fresh)
            .map(|reference| async move {
                let read = self.check_segment(&reference, depth).await;
                (segment_name(&reference).map(Object::Segment), reference.bytes, read)
            })
            .buffered(READS_IN_FLIGHT);
        while let Some((object, bytes, read)) = checks.next().await {
            let is_longer = |object: &Object| listed.get(object).is_some_and(|found| *found > bytes);
            let longer = object.filter(is_longer);
            match read {
                Ok(named) => {
                    if object.is_some_and(|object| needs.of_slices.contains(&object)) {
                        needs.of_slices.extend(named.iter().map(|(pack, _)| Object::Pack(*pack)));
                    }
                    needs.named.extend(named);
                    match longer {
                        Some(object) => report.damage(object, LONGER),
                        None => report.whole.extend(object.filter(|_| depth == Depth::Data)),
                    }
                }
                Err(error) => {
                    needs.lacks_rows = true;
                    report.problem_of(None, error)?;
                }
            }
        }
        Ok(())
    }

    /// The packs that its footer names.
    async fn check_segment(&self, reference: &SegmentRef, depth: Depth) -> Result<Vec<(ObjectName, Length)>> {
        let segment = Arc::new(SegmentReader::open(self.objects(), self.key(), reference).await?);
        if depth == Depth::Data {
            verify(&segment, reference).await?;
        }
        Ok(segment.packs_and_lengths().collect())
    }

    async fn check_packs(
        &self,
        needs: &Needs,
        depth: Depth,
        listed: &Listed,
        report: &mut CheckReport,
    ) -> Result<()> {
        let none = (0, HashSet::new());
        // Which of a pack's blobs an unfinished backup needs is not looked up, and cannot be where rows are lost.
        let others = needs.named.keys().filter(|pack| needs.may_need(**pack)).map(|pack| (pack, &none));
        let all: BTreeMap<_, _> = others.chain(&needs.packs).collect();
        report.packs = all.len() as u64;
        for (pack, (reach, blobs)) in all {
            let object = Object::Pack(*pack);
            let length = needs.named.get(pack).copied().unwrap_or(Length::AtLeast(*reach));
            match listed.get(&object) {
                None => report.damage(object, "is missing"),
                Some(size) if *size < length.least().max(*reach) => report.damage(object, "is cut off"),
                Some(size) if !length.admits(*size) => report.damage(object, LONGER),
                Some(_) if depth == Depth::Structure => {}
                Some(size) => {
                    match self.scrub_pack(*pack, blobs).await {
                        Ok(()) => drop(report.whole.insert(object)),
                        Err(error) => report.problem_of(None, error)?,
                    }
                    report.bytes_read += size;
                }
            }
        }
        Ok(())
    }

    /// Reads a pack, hashes every blob in it and compares with what segments say lies there.
    async fn scrub_pack(&self, name: ObjectName, expected: &HashSet<u64>) -> Result<()> {
        let object = Object::Pack(name);
        let bytes = self.objects().must_get(&object).await?;
        let (key, hasher) = (self.key().clone(), BlobHasher::new(self.key()));
        let dir = self.objects().dir();
        let found = tokio::task::spawn_blocking(move || {
            let cipher = Cipher::read(&key, &bytes, Kind::Pack, dir, object.relative())?;
            let mut found = HashSet::new();
            read_pack(&cipher, name, &bytes, |location, blob| {
                found.insert(place_hash(&hasher.id(blob), location));
            })?;
            Ok::<_, Error>(found)
        });
        let found = found.await.map_err(|_| Error::Stopped)??;
        match expected.difference(&found).count() {
            0 => Ok(()),
            n => Err(Error::corrupt(
                Object::Pack(name).relative(),
                format!("{n} blobs are not where their rows say"),
            )),
        }
    }
}

/// Adds an entry, and compares a checkpoint with what those before it add up to. `None`: one before is missing or cannot be read,
/// so what they add up to is unknown, up to the next checkpoint.
fn fold_on(folded: Option<LogState>, entry: &LogEntry, report: &mut CheckReport) -> Option<LogState> {
    // Entry 1 only begins the log.
    let is_next = |state: &LogState| entry.number == state.number.max(1) + 1;
    let before = folded.filter(is_next);
    let checkpoint = match &entry.kind {
        Some(EntryKind::Checkpoint(checkpoint)) => Some(checkpoint),
        _ => None,
    };
    if let (Some(before), Some(checkpoint)) = (&before, checkpoint)
        && *checkpoint != before.checkpoint()
    {
        let what = format!("checkpoint {} is not what the entries before it add up to", entry.number);
        report.problem_beside(what);
    }
    let mut state = before.or_else(|| checkpoint.map(|_| LogState::default()))?;
    state.apply(entry);
    Some(state)
}
