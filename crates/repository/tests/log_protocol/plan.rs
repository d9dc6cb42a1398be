//! What a writer puts into the store, worked out from its base and from what the server has.

use std::collections::BTreeSet;
use std::rc::Rc;

use proto::repository::log_entry::Kind;
use proto::repository::{Progress, Snapshot};
use repository::log::fold::dooms;
use repository::{Object, ObjectName};

use crate::content::{Segment, Tables, bits, reference};
use crate::entries::Seen;
use crate::process::Turn;
use crate::reading::Base;
use crate::rules::{Flaw, Rules};
use crate::world::World;

/// How a writer makes its snapshot.
#[derive(Debug, Clone, Copy, Hash, PartialEq, Eq)]
pub(crate) enum Style {
    /// One segment behind those of the base.
    Appending,
    /// One segment instead of those of the base, its rows pointing into the base's packs.
    Compacting,
    /// A *Progress* for each new email but the last, then the snapshot; goes on where another of its job stopped.
    Slices,
}

/// The log as a writer found it, and what it grows from.
#[derive(Clone, Hash)]
pub(crate) struct Begun {
    pub(crate) before: Seen,
    pub(crate) base: Base,
}

/// What is to be uploaded and committed.
#[derive(Clone, Hash)]
pub(crate) struct Plan {
    pub(crate) begun: Rc<Begun>,
    /// Name of the new pack and the blobs in it.
    pub(crate) pack: Option<(ObjectName, u8)>,
    pub(crate) segment: (ObjectName, Rc<Segment>),
    /// What its writer uploaded itself.
    pub(crate) uses: BTreeSet<Object>,
    emails: u8,
    segments: Vec<ObjectName>,
    slice: bool,
}

/// What a plan is made for.
pub(crate) struct Task<'a> {
    pub(crate) name: ObjectName,
    pub(crate) sees: u8,
    pub(crate) style: Style,
    pub(crate) uploaded: Option<&'a Uploaded>,
}

/// What can be read of a base.
struct Held {
    /// Oldest first, those left out that are known to be damaged.
    segments: Vec<(ObjectName, Rc<Segment>)>,
    tables: Tables,
    /// Emails whose rows are there and whose blobs are not held, as far as anybody looked.
    lost: u8,
    /// Packs that are known to be damaged.
    packs: BTreeSet<ObjectName>,
}

impl Begun {
    /// After its doubtful base was compared with a listing: what is noted is read now.
    pub(crate) fn compared(&self, world: &World) -> Rc<Begun> {
        let damaged = world.damaged_by(self.before.head()).unwrap_or_default();
        Rc::new(Begun { before: self.before.clone(), base: Base { damaged, ..self.base.clone() } })
    }

    /// `None` when a segment is missing that is not known to be.
    fn held(&self, world: &World, rules: Rules) -> Option<Held> {
        let is_older = self.base.snapshot < self.before.head().damaged && !rules.broken(Flaw::DoesNotHeal);
        let empty = BTreeSet::new();
        let damaged = if is_older { &self.base.damaged } else { &empty };
        let whole = self.base.segments.iter().filter(|name| !damaged.contains(&Object::Segment(**name)));
        let read = |name: &ObjectName| Some((*name, world.segments().get(name)?.clone()));
        let segments = whole.map(read).collect::<Option<Vec<_>>>()?;
        let pack = |object: &Object| match object {
            Object::Pack(name) => Some(*name),
            _ => None,
        };
        let packs: BTreeSet<ObjectName> = damaged.iter().filter_map(pack).collect();
        let mut tables = Tables::default();
        segments.iter().for_each(|(_, segment)| tables.add(segment));
        tables.blobs.retain(|_, pack| !packs.contains(pack));
        let is_compared = is_older || (self.base.is_doubtful && !rules.broken(Flaw::TrustsRows));
        let lost = bits(tables.emails).filter(|email| is_compared && !tables.blobs.contains_key(email));
        let lost = lost.fold(0, |all, email| all | 1 << email);
        Some(Held { segments, tables, lost, packs })
    }
}

