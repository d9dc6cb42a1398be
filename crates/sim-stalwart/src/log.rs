//! The change log of one type: what `/changes` answers from, and the history that tests check against.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::Arc;

/// One change of one object.
#[derive(Debug)]
pub(crate) struct Entry<K, V> {
    pub(crate) modseq: u64,
    pub(crate) key: K,
    pub(crate) before: Option<Arc<V>>,
    pub(crate) after: Option<Arc<V>>,
}

impl<K: Clone, V> Clone for Entry<K, V> {
    fn clone(&self) -> Self {
        let (before, after) = (self.before.clone(), self.after.clone());
        Self { modseq: self.modseq, key: self.key.clone(), before, after }
    }
}

impl<K, V> Entry<K, V> {
    /// The object itself is the same: only what the server counts in it has changed (folders).
    fn counts_only(&self) -> bool {
        matches!((&self.before, &self.after), (Some(before), Some(after)) if Arc::ptr_eq(before, after))
    }
}

/// What became of an object within a window of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Created,
    Updated,
    /// A folder of which nothing but the counts moved.
    Counted,
    Destroyed,
}

/// A timeline that a roll-back abandoned, from the point where the present one forks off.
#[derive(Debug)]
struct Branch<K, V> {
    fork: u64,
    entries: Vec<Entry<K, V>>,
}

/// All changes of one type in one account, oldest first.
#[derive(Debug)]
pub(crate) struct Log<K, V> {
    /// The state at the beginning.
    first: u64,
    /// States before this one are forgotten by `/changes`.
    floor: u64,
    entries: Vec<Entry<K, V>>,
    branches: Vec<Branch<K, V>>,
}

impl<K: Clone + Eq + Ord + Hash, V> Log<K, V> {
    pub(crate) const fn new(first: u64) -> Self {
        Self { first, floor: first, entries: Vec::new(), branches: Vec::new() }
    }

    pub(crate) fn state(&self) -> u64 {
        self.entries.last().map_or(self.first, |entry| entry.modseq)
    }

    pub(crate) fn push(&mut self, entry: Entry<K, V>) {
        self.entries.push(entry);
    }

    /// `/changes` from any state before the present one will answer `cannotCalculateChanges`.
    pub(crate) fn truncate(&mut self) {
        self.floor = self.state();
    }

    /// The oldest state since which changes are known, when no more than `keep` entries are kept.
    pub(crate) fn oldest(&self, keep: Option<usize>) -> u64 {
        let dropped = keep.and_then(|keep| self.entries.len().checked_sub(keep + 1));
        dropped.map_or(0, |last| self.entries[last].modseq).max(self.floor)
    }

    /// The states of each object's first and last change.
    pub(crate) fn moments(&self) -> HashMap<&K, (u64, u64)> {
        let mut moments = HashMap::new();
        for entry in &self.entries {
            moments.entry(&entry.key).or_insert((entry.modseq, entry.modseq)).1 = entry.modseq;
        }
        moments
    }

    fn window(&self, from: u64, to: u64) -> &[Entry<K, V>] {
        let start = self.entries.partition_point(|entry| entry.modseq <= from);
        let end = self.entries.partition_point(|entry| entry.modseq <= to);
        &self.entries[start..end.max(start)]
    }

    /// The net change of every object within (from, to], in order of its first change; what was created and
    /// destroyed in between is left out (RFC 8620 §5.2 allows it).
    pub(crate) fn changes(&self, from: u64, to: u64) -> Vec<(K, Fate)> {
        let window = self.window(from, to);
        let mut order: Vec<(K, Option<Fate>, bool)> = Vec::new();
        let mut places: HashMap<K, usize> = HashMap::new();
        for entry in window {
            let place = *places.entry(entry.key.clone()).or_insert_with(|| {
                order.push((entry.key.clone(), None, entry.before.is_some()));
                order.len() - 1
            });
            let (_, fate, was_there) = &mut order[place];
            *fate = match (*was_there, entry.after.is_some()) {
                (false, true) => Some(Fate::Created),
                (false, false) => None,
                (true, false) => Some(Fate::Destroyed),
                (true, true) if entry.counts_only() && matches!(fate, None | Some(Fate::Counted)) => {
                    Some(Fate::Counted)
                }
                (true, true) => Some(Fate::Updated),
            };
        }
        order.into_iter().filter_map(|(key, fate, _)| fate.map(|fate| (key, fate))).collect()
    }

    /// Takes back everything after `modseq`, newest first, and remembers it as an abandoned timeline.
    pub(crate) fn roll_back(&mut self, modseq: u64) -> Vec<Entry<K, V>> {
        let keep = self.entries.partition_point(|entry| entry.modseq <= modseq);
        let undone = self.entries.split_off(keep);
        for branch in &mut self.branches {
            if branch.fork > modseq {
                let before_fork = undone.iter().filter(|entry| entry.modseq <= branch.fork).cloned();
                branch.entries = before_fork.chain(branch.entries.drain(..)).collect();
                branch.fork = modseq;
            }
        }
        self.floor = self.floor.min(self.state());
        self.branches.push(Branch { fork: modseq, entries: undone.clone() });
        undone.into_iter().rev().collect()
    }

    /// Every state the type ever had, abandoned timelines first.
    pub(crate) fn states(&self) -> Vec<u64> {
        let abandoned = self.branches.iter().flat_map(|branch| &branch.entries);
        abandoned.chain(&self.entries).map(|entry| entry.modseq).chain([self.first]).collect()
    }

