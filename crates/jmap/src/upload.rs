//! Uploads by URL (RFC 8620 section 6.1), streamed.

use serde::Deserialize;

use crate::client::Client;
use crate::error::Error;
use crate::http::transport::{Body, Outgoing};
use crate::http::upload::Upload;
use crate::methods::ids::{AccountId, JmapBlobId};
use crate::methods::json::check_account;

/// Longest answer to an upload, bytes.
const MOST_ANSWER: u64 = 64 << 10;

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
        if wire.size == upload.length {
            Ok(wire.blob_id)
        } else {
            Err(Error::WrongLength { expected: upload.length, got: wire.size })
        }
    }
}
