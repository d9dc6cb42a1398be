//! Bytes that are uploaded.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;

/// Slower uploads than this are given up; bytes per second.
const SLOWEST: u64 = 16 << 10;

type Source = dyn Fn() -> BoxStream<'static, io::Result<Bytes>> + Send + Sync;

/// Bytes to be uploaded, and how to get them again when sending failed.
#[derive(Clone)]
pub struct Upload {
    pub(crate) media_type: &'static str,
    pub(crate) length: u64,
    source: Arc<Source>,
    is_damaged: Arc<AtomicBool>,
}

impl Upload {
    /// Of `length` bytes, which each call of `source` gives from the beginning. An error of the kind `InvalidData` says that
    /// the source itself is damaged: the upload is not sent again.
    pub fn new(
        media_type: &'static str,
        length: u64,
        source: impl Fn() -> BoxStream<'static, io::Result<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        Self { media_type, length, source: Arc::new(source), is_damaged: Arc::default() }
    }

    /// Bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Whether the source was found to be damaged: no attempt can succeed.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.is_damaged.load(Relaxed)
    }

    /// The bytes from the beginning.
    pub(crate) fn bytes(&self) -> BoxStream<'static, io::Result<Bytes>> {
        let is_damaged = Arc::clone(&self.is_damaged);
        let note = move |piece: &io::Result<Bytes>| {
            if piece.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::InvalidData) {
                is_damaged.store(true, Relaxed);
            }
        };
        (self.source)().inspect(note).boxed()
    }

    /// How much longer than a request without a body it may take.
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_secs(self.length / SLOWEST)
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upload({}, {} bytes)", self.media_type, self.length)
    }
}
