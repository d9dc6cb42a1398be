//! What must be true of snapshots although the store loses things: what is known to be lost is not built upon.

use std::collections::BTreeMap;

use proto::repository::log_entry::Kind;
use proto::repository::{SegmentRef, Snapshot};
use repository::Object;
use repository::log::fold::{LogState, segment_name};

use crate::content::{Tables, bits};
use crate::entries::{Committed, Slot};
use crate::invariants::{Verdict, demand};
use crate::world::World;

/// No snapshot refers to what was noted as damaged before it, and none was begun before an entry that it may not step over.
pub(crate) fn of_what_is_noted(world: &World) -> Verdict {
    let opened = world.slots().filter_map(Slot::opens);
    opened.filter_map(|seen| Some((seen, snapshot(seen)?))).try_for_each(|(seen, snapshot)| {
        refers_to_nothing_noted(world, seen, snapshot)?;
        let began = u64::try_from(snapshot.started_ms).expect("a number");
        let mut between = seen.line().skip(1).take_while(|one| one.number() > began);
        let passed = between.find(|one| matches!(one.kind(), Some(Kind::Damaged(_) | Kind::Reset(_))));
        demand(passed.is_none(), || {
            let passed = passed.map_or(0, Committed::number);
            format!("snapshot {} went behind entry {passed} although it was begun before", seen.number())
        })
    })
}

fn refers_to_nothing_noted(world: &World, seen: &Committed, snapshot: &Snapshot) -> Verdict {
    let noted = noted_before(seen);
    // What came back with a copy is whole again.
    let is_noted = |object: &Object| noted.get(object).filter(|_| world.harm.lost.contains(object));
    for name in snapshot.segments.iter().filter_map(segment_name) {
        let segment = world.segments().get(&name);
        let packs = segment.into_iter().flat_map(|segment| segment.packs()).map(Object::Pack);
        for object in packs.chain([Object::Segment(name)]) {
            if let Some(entry) = is_noted(&object) {
                let (number, object) = (seen.number(), object.relative());
                return Err(format!(
                    "snapshot {number} refers to {object}, noted as damaged by entry {entry}"
                ));
            }
        }
    }
    Ok(())
}

/// Everything that was noted on the way to this entry, with the first entry that did.
fn noted_before(seen: &Committed) -> BTreeMap<Object, u64> {
    let mut noted = BTreeMap::new();
    for one in seen.line().skip(1) {
        if let Some(Kind::Damaged(damaged)) = one.kind() {
            let objects = damaged.objects.iter().filter_map(|name| Object::parse(name));
            noted.extend(objects.map(|object| (object, one.number())));
        }
    }
    noted
}

/// What cannot be read of a kept snapshot was lost by the store, not by anybody who works with it. Kept are those, too, whose
/// entries nobody can read any more.
pub(crate) fn of_what_is_kept(world: &World) -> Verdict {
    let Some(tip) = world.slots().next_back() else { return Ok(()) };
    let mut line: Vec<&Committed> = tip.created().line().collect();
    line.reverse();
    let mut state = LogState::default();
    for one in line.iter().filter(|one| one.number() > 0) {
        let carries_all = match one.kind() {
            Some(Kind::Checkpoint(checkpoint)) => *checkpoint == state.checkpoint(),
            _ => true,
        };
        demand(carries_all, || {
            format!("checkpoint {} is not what the entries before add up to", one.number())
        })?;
        state.apply(&one.entry);
    }
    state.snapshots.iter().try_for_each(|(number, snapshot)| {
        is_whole_but_for_losses(world, &snapshot.segments, snapshot.emails)
            .map_err(|what| format!("snapshot {number}: {what}"))
    })
}

fn is_whole_but_for_losses(world: &World, segments: &[SegmentRef], emails: u64) -> Verdict {
    let lost = &world.harm.lost;
    for name in segments.iter().filter_map(segment_name) {
        let is_there = world.segments().contains_key(&name);
        demand(is_there || lost.contains(&Object::Segment(name)), || {
            format!("segment {name} is missing and not lost")
        })?;
    }
    let Some(tables) = Tables::read(world, segments) else { return Ok(()) };
    demand(emails == u64::from(tables.emails), || {
        format!("it holds {:#b} instead of {emails:#b}", tables.emails)
    })?;
    bits(tables.emails).try_for_each(|email| {
        let pack = tables.blobs.get(&email).ok_or_else(|| format!("no row tells where email {email} is"))?;
        let is_there = world.packs().get(pack).is_some_and(|blobs| blobs & (1 << email) != 0);
        demand(is_there || lost.contains(&Object::Pack(*pack)), || {
            format!("pack {pack} is missing and not lost")
        })
    })
}

fn snapshot(seen: &Committed) -> Option<&Snapshot> {
    match seen.kind() {
        Some(Kind::Snapshot(snapshot)) => Some(snapshot),
        _ => None,
    }
}
