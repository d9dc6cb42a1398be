//! Sends a checksum with each object, as long as the store takes it.
//!
//! Amazon and most others compare an `x-amz-checksum-sha256` with what arrived; some refuse a header they do not know. Which
//! of them a store is shows at its first PUT, once in a process: a refusal is repeated without the header. The sum costs
//! nothing, since the signature needs it anyway.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use repository::Trouble;

/// One bucket, with and without checksums.
#[derive(Debug)]
pub(crate) struct Checksums {
    with: AmazonS3,
    without: AmazonS3,
    are_refused: AtomicBool,
}

impl Checksums {
    pub(crate) fn new(with: AmazonS3, without: AmazonS3) -> Checksums {
        Checksums { with, without, are_refused: AtomicBool::new(false) }
    }
}

impl fmt::Display for Checksums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.with, f)
    }
}

#[async_trait]
impl ObjectStore for Checksums {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        if self.are_refused.load(Ordering::Relaxed) {
            return self.without.put_opts(path, payload, options).await;
        }
        let refused = match self.with.put_opts(path, payload.clone(), options.clone()).await {
            Err(error) if matches!(Trouble::of(&error), Trouble::NotImplemented | Trouble::Refused(_)) => {
                error
            }
            answer => return answer,
        };
        // It may have been another header: then this fails too, and says so.
        let answer = self.without.put_opts(path, payload, options).await;
        let is_of_checksums = match &answer {
            Ok(_) => true,
            Err(error) => {
                let now = Trouble::of(error);
                now != Trouble::of(&refused) && now.is_final()
            }
        };
        self.are_refused.fetch_or(is_of_checksums, Ordering::Relaxed);
        answer
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.without.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.with.get_opts(path, options).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.with.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.with.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.with.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.with.copy_opts(from, to, options).await
    }
}
