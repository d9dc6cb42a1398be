//! Several segments read as one table: ordered by key, of each key the newest row only.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::sync::Arc;

use bytes::Bytes;
use proto::repository::Row;
use proto::repository::row::Content;

use crate::error::{Error, Result};
use crate::rows::{BlobPlace, Table, place_from};
use crate::segment::reader::{SegmentReader, StoredRow, TableScan};
use crate::storage::layout::ObjectName;

/// A row and, when it is a blob's, its place.
#[derive(Debug)]
pub(crate) struct MergedRow {
    pub(crate) row: Row,
    pub(crate) encoded: Bytes,
    pub(crate) place: Option<BlobPlace>,
}

impl MergedRow {
    pub(crate) fn new(stored: StoredRow, packs: &[ObjectName]) -> Result<MergedRow> {
        let StoredRow { row, encoded } = stored;
        let place = match &row.content {
            Some(Content::Blob(blob)) => {
                let place = place_from(blob, packs);
                Some(place.ok_or_else(|| Error::corrupt("segments", "a blob's row makes no sense"))?)
            }
            _ => None,
        };
        Ok(MergedRow { row, encoded, place })
    }

    pub(crate) fn is_gone(&self) -> bool {
        matches!(self.row.content, Some(Content::Gone(_)) | None)
    }
}

struct Source {
    scan: TableScan,
    rows: std::vec::IntoIter<StoredRow>,
}

/// Next row of one source; the smallest key first, of equal keys the one of the newest source.
struct Head {
    row: StoredRow,
    source: usize,
}

/// Streams the newest row of every key, gone ones included.
pub(crate) struct Merge {
    sources: Vec<Source>,
    heads: BinaryHeap<Reverse<Head>>,
}

impl Merge {
    /// `segments` oldest first.
    pub(crate) async fn new(segments: &[Arc<SegmentReader>], table: Table) -> Result<Merge> {
        let mut merge = Merge { sources: Vec::new(), heads: BinaryHeap::new() };
        for (number, segment) in segments.iter().enumerate() {
            let scan = TableScan::new(segment.clone(), table);
            merge.sources.push(Source { scan, rows: Vec::new().into_iter() });
            merge.advance(number).await?;
        }
        Ok(merge)
    }

    pub(crate) async fn next(&mut self) -> Result<Option<MergedRow>> {
        let Some(Reverse(newest)) = self.heads.pop() else {
            return Ok(None);
        };
        self.advance(newest.source).await?;
        while let Some(Reverse(head)) = self.heads.peek() {
            if head.row.key() != newest.row.key() {
                break;
            }
            let source = head.source;
            self.heads.pop();
            self.advance(source).await?;
        }
        let packs = self.sources[newest.source].scan.segment().packs();
        MergedRow::new(newest.row, packs).map(Some)
    }

    /// The next row whose key still exists.
    pub(crate) async fn next_present(&mut self) -> Result<Option<MergedRow>> {
        while let Some(row) = self.next().await? {
            if !row.is_gone() {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    async fn advance(&mut self, source: usize) -> Result<()> {
        let from = &mut self.sources[source];
        loop {
            if let Some(row) = from.rows.next() {
                self.heads.push(Reverse(Head { row, source }));
                return Ok(());
            }
            match from.scan.next_block().await? {
                Some(rows) => from.rows = rows.into_iter(),
                None => return Ok(()),
            }
        }
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Head) -> Ordering {
        self.row.key().cmp(other.row.key()).then(other.source.cmp(&self.source))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Head) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Head) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Head {}
