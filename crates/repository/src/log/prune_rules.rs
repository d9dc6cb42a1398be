//! Which objects a prune may condemn and a sweep may delete, as pure functions.
//!
//! **Reachable** are the segments of every kept snapshot and of the live progress chain, and the packs that their footers
//! name. Everything else that lies in `packs/` and `segments/` is condemned: what a forgotten snapshot left behind, and
//! likewise what somebody uploaded and has not committed. The latter loses by `fold::rebase` when it tries to commit.
//! **Pinned** is what a running reader named before it began. It stays although no root needs it.

use std::collections::{BTreeMap, BTreeSet};

use proto::repository::{Condemn, Replacement};

use crate::log::fold::{LogState, segment_name};
use crate::storage::layout::{Object, ObjectName};

/// The packs that each segment's footer names.
pub type Footers = BTreeMap<ObjectName, BTreeSet<ObjectName>>;

/// What a running reader asks to keep. It is written before the log is read for the last time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pin {
    /// The snapshot that is read.
    pub snapshot: u64,
    /// Its segments as the reader knows them. The number alone would not do: a later condemnation may replace the
    /// snapshot's segments, and the reader goes on with the old ones.
    pub segments: BTreeSet<ObjectName>,
}

impl Pin {
    /// A pin on a kept snapshot; `None` when it is not kept.
    pub fn on(state: &LogState, snapshot: u64) -> Option<Pin> {
        let segments = state.snapshots.get(&snapshot)?.segments.iter().filter_map(segment_name).collect();
        Some(Pin { snapshot, segments })
    }

    /// Does the pin protect its reader? `state` is read after the pin was written. If not, the snapshot was forgotten or
    /// rewritten in between: the reader removes the pin and starts again.
    pub fn holds(&self, state: &LogState) -> bool {
        Pin::on(state, self.snapshot).as_ref() == Some(self)
    }
}

/// Everything the roots of `state` need. `Err` names a segment whose footer is not at hand: then nothing may be pruned.
pub fn reachable(state: &LogState, footers: &Footers) -> Result<BTreeSet<Object>, ObjectName> {
    let mut objects = BTreeSet::new();
    for segment in state.roots() {
        let packs = footers.get(&segment).ok_or(segment)?;
        objects.insert(Object::Segment(segment));
        objects.extend(packs.iter().copied().map(Object::Pack));
    }
    Ok(objects)
}

/// Everything the pins need. A pinned segment without a footer is gone, so its reader found out when it read the log again.
pub fn pinned(pins: &[Pin], footers: &Footers) -> BTreeSet<Object> {
    let mut objects = BTreeSet::new();
    for segment in pins.iter().flat_map(|pin| &pin.segments) {
        if let Some(packs) = footers.get(segment) {
            objects.insert(Object::Segment(*segment));
            objects.extend(packs.iter().copied().map(Object::Pack));
        }
    }
    objects
}

/// The first phase: what to condemn, given everything that is `stored`. It may only be committed as the entry directly
/// behind `state`. What an unswept condemnation names already is left to it.
pub fn condemnation(
    state: &LogState,
    replacements: Vec<Replacement>,
    stored: &BTreeSet<Object>,
    footers: &Footers,
    pins: &[Pin],
) -> Result<Condemn, ObjectName> {
    let mut after = state.clone();
    after.replace_segments(&replacements);
    let mut stays = reachable(&after, footers)?;
    stays.extend(pinned(pins, footers));
    let objects = stored
        .iter()
        .filter(|object| matches!(object, Object::Pack(_) | Object::Segment(_)))
        .filter(|object| !stays.contains(*object) && !is_condemned(state, object))
        .map(Object::relative)
        .collect();
    Ok(Condemn { objects, replacements })
}

fn is_condemned(state: &LogState, object: &Object) -> bool {
    let name = object.relative();
    state.condemns.values().any(|(_, condemn)| condemn.objects.contains(&name))
}

