//! What readers of a snapshot have fetched last: once, however many of them ask for it at the same time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::OnceCell;

use crate::rows::Location;
use crate::storage::layout::ObjectName;

/// Opened frames that are kept: neighbours in a mailbox are mostly neighbours in a pack.
const KEPT_FRAMES: usize = 4;

/// Bytes that are there, or that somebody is fetching. A fetch that fails leaves the next one to try.
pub(crate) type Fetched = Arc<OnceCell<Bytes>>;

/// Opened frames, the newest used first, and the headers of all packs that were read from: some 100 bytes a pack of 16 MiB.
#[derive(Default)]
pub(crate) struct Opened {
    frames: Mutex<VecDeque<((ObjectName, u32), Fetched)>>,
    headers: Mutex<BTreeMap<ObjectName, Fetched>>,
}

impl Opened {
    pub(crate) fn frame(&self, at: &Location) -> Fetched {
        let (mut frames, of) = (lock(&self.frames), (at.pack, at.frame));
        let kept = frames.iter().position(|(kept, _)| *kept == of).and_then(|n| frames.remove(n));
        let frame = kept.map_or_else(Fetched::default, |(_, frame)| frame);
        frames.push_front((of, Arc::clone(&frame)));
        frames.truncate(KEPT_FRAMES);
        frame
    }

    pub(crate) fn header(&self, pack: ObjectName) -> Fetched {
        Arc::clone(lock(&self.headers).entry(pack).or_default())
    }

    /// Drops a header with which a frame did not open, so that the next reader fetches it again.
    pub(crate) fn forget_header(&self, pack: ObjectName) {
        lock(&self.headers).remove(&pack);
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
