//! Turns a stream of blobs into packs on the store.
//!
//! **Layout.** header (32 bytes) · sealed frames · sealed footer · its length (4 bytes, big-endian).
//! **Order.** A blob's location is handed out only when the pack that holds it lies on the store.
//! **Crash.** A pack nobody refers to; a later prune removes it. Names are random and used once, so a retry of the same
//! upload sends the same bytes and a new attempt takes a new name. A pack counts as stored when a sample of it was read back.
//!
//! Frames are compressed, sealed and verified on the blocking pool, a few at a time; packs are uploaded in the
//! background, a few at a time. `add` waits when both are full: that is the back-pressure of the whole pipeline.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use model::BlobId;
use prost::Message;
use proto::repository::{PackFooter, PackFrame};
use tokio::task::{JoinHandle, JoinSet};
use tracing::Instrument;

use crate::error::{Error, Result};
use crate::rows::Location;
use crate::sealing::frame::{self, BlobLengths};
use crate::sealing::seal::{BlobHasher, Cipher, FOOTER, HEADER, Kind, Secret};
use crate::sizes::Sizes;
use crate::storage::layout::{Object, ObjectName};
use crate::storage::length::{PackLengths, narrow};
use crate::storage::objects::MailboxObjects;
use crate::storage::upload::Upload;

/// Frames being compressed at the same time.
const FRAMES_IN_FLIGHT: usize = 2;
/// Packs being uploaded at the same time, beside the one that is being filled; each takes 16 MiB of memory.
const UPLOADS_IN_FLIGHT: usize = 1;

type Blobs = Vec<(BlobId, Bytes)>;

/// A blob that lies on the store.
pub(crate) type Stored = (BlobId, Location);

pub(crate) struct Packer {
    objects: MailboxObjects,
    key: Secret,
    hasher: BlobHasher,
    frame: Blobs,
    frame_bytes: usize,
    pack: Arc<Pack>,
    frames_in_pack: u64,
    /// Sealed bytes of the finished frames and raw bytes of the others: when this is full the pack is.
    pack_bytes: usize,
    sealing: FuturesOrdered<JoinHandle<Result<SealedFrame>>>,
    filling: Option<Filling>,
    uploads: JoinSet<Result<StoredPack>>,
    stored: Vec<Stored>,
    bytes_written: u64,
    packs: PackLengths,
    sizes: Sizes,
}

struct Pack {
    name: ObjectName,
    cipher: Cipher,
}

struct SealedFrame {
    pack: Arc<Pack>,
    blobs: BlobLengths,
    raw_length: usize,
    sealed: Bytes,
}

struct StoredPack {
    name: ObjectName,
    length: u64,
    stored: Vec<Stored>,
}

struct Filling {
    pack: Arc<Pack>,
    parts: Vec<Bytes>,
    length: usize,
    footer: PackFooter,
    stored: Vec<Stored>,
}

impl Packer {
    pub(crate) fn new(objects: MailboxObjects, key: Secret, sizes: Sizes) -> Packer {
        let pack = Arc::new(Pack::fresh(&objects, &key));
        Packer {
            hasher: BlobHasher::new(&key),
            objects,
            key,
            frame: Vec::new(),
            frame_bytes: 0,
            pack,
            frames_in_pack: 0,
            pack_bytes: 0,
            sealing: FuturesOrdered::new(),
            filling: None,
            uploads: JoinSet::new(),
            stored: Vec::new(),
            bytes_written: 0,
            packs: PackLengths::new(),
            sizes,
        }
    }

    /// Takes a blob; waits while frames and uploads are behind.
    pub(crate) async fn add(&mut self, id: BlobId, bytes: Bytes) -> Result<()> {
        if self.frame_bytes + bytes.len() > self.sizes.frame && !self.frame.is_empty() {
            self.close_frame().await?;
        }
        self.frame_bytes += bytes.len();
        self.frame.push((id, bytes));
        Ok(())
    }

    /// Blobs that came to lie on the store since the last call.
    pub(crate) fn take_stored(&mut self) -> Vec<Stored> {
        std::mem::take(&mut self.stored)
    }

    /// Bytes of all packs so far, those too that are on their way.
    pub(crate) fn bytes_written(&self) -> u64 {
        self.bytes_written
    }

    /// The packs that lie on the store.
    pub(crate) fn packs(&self) -> &PackLengths {
        &self.packs
    }

