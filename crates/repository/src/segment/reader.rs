//! Reads segments: whole tables in order, or single keys.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, Bytes};
use futures::future::BoxFuture;
use prost::Message;
use proto::repository::{Row, SegmentBlock, SegmentFooter, SegmentRef};

use crate::error::{Error, Result};
use crate::log::fold::segment_name;
use crate::rows::Table;
use crate::sealing::frame;
use crate::sealing::seal::{Cipher, FOOTER, HEADER, Kind, Secret, TAG};
use crate::segment::builder::FILTER_TABLE;
use crate::segment::filter::Filter;
use crate::storage::layout::{Object, ObjectName};
use crate::storage::length::Length;
use crate::storage::objects::MailboxObjects;

/// Segments up to this length are read in one request and kept while they are open.
pub(crate) const WHOLE: u64 = 256 << 10;
/// What the first request for a longer one asks for at its end.
const TAIL: u64 = 64 << 10;
/// What one request reads ahead while a table is walked through.
const READ_AHEAD: u64 = 256 << 10;
/// Opened blocks that are kept for looking up single keys: ids of blobs are random, their blocks come again and again.
const KEPT_BLOCKS: usize = 16;

/// One opened segment: its footer is in memory, its blocks are read when needed.
pub(crate) struct SegmentReader {
    objects: MailboxObjects,
    object: Object,
    cipher: Cipher,
    /// With the offset of each block.
    blocks: Vec<(u64, SegmentBlock)>,
    packs: Vec<ObjectName>,
    lengths: Vec<Length>,
    whole: Option<Bytes>,
    kept: Mutex<VecDeque<(usize, Bytes)>>,
    /// A block that cannot be read has no rows, instead of being an error.
    goes_around: bool,
}

