//! Uploads by URL (RFC 8620 section 6.1), streamed.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use serde::Deserialize;

use crate::client::Client;
use crate::error::Error;
use crate::ids::{AccountId, JmapBlobId};
use crate::json::check_account;
use crate::transport::{Body, Outgoing};

/// Longest answer to an upload, bytes.
const MOST_ANSWER: u64 = 64 << 10;
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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    #[serde(default)]
    account_id: Option<String>,
    blob_id: JmapBlobId,
    size: u64,
}

impl Client {
    /// Uploads a blob. Sent again on transient failures: a blob that nobody refers to does no harm, and servers remove it.
    ///
    /// # Errors
    /// [`Error::NoUpload`], [`Error::OverLimit`] before anything is sent; [`Error::WrongLength`] when the server has another
    /// number of bytes; else whatever keeps a request from succeeding.
    pub async fn upload(&self, account: &AccountId, upload: &Upload) -> Result<JmapBlobId, Error> {
        const METHOD: &str = "an upload";
        let found = self.found();
        let allowed = found.session.limits.max_size_upload;
        if upload.length > allowed {
            return Err(Error::OverLimit { limit: "maxSizeUpload", allowed, asked: upload.length });
        }
        let template = found.upload.as_ref().ok_or(Error::NoUpload)?;
        let url = template.expand(&[("accountId", account.as_str())])?;
        let request = Outgoing { url, body: Body::Upload(upload.clone()), accept: "application/json" };
        let answer = self.shared.transport.fetch(&request, MOST_ANSWER).await?;
        let wire: Wire =
            serde_json::from_slice(&answer).map_err(|source| Error::malformed("upload answer", &source))?;
        check_account(wire.account_id.as_deref(), account.as_str(), METHOD)?;
        match wire.size == upload.length {
            true => Ok(wire.blob_id),
            false => Err(Error::WrongLength { expected: upload.length, got: wire.size }),
        }
    }
}
