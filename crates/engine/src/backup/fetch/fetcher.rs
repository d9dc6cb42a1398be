//! Fetches bytes: many small blobs a request, big ones streamed, what fails alone once more by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use jmap::{AccountId, Answer, Batch, Blobs, Call, Client, Download, Ids, JmapBlobId};
use model::{BlobId, Envelope};
use repository::BlobHasher;
use tokio::sync::mpsc;

use super::chunker::{Chunker, WHOLE};
use super::step::{Arrived, Content, Fetched, Miss, Step, Subject, Wanted};
use crate::envelope::EnvelopeScanner;
use crate::error::{Error, Result};

/// Claimed bytes of one `Blob/get`: as fast as more, and the server's memory hardly moves.
pub(crate) const BATCH_BYTES: u64 = 2 << 20;
/// A download may be as long again as claimed, and this much longer, before it is cut off.
const MOST_SURPLUS: u64 = 1 << 20;
/// Longest download of something without a claimed size.
const MOST_UNCLAIMED: u64 = 64 << 20;
/// After so many batches that failed without a success between them, everything is fetched alone.
/// More than the halvings that find one bad email in the largest batch.
const FAILED_BATCHES: u32 = 12;
/// Chunks handed on together.
const CHUNKS_TOGETHER: usize = 2;

/// Fetches for one account and hands on what came.
#[derive(Clone)]
pub(crate) struct Fetcher {
    pub(crate) client: Client,
    pub(crate) account: AccountId,
    pub(crate) hasher: BlobHasher,
    pub(crate) has_blob_get: bool,
    /// Batches that failed since one came.
    pub(crate) failed_batches: Arc<AtomicU32>,
    pub(crate) out: mpsc::Sender<Result<Step>>,
}

impl Fetcher {
    /// Fetches everything wanted, which is either one big thing or a batch of small ones.
    pub(crate) async fn fetch(self, wanted: Vec<Wanted>) {
        if !self.has_blob_get || !self.may_batch() || wanted.iter().any(Wanted::is_big) {
            for one in wanted {
                self.alone(one, None).await;
            }
            return;
        }
        if let Err(error) = self.together(wanted).await {
            self.send(Err(error)).await;
        }
    }

    fn may_batch(&self) -> bool {
        self.failed_batches.load(Ordering::Relaxed) < FAILED_BATCHES
    }

    async fn together(&self, mut wanted: Vec<Wanted>) -> Result<()> {
        let mut batch = Batch::new(&self.account);
        let call = batch.blobs(Ids::These(wanted.iter().map(|w| w.blob.clone()).collect()));
        let claimed: u64 = wanted.iter().map(Wanted::weight).sum();
        // JSON may write one byte as six.
        let batch = batch.limit_answer(6 * claimed + 4096 * wanted.len() as u64 + (64 << 10));
        match self.client.call(&batch).await {
            Ok(answer) => {
                self.failed_batches.store(0, Ordering::Relaxed);
                let (fetched, left) = self.digest(answer, call, wanted).await?;
                self.send(Ok(Arrived::Whole(fetched))).await;
                for (one, bytes) in left {
                    self.alone(one, bytes).await;
                }
                Ok(())
            }
            Err(error) if concerns_everything(&error) => Err(Error::Server { what: "emails", source: error }),
            // One of them may be too much; a server that does not answer at all is not asked again for each half.
            Err(error)
                if wanted.len() > 1 && self.may_batch() && !matches!(error, jmap::Error::TimedOut { .. }) =>
            {
                self.failed_batches.fetch_add(1, Ordering::Relaxed);
                let rest = wanted.split_off(wanted.len() / 2);
                Box::pin(self.together(wanted)).await?;
                Box::pin(self.together(rest)).await
            }
            Err(_) => {
                self.failed_batches.fetch_add(1, Ordering::Relaxed);
                for one in wanted {
                    self.alone(one, None).await;
                }
                Ok(())
            }
        }
    }

