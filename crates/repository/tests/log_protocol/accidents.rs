//! What happens to the store itself: objects and entries that are lost or break, a copy that is put back or written over it.

use std::hash::{Hash, Hasher};
use std::rc::Rc;

use proto::repository::log_entry::Kind;

use crate::entries::Slot;
use crate::process::{Process, Turn};
use crate::world::{Copied, World};

/// Each of some losses once, at any time and in any order, or not at all.
#[derive(Clone, Hash)]
pub(crate) struct Accident {
    left: Vec<Loss>,
}

/// What is lost. Entry 1 is not among it: it lies twice.
#[derive(Debug, Clone, Copy, Hash, PartialEq, Eq)]
pub(crate) enum Loss {
    /// A pack or a segment disappears.
    Object,
    /// A pack is there and nothing in it opens.
    PackBreaks,
    /// A log entry does not open any more and keeps its number.
    EntryBreaks,
    /// The same of an entry that is a snapshot.
    SnapshotBreaks,
    /// A log entry disappears, not the newest.
    MiddleEntry,
    /// The newest log entry disappears.
    NewestEntry,
}

impl Accident {
    pub(crate) fn of(losses: &[Loss]) -> Process {
        Process::Accident(Accident { left: losses.to_vec() })
    }

    pub(crate) fn steps(&self, turn: &mut Turn<'_>) {
        for (place, loss) in self.left.iter().enumerate() {
            let mut left = self.left.clone();
            left.remove(place);
            let next = Accident { left };
            loss.steps(turn, || Process::Accident(next.clone()));
        }
    }
}

impl Loss {
    fn steps(self, turn: &mut Turn<'_>, then: impl Fn() -> Process) {
        let world = turn.world;
        let entries: Vec<&Slot> = world.slots().filter(|slot| slot.number() > 1).collect();
        let is_snapshot = |slot: &Slot| matches!(slot.created().kind(), Some(Kind::Snapshot(_)));
        match self {
            Loss::Object => {
                for object in world.stored() {
                    turn.change("loses an object", |world: &mut World| world.lose(&object), then());
                }
            }
            Loss::PackBreaks => {
                for name in world.packs().keys() {
                    turn.change("a pack breaks", |world: &mut World| world.break_pack(*name), then());
                }
            }
            Loss::EntryBreaks | Loss::SnapshotBreaks => {
                for slot in entries.into_iter().filter(|slot| self == Loss::EntryBreaks || is_snapshot(slot))
                {
                    let number = slot.number();
                    turn.change("an entry breaks", |world: &mut World| world.break_entry(number), then());
                }
            }
            Loss::MiddleEntry => {
                for slot in entries.iter().rev().skip(1) {
                    let number = slot.number();
                    turn.change("an entry is lost", |world: &mut World| world.lose_entry(number), then());
                }
            }
            Loss::NewestEntry => {
                if let Some(slot) = entries.last() {
                    let number = slot.number();
                    turn.change(
                        "the newest entry is lost",
                        |world: &mut World| world.lose_entry(number),
                        then(),
                    );
                }
            }
        }
    }
}

/// A copy of the store that is put back once, at any time.
#[derive(Clone)]
pub(crate) struct Copier {
    how: Copying,
    copied: Rc<Copied>,
    is_done: bool,
}

/// What is taken from the copy.
#[derive(Debug, Clone, Copy, Hash, PartialEq, Eq)]
pub(crate) enum Copying {
    /// The whole store is again as it was.
    AllBack,
    /// The log is again as it was; packs and segments stay.
    LogBack,
    /// Every entry of the copy replaces the one of its number here.
    Over,
    /// Entries that are missing here are added.
    Behind,
}

impl Copier {
    pub(crate) fn of(copied: Copied, how: Copying) -> Process {
        Process::Copier(Copier { how, copied: Rc::new(copied), is_done: false })
    }

    pub(crate) fn steps(&self, turn: &mut Turn<'_>) {
        if self.is_done {
            return;
        }
        let (copied, how) = (&self.copied, self.how);
        let label = match how {
            Copying::AllBack => "puts the store back",
            Copying::LogBack => "puts the log back",
            Copying::Over => "copies a fork over it",
            Copying::Behind => "copies a fork's new entries into it",
        };
        let copy = |world: &mut World| match how {
            Copying::AllBack => {
                world.put_log_back(copied);
                world.put_objects_back(copied);
            }
            Copying::LogBack => world.put_log_back(copied),
            Copying::Over => world.copy_over(copied, |_, _| true),
            Copying::Behind => world.copy_over(copied, |world, number| world.slot(number).is_none()),
        };
        turn.change(label, copy, Process::Copier(Copier { is_done: true, ..self.clone() }));
    }
}

/// In one scenario there is one copy.
impl Hash for Copier {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (self.how, self.is_done).hash(hasher);
    }
}
