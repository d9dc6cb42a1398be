//! How the log is read: its end from what is remembered, the fold, the base of the next snapshot. As `Journal` and
//! `begin_snapshot` do it, in one step each.

use std::collections::BTreeSet;
use std::rc::Rc;

use proto::repository::log_entry::Kind;
use proto::repository::{Head, Progress, SegmentRef};
use repository::log::fold::{LogState, newest_segments, segment_name};
use repository::{HistoryFault, Object, ObjectName};

use crate::entries::{Committed, Position, Seen, Slot};
use crate::rules::{Flaw, Rules};
use crate::world::World;
use crate::writer::Stop;

/// The state that a log adds up to, as far as it can be read.
#[derive(Default)]
struct Folded {
    state: LogState,
    unreadable: BTreeSet<u64>,
}

/// What the next snapshot may grow from.
#[derive(Clone, Hash)]
pub(crate) struct Base {
    /// Number of the newest snapshot that can be read; 0: there is none.
    pub(crate) snapshot: u64,
    /// Its segments and those of the live slices behind it, oldest first.
    pub(crate) segments: Vec<ObjectName>,
    pub(crate) has_slices: bool,
    /// The log could not be read as its newest entry says.
    pub(crate) is_doubtful: bool,
    /// What is known to be missing or damaged.
    pub(crate) damaged: BTreeSet<Object>,
}

impl Slot {
    fn kind(&self) -> Option<&Kind> {
        self.opens()?.kind()
    }

    /// Was this entry written behind another one than `before`?
    fn contradicts(&self, before: &Slot) -> bool {
        let Some(seen) = self.opens().filter(|_| before.opens().is_some()) else { return false };
        let previous = &seen.entry.previous;
        before.number() + 1 == self.number()
            && !previous.is_empty()
            && previous.as_ref() != before.position().digest
    }
}

impl World {
    /// The end of the log; `None`: it has not begun.
    pub(crate) fn tip(&self, memory: Option<Position>, rules: Rules) -> Result<Option<Slot>, HistoryFault> {
        let start = match memory.filter(|_| !rules.broken(Flaw::IgnoresMemory)) {
            Some(memory) => self.remembered(memory, rules)?,
            None => self.slots().next_back(),
        };
        start.map(|start| self.walk(start, rules)).transpose()
    }

    fn remembered(&self, memory: Position, rules: Rules) -> Result<Option<&Slot>, HistoryFault> {
        if let Some(found) = self.slot(memory.number) {
            let is_it = found.position() == memory || found.opens().is_none();
            let is_it = is_it || rules.broken(Flaw::IgnoresFork);
            return if is_it { Ok(Some(found)) } else { Err(HistoryFault::Forked) };
        }
        let last = self.slots().next_back();
        // The remembered entry alone is missing: that is damage, not another history.
        let goes_on = last.is_some_and(|last| last.number() > memory.number);
        let goes_on = goes_on || rules.broken(Flaw::IgnoresRollback);
        if goes_on { Ok(last) } else { Err(HistoryFault::RolledBack) }
    }

    fn walk(&self, start: &Slot, rules: Rules) -> Result<Slot, HistoryFault> {
        let (mut last, mut accepted, mut broken) = (start, 0, 0);
        while let Some(next) = self.next(last.number(), rules) {
            if next.contradicts(last) && !rules.broken(Flaw::IgnoresPrevious) {
                broken = next.number();
            }
            if let Some(Kind::Reset(reset)) = next.kind() {
                accepted = accepted.max(reset.found);
            }
            last = next;
        }
        if broken > accepted { Err(HistoryFault::Merged) } else { Ok(last.clone()) }
    }

    /// The entry behind this number. One that is missing is stepped over.
    fn next(&self, number: u64, rules: Rules) -> Option<&Slot> {
        let beyond = || self.slot(number + 2).filter(|_| !rules.broken(Flaw::WalksIntoHoles));
        self.slot(number + 1).or_else(beyond)
    }

    fn readable_before(&self, number: u64) -> Option<Seen> {
        (1..number).rev().find_map(|number| self.read(number))
    }

    fn head(&self, tip: &Slot) -> Head {
        let read = tip.opens().cloned().or_else(|| self.readable_before(tip.number()));
        read.and_then(|seen| seen.entry.head.clone()).unwrap_or_default()
    }

    fn fold(&self, tip: &Slot) -> Result<Folded, HistoryFault> {
        let checkpoint = self.head(tip).checkpoint;
        let start = if self.read(checkpoint).is_some() { checkpoint } else { 1 };
        let (mut folded, mut before, mut broken) = (Folded::default(), None::<&Slot>, 0);
        for number in start..=tip.number() {
            let found = self.slot(number);
            if let (Some(found), Some(before)) = (found, before)
                && found.contradicts(before)
            {
                broken = number;
            }
            match found.and_then(Slot::opens) {
                Some(seen) => {
                    let checkpoint = seen.entry.head.as_ref().map_or(0, |head| head.checkpoint);
                    folded.unreadable.remove(&checkpoint);
                    folded.state.apply(&seen.entry);
                }
                None => _ = folded.unreadable.insert(number),
            }
            before = found;
        }
        if broken > folded.state.reset { Err(HistoryFault::Merged) } else { Ok(folded) }
    }