    /// The contents the type had at this state (several if timelines repeat it), newest timeline first, worked
    /// out from its present content.
    pub(crate) fn contents(&self, modseq: u64, now: &BTreeMap<K, Arc<V>>) -> Vec<BTreeMap<K, Arc<V>>> {
        let mut found = Vec::new();
        if modseq >= self.first && modseq <= self.state() {
            found.push(self.undone_to(modseq, now));
        }
        for branch in self.branches.iter().rev() {
            let last = branch.entries.last().map_or(0, |entry| entry.modseq);
            if modseq > branch.fork && modseq <= last {
                let mut content = self.undone_to(branch.fork, now);
                let redone = branch.entries.iter().take_while(|entry| entry.modseq <= modseq);
                redone.for_each(|entry| set(&mut content, entry, entry.after.as_ref()));
                found.push(content);
            }
        }
        found
    }

    fn undone_to(&self, modseq: u64, now: &BTreeMap<K, Arc<V>>) -> BTreeMap<K, Arc<V>> {
        let mut content = now.clone();
        for entry in self.entries.iter().rev().take_while(|entry| entry.modseq > modseq) {
            set(&mut content, entry, entry.before.as_ref());
        }
        content
    }
}

fn set<K: Clone + Ord, V>(content: &mut BTreeMap<K, Arc<V>>, entry: &Entry<K, V>, value: Option<&Arc<V>>) {
    match value {
        Some(value) => content.insert(entry.key.clone(), Arc::clone(value)),
        None => content.remove(&entry.key),
    };
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A key gets a value, loses it, is counted (same value again), or everything goes back some steps.
    #[derive(Clone, Debug)]
    enum Step {
        Put(u8, u8),
        Remove(u8),
        Count(u8),
        RollBack(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            6 => (0..6u8, any::<u8>()).prop_map(|(key, value)| Step::Put(key, value)),
            3 => (0..6u8).prop_map(Step::Remove),
            2 => (0..6u8).prop_map(Step::Count),
            1 => (1..8usize).prop_map(Step::RollBack),
        ];
        proptest::collection::vec(step, 0..60)
    }

    type Content = BTreeMap<u8, Arc<u8>>;

    /// Whole copies of every content, and who was touched at each step: slow and obvious.
    struct Oracle {
        timeline: Vec<(u64, Option<u8>, Content)>,
        abandoned: Vec<(u64, Content)>,
    }

    impl Oracle {
        fn now(&self) -> &Content {
            &self.timeline[self.timeline.len() - 1].2
        }
    }

    fn run(steps: &[Step]) -> (Log<u8, u8>, Oracle) {
        let mut log = Log::new(10);
        let mut oracle = Oracle { timeline: vec![(10, None, Content::new())], abandoned: Vec::new() };
        for step in steps {
            let now = oracle.now().clone();
            let (key, after) = match step {
                Step::Put(key, value) => (*key, Some(Arc::new(*value))),
                Step::Remove(key) => (*key, None),
                Step::Count(key) => (*key, now.get(key).cloned()),
                Step::RollBack(back) => {
                    let keep = oracle.timeline.len().saturating_sub(*back).max(1);
                    let lost = oracle.timeline.split_off(keep);
                    oracle.abandoned.extend(lost.into_iter().map(|(modseq, _, content)| (modseq, content)));
                    log.roll_back(oracle.timeline[keep - 1].0);
                    continue;
                }
            };
            let before = now.get(&key).cloned();
            if before.is_none() && after.is_none() {
                continue;
            }
            let (modseq, mut next) = (log.state() + 1, now);
            match &after {
                Some(value) => drop(next.insert(key, Arc::clone(value))),
                None => drop(next.remove(&key)),
            }
            log.push(Entry { modseq, key, before, after });
            oracle.timeline.push((modseq, Some(key), next));
        }
        (log, oracle)
    }

    proptest! {
        #[test]
        fn changes_are_the_difference_of_contents(steps in steps()) {
            let (log, oracle) = run(&steps);
            for (at, (from, _, old)) in oracle.timeline.iter().enumerate() {
                for (to, _, new) in &oracle.timeline[at..] {
                    let touched: std::collections::BTreeSet<u8> = oracle.timeline[at + 1..]
                        .iter()
                        .filter(|(modseq, _, _)| modseq <= to)
                        .filter_map(|(_, key, _)| *key)
                        .collect();
                    let fate = |key: &u8| match (old.contains_key(key), new.contains_key(key)) {
                        (false, true) => Some(Fate::Created),
                        (true, false) => Some(Fate::Destroyed),
                        (true, true) => Some(Fate::Updated),
                        (false, false) => None,
                    };
                    let expected: BTreeMap<u8, Fate> =
                        touched.iter().filter_map(|key| Some((*key, fate(key)?))).collect();
                    let plain = |fate| if fate == Fate::Counted { Fate::Updated } else { fate };
                    let changes = log.changes(*from, *to).into_iter().map(|(key, fate)| (key, plain(fate)));
                    prop_assert_eq!(changes.collect::<BTreeMap<_, _>>(), expected);
                }
            }
        }

        #[test]
        fn every_content_of_every_timeline_is_found_again(steps in steps()) {
            let (log, oracle) = run(&steps);
            for (modseq, _, content) in &oracle.timeline {
                let found = log.contents(*modseq, oracle.now());
                prop_assert_eq!(found.first(), Some(content));
            }
            for (modseq, content) in &oracle.abandoned {
                prop_assert!(log.contents(*modseq, oracle.now()).contains(content));
            }
        }
    }
}