/// The second phase: may this object of the condemnation `number` be deleted now? `state` and `pins` are read anew before
/// each deletion, and the grace time is over.
pub fn may_delete(
    state: &LogState,
    number: u64,
    object: &Object,
    footers: &Footers,
    pins: &[Pin],
) -> Result<bool, ObjectName> {
    let Some((_, condemn)) = state.condemns.get(&number) else {
        return Ok(false);
    };
    let condemned = condemn.objects.contains(&object.relative());
    Ok(condemned && !reachable(state, footers)?.contains(object) && !pinned(pins, footers).contains(object))
}

#[cfg(test)]
mod tests {
    use proto::repository::log_entry::Kind;
    use proto::repository::{LogEntry, SegmentRef, Snapshot};

    use super::*;
    use crate::log::fold::next_head;

    const fn name(n: u8) -> ObjectName {
        ObjectName([n; 16])
    }

    fn refs(segments: &[u8]) -> Vec<SegmentRef> {
        segments
            .iter()
            .map(|n| SegmentRef { name: name(*n).0.to_vec().into(), ..SegmentRef::default() })
            .collect()
    }

    fn after(state: &LogState, kind: Kind) -> LogState {
        let number = state.number + 1;
        let head = Some(next_head(&state.head, number, &kind));
        let mut state = state.clone();
        state.apply(&LogEntry { number, head, kind: Some(kind), ..LogEntry::default() });
        state
    }

    /// One snapshot of segment 1 (pack 1); segment 2 (pack 2) lies around.
    fn scene() -> (LogState, BTreeSet<Object>, Footers) {
        let snapshot = Snapshot { segments: refs(&[1]), ..Snapshot::default() };
        let state = after(&LogState::default(), Kind::Snapshot(snapshot));
        let stored =
            [1, 2].into_iter().flat_map(|n| [Object::Pack(name(n)), Object::Segment(name(n))]).collect();
        let footers = [1, 2].into_iter().map(|n| (name(n), BTreeSet::from([name(n)]))).collect();
        (state, stored, footers)
    }

    #[test]
    fn what_no_root_needs_is_condemned_once() {
        let (state, stored, footers) = scene();
        let condemn = condemnation(&state, Vec::new(), &stored, &footers, &[]).unwrap();
        assert_eq!(condemn.objects, [Object::Pack(name(2)).relative(), Object::Segment(name(2)).relative()]);
        let state = after(&state, Kind::Condemn(condemn));
        let again = condemnation(&state, Vec::new(), &stored, &footers, &[]).unwrap();
        assert!(again.objects.is_empty(), "{again:?}");
    }

    #[test]
    fn nothing_is_pruned_while_a_root_cannot_be_read() {
        let (state, stored, mut footers) = scene();
        footers.remove(&name(1));
        assert_eq!(condemnation(&state, Vec::new(), &stored, &footers, &[]), Err(name(1)));
    }

    #[test]
    fn a_pinned_or_reachable_or_uncondemned_object_is_not_deleted() {
        let (state, stored, footers) = scene();
        let objects = vec![Object::Pack(name(1)).relative(), Object::Pack(name(2)).relative()];
        let state = after(&state, Kind::Condemn(Condemn { objects, replacements: Vec::new() }));
        let pin = Pin { snapshot: 9, segments: BTreeSet::from([name(2)]) };
        let deletable = |pins: &[Pin]| -> Vec<Object> {
            stored
                .iter()
                .copied()
                .filter(|o| may_delete(&state, state.number, o, &footers, pins).unwrap())
                .collect()
        };
        assert_eq!(deletable(&[]), [Object::Pack(name(2))]);
        assert_eq!(deletable(&[pin]), []);
    }

    #[test]
    fn a_pin_does_not_hold_when_its_snapshot_was_rewritten() {
        let (state, ..) = scene();
        let pin = Pin::on(&state, 1).unwrap();
        assert!(pin.holds(&state));
        let replacements = vec![Replacement { snapshot: 1, segments: refs(&[2]) }];
        let state = after(&state, Kind::Condemn(Condemn { objects: Vec::new(), replacements }));
        assert!(!pin.holds(&state));
    }
}
