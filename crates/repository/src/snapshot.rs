//! Reading one snapshot: its tables in order, single rows, and blobs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt, stream};
use model::{BlobId, DataType, EmailId, EmailRecord};
use proto::repository::{Row, SegmentRef};
use tokio::sync::OnceCell;

use crate::error::{Error, Result};
use crate::info::SnapshotInfo;
use crate::pack::opened::Opened;
use crate::rows::{
    BlobPlace, FailureRecord, Location, ObjectRecord, StoredObject, Table, email_key, failure_from,
    object_from, object_key,
};
use crate::sealing::frame;
use crate::sealing::seal::{BlobHasher, Cipher, HEADER, Kind, Secret};
use crate::segment::filter::{Filter, key_hash};
use crate::segment::merge::{Merge, MergedRow};
use crate::segment::reader::SegmentReader;
use crate::storage::layout::{Object, ObjectName};
use crate::storage::objects::MailboxObjects;

/// Requests in flight while segments are opened or blocks looked up.
const READS_IN_FLIGHT: usize = 8;
/// A chunked blob that is read whole is not longer than this.
const MAX_READ_AT_ONCE: u64 = 1 << 30;

/// A snapshot, opened for reading. Segments are opened when first needed.
pub struct Snapshot {
    info: SnapshotInfo,
    objects: MailboxObjects,
    key: Secret,
    hasher: BlobHasher,
    segments: OnceCell<Vec<Arc<SegmentReader>>>,
    filters: OnceCell<Vec<Filter>>,
    opened: Opened,
    /// Packs that count as not there.
    lost: BTreeSet<ObjectName>,
    lacks_rows: bool,
    /// Packs that could not be read since it was opened, and segments that it goes around.
    met: Mutex<BTreeSet<Object>>,
    /// Sealed bytes of packs that were read since it was opened.
    pack_bytes_read: AtomicU64,
}

impl Snapshot {
    pub(crate) fn new(
        info: SnapshotInfo,
        objects: MailboxObjects,
        key: Secret,
        lost: BTreeSet<ObjectName>,
    ) -> Snapshot {
        let hasher = BlobHasher::new(&key);
        Snapshot {
            info,
            objects,
            key,
            hasher,
            segments: OnceCell::new(),
            filters: OnceCell::new(),
            opened: Opened::default(),
            lost,
            lacks_rows: false,
            met: Mutex::default(),
            pack_bytes_read: AtomicU64::new(0),
        }
    }

    /// The same snapshot, read as far as its rows can be; these of its segments are damaged.
    pub(crate) fn going_around(mut self, damaged: BTreeSet<Object>) -> Snapshot {
        self.lacks_rows = true;
        self.met = Mutex::new(damaged);
        self
    }

    /// Whether rows are left out that cannot be read. What they said is not known: what they added is not listed, and what they
    /// replaced or removed is listed as it was before.
    pub fn lacks_rows(&self) -> bool {
        self.lacks_rows
    }

    pub(crate) fn has_lost_packs(&self) -> bool {
        !self.lost.is_empty()
    }

    pub(crate) fn has_lost(&self, pack: ObjectName) -> bool {
        self.lost.contains(&pack)
    }

    /// Whether a blob lies in a pack that counts as not there. Of chunks nothing is known from this row.
    pub(crate) fn is_lost(&self, place: &BlobPlace) -> bool {
        matches!(place, BlobPlace::Whole(at) if self.has_lost(at.pack))
    }

