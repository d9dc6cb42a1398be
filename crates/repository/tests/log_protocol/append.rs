//! Creating an entry: every answer that `Objects::create` can meet.

use proto::repository::log_entry::Kind;

use crate::entries::{Seen, Slot};
use crate::process::{Process, Turn};
use crate::rules::{Flaw, Rules};
use crate::world::World;

/// An entry on its way to the log.
#[derive(Clone, Hash)]
pub(crate) struct Append {
    entry: Seen,
    /// The last answer left it open whether the entry was created.
    unsure: bool,
    /// Its process gives up when answers are lost again and again.
    gives_up: bool,
}

/// What one step of an append came to.
pub(crate) enum Outcome {
    Done(Seen),
    Taken(Slot),
    Again(Append),
    /// Nobody knows whether the entry is there.
    GaveUp,
}

impl Append {
    /// `None` when the rules refuse this entry behind `before`.
    pub(crate) fn behind(before: &Seen, writer: &str, kind: &Kind, key: u8, rules: Rules) -> Option<Append> {
        let allowed = rules.may_follow(before.number(), before.head(), kind);
        let entry = allowed.then(|| before.then(writer, kind.clone(), key, rules))?;
        Some(Append { entry, unsure: false, gives_up: false })
    }

    /// Its process waits for an answer only so long.
    pub(crate) fn giving_up(self) -> Append {
        Append { gives_up: true, ..self }
    }

    pub(crate) fn kind(&self) -> &Kind {
        self.entry.entry.kind.as_ref().expect("every entry is made with a kind")
    }

    pub(crate) fn steps(&self, turn: &mut Turn<'_>, then: impl Fn(Outcome) -> Process) {
        if self.unsure {
            self.settle(turn, then);
        } else if let Some(found) = turn.world.slot(self.entry.number()) {
            turn.to("create: taken", then(Outcome::Taken(found.clone())));
        } else {
            let create = |entry: &Seen| {
                let entry = entry.clone();
                move |world: &mut World| world.create_entry(entry)
            };
            let unsure = || Outcome::Again(Append { unsure: true, ..self.clone() });
            turn.change("create: done", create(&self.entry), then(Outcome::Done(self.entry.clone())));
            turn.change("create: done, but the answer is lost", create(&self.entry), then(unsure()));
            turn.to("create: not done, and the answer is lost", then(unsure()));
        }
    }

    fn settle(&self, turn: &mut Turn<'_>, then: impl Fn(Outcome) -> Process) {
        let again = || Outcome::Again(Append { unsure: false, ..self.clone() });
        let is_ours = |found: &Slot| found.opens().is_some_and(|found| found.is(&self.entry));
        match turn.world.slot(self.entry.number()) {
            Some(found) if is_ours(found) && !turn.rules.broken(Flaw::TrustsTimeout) => {
                turn.to("settle: it is ours", then(Outcome::Done(self.entry.clone())));
            }
            Some(found) => turn.to("settle: it is another's", then(Outcome::Taken(found.clone()))),
            None => turn.to("settle: it is absent", then(again())),
        }
        if self.gives_up {
            turn.to("settle: no answer, again and again", then(Outcome::GaveUp));
        }
    }
}
