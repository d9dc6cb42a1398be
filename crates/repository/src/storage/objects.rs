//! The object store as the repository sees it: whole objects, ranges, and *create if absent* with an honest answer.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use futures::future::BoxFuture;
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, PutResult,
};
use tracing::{Instrument, Span};

use crate::error::{Error, Result};
use crate::storage::layout::{MailboxDir, Object};
use crate::storage::proof::{Tags, differs};
use crate::storage::trouble::{StoreAnswer, Trouble, is_stray};

/// How often an ambiguous answer to a create is asked about before giving up.
const SETTLE_ATTEMPTS: usize = 4;
/// Pause before the second attempt; doubled each time. A store that answers "conflict" while another create is under way
/// needs a moment.
const SETTLE_PAUSE: Duration = Duration::from_millis(50);
/// No object that is read whole is larger than this.
const MAX_WHOLE: u64 = 256 << 20;

/// How a create ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Created {
    /// The object now holds our bytes, and we may go on as its author.
    Ours,
    /// Somebody else's bytes were there.
    Theirs(Bytes),
}

/// What this process may write, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writing {
    /// Creates are conditional.
    Conditional,
    /// There is no other writer, says whoever runs this.
    Alone,
    /// Nothing: the store needs that promise and this process was not given it.
    Refused,
}

/// Thin layer over `object_store`: only "not found" means absent, and a create is settled by reading back.
#[derive(Clone, Debug)]
pub(crate) struct Objects {
    inner: Arc<dyn ObjectStore>,
    writing: Writing,
    tags: Arc<Tags>,
}