    /// The packs that blobs were read from in vain since it was opened, and segments that it goes around, for
    /// [`Repository::note_damage`]: readers that go around what is damaged see no error.
    ///
    /// [`Repository::note_damage`]: crate::Repository::note_damage
    pub fn damage_met(&self) -> BTreeSet<Object> {
        self.met.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns how many sealed bytes of packs were read from the store since it was opened, those that did not open included.
    pub fn pack_bytes_read(&self) -> u64 {
        self.pack_bytes_read.load(Ordering::Relaxed)
    }

    /// What the log says of it.
    pub fn info(&self) -> &SnapshotInfo {
        &self.info
    }

    /// Hashes bytes as this mailbox's blobs are hashed.
    pub fn hasher(&self) -> BlobHasher {
        self.hasher.clone()
    }

    pub(crate) fn segments<'a>(&'a self) -> BoxFuture<'a, Result<&'a [Arc<SegmentReader>]>> {
        Box::pin(async move {
            let opened = self.segments.get_or_try_init(|| self.open_segments());
            Ok(opened.await?.as_slice())
        })
    }

    async fn open_segments(&self) -> Result<Vec<Arc<SegmentReader>>> {
        let opened = open_each(&self.objects, &self.key, &self.info.segments).await?;
        let as_asked =
            |segment| if self.lacks_rows { SegmentReader::going_around_damage(segment) } else { segment };
        Ok(opened.into_iter().map(as_asked).map(Arc::new).collect())
    }

    pub(crate) async fn table(&self, table: Table) -> Result<Merge> {
        Merge::new(self.segments().await?, table).await
    }

    /// All emails, ordered by id (as bytes).
    pub async fn emails(&self) -> Result<Emails> {
        Ok(Emails(self.table(Table::Emails).await?))
    }

    /// All objects but emails, ordered by type, then id.
    pub async fn objects(&self) -> Result<Vec<ObjectRecord>> {
        let mut objects = Vec::new();
        let mut each = self.each_object().await?;
        while let Some(found) = each.next().await? {
            objects.push(found.object?);
        }
        Ok(objects)
    }

