//! The log on the store.
//!
//! **Layout.** `log/<20 digits>`, numbered from 1 without a gap, each entry sealed and created if absent. Since format 2 each
//! entry carries the digest of the one before. Entry 1 lies twice.
//! **Order.** Packs, then segments, then the entry: an entry is the only step that anybody sees.
//! **Crash.** Before the entry: unreferenced objects, nothing else. After entry 1, before its copy: the next writer copies it.
//! **Retry.** A create whose answer was lost is settled by reading back (`Objects::create`).
//! **Damage.** An entry that does not open keeps its number: readers go around it, writers go on behind it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream;
use model::{LogPosition, Timestamp};
use prost::Message;
use proto::repository::log_entry::Kind as EntryKind;
use proto::repository::{Head, LogEntry};

use crate::error::{Error, HistoryFault, Result};
use crate::log::fold::{LogState, may_follow, next_head};
use crate::sealing::frame::{open_object, seal_object};
use crate::sealing::seal::{Cipher, Kind, Secret, format_of};
use crate::storage::layout::Object;
use crate::storage::objects::{Created, MailboxObjects};

/// Entries read one after the other before a listing is cheaper.
const WALK: u64 = 16;
/// Entries read at the same time.
const READ_AHEAD: usize = 8;

/// What trying to append came to.
#[derive(Debug)]
pub(crate) enum Appended {
    /// Ours stands in the log.
    Done,
    /// This stands at that number.
    Taken(Box<Found>),
}

/// What stands at one number of the log.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// The number, and the digest of what lies there.
    pub(crate) position: LogPosition,
    /// The format that its header names.
    pub(crate) format: u16,
    /// `None`: it does not open.
    pub(crate) entry: Option<LogEntry>,
}

impl Found {
    /// What the entry says of the state, if it opens.
    pub(crate) fn head(&self) -> Option<&Head> {
        self.entry.as_ref()?.head.as_ref()
    }

    /// Whether this entry was written behind another one than `before`. Only what opens can tell.
    fn contradicts(&self, before: &Found) -> bool {
        let is_next = before.entry.is_some() && self.position.number == before.position.number + 1;
        let Some(entry) = self.entry.as_ref().filter(|_| is_next) else { return false };
        !entry.previous.is_empty() && entry.previous.as_ref() != before.position.digest
    }
}

/// The state that a log adds up to, as far as it can be read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Folded {
    pub(crate) state: LogState,
    /// Numbers of entries that are missing or do not open, those left out that carried nothing but the state itself.
    pub(crate) unreadable: BTreeSet<u64>,
}

/// Reads and appends the numbered entries of one mailbox.
#[derive(Clone, Debug)]
pub(crate) struct Journal {
    objects: MailboxObjects,
    key: Secret,
    writer: String,
    /// Shared by clones: how far the log had come when one of them looked last.
    remembered: Arc<Mutex<Option<LogPosition>>>,
}

impl Journal {
    pub(crate) fn new(objects: MailboxObjects, key: Secret, writer: String) -> Journal {
        Journal { objects, key, writer, remembered: Arc::default() }
    }

    /// From now on the log must hold this entry, and is searched from there.
    pub(crate) fn remember(&self, position: Option<LogPosition>) {
        *self.remembered.lock().unwrap_or_else(PoisonError::into_inner) = position;
    }