impl Task<'_> {
    /// `None` when a segment of the base is missing and not known to be.
    pub(crate) fn plan(&self, begun: &Rc<Begun>, world: &World, rules: Rules) -> Option<Rc<Plan>> {
        let held = begun.held(world, rules)?;
        let missing = self.sees & (!held.tables.emails | held.lost);
        let slice = self.style == Style::Slices && missing.count_ones() > 1;
        let new = if slice { missing & missing.wrapping_neg() } else { missing };
        let unheld = bits(new).filter(|blob| !held.tables.blobs.contains_key(blob));
        let unheld = unheld.fold(0, |all, blob| all | 1 << blob);
        let reused = unheld & self.uploaded.map_or(0, |pack| pack.blobs);
        let packed = unheld & !reused;

        let gone = if slice { 0 } else { held.tables.emails & !self.sees };
        let mut segment = Segment { emails: new, gone, ..Segment::default() };
        segment.blobs.extend(bits(packed).map(|blob| (blob, self.name)));
        let taken = self.uploaded.into_iter().flat_map(|pack| bits(reused).map(|blob| (blob, pack.pack)));
        segment.blobs.extend(taken);
        let (mut segments, segment) = match self.style {
            Style::Compacting => (Vec::new(), compacted(held.tables, &segment)),
            _ if slice => (Vec::new(), segment),
            _ => held.grown(segment, rules),
        };
        segments.push(self.name);
        let pack = (packed != 0).then_some((self.name, packed));
        let mut uses = BTreeSet::from([Object::Segment(self.name)]);
        uses.extend(pack.map(|(name, _)| Object::Pack(name)));
        uses.extend(self.uploaded.filter(|_| reused != 0).map(|pack| Object::Pack(pack.pack)));
        let segment = (self.name, Rc::new(segment));
        let begun = begun.clone();
        Some(Rc::new(Plan { begun, pack, segment, uses, emails: self.sees, segments, slice }))
    }
}

impl Held {
    /// The segments that stay, and one instead of the new one and all from the oldest on that names a damaged pack.
    fn grown(self, new: Segment, rules: Rules) -> (Vec<ObjectName>, Segment) {
        let names_lost =
            |(_, segment): &(_, Rc<Segment>)| segment.packs().iter().any(|pack| self.packs.contains(pack));
        let first = self.segments.iter().position(names_lost).unwrap_or(self.segments.len());
        if first == self.segments.len() || rules.broken(Flaw::HealsWithoutMerging) {
            return (self.segments.iter().map(|(name, _)| *name).collect(), new);
        }
        let (stay, merged) = self.segments.split_at(first);
        let mut old = merged.iter().fold(Segment::default(), |all, (_, one)| all.merged(one));
        old.blobs.retain(|_, pack| !self.packs.contains(pack));
        let mut segment = old.merged(&new);
        if stay.is_empty() {
            segment.gone = 0;
        }
        (stay.iter().map(|(name, _)| *name).collect(), segment)
    }
}

fn compacted(mut held: Tables, last: &Segment) -> Segment {
    held.add(last);
    held.blobs.retain(|blob, _| held.emails & (1 << blob) != 0);
    Segment { emails: held.emails, gone: 0, blobs: held.blobs }
}

impl Plan {
    pub(crate) fn is_slice(&self) -> bool {
        self.slice
    }

    /// The entry that commits it.
    pub(crate) fn kind(&self, job: String, backup_number: u64, rules: Rules) -> Kind {
        let before = &self.begun.before;
        let (base, head) = (&self.begun.base, before.head());
        let segments = self.segments.iter().copied().map(reference).collect();
        if self.slice {
            let previous = if base.has_slices { head.progress } else { 0 };
            let base = head.snapshot;
            return Kind::Progress(Progress { base, previous, segments, job, ..Progress::default() });
        }
        // An older one than the head's is a base of which only what can be read counts.
        let is_newest = base.snapshot == head.snapshot || rules.broken(Flaw::NamesOldBase);
        let base = if is_newest { base.snapshot } else { 0 };
        let (emails, slot) = (self.emails.into(), job);
        // Which entry its writer began behind is known to the model only.
        let started_ms = i64::try_from(before.number()).expect("a small number");
        let snapshot =
            Snapshot { base, segments, emails, slot, backup_number, started_ms, ..Snapshot::default() };
        Kind::Snapshot(snapshot)
    }
}

/// A pack its writer uploaded before it lost; it may be used again unless an entry since then condemned it or it is
/// known to be damaged.
#[derive(Clone, Hash)]
pub(crate) struct Uploaded {
    pack: ObjectName,
    blobs: u8,
    since: u64,
}

impl Uploaded {
    pub(crate) fn by(plan: &Plan) -> Option<Uploaded> {
        let since = plan.begun.before.number();
        plan.pack.map(|(pack, blobs)| Uploaded { pack, blobs, since })
    }

    pub(crate) fn pack(&self) -> (ObjectName, u8) {
        (self.pack, self.blobs)
    }

    pub(crate) fn doomed(&self, begun: &Begun, turn: &Turn<'_>) -> bool {
        let uses = BTreeSet::from([Object::Pack(self.pack)]);
        let numbers = self.since + 1..=begun.before.number();
        let mut since = numbers.filter_map(|number| turn.world.read(number));
        let is_doomed = since.any(|seen| dooms(&seen.entry, &uses)) || !begun.base.damaged.is_disjoint(&uses);
        is_doomed && !turn.rules.broken(Flaw::ReusesBlindly)
    }
}
