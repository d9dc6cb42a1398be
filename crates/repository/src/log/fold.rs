//! The log's rules as pure functions: what a state is, what an entry does to it, who may commit, what is reachable.
//!
//! Everything that decides is here and in `prune_rules`, so that the exhaustive model in `tests/log_protocol` walks through
//! the very functions that the program runs.

use std::collections::{BTreeMap, BTreeSet};

use proto::repository::log_entry::Kind;
use proto::repository::{
    Checkpoint, Condemn, Forget, Head, LogEntry, NumberedCondemn, NumberedProgress, NumberedSnapshot,
    Progress, Replacement, SegmentRef, Snapshot,
};

use crate::storage::layout::{Object, ObjectName};

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
    /// Packs and segments that are known to be missing or damaged.
    pub damaged: BTreeSet<Object>,
    /// Digests of entries up to this number need not fit: an operator accepted the history as it is.
    pub reset: u64,
}

impl LogState {
    /// Adds the next entry. A checkpoint replaces everything but the head by what it carries.
    pub fn apply(&mut self, entry: &LogEntry) {
        self.number = entry.number;
        self.head = entry.head.clone().unwrap_or_default();
        match entry.kind.as_ref() {
            Some(Kind::Snapshot(snapshot)) => {
                if let Some(mut older) = self.snapshots.last_entry() {
                    older.get_mut().types.iter_mut().for_each(|known| known.recent.clear());
                }
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
                self.condemns.clear();
                self.progress.clear();
                self.damaged.clear();
            }
            Some(Kind::Damaged(damaged)) => self.damaged = objects(&damaged.objects),
            Some(Kind::Reset(reset)) => self.reset = self.reset.max(reset.found),
            Some(Kind::Init(_) | Kind::Upgrade(_)) | None => {}
        }
    }

    fn forget(&mut self, forget: &Forget) {
        self.snapshots.retain(|number, _| !forget.snapshots.contains(number));
        if forget.progress {
            self.progress.clear();
        }
    }

    fn condemn(&mut self, entry: &LogEntry, condemn: &Condemn) {
        self.replace_segments(&condemn.replacements);
        self.condemns.insert(entry.number, (entry.written_ms, condemn.clone()));
    }

    pub(crate) fn replace_segments(&mut self, replacements: &[Replacement]) {
        for replacement in replacements {
            if let Some(snapshot) = self.snapshots.get_mut(&replacement.snapshot) {
                snapshot.segments.clone_from(&replacement.segments);
            }
        }
    }

