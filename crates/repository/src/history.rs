//! Several snapshots read as one: every segment is read once, however many of them it belongs to.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use model::{DataType, EmailId, EmailRecord};
use prost::Message;
use proto::repository::{Row, SegmentRef};
use proto::{EmailRow, RowParts};

use crate::error::{Error, Result};
use crate::info::SnapshotInfo;
use crate::repository::Repository;
use crate::rows::{ObjectRecord, Table, object_from, parse_object_key};
use crate::segment::groups::{Group, Groups};
use crate::segment::reader::SegmentReader;
use crate::segment::scan::Wanted;
use crate::snapshot::{malformed, open_all};

/// Short segments are kept whole while they are open, together up to this many bytes.
const MOST_KEPT: usize = 32 << 20;
/// Rows of so many different sets of segments are remembered.
const MOST_REMEMBERED: usize = 4_096;

/// Places of snapshots in the list that a [`History`] was made of, ascending.
pub type Places = Arc<[usize]>;

/// The rows of several snapshots of one mailbox. Reads segments only, never a pack.
pub struct History {
    segments: Vec<Arc<SegmentReader>>,
    owners: Arc<Owners>,
}

/// Which snapshots each segment belongs to.
struct Owners {
    snapshots: usize,
    /// Per segment: the place of each snapshot that has it, and the segment's place in that one's list.
    of: Vec<Vec<(usize, usize)>>,
}

/// One row of an email and the snapshots in which it is the one that counts.
#[derive(Debug, Clone)]
pub struct EmailVersion {
    encoded: Bytes,
    /// Never empty; the same email has other rows in other snapshots.
    pub snapshots: Places,
}

/// Emails in order of their ids, those that are wanted in one snapshot at least.
pub struct EmailHistory(Versions);

struct Versions {
    groups: Groups,
    owners: Arc<Owners>,
    alone: Vec<Places>,
    together: HashMap<Vec<usize>, Arc<[Places]>>,
}

/// Which rows two snapshots may not have in common.
pub struct Differing {
    segments: Vec<Arc<SegmentReader>>,
}

/// Keys of rows, in order.
pub struct Keys(Groups);

impl Repository {
    /// Opens the segments of these snapshots, each of them once.
    pub fn history<'a>(&'a self, snapshots: &'a [SnapshotInfo]) -> BoxFuture<'a, Result<History>> {
        Box::pin(async move {
            let mut references = BTreeMap::<Bytes, (SegmentRef, Vec<(usize, usize)>)>::new();
            for (place, info) in snapshots.iter().enumerate() {
                for (rank, reference) in info.segments.iter().enumerate() {
                    let known = references.entry(reference.name.clone());
                    known.or_insert_with(|| (reference.clone(), Vec::new())).1.push((place, rank));
                }
            }
            let (references, of): (Vec<_>, Vec<_>) = references.into_values().unzip();
            let segments = self.open_segments(&references).await?;
            Ok(History { segments, owners: Arc::new(Owners { snapshots: snapshots.len(), of }) })
        })
    }

    /// What may differ between two snapshots: a row that both have from a segment they share is the same row, unless a
    /// segment of one of them alone has another.
    pub fn differing<'a>(
        &'a self,
        a: &'a SnapshotInfo,
        b: &'a SnapshotInfo,
    ) -> BoxFuture<'a, Result<Differing>> {
        Box::pin(async move {
            let lacks =
                |info: &SnapshotInfo, one: &SegmentRef| info.segments.iter().all(|s| s.name != one.name);
            let only_a = a.segments.iter().filter(|reference| lacks(b, reference));
            let only_b = b.segments.iter().filter(|reference| lacks(a, reference));
            let references: Vec<SegmentRef> = only_a.chain(only_b).cloned().collect();
            Ok(Differing { segments: self.open_segments(&references).await? })
        })
    }

    async fn open_segments(&self, references: &[SegmentRef]) -> Result<Vec<Arc<SegmentReader>>> {
        let mut segments = open_all(self.objects(), self.key(), references).await?;
        let mut kept = 0;
        for segment in segments.iter_mut().filter_map(Arc::get_mut) {
            kept += segment.kept_whole();
            if kept > MOST_KEPT {
                segment.forget_whole();
            }
        }
        Ok(segments)
    }
}