impl SegmentReader {
    pub(crate) fn open<'a>(
        objects: &'a MailboxObjects,
        key: &'a Secret,
        reference: &'a SegmentRef,
    ) -> BoxFuture<'a, Result<SegmentReader>> {
        Box::pin(async move {
            let name = segment_name(reference).ok_or_else(|| Error::corrupt("log", "it names no segment"))?;
            let object = Object::Segment(name);
            let size = reference.bytes;
            if size < (HEADER + TAG + 4) as u64 {
                return Err(Error::corrupt(object.relative(), "its log entry gives it an impossible length"));
            }
            if size <= WHOLE {
                let bytes = objects.range(&object, 0..size).await?;
                let (head, tail) = (bytes.slice(..HEADER), bytes.clone());
                return SegmentReader::parse(objects, key, object, size, &head, tail, Some(bytes)).await;
            }
            let (head, tail) = futures::try_join!(
                objects.range(&object, 0..HEADER as u64),
                objects.range(&object, size - TAIL..size)
            )?;
            SegmentReader::parse(objects, key, object, size, &head, tail, None).await
        })
    }

    async fn parse(
        objects: &MailboxObjects,
        key: &Secret,
        object: Object,
        size: u64,
        head: &[u8],
        mut tail: Bytes,
        whole: Option<Bytes>,
    ) -> Result<SegmentReader> {
        let cipher = Cipher::read(key, head, Kind::Segment, objects.dir(), object.relative())?;
        let length = tail.slice(tail.len() - 4..).get_u32() as u64;
        let end = size - 4;
        let start = end
            .checked_sub(length)
            .filter(|start| *start >= HEADER as u64)
            .ok_or_else(|| Error::corrupt(object.relative(), "its footer claims to be longer than itself"))?;
        if length + 4 > tail.len() as u64 {
            tail = objects.range(&object, start..size).await?;
        }
        let first = tail.len() - 4 - usize::try_from(length).unwrap_or(usize::MAX);
        let footer = open_footer(&cipher, &tail[first..tail.len() - 4])?;
        let packs = pack_names(&footer, &object)?;
        let lengths = pack_lengths(&footer);
        let blocks = place_blocks(footer.blocks, start, &object)?;
        Ok(SegmentReader {
            objects: objects.clone(),
            object,
            cipher,
            blocks,
            packs,
            lengths,
            whole,
            kept: Mutex::default(),
            goes_around: false,
        })
    }

    /// Reads what can be read: a damaged block counts as one without rows.
    pub(crate) fn going_around_damage(mut self) -> SegmentReader {
        self.goes_around = true;
        self
    }

    /// The packs that blob rows of this segment point to.
    pub(crate) fn packs(&self) -> &[ObjectName] {
        &self.packs
    }

    /// The same, with their lengths.
    pub(crate) fn packs_and_lengths(&self) -> impl Iterator<Item = (ObjectName, Length)> {
        self.packs.iter().copied().zip(self.lengths.iter().copied())
    }

    /// The table of each block, in their order; the filter's among them.
    pub(crate) fn tables(&self) -> impl Iterator<Item = u32> {
        self.blocks.iter().map(|(_, block)| block.table)
    }

    pub(crate) fn damaged(&self, what: &str) -> Error {
        Error::corrupt(self.object.relative(), what)
    }

    pub(crate) fn filter<'a>(&'a self) -> BoxFuture<'a, Result<Filter>> {
        Box::pin(async move {
            let Some(number) = self.blocks.iter().position(|(_, b)| b.table == FILTER_TABLE) else {
                return Err(Error::corrupt(self.object.relative(), "it has no filter"));
            };
            let bits = self.read_blocks(number..number + 1).await?.remove(0);
            let is_damaged = self.goes_around && bits.is_empty();
            Ok(if is_damaged { Filter::of_anything() } else { Filter::from_bytes(bits) })
        })
    }

    /// The block that holds `key` if this segment does.
    pub(crate) fn block_of(&self, table: Table, key: &[u8]) -> Option<usize> {
        let blocks = self.table_blocks(table);
        let after = self.blocks[blocks.clone()].partition_point(|(_, b)| b.first_key.as_ref() <= key);
        (after > 0).then(|| blocks.start + after - 1)
    }

    /// The rows of one block that have one of these keys.
    pub(crate) fn find<'a>(
        &'a self,
        block: usize,
        keys: Vec<Bytes>,
    ) -> BoxFuture<'a, Result<Vec<StoredRow>>> {
        Box::pin(async move {
            let raw = match self.kept(block) {
                Some(raw) => raw,
                None => self.keep(block, self.read_blocks(block..block + 1).await?.remove(0).into()),
            };
            find_rows(raw, &keys).map_err(|what| self.damaged(what))
        })
    }

    fn kept(&self, block: usize) -> Option<Bytes> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|(number, _)| *number == block).map(|(_, raw)| raw.clone())
    }

    fn keep(&self, block: usize, raw: Bytes) -> Bytes {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_front((block, raw.clone()));
        kept.truncate(KEPT_BLOCKS);
        raw
    }

    /// The numbers of a table's blocks.
    pub(crate) fn table_blocks(&self, table: Table) -> Range<usize> {
        let number = table as u32;
        let start = self.blocks.iter().position(|(_, b)| b.table == number).unwrap_or(0);
        let count = self.blocks[start..].iter().take_while(|(_, b)| b.table == number).count();
        start..start + count
    }

    async fn read_blocks(&self, numbers: Range<usize>) -> Result<Vec<Vec<u8>>> {
        let sealed = self.sealed(numbers.clone()).await?;
        self.open_blocks(numbers, &sealed)
    }

    /// The bytes of some blocks as they lie on the store.
    pub(crate) fn sealed<'a>(&'a self, numbers: Range<usize>) -> BoxFuture<'a, Result<Bytes>> {
        Box::pin(async move {
            let (Some((start, _)), Some((offset, last))) =
                (self.blocks.get(numbers.start), self.blocks.get(numbers.end - 1))
            else {
                return Err(Error::corrupt(self.object.relative(), "a block beyond its end was asked for"));
            };
            let range = *start..offset + u64::from(last.sealed_length);
            match &self.whole {
                Some(whole) => Ok(whole.slice(to_usize(range.start)..to_usize(range.end))),
                None => self.objects.range(&self.object, range).await,
            }
        })
    }

    /// What is in the sealed bytes of some blocks; takes a while.
    pub(crate) fn open_blocks(&self, numbers: Range<usize>, sealed: &[u8]) -> Result<Vec<Vec<u8>>> {
        let mut rest = sealed;
        numbers
            .map(|number| {
                let (_, block) = &self.blocks[number];
                let (sealed, after) = rest.split_at(block.sealed_length as usize);
                rest = after;
                match frame::open(&self.cipher, number as u64, sealed, block.raw_length as usize) {
                    Err(_) if self.goes_around => Ok(Vec::new()),
                    opened => opened,
                }
            })
            .collect()
    }

    /// What the footer says of a block.
    pub(crate) fn block(&self, number: usize) -> &SegmentBlock {
        &self.blocks[number].1
    }

    /// Reads its blocks anew each time from here on, though it is short.
    pub(crate) fn forget_whole(&mut self) {
        self.whole = None;
    }

    /// Bytes that are kept while it is open.
    pub(crate) fn kept_whole(&self) -> usize {
        self.whole.as_ref().map_or(0, Bytes::len)
    }

    /// As many of these blocks as one request reads, at least one.
    pub(crate) fn read_ahead(&self, blocks: Range<usize>) -> Range<usize> {
        let mut bytes = 0;
        let count = self.blocks[blocks.clone()]
            .iter()
            .take_while(|(_, block)| {
                bytes += u64::from(block.raw_length);
                bytes <= READ_AHEAD
            })
            .count();
        blocks.start..blocks.start + count.max(1)
    }

    fn decode(&self, number: usize, raw: Vec<u8>) -> Result<Vec<StoredRow>> {
        match decode_block(&self.blocks[number].1, raw) {
            Err(_) if self.goes_around => Ok(Vec::new()),
            decoded => decoded.map_err(|what| self.damaged(what)),
        }
    }
}

