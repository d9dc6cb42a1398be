//! Writes sorted rows as segments.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use proto::repository::row::Content;
use proto::repository::{Blob, Gone, Row, SegmentBlock, SegmentFooter, SegmentRef, TableRows};

use crate::error::Result;
use crate::rows::{BlobPlace, Location, NewContent, NewRow, Table};
use crate::sealing::frame;
use crate::sealing::seal::{Cipher, FOOTER, Kind, Secret};
use crate::segment::filter::{Filter, key_hash};
use crate::sizes::Sizes;
use crate::storage::layout::{Object, ObjectName};
use crate::storage::length::{PackLengths, narrow};
use crate::storage::objects::MailboxObjects;
use crate::storage::upload::Upload;

/// Number of the filter's block in place of a table's.
pub(crate) const FILTER_TABLE: u32 = 0;
/// The filter must fit a frame.
const MAX_ROWS: usize = 1 << 21;

/// Takes rows in order of (table, key), each key once, and uploads segments of at most about 16 MiB.
pub(crate) struct SegmentBuilder<'a> {
    objects: &'a MailboxObjects,
    key: &'a Secret,
    sizes: Sizes,
    lengths: PackLengths,
    current: Option<Building>,
    done: Vec<SegmentRef>,
}

struct Building {
    name: ObjectName,
    cipher: Cipher,
    parts: Vec<Bytes>,
    bytes: usize,
    footer: SegmentFooter,
    /// With how far into each of them rows point.
    packs: Vec<(ObjectName, u64)>,
    hashes: Vec<u64>,
    rows: Vec<TableRows>,
    block: Block,
    block_bytes: usize,
}

struct Block {
    table: Table,
    first_key: Bytes,
    raw: BytesMut,
    rows: u32,
}

impl<'a> SegmentBuilder<'a> {
    /// `lengths` of the packs that rows point to; of those that are not among them none is written down.
    pub(crate) fn new(
        objects: &'a MailboxObjects,
        key: &'a Secret,
        sizes: Sizes,
        lengths: PackLengths,
    ) -> SegmentBuilder<'a> {
        SegmentBuilder { objects, key, sizes, lengths, current: None, done: Vec::new() }
    }

    pub(crate) async fn push(&mut self, row: NewRow) -> Result<()> {
        if self.current.as_ref().is_some_and(|c| c.bytes >= self.sizes.segment || c.hashes.len() >= MAX_ROWS)
        {
            self.close().await?;
        }
        self.current.get_or_insert_with(|| Building::new(self.objects, self.key, self.sizes.block)).push(row)
    }

    /// Uploads what is left; the segments in order of their keys.
    pub(crate) async fn finish(mut self) -> Result<Vec<SegmentRef>> {
        self.close().await?;
        Ok(self.done)
    }

    async fn close(&mut self) -> Result<()> {
        let Some(building) = self.current.take() else {
            return Ok(());
        };
        let (name, parts, mut reference) = building.seal(&self.lengths)?;
        let name = Upload::segment(name, parts).store(self.objects, self.key).await?;
        reference.name = Bytes::copy_from_slice(&name.0);
        self.done.push(reference);
        Ok(())
    }
}

impl Building {
    fn new(objects: &MailboxObjects, key: &Secret, block_bytes: usize) -> Building {
        let name = ObjectName::random();
        let cipher = Cipher::fresh(key, Kind::Segment, objects.dir(), Object::Segment(name).relative());
        let header = Bytes::copy_from_slice(cipher.header());
        Building {
            name,
            bytes: header.len(),
            parts: vec![header],
            cipher,
            footer: SegmentFooter::default(),
            packs: Vec::new(),
            hashes: Vec::new(),
            rows: Vec::new(),
            block: Block::new(Table::Emails),
            block_bytes,
        }
    }

    fn push(&mut self, row: NewRow) -> Result<()> {
        if row.table != self.block.table || self.block.raw.len() >= self.block_bytes {
            self.close_block()?;
            self.block = Block::new(row.table);
        }
        self.hashes.push(key_hash(row.table, &row.key));
        self.count(row.table);
        let encoded = match row.content {
            NewContent::Encoded(bytes) => bytes,
            NewContent::Blob(place) => self.encode_blob(&row.key, place),
            NewContent::Gone => {
                Row { key: row.key.clone(), content: Some(Content::Gone(Gone {})) }.encode_to_vec().into()
            }
        };
        self.block.push(row.key, &encoded);
        Ok(())
    }

