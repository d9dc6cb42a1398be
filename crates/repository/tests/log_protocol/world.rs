//! The modelled store and what stands in it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::rc::Rc;

use repository::log::prune_rules::{Footers, Pin};
use repository::{Object, ObjectName};

use crate::content::Segment;
use crate::entries::{Committed, Seen, Slot};
use crate::process::Process;

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

/// What happened to the store itself. Known to the model only.
#[derive(Clone, Hash, Default)]
pub(crate) struct Harm {
    /// Objects that disappeared or broke without anybody having deleted them.
    pub(crate) lost: Rc<BTreeSet<Object>>,
    /// Entries disappeared, broke, or were replaced by those of another history.
    pub(crate) log: bool,
}

impl Harm {
    pub(crate) fn is_none(&self) -> bool {
        self.lost.is_empty() && !self.log
    }
}

/// A store as it was at some time, or another one that has the same beginnings.
#[derive(Clone)]
pub(crate) struct Copied {
    log: Rc<BTreeMap<u64, Slot>>,
    is_torn: bool,
    objects: Rc<Objects>,
    objects_digest: Digest,
}

/// The store, the fleet's sequence and everybody who works with them.
#[derive(Clone)]
pub(crate) struct World {
    /// Every entry that was ever created, in the order of creation.
    pub(crate) created: Rc<Vec<Seen>>,
    log: Rc<BTreeMap<u64, Slot>>,
    /// Not every entry is there, opens and follows the one before it.
    is_torn: bool,
    pub(crate) harm: Harm,
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
            created: Rc::default(),
            log: Rc::default(),
            is_torn: false,
            harm: Harm::default(),
            objects: Rc::default(),
            objects_digest: Digest::default(),
            pins: BTreeMap::new(),
            keys: BTreeMap::new(),
            sequence: 0,
            processes: Vec::new(),
        }
    }

    /// What lies at each number.
    pub(crate) fn slots(&self) -> impl DoubleEndedIterator<Item = &Slot> {
        self.log.values()
    }

    /// What lies at a number, as a `get` answers.
    pub(crate) fn slot(&self, number: u64) -> Option<&Slot> {
        self.log.get(&number)
    }

    /// The entry of a number, if it is there and opens.
    pub(crate) fn read(&self, number: u64) -> Option<Seen> {
        self.slot(number)?.opens().cloned()
    }

    /// Is every entry there, and does it open and follow the one before it?
    pub(crate) fn is_torn(&self) -> bool {
        self.is_torn
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

    /// Everything but the pins. In a log that was not harmed an entry's id stands for all entries before it.
    pub(crate) fn hash_store<H: Hasher>(&self, hasher: &mut H) {
        (self.objects_digest, &self.keys, &self.harm).hash(hasher);
        if !self.harm.log {
            (self.created.len(), self.created.last()).hash(hasher);
        }
        if self.harm.log || self.is_torn {
            self.log.values().for_each(|slot| (slot.number(), slot.position()).hash(hasher));
        }
    }

    pub(crate) fn create_entry(&mut self, entry: Seen) {
        let before = self.read(entry.number() - 1);
        let follows = entry.follows(before.as_deref());
        self.is_torn |= !follows;
        Rc::make_mut(&mut self.created).push(entry.clone());
        Rc::make_mut(&mut self.log).insert(entry.number(), Slot::Opens(entry));
    }

    pub(crate) fn delete_entry(&mut self, number: u64) {
        self.is_torn = true;
        Rc::make_mut(&mut self.log).remove(&number);
    }

    /// An entry disappears by itself. After the last one the log looks as if it had never been there.
    pub(crate) fn lose_entry(&mut self, number: u64) {
        let is_last = self.log.keys().next_back() == Some(&number);
        self.harm.log = true;
        self.is_torn |= !is_last;
        Rc::make_mut(&mut self.log).remove(&number);
    }

    /// An entry does not open any more and keeps its number.
    pub(crate) fn break_entry(&mut self, number: u64) {
        self.harm.log = true;
        self.is_torn = true;
        if let Some(slot) = Rc::make_mut(&mut self.log).get_mut(&number) {
            *slot = Slot::broken(slot.created().clone());
        }
    }

    pub(crate) fn lose(&mut self, object: &Object) {
        Rc::make_mut(&mut self.harm.lost).insert(*object);
        self.delete(object);
    }

    /// A pack is there and nothing in it can be read.
    pub(crate) fn break_pack(&mut self, name: ObjectName) {
        Rc::make_mut(&mut self.harm.lost).insert(Object::Pack(name));
        self.put_pack(name, 0);
    }

    pub(crate) fn copied(&self) -> Copied {
        Copied {
            log: self.log.clone(),
            is_torn: self.is_torn,
            objects: self.objects.clone(),
            objects_digest: self.objects_digest,
        }
    }

    /// The log is again as it was in the copy.
    pub(crate) fn put_log_back(&mut self, copied: &Copied) {
        self.harm.log = true;
        self.log = copied.log.clone();
        self.is_torn = copied.is_torn;
    }

    /// What lies in `packs/` and `segments/` is again as it was in the copy.
    pub(crate) fn put_objects_back(&mut self, copied: &Copied) {
        let before = self.stored();
        self.objects = copied.objects.clone();
        self.objects_digest = copied.objects_digest;
        let gone: Vec<Object> = before.difference(&self.stored()).copied().collect();
        Rc::make_mut(&mut self.harm.lost).extend(gone);
    }

    /// The copy's objects, and those of its entries that `wants` says, are written over what is here.
    pub(crate) fn copy_over(&mut self, copied: &Copied, wants: impl Fn(&World, u64) -> bool) {
        let wanted: Vec<Slot> =
            copied.log.values().filter(|slot| wants(self, slot.number())).cloned().collect();
        self.harm.log = true;
        self.is_torn = true;
        Rc::make_mut(&mut self.log).extend(wanted.into_iter().map(|slot| (slot.number(), slot)));
        let other = copied.objects.clone();
        self.change(|objects| {
            objects.packs.extend(&other.packs);
            objects.segments.extend(other.segments.iter().map(|(name, one)| (*name, one.clone())));
        });
        Rc::make_mut(&mut self.harm.lost).retain(|object| match object {
            Object::Pack(name) => !other.packs.contains_key(name),
            Object::Segment(name) => !other.segments.contains_key(name),
            _ => true,
        });
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
struct Hashed<'a>(&'a mut Vec<u8>);

impl Hasher for Hashed<'_> {
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
        value.hash(&mut Hashed(buffer));
        let hash = blake3::hash(buffer);
        *hash.as_bytes().first_chunk().expect("a hash has 32 bytes")
    })
}