    fn replace(&mut self, checkpoint: &Checkpoint) {
        self.snapshots =
            checkpoint.snapshots.iter().filter_map(|s| Some((s.number, s.snapshot.clone()?))).collect();
        self.condemns = checkpoint
            .condemns
            .iter()
            .filter_map(|c| Some((c.number, (c.written_ms, c.condemn.clone()?))))
            .collect();
        self.progress =
            checkpoint.progress.iter().filter_map(|p| Some((p.number, p.progress.clone()?))).collect();
        self.damaged = objects(&checkpoint.damaged);
        self.reset = checkpoint.reset;
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
            damaged: self.damaged.iter().map(Object::relative).collect(),
            reset: self.reset,
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

/// The objects of these names; a name that no object can have is left out.
pub(crate) fn objects(names: &[String]) -> BTreeSet<Object> {
    names.iter().filter_map(|name| Object::parse(name)).collect()
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
        Kind::Erased(_) => {
            head = Head {
                erased: true,
                checkpoint: before.checkpoint,
                highest_backup_number: before.highest_backup_number,
                ..Head::default()
            }
        }
        Kind::Checkpoint(_) => head.checkpoint = number,
        Kind::Damaged(damaged) => head.damaged = if damaged.objects.is_empty() { 0 } else { number },
        Kind::Init(_) | Kind::Forget(_) | Kind::Reset(_) | Kind::Upgrade(_) => {}
    }
    head
}

/// May `kind` be the entry behind entry `number` (0: the log has not begun) with head `before`?
///
/// Everybody who appends asks this of the entry that was read last. What it refuses is a defect of the caller or a change
/// that came in between; it is never worth a second try at the next number.
pub fn may_follow(number: u64, before: &Head, kind: &Kind) -> bool {
    if before.erased || (number == 0) != matches!(kind, Kind::Init(_)) {
        return false;
    }
    match kind {
        Kind::Snapshot(snapshot) => snapshot.base == 0 || snapshot.base == before.snapshot,
        Kind::Progress(progress) => {
            progress.base == before.snapshot
                && (progress.previous == 0 || progress.previous == before.progress)
        }
        // The newest snapshot is what the next backup grows from.
        Kind::Forget(forget) => !forget.snapshots.contains(&before.snapshot),
        // A live chain's rows may point to blobs that only its base's old segments name.
        Kind::Condemn(condemn) => {
            before.progress == 0 || condemn.replacements.iter().all(|r| r.snapshot != before.snapshot)
        }
        Kind::Swept(swept) => before.condemns.contains(&swept.condemn),
        Kind::Init(_)
        | Kind::Erased(_)
        | Kind::Checkpoint(_)
        | Kind::Damaged(_)
        | Kind::Reset(_)
        | Kind::Upgrade(_) => true,
    }
}

/// The segments of the newest snapshot for a reader that does not fold the log: from the entry that `Head.snapshot` names
/// and, if `Head.rewritten` is not 0, the one that this names. `None` when the entries are not what the head says.
pub fn newest_segments<'a>(
    snapshot: &'a LogEntry,
    rewritten: Option<&'a LogEntry>,
) -> Option<&'a [SegmentRef]> {
    let Some(Kind::Snapshot(made)) = &snapshot.kind else {
        return None;
    };
    let Some(rewritten) = rewritten else {
        return Some(&made.segments);
    };
    let Some(Kind::Condemn(condemn)) = &rewritten.kind else {
        return None;
    };
    let replacement = condemn.replacements.iter().find(|r| r.snapshot == snapshot.number)?;
    Some(&replacement.segments)
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

/// May an entry that was made for the place of `found` go behind it? `uses` is every pack and segment that its writer
/// uploaded; what its base and its chain are made of need not be in it, for they are roots as long as this says `Next`.
///
/// Only snapshots and slices call this, for each entry they find, one number after the other; forget, condemn, sweep, erase
/// and checkpoint always start again.
pub fn rebase(found: &LogEntry, uses: &BTreeSet<Object>) -> Rebase {
    match found.kind.as_ref() {
        Some(Kind::Checkpoint(_) | Kind::Swept(_) | Kind::Upgrade(_)) => Rebase::Next,
        Some(Kind::Forget(forget)) if !forget.progress => Rebase::Next,
        Some(Kind::Condemn(condemn)) if condemn.replacements.is_empty() && !dooms(found, uses) => {
            Rebase::Next
        }
        Some(Kind::Erased(_)) => Rebase::Erased,
        // What is damaged may be part of the base, and a history that was reset may have another newest snapshot.
        Some(
            Kind::Init(_)
            | Kind::Snapshot(_)
            | Kind::Progress(_)
            | Kind::Forget(_)
            | Kind::Condemn(_)
            | Kind::Damaged(_)
            | Kind::Reset(_),
        )
        | None => Rebase::Lost,
    }
}

/// Does this entry condemn one of these objects? A writer that starts again asks it of **every** entry since it began to
/// upload, and uploads anew, under new names, what was condemned: a sweep in between leaves no trace in the newest entry.
pub fn dooms(found: &LogEntry, uses: &BTreeSet<Object>) -> bool {
    let Some(Kind::Condemn(condemn)) = &found.kind else {
        return false;
    };
    condemn.objects.iter().filter_map(|name| Object::parse(name)).any(|object| uses.contains(&object))
}

