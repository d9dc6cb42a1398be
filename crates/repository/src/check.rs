//! `check` proves that references are consistent, `scrub` that the bytes are still there and right.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use bytes::{Buf, Bytes};
use model::{BlobId, EmailRecord, SnapshotNumber};
use prost::Message;
use proto::repository::PackFooter;

use crate::error::{Error, Result};
use crate::frame;
use crate::info::SnapshotInfo;
use crate::layout::{Object, ObjectName};
use crate::repository::Repository;
use crate::rows::{BlobPlace, Location, Table, object_from};
use crate::seal::{Cipher, FOOTER, HEADER, Kind};
use crate::snapshot::Snapshot;

/// How much is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Log, segments, and that every pack is there with enough bytes.
    Structure,
    /// All of that, and every byte of every pack that is referred to is read, opened and hashed.
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
    /// Packs they refer to.
    pub packs: u64,
    /// Bytes of packs that were read and hashed.
    pub bytes_read: u64,
    /// Objects on the store that nothing refers to: left by a run that was cut off, removed by a later prune.
    pub unreferenced: u64,
    /// Empty: all is well.
    pub problems: Vec<Problem>,
}

/// More problems than this are counted, not described.
const MAX_PROBLEMS: usize = 100;

/// What the snapshots checked so far need of the packs.
#[derive(Default)]
struct Needs {
    /// By pack: how far into it blobs reach, and a hash of every (blob, place).
    packs: BTreeMap<ObjectName, (u64, HashSet<u64>)>,
    segments: BTreeSet<ObjectName>,
}

impl Repository {
    /// Checks all snapshots, or one.
    pub async fn check(&self, only: Option<SnapshotNumber>, depth: Depth) -> Result<CheckReport> {
        let mut report = CheckReport::default();
        let mut needs = Needs::default();
        let state = self.state().await?;
        self.check_log(state.number, &mut report).await?;
        for (number, snapshot) in &state.snapshots {
            let number = SnapshotNumber(*number);
            if only.is_some_and(|only| only != number) {
                continue;
            }
            let snapshot = self.open_snapshot(SnapshotInfo::from_disk(number.0, snapshot));
            if let Err(error) = check_snapshot(&snapshot, &mut needs, &mut report).await {
                report.problem_of(Some(number), error)?;
            }
        }
        if let Some(only) = only.filter(|only| !state.snapshots.contains_key(&only.0)) {
            let has = format!("{} snapshots", state.snapshots.len());
            return Err(Error::NoSnapshot { number: only.0, has });
        }
        self.check_packs(&needs, depth, &mut report).await?;
        if only.is_none() {
            report.unreferenced = self.count_unreferenced(&needs).await?;
        }
        Ok(report)
    }

    /// Every number up to the newest has an entry that opens.
    async fn check_log(&self, newest: u64, report: &mut CheckReport) -> Result<()> {
        let present: BTreeSet<u64> = self
            .objects()
            .list("log")
            .await?
            .into_iter()
            .filter_map(|(object, _)| {
                if let Object::Log(number) = object {
                    Some(number)
                } else {
                    None
                }
            })
            .collect();
        for number in (1..=newest).filter(|number| !present.contains(number)) {
            report.problem(None, format!("log entry {number} is missing"));
        }
        if let Some(beyond) = present.range(newest + 1..).next() {
            report.problem(
                None,
                format!("log entry {beyond} stands behind a gap or came during the check"),
            );
        }
        Ok(())
    }