    /// The same one by one.
    pub async fn each_object(&self) -> Result<Objects<'_>> {
        Ok(Objects { snapshot: self, table: self.table(Table::Objects).await? })
    }

    /// All objects of one type, ordered by id.
    pub async fn objects_of(&self, data_type: DataType) -> Result<Vec<ObjectRecord>> {
        let mut table = self.table(Table::Objects).await?;
        let (mut objects, number) = (Vec::new(), data_type.number());
        while let Some(MergedRow { row, .. }) = table.next_present().await? {
            match row.key.first() {
                Some(first) if *first > number => break,
                Some(first) if *first < number => {}
                _ => objects.push(self.object(row).await?),
            }
        }
        Ok(objects)
    }

    /// What could not be fetched.
    pub async fn failures(&self) -> Result<Vec<FailureRecord>> {
        let mut table = self.table(Table::Failures).await?;
        let mut failures = Vec::new();
        while let Some(MergedRow { row, .. }) = table.next_present().await? {
            let failure = row.content.and_then(|content| failure_from(&row.key, content));
            failures.push(failure.ok_or_else(|| malformed("a failure"))?);
        }
        Ok(failures)
    }

    /// The emails with these ids, as far as they are in the snapshot.
    pub async fn find_emails(&self, ids: &[EmailId]) -> Result<Vec<EmailRecord>> {
        let keys = ids.iter().map(email_key).collect();
        let rows = self.lookup(Table::Emails, keys).await?;
        rows.into_values()
            .map(|found| EmailRecord::try_from(found.row).map_err(|_| malformed("an email")))
            .collect()
    }

    /// One object by type and id.
    pub async fn find_object(&self, data_type: DataType, id: &str) -> Result<Option<ObjectRecord>> {
        let mut rows = self.lookup(Table::Objects, vec![object_key(data_type, id)]).await?;
        match rows.pop_first() {
            Some((_, found)) => self.object(found.row).await.map(Some),
            None => Ok(None),
        }
    }

    /// The objects with these types and ids, as far as they are in the snapshot; ordered by type, then id.
    pub async fn find_objects(&self, ids: &[(DataType, String)]) -> Result<Vec<ObjectRecord>> {
        let keys = ids.iter().map(|(data_type, id)| object_key(*data_type, id)).collect();
        let mut objects = Vec::new();
        for found in self.lookup(Table::Objects, keys).await?.into_values() {
            objects.push(self.object(found.row).await?);
        }
        Ok(objects)
    }

    /// The object of a row, its JSON fetched if that lies in a blob.
    async fn object(&self, row: Row) -> Result<ObjectRecord> {
        self.fetched(object_from(row).ok_or_else(|| malformed("an object"))?).await
    }

    async fn fetched(&self, stored: StoredObject) -> Result<ObjectRecord> {
        let mut object = stored.record;
        if let Some(id) = stored.json_blob {
            object.json = self.blob(&id).await?;
        }
        Ok(object)
    }

    /// Where these blobs lie, as far as they are known.
    pub(crate) async fn places(&self, ids: &[BlobId]) -> Result<BTreeMap<BlobId, BlobPlace>> {
        let keys = ids.iter().map(|id| Bytes::copy_from_slice(&id.0)).collect();
        let rows = self.lookup(Table::Blobs, keys).await?;
        Ok(rows
            .into_iter()
            .filter_map(|(key, found)| Some((BlobId(key.as_ref().try_into().ok()?), found.place?)))
            .filter(|(_, place)| !self.is_lost(place))
            .collect())
    }

    /// The bytes of a blob, hashed again: what comes back is what the id names.
    pub async fn blob(&self, id: &BlobId) -> Result<Bytes> {
        let place = self.place(id).await?;
        if place.length() > MAX_READ_AT_ONCE {
            return Err(Error::corrupt("segments", format!("a blob claims {} bytes", place.length())));
        }
        let mut whole = BytesMut::new();
        let mut pieces = self.reader(*id, place).await?;
        while let Some(piece) = pieces.next().await? {
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    /// The bytes of a blob piece by piece, for blobs too large to hold.
    pub async fn blob_reader(&self, id: &BlobId) -> Result<BlobReader<'_>> {
        let place = self.place(id).await?;
        self.reader(*id, place).await
    }

    /// Where these blobs lie; one that the index lacks (damage) is not in the answer. Asked for many at once and read in the
    /// order of their places, blobs cost a fraction of what they cost one by one.
    pub async fn locate(&self, ids: &[BlobId]) -> Result<BTreeMap<BlobId, Located>> {
        let places = self.places(ids).await?;
        Ok(places.into_iter().map(|(id, place)| (id, Located { id, place })).collect())
    }

    /// The bytes of a blob that was located, piece by piece.
    pub async fn read_located(&self, blob: Located) -> Result<BlobReader<'_>> {
        self.reader(blob.id, blob.place).await
    }

    async fn place(&self, id: &BlobId) -> Result<BlobPlace> {
        let place = self.places(std::slice::from_ref(id)).await?.remove(id);
        place.ok_or_else(not_in_index)
    }

    async fn reader(&self, id: BlobId, place: BlobPlace) -> Result<BlobReader<'_>> {
        let pieces = match place {
            BlobPlace::Whole(location) => vec![location],
            BlobPlace::Chunks { chunks, .. } => self.chunk_locations(&chunks).await?,
        };
        Ok(BlobReader { snapshot: self, id, pieces: pieces.into_iter(), hash: Some(self.hasher.stream()) })
    }

    /// All at once: chunks of one blob stand anywhere in the table, and many share a block.
    async fn chunk_locations(&self, chunks: &[BlobId]) -> Result<Vec<Location>> {
        let places = self.places(chunks).await?;
        let locations = chunks.iter().map(|chunk| match places.get(chunk) {
            Some(BlobPlace::Whole(location)) => Ok(*location),
            Some(BlobPlace::Chunks { .. }) => Err(Error::corrupt("segments", "a chunk consists of chunks")),
            None => Err(not_in_index()),
        });
        locations.collect()
    }

    async fn read(&self, at: &Location) -> Result<Bytes> {
        self.read_piece(at).await.inspect_err(|error| {
            self.met.lock().unwrap_or_else(PoisonError::into_inner).extend(error.damaged());
        })
    }

    async fn read_piece(&self, at: &Location) -> Result<Bytes> {
        let frame = self.opened.frame(at);
        let raw = frame.get_or_try_init(|| self.read_frame(at)).await?;
        let start = at.start as usize;
        let end = start + at.length as usize;
        if end > raw.len() {
            return Err(Error::corrupt(Object::Pack(at.pack).relative(), "a blob ends behind its frame"));
        }
        Ok(raw.slice(start..end))
    }

    /// Reads the frame of a blob.
    pub(crate) async fn opens(&self, at: &Location) -> Result<()> {
        self.read_frame(at).await.map(drop)
    }

    /// A copy: what a store answered may be a small part of a large buffer.
    async fn read_header(&self, pack: ObjectName) -> Result<Bytes> {
        let header = self.objects.range(&Object::Pack(pack), 0..HEADER as u64).await?;
        Ok(Bytes::copy_from_slice(&header))
    }

    fn read_frame<'a>(&'a self, at: &'a Location) -> BoxFuture<'a, Result<Bytes>> {
        Box::pin(async move {
            let (object, header) = (Object::Pack(at.pack), self.opened.header(at.pack));
            let end = at.offset + u64::from(at.sealed_length);
            self.pack_bytes_read.fetch_add(at.sealed_length.into(), Ordering::Relaxed);
            let (header, sealed) = futures::try_join!(
                header.get_or_try_init(|| self.read_header(at.pack)),
                self.objects.range(&object, at.offset..end)
            )?;
            let cipher = Cipher::read(&self.key, header, Kind::Pack, self.objects.dir(), object.relative());
            let raw =
                cipher.and_then(|of| frame::open(&of, at.frame.into(), &sealed, at.raw_length as usize));
            raw.map(Bytes::from).inspect_err(|_| self.opened.forget_header(at.pack))
        })
    }

    /// The newest present row of each key; keys that are gone or unknown are left out.
    pub(crate) fn lookup<'a>(
        &'a self,
        table: Table,
        keys: Vec<Bytes>,
    ) -> BoxFuture<'a, Result<BTreeMap<Bytes, MergedRow>>> {
        Box::pin(async move {
            let segments = self.segments().await?;
            let filters = self.filters.get_or_try_init(|| load_filters(segments)).await?;
            let mut wanted = keys;
            wanted.sort_unstable();
            wanted.dedup();
            let mut found = BTreeMap::new();
            for (segment, filter) in segments.iter().zip(filters).rev() {
                if wanted.is_empty() {
                    break;
                }
                let mut blocks = BTreeMap::<usize, Vec<Bytes>>::new();
                for key in wanted.iter().filter(|key| filter.may_contain(key_hash(table, key))) {
                    if let Some(block) = segment.block_of(table, key) {
                        blocks.entry(block).or_default().push(key.clone());
                    }
                }
                let reads: Vec<_> =
                    blocks.into_iter().map(|(block, keys)| segment.find(block, keys)).collect();
                let mut reads = stream::iter(reads).buffered(READS_IN_FLIGHT);
                while let Some(rows) = reads.try_next().await? {
                    for row in rows {
                        if let Ok(at) = wanted.binary_search(row.key()) {
                            let key = wanted.remove(at);
                            found.insert(key, MergedRow::new(row, segment.packs())?);
                        }
                    }
                }
            }
            found.retain(|_, row| !row.is_gone());
            Ok(found)
        })
    }
}

