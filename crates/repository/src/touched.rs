//! Which snapshots lack something that is known to be missing or damaged.
//!
//! A segment's footer names every pack that one of its rows points to, those of rows too that newer ones replace and of emails that are
//! gone. So footers tell where to look, and a snapshot's own rows whether it needs what is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{StreamExt, stream};
use model::{BlobId, DataType, EmailRecord, SnapshotNumber};
use proto::repository::{Row, SegmentRef};

use crate::error::{Result, unless_damaged};
use crate::info::SnapshotInfo;
use crate::log::fold::segment_name;
use crate::repository::Repository;
use crate::rows::{BlobPlace, Table, object_from};
use crate::segment::merge::{Merge, MergedRow};
use crate::segment::reader::SegmentReader;
use crate::snapshot::{Snapshot, malformed};
use crate::storage::layout::{Object, ObjectName};

/// Segments opened at the same time.
const READS_IN_FLIGHT: usize = 8;
/// Emails or objects of a snapshot that are looked up at the same time.
const LOOKED_UP: usize = 1024;
/// Of more lost blobs than this nobody asks which snapshot needs which: hardly one does without all of them.
const MAX_BLOBS: usize = 200_000;

/// What some segments have of lost blobs, rows too that newer ones replace.
struct Suspects {
    /// In lost packs, or with a chunk there.
    blobs: BTreeSet<BlobId>,
    /// Keys of emails and objects that refer to one of them.
    referring: [(Table, BTreeSet<Bytes>); 2],
}