impl Objects {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>, single_writer: bool) -> Objects {
        let writing = if single_writer { Writing::Alone } else { Writing::Conditional };
        Objects { inner, writing, tags: Arc::default() }
    }

    /// For a store that was made for a single writer, opened by a process that does not claim to be it.
    pub(crate) fn read_only(self) -> Objects {
        Objects { writing: Writing::Refused, ..self }
    }

    /// Says what to do where this process may not write.
    pub(crate) fn may_write(&self) -> Result<()> {
        match self.writing {
            Writing::Conditional | Writing::Alone => Ok(()),
            Writing::Refused => {
                Err(Error::unfit_create("it was made for a single writer (reading needs no such promise)"))
            }
        }
    }

    pub(crate) fn get<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<Option<Bytes>>> {
        Box::pin(async move {
            let answer = match self.inner.get_opts(path, GetOptions::default()).await {
                Err(object_store::Error::NotFound { .. }) => return Ok(None),
                answer => answer.map_err(|e| Error::store(format!("reading {path}"), e))?,
            };
            if answer.meta.size > MAX_WHOLE {
                return Err(Error::corrupt(path.as_ref(), format!("it is {} bytes long", answer.meta.size)));
            }
            let bytes = answer.bytes().await.map_err(|e| Error::store(format!("reading {path}"), e))?;
            if is_stray(&bytes) {
                let answer = StoreAnswer::new(200, None, &bytes);
                let source = object_store::Error::Generic { store: "a store", source: Box::new(answer) };
                return Err(Error::store(format!("reading {path}"), source));
            }
            Ok(Some(bytes))
        })
    }

    pub(crate) fn range<'a>(&'a self, path: &'a Path, range: Range<u64>) -> BoxFuture<'a, Result<Bytes>> {
        Box::pin(async move {
            let length = range.end - range.start;
            let bytes = match self.inner.get_range(path, range.clone()).await {
                Ok(bytes) => bytes,
                Err(object_store::Error::NotFound { .. }) => {
                    let object = path.to_string();
                    return Err(Error::Missing { object });
                }
                Err(error) => return Err(self.why_no_range(path, range.end, error).await),
            };
            if bytes.len() as u64 != length {
                return Err(cut_off(path));
            }
            Ok(bytes)
        })
    }

    /// Stores word "the range starts behind the end" in many ways, some as a passing failure: the length tells.
    async fn why_no_range(&self, path: &Path, end: u64, error: object_store::Error) -> Error {
        match self.inner.head(path).await {
            Ok(meta) if meta.size < end => cut_off(path),
            _ => Error::store(format!("reading {path}"), error),
        }
    }

    /// A part of an object and the length of the whole of it.
    async fn part(&self, path: &Path, range: Range<u64>) -> Result<(Bytes, u64)> {
        let options = GetOptions { range: Some(GetRange::Bounded(range.clone())), ..GetOptions::default() };
        let answer = match self.inner.get_opts(path, options).await {
            Ok(answer) => answer,
            Err(object_store::Error::NotFound { .. }) => {
                let object = path.to_string();
                return Err(Error::Missing { object });
            }
            Err(error) => return Err(self.why_no_range(path, range.end, error).await),
        };
        let total = answer.meta.size;
        let bytes = answer.bytes().await.map_err(|e| Error::store(format!("reading {path}"), e))?;
        Ok((bytes, total))
    }

    /// Writes an object whose name is used once; a retry by the store's client sends the same bytes.
    pub(crate) fn put<'a>(&'a self, path: &'a Path, payload: PutPayload) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.may_write()?;
            self.send(path, payload).await.map_err(|e| Error::store(format!("writing {path}"), e))?;
            Ok(())
        })
    }

    /// Writes such an object, and reads `sample` of it back; returns what the store did not keep.
    pub(crate) fn put_proven<'a>(
        &'a self,
        path: &'a Path,
        payload: PutPayload,
        sample: &'a [Range<usize>],
    ) -> BoxFuture<'a, Result<Option<&'static str>>> {
        Box::pin(async move {
            self.may_write()?;
            let written = match self.send(path, payload.clone()).await {
                Ok(written) => written,
                Err(error) if Trouble::of(&error) == Trouble::Damaged => {
                    return Ok(Some("the store says that other bytes arrived than were sent"));
                }
                Err(error) => return Err(Error::store(format!("writing {path}"), error)),
            };
            let read = |range| self.part(path, range);
            if !self.tags.doubt(written.e_tag.as_deref(), &payload).await? {
                return differs(&payload, sample, read).await;
            }
            let whole = std::iter::once(0..payload.content_length()).collect::<Vec<_>>();
            let different = differs(&payload, &whole, read).await?;
            if different.is_none() {
                self.tags.prove_nothing();
            }
            Ok(different)
        })
    }

    async fn send(&self, path: &Path, payload: PutPayload) -> object_store::Result<PutResult> {
        let span = uploading(payload.content_length());
        self.inner.put_opts(path, payload, PutOptions::default()).instrument(span).await
    }

    /// Creates an object if it is absent. An answer that leaves it open whether our bytes arrived (a time-out, a
    /// 5xx, or `AlreadyExists` after a retry inside the client) is settled by reading back and comparing.
    pub(crate) fn create<'a>(&'a self, path: &'a Path, bytes: &'a Bytes) -> BoxFuture<'a, Result<Created>> {
        Box::pin(async move {
            self.may_write()?;
            self.settle(path, bytes).instrument(uploading(bytes.len())).await
        })
    }

    async fn settle(&self, path: &Path, bytes: &Bytes) -> Result<Created> {
        let mut last = None;
        for attempt in 0..SETTLE_ATTEMPTS {
            if last.is_some() {
                tokio::time::sleep(SETTLE_PAUSE * (1 << (attempt - 1))).await;
            }
            if self.writing == Writing::Alone
                && last.is_none()
                && let Some(found) = self.get(path).await?
            {
                return Ok(whose(found, bytes));
            }
            let error = match self.try_create(path, bytes).await? {
                Ok(created) => return Ok(created),
                Err(error) => error,
            };
            // While reading back fails too, ours may stand there or not: creating again is harmless and asks again.
            if let Ok(Some(found)) = self.get(path).await {
                return Ok(whose(found, bytes));
            }
            last = Some(error);
        }
        let error = last.expect("the loop ended by an error each time");
        Err(Error::store(format!("creating {path}"), error))
    }

    /// One attempt. The inner error leaves it open what stands there now.
    async fn try_create(
        &self,
        path: &Path,
        bytes: &Bytes,
    ) -> Result<std::result::Result<Created, object_store::Error>> {
        let mode = if self.writing == Writing::Alone { PutMode::Overwrite } else { PutMode::Create };
        let payload = PutPayload::from(bytes.clone());
        let error = match self.inner.put_opts(path, payload.clone(), PutOptions::from(mode)).await {
            Ok(written) if !self.tags.doubt(written.e_tag.as_deref(), &payload).await? => {
                return Ok(Ok(Created::Ours));
            }
            Ok(_) => return self.what_stands_there(path, bytes).await.map(Ok),
            Err(error) => error,
        };
        match Trouble::of(&error) {
            Trouble::NotImplemented if self.writing == Writing::Conditional => {
                Err(Error::unfit_create("it does not know how to create an object only if it is absent"))
            }
            trouble if trouble.is_final() => Err(Error::store(format!("creating {path}"), error)),
            _ => Ok(Err(error)),
        }
    }

    /// For an object that was just created and whose tag is not the one it should have.
    async fn what_stands_there(&self, path: &Path, bytes: &Bytes) -> Result<Created> {
        let found = self.get(path).await?.ok_or_else(|| Error::Missing { object: path.to_string() })?;
        let whose = whose(found, bytes);
        if whose == Created::Ours {
            self.tags.prove_nothing();
        }
        Ok(whose)
    }

    pub(crate) fn delete<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.may_write()?;
            match self.inner.delete(path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                Err(e) => Err(Error::store(format!("deleting {path}"), e)),
            }
        })
    }

    /// Names and lengths of everything below a prefix.
    pub(crate) fn list<'a>(&'a self, prefix: &'a Path) -> BoxFuture<'a, Result<Vec<(Path, u64)>>> {
        Box::pin(async move {
            self.inner
                .list(Some(prefix))
                .map_ok(|meta| (meta.location, meta.size))
                .try_collect()
                .await
                .map_err(|e| Error::store(format!("listing {prefix}"), e))
        })
    }

    /// Name of the directory below a prefix that a listing names first: its first page is all that is asked for.
    pub(crate) fn first_directory<'a>(&'a self, prefix: &'a Path) -> BoxFuture<'a, Result<Option<String>>> {
        Box::pin(async move {
            let first = self.inner.list(Some(prefix)).try_next().await;
            let first = first.map_err(|e| Error::store(format!("listing {prefix}"), e))?;
            let name = first.and_then(|meta| {
                meta.location.prefix_match(prefix)?.next().map(|name| name.as_ref().to_owned())
            });
            Ok(name)
        })
    }

    /// Names of the directories directly below a prefix.
    pub(crate) fn directories<'a>(&'a self, prefix: &'a Path) -> BoxFuture<'a, Result<Vec<String>>> {
        Box::pin(async move {
            let listed = self.inner.list_with_delimiter(Some(prefix)).await;
            let listed = listed.map_err(|e| Error::store(format!("listing {prefix}"), e))?;
            Ok(listed.common_prefixes.iter().filter_map(|p| p.filename().map(str::to_owned)).collect())
        })
    }
}

