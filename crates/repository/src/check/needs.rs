//! What the snapshots and slices that were looked at need of the store.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use model::BlobId;

use crate::rows::Location;
use crate::storage::layout::{Object, ObjectName};
use crate::storage::length::Length;

/// Packs and segments on the store, and their lengths.
pub(super) type Listed = BTreeMap<Object, u64>;

/// What the roots checked so far need.
#[derive(Default)]
pub(super) struct Needs {
    /// By pack: how far into it blobs reach, and a hash of every (blob, place).
    pub(super) packs: BTreeMap<ObjectName, (u64, HashSet<u64>)>,
    pub(super) segments: BTreeSet<ObjectName>,
    /// Packs that the footers of these segments name: a prune keeps them all.
    pub(super) named: BTreeMap<ObjectName, Length>,
    /// Those of them, and those segments, that an unfinished backup needs.
    pub(super) of_slices: BTreeSet<Object>,
    /// Rows cannot be read: any of these packs may be needed.
    pub(super) lacks_rows: bool,
    /// Blobs of what the snapshot itself names as not fetched: they may be in no index, or in a pack that is noted as damaged.
    pub(super) excused: BTreeSet<BlobId>,
    pub(super) noted: BTreeSet<Object>,
}

impl Needs {
    pub(super) fn excuse(&mut self, id: &BlobId, is_failed: bool) {
        if is_failed {
            self.excused.insert(*id);
        }
    }

    pub(super) fn add(&mut self, id: &BlobId, at: &Location) {
        if self.excused.contains(id) && self.noted.contains(&Object::Pack(at.pack)) {
            return;
        }
        let (reach, blobs) = self.packs.entry(at.pack).or_default();
        *reach = (*reach).max(at.reach());
        blobs.insert(place_hash(id, at));
    }

    /// Whether something may need a pack of which no row of a snapshot says so.
    pub(super) fn may_need(&self, pack: ObjectName) -> bool {
        let object = Object::Pack(pack);
        self.of_slices.contains(&object) || (self.lacks_rows && !self.noted.contains(&object))
    }

    /// How many objects nothing refers to, and their bytes; none while segments cannot be read, which may name them.
    pub(super) fn count_unreferenced(&self, listed: &Listed) -> (u64, u64) {
        if self.lacks_rows {
            return (0, 0);
        }
        let is_named = |object: &Object| match object {
            Object::Pack(name) => self.named.contains_key(name),
            Object::Segment(name) => self.segments.contains(name),
            _ => true,
        };
        let unnamed = listed.iter().filter(|(object, _)| !is_named(object));
        unnamed.fold((0, 0), |(count, bytes), (_, size)| (count + 1, bytes + size))
    }
}

/// Eight bytes that stand for "this blob lies there".
pub(super) fn place_hash(id: &BlobId, at: &Location) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&id.0).update(&at.frame.to_be_bytes()).update(&at.offset.to_be_bytes());
    hasher
        .update(&at.sealed_length.to_be_bytes())
        .update(&at.start.to_be_bytes())
        .update(&at.length.to_be_bytes());
    let hash = hasher.finalize();
    hash.as_bytes()[..8].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}