    fn count(&mut self, table: Table) {
        match self.rows.last_mut() {
            Some(last) if last.table == table as u32 => last.rows += 1,
            _ => self.rows.push(TableRows { table: table as u32, rows: 1 }),
        }
    }

    fn encode_blob(&mut self, key: &Bytes, place: BlobPlace) -> Bytes {
        let blob = match place {
            BlobPlace::Whole(at) => Blob {
                pack: self.pack_index(&at),
                frame: at.frame,
                offset: at.offset,
                sealed_length: at.sealed_length,
                raw_length: at.raw_length,
                start: at.start,
                length: at.length.into(),
                chunks: Vec::new(),
            },
            BlobPlace::Chunks { chunks, length } => Blob {
                length,
                chunks: chunks.iter().map(|id| Bytes::copy_from_slice(&id.0)).collect(),
                ..Blob::default()
            },
        };
        Row { key: key.clone(), content: Some(Content::Blob(blob)) }.encode_to_vec().into()
    }

    fn pack_index(&mut self, at: &Location) -> u32 {
        // Rows of one pack mostly come together, and a segment names few packs.
        let known = self.packs.iter().rposition(|(pack, _)| *pack == at.pack);
        let index = known.unwrap_or_else(|| {
            self.packs.push((at.pack, 0));
            self.packs.len() - 1
        });
        let reach = &mut self.packs[index].1;
        *reach = (*reach).max(at.reach());
        narrow(index)
    }

    fn close_block(&mut self) -> Result<()> {
        let block = std::mem::replace(&mut self.block, Block::new(Table::Emails));
        if block.rows > 0 {
            self.add_block(block.table as u32, &block.first_key, &block.raw, block.rows)?;
        }
        Ok(())
    }

    fn add_block(&mut self, table: u32, first_key: &[u8], raw: &[u8], rows: u32) -> Result<()> {
        let sealed = frame::seal(&self.cipher, self.footer.blocks.len() as u64, raw)?;
        self.footer.blocks.push(SegmentBlock {
            table,
            // A slice would keep the block that the key was read from in memory.
            first_key: Bytes::copy_from_slice(first_key),
            sealed_length: narrow(sealed.len()),
            raw_length: narrow(raw.len()),
            rows,
        });
        self.bytes += sealed.len();
        self.parts.push(sealed.into());
        Ok(())
    }

    fn seal(mut self, lengths: &PackLengths) -> Result<(ObjectName, Vec<Bytes>, SegmentRef)> {
        self.close_block()?;
        let filter = Filter::build(&self.hashes);
        self.add_block(FILTER_TABLE, &[], filter.as_bytes(), 0)?;
        self.footer.packs = self.packs.iter().map(|(name, _)| Bytes::copy_from_slice(&name.0)).collect();
        self.footer.pack_reach = self.packs.iter().map(|(_, reach)| *reach).collect();
        let length = |name| lengths.get(name).copied().unwrap_or_default();
        self.footer.pack_lengths = self.packs.iter().map(|(name, _)| length(name)).collect();
        let mut footer = self.footer.encode_to_vec();
        self.cipher.seal(FOOTER, &mut footer);
        let length = narrow(footer.len()).to_be_bytes();
        self.bytes += footer.len() + length.len();
        self.parts.push(footer.into());
        self.parts.push(Bytes::copy_from_slice(&length));
        let name = Bytes::copy_from_slice(&self.name.0);
        Ok((self.name, self.parts, SegmentRef { name, bytes: self.bytes as u64, rows: self.rows }))
    }
}

impl Block {
    fn new(table: Table) -> Block {
        Block { table, first_key: Bytes::new(), raw: BytesMut::new(), rows: 0 }
    }

    fn push(&mut self, key: Bytes, encoded: &[u8]) {
        if self.rows == 0 {
            self.first_key = key;
        }
        prost::encode_length_delimiter(encoded.len(), &mut self.raw).expect("the buffer grows");
        self.raw.put_slice(encoded);
        self.rows += 1;
    }
}