/// For traces: the end of a backup's way is where its bytes arrive.
fn uploading(bytes: usize) -> Span {
    tracing::info_span!("upload", bytes)
}

fn cut_off(path: &Path) -> Error {
    Error::corrupt(path.as_ref(), "it is shorter than its index says")
}

fn whose(found: Bytes, ours: &Bytes) -> Created {
    if found == *ours { Created::Ours } else { Created::Theirs(found) }
}

/// The objects of one mailbox, addressed by kind.
#[derive(Clone, Debug)]
pub(crate) struct MailboxObjects {
    objects: Objects,
    dir: MailboxDir,
}

impl MailboxObjects {
    pub(crate) fn new(objects: Objects, dir: MailboxDir) -> MailboxObjects {
        MailboxObjects { objects, dir }
    }

    pub(crate) fn dir(&self) -> MailboxDir {
        self.dir
    }

    pub(crate) async fn get(&self, object: &Object) -> Result<Option<Bytes>> {
        self.objects.get(&self.dir.path(object)).await
    }

    pub(crate) async fn must_get(&self, object: &Object) -> Result<Bytes> {
        self.get(object).await?.ok_or_else(|| Error::Missing { object: object.relative() })
    }

    pub(crate) async fn range(&self, object: &Object, range: Range<u64>) -> Result<Bytes> {
        self.objects.range(&self.dir.path(object), range).await
    }

    /// How long an object is, as the answer to a request for byte `last` of it says.
    pub(crate) async fn length_beside(&self, object: &Object, last: u64) -> Result<u64> {
        let (_, length) = self.objects.part(&self.dir.path(object), last..last + 1).await?;
        Ok(length)
    }

    pub(crate) async fn put(&self, object: &Object, payload: impl Into<PutPayload>) -> Result<()> {
        self.objects.put(&self.dir.path(object), payload.into()).await
    }

    /// See [`Objects::put_proven`].
    pub(crate) async fn put_proven(
        &self,
        object: &Object,
        payload: PutPayload,
        sample: &[Range<usize>],
    ) -> Result<Option<&'static str>> {
        self.objects.put_proven(&self.dir.path(object), payload, sample).await
    }

    pub(crate) async fn create(&self, object: &Object, bytes: &Bytes) -> Result<Created> {
        self.objects.create(&self.dir.path(object), bytes).await
    }

    pub(crate) async fn delete(&self, object: &Object) -> Result<()> {
        self.objects.delete(&self.dir.path(object)).await
    }

    /// Makes an object and its copy alike, if one of them is missing or not `good`. Nothing is done if neither is good.
    /// Returns the one that was written.
    pub(crate) async fn heal_copies(
        &self,
        object: &Object,
        good: impl Fn(&[u8]) -> bool,
    ) -> Result<Option<Object>> {
        let Some(copy) = object.copy() else { return Ok(None) };
        let sound = |bytes: Option<Bytes>| bytes.filter(|bytes| good(bytes));
        let (first, second) = (sound(self.get(object).await?), sound(self.get(&copy).await?));
        let (healed, bytes) = match (first, second) {
            (Some(bytes), None) => (copy, bytes),
            (None, Some(bytes)) => (*object, bytes),
            _ => return Ok(None),
        };
        self.put(&healed, bytes).await?;
        Ok(Some(healed))
    }

    /// The objects below `log`, `packs`, `segments` or `keys`, with their lengths; strangers are left out.
    pub(crate) async fn list(&self, below: &str) -> Result<Vec<(Object, u64)>> {
        let root = self.dir.prefix("");
        let listed = self.objects.list(&self.dir.prefix(below)).await?;
        Ok(listed
            .into_iter()
            .filter_map(|(path, size)| {
                let relative = path.as_ref().strip_prefix(root.as_ref())?.trim_start_matches('/');
                Some((Object::parse(relative)?, size))
            })
            .collect())
    }
}
