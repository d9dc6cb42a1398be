//! Whether a log is one history with what is remembered of it, judged by what was created behind what. Processes do not
//! see that: how they find out is in `reading`.

use std::collections::BTreeMap;

use proto::repository::log_entry::Kind;

use crate::entries::{Committed, Position, Slot};
use crate::world::World;

/// Is `tip` the end of the log, and is the log up to there what grew from what is remembered? Where it is not, somebody has
/// accepted that.
pub(crate) fn continues(world: &World, memory: Option<Position>, tip: &Slot) -> bool {
    if world.slots().next_back().is_some_and(|last| last.number() > tip.number()) {
        return false;
    }
    let Some(memory) = memory else { return true };
    let line: BTreeMap<u64, &Committed> = tip.created().line().map(|one| (one.number(), one)).collect();
    let resets = line.values().filter_map(|one| match one.kind() {
        Some(Kind::Reset(reset)) => Some(reset.found),
        _ => None,
    });
    let accepted = resets.max().unwrap_or_default();
    // What is remembered may be an entry as it was after it broke.
    let broken = world.slot(memory.number).filter(|slot| slot.position() == memory).map(Slot::created);
    let is_it = |one: &&Committed| one.is_at(memory) || broken.is_some_and(|broken| one.was(broken));
    let is_remembered = line.get(&memory.number).is_some_and(is_it);
    // Every entry in between is the one that the next was written behind.
    let is_one = |number: u64| match (world.slot(number), line.get(&number)) {
        (Some(Slot::Opens(seen)), Some(one)) => one.was(seen),
        _ => true,
    };
    (is_remembered || memory.number <= accepted) && (memory.number.max(accepted)..tip.number()).all(is_one)
}
