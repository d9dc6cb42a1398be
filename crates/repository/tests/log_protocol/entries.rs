//! Log entries: as they were created, and as they are found.

use std::hash::{Hash, Hasher};
use std::rc::Rc;

use bytes::Bytes;
use prost::Message;
use proto::repository::log_entry::Kind;
use proto::repository::{Head, LogEntry};
use repository::log::fold::LogState;

use crate::rules::Rules;
use crate::world::{Digest, digest};

/// A log entry with the fold up to it.
pub(crate) struct Committed {
    pub(crate) entry: LogEntry,
    pub(crate) state: LogState,
    /// The data key it is sealed with.
    pub(crate) data_key: u8,
    /// Something of the log up to here cannot be read, or does not belong together.
    pub(crate) is_torn: bool,
    /// The digest of what lies at its number.
    id: Digest,
    /// The digest of what was created there.
    origin: Digest,
    /// The entry it was written behind. Known to the model only.
    parent: Option<Seen>,
    /// Of an entry as somebody read it: what was created there. Known to the model only.
    created: Option<Seen>,
}

/// A log entry somebody has read. Nobody changes an entry, so this stays true of what was written.
pub(crate) type Seen = Rc<Committed>;

/// A place in a history: an entry's number and digest. This is what is remembered outside of the store.
#[derive(Debug, Clone, Copy, Hash, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) number: u64,
    pub(crate) digest: Digest,
}

impl Committed {
    pub(crate) fn nothing() -> Seen {
        Rc::new(Committed {
            entry: LogEntry::default(),
            state: LogState::default(),
            data_key: 0,
            is_torn: false,
            id: [0; 16],
            origin: [0; 16],
            parent: None,
            created: None,
        })
    }

    /// The entry that does `kind` directly behind `self`.
    pub(crate) fn then(self: &Rc<Self>, writer: &str, kind: Kind, data_key: u8, rules: Rules) -> Seen {
        let number = self.number() + 1;
        let head = Some(rules.next_head(self.head(), number, &kind));
        let previous = if number == 1 { Bytes::new() } else { Bytes::copy_from_slice(&self.id) };
        let writer = writer.to_owned();
        let entry = LogEntry { number, written_ms: 0, writer, head, previous, kind: Some(kind) };
        let mut state = self.state.clone();
        state.apply(&entry);
        let id = digest(&(self.id, data_key, entry.encode_to_vec()));
        let parent = Some(self.created.as_ref().unwrap_or(self).clone());
        let is_torn = self.is_torn;
        Rc::new(Committed { entry, state, data_key, is_torn, id, origin: id, parent, created: None })
    }

    pub(crate) fn number(&self) -> u64 {
        self.entry.number
    }

    pub(crate) fn head(&self) -> &Head {
        &self.state.head
    }

    pub(crate) fn is(&self, other: &Committed) -> bool {
        self.id == other.id
    }

    /// Was it created as what is remembered there? An entry that broke since keeps its place in the history.
    pub(crate) fn is_at(&self, position: Position) -> bool {
        self.number() == position.number && [self.id, self.origin].contains(&position.digest)
    }

    /// Were both created as the same entry?
    pub(crate) fn was(&self, other: &Committed) -> bool {
        self.origin == other.origin
    }

    /// This entry and those it was written behind, the newest first.
    pub(crate) fn line(&self) -> impl Iterator<Item = &Committed> {
        std::iter::successors(Some(self), |one| one.parent.as_deref())
    }

    /// Was it written behind this one, or is it the first?
    pub(crate) fn follows(&self, before: Option<&Committed>) -> bool {
        let behind = |parent: &Seen| parent.number() == 0 || before.is_some_and(|before| before.is(parent));
        self.parent.as_ref().is_some_and(behind)
    }

    pub(crate) fn kind(&self) -> Option<&Kind> {
        self.entry.kind.as_ref()
    }
}

impl Hash for Committed {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write(&self.id);
        hasher.write_u8(self.is_torn.into());
    }
}

/// What lies at one number of the log.
#[derive(Clone)]
pub(crate) enum Slot {
    Opens(Seen),
    /// It was this entry and does not open any more.
    Broken(Seen, Digest),
}

impl Slot {
    pub(crate) fn broken(seen: Seen) -> Slot {
        let digest = digest(&("broken", seen.id));
        Slot::Broken(seen, digest)
    }

    pub(crate) fn opens(&self) -> Option<&Seen> {
        match self {
            Slot::Opens(seen) => Some(seen),
            Slot::Broken(..) => None,
        }
    }

    /// What was created there. No process may look at it if it does not open.
    pub(crate) fn created(&self) -> &Seen {
        match self {
            Slot::Opens(seen) | Slot::Broken(seen, _) => seen,
        }
    }

    pub(crate) fn number(&self) -> u64 {
        self.created().number()
    }

    pub(crate) fn position(&self) -> Position {
        let digest = match self {
            Slot::Opens(seen) => seen.id,
            Slot::Broken(_, digest) => *digest,
        };
        Position { number: self.number(), digest }
    }

    /// As it is read by somebody who made this of the log up to it.
    pub(crate) fn read_as(&self, state: LogState, is_torn: bool) -> Seen {
        let created = self.created();
        let head = Some(state.head.clone());
        let unread = || LogEntry { number: self.number(), head, ..LogEntry::default() };
        Rc::new(Committed {
            entry: self.opens().map_or_else(unread, |seen| seen.entry.clone()),
            state,
            data_key: created.data_key,
            is_torn,
            id: self.position().digest,
            origin: created.origin,
            parent: created.parent.clone(),
            created: Some(created.clone()),
        })
    }
}
