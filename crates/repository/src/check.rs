//! `check` proves that references are consistent, `scrub` that the bytes are still there and right.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{StreamExt, stream};
use model::{BlobId, DataType, EmailRecord, SnapshotNumber};
use proto::repository::log_entry::Kind as EntryKind;
use proto::repository::{LogEntry, SegmentRef};

use crate::error::{Error, Result};
use crate::info::SnapshotInfo;
use crate::layout::{Object, ObjectName};
use crate::length::Length;
use crate::log::fold::{LogState, segment_name};
use crate::log::journal::Folded;
use crate::pack_reader::read_pack;
use crate::repository::Repository;
use crate::rows::{BlobPlace, Location, Table, object_from};
use crate::seal::{BlobHasher, Cipher, FORMAT, Kind};
use crate::segment::reader::SegmentReader;
use crate::segment::verify::verify;
use crate::snapshot::Snapshot;

/// How much is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Log, segments, and that every pack is there and of its length.
    Structure,
    /// All of that, and every byte of every log entry, segment and pack that is referred to is read, opened and hashed.
    Data,
}

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The snapshot that suffers, if one does.
    pub snapshot: Option<SnapshotNumber>,
    /// What, for people.
    pub what: String,
}

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Snapshots that were walked through.
    pub snapshots: u64,
    /// Emails in them, each snapshot's counted.
    pub emails: u64,
    /// Different blobs they refer to.
    pub blobs: u64,
    /// Packs they refer to, or may refer to with rows that cannot be read.
    pub packs: u64,
    /// Bytes of packs that were read and hashed.
    pub bytes_read: u64,
    /// Objects on the store that nothing refers to: left by a run that was cut off, removed by a later prune.
    pub unreferenced: u64,
    /// Their bytes.
    pub unreferenced_bytes: u64,
    /// With `Depth::Data`: records of restores that are damaged. A restore that was cut off may have no other to go on from;
    /// snapshots do not need them.
    pub damaged_records: Vec<String>,
    /// Packs and segments that are missing or damaged: `Repository::note_damage` notes them for the next backup.
    pub damaged: BTreeSet<Object>,
    /// With `Depth::Data`: packs and segments that were read to their end and are what their rows say.
    pub whole: BTreeSet<Object>,
    /// Empty: all is well.
    pub problems: Vec<Problem>,
    /// All problems, those that are not listed too, and those of them that harm no snapshot: of log entries and second copies.
    found: u64,
    beside: u64,
    /// Second copies that are missing or different.
    copies: u64,
    /// Something is damaged that an unfinished backup needs.
    harms_slices: bool,
}

/// Packs and segments on the store, and their lengths.
type Listed = BTreeMap<Object, u64>;

const LONGER: &str = "is longer than it was written";

/// More problems than this are not listed: the first ones say enough.
const MAX_PROBLEMS: usize = 100;

/// Log entries read at the same time.
const READS_IN_FLIGHT: usize = 8;

/// What the roots checked so far need.
#[derive(Default)]
struct Needs {
    /// By pack: how far into it blobs reach, and a hash of every (blob, place).
    packs: BTreeMap<ObjectName, (u64, HashSet<u64>)>,
    segments: BTreeSet<ObjectName>,
    /// Packs that the footers of these segments name: a prune keeps them all.
    named: BTreeMap<ObjectName, Length>,
    /// Those of them, and those segments, that an unfinished backup needs.
    of_slices: BTreeSet<Object>,
    /// Rows cannot be read: any of these packs may be needed.
    lacks_rows: bool,
    /// Blobs of what the snapshot itself names as not fetched: they may be in no index, or in a pack that is noted as damaged.
    excused: BTreeSet<BlobId>,
    noted: BTreeSet<Object>,
}

/// A blob that something refers to, and its length if that is known from there.
type Wanted = (BlobId, Option<u64>);

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

/// What the tables of a list of segments count: emails and their bytes, failures.
type Counted = ((u64, u64), u64);

/// Snapshots of the same segments have the same tables, which are walked through once.
async fn check_snapshot(
    snapshot: &Snapshot,
    walked: &mut HashMap<Vec<Bytes>, Counted>,
    needs: &mut Needs,
    report: &mut CheckReport,
) -> Result<()> {
    report.snapshots += 1;
    let segments: Vec<Bytes> = snapshot.info().segments.iter().map(|s| s.name.clone()).collect();
    let counted = match walked.get(&segments) {
        Some(counted) => *counted,
        None => {
            let counted = check_tables(snapshot, needs, report).await?;
            walked.insert(segments, counted);
            counted
        }
    };
    compare_counts(snapshot.info(), counted, report);
    Ok(())
}