impl History {
    /// The emails of which some row is wanted. `wanted` is asked once about each row, on several threads, whether or not any
    /// snapshot still uses that row.
    pub fn emails(&self, wanted: impl Fn(&EmailRow<'_>) -> bool + Send + Sync + 'static) -> EmailHistory {
        let wanted: Wanted = Arc::new(move |row| Ok(!row.is_gone() && wanted(&row.email()?)));
        EmailHistory(self.versions(|segment| segment.table_blocks(Table::Emails), &wanted))
    }

    /// The objects of one type, by id. A JSON so long that it lies in a pack is left empty.
    pub async fn objects_of(&self, data_type: DataType) -> Result<Vec<(ObjectRecord, Places)>> {
        let number = data_type.number();
        let wanted: Wanted = Arc::new(move |row| Ok(!row.is_gone() && row.key.first() == Some(&number)));
        let mut versions = self.versions(|segment| blocks_of_type(segment, number), &wanted);
        let mut objects = Vec::new();
        while let Some(rows) = versions.next().await? {
            for (encoded, snapshots) in rows {
                let object = Row::decode(encoded).ok().and_then(object_from);
                let object = object.ok_or_else(|| malformed("an object"))?;
                objects.push((object.record, snapshots));
            }
        }
        Ok(objects)
    }

    fn versions(&self, blocks: impl Fn(&SegmentReader) -> Range<usize>, wanted: &Wanted) -> Versions {
        let sources = self.segments.iter().map(|segment| (segment.clone(), blocks(segment)));
        let alone = (0..self.segments.len()).map(|segment| self.owners.winners(&[segment])[0].clone());
        Versions {
            groups: Groups::new(sources, wanted),
            owners: self.owners.clone(),
            alone: alone.collect(),
            together: HashMap::new(),
        }
    }
}

/// The blocks in which objects of a type are, and perhaps others.
fn blocks_of_type(segment: &SegmentReader, number: u8) -> Range<usize> {
    let blocks = segment.table_blocks(Table::Objects);
    let starts_before = |block: usize, key: u8| segment.block(block).first_key.as_ref() < [key].as_slice();
    let end = blocks.clone().take_while(|block| starts_before(*block, number.saturating_add(1))).count();
    let before = blocks.clone().take_while(|block| starts_before(*block, number)).count();
    blocks.start + before.saturating_sub(1)..blocks.start + end
}

impl Owners {
    /// Of segments that all have a row of one key: the snapshots in which each one's row counts.
    fn winners(&self, segments: &[usize]) -> Arc<[Places]> {
        let mut newest = vec![None::<(usize, usize)>; self.snapshots];
        for (number, segment) in segments.iter().enumerate() {
            for (place, rank) in &self.of[*segment] {
                let newest = &mut newest[*place];
                if newest.is_none_or(|(other, _)| other < *rank) {
                    *newest = Some((*rank, number));
                }
            }
        }
        let places_of = |number: usize| -> Places {
            let won = |place: &usize| newest[*place].is_some_and(|(_, winner)| winner == number);
            (0..self.snapshots).filter(won).collect()
        };
        (0..segments.len()).map(places_of).collect()
    }
}

impl Versions {
    /// The wanted rows of the next key that has any in a snapshot.
    async fn next(&mut self) -> Result<Option<Vec<(Bytes, Places)>>> {
        while let Some(group) = self.groups.next().await? {
            let rows: Vec<(Bytes, Places)> = match group {
                Group::One(segment, encoded) => vec![(encoded, self.alone[segment].clone())],
                Group::Several(rows) if rows.iter().all(|(_, encoded)| encoded.is_none()) => continue,
                Group::Several(rows) => {
                    let winners = self.winners(rows.iter().map(|(segment, _)| *segment).collect());
                    let rows = rows.into_iter().zip(winners.iter());
                    rows.filter_map(|((_, encoded), places)| Some((encoded?, places.clone()))).collect()
                }
            };
            let counting: Vec<_> = rows.into_iter().filter(|(_, places)| !places.is_empty()).collect();
            if !counting.is_empty() {
                return Ok(Some(counting));
            }
        }
        Ok(None)
    }

    fn winners(&mut self, segments: Vec<usize>) -> Arc<[Places]> {
        if let Some(winners) = self.together.get(&segments) {
            return winners.clone();
        }
        if self.together.len() >= MOST_REMEMBERED {
            self.together.clear();
        }
        let winners = self.owners.winners(&segments);
        self.together.insert(segments, winners.clone());
        winners
    }
}

impl EmailHistory {
    /// The rows of the next email that are wanted and count in some snapshot, in no order that means anything.
    pub async fn next(&mut self) -> Result<Option<Vec<EmailVersion>>> {
        let rows = self.0.next().await?;
        let version = |(encoded, snapshots)| EmailVersion { encoded, snapshots };
        Ok(rows.map(|rows| rows.into_iter().map(version).collect()))
    }
}

impl EmailVersion {
    /// The row read in place.
    pub fn row(&self) -> Result<EmailRow<'_>> {
        let row = RowParts::parse(&self.encoded).and_then(|parts| parts.email());
        row.map_err(|_| malformed("an email"))
    }

    /// The row as a value.
    pub fn record(&self) -> Result<EmailRecord> {
        let row = Row::decode(self.encoded.clone()).map_err(|_| malformed("an email"))?;
        EmailRecord::try_from(row).map_err(|_| malformed("an email"))
    }
}

impl Differing {
    /// Of emails: take them with [`Keys::next_emails`].
    pub fn emails(&self) -> Keys {
        self.keys(Table::Emails)
    }

    /// Of other objects: take them with [`Keys::next_objects`].
    pub fn objects(&self) -> Keys {
        self.keys(Table::Objects)
    }

    fn keys(&self, table: Table) -> Keys {
        let sources = self.segments.iter().map(|segment| (segment.clone(), segment.table_blocks(table)));
        Keys(Groups::new(sources, &(Arc::new(|_: &RowParts<'_>| Ok(true)) as Wanted)))
    }
}

impl Keys {
    /// The next ids, at most so many; empty at the end.
    pub async fn next_emails(&mut self, most: usize) -> Result<Vec<EmailId>> {
        let parse = |key: &[u8]| Some(EmailId::from(std::str::from_utf8(key).ok()?));
        self.next(most, parse).await
    }

    /// The next types and ids, at most so many; empty at the end.
    pub async fn next_objects(&mut self, most: usize) -> Result<Vec<(DataType, String)>> {
        self.next(most, parse_object_key).await
    }

    async fn next<T>(&mut self, most: usize, parse: impl Fn(&[u8]) -> Option<T>) -> Result<Vec<T>> {
        let mut keys = Vec::new();
        while keys.len() < most {
            let encoded = match self.0.next().await? {
                None => break,
                Some(Group::One(_, encoded)) => Some(encoded),
                Some(Group::Several(rows)) => rows.into_iter().find_map(|(_, encoded)| encoded),
            };
            let encoded = encoded.unwrap_or_default();
            let key = RowParts::parse(&encoded).ok().and_then(|row| parse(row.key));
            keys.push(key.ok_or_else(|| Error::corrupt("segments", "a row has a key that makes no sense"))?);
        }
        Ok(keys)
    }
}
