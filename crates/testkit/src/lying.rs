//! Stores that break a promise which the repository is built on.

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{
    Error, GetOptions, GetRange, GetResult, GetResultPayload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMode, PutOptions, PutPayload, PutResult, Result,
};

use crate::decorated::Behaviour;

/// Which promise is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// A conditional create overwrites and says that all is well (`rclone serve s3`).
    CreateOverwrites,
    /// A conditional create says "already exists", and has overwritten nevertheless.
    CreateRefusesAndOverwrites,
    /// A conditional create looks first and writes then: of two at once both succeed (s3s-fs).
    CreateLooksThenWrites,
    /// A conditional create always says "already exists".
    CreateAlwaysRefuses,
    /// A range request is answered with the object's beginning.
    RangesFromTheStart,
    /// A range request is answered with one byte less.
    RangesShort,
    /// A listing is always empty.
    ListsNothing,
    /// A write is acknowledged and forgotten.
    ForgetsWrites,
}

#[async_trait]
impl Behaviour for Lie {
    async fn put(
        &self,
        inner: &dyn ObjectStore,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let create = matches!(options.mode, PutMode::Create);
        let overwrite = PutOptions::from(PutMode::Overwrite);
        let exists = || Error::AlreadyExists { path: path.to_string(), source: "412".into() };
        match self {
            Lie::CreateOverwrites if create => inner.put_opts(path, payload, overwrite).await,
            Lie::CreateRefusesAndOverwrites if create => {
                let there = inner.head(path).await.is_ok();
                let written = inner.put_opts(path, payload, overwrite).await?;
                if there { Err(exists()) } else { Ok(written) }
            }
            Lie::CreateLooksThenWrites if create => {
                if inner.head(path).await.is_ok() {
                    return Err(exists());
                }
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
                inner.put_opts(path, payload, overwrite).await
            }
            Lie::CreateAlwaysRefuses if create => Err(exists()),
            Lie::ForgetsWrites => {
                Ok(PutResult { e_tag: None, version: None, extensions: Default::default() })
            }
            _ => inner.put_opts(path, payload, options).await,
        }
    }

    async fn get(&self, inner: &dyn ObjectStore, path: &Path, options: GetOptions) -> Result<GetResult> {
        let asked = match &options.range {
            Some(GetRange::Bounded(range)) => Some(range.end - range.start),
            _ => None,
        };
        let (Some(length), true) = (asked, matches!(self, Lie::RangesFromTheStart | Lie::RangesShort)) else {
            return inner.get_opts(path, options).await;
        };
        let result = inner.get_opts(path, options).await?;
        let (meta, range, attributes) =
            (result.meta.clone(), result.range.clone(), result.attributes.clone());
        let honest = result.bytes().await?;
        let bytes = match self {
            Lie::RangesFromTheStart => inner.get_range(path, 0..length).await?,
            _ => honest.slice(..honest.len().saturating_sub(1)),
        };
        Ok(GetResult {
            payload: GetResultPayload::Stream(stream::once(async move { Ok::<Bytes, Error>(bytes) }).boxed()),
            meta,
            range,
            attributes,
            extensions: Default::default(),
        })
    }

    async fn list(&self, inner: &dyn ObjectStore, prefix: Option<&Path>) -> Result<Vec<ObjectMeta>> {
        match self {
            Lie::ListsNothing => Ok(Vec::new()),
            _ => inner.list(prefix).try_collect().await,
        }
    }
}
