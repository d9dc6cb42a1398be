//! The log's rules as pure functions: what a state is, what an entry does to it, who may commit, what is reachable.
//!
//! Everything that decides is here, so that the exhaustive model in `tests/log_protocol.rs` walks through the very
//! functions that the program runs.

use std::collections::{BTreeMap, BTreeSet};

use proto::repository::log_entry::Kind;
use proto::repository::{
    Checkpoint, Condemn, Forget, Head, LogEntry, NumberedCondemn, NumberedProgress, NumberedSnapshot, Progress,
    SegmentRef, Snapshot,
};

use crate::layout::{Object, ObjectName};

/// What all entries up to `number` add up to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LogState {
    /// Number of the newest entry.
    pub number: u64,
    /// What the newest entry says of itself and of those before.
    pub head: Head,
    /// Snapshots that are not forgotten, their segments as last rewritten.
    pub snapshots: BTreeMap<u64, Snapshot>,
    /// Condemnations that are not swept, with the time they were written (Unix milliseconds).
    pub condemns: BTreeMap<u64, (i64, Condemn)>,
    /// The live progress chain, oldest first.
    pub progress: Vec<(u64, Progress)>,
}

impl LogState {
    /// Adds the next entry. A checkpoint replaces everything but the head by what it carries.
    pub fn apply(&mut self, entry: &LogEntry) {
        self.number = entry.number;
        self.head = entry.head.clone().unwrap_or_default();
        match entry.kind.as_ref() {
            Some(Kind::Snapshot(snapshot)) => {
                self.snapshots.insert(entry.number, snapshot.clone());
                self.progress.clear();
            }
            Some(Kind::Progress(progress)) => {
                if progress.previous == 0 {
                    self.progress.clear();
                }
                self.progress.push((entry.number, progress.clone()));
            }
            Some(Kind::Forget(forget)) => self.forget(forget),
            Some(Kind::Condemn(condemn)) => self.condemn(entry, condemn),
            Some(Kind::Swept(swept)) => {
                self.condemns.remove(&swept.condemn);
            }
            Some(Kind::Checkpoint(checkpoint)) => self.replace(checkpoint),
            Some(Kind::Erased(_)) => {
                self.snapshots.clear();
                self.progress.clear();
            }
            Some(Kind::Init(_)) | None => {}
        }
    }

    fn forget(&mut self, forget: &Forget) {
        self.snapshots.retain(|number, _| !forget.snapshots.contains(number));
        if forget.progress {
            self.progress.clear();
        }
    }

    fn condemn(&mut self, entry: &LogEntry, condemn: &Condemn) {
        for replacement in &condemn.replacements {
            if let Some(snapshot) = self.snapshots.get_mut(&replacement.snapshot) {
                snapshot.segments.clone_from(&replacement.segments);
            }
        }
        self.condemns.insert(entry.number, (entry.written_ms, condemn.clone()));
    }

    fn replace(&mut self, checkpoint: &Checkpoint) {
        self.snapshots =
            checkpoint.snapshots.iter().filter_map(|s| Some((s.number, s.snapshot.clone()?))).collect();
        self.condemns =
            checkpoint.condemns.iter().filter_map(|c| Some((c.number, (c.written_ms, c.condemn.clone()?)))).collect();
        self.progress = checkpoint.progress.iter().filter_map(|p| Some((p.number, p.progress.clone()?))).collect();
    }

    /// The checkpoint that stands for this state.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            snapshots: self
                .snapshots
                .iter()
                .map(|(number, s)| NumberedSnapshot { number: *number, snapshot: Some(s.clone()) })
                .collect(),
            condemns: self
                .condemns
                .iter()
                .map(|(number, (written_ms, c))| NumberedCondemn {
                    number: *number,
                    written_ms: *written_ms,
                    condemn: Some(c.clone()),
                })
                .collect(),
            progress: self
                .progress
                .iter()
                .map(|(number, p)| NumberedProgress { number: *number, progress: Some(p.clone()) })
                .collect(),
        }
    }

    /// Every segment that a kept snapshot or the live progress chain is made of. What is reachable are these segments and
    /// the packs that their footers name.
    pub fn roots(&self) -> BTreeSet<ObjectName> {
        let snapshots = self.snapshots.values().flat_map(|s| &s.segments);
        let progress = self.progress.iter().flat_map(|(_, p)| &p.segments);
        snapshots.chain(progress).filter_map(segment_name).collect()
    }
}

/// The object a reference names; `None` when it is malformed.
pub fn segment_name(segment: &SegmentRef) -> Option<ObjectName> {
    ObjectName::from_slice(&segment.name)
}