#[cfg(test)]
mod tests {
    use proto::repository::{Erased, Init, RowDigest, Swept, TypeState};

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
    fn only_the_newest_snapshot_keeps_the_rows_that_changed_last() {
        let with_rows = || {
            let Kind::Snapshot(mut snapshot) = snapshot(1) else { unreachable!() };
            let recent = vec![RowDigest { id: "a".to_owned(), digest: 1 }];
            snapshot.types.push(TypeState { recent, ..TypeState::default() });
            Kind::Snapshot(snapshot)
        };
        let state = state_after(vec![with_rows(), with_rows(), with_rows()]);
        let kept = state.checkpoint().snapshots.into_iter().filter_map(|numbered| numbered.snapshot);
        let kept: Vec<usize> = kept.map(|snapshot| snapshot.types[0].recent.len()).collect();
        assert_eq!(kept, [0, 0, 1]);
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
    fn a_writer_may_not_go_behind_a_rewritten_base() {
        let replacements = vec![Replacement { snapshot: 1, segments: Vec::new() }];
        let condemn = Condemn { replacements, ..Condemn::default() };
        let found = LogEntry { kind: Some(Kind::Condemn(condemn)), ..LogEntry::default() };
        assert_eq!(rebase(&found, &BTreeSet::new()), Rebase::Lost);
    }

    fn check_may_follow(after: Vec<Kind>, kind: &Kind, expected: bool) {
        let state = state_after(after);
        assert_eq!(may_follow(state.number, &state.head, kind), expected, "{kind:?} behind {state:?}");
    }

    #[test]
    fn what_may_follow() {
        let begun = |more: Vec<Kind>| [vec![Kind::Init(Init::default()), snapshot(1)], more].concat();
        let forget = |number| Kind::Forget(Forget { snapshots: vec![number], progress: false });
        let slice = |base, previous| Kind::Progress(Progress { base, previous, ..Progress::default() });
        let replacements = vec![Replacement { snapshot: 2, segments: Vec::new() }];
        let rewrite = Kind::Condemn(Condemn { objects: Vec::new(), replacements });
        let swept = |condemn| Kind::Swept(Swept { condemn, ..Swept::default() });
        let erased = || Kind::Erased(Erased::default());

        check_may_follow(Vec::new(), &Kind::Init(Init::default()), true);
        check_may_follow(Vec::new(), &snapshot(1), false);
        check_may_follow(begun(Vec::new()), &Kind::Init(Init::default()), false);
        check_may_follow(begun(vec![snapshot(2)]), &forget(2), true);
        check_may_follow(begun(vec![snapshot(2)]), &forget(3), false);
        check_may_follow(begun(Vec::new()), &slice(2, 0), true);
        check_may_follow(begun(vec![slice(2, 0)]), &slice(2, 3), true);
        check_may_follow(begun(vec![slice(2, 0), snapshot(2)]), &slice(2, 3), false);
        check_may_follow(begun(Vec::new()), &rewrite, true);
        check_may_follow(begun(vec![slice(2, 0)]), &rewrite, false);
        check_may_follow(begun(vec![rewrite.clone()]), &swept(3), true);
        check_may_follow(begun(vec![rewrite.clone(), swept(3)]), &swept(3), false);
        check_may_follow(begun(vec![erased()]), &snapshot(2), false);
        check_may_follow(begun(vec![erased()]), &erased(), false);
    }

    #[test]
    fn the_newest_segments_are_those_last_rewritten() {
        let entry = |number, kind| LogEntry { number, kind: Some(kind), ..LogEntry::default() };
        let Kind::Snapshot(other) = snapshot(9) else { unreachable!() };
        let replacements = vec![Replacement { snapshot: 1, segments: other.segments.clone() }];
        let rewritten = entry(2, Kind::Condemn(Condemn { objects: Vec::new(), replacements }));
        let made = entry(1, snapshot(1));
        assert_eq!(newest_segments(&made, Some(&rewritten)), Some(other.segments.as_slice()));
        assert_ne!(newest_segments(&made, None), Some(other.segments.as_slice()));
        assert_eq!(newest_segments(&rewritten, None), None);
    }
}