fn compare_counts(info: &SnapshotInfo, (counted, failures): Counted, report: &mut CheckReport) {
    report.emails += counted.0;
    if counted != (info.summary.emails, info.summary.email_bytes) {
        let said = &info.summary;
        let what = format!(
            "its log entry counts {} emails of {} bytes, its tables {} of {}",
            said.emails, said.email_bytes, counted.0, counted.1
        );
        report.problem(Some(info.number), what);
    }
    if failures != info.summary.failures {
        let what = format!("its log entry counts {} failures, its table {failures}", info.summary.failures);
        report.problem(Some(info.number), what);
    }
}

async fn check_tables(snapshot: &Snapshot, needs: &mut Needs, report: &mut CheckReport) -> Result<Counted> {
    let info = snapshot.info();
    needs.excused.clear();
    let failures = snapshot.failures().await?;
    let failed: BTreeSet<(DataType, &str)> = failures.iter().map(|f| (f.data_type, f.id.as_str())).collect();
    let (mut wanted, counted) = emails_of(snapshot, &failed, needs).await?;
    let mut objects = snapshot.table(Table::Objects).await?;
    while let Some(found) = objects.next_present().await? {
        let object = object_from(found.row);
        let object = object.ok_or_else(|| Error::corrupt("segments", "an object makes no sense"))?;
        let is_failed = failed.contains(&(object.record.data_type, object.record.id.as_str()));
        let blobs = object.record.blob.into_iter().chain(object.json_blob).map(|id| (id, None));
        wanted.extend(blobs.inspect(|(id, _)| needs.excuse(id, is_failed)));
    }
    let chunked = resolve(snapshot, &mut wanted, needs, report).await?;
    drop(wanted);
    let chunks = chunked.iter().flat_map(|(chunks, _)| chunks);
    let mut chunks: Vec<Wanted> = chunks.map(|id| (*id, None)).collect();
    if !resolve(snapshot, &mut chunks, needs, report).await?.is_empty() {
        report.problem(Some(info.number), "a chunk consists of chunks".to_owned());
    }
    match wrong_lengths(&chunked, &chunks) {
        0 => {}
        n => {
            let what = format!("{n} blobs are not as long as their chunks together");
            report.problem(Some(info.number), what);
        }
    }
    Ok((counted, failures.len() as u64))
}

/// The blobs of all emails, and how many emails of how many bytes there are.
async fn emails_of(
    snapshot: &Snapshot,
    failed: &BTreeSet<(DataType, &str)>,
    needs: &mut Needs,
) -> Result<(Vec<Wanted>, (u64, u64))> {
    let mut wanted = Vec::new();
    let mut bytes = 0;
    let mut table = snapshot.table(Table::Emails).await?;
    while let Some(found) = table.next_present().await? {
        let email = EmailRecord::try_from(found.row)
            .map_err(|_| Error::corrupt("segments", "an email makes no sense"))?;
        bytes += email.size;
        needs.excuse(&email.blob, failed.contains(&(DataType::Email, email.id.as_str())));
        wanted.push((email.blob, Some(email.size)));
    }
    let emails = wanted.len() as u64;
    Ok((wanted, (emails, bytes)))
}

type Chunked = (Vec<BlobId>, u64);

/// How many chunked blobs are not as long as their chunks. `chunks` are sorted, their lengths known.
fn wrong_lengths(chunked: &[Chunked], chunks: &[Wanted]) -> usize {
    let length_of = |id: &BlobId| {
        let at = chunks.binary_search_by_key(id, |(id, _)| *id).ok()?;
        chunks[at].1
    };
    let is_wrong = |(ids, length): &&Chunked| ids.iter().filter_map(length_of).sum::<u64>() != *length;
    chunked.iter().filter(is_wrong).count()
}