/// The head of the entry `number` that does `kind` after an entry with head `before`.
pub fn next_head(before: &Head, number: u64, kind: &Kind) -> Head {
    let mut head = before.clone();
    match kind {
        Kind::Snapshot(snapshot) => {
            head.snapshot = number;
            head.rewritten = 0;
            head.progress = 0;
            head.highest_backup_number = head.highest_backup_number.max(snapshot.backup_number);
        }
        Kind::Progress(_) => head.progress = number,
        Kind::Forget(forget) if forget.progress => head.progress = 0,
        Kind::Condemn(condemn) => {
            head.condemns.push(number);
            if condemn.replacements.iter().any(|r| r.snapshot == head.snapshot) {
                head.rewritten = number;
            }
        }
        Kind::Swept(swept) => head.condemns.retain(|condemn| *condemn != swept.condemn),
        Kind::Erased(_) => head = Head { erased: true, ..Head::default() },
        Kind::Checkpoint(_) => head.checkpoint = number,
        Kind::Init(_) | Kind::Forget(_) => {}
    }
    head
}

/// What a writer whose entry number was taken may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rebase {
    /// The entry in between does not touch what ours builds on: take the next number.
    Next,
    /// Ours builds on something that is no longer so: start again from the newest entry, or give up.
    Lost,
    /// The mailbox was erased: stop for good.
    Erased,
}

/// May an entry that was made for the place of `found` go behind it? `uses` is every pack and segment that ours refers to.
///
/// Only snapshots and slices call this; forget, condemn, sweep, erase and checkpoint always start again.
pub fn rebase(found: &LogEntry, uses: &BTreeSet<Object>) -> Rebase {
    match found.kind.as_ref() {
        Some(Kind::Checkpoint(_) | Kind::Swept(_)) => Rebase::Next,
        Some(Kind::Forget(forget)) if !forget.progress => Rebase::Next,
        Some(Kind::Condemn(condemn)) => {
            let doomed = condemn.objects.iter().filter_map(|name| Object::parse(name));
            if condemn.replacements.is_empty() && doomed.into_iter().all(|object| !uses.contains(&object)) {
                Rebase::Next
            } else {
                Rebase::Lost
            }
        }
        Some(Kind::Erased(_)) => Rebase::Erased,
        Some(Kind::Init(_) | Kind::Snapshot(_) | Kind::Progress(_) | Kind::Forget(_)) | None => Rebase::Lost,
    }
}

/// Why snapshots may not be forgotten, or nothing: the newest one is what the next backup grows from.
pub fn may_forget(state: &LogState, forget: &Forget) -> bool {
    !forget.snapshots.contains(&state.head.snapshot)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(segment: u8) -> Kind {
        let segments = vec![SegmentRef { name: vec![segment; 16].into(), ..SegmentRef::default() }];
        Kind::Snapshot(Snapshot { segments, ..Snapshot::default() })
    }

    fn state_after(kinds: Vec<Kind>) -> LogState {
        let mut state = LogState::default();
        for kind in kinds {
            let number = state.number + 1;
            let head = next_head(&state.head, number, &kind);
            state.apply(&LogEntry { number, head: Some(head), kind: Some(kind), ..LogEntry::default() });
        }
        state
    }

    #[test]
    fn a_checkpoint_stands_for_everything_before_it() {
        let condemn = Kind::Condemn(Condemn { objects: vec!["packs/x".to_owned()], ..Condemn::default() });
        let forget = Kind::Forget(Forget { snapshots: vec![1], progress: false });
        let before = state_after(vec![snapshot(1), snapshot(2), forget, condemn]);
        let kind = Kind::Checkpoint(before.checkpoint());
        let head = next_head(&before.head, 5, &kind);
        let entry = LogEntry { number: 5, head: Some(head), kind: Some(kind), ..LogEntry::default() };
        let mut fresh = LogState::default();
        fresh.apply(&entry);
        let mut folded = before;
        folded.apply(&entry);
        assert_eq!(fresh, folded);
        assert_eq!(fresh.roots().len(), 1);
    }

    #[test]
    fn a_writer_may_go_behind_a_condemnation_only_if_it_uses_nothing_doomed() {
        let doomed = Object::Pack(ObjectName([1; 16]));
        let condemn = Condemn { objects: vec![doomed.relative()], ..Condemn::default() };
        let found = LogEntry { kind: Some(Kind::Condemn(condemn)), ..LogEntry::default() };
        let other = Object::Pack(ObjectName([2; 16]));
        assert_eq!(rebase(&found, &BTreeSet::from([other])), Rebase::Next);
        assert_eq!(rebase(&found, &BTreeSet::from([other, doomed])), Rebase::Lost);
    }

    #[test]
    fn the_newest_snapshot_is_not_forgotten() {
        let state = state_after(vec![snapshot(1), snapshot(2)]);
        assert!(may_forget(&state, &Forget { snapshots: vec![1], progress: false }));
        assert!(!may_forget(&state, &Forget { snapshots: vec![2], progress: false }));
    }
}
