//! The modelled store and what stands in it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::rc::Rc;

use prost::Message;
use proto::repository::log_entry::Kind;
use proto::repository::{Head, LogEntry};
use repository::log::fold::LogState;
use repository::log::prune_rules::{Footers, Pin};
use repository::{Object, ObjectName};

use crate::content::Segment;
use crate::process::Process;
use crate::rules::Rules;

/// A log entry with the full fold up to it.
pub(crate) struct Committed {
    pub(crate) entry: LogEntry,
    pub(crate) state: LogState,
    /// The data key it is sealed with.
    pub(crate) data_key: u8,
    id: Digest,
}

/// A log entry somebody has read. Entries never change, so this stays true.
pub(crate) type Seen = Rc<Committed>;

impl Committed {
    pub(crate) fn nothing() -> Seen {
        Rc::new(Committed {
            entry: LogEntry::default(),
            state: LogState::default(),
            data_key: 0,
            id: [0; 16],
        })
    }

    /// The entry that does `kind` directly behind `self`.
    pub(crate) fn then(&self, writer: &str, kind: Kind, data_key: u8, rules: Rules) -> Seen {
        let number = self.number() + 1;
        let head = Some(rules.next_head(self.head(), number, &kind));
        let writer = writer.to_owned();
        let entry = LogEntry { number, written_ms: 0, writer, head, kind: Some(kind) };
        let mut state = self.state.clone();
        state.apply(&entry);
        let id = digest(&(self.id, data_key, entry.encode_to_vec()));
        Rc::new(Committed { entry, state, data_key, id })
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
}

impl Hash for Committed {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write(&self.id);
    }
}

/// A process, its digest taken once.
pub(crate) struct Actor {
    pub(crate) process: Process,
    digest: Digest,
}

impl Actor {
    pub(crate) fn new(process: Process) -> Rc<Actor> {
        let digest = digest(&process);
        Rc::new(Actor { process, digest })
    }
}

impl Hash for Actor {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write(&self.digest);
    }
}

/// The objects in `packs/` and `segments/`.
#[derive(Clone, Hash, Default)]
pub(crate) struct Objects {
    /// The emails whose blobs each pack holds, as bits.
    pub(crate) packs: BTreeMap<ObjectName, u8>,
    pub(crate) segments: BTreeMap<ObjectName, Rc<Segment>>,
}

/// The store, the fleet's sequence and everybody who works with them.
#[derive(Clone)]
pub(crate) struct World {
    /// Every entry that was ever created, in the order of creation.
    pub(crate) log: Rc<Vec<Seen>>,
    /// Places in `log` of entries that were deleted; only a flaw does that.
    pub(crate) log_deleted: BTreeSet<usize>,
    objects: Rc<Objects>,
    objects_digest: Digest,
    /// Pins by the process that wrote them.
    pub(crate) pins: BTreeMap<u8, Pin>,
    /// `keys/<master>`: the wrapped data key.
    pub(crate) keys: BTreeMap<u8, u8>,
    /// The last backup number that was drawn.
    pub(crate) sequence: u64,
    pub(crate) processes: Vec<Rc<Actor>>,
}

impl Hash for World {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.hash_store(hasher);
        (&self.pins, self.sequence, &self.processes).hash(hasher);
    }
}

impl World {
    /// An empty store.
    pub(crate) fn empty() -> World {
        World {
            log: Rc::default(),
            log_deleted: BTreeSet::new(),
            objects: Rc::default(),
            objects_digest: Digest::default(),
            pins: BTreeMap::new(),
            keys: BTreeMap::new(),
            sequence: 0,
            processes: Vec::new(),
        }
    }

    /// The entry of a number, as a `get` answers.
    pub(crate) fn read(&self, number: u64) -> Option<Seen> {
        let there = |place: &usize| self.log[*place].number() == number && !self.log_deleted.contains(place);
        (0..self.log.len()).find(there).map(|place| self.log[place].clone())
    }

    /// The newest entry; number 0 stands for a log that has not begun.
    pub(crate) fn newest(&self) -> Seen {
        let there = (0..self.log.len()).filter(|place| !self.log_deleted.contains(place));
        let newest = there.max_by_key(|place| self.log[*place].number());
        newest.map_or_else(Committed::nothing, |place| self.log[place].clone())
    }

    /// Does a copy of the key open this entry?
    pub(crate) fn opens(&self, seen: &Committed) -> bool {
        self.keys.values().any(|key| *key == seen.data_key)
    }

    pub(crate) fn holds(&self, object: &Object) -> bool {
        match object {
            Object::Pack(name) => self.objects.packs.contains_key(name),
            Object::Segment(name) => self.objects.segments.contains_key(name),
            _ => false,
        }
    }

    pub(crate) fn delete(&mut self, object: &Object) {
        self.change(|objects| match object {
            Object::Pack(name) => _ = objects.packs.remove(name),
            Object::Segment(name) => _ = objects.segments.remove(name),
            _ => {}
        });
    }

    pub(crate) fn put_pack(&mut self, name: ObjectName, blobs: u8) {
        self.change(|objects| _ = objects.packs.insert(name, blobs));
    }

    pub(crate) fn put_segment(&mut self, name: ObjectName, segment: Rc<Segment>) {
        self.change(|objects| _ = objects.segments.insert(name, segment));
    }

    fn change(&mut self, change: impl FnOnce(&mut Objects)) {
        change(Rc::make_mut(&mut self.objects));
        self.objects_digest = digest(&*self.objects);
    }

    /// Everything but the pins. An entry's id stands for all entries before it.
    pub(crate) fn hash_store<H: Hasher>(&self, hasher: &mut H) {
        (self.log.len(), self.log.last(), &self.log_deleted, self.objects_digest, &self.keys).hash(hasher);
    }

    pub(crate) fn create_entry(&mut self, entry: Seen) {
        Rc::make_mut(&mut self.log).push(entry);
    }

    /// The processes, those of a series one by one.
    pub(crate) fn everybody(&self) -> impl Iterator<Item = &Process> {
        self.processes.iter().flat_map(|actor| actor.process.each())
    }

    pub(crate) fn packs(&self) -> &BTreeMap<ObjectName, u8> {
        &self.objects.packs
    }

    pub(crate) fn segments(&self) -> &BTreeMap<ObjectName, Rc<Segment>> {
        &self.objects.segments
    }

    pub(crate) fn footers(&self) -> Footers {
        self.objects.segments.iter().map(|(name, segment)| (*name, segment.packs())).collect()
    }

    pub(crate) fn pins(&self) -> Vec<Pin> {
        self.pins.values().cloned().collect()
    }

    /// Everything in `packs/` and `segments/`.
    pub(crate) fn stored(&self) -> BTreeSet<Object> {
        let packs = self.objects.packs.keys().copied().map(Object::Pack);
        packs.chain(self.objects.segments.keys().copied().map(Object::Segment)).collect()
    }
}

/// Stands for a value; too long to collide.
pub(crate) type Digest = [u8; 16];

/// The bytes that a value hashes.
struct Bytes<'a>(&'a mut Vec<u8>);

impl Hasher for Bytes<'_> {
    fn finish(&self) -> u64 {
        unreachable!("only the bytes are asked for")
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::default();
}

pub(crate) fn digest(value: &impl Hash) -> Digest {
    BUFFER.with_borrow_mut(|buffer| {
        buffer.clear();
        value.hash(&mut Bytes(buffer));
        let hash = blake3::hash(buffer);
        *hash.as_bytes().first_chunk().expect("a hash has 32 bytes")
    })
}