/// Finds every wanted blob in the table of blobs, notes where it lies and how long it is; returns the chunked ones.
async fn resolve(
    snapshot: &Snapshot,
    wanted: &mut Vec<Wanted>,
    needs: &mut Needs,
    report: &mut CheckReport,
) -> Result<Vec<Chunked>> {
    wanted.sort_unstable();
    wanted.dedup();
    let mut chunked = Vec::new();
    let mut table = snapshot.table(Table::Blobs).await?;
    let (mut missing, mut wrong) = (0, 0);
    let mut next = table.next_present().await?;
    for (id, length) in wanted.iter_mut() {
        while next.as_ref().is_some_and(|row| row.row.key.as_ref() < id.0.as_slice()) {
            next = table.next_present().await?;
        }
        let row = next.as_ref().filter(|row| row.row.key.as_ref() == id.0.as_slice());
        let Some(place) = row.and_then(|row| row.place.as_ref()) else {
            missing += u64::from(!needs.excused.contains(id));
            continue;
        };
        wrong += u64::from(length.is_some_and(|length| length != place.length()));
        *length = Some(place.length());
        match place {
            BlobPlace::Whole(at) => needs.add(id, at),
            BlobPlace::Chunks { chunks, length } => {
                let is_excused = needs.excused.contains(id);
                chunks.iter().for_each(|chunk| needs.excuse(chunk, is_excused));
                chunked.push((chunks.clone(), *length));
            }
        }
    }
    let number = Some(snapshot.info().number);
    if missing > 0 {
        report.problem(number, format!("{missing} blobs are in no index"));
    }
    if wrong > 0 {
        report.problem(number, format!("{wrong} emails are not as long as their blobs"));
    }
    Ok(chunked)
}

impl Needs {
    fn excuse(&mut self, id: &BlobId, is_failed: bool) {
        if is_failed {
            self.excused.insert(*id);
        }
    }

    fn add(&mut self, id: &BlobId, at: &Location) {
        if self.excused.contains(id) && self.noted.contains(&Object::Pack(at.pack)) {
            return;
        }
        let (reach, blobs) = self.packs.entry(at.pack).or_default();
        *reach = (*reach).max(at.reach());
        blobs.insert(place_hash(id, at));
    }

    /// Whether something may need a pack of which no row of a snapshot says so.
    fn may_need(&self, pack: ObjectName) -> bool {
        let object = Object::Pack(pack);
        self.of_slices.contains(&object) || (self.lacks_rows && !self.noted.contains(&object))
    }

    /// How many objects nothing refers to, and their bytes; none while segments cannot be read, which may name them.
    fn count_unreferenced(&self, listed: &Listed) -> (u64, u64) {
        if self.lacks_rows {
            return (0, 0);
        }
        let is_named = |object: &Object| match object {
            Object::Pack(name) => self.named.contains_key(name),
            Object::Segment(name) => self.segments.contains(name),
            _ => true,
        };
        let unnamed = listed.iter().filter(|(object, _)| !is_named(object));
        unnamed.fold((0, 0), |(count, bytes), (_, size)| (count + 1, bytes + size))
    }
}

impl CheckReport {
    /// Whether a snapshot that was looked at, or an unfinished backup, lacks anything. A log entry that is damaged stays so, and says nothing against the
    /// snapshots that can be read.
    pub fn is_harmful(&self) -> bool {
        self.found > self.beside
    }

    /// Whether a second copy is missing or different: `Repository::heal_copies` writes it again.
    pub fn lacks_copies(&self) -> bool {
        self.copies > 0
    }

    /// Whether log entries are missing or damaged, which nothing brings back.
    pub fn lacks_entries(&self) -> bool {
        self.beside > self.copies
    }

    /// Whether something is damaged that an unfinished backup needs: the next one begins without it.
    pub fn harms_slices(&self) -> bool {
        self.harms_slices
    }

    fn problem_beside(&mut self, what: String) {
        self.beside += 1;
        self.problem(None, what);
    }

    fn problem(&mut self, snapshot: Option<SnapshotNumber>, what: String) {
        self.found += 1;
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Problem { snapshot, what });
        }
    }

    fn damage(&mut self, object: Object, what: &str) {
        self.problem(None, format!("{} {what}", object.relative()));
        self.damaged.insert(object);
    }

    /// Damage is a finding; anything else (no network, no rights) ends the check.
    fn problem_of(&mut self, snapshot: Option<SnapshotNumber>, error: Error) -> Result<()> {
        self.damaged.extend(error.damaged());
        match error.class() {
            model::ErrorClass::Corrupt => self.problem(snapshot, error.to_string()),
            // It may be one flipped byte in a header.
            _ if matches!(error, Error::NewerFormat { .. } | Error::NewerKind { .. }) => {
                self.problem(snapshot, error.to_string())
            }
            _ => return Err(error),
        }
        Ok(())
    }
}

/// Eight bytes that stand for "this blob lies there".
fn place_hash(id: &BlobId, at: &Location) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&id.0).update(&at.frame.to_be_bytes()).update(&at.offset.to_be_bytes());
    hasher
        .update(&at.sealed_length.to_be_bytes())
        .update(&at.start.to_be_bytes())
        .update(&at.length.to_be_bytes());
    let hash = hasher.finalize();
    hash.as_bytes()[..8].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}
