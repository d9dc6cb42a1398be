//! The first phase of a prune: list, rewrite a snapshot if wanted, condemn.

use std::collections::BTreeSet;
use std::rc::Rc;

use proto::repository::log_entry::Kind;
use proto::repository::{Condemn, Replacement};
use repository::{Object, ObjectName};

use crate::append::{Append, Outcome};
use crate::content::{Segment, Tables, bits, name, reference};
use crate::entries::Seen;
use crate::process::{Process, Turn};
use crate::rules::Flaw;
use crate::sweeper::Sweeper;
use crate::world::World;

/// Which snapshot is rewritten: its live rows to one new segment, its live blobs to one new pack.
#[derive(Clone, Copy, Hash, PartialEq, Eq)]
pub(crate) enum Rewrites {
    Nothing,
    Oldest,
    Newest,
}

/// Condemns, then sweeps what it condemned.
#[derive(Clone, Hash)]
pub(crate) struct Pruner {
    id: u8,
    rewrites: Rewrites,
    /// How often it starts again when it lost.
    tries: u8,
    serial: u8,
    at: At,
}

#[derive(Clone, Hash)]
enum At {
    Read,
    ListPacks(Seen),
    ListSegments(Seen, Rc<BTreeSet<Object>>),
    ReadPins(Seen, Rc<BTreeSet<Object>>),
    Upload(Rewriting),
    UploadSegment(Rewriting),
    Commit(Append),
    Done,
}

/// What a rewriting puts into the store before it is committed.
#[derive(Clone, Hash)]
struct Rewriting {
    name: ObjectName,
    pack: u8,
    segment: Rc<Segment>,
    commit: Append,
}

impl Pruner {
    pub(crate) fn start(id: u8, rewrites: Rewrites) -> Process {
        Process::Pruner(Pruner { id, rewrites, tries: 1, serial: 0, at: At::Read })
    }

    pub(crate) fn steps(&self, turn: &mut Turn<'_>) {
        let world = turn.world;
        match &self.at {
            At::Read => {
                let newest = world.newest();
                let torn = newest.is_torn && !turn.rules.broken(Flaw::PrunesTorn);
                let over = newest.number() == 0 || newest.head().erased || torn;
                let at = if over { At::Done } else { At::ListPacks(newest) };
                turn.to("reads the log", self.with(at));
            }
            At::ListPacks(seen) => {
                let packs = Rc::new(world.packs().keys().copied().map(Object::Pack).collect());
                turn.to("lists the packs", self.with(At::ListSegments(seen.clone(), packs)));
            }
            At::ListSegments(seen, listed) => {
                let segments = world.segments().keys().copied().map(Object::Segment);
                let listed = Rc::new(segments.chain(listed.iter().copied()).collect());
                turn.to("lists the segments", self.with(At::ReadPins(seen.clone(), listed)));
            }
            At::ReadPins(seen, listed) => {
                let at = self.decide(seen, listed, turn).unwrap_or_else(|| self.again());
                turn.to("reads the pins and the footers", self.with(at));
            }
            At::Upload(rewriting) => {
                let put = |world: &mut World| world.put_pack(rewriting.name, rewriting.pack);
                turn.change("writes a pack", put, self.with(At::UploadSegment(rewriting.clone())));
            }
            At::UploadSegment(rewriting) => {
                let segment = rewriting.segment.clone();
                let put = |world: &mut World| world.put_segment(rewriting.name, segment);
                turn.change("writes a segment", put, self.with(At::Commit(rewriting.commit.clone())));
            }
            At::Commit(append) => self.commit(append, turn),
            At::Done => {}
        }
    }

    /// `None` when the store is no longer as the log was when it was read.
    fn decide(&self, seen: &Seen, listed: &BTreeSet<Object>, turn: &Turn<'_>) -> Option<At> {
        let snapshot = match self.rewrites {
            Rewrites::Nothing => None,
            Rewrites::Oldest => seen.state.snapshots.first_key_value(),
            Rewrites::Newest => seen.state.snapshots.last_key_value(),
        };
        let Some((number, snapshot)) = snapshot else {
            let condemn = self.condemnation(seen, Vec::new(), listed, turn)?;
            return Some(self.committing(seen, condemn, turn));
        };
        let tables = Tables::read(turn.world, &snapshot.segments)?;
        if tables.unreadable(turn.world.packs()) != 0 {
            return None;
        }
        let name = name(self.id, self.serial);
        let blobs = bits(tables.emails).map(|email| (email, name)).collect();
        let segment = Rc::new(Segment { emails: tables.emails, gone: 0, blobs });
        let replacement = Replacement { snapshot: *number, segments: vec![reference(name)] };
        let condemn = self.condemnation(seen, vec![replacement], listed, turn)?;
        let At::Commit(commit) = self.committing(seen, condemn, turn) else { return Some(At::Done) };
        Some(At::Upload(Rewriting { name, pack: tables.emails, segment, commit }))
    }

    fn condemnation(
        &self,
        seen: &Seen,
        replacements: Vec<Replacement>,
        listed: &BTreeSet<Object>,
        turn: &Turn<'_>,
    ) -> Option<Condemn> {
        let mut footers = turn.world.footers();
        if !replacements.is_empty() {
            let name = name(self.id, self.serial);
            footers.insert(name, BTreeSet::from([name]));
        }
        turn.rules.condemnation(&seen.state, replacements, listed, &footers, &turn.world.pins()).ok()
    }

    fn committing(&self, seen: &Seen, condemn: Condemn, turn: &Turn<'_>) -> At {
        if condemn.objects.is_empty() && condemn.replacements.is_empty() {
            return At::Done;
        }
        let writer = format!("prune {} {}", self.id, self.serial);
        Append::behind(seen, &writer, &Kind::Condemn(condemn), seen.data_key, turn.rules)
            .map_or(At::Done, At::Commit)
    }

    fn commit(&self, append: &Append, turn: &mut Turn<'_>) {
        let rules = turn.rules;
        let stale = |found: &Seen| {
            let append = Append::behind(found, "prune", append.kind(), found.data_key, rules);
            self.with(append.map_or(At::Done, At::Commit))
        };
        append.steps(turn, |outcome| match outcome {
            Outcome::Done(condemned) => Sweeper::of(&condemned),
            Outcome::Taken(found) if rules.broken(Flaw::CondemnsStale) => stale(found.created()),
            Outcome::Taken(_) => self.with(self.again()),
            Outcome::Again(append) => self.with(At::Commit(append)),
            Outcome::GaveUp => self.with(At::Done),
        });
    }

    fn again(&self) -> At {
        if self.tries == 0 { At::Done } else { At::Read }
    }

    /// Starting again uses up a try and takes new names.
    fn with(&self, at: At) -> Process {
        let mut next = Pruner { at, ..self.clone() };
        if matches!(next.at, At::Read) {
            next.tries -= 1;
            next.serial += 1;
        }
        Process::Pruner(next)
    }
}
