//! Moving the data key under another master key.

use crate::process::{Process, Turn};
use crate::rules::Flaw;
use crate::world::World;

/// Wraps the data key under the master key `to`, then deletes the other copies.
#[derive(Clone, Hash)]
pub(crate) struct Rewrapper {
    to: u8,
    at: At,
}

#[derive(Clone, Hash)]
enum At {
    Load,
    Put(u8),
    Check,
    Undo,
    Delete(Vec<u8>),
    Done,
}

impl Rewrapper {
    pub(crate) fn to(master: u8) -> Process {
        Process::Rewrapper(Rewrapper { to: master, at: At::Load })
    }

    /// It may have put a copy and not yet looked whether it had to.
    pub(crate) fn is_unsure(&self) -> bool {
        matches!(self.at, At::Check | At::Undo)
    }

    pub(crate) fn steps(&self, turn: &mut Turn<'_>) {
        match &self.at {
            At::Load => {
                let at = self.load(turn).map_or(At::Done, At::Put);
                turn.to("loads the key that opens entry 1", self.with(at));
            }
            At::Put(key) => {
                let put = |world: &mut World| _ = world.keys.insert(self.to, *key);
                turn.change("puts its copy of the key", put, self.with(At::Check));
            }
            At::Check => {
                let erased = turn.world.newest().head().erased && !turn.rules.broken(Flaw::RewrapsUnchecked);
                let others = turn.world.keys.keys().copied().filter(|master| *master != self.to).collect();
                let at = if erased { At::Undo } else { At::Delete(others) };
                turn.to("reads the log", self.with(at));
            }
            At::Undo => {
                turn.change("deletes its copy", |world| _ = world.keys.remove(&self.to), self.with(At::Done));
            }
            At::Delete(others) => {
                let Some((master, left)) = others.split_first() else { return };
                let at = At::Delete(left.to_vec());
                turn.change("deletes an older copy", |world| _ = world.keys.remove(master), self.with(at));
            }
            At::Done => {}
        }
    }

    fn load(&self, turn: &Turn<'_>) -> Option<u8> {
        let newest = turn.world.newest();
        let mut keys = turn.world.keys.values().copied();
        match newest.number() {
            0 if turn.rules.broken(Flaw::RewrapsBeforeEntryOne) => keys.next(),
            0 => None,
            _ => keys.find(|key| *key == newest.data_key && !newest.head().erased),
        }
    }

    fn with(&self, at: At) -> Process {
        Process::Rewrapper(Rewrapper { at, ..self.clone() })
    }
}