/// A row and its bytes on disk, which a merge takes along unread: they may hold fields of a later minor change.
#[derive(Debug)]
pub(crate) struct StoredRow {
    pub(crate) row: Row,
    pub(crate) encoded: Bytes,
}

impl StoredRow {
    pub(crate) fn key(&self) -> &Bytes {
        &self.row.key
    }
}

/// As much of a [`Row`] as it takes to find one.
#[derive(Clone, PartialEq, Message)]
struct RowKey {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
}

/// The rows of an opened block that have one of these keys, which are in order; the others are not decoded.
fn find_rows(mut raw: Bytes, keys: &[Bytes]) -> Result<Vec<StoredRow>, &'static str> {
    let mut found = Vec::new();
    while found.len() < keys.len() && raw.has_remaining() {
        let encoded = next_row(&mut raw)?;
        let RowKey { key } = RowKey::decode(encoded.clone()).map_err(|_| "a row does not decode")?;
        if keys.binary_search(&key).is_ok() {
            let row = Row::decode(encoded.clone()).map_err(|_| "a row does not decode")?;
            found.push(StoredRow { row, encoded });
        }
    }
    Ok(found)
}

pub(crate) fn next_row(raw: &mut Bytes) -> Result<Bytes, &'static str> {
    let length = prost::decode_length_delimiter(&mut *raw).map_err(|_| "a row's length does not decode")?;
    if length > raw.len() { Err("a row is longer than its block") } else { Ok(raw.split_to(length)) }
}

/// The rows of an opened block.
pub(crate) fn decode_block(block: &SegmentBlock, raw: Vec<u8>) -> Result<Vec<StoredRow>, &'static str> {
    let mut raw = Bytes::from(raw);
    let mut rows = Vec::<StoredRow>::new();
    while raw.has_remaining() {
        let encoded = next_row(&mut raw)?;
        let row = Row::decode(encoded.clone()).map_err(|_| "a row does not decode")?;
        rows.push(StoredRow { row, encoded });
    }
    let first = rows.first().map(|stored| &stored.row.key);
    let in_order = rows.is_sorted_by(|a, b| a.row.key < b.row.key);
    if rows.len() != block.rows as usize || first != Some(&block.first_key) || !in_order {
        return Err("a block's rows are not as its footer says");
    }
    Ok(rows)
}