    /// Parses, hashes and scans on the blocking pool. What did not come, or not as long as claimed, is given back, with what
    /// its bytes hash to.
    async fn digest(
        &self,
        answer: Answer,
        call: Call<Blobs>,
        wanted: Vec<Wanted>,
    ) -> Result<(Vec<Fetched>, Vec<(Wanted, Option<BlobId>)>)> {
        let hasher = self.hasher.clone();
        let done = tokio::task::spawn_blocking(move || {
            let Ok(blobs) = answer.take(call) else {
                return (Vec::new(), wanted.into_iter().map(|one| (one, None)).collect());
            };
            drop(answer);
            let mut came: Vec<(JmapBlobId, Bytes)> = blobs.list.into_iter().map(|b| (b.id, b.data)).collect();
            came.sort_unstable_by(|a, b| a.0.as_str().cmp(b.0.as_str()));
            let (mut fetched, mut left) = (Vec::new(), Vec::new());
            for one in wanted {
                let found = came.binary_search_by(|(id, _)| id.as_str().cmp(one.blob.as_str()));
                match found.ok().map(|at| came[at].1.clone()) {
                    Some(bytes)
                        if one.size.is_none_or(|size| size == bytes.len() as u64) && bytes.len() <= WHOLE =>
                    {
                        fetched.push(digest(&hasher, one.subject, bytes));
                    }
                    other => left.push((one, other.map(|bytes| hasher.id(&bytes)))),
                }
            }
            (fetched, left)
        });
        done.await.map_err(|_| Error::Stopped)
    }

    /// Fetches one thing by itself. When its length is not the claimed one, it is believed if `Blob/get`, which counts by
    /// itself, gave the same bytes (`confirmed`), or if it is longer and the same bytes came twice. The same bytes twice, but
    /// too few of them, may have been cut off on the way: they are kept, and doubted.
    async fn alone(&self, wanted: Wanted, confirmed: Option<BlobId>) {
        let mut first: Option<BlobId> = None;
        for attempt in 0..2 {
            let miss = match self.download(&wanted).await {
                Ok(mut fetched) => {
                    let claimed = wanted.size.unwrap_or(fetched.length);
                    let is_same = first == Some(fetched.blob);
                    let reason = format!("the server claims {claimed} bytes and sends {}", fetched.length);
                    if claimed == fetched.length || confirmed == Some(fetched.blob) || is_same {
                        let is_short = claimed > fetched.length && confirmed != Some(fetched.blob);
                        fetched.doubt = is_short.then_some(reason);
                        return self.send(Ok(Arrived::Whole(vec![fetched]))).await;
                    }
                    first = Some(fetched.blob);
                    Miss::Wrong(reason)
                }
                Err(jmap::Error::Status { status: 404, .. }) => Miss::Gone,
                Err(error) if concerns_everything(&error) => {
                    return self.send(Err(Error::Server { what: "emails", source: error })).await;
                }
                Err(error) => Miss::Failed(error),
            };
            if attempt == 1 || matches!(miss, Miss::Gone) {
                return self.send(Ok(Arrived::Missing(wanted, miss))).await;
            }
        }
    }

    async fn download(&self, wanted: &Wanted) -> Result<Fetched, jmap::Error> {
        let most =
            wanted.size.map_or(MOST_UNCLAIMED, |size| size.saturating_mul(2).saturating_add(MOST_SURPLUS));
        let download = Download::new(&self.account, &wanted.blob, most);
        let mut pieces = Box::pin(self.client.download(download));
        let mut small = BytesMut::new();
        while let Some(piece) = pieces.next().await {
            small.extend_from_slice(&piece?);
            if small.len() > WHOLE {
                return self.big(wanted, small.freeze(), pieces).await;
            }
        }
        Ok(digest(&self.hasher, wanted.subject.clone(), small.freeze()))
    }

    /// Goes on with something that turned out too long for one piece: chunks are handed on as they come.
    async fn big(
        &self,
        wanted: &Wanted,
        begin: Bytes,
        mut pieces: impl futures::Stream<Item = Result<Bytes, jmap::Error>> + Unpin,
    ) -> Result<Fetched, jmap::Error> {
        let mut cutting = Cutting::new(&self.hasher, matches!(wanted.subject, Subject::Email { .. }));
        let mut piece = Some(begin);
        while let Some(bytes) = piece {
            if let Some(chunks) = cutting.push(&bytes) {
                self.send(Ok(Arrived::Chunks(chunks))).await;
            }
            piece = pieces.next().await.transpose()?;
        }
        let (rest, fetched) = cutting.finish(wanted.subject.clone());
        self.send(Ok(Arrived::Chunks(rest))).await;
        Ok(fetched)
    }

