//! Walks through one table of a segment looking for rows that somebody wants: several blocks at once on the blocking pool,
//! without decoding the rows that nobody does.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use futures::stream::{self, BoxStream, StreamExt};
use proto::{NotARow, RowParts};

use crate::error::{Error, Result};
use crate::segment::reader::{SegmentReader, next_row};

/// Batches (of one request each) that are opened and looked through at the same time.
const BATCHES_AT_ONCE: usize = 4;

/// Decides whether a row is wanted. Asked on several threads, and about outdated rows too.
pub(crate) type Wanted = Arc<dyn Fn(&RowParts<'_>) -> Result<bool, NotARow> + Send + Sync>;

/// Neighbouring rows of a segment: the keys of all, the bytes of those that are wanted.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    keys: Vec<u8>,
    /// Where each key ends in `keys`.
    ends: Vec<usize>,
    /// With the number of the row, ascending.
    wanted: Vec<(usize, Bytes)>,
}

impl Batch {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn key(&self, row: usize) -> &[u8] {
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.keys[start..self.ends[row]]
    }

    /// The first row from `from` on whose key is not less than `key`.
    pub(crate) fn seek(&self, from: usize, key: &[u8]) -> usize {
        let (mut low, mut high) = (from, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.key(middle) < key {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// The wanted ones among these rows.
    pub(crate) fn wanted(&self, rows: Range<usize>) -> &[(usize, Bytes)] {
        let start = self.wanted.partition_point(|(row, _)| *row < rows.start);
        let end = self.wanted.partition_point(|(row, _)| *row < rows.end);
        &self.wanted[start..end]
    }

    fn push(&mut self, key: &[u8], wanted: Option<Bytes>) {
        let row = self.ends.len();
        self.keys.extend_from_slice(key);
        self.ends.push(self.keys.len());
        self.wanted.extend(wanted.map(|encoded| (row, encoded)));
    }
}

/// The batches of these blocks in their order; nothing is read before the first is asked for.
pub(crate) fn batches(
    segment: &Arc<SegmentReader>,
    blocks: Range<usize>,
    wanted: &Wanted,
) -> BoxStream<'static, Result<Batch>> {
    let mut left = blocks;
    let mut ranges = Vec::new();
    while !left.is_empty() {
        let range = segment.read_ahead(left.clone());
        left.start = range.end;
        ranges.push(range);
    }
    let (segment, wanted) = (segment.clone(), wanted.clone());
    let read = move |range| batch(segment.clone(), range, wanted.clone());
    stream::iter(ranges).map(read).buffered(BATCHES_AT_ONCE).boxed()
}

async fn batch(segment: Arc<SegmentReader>, numbers: Range<usize>, wanted: Wanted) -> Result<Batch> {
    let sealed = segment.sealed(numbers.clone()).await?;
    let looked_through = tokio::task::spawn_blocking(move || {
        let mut batch = Batch::default();
        for (number, raw) in numbers.clone().zip(segment.open_blocks(numbers, &sealed)?) {
            look_through(&segment, number, raw.into(), &wanted, &mut batch)?;
        }
        Ok(batch)
    });
    looked_through.await.map_err(|_| Error::Stopped)?
}

/// Checks what decoding the block checks: number of rows, first key, order.
fn look_through(
    segment: &SegmentReader,
    number: usize,
    mut raw: Bytes,
    wanted: &Wanted,
    batch: &mut Batch,
) -> Result<()> {
    let (block, start) = (segment.block(number), batch.len());
    while raw.has_remaining() {
        let encoded = next_row(&mut raw).map_err(|what| segment.damaged(what))?;
        let looked_at = RowParts::parse(&encoded).and_then(|row| Ok((row.key, wanted(&row)?)));
        let (key, is_wanted) = looked_at.map_err(|NotARow| segment.damaged("a row does not decode"))?;
        if batch.len() > start && batch.key(batch.len() - 1) >= key {
            return Err(segment.damaged("a block's rows are not in order"));
        }
        batch.push(key, is_wanted.then(|| encoded.clone()));
    }
    let rows = batch.len() - start;
    if rows != block.rows as usize || rows == 0 || batch.key(start) != block.first_key.as_ref() {
        return Err(segment.damaged("a block's rows are not as its footer says"));
    }
    Ok(())
}
