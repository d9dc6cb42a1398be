//! Rows of a snapshot's tables as the program handles them; `proto` has their shape on disk.

use bytes::Bytes;
use model::{BlobId, DataType, EmailId};
use proto::repository as disk;
use proto::repository::row::Content;

use crate::storage::layout::ObjectName;

/// The tables of a snapshot. The number is the one on disk; rows are ordered by table, then key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Table {
    /// Key: the JMAP email id.
    Emails = 1,
    /// Key: the blob id.
    Blobs = 2,
    /// Key: the number of the data type, then the object's JMAP id.
    Objects = 3,
    /// Key: as `Objects`.
    Failures = 4,
}

impl Table {
    pub(crate) const ALL: [Table; 4] = [Table::Emails, Table::Blobs, Table::Objects, Table::Failures];
}

/// Where a blob lies on the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    /// The pack.
    pub pack: ObjectName,
    /// Frame number in the pack.
    pub frame: u32,
    /// Of the sealed frame in the pack, bytes.
    pub offset: u64,
    /// Of the sealed frame, bytes.
    pub sealed_length: u32,
    /// Of the opened frame, bytes.
    pub raw_length: u32,
    /// Of the blob in the opened frame, bytes.
    pub start: u32,
    /// Of the blob, bytes.
    pub length: u32,
}

impl Location {
    /// The pack is at least this long.
    pub(crate) fn reach(&self) -> u64 {
        self.offset + u64::from(self.sealed_length)
    }
}

/// What the table of blobs says of one blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlobPlace {
    /// It lies in one piece.
    Whole(Location),
    /// It is these blobs one behind the other, `length` bytes together.
    Chunks {
        /// In order.
        chunks: Vec<BlobId>,
        /// Of all together.
        length: u64,
    },
}

impl BlobPlace {
    /// Length of the blob in bytes.
    pub fn length(&self) -> u64 {
        match self {
            BlobPlace::Whole(location) => location.length.into(),
            BlobPlace::Chunks { length, .. } => *length,
        }
    }
}

/// An object of any type but Email.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectRecord {
    /// Its type.
    pub data_type: DataType,
    /// Its JMAP id.
    pub id: String,
    /// The JSON object as the server sent it.
    pub json: Bytes,
    /// Content that belongs to it (a script's text, a file's bytes).
    pub blob: Option<BlobId>,
}

/// Something that could not be fetched; tried again by the next backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureRecord {
    /// Its type.
    pub data_type: DataType,
    /// Its JMAP id.
    pub id: String,
    /// Why, for people.
    pub reason: String,
    /// How many backups have tried.
    pub attempts: u32,
    /// When it failed first, Unix milliseconds.
    pub first_ms: i64,
}

/// A row on its way to a segment.
pub(crate) struct NewRow {
    pub(crate) table: Table,
    pub(crate) key: Bytes,
    pub(crate) content: NewContent,
}

/// Blob rows name their pack by its place in the segment's footer, so they are finished only when that is written.
pub(crate) enum NewContent {
    Encoded(Bytes),
    Blob(BlobPlace),
    Gone,
}

impl NewRow {
    /// About the length of the row on disk before compression.
    pub(crate) fn weight(&self) -> usize {
        match &self.content {
            NewContent::Encoded(bytes) => bytes.len() + self.key.len(),
            NewContent::Gone => 4 + self.key.len(),
            NewContent::Blob(BlobPlace::Whole(_)) => 64,
            NewContent::Blob(BlobPlace::Chunks { chunks, .. }) => 48 + 34 * chunks.len(),
        }
    }

    pub(crate) fn blob(id: BlobId, place: BlobPlace) -> NewRow {
        NewRow { table: Table::Blobs, key: Bytes::copy_from_slice(&id.0), content: NewContent::Blob(place) }
    }
}

pub(crate) fn object_key(data_type: DataType, id: &str) -> Bytes {
    let mut key = Vec::with_capacity(1 + id.len());
    key.push(data_type.number());
    key.extend_from_slice(id.as_bytes());
    key.into()
}

pub(crate) fn email_key(id: &EmailId) -> Bytes {
    Bytes::copy_from_slice(id.as_str().as_bytes())
}

pub(crate) fn parse_object_key(key: &[u8]) -> Option<(DataType, String)> {
    let (number, id) = key.split_first()?;
    Some((DataType::from_number(u32::from(*number))?, std::str::from_utf8(id).ok()?.to_owned()))
}

/// An object as its row has it.
pub(crate) struct StoredObject {
    /// Its JSON is empty if that lies in a blob.
    pub(crate) record: ObjectRecord,
    pub(crate) json_blob: Option<BlobId>,
}

pub(crate) fn object_from(row: disk::Row) -> Option<StoredObject> {
    let Some(Content::Object(object)) = row.content else {
        return None;
    };
    let (data_type, id) = parse_object_key(&row.key)?;
    Some(StoredObject {
        json_blob: optional_blob(&object.json_blob)?,
        record: ObjectRecord { data_type, id, blob: optional_blob(&object.blob)?, json: object.json },
    })
}

/// Empty bytes stand for no blob; the outer `None` for bytes that are no id.
fn optional_blob(bytes: &[u8]) -> Option<Option<BlobId>> {
    match bytes {
        [] => Some(None),
        id => Some(Some(BlobId(id.try_into().ok()?))),
    }
}

pub(crate) fn failure_from(key: &[u8], content: Content) -> Option<FailureRecord> {
    let Content::Failure(failure) = content else {
        return None;
    };
    let (data_type, id) = parse_object_key(key)?;
    let disk::Failure { reason, attempts, first_ms } = failure;
    Some(FailureRecord { data_type, id, reason, attempts, first_ms })
}

/// A blob's place from its row; `packs` is the footer's list.
pub(crate) fn place_from(blob: &disk::Blob, packs: &[ObjectName]) -> Option<BlobPlace> {
    if !blob.chunks.is_empty() {
        let chunks = blob.chunks.iter().map(|id| Some(BlobId(id.as_ref().try_into().ok()?)));
        return Some(BlobPlace::Chunks { chunks: chunks.collect::<Option<_>>()?, length: blob.length });
    }
    let length = u32::try_from(blob.length).ok()?;
    let end = blob.start.checked_add(length)?;
    (end <= blob.raw_length).then_some(())?;
    blob.offset.checked_add(blob.sealed_length.into())?;
    Some(BlobPlace::Whole(Location {
        pack: *packs.get(usize::try_from(blob.pack).ok()?)?,
        frame: blob.frame,
        offset: blob.offset,
        sealed_length: blob.sealed_length,
        raw_length: blob.raw_length,
        start: blob.start,
        length,
    }))
}
