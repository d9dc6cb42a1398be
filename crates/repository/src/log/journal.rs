//! The log on the store.
//!
//! **Layout.** `log/<20 digits>`, numbered from 1 without a gap, each entry sealed and created if absent; `hint` holds the
//! newest number as text and is only a place to start looking.
//! **Order.** Packs, then segments, then the entry: an entry is the only step that anybody sees.
//! **Crash.** Before the entry: unreferenced objects, nothing else. After the entry, before the hint: the next reader
//! walks forward from the old hint. A hint that is wrong or missing costs a listing.
//! **Retry.** A create whose answer was lost is settled by reading back (`Objects::create`).

use bytes::Bytes;
use futures::TryStreamExt;
use futures::stream::{FuturesOrdered, StreamExt, iter};
use model::Timestamp;
use prost::Message;
use proto::repository::log_entry::Kind as EntryKind;
use proto::repository::{Head, LogEntry};

use crate::error::{Error, Result};
use crate::frame::{open_object, seal_object};
use crate::layout::Object;
use crate::log::fold::{LogState, may_follow, next_head};
use crate::seal::{Cipher, Kind, Secret};
use crate::store::{Created, MailboxObjects};

/// How far behind the hint may be before a listing is cheaper than walking.
const WALK: u64 = 16;
/// Entries read at the same time.
const READ_AHEAD: usize = 8;

/// What trying to append came to.
#[derive(Debug)]
pub(crate) enum Appended {
    /// Ours stands in the log.
    Done,
    /// This entry stands at that number.
    Taken(Box<LogEntry>),
}

/// Reads and appends the numbered entries of one mailbox.
#[derive(Clone, Debug)]
pub(crate) struct Journal {
    objects: MailboxObjects,
    key: Secret,
    writer: String,
}

impl Journal {
    pub(crate) fn new(objects: MailboxObjects, key: Secret, writer: String) -> Journal {
        Journal { objects, key, writer }
    }

    /// The newest entry; `None` for a log that has not begun.
    pub(crate) async fn newest(&self) -> Result<Option<LogEntry>> {
        let hint = self.hint().await?;
        let Some(mut entry) = self.read_or_none(hint.unwrap_or(1)).await? else {
            return match hint {
                Some(_) => self.newest_listed().await,
                None => Ok(None),
            };
        };
        let start = entry.number;
        while let Some(next) = self.read_or_none(entry.number + 1).await? {
            entry = next;
            if entry.number - start > WALK {
                return self.newest_listed().await;
            }
        }
        Ok(Some(entry))
    }

    /// What the hint says, if it says a number.
    pub(crate) async fn hint(&self) -> Result<Option<u64>> {
        let Some(bytes) = self.objects.get(&Object::Hint).await? else {
            return Ok(None);
        };
        Ok(std::str::from_utf8(&bytes).ok().and_then(|text| text.parse().ok()).filter(|n| *n > 0))
    }

    async fn newest_listed(&self) -> Result<Option<LogEntry>> {
        let numbers = self.objects.list("log").await?.into_iter().filter_map(|(object, _)| match object {
            Object::Log(number) => Some(number),
            _ => None,
        });
        let Some(mut number) = numbers.max() else {
            return Ok(None);
        };
        let mut entry = self.read(number).await?;
        while let Some(next) = self.read_or_none(number + 1).await? {
            number += 1;
            entry = next;
        }
        Ok(Some(entry))
    }

    /// The entry of this number.
    pub(crate) async fn read(&self, number: u64) -> Result<LogEntry> {
        let entry = self.read_or_none(number).await?;
        entry.ok_or_else(|| Error::Missing { object: Object::Log(number).relative() })
    }

    /// The entry of this number, if there is one.
    pub(crate) async fn read_or_none(&self, number: u64) -> Result<Option<LogEntry>> {
        let object = Object::Log(number);
        self.objects.get(&object).await?.map(|bytes| self.open(number, &bytes)).transpose()
    }

    fn open(&self, number: u64, bytes: &[u8]) -> Result<LogEntry> {
        open_entry(&self.key, &self.objects, number, bytes)
    }

    /// Everything up to `newest`: the checkpoint before it, then the entries in between.
    pub(crate) async fn state(&self, newest: &LogEntry) -> Result<LogState> {
        let start = newest.head.as_ref().map_or(0, |head| head.checkpoint).max(1);
        let mut entries = FuturesOrdered::new();
        let mut numbers = iter(start..newest.number);
        let mut state = LogState::default();
        loop {
            while entries.len() < READ_AHEAD {
                let Some(number) = numbers.next().await else { break };
                entries.push_back(self.read(number));
            }
            match entries.try_next().await? {
                Some(entry) => state.apply(&entry),
                None => break,
            }
        }
        state.apply(newest);
        Ok(state)
    }

    /// Creates the entry behind `before` (0 and an empty head for the first one).
    pub(crate) async fn append(
        &self,
        before: (u64, &Head),
        kind: EntryKind,
        now: Timestamp,
    ) -> Result<(LogEntry, Appended)> {
        let number = before.0 + 1;
        if before.1.erased {
            return Err(Error::Erased { number: before.0 });
        }
        if !may_follow(before.0, before.1, &kind) {
            return Err(Error::Misplaced { number });
        }
        let entry = LogEntry {
            number,
            written_ms: now.as_millisecond(),
            writer: self.writer.clone(),
            head: Some(next_head(before.1, number, &kind)),
            kind: Some(kind),
        };
        let object = Object::Log(number);
        let cipher = Cipher::fresh(&self.key, Kind::Log, self.objects.dir(), object.relative());
        let bytes = Bytes::from(seal_object(&cipher, &entry.encode_to_vec())?);
        self.open(number, &bytes)?;
        let appended = match self.objects.create(&object, &bytes).await? {
            Created::Ours => Appended::Done,
            Created::Theirs(found) => Appended::Taken(Box::new(self.open(number, &found)?)),
        };
        Ok((entry, appended))
    }

    /// Notes the newest number for the next reader. A failure costs the next reader a few requests and nothing else.
    pub(crate) async fn write_hint(&self, number: u64) {
        let hint = Bytes::from(number.to_string());
        let _ = self.objects.put(&Object::Hint, hint).await;
    }
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