    /// Closes everything and waits until it lies on the store.
    pub(crate) fn finish<'a>(&'a mut self) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            if !self.frame.is_empty() {
                self.close_frame().await?;
            }
            while !self.sealing.is_empty() {
                self.take_sealed().await?;
            }
            // Nothing is being filled beside it, so it need not wait for the one before.
            self.upload_pack();
            // What comes later must not go into a pack that lies on the store.
            self.next_pack();
            while !self.uploads.is_empty() {
                self.take_uploaded().await?;
            }
            Ok(())
        })
    }

    fn next_pack(&mut self) {
        self.pack = Arc::new(Pack::fresh(&self.objects, &self.key));
        self.frames_in_pack = 0;
        self.pack_bytes = 0;
    }

    fn close_frame<'a>(&'a mut self) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            if self.pack_bytes >= self.sizes.pack {
                self.next_pack();
            }
            let blobs = std::mem::take(&mut self.frame);
            let raw_length = std::mem::take(&mut self.frame_bytes);
            let (number, pack, hasher) = (self.frames_in_pack, self.pack.clone(), self.hasher.clone());
            self.frames_in_pack += 1;
            self.pack_bytes += raw_length;
            let job = tokio::task::spawn_blocking(move || {
                let (sealed, blobs) = frame::seal_blobs(&pack.cipher, &hasher, number, blobs)?;
                Ok(SealedFrame { pack, blobs, raw_length, sealed: sealed.into() })
            });
            self.sealing.push_back(job);
            while self.sealing.len() > FRAMES_IN_FLIGHT {
                self.take_sealed().await?;
            }
            Ok(())
        })
    }

    async fn take_sealed(&mut self) -> Result<()> {
        let Some(frame) = self.sealing.next().await else {
            return Ok(());
        };
        let frame = frame.map_err(|_| Error::Stopped)??;
        if self.filling.as_ref().is_some_and(|f| !Arc::ptr_eq(&f.pack, &frame.pack)) {
            self.close_pack().await?;
        }
        if Arc::ptr_eq(&frame.pack, &self.pack) {
            self.pack_bytes = self.pack_bytes - frame.raw_length + frame.sealed.len();
        }
        let filling = self.filling.get_or_insert_with(|| Filling::new(frame.pack.clone()));
        filling.push(frame);
        Ok(())
    }

    async fn close_pack(&mut self) -> Result<()> {
        while self.filling.is_some() && self.uploads.len() >= UPLOADS_IN_FLIGHT {
            self.take_uploaded().await?;
        }
        self.upload_pack();
        Ok(())
    }

    fn upload_pack(&mut self) {
        let Some(filling) = self.filling.take() else { return };
        let first_name = filling.pack.name;
        let (parts, mut stored) = filling.seal();
        let length = parts.iter().map(|part| part.len() as u64).sum();
        self.bytes_written += length;
        let (objects, key) = (self.objects.clone(), self.key.clone());
        let upload = async move {
            let name = Upload::pack(first_name, parts).store(&objects, &key).await?;
            stored.iter_mut().for_each(|(_, location)| location.pack = name);
            Ok(StoredPack { name, length, stored })
        };
        self.uploads.spawn(upload.in_current_span());
    }

    async fn take_uploaded(&mut self) -> Result<()> {
        if let Some(done) = self.uploads.join_next().await {
            let pack = done.map_err(|_| Error::Stopped)??;
            self.packs.insert(pack.name, pack.length);
            self.stored.extend(pack.stored);
        }
        Ok(())
    }
}

impl Pack {
    fn fresh(objects: &MailboxObjects, key: &Secret) -> Pack {
        let name = ObjectName::random();
        let cipher = Cipher::fresh(key, Kind::Pack, objects.dir(), Object::Pack(name).relative());
        Pack { name, cipher }
    }
}

impl Filling {
    fn new(pack: Arc<Pack>) -> Filling {
        let header = Bytes::copy_from_slice(pack.cipher.header());
        Filling {
            pack,
            parts: vec![header],
            length: HEADER,
            footer: PackFooter::default(),
            stored: Vec::new(),
        }
    }

    fn push(&mut self, frame: SealedFrame) {
        let number = narrow(self.footer.frames.len());
        let mut start = 0;
        for (id, length) in &frame.blobs {
            let location = Location {
                pack: self.pack.name,
                frame: number,
                offset: self.length as u64,
                sealed_length: narrow(frame.sealed.len()),
                raw_length: narrow(frame.raw_length),
                start: narrow(start),
                length: narrow(*length),
            };
            self.stored.push((*id, location));
            start += length;
        }
        self.footer.frames.push(PackFrame {
            sealed_length: narrow(frame.sealed.len()),
            blob_lengths: frame.blobs.iter().map(|(_, length)| narrow(*length)).collect(),
        });
        self.length += frame.sealed.len();
        self.parts.push(frame.sealed);
    }

    fn seal(mut self) -> (Vec<Bytes>, Vec<Stored>) {
        let mut footer = self.footer.encode_to_vec();
        self.pack.cipher.seal(FOOTER, &mut footer);
        let length = narrow(footer.len()).to_be_bytes();
        self.parts.push(Bytes::from(footer));
        self.parts.push(Bytes::copy_from_slice(&length));
        (self.parts, self.stored)
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;
    use crate::pack::reader::read_pack;
    use crate::storage::layout::MailboxDir;
    use crate::storage::objects::Objects;

    /// A slice of a backup ends with `finish` and the next one goes on: what lies on the store must stay as it is.
    #[tokio::test]
    async fn what_comes_after_finish_goes_into_another_pack() {
        let objects = Objects::new(Arc::new(InMemory::new()), false);
        let objects = MailboxObjects::new(objects, MailboxDir([1; 16]));
        let key = Secret::random();
        let mut packer = Packer::new(objects.clone(), key.clone(), Sizes::default());
        let hasher = BlobHasher::new(&key);
        for text in ["one", "two"] {
            let bytes = Bytes::from_static(text.as_bytes());
            packer.add(hasher.id(&bytes), bytes).await.expect("adds");
            packer.finish().await.expect("finishes");
        }
        let stored = packer.take_stored();
        assert_eq!(stored.len(), 2);
        for ((id, at), text) in stored.iter().zip(["one", "two"]) {
            let object = Object::Pack(at.pack);
            let bytes = objects.must_get(&object).await.expect("is there");
            let cipher =
                Cipher::read(&key, &bytes, Kind::Pack, objects.dir(), object.relative()).expect("reads");
            let mut found = Vec::new();
            read_pack(&cipher, at.pack, &bytes, |at, blob| found.push((*at, blob.to_vec()))).expect("opens");
            assert_eq!(found, [(*at, text.as_bytes().to_vec())]);
            assert_eq!(*id, hasher.id(text.as_bytes()));
        }
    }
}