/// A blob of a snapshot and where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    id: BlobId,
    place: BlobPlace,
}

impl Located {
    /// Length of the blob in bytes.
    pub fn length(&self) -> u64 {
        self.place.length()
    }

    /// Whether it lies in chunks, which may be anywhere.
    pub fn is_in_pieces(&self) -> bool {
        matches!(self.place, BlobPlace::Chunks { .. })
    }

    /// Neighbours in this order are neighbours on the store.
    pub fn order(&self) -> impl Ord + use<> {
        match &self.place {
            BlobPlace::Whole(at) => Some((at.pack, at.frame, at.start)),
            BlobPlace::Chunks { .. } => None,
        }
    }
}

/// Reads one blob in pieces of at most 1 MiB.
pub struct BlobReader<'a> {
    snapshot: &'a Snapshot,
    id: BlobId,
    pieces: std::vec::IntoIter<Location>,
    hash: Option<blake3::Hasher>,
}

impl BlobReader<'_> {
    /// The next piece; at the end `None`, or an error if what came does not hash to the blob's id.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        let bytes = match self.pieces.next() {
            Some(location) => self.snapshot.read(&location).await?,
            None => return self.finish().map(|()| None),
        };
        if let Some(hash) = &mut self.hash {
            hash.update(&bytes);
        }
        Ok(Some(bytes))
    }

    fn finish(&mut self) -> Result<()> {
        match self.hash.take() {
            Some(hash) if *hash.finalize().as_bytes() != self.id.0 => {
                Err(Error::corrupt("packs", "a blob's bytes are not those of its id"))
            }
            _ => Ok(()),
        }
    }
}