    async fn check_packs(&self, needs: &Needs, depth: Depth, report: &mut CheckReport) -> Result<()> {
        let mut sizes = BTreeMap::new();
        for (object, size) in self.objects().list("packs").await? {
            sizes.insert(object, size);
        }
        report.packs = needs.packs.len() as u64;
        for (pack, (reach, blobs)) in &needs.packs {
            let object = Object::Pack(*pack);
            match sizes.get(&object) {
                None => report.problem(None, format!("{} is missing", object.relative())),
                Some(size) if size < reach => {
                    report.problem(None, format!("{} is cut off", object.relative()))
                }
                Some(_) if depth == Depth::Structure => {}
                Some(size) => {
                    if let Err(error) = self.scrub_pack(*pack, blobs).await {
                        report.problem_of(None, error)?;
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
        let (key, hasher) = (self.key().clone(), crate::seal::BlobHasher::new(self.key()));
        let dir = self.objects().dir();
        let found = tokio::task::spawn_blocking(move || {
            let cipher = Cipher::read(&key, &bytes, Kind::Pack, dir, object.relative())?;
            let mut found = Vec::new();
            for (location, blob) in open_pack(&cipher, name, &bytes)? {
                found.push(place_hash(&hasher.id(&blob), &location));
            }
            found.sort_unstable();
            Ok::<_, Error>(found)
        });
        let found = found.await.map_err(|_| Error::Stopped)??;
        let lost = expected
            .iter()
            .filter(|hash| found.binary_search(hash).is_err())
            .count();
        match lost {
            0 => Ok(()),
            n => Err(Error::corrupt(
                object.relative(),
                format!("{n} blobs are not where their rows say"),
            )),
        }
    }

    async fn count_unreferenced(&self, needs: &Needs) -> Result<u64> {
        let mut count = 0;
        for below in ["packs", "segments"] {
            for (object, _) in self.objects().list(below).await? {
                count += u64::from(match object {
                    Object::Pack(name) => !needs.packs.contains_key(&name),
                    Object::Segment(name) => !needs.segments.contains(&name),
                    _ => false,
                });
            }
        }
        Ok(count)
    }
}

/// The blobs of a pack and where they lie, from its own footer.
pub(crate) fn open_pack(cipher: &Cipher, name: ObjectName, bytes: &Bytes) -> Result<Vec<(Location, Bytes)>> {
    let damaged = |what: &str| Error::corrupt(cipher.name(), what);
    let end = bytes
        .len()
        .checked_sub(4)
        .ok_or_else(|| damaged("it is cut off"))?;
    let length = bytes.slice(end..).get_u32() as usize;
    let start = end.checked_sub(length).filter(|start| *start >= HEADER);
    let start = start.ok_or_else(|| damaged("its footer claims to be longer than itself"))?;
    let mut footer = bytes[start..end].to_vec();
    cipher.open(FOOTER, &mut footer)?;
    let footer = PackFooter::decode(footer.as_slice()).map_err(|_| damaged("its footer does not decode"))?;
    let (mut blobs, mut offset) = (Vec::new(), HEADER);
    for (number, described) in (0u32..).zip(&footer.frames) {
        let sealed_end = offset + described.sealed_length as usize;
        let sealed = bytes.get(offset..sealed_end.min(start)).unwrap_or_default();
        let raw_length: u64 = described.blob_lengths.iter().map(|l| u64::from(*l)).sum();
        let raw_length = u32::try_from(raw_length).map_err(|_| damaged("a frame claims to be huge"))?;
        let raw = Bytes::from(frame::open(cipher, number.into(), sealed, raw_length as usize)?);
        let mut at = 0;
        for length in &described.blob_lengths {
            let location = Location {
                pack: name,
                frame: number,
                offset: offset as u64,
                sealed_length: described.sealed_length,
                raw_length,
                start: at,
                length: *length,
            };
            blobs.push((location, raw.slice(at as usize..(at + length) as usize)));
            at += length;
        }
        offset = sealed_end;
    }
    Ok(blobs)
}

async fn check_snapshot(snapshot: &Snapshot, needs: &mut Needs, report: &mut CheckReport) -> Result<()> {
    let info = snapshot.info();
    report.snapshots += 1;
    needs
        .segments
        .extend(info.segments.iter().filter_map(crate::log::fold::segment_name));
    let mut wanted = Vec::new();
    let (mut emails, mut bytes) = (0, 0);
    let mut table = snapshot.table(Table::Emails).await?;
    while let Some(found) = table.next_present().await? {
        let email = EmailRecord::try_from(found.row)
            .map_err(|_| Error::corrupt("segments", "an email makes no sense"))?;
        emails += 1;
        bytes += email.size;
        wanted.push(email.blob);
    }
    let mut objects = snapshot.table(Table::Objects).await?;
    while let Some(found) = objects.next_present().await? {
        let object = found
            .row
            .content
            .and_then(|content| object_from(&found.row.key, content));
        let object = object.ok_or_else(|| Error::corrupt("segments", "an object makes no sense"))?;
        wanted.extend(object.blob);
    }
    report.emails += emails;
    if (emails, bytes) != (info.summary.emails, info.summary.email_bytes) {
        let said = &info.summary;
        let what = format!(
            "its log entry counts {} emails of {} bytes, its tables {emails} of {bytes}",
            said.emails, said.email_bytes
        );
        report.problem(Some(info.number), what);
    }
    let chunks = resolve(snapshot, wanted, needs, report).await?;
    let inner = resolve(snapshot, chunks, needs, report).await?;
    if !inner.is_empty() {
        report.problem(Some(info.number), "a chunk consists of chunks".to_owned());
    }
    Ok(())
}

/// Finds every wanted blob in the table of blobs and notes where it lies; returns the chunks of the chunked ones.
async fn resolve(
    snapshot: &Snapshot,
    mut wanted: Vec<BlobId>,
    needs: &mut Needs,
    report: &mut CheckReport,
) -> Result<Vec<BlobId>> {
    wanted.sort_unstable();
    wanted.dedup();
    let mut chunked = Vec::new();
    let mut table = snapshot.table(Table::Blobs).await?;
    let mut missing = 0;
    let mut next = table.next_present().await?;
    for id in &wanted {
        while next
            .as_ref()
            .is_some_and(|row| row.row.key.as_ref() < id.0.as_slice())
        {
            next = table.next_present().await?;
        }
        match next
            .as_ref()
            .filter(|row| row.row.key.as_ref() == id.0.as_slice())
            .and_then(|row| row.place.as_ref())
        {
            Some(BlobPlace::Whole(at)) => needs.add(id, at),
            Some(BlobPlace::Chunks { chunks, .. }) => chunked.extend_from_slice(chunks),
            None => missing += 1,
        }
    }
    report.blobs += wanted.len() as u64;
    if missing > 0 {
        report.problem(
            Some(snapshot.info().number),
            format!("{missing} blobs are in no index"),
        );
    }
    Ok(chunked)
}

impl Needs {
    fn add(&mut self, id: &BlobId, at: &Location) {
        let (reach, blobs) = self.packs.entry(at.pack).or_default();
        *reach = (*reach).max(at.offset + u64::from(at.sealed_length));
        blobs.insert(place_hash(id, at));
    }
}

impl CheckReport {
    fn problem(&mut self, snapshot: Option<SnapshotNumber>, what: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Problem { snapshot, what });
        }
    }

    /// Damage is a finding; anything else (no network, no rights) ends the check.
    fn problem_of(&mut self, snapshot: Option<SnapshotNumber>, error: Error) -> Result<()> {
        match error.class() {
            model::ErrorClass::Corrupt => {
                self.problem(snapshot, error.to_string());
                Ok(())
            }
            _ => Err(error),
        }
    }
}

/// Eight bytes that stand for "this blob lies there".
fn place_hash(id: &BlobId, at: &Location) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher
        .update(&id.0)
        .update(&at.frame.to_be_bytes())
        .update(&at.offset.to_be_bytes());
    hasher
        .update(&at.sealed_length.to_be_bytes())
        .update(&at.start.to_be_bytes())
        .update(&at.length.to_be_bytes());
    let hash = hasher.finalize();
    hash.as_bytes()[..8]
        .iter()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}
