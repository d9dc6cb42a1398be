//! Creating an entry: every answer that `Objects::create` can meet.

use proto::repository::log_entry::Kind;

use crate::process::{Process, Turn};
use crate::rules::{Flaw, Rules};
use crate::world::{Seen, World};

/// An entry on its way to the log.
#[derive(Clone, Hash)]
pub(crate) struct Append {
    entry: Seen,
    /// The last answer left it open whether the entry was created.
    unsure: bool,
}

/// What one step of an append came to.
pub(crate) enum Outcome {
    Done(Seen),
    Taken(Seen),
    Again(Append),
}

impl Append {
    /// `None` when the rules refuse this entry behind `before`.
    pub(crate) fn behind(before: &Seen, writer: &str, kind: &Kind, key: u8, rules: Rules) -> Option<Append> {
        let allowed = rules.may_follow(before.number(), before.head(), kind);
        let entry = allowed.then(|| before.then(writer, kind.clone(), key, rules))?;
        Some(Append { entry, unsure: false })
    }

    pub(crate) fn kind(&self) -> &Kind {
        self.entry.entry.kind.as_ref().expect("every entry is made with a kind")
    }

    pub(crate) fn steps(&self, turn: &mut Turn<'_>, then: impl Fn(Outcome) -> Process) {
        if self.unsure {
            self.settle(turn, then);
        } else if let Some(found) = turn.world.read(self.entry.number()) {
            turn.to("create: taken", then(Outcome::Taken(found)));
        } else {
            let create = |entry: &Seen| {
                let entry = entry.clone();
                move |world: &mut World| world.create_entry(entry)
            };
            let unsure = || Outcome::Again(Append { entry: self.entry.clone(), unsure: true });
            turn.change("create: done", create(&self.entry), then(Outcome::Done(self.entry.clone())));
            turn.change("create: done, but the answer is lost", create(&self.entry), then(unsure()));
            turn.to("create: not done, and the answer is lost", then(unsure()));
        }
    }

    fn settle(&self, turn: &mut Turn<'_>, then: impl Fn(Outcome) -> Process) {
        let again = || Outcome::Again(Append { entry: self.entry.clone(), unsure: false });
        match turn.world.read(self.entry.number()) {
            Some(found) if found.is(&self.entry) && !turn.rules.broken(Flaw::TrustsTimeout) => {
                turn.to("settle: it is ours", then(Outcome::Done(found)))
            }
            Some(found) => turn.to("settle: it is another's", then(Outcome::Taken(found))),
            None => turn.to("settle: it is absent", then(again())),
        }
    }
}