/// Emails of a snapshot in order of their ids.
pub struct Emails(Merge);

impl Emails {
    /// The next one, `None` at the end.
    pub async fn next(&mut self) -> Result<Option<EmailRecord>> {
        let Some(found) = self.0.next_present().await? else {
            return Ok(None);
        };
        EmailRecord::try_from(found.row).map(Some).map_err(|_| malformed("an email"))
    }
}

/// Objects of a snapshot in order of type, then id.
pub struct Objects<'a> {
    snapshot: &'a Snapshot,
    table: Merge,
}

/// An object that the snapshot has.
pub struct ObjectFound {
    /// Its type.
    pub data_type: DataType,
    /// Its id.
    pub id: String,
    /// It, or why its JSON cannot be read; the next ones may be readable all the same.
    pub object: Result<ObjectRecord>,
}

impl Objects<'_> {
    /// The next one, `None` at the end.
    pub async fn next(&mut self) -> Result<Option<ObjectFound>> {
        let Some(found) = self.table.next_present().await? else {
            return Ok(None);
        };
        let stored = object_from(found.row).ok_or_else(|| malformed("an object"))?;
        let (data_type, id) = (stored.record.data_type, stored.record.id.clone());
        Ok(Some(ObjectFound { data_type, id, object: self.snapshot.fetched(stored).await }))
    }
}

pub(crate) async fn open_all(
    objects: &MailboxObjects,
    key: &Secret,
    references: &[SegmentRef],
) -> Result<Vec<Arc<SegmentReader>>> {
    Ok(open_each(objects, key, references).await?.into_iter().map(Arc::new).collect())
}

async fn open_each(
    objects: &MailboxObjects,
    key: &Secret,
    references: &[SegmentRef],
) -> Result<Vec<SegmentReader>> {
    let opening: Vec<_> =
        references.iter().map(|reference| SegmentReader::open(objects, key, reference)).collect();
    stream::iter(opening).buffered(READS_IN_FLIGHT).try_collect().await
}

async fn load_filters(segments: &[Arc<SegmentReader>]) -> Result<Vec<Filter>> {
    let loading: Vec<_> = segments.iter().map(|segment| segment.filter()).collect();
    stream::iter(loading).buffered(READS_IN_FLIGHT).try_collect().await
}

fn not_in_index() -> Error {
    Error::corrupt("segments", "a blob that is referred to is not in the index")
}

pub(crate) fn malformed(what: &str) -> Error {
    Error::corrupt("segments", format!("{what} in the tables makes no sense"))
}