impl Repository {
    /// Those of these snapshots that cannot be read as a whole without these objects.
    pub(crate) fn touched_by<'a>(
        &'a self,
        snapshots: &'a [SnapshotInfo],
        damaged: &'a BTreeSet<Object>,
    ) -> BoxFuture<'a, Result<BTreeSet<SnapshotNumber>>> {
        Box::pin(async move {
            let lost: BTreeSet<ObjectName> = damaged.iter().filter_map(pack_name).collect();
            let packs = self.packs_named(snapshots, damaged).await?;
            let names = |snapshot: &SnapshotInfo| -> Vec<ObjectName> {
                snapshot.segments.iter().filter_map(segment_name).collect()
            };
            let (readable, unreadable): (Vec<&SnapshotInfo>, Vec<_>) = snapshots
                .iter()
                .partition(|snapshot| names(snapshot).iter().all(|name| packs.contains_key(name)));
            let names_lost = |name: &ObjectName| !packs[name].is_disjoint(&lost);
            let mut doubtful = readable;
            doubtful.retain(|snapshot| names(snapshot).iter().any(names_lost));

            let mut touched: BTreeSet<SnapshotNumber> =
                unreadable.iter().map(|snapshot| snapshot.number).collect();
            let suspects = self.suspects(&doubtful, &lost, names_lost).await?;
            for snapshot in doubtful {
                let needs = match &suspects {
                    Some(suspects) => self.needs(snapshot, &lost, suspects).await?,
                    None => true,
                };
                if needs {
                    touched.insert(snapshot.number);
                }
            }
            Ok(touched)
        })
    }

    /// The packs that each segment of these snapshots names; those are left out that are damaged or cannot be opened.
    async fn packs_named(
        &self,
        snapshots: &[SnapshotInfo],
        damaged: &BTreeSet<Object>,
    ) -> Result<BTreeMap<ObjectName, BTreeSet<ObjectName>>> {
        let mut different = distinct(snapshots);
        different.retain(|name, _| !damaged.contains(&Object::Segment(*name)));
        let opening: Vec<_> = different
            .iter()
            .map(|(name, segment)| async {
                (*name, SegmentReader::open(self.objects(), self.key(), segment).await)
            })
            .collect();
        let mut opened = stream::iter(opening).buffered(READS_IN_FLIGHT);
        let mut packs = BTreeMap::new();
        while let Some((name, opened)) = opened.next().await {
            if let Some(segment) = unless_damaged(opened)? {
                packs.insert(name, segment.packs().iter().copied().collect());
            }
        }
        Ok(packs)
    }

    /// `None`: so much is lost, or so damaged, that nothing finer can be said than what footers say.
    async fn suspects(
        &self,
        doubtful: &[&SnapshotInfo],
        lost: &BTreeSet<ObjectName>,
        names_lost: impl Fn(&ObjectName) -> bool,
    ) -> Result<Option<Suspects>> {
        let all = distinct(doubtful.iter().copied());
        let naming =
            all.iter().filter(|(name, _)| names_lost(name)).map(|(_, segment)| segment.clone()).collect();
        let all = all.into_values().collect();
        unless_damaged(self.followed(naming, all, lost).await).map(Option::flatten)
    }

    /// From packs to blobs, from those to blobs that consist of them, from all of these to emails and objects.
    async fn followed(
        &self,
        naming: Vec<SegmentRef>,
        all: Vec<SegmentRef>,
        lost: &BTreeSet<ObjectName>,
    ) -> Result<Option<Suspects>> {
        let mut blobs = BTreeSet::new();
        self.each_row(&naming, Table::Blobs, |found| {
            if let Some(BlobPlace::Whole(at)) = &found.place
                && lost.contains(&at.pack)
            {
                blobs.extend(blob_id(&found.row));
            }
            Ok(blobs.len() <= MAX_BLOBS)
        })
        .await?;
        let mut chunked = BTreeSet::new();
        self.each_row(&all, Table::Blobs, |found| {
            if let Some(BlobPlace::Chunks { chunks, .. }) = &found.place
                && chunks.iter().any(|chunk| blobs.contains(chunk))
            {
                chunked.extend(blob_id(&found.row));
            }
            Ok(blobs.len() + chunked.len() <= MAX_BLOBS)
        })
        .await?;
        blobs.append(&mut chunked);
        if blobs.len() > MAX_BLOBS {
            return Ok(None);
        }
        let mut referring = [(Table::Emails, BTreeSet::new()), (Table::Objects, BTreeSet::new())];
        for (table, keys) in &mut referring {
            self.each_row(&all, *table, |found| {
                // A copy: the row's is a part of its whole block.
                let key = Bytes::copy_from_slice(&found.row.key);
                if Referring::read(*table, found.row)?.blobs.iter().any(|blob| blobs.contains(blob)) {
                    keys.insert(key);
                }
                Ok(keys.len() <= MAX_BLOBS)
            })
            .await?;
            if keys.len() > MAX_BLOBS {
                return Ok(None);
            }
        }
        Ok(Some(Suspects { blobs, referring }))
    }

    /// Shows each row of a table in each of these segments, until `look` wants no more.
    async fn each_row(
        &self,
        segments: &[SegmentRef],
        table: Table,
        mut look: impl FnMut(MergedRow) -> Result<bool>,
    ) -> Result<()> {
        let opening: Vec<_> =
            segments.iter().map(|segment| SegmentReader::open(self.objects(), self.key(), segment)).collect();
        let mut opened = stream::iter(opening).buffered(READS_IN_FLIGHT);
        while let Some(segment) = opened.next().await {
            let mut rows = Merge::new(&[Arc::new(segment?)], table).await?;
            while let Some(row) = rows.next_present().await? {
                if !look(row)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Whether an email or object, as this snapshot has it, lies where something is lost. One that the snapshot itself names
    /// as not fetched does not count.
    async fn needs(
        &self,
        snapshot: &SnapshotInfo,
        lost: &BTreeSet<ObjectName>,
        suspects: &Suspects,
    ) -> Result<bool> {
        let snapshot =
            Snapshot::new(snapshot.clone(), self.objects().clone(), self.key().clone(), lost.clone());
        let needs = unless_damaged(lacks_one(&snapshot, suspects).await)?;
        // It cannot even be looked into.
        Ok(needs.unwrap_or(true))
    }
}

async fn lacks_one(snapshot: &Snapshot, suspects: &Suspects) -> Result<bool> {
    let failures = snapshot.failures().await?;
    let failed: BTreeSet<(DataType, &str)> = failures.iter().map(|f| (f.data_type, f.id.as_str())).collect();
    for (table, keys) in &suspects.referring {
        let keys: Vec<&Bytes> = keys.iter().collect();
        for some in keys.chunks(LOOKED_UP) {
            let mut blobs = Vec::new();
            for found in snapshot.lookup(*table, some.iter().copied().cloned().collect()).await?.into_values()
            {
                let referring = Referring::read(*table, found.row)?;
                if !failed.contains(&(referring.data_type, referring.id.as_str())) {
                    blobs.extend(referring.blobs.into_iter().filter(|blob| suspects.blobs.contains(blob)));
                }
            }
            if lacks_any(snapshot, &blobs).await? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

async fn lacks_any(snapshot: &Snapshot, blobs: &[BlobId]) -> Result<bool> {
    let places = snapshot.places(blobs).await?;
    let mut chunks = Vec::new();
    for place in places.values() {
        if let BlobPlace::Chunks { chunks: of_it, .. } = place {
            chunks.extend_from_slice(of_it);
        }
    }
    let held = snapshot.places(&chunks).await?;
    Ok(!blobs.iter().all(|blob| places.contains_key(blob))
        || !chunks.iter().all(|chunk| held.contains_key(chunk)))
}

/// An email or object, and the blobs that it refers to.
struct Referring {
    data_type: DataType,
    id: String,
    blobs: Vec<BlobId>,
}

impl Referring {
    fn read(table: Table, row: Row) -> Result<Referring> {
        if table == Table::Emails {
            let email = EmailRecord::try_from(row).map_err(|_| malformed("an email"))?;
            let id = email.id.as_str().to_owned();
            return Ok(Referring { data_type: DataType::Email, id, blobs: vec![email.blob] });
        }
        let object = object_from(row).ok_or_else(|| malformed("an object"))?;
        let blobs = object.record.blob.into_iter().chain(object.json_blob).collect();
        Ok(Referring { data_type: object.record.data_type, id: object.record.id, blobs })
    }
}

/// The segments of these snapshots, each once.
fn distinct<'a>(snapshots: impl IntoIterator<Item = &'a SnapshotInfo>) -> BTreeMap<ObjectName, SegmentRef> {
    let segments = snapshots.into_iter().flat_map(|snapshot| &snapshot.segments);
    segments.filter_map(|segment| Some((segment_name(segment)?, segment.clone()))).collect()
}

fn pack_name(object: &Object) -> Option<ObjectName> {
    match object {
        Object::Pack(name) => Some(*name),
        _ => None,
    }
}

fn blob_id(row: &Row) -> Option<BlobId> {
    row.key.as_ref().try_into().ok().map(BlobId)
}