    async fn send(&self, arrived: Result<Arrived>) {
        // Nobody listening means that the backup has ended already, by an error of its own.
        let _ = self.out.send(arrived.map(Step::Arrived)).await;
    }
}

/// Something big on its way: hashed, scanned and cut as it comes. A piece of a download is small enough to be hashed
/// between two awaits.
struct Cutting<'a> {
    hasher: &'a BlobHasher,
    chunker: Chunker,
    scanner: Option<EnvelopeScanner>,
    whole: blake3::Hasher,
    ids: Vec<BlobId>,
    ready: Vec<(BlobId, Bytes)>,
    length: u64,
}

impl Cutting<'_> {
    fn new(hasher: &BlobHasher, is_email: bool) -> Cutting<'_> {
        Cutting {
            hasher,
            chunker: Chunker::default(),
            scanner: is_email.then(EnvelopeScanner::new),
            whole: hasher.stream(),
            ids: Vec::new(),
            ready: Vec::new(),
            length: 0,
        }
    }

    fn push(&mut self, bytes: &[u8]) -> Option<Vec<(BlobId, Bytes)>> {
        self.length += bytes.len() as u64;
        self.whole.update(bytes);
        if let Some(scanner) = &mut self.scanner {
            scanner.push(bytes);
        }
        let chunks = self.chunker.push(bytes);
        self.take(chunks);
        (self.ready.len() >= CHUNKS_TOGETHER).then(|| std::mem::take(&mut self.ready))
    }

    fn take(&mut self, chunks: Vec<Bytes>) {
        for chunk in chunks {
            let id = self.hasher.id(&chunk);
            self.ids.push(id);
            self.ready.push((id, chunk));
        }
    }

    fn finish(mut self, subject: Subject) -> (Vec<(BlobId, Bytes)>, Fetched) {
        let rest = std::mem::take(&mut self.chunker).finish();
        self.take(rest);
        let fetched = Fetched {
            subject,
            blob: BlobId(*self.whole.finalize().as_bytes()),
            length: self.length,
            content: Content::Chunks(self.ids),
            envelope: self.scanner.map(EnvelopeScanner::finish).unwrap_or_default(),
            doubt: None,
        };
        (self.ready, fetched)
    }
}

/// What came whole, and the chunks of it if it is long.
pub(crate) fn cut(hasher: &BlobHasher, subject: Subject, bytes: Bytes) -> (Vec<(BlobId, Bytes)>, Fetched) {
    if bytes.len() <= WHOLE {
        return (Vec::new(), digest(hasher, subject, bytes));
    }
    let mut cutting = Cutting::new(hasher, matches!(subject, Subject::Email { .. }));
    let mut chunks = cutting.push(&bytes).unwrap_or_default();
    let (rest, fetched) = cutting.finish(subject);
    chunks.extend(rest);
    (chunks, fetched)
}

fn digest(hasher: &BlobHasher, subject: Subject, bytes: Bytes) -> Fetched {
    let envelope = match subject {
        Subject::Email { .. } => EnvelopeScanner::scan(&bytes),
        Subject::Object(_) => Envelope::default(),
    };
    Fetched {
        blob: hasher.id(&bytes),
        length: bytes.len() as u64,
        content: Content::Bytes(bytes),
        subject,
        envelope,
        doubt: None,
    }
}

/// Errors that would meet every other request as well: no use in trying emails one by one.
fn concerns_everything(error: &jmap::Error) -> bool {
    use jmap::Error as E;
    match error {
        E::Unreachable(_)
        | E::Tls(_)
        | E::Unauthorized
        | E::Withheld
        | E::Cancelled
        | E::Setup(_)
        | E::InvalidCredentials => true,
        E::Status { status, .. } => matches!(status, 429 | 403),
        _ => false,
    }
}
