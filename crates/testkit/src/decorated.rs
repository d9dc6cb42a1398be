//! An object store seen through a behaviour: the one place that knows every method of `ObjectStore`.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetRange, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// What a call asks of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CallKind {
    /// A whole object.
    Get,
    /// A part of an object.
    Range,
    /// An object's length.
    Head,
    /// Names below a prefix.
    List,
    /// Write, whatever was there.
    Put,
    /// Write if nothing is there.
    Create,
    /// Delete.
    Delete,
}

/// One call on its way to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// What it asks.
    pub kind: CallKind,
    /// Of which object, or below which prefix.
    pub path: Path,
    /// Bytes of the object it writes.
    pub sent: u64,
}

/// What a decorated store does besides, or instead of, calling the store behind it. Everything has a default: to do
/// what the caller asks.
#[async_trait]
pub trait Behaviour: fmt::Debug + Send + Sync + 'static {
    /// Called before the call; an error is the answer, and the store behind never hears of it.
    async fn before(&self, _call: &Call) -> Result<()> {
        Ok(())
    }

    /// Called after the call succeeded, with the bytes of the object that came back; an error replaces the answer.
    async fn after(&self, _call: &Call, _received: u64) -> Result<()> {
        Ok(())
    }

    /// Called after the call failed.
    fn failed(&self, _call: &Call) {}

    /// Writes to the store behind.
    async fn put(
        &self,
        inner: &dyn ObjectStore,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        inner.put_opts(path, payload, options).await
    }

    /// Reads from the store behind.
    async fn get(&self, inner: &dyn ObjectStore, path: &Path, options: GetOptions) -> Result<GetResult> {
        inner.get_opts(path, options).await
    }

    /// Lists the store behind.
    async fn list(&self, inner: &dyn ObjectStore, prefix: Option<&Path>) -> Result<Vec<ObjectMeta>> {
        inner.list(prefix).try_collect().await
    }
}

/// A store behind a behaviour. Multipart uploads and copies are refused: nothing here uses them, and a test shall notice
/// when that changes.
#[derive(Debug)]
pub struct Decorated<B> {
    inner: Arc<dyn ObjectStore>,
    behaviour: Arc<B>,
}

impl<B: Behaviour> Decorated<B> {
    /// Puts `behaviour` in front of `inner`; keep a clone of the behaviour to talk to it.
    pub fn new(inner: Arc<dyn ObjectStore>, behaviour: Arc<B>) -> Arc<Decorated<B>> {
        Arc::new(Decorated { inner, behaviour })
    }

    async fn around<T>(
        behaviour: &B,
        call: Call,
        action: impl Future<Output = Result<T>>,
        received: impl FnOnce(&T) -> u64,
    ) -> Result<T> {
        behaviour.before(&call).await?;
        let answer = action.await;
        match &answer {
            Ok(answer) => behaviour.after(&call, received(answer)).await?,
            Err(_) => behaviour.failed(&call),
        }
        answer
    }

    fn list_all(&self, prefix: Option<&Path>) -> impl Future<Output = Result<Vec<ObjectMeta>>> + use<B> {
        let (inner, behaviour) = (self.inner.clone(), self.behaviour.clone());
        let prefix = prefix.cloned();
        async move {
            let call = Call { kind: CallKind::List, path: prefix.clone().unwrap_or_default(), sent: 0 };
            let list = behaviour.list(inner.as_ref(), prefix.as_ref());
            Self::around(&behaviour, call, list, |_| 0).await
        }
    }
}

impl<B> fmt::Display for Decorated<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "decorated {}", self.inner)
    }
}

#[async_trait]
impl<B: Behaviour> ObjectStore for Decorated<B> {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let kind = match options.mode {
            PutMode::Overwrite => CallKind::Put,
            PutMode::Create | PutMode::Update(_) => CallKind::Create,
        };
        let call = Call { kind, path: path.clone(), sent: payload.content_length() as u64 };
        let put = self.behaviour.put(self.inner.as_ref(), path, payload, options);
        Self::around(&self.behaviour, call, put, |_| 0).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(refused(format!("multipart upload of {path}")))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let kind = match &options {
            GetOptions { head: true, .. } => CallKind::Head,
            GetOptions { range: Some(_), .. } => CallKind::Range,
            _ => CallKind::Get,
        };
        let call = Call { kind, path: path.clone(), sent: 0 };
        let get = self.behaviour.get(self.inner.as_ref(), path, options);
        let received = |result: &GetResult| match kind {
            CallKind::Head => 0,
            _ => result.range.end - result.range.start,
        };
        Self::around(&self.behaviour, call, get, received).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<bytes::Bytes>> {
        let mut parts = Vec::new();
        for range in ranges {
            let options =
                GetOptions { range: Some(GetRange::Bounded(range.clone())), ..GetOptions::default() };
            parts.push(self.get_opts(path, options).await?.bytes().await?);
        }
        Ok(parts)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (inner, behaviour) = (self.inner.clone(), self.behaviour.clone());
        let delete = move |path: Path| {
            let (inner, behaviour) = (inner.clone(), behaviour.clone());
            async move {
                let call = Call { kind: CallKind::Delete, path: path.clone(), sent: 0 };
                Self::around(&behaviour, call, inner.delete(&path), |()| 0).await?;
                Ok(path)
            }
        };
        locations.and_then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let all = self.list_all(prefix);
        stream::once(all).map_ok(|all| stream::iter(all.into_iter().map(Ok))).try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let call = Call { kind: CallKind::List, path: prefix.cloned().unwrap_or_default(), sent: 0 };
        let list = self.inner.list_with_delimiter(prefix);
        Self::around(&self.behaviour, call, list, |_| 0).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, _: CopyOptions) -> Result<()> {
        Err(refused(format!("copy of {from} to {to}")))
    }
}

fn refused(operation: String) -> Error {
    Error::NotImplemented { operation, implementer: "a decorated store".to_owned() }
}
