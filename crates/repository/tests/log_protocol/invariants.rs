//! What must be true in every state.

use std::collections::BTreeSet;

use proto::repository::log_entry::Kind;
use proto::repository::{LogEntry, SegmentRef, Snapshot};
use repository::Object;
use repository::log::fold::{LogState, newest_segments};
use repository::log::prune_rules::{pinned, reachable};

use crate::content::Tables;
use crate::entries::{Seen, Slot};
use crate::process::Process;
use crate::reader::Reader;
use crate::rules::{Flaw, Rules};
use crate::soundness;
use crate::world::World;
use crate::writer::{Stop, Writer};

/// `Err` says in words what is wrong.
pub(crate) type Verdict = Result<(), String>;

pub(crate) fn demand(holds: bool, otherwise: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// What depends on the store.
pub(crate) fn of_the_store(world: &World) -> Verdict {
    soundness::of_what_is_noted(world)?;
    if !world.harm.is_none() {
        return soundness::of_what_is_kept(world);
    }
    let newest = world.newest();
    if newest.head().erased {
        return Ok(());
    }
    let opens = world.created.first().is_none_or(|first| world.opens(first));
    demand(opens, || "no copy of the key is left".to_owned())?;
    let footers = world.footers();
    let needed =
        reachable(&newest.state, &footers).map_err(|s| format!("segment {s} is reachable and missing"))?;
    for object in &needed {
        demand(world.holds(object), || format!("{} is reachable and missing", object.relative()))?;
    }
    for (number, snapshot) in &newest.state.snapshots {
        is_whole(world, &snapshot.segments, Some(snapshot.emails))
            .map_err(|e| format!("snapshot {number}: {e}"))?;
    }
    if let Some((_, last)) = newest.state.progress.last() {
        let base = newest.state.snapshots.get(&last.base).map(|s| s.segments.clone()).unwrap_or_default();
        let slices = newest.state.progress.iter().flat_map(|(_, slice)| slice.segments.clone());
        let segments: Vec<SegmentRef> = base.into_iter().chain(slices).collect();
        is_whole(world, &segments, None).map_err(|e| format!("the progress chain: {e}"))?;
    }
    Ok(())
}

pub(crate) fn is_whole(world: &World, segments: &[SegmentRef], emails: Option<u64>) -> Verdict {
    let tables = Tables::read(world, segments).ok_or("a segment is missing")?;
    let unreadable = tables.unreadable(world.packs());
    demand(unreadable == 0, || format!("emails {unreadable:#b} cannot be read"))?;
    let emails = emails.unwrap_or(tables.emails.into());
    demand(emails == u64::from(tables.emails), || {
        format!("it holds {:#b} instead of {emails:#b}", tables.emails)
    })
}

/// What depends on the processes.
pub(crate) fn of_the_processes(world: &World) -> Verdict {
    world.everybody().try_for_each(|process| match process {
        Process::Writer(writer) => of_a_writer(world, writer),
        Process::Reader(reader) => of_a_reader(world, reader),
        Process::Eraser(eraser) if eraser.is_done() => of_an_erasure(world),
        _ => Ok(()),
    })
}

/// What is announced stands in the log; what stands in the log is not given up. Who got no answer says just that.
fn of_a_writer(world: &World, writer: &Writer) -> Verdict {
    if let Some(seen) = writer.announced().filter(|_| !world.harm.log) {
        let there = world.read(seen.number()).is_some_and(|found| found.is(seen));
        demand(there, || format!("entry {} was announced and is not in the log", seen.number()))?;
    }
    // An entry that broke under its reader may hide what the next one says: that is refused, and safe.
    let is_refused = writer.stopped() == Some(Stop::Refused) && !world.harm.log;
    demand(!is_refused, || "a writer made a refused entry".to_owned())?;
    let signature = writer.signature();
    let committed = |seen: &Seen| seen.entry.writer == signature && snapshot(&seen.entry).is_some();
    let says_no = writer.stopped().is_some_and(|stop| stop != Stop::Unknown);
    let lied = says_no && world.slots().filter_map(Slot::opens).any(committed);
    demand(!lied, || format!("{signature} gave up and its snapshot is in the log"))?;
    demand(!writer.has_misread(), || {
        format!("{signature} went on from what is no continuation of what it remembers")
    })
}

fn of_a_reader(world: &World, reader: &Reader) -> Verdict {
    if let Some(what) = reader.missed() {
        return Err(format!("a reader missed {what}"));
    }
    let Some(pin) = reader.valid_pin().filter(|_| !world.newest().head().erased) else { return Ok(()) };
    let segments = pin.segments.iter().copied().map(Object::Segment);
    let needed = pinned(std::slice::from_ref(pin), &world.footers()).into_iter().chain(segments);
    let missing: Vec<String> = needed.filter(|o| !world.holds(o)).map(|o| o.relative()).collect();
    demand(missing.is_empty(), || format!("pinned and missing: {missing:?}"))
}

/// A rewrapping under way may still have to take back its copy.
fn of_an_erasure(world: &World) -> Verdict {
    let unsure = world.everybody().any(|process| matches!(process, Process::Rewrapper(r) if r.is_unsure()));
    let opens = world.created.first().is_some_and(|first| world.opens(first));
    demand(unsure || !opens, || "the key is there after the erasure".to_owned())
}

fn snapshot(entry: &LogEntry) -> Option<&Snapshot> {
    match &entry.kind {
        Some(Kind::Snapshot(snapshot)) => Some(snapshot),
        _ => None,
    }
}

/// What depends on the log alone.
pub(crate) fn of_the_log(world: &World, rules: Rules) -> Verdict {
    if world.harm.log {
        return Ok(());
    }
    let numbers: Vec<u64> = world.created.iter().map(|seen| seen.number()).collect();
    demand(numbers.iter().copied().eq(1..=numbers.len() as u64), || {
        format!("entries are numbered {numbers:?}")
    })?;
    let (mut backups, mut slots, mut highest, mut newest_kept) = (BTreeSet::new(), BTreeSet::new(), 0, 0);
    let mut erased = false;
    for seen in world.created.iter() {
        demand(!erased, || format!("entry {} stands behind the erasure", seen.number()))?;
        erased = seen.head().erased;
        if let Some(snapshot) = snapshot(&seen.entry) {
            let number = snapshot.backup_number;
            demand(backups.insert(number), || format!("backup number {number} is taken twice"))?;
            demand(slots.insert(&snapshot.slot), || format!("slot {} is backed up twice", snapshot.slot))?;
            let base = snapshot.base;
            demand(base == newest_kept, || {
                format!("a snapshot grew from {base} and not from {newest_kept}")
            })?;
        }
        demand(highest <= seen.head().highest_backup_number, || {
            "the highest backup number went back".to_owned()
        })?;
        highest = seen.head().highest_backup_number;
        newest_kept = seen.head().snapshot;
    }
    demand(backups.last().is_none_or(|last| *last == highest), || {
        format!("the highest number is not {highest}")
    })?;
    let Some(newest) = world.created.last() else { return Ok(()) };
    if !rules.broken(Flaw::DeletesEntries) {
        every_way_to_read_agrees(world, newest)?;
    }
    Ok(())
}

/// The full fold, the fold from the checkpoint, and what the head alone tells.
fn every_way_to_read_agrees(world: &World, newest: &Seen) -> Verdict {
    let head = newest.head();
    let from = usize::try_from(head.checkpoint.max(1) - 1).expect("a small number");
    let mut short = LogState::default();
    world.created[from..].iter().for_each(|seen| short.apply(&seen.entry));
    let state = &newest.state;
    demand(short == *state, || format!("from its checkpoint the log is {short:?}, in full {state:?}"))?;
    let newest_kept = state.snapshots.keys().next_back().copied().unwrap_or_default();
    demand(head.snapshot == newest_kept, || {
        format!("the head names snapshot {}, not {newest_kept}", head.snapshot)
    })?;
    demand(head.condemns.iter().eq(state.condemns.keys()), || {
        format!("the head names condemns {:?}", head.condemns)
    })?;
    demand((head.damaged == 0) == state.damaged.is_empty(), || {
        format!("the head names entry {} for {:?}", head.damaged, state.damaged)
    })?;
    let entry = |number: u64| world.read(number).map(|seen| seen.entry.clone());
    if let Some(snapshot) = entry(head.snapshot) {
        let segments = state.snapshots[&head.snapshot].segments.as_slice();
        let rewritten = entry(head.rewritten);
        let by_head = newest_segments(&snapshot, rewritten.as_ref());
        demand(by_head == Some(segments), || format!("by the head the newest segments are {by_head:?}"))?;
    }
    let mut chain = Vec::new();
    let mut at = head.progress;
    while let Some(LogEntry { kind: Some(Kind::Progress(slice)), number, .. }) = entry(at) {
        at = slice.previous;
        demand(slice.base == head.snapshot, || format!("slice {number} grew from another base"))?;
        chain.insert(0, (number, slice));
    }
    demand(chain == state.progress && at == 0, || format!("by the head the chain is {chain:?}"))
}
