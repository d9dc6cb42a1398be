//! Downloads by URL (RFC 8620 section 6.2), streamed.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{Stream, try_unfold};

use crate::client::{Client, Shared};
use crate::error::Error;
use crate::http::transport::{Body, Incoming, Outgoing};
use crate::methods::ids::{AccountId, JmapBlobId};

/// Which blob to download, and what to expect of it.
#[derive(Debug, Clone)]
pub struct Download {
    account: AccountId,
    blob: JmapBlobId,
    name: String,
    media_type: String,
    expected: Option<u64>,
    most: u64,
}

impl Download {
    /// A blob of at most `most` bytes.
    #[must_use]
    pub fn new(account: &AccountId, blob: &JmapBlobId, most: u64) -> Self {
        Self {
            account: account.clone(),
            blob: blob.clone(),
            name: "blob".into(),
            media_type: "application/octet-stream".into(),
            expected: None,
            most,
        }
    }

    /// Fails unless exactly so many bytes come.
    #[must_use]
    pub fn expecting(mut self, bytes: u64) -> Self {
        self.expected = Some(bytes);
        self
    }

    /// The file name and media type the URL asks for; they do not change the bytes. `blob`, `application/octet-stream`.
    #[must_use]
    pub fn named(mut self, name: &str, media_type: &str) -> Self {
        name.clone_into(&mut self.name);
        media_type.clone_into(&mut self.media_type);
        self
    }
}

enum Progress {
    Start(Download, Box<Outgoing>),
    Invalid(Error),
    Body(Incoming, Bounds),
}

/// How long a body must and may be.
#[derive(Clone, Copy)]
struct Bounds {
    expected: Option<u64>,
    most: u64,
}

impl Client {
    /// The bytes of a blob as they come; nothing is requested before the stream is polled. Failures before the first byte
    /// are retried by the policy, later ones end the stream: start again. The stream takes a place in the concurrency bound
    /// until it ends or is dropped, so drop what you stop reading.
    ///
    /// Only a stream that ended without an error is whole.
    pub fn download(
        &self,
        download: Download,
    ) -> impl Stream<Item = Result<Bytes, Error>> + Send + 'static + use<> {
        let start = match self.outgoing(&download) {
            Ok(request) => Progress::Start(download, Box::new(request)),
            Err(error) => Progress::Invalid(error),
        };
        let shared = Arc::clone(&self.shared);
        try_unfold(start, move |progress| advance(Arc::clone(&shared), progress))
    }

    fn outgoing(&self, download: &Download) -> Result<Outgoing, Error> {
        let values = [
            ("accountId", download.account.as_str()),
            ("blobId", download.blob.as_str()),
            ("name", &download.name),
            ("type", &download.media_type),
        ];
        let url = self.found().download.expand(&values)?;
        Ok(Outgoing { url, body: Body::None, accept: "*/*" })
    }
}

async fn advance(shared: Arc<Shared>, progress: Progress) -> Result<Option<(Bytes, Progress)>, Error> {
    let (mut incoming, bounds) = match progress {
        Progress::Invalid(error) => return Err(error),
        Progress::Body(incoming, bounds) => (incoming, bounds),
        Progress::Start(download, request) => {
            let bounds = Bounds { expected: download.expected, most: download.most };
            let incoming = shared.transport.open(&request).await?;
            let announced = incoming.announced();
            if let Some(announced) = announced {
                bounds.check_growth(announced)?;
                bounds.check_end(announced)?;
            }
            (incoming, Bounds { expected: bounds.expected.or(announced), ..bounds })
        }
    };
    match shared.transport.next(&mut incoming).await? {
        Some(chunk) => {
            bounds.check_growth(incoming.received())?;
            Ok(Some((chunk, Progress::Body(incoming, bounds))))
        }
        None => {
            bounds.check_end(incoming.received())?;
            Ok(None)
        }
    }
}

impl Bounds {
    /// Refuses a body that grows past what is expected or allowed.
    fn check_growth(&self, bytes: u64) -> Result<(), Error> {
        match self.expected {
            Some(expected) if bytes > expected => Err(Error::WrongLength { expected, got: bytes }),
            _ if bytes > self.most => Err(Error::AnswerTooLarge { limit: self.most }),
            _ => Ok(()),
        }
    }

    fn check_end(&self, bytes: u64) -> Result<(), Error> {
        match self.expected {
            Some(expected) if bytes != expected => Err(Error::WrongLength { expected, got: bytes }),
            _ => Ok(()),
        }
    }
}
