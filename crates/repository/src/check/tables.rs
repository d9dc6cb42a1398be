//! Walks through a snapshot's tables: what it refers to is in its index, and as long as it says.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use model::{BlobId, DataType, EmailRecord};

use crate::check::needs::Needs;
use crate::check::report::CheckReport;
use crate::error::{Error, Result};
use crate::info::SnapshotInfo;
use crate::rows::{BlobPlace, Table, object_from};
use crate::snapshot::Snapshot;

/// A blob that something refers to, and its length if that is known from there.
type Wanted = (BlobId, Option<u64>);

/// What the tables of a list of segments count: emails and their bytes, failures.
type Counted = ((u64, u64), u64);

/// Snapshots of the same segments have the same tables, which are walked through once.
pub(super) async fn check_snapshot(
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
