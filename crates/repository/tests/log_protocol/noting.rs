//! Noting damage in the log, as `Repository::note_damage` does.

use std::collections::BTreeSet;
use std::rc::Rc;

use proto::repository::Damaged;
use proto::repository::log_entry::Kind;
use repository::Object;

use crate::append::{Append, Outcome};
use crate::entries::{Position, Seen, Slot};
use crate::process::{Process, Turn};
use crate::rules::Flaw;
use crate::writer::Stop;

/// Damage on its way to the log.
#[derive(Clone, Hash)]
pub(crate) struct Noting {
    found: Rc<BTreeSet<Object>>,
    memory: Option<Position>,
    append: Option<Append>,
}

/// What one step of it came to.
pub(crate) enum Noted {
    Again(Noting),
    Written(Seen),
    /// All of it was noted already.
    Known,
    Stopped(Stop),
}

impl Noting {
    pub(crate) fn of(found: Rc<BTreeSet<Object>>, memory: Option<Position>) -> Noting {
        Noting { found, memory, append: None }
    }

    pub(crate) fn steps(&self, writer: &str, turn: &mut Turn<'_>, then: impl Fn(Noted) -> Process) {
        let again = |append| Noted::Again(Noting { append, ..self.clone() });
        match &self.append {
            Some(append) => append.steps(turn, |outcome| {
                then(match outcome {
                    Outcome::Done(seen) => Noted::Written(seen),
                    Outcome::Taken(_) => again(None),
                    Outcome::Again(append) => again(Some(append)),
                    Outcome::GaveUp => Noted::Stopped(Stop::Unknown),
                })
            }),
            None => match turn.world.tip(self.memory, turn.rules) {
                Ok(Some(tip)) => {
                    let noted = self.behind(&tip, writer, turn);
                    turn.to("reads the log to note damage", then(noted));
                }
                Ok(None) => turn.to("finds no log", then(Noted::Stopped(Stop::Refused))),
                Err(_) => turn.to("finds another history", then(Noted::Stopped(Stop::History))),
            },
        }
    }

    fn behind(&self, tip: &Slot, writer: &str, turn: &Turn<'_>) -> Noted {
        let known = turn.world.known_damage(tip);
        let mut all: BTreeSet<Object> = known.union(&self.found).copied().collect();
        if all == known {
            return Noted::Known;
        }
        if turn.rules.broken(Flaw::DamagedForgets) {
            all = (*self.found).clone();
        }
        let before = turn.world.view(tip);
        let kind = Kind::Damaged(Damaged { objects: all.iter().map(Object::relative).collect() });
        match Append::behind(&before, writer, &kind, before.data_key, turn.rules) {
            Some(append) => {
                let memory = self.memory.map(|_| tip.position());
                Noted::Again(Noting { append: Some(append), memory, ..self.clone() })
            }
            None if before.head().erased => Noted::Stopped(Stop::Erased),
            None => Noted::Stopped(Stop::Refused),
        }
    }
}