/// Walks through one table of a segment in order of its keys.
pub(crate) struct TableScan {
    segment: Arc<SegmentReader>,
    blocks: Range<usize>,
    /// Blocks read ahead, not yet decoded: decoded rows take several times the memory.
    ready: VecDeque<(usize, Vec<u8>)>,
}

impl TableScan {
    pub(crate) fn new(segment: Arc<SegmentReader>, table: Table) -> TableScan {
        let blocks = segment.table_blocks(table);
        TableScan { segment, blocks, ready: VecDeque::new() }
    }

    /// The rows of the next block, or `None` at the end.
    pub(crate) async fn next_block(&mut self) -> Result<Option<Vec<StoredRow>>> {
        if self.ready.is_empty() && !self.blocks.is_empty() {
            let numbers = self.take_ahead();
            let raw = self.segment.read_blocks(numbers.clone()).await?;
            self.ready.extend(numbers.zip(raw));
        }
        self.ready.pop_front().map(|(number, raw)| self.segment.decode(number, raw)).transpose()
    }

    pub(crate) fn segment(&self) -> &SegmentReader {
        &self.segment
    }

    fn take_ahead(&mut self) -> Range<usize> {
        let ahead = self.segment.read_ahead(self.blocks.clone());
        self.blocks.start = ahead.end;
        ahead
    }
}

/// Everything that is read from a segment's footer, for a segment whose blocks end at `end`.
#[cfg(feature = "fuzzing")]
pub(crate) fn parse_footer(plain: &[u8], end: u64) -> Option<usize> {
    let object = Object::Segment(ObjectName([0; 16]));
    let footer = SegmentFooter::decode(plain).ok()?;
    pack_names(&footer, &object).ok()?;
    Some(place_blocks(footer.blocks, end, &object).ok()?.len())
}

fn open_footer(cipher: &Cipher, sealed: &[u8]) -> Result<SegmentFooter> {
    let mut plain = sealed.to_vec();
    cipher.open(FOOTER, &mut plain)?;
    SegmentFooter::decode(plain.as_slice())
        .map_err(|_| Error::corrupt(cipher.name(), "its footer does not decode"))
}

fn pack_names(footer: &SegmentFooter, object: &Object) -> Result<Vec<ObjectName>> {
    let names = footer.packs.iter().map(|name| ObjectName::from_slice(name)).collect::<Option<_>>();
    names.ok_or_else(|| Error::corrupt(object.relative(), "its footer names a pack that cannot be"))
}

/// One for each pack that it names; format 1 tells of none.
fn pack_lengths(footer: &SegmentFooter) -> Vec<Length> {
    let said = |of: &[u64], i| of.get(i).copied().unwrap_or_default();
    let length = |i| match said(&footer.pack_lengths, i) {
        0 => Length::AtLeast(said(&footer.pack_reach, i)),
        length => Length::Exactly(length),
    };
    (0..footer.packs.len()).map(length).collect()
}

/// Gives every block its offset; together they must fill the object up to the footer.
fn place_blocks(blocks: Vec<SegmentBlock>, end: u64, object: &Object) -> Result<Vec<(u64, SegmentBlock)>> {
    let mut offset = HEADER as u64;
    let placed = blocks
        .into_iter()
        .map(|block| {
            let at = offset;
            offset += u64::from(block.sealed_length);
            (at, block)
        })
        .collect();
    if offset != end {
        return Err(Error::corrupt(object.relative(), "its blocks do not add up to its length"));
    }
    Ok(placed)
}

fn to_usize(offset: u64) -> usize {
    usize::try_from(offset).expect("offsets in a buffer fit memory")
}
