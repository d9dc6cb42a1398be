//! The second phase of a prune: wait, look again, delete, say so.

use proto::repository::Swept;
use proto::repository::log_entry::Kind;
use repository::Object;

use crate::append::{Append, Outcome};
use crate::entries::Seen;
use crate::process::{Process, Turn};
use crate::rules::Flaw;
use crate::world::World;

/// Sweeps one condemnation.
#[derive(Clone, Hash)]
pub(crate) struct Sweeper {
    condemn: u64,
    left: Vec<Object>,
    kept: Vec<Object>,
    at: At,
}

#[derive(Clone, Hash)]
enum At {
    Begin,
    Grace,
    ReadLog,
    ReadPins(Seen),
    Delete,
    Committing,
    Commit(Append),
    Done,
}

impl Sweeper {
    /// Sweeps the oldest condemnation there is.
    pub(crate) fn of_the_oldest() -> Process {
        Process::Sweeper(Sweeper { condemn: 0, left: Vec::new(), kept: Vec::new(), at: At::Begin })
    }

    /// Goes on where a pruner has condemned.
    pub(crate) fn of(condemned: &Seen) -> Process {
        let this = Sweeper { condemn: 0, left: Vec::new(), kept: Vec::new(), at: At::Grace };
        Process::Sweeper(this.take(condemned.number(), condemned))
    }

    fn take(&self, condemn: u64, seen: &Seen) -> Sweeper {
        let (_, entry) = &seen.state.condemns[&condemn];
        let left = entry.objects.iter().filter_map(|name| Object::parse(name)).collect();
        Sweeper { condemn, left, kept: Vec::new(), at: At::Grace }
    }

    pub(crate) fn steps(&self, turn: &mut Turn<'_>) {
        match &self.at {
            At::Begin => {
                let newest = turn.world.newest();
                let next = match newest.state.condemns.keys().next() {
                    Some(oldest) => self.take(*oldest, &newest),
                    None => self.with(At::Done),
                };
                turn.to("reads the log", Process::Sweeper(next));
            }
            At::Grace if self.over(turn) => turn.to("has waited", self.next()),
            At::Grace | At::Done => {}
            At::ReadLog => self.read_log(turn),
            At::ReadPins(seen) => self.read_pins(seen, turn),
            At::Delete => {
                let object = self.left[0];
                let next = Sweeper { left: self.left[1..].to_vec(), ..self.clone() }.next();
                turn.change("deletes an object", |world: &mut World| world.delete(&object), next);
            }
            At::Committing => self.committing(turn),
            At::Commit(append) => append.steps(turn, |outcome| {
                Process::Sweeper(match outcome {
                    Outcome::Done(_) | Outcome::GaveUp => self.with(At::Done),
                    Outcome::Taken(_) => self.with(At::Committing),
                    Outcome::Again(append) => self.with(At::Commit(append)),
                })
            }),
        }
    }

    /// The grace time is longer than any reader without a pin takes.
    fn over(&self, turn: &Turn<'_>) -> bool {
        let mut readers = turn.world.everybody().filter_map(|process| match process {
            Process::Reader(reader) => reader.reads_without_pin_since(),
            _ => None,
        });
        turn.rules.broken(Flaw::NoGrace) || readers.all(|since| since >= self.condemn)
    }

    fn next(&self) -> Process {
        Process::Sweeper(self.with(if self.left.is_empty() { At::Committing } else { At::ReadLog }))
    }

    fn read_log(&self, turn: &mut Turn<'_>) {
        let newest = turn.world.newest();
        let torn = newest.is_torn && !turn.rules.broken(Flaw::PrunesTorn);
        let swept = torn || !newest.head().condemns.contains(&self.condemn);
        let next = if swept { At::Done } else { At::ReadPins(newest) };
        turn.to("reads the log before a deletion", Process::Sweeper(self.with(next)));
    }

    fn read_pins(&self, seen: &Seen, turn: &mut Turn<'_>) {
        let (footers, pins) = (turn.world.footers(), turn.world.pins());
        let object = self.left[0];
        let next = match turn.rules.may_delete(&seen.state, self.condemn, &object, &footers, &pins) {
            Ok(true) => Process::Sweeper(self.with(At::Delete)),
            Ok(false) => {
                let kept = [self.kept.clone(), vec![object]].concat();
                Sweeper { left: self.left[1..].to_vec(), kept, ..self.clone() }.next()
            }
            // A root was rewritten and swept after `seen` was read.
            Err(_) => Process::Sweeper(self.with(At::ReadLog)),
        };
        turn.to("reads the pins before a deletion", next);
    }

    fn committing(&self, turn: &mut Turn<'_>) {
        let newest = turn.world.newest();
        let kept = self.kept.iter().map(Object::relative).collect();
        let kind = Kind::Swept(Swept { condemn: self.condemn, kept });
        let append = Append::behind(&newest, "sweep", &kind, newest.data_key, turn.rules);
        turn.to("reads the log", Process::Sweeper(self.with(append.map_or(At::Done, At::Commit))));
    }

    fn with(&self, at: At) -> Sweeper {
        Sweeper { at, ..self.clone() }
    }
}
