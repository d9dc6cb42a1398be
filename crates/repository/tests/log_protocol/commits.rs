//! Those who read the newest state, append one entry and start again when its number was taken: forget, checkpoint, erase.

use proto::repository::log_entry::Kind;
use proto::repository::{Erased, Forget};

use crate::append::{Append, Outcome};
use crate::entries::Seen;
use crate::process::{Process, Turn};
use crate::rules::Flaw;
use crate::world::World;

/// How far one of them is.
#[derive(Clone, Hash)]
pub(crate) enum At {
    Read,
    Append(Append),
    Done,
}

impl At {
    fn after(outcome: Outcome) -> At {
        match outcome {
            Outcome::Done(_) | Outcome::GaveUp => At::Done,
            Outcome::Taken(_) => At::Read,
            Outcome::Again(append) => At::Append(append),
        }
    }
}

/// What is to be forgotten.
#[derive(Clone, Copy, Hash, PartialEq, Eq)]
pub(crate) enum Forgets {
    AllButTheNewest,
    TheChain,
}

/// Forgets old snapshots, or a progress chain.
#[derive(Clone, Hash)]
pub(crate) struct Forgetter {
    what: Forgets,
    at: At,
}

impl Forgetter {
    pub(crate) fn of(what: Forgets) -> Process {
        Process::Forgetter(Forgetter { what, at: At::Read })
    }

    pub(crate) fn steps(&self, turn: &mut Turn<'_>) {
        match &self.at {
            At::Read => {
                let newest = turn.world.newest();
                let forget = self.forget(&newest, turn).filter(|_| !newest.is_torn);
                let append = forget
                    .and_then(|kind| Append::behind(&newest, "forget", &kind, newest.data_key, turn.rules));
                turn.to("reads the log", self.with(append.map_or(At::Done, At::Append)));
            }
            At::Append(append) => append.steps(turn, |outcome| self.with(At::after(outcome))),
            At::Done => {}
        }
    }

    fn forget(&self, newest: &Seen, turn: &Turn<'_>) -> Option<Kind> {
        let chain = self.what == Forgets::TheChain;
        let all = turn.rules.broken(Flaw::ForgetsNewest);
        let old = |number: &u64| !chain && (all || *number != newest.head().snapshot);
        let snapshots: Vec<u64> = newest.state.snapshots.keys().copied().filter(old).collect();
        let progress = chain && newest.head().progress != 0;
        (progress || !snapshots.is_empty()).then_some(Kind::Forget(Forget { snapshots, progress }))
    }

    fn with(&self, at: At) -> Process {
        Process::Forgetter(Forgetter { what: self.what, at })
    }
}

/// Writes a checkpoint.
#[derive(Clone, Hash)]
pub(crate) struct Checkpointer(At);

impl Checkpointer {
    pub(crate) fn start() -> Process {
        Process::Checkpointer(Checkpointer(At::Read))
    }

    pub(crate) fn steps(&self, turn: &mut Turn<'_>) {
        let with = |at| Process::Checkpointer(Checkpointer(at));
        match &self.0 {
            At::Read => {
                let newest = turn.world.newest();
                let kind = Kind::Checkpoint(newest.state.checkpoint());
                let append = Append::behind(&newest, "checkpoint", &kind, newest.data_key, turn.rules);
                let writes = !newest.is_torn || turn.rules.broken(Flaw::CheckpointsTorn);
                let append = append.filter(|_| writes);
                turn.to("reads the log", with(append.map_or(At::Done, At::Append)));
            }
            At::Append(append) => append.steps(turn, |outcome| with(At::after(outcome))),
            At::Done if turn.rules.broken(Flaw::DeletesEntries) && !turn.world.is_torn() => {
                let newest = turn.world.newest();
                let (head, kept) = (newest.head(), &newest.state.snapshots);
                let unread = |seen: &Seen| {
                    let number = seen.number();
                    number < head.checkpoint && number != head.rewritten && !kept.contains_key(&number)
                };
                let created = turn.world.created.iter().filter(|seen| unread(seen));
                let unread: Vec<u64> = created.map(|seen| seen.number()).collect();
                let delete = |world: &mut World| unread.iter().for_each(|number| world.delete_entry(*number));
                turn.change("deletes entries that nobody reads", delete, with(At::Done));
            }
            At::Done => {}
        }
    }
}

/// Commits `Erased`, then deletes every copy of the key.
#[derive(Clone, Hash)]
pub(crate) enum Eraser {
    Commit(At),
    ListKeys,
    DeleteKeys(Vec<u8>),
    Done,
}

impl Eraser {
    pub(crate) fn start() -> Process {
        Process::Eraser(Eraser::Commit(At::Read))
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self, Eraser::Done)
    }

    pub(crate) fn steps(&self, turn: &mut Turn<'_>) {
        match self {
            Eraser::Commit(At::Read) => {
                let newest = turn.world.newest();
                let kind = Kind::Erased(Erased::default());
                let append = Append::behind(&newest, "erase", &kind, newest.data_key, turn.rules);
                let next = append.map_or(Eraser::Done, |append| Eraser::Commit(At::Append(append)));
                let next = if newest.head().erased { Eraser::ListKeys } else { next };
                turn.to("reads the log", Process::Eraser(next));
            }
            Eraser::Commit(At::Append(append)) => {
                append.steps(turn, |outcome| Process::Eraser(Eraser::Commit(At::after(outcome))));
            }
            Eraser::Commit(At::Done) | Eraser::ListKeys => {
                let keys = turn.world.keys.keys().copied().collect();
                turn.to("lists the keys", Process::Eraser(Eraser::DeleteKeys(keys)));
            }
            Eraser::DeleteKeys(keys) => {
                let Some((key, left)) = keys.split_first() else {
                    return turn.to("has erased", Process::Eraser(Eraser::Done));
                };
                let delete = |world: &mut World| _ = world.keys.remove(key);
                turn.change("deletes a key", delete, Process::Eraser(Eraser::DeleteKeys(left.to_vec())));
            }
            Eraser::Done => {}
        }
    }
}