    pub(crate) fn remembered(&self) -> Option<LogPosition> {
        *self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The end of the log; `None` if it has not begun. Fails if the log is not a continuation of what is remembered.
    pub(crate) fn tip<'a>(&'a self) -> BoxFuture<'a, Result<Option<Found>>> {
        Box::pin(async move {
            let start = match self.remembered() {
                Some(remembered) => Some(self.find_remembered(remembered).await?),
                None => self.last_listed().await?,
            };
            let Some(start) = start else { return Ok(None) };
            let tip = self.walk(start).await?;
            self.remember(Some(tip.position));
            Ok(Some(tip))
        })
    }

    async fn find_remembered(&self, remembered: LogPosition) -> Result<Found> {
        if let Some(found) = self.found(remembered.number).await? {
            let is_it = found.position == remembered || found.entry.is_none();
            return if is_it {
                Ok(found)
            } else {
                Err(history(Some(remembered), &found, HistoryFault::Forked))
            };
        }
        let last = self.last_listed().await?;
        match last {
            // The remembered entry alone is missing: damage, not another history.
            Some(last) if last.position.number > remembered.number => Ok(last),
            Some(last) => Err(history(Some(remembered), &last, HistoryFault::RolledBack)),
            None => {
                let found = LogPosition { number: 0, digest: [0; 32] };
                Err(Error::History { remembered: Some(remembered), found, fault: HistoryFault::RolledBack })
            }
        }
    }

    /// From an entry that is there to the last one.
    async fn walk(&self, start: Found) -> Result<Found> {
        let first = start.position.number;
        let (mut last, mut accepted, mut broken) = (start, 0, None);
        while let Some(next) = self.found_behind(last.position.number).await? {
            if next.contradicts(&last) {
                broken = Some(next.clone());
            }
            if let Some(Some(EntryKind::Reset(reset))) = next.entry.as_ref().map(|entry| &entry.kind) {
                accepted = accepted.max(reset.found);
            }
            last = next;
            if last.position.number - first == WALK
                && let Some(listed) = self.last_listed().await?
                && listed.position.number > last.position.number
            {
                last = listed;
            }
        }
        match broken.filter(|broken| broken.position.number > accepted) {
            Some(broken) => Err(history(self.remembered(), &broken, HistoryFault::Merged)),
            None => Ok(last),
        }
    }

    /// What stands behind a number. One entry that is lost is a hole in the log, not its end: whoever wrote into it would
    /// stand before entries that know nothing of it.
    async fn found_behind(&self, number: u64) -> Result<Option<Found>> {
        match self.found(number + 1).await? {
            Some(found) => Ok(Some(found)),
            None => self.found(number + 2).await,
        }
    }

    /// The entry with the greatest number in a listing. A listing that shows none is not believed over entry 1.
    pub(crate) fn last_listed<'a>(&'a self) -> BoxFuture<'a, Result<Option<Found>>> {
        Box::pin(async move {
            let mut last = self.numbers().await?.last().copied().unwrap_or(1);
            loop {
                match self.found(last).await? {
                    Some(found) => return Ok(Some(found)),
                    None if last == 1 => return Ok(None),
                    // It was listed and is gone.
                    None => last -= 1,
                }
            }
        })
    }

    /// The numbers that a listing shows.
    pub(crate) async fn numbers(&self) -> Result<BTreeSet<u64>> {
        let listed = self.objects.list("log").await?;
        let number = |(object, _): (Object, u64)| match object {
            Object::Log(number) => Some(number),
            _ => None,
        };
        Ok(listed.into_iter().filter_map(number).collect())
    }

    /// What stands at a number; `None`: nothing.
    pub(crate) fn found<'a>(&'a self, number: u64) -> BoxFuture<'a, Result<Option<Found>>> {
        Box::pin(async move {
            let object = Object::Log(number);
            let original = self.objects.get(&object).await?;
            let found = original.map(|bytes| self.look_at(number, &bytes)).transpose()?;
            let Some(copy) =
                object.copy().filter(|_| found.as_ref().is_none_or(|found| found.entry.is_none()))
            else {
                return Ok(found);
            };
            let copied = self.objects.get(&copy).await?;
            let copied = copied.map(|bytes| self.look_at(number, &bytes)).transpose()?;
            Ok(copied.filter(|copied| copied.entry.is_some()).or(found))
        })
    }

    fn look_at(&self, number: u64, bytes: &[u8]) -> Result<Found> {
        let entry = match open_entry(&self.key, &self.objects, number, bytes) {
            Ok(entry) => Some(entry),
            Err(Error::Corrupt { .. }) => None,
            Err(error) => return Err(error),
        };
        let position = LogPosition { number, digest: *blake3::hash(bytes).as_bytes() };
        Ok(Found { position, format: format_of(bytes), entry })
    }

    /// The entry of this number.
    pub(crate) async fn read(&self, number: u64) -> Result<LogEntry> {
        let object = Object::Log(number).relative();
        match self.found(number).await? {
            Some(found) => found.entry.ok_or_else(|| Error::corrupt(object, "it was altered or damaged")),
            None => Err(Error::Missing { object }),
        }
    }

    /// The nearest entry before `number` that opens.
    pub(crate) async fn readable_before(&self, number: u64) -> Result<Option<LogEntry>> {
        for number in (1..number).rev() {
            if let Some(entry) = self.found(number).await?.and_then(|found| found.entry) {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// Everything up to `tip`: the checkpoint before it, then the entries in between. Goes around what cannot be read.
    pub(crate) fn fold<'a>(&'a self, tip: &'a Found) -> BoxFuture<'a, Result<Folded>> {
        Box::pin(async move {
            let checkpoint = match tip.head() {
                Some(head) => head.checkpoint,
                None => {
                    let before = self.readable_before(tip.position.number).await?;
                    before.and_then(|entry| entry.head).map_or(0, |head| head.checkpoint)
                }
            };
            // A checkpoint that does not open says nothing that the entries before it do not say.
            let opens = match checkpoint {
                0 => false,
                at if at == tip.position.number => tip.entry.is_some(),
                at => self.found(at).await?.is_some_and(|found| found.entry.is_some()),
            };
            self.fold_from(if opens { checkpoint } else { 1 }, tip).await
        })
    }

    async fn fold_from(&self, start: u64, tip: &Found) -> Result<Folded> {
        let earlier = stream::iter(start..tip.position.number)
            .map(|number| async move { (number, self.found(number).await) })
            .buffered(READ_AHEAD);
        let last = stream::iter([(tip.position.number, Ok(Some(tip.clone())))]);
        let mut entries = earlier.chain(last);
        let (mut folded, mut before, mut broken) = (Folded::default(), None::<Found>, None);
        while let Some((number, found)) = entries.next().await {
            let found = found?;
            if let (Some(found), Some(before)) = (&found, &before)
                && found.contradicts(before)
            {
                broken = Some(found.clone());
            }
            match found.as_ref().and_then(|found| found.entry.as_ref()) {
                Some(entry) => folded.add(entry),
                None => drop(folded.unreadable.insert(number)),
            }
            before = found;
        }
        match broken.filter(|broken| broken.position.number > folded.state.reset) {
            Some(broken) => Err(history(self.remembered(), &broken, HistoryFault::Merged)),
            None => Ok(folded),
        }
    }

    /// Creates the entry behind `before`; `None`: the first one.
    pub(crate) fn append<'a>(
        &'a self,
        before: Option<(LogPosition, &'a Head)>,
        kind: EntryKind,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<(Found, Appended)>> {
        Box::pin(async move {
            let nothing = Head::default();
            let (number, head) = before.map_or((0, &nothing), |(position, head)| (position.number, head));
            if head.erased {
                return Err(Error::Erased { number });
            }
            if !may_follow(number, head, &kind) {
                return Err(Error::Misplaced { number: number + 1 });
            }
            let number = number + 1;
            let entry = LogEntry {
                number,
                written_ms: now.as_millisecond(),
                writer: self.writer.clone(),
                head: Some(next_head(head, number, &kind)),
                previous: before.map_or_else(Bytes::new, |(p, _)| Bytes::copy_from_slice(&p.digest)),
                kind: Some(kind),
            };
            let object = Object::Log(number);
            let cipher = Cipher::fresh(&self.key, Kind::Log, self.objects.dir(), object.relative());
            let bytes = Bytes::from(seal_object(&cipher, &entry.encode_to_vec())?);
            let ours = self.look_at(number, &bytes)?;
            if ours.entry.as_ref() != Some(&entry) {
                let what = "it does not open to what was sealed".to_owned();
                return Err(Error::Unverified { object: object.relative(), what });
            }
            let appended = match self.objects.create(&object, &bytes).await? {
                Created::Ours => {
                    self.remember(Some(ours.position));
                    Appended::Done
                }
                Created::Theirs(found) => Appended::Taken(Box::new(self.look_at(number, &found)?)),
            };
            Ok((ours, appended))
        })
    }

    /// Makes the second copy of entry 1, if it is not there or not as it should be. Returns what was written.
    pub(crate) async fn copy_first(&self) -> Result<Option<Object>> {
        self.objects
            .heal_copies(&Object::Log(1), |bytes| self.look_at(1, bytes).is_ok_and(|f| f.entry.is_some()))
            .await
    }
}

impl Found {
    /// Who wrote it, for people.
    pub(crate) fn writer(&self) -> String {
        self.entry
            .as_ref()
            .map_or_else(|| "an entry that cannot be read".to_owned(), |entry| entry.writer.clone())
    }

    /// The error of a writer of nothing but an entry, which was to stand here.
    pub(crate) fn lost(&self) -> Error {
        Error::Lost { winner: self.writer(), number: self.position.number, unused_bytes: 0 }
    }
}

impl Folded {
    fn add(&mut self, entry: &LogEntry) {
        // An entry that was a checkpoint carried nothing but what the entries before it add up to.
        if let Some(head) = &entry.head {
            self.unreadable.remove(&head.checkpoint);
        }
        self.state.apply(entry);
    }
}

fn history(remembered: Option<LogPosition>, found: &Found, fault: HistoryFault) -> Error {
    Error::History { remembered, found: found.position, fault }
}

/// Opens the entry of a number from its sealed bytes.
pub(crate) fn open_entry(
    key: &Secret,
    objects: &MailboxObjects,
    number: u64,
    bytes: &[u8],
) -> Result<LogEntry> {
    let name = Object::Log(number).relative();
    let cipher = Cipher::read(key, bytes, Kind::Log, objects.dir(), name.clone())?;
    let plain = open_object(&cipher, bytes)?;
    parse_entry(name, number, &plain)
}

/// The entry of a number from its opened and decompressed bytes.
pub(crate) fn parse_entry(name: String, number: u64, plain: &[u8]) -> Result<LogEntry> {
    let entry = LogEntry::decode(plain).map_err(|_| Error::corrupt(&name, "it is no log entry"))?;
    if entry.number != number {
        return Err(Error::corrupt(name, format!("it says that it is entry {}", entry.number)));
    }
    if entry.kind.is_none() {
        return Err(Error::NewerKind { object: name });
    }
    Ok(entry)
}