    /// This end of the log with everything that can be read up to it.
    pub(crate) fn view(&self, tip: &Slot) -> Seen {
        if let Some(seen) = tip.opens().filter(|_| !self.is_torn()) {
            return seen.clone();
        }
        let folded = self.fold(tip);
        let is_torn = folded.as_ref().map_or(true, |folded| !folded.unreadable.is_empty());
        let mut state = folded.unwrap_or_default().state;
        state.head = self.head(tip);
        tip.read_as(state, is_torn)
    }

    /// The newest entry for who remembers nothing; number 0 stands for a log that has not begun.
    pub(crate) fn newest(&self) -> Seen {
        self.slots().next_back().map_or_else(Committed::nothing, |tip| self.view(tip))
    }

    /// What the next snapshot may grow from; of slices only those of this job, if one is named.
    pub(crate) fn base(&self, tip: &Slot, job: Option<&str>, rules: Rules) -> Result<Base, Stop> {
        let head = self.head(tip);
        let named = tip.opens().and_then(|newest| Some((self.by_head(newest)?, self.slices(&head)?)));
        let is_doubtful = named.is_none();
        let ((snapshot, mut segments), mut slices) = match named {
            Some(named) => named,
            None => {
                let state = self.fold(tip).map_err(|_| Stop::History)?.state;
                let newest = state.snapshots.last_key_value();
                let newest = newest.map_or((0, Vec::new()), |(number, s)| (*number, s.segments.clone()));
                let slices = tip.opens().and_then(|_| self.slices(&head)).unwrap_or_default();
                (newest, slices)
            }
        };
        slices.retain(|slice| job.is_none_or(|job| slice.job == job));
        let has_slices = !slices.is_empty();
        segments.extend(slices.into_iter().flat_map(|slice| slice.segments));
        let noted = self.damaged_by(&head);
        if noted.is_none() && rules.broken(Flaw::StopsWithoutNote) && self.read(head.damaged).is_some() {
            return Err(Stop::Corrupt);
        }
        let is_doubtful = is_doubtful || (noted.is_none() && !rules.broken(Flaw::NoLostNote));
        let segments = segments.iter().filter_map(segment_name).collect();
        let damaged = noted.unwrap_or_default();
        Ok(Base { snapshot, segments, has_slices, is_doubtful, damaged })
    }

    /// The newest snapshot from the newest entry and at most two that its head names.
    fn by_head(&self, newest: &Committed) -> Option<(u64, Vec<SegmentRef>)> {
        let head = newest.entry.head.clone().unwrap_or_default();
        let number = head.snapshot;
        if number == 0 {
            return Some((0, Vec::new()));
        }
        if let Some(Kind::Checkpoint(checkpoint)) = newest.kind() {
            let kept = checkpoint.snapshots.iter().find(|kept| kept.number == number);
            if let Some(snapshot) = kept.and_then(|kept| kept.snapshot.as_ref()) {
                return Some((number, snapshot.segments.clone()));
            }
        }
        let made = self.read(number)?;
        let rewritten = match head.rewritten {
            0 => None,
            rewritten => Some(self.read(rewritten)?),
        };
        let segments = newest_segments(&made.entry, rewritten.as_ref().map(|seen| &seen.entry))?;
        Some((number, segments.to_vec()))
    }

    /// The live slices, oldest first.
    fn slices(&self, head: &Head) -> Option<Vec<Progress>> {
        let (mut slices, mut number) = (Vec::new(), head.progress);
        while number > 0 {
            let seen = self.read(number)?;
            let Some(Kind::Progress(slice)) = seen.kind() else { return None };
            if slice.base != head.snapshot || slice.previous >= number {
                return None;
            }
            number = slice.previous;
            slices.insert(0, slice.clone());
        }
        Some(slices)
    }

    /// What the newest *Damaged* entry names; `None`: it does not open, or another entry stands in its place.
    pub(crate) fn damaged_by(&self, head: &Head) -> Option<BTreeSet<Object>> {
        if head.damaged == 0 {
            return Some(BTreeSet::new());
        }
        match self.read(head.damaged)?.kind() {
            Some(Kind::Damaged(damaged)) => {
                Some(damaged.objects.iter().filter_map(|name| Object::parse(name)).collect())
            }
            _ => None,
        }
    }

    /// What is known to be damaged at this end of the log.
    pub(crate) fn known_damage(&self, tip: &Slot) -> BTreeSet<Object> {
        self.damaged_by(&self.head(tip)).unwrap_or_default()
    }
}

/// How closely the objects of a base are looked at.
#[derive(Debug, Clone, Copy, Hash, PartialEq, Eq)]
pub(crate) enum Look {
    /// Are they there?
    Listing,
    /// Do they open, too?
    Bytes,
}

/// Those of these segments, and of the packs that they name, which are missing or damaged.
pub(crate) fn damage(world: &World, segments: &[ObjectName], look: Look) -> Rc<BTreeSet<Object>> {
    let mut damaged = BTreeSet::new();
    for name in segments {
        let Some(segment) = world.segments().get(name) else {
            damaged.insert(Object::Segment(*name));
            continue;
        };
        for (blob, pack) in &segment.blobs {
            let holds = world.packs().get(pack).map(|blobs| blobs & (1 << blob) != 0);
            if holds.is_none() || (look == Look::Bytes && holds == Some(false)) {
                damaged.insert(Object::Pack(*pack));
            }
        }
    }
    Rc::new(damaged)
}
