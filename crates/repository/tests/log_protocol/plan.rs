//! What a writer puts into the store, worked out from its base and from what the server has.

use std::collections::BTreeSet;
use std::rc::Rc;

use proto::repository::log_entry::Kind;
use proto::repository::{Progress, SegmentRef, Snapshot};
use repository::log::fold::{dooms, newest_segments, segment_name};
use repository::{Object, ObjectName};

use crate::content::{Segment, Tables, bits, reference};
use crate::process::Turn;
use crate::rules::Flaw;
use crate::world::{Seen, World};

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

/// What is to be uploaded and committed.
#[derive(Clone, Hash)]
pub(crate) struct Plan {
    pub(crate) before: Seen,
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
    pub(crate) job: &'a str,
    pub(crate) sees: u8,
    pub(crate) style: Style,
    pub(crate) uploaded: Option<&'a Uploaded>,
}

impl Task<'_> {
    /// `None` when the base is no longer as it was when the log was read.
    pub(crate) fn plan(&self, before: &Seen, world: &World) -> Option<Rc<Plan>> {
        let base = self.base(before, world)?;
        let held = Tables::read(world, &base)?;
        let missing = self.sees & !held.emails;
        let slice = self.style == Style::Slices && missing.count_ones() > 1;
        let new = if slice { missing & missing.wrapping_neg() } else { missing };
        let unheld =
            bits(new).filter(|blob| !held.blobs.contains_key(blob)).fold(0, |all, blob| all | 1 << blob);
        let reused = unheld & self.uploaded.map_or(0, |pack| pack.blobs);
        let packed = unheld & !reused;

        let gone = if slice { 0 } else { held.emails & !self.sees };
        let mut segment = Segment { emails: new, gone, ..Segment::default() };
        segment.blobs.extend(bits(packed).map(|blob| (blob, self.name)));
        let taken = self.uploaded.into_iter().flat_map(|pack| bits(reused).map(|blob| (blob, pack.pack)));
        segment.blobs.extend(taken);
        let mut segments: Vec<ObjectName> = base.iter().filter_map(segment_name).collect();
        if self.style == Style::Compacting {
            segment = compacted(held, &segment);
        }
        if slice || self.style == Style::Compacting {
            segments.clear();
        }
        segments.push(self.name);
        let pack = (packed != 0).then_some((self.name, packed));
        let mut uses = BTreeSet::from([Object::Segment(self.name)]);
        uses.extend(pack.map(|(name, _)| Object::Pack(name)));
        uses.extend(self.uploaded.filter(|_| reused != 0).map(|pack| Object::Pack(pack.pack)));
        let segment = (self.name, Rc::new(segment));
        Some(Rc::new(Plan {
            before: before.clone(),
            pack,
            segment,
            uses,
            emails: self.sees,
            segments,
            slice,
        }))
    }

    /// The newest snapshot's segments, read by way of the head alone, and those of the job's live chain.
    fn base(&self, before: &Seen, world: &World) -> Option<Vec<SegmentRef>> {
        let head = before.head();
        let mut segments = Vec::new();
        if head.snapshot != 0 {
            let snapshot = world.read(head.snapshot)?;
            let rewritten = match head.rewritten {
                0 => None,
                number => Some(world.read(number)?),
            };
            segments = newest_segments(&snapshot.entry, rewritten.as_ref().map(|seen| &seen.entry))?.to_vec();
        }
        let chain = before.state.progress.iter().filter(|(_, slice)| slice.job == self.job);
        segments.extend(chain.flat_map(|(_, slice)| slice.segments.clone()));
        Some(segments)
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
    pub(crate) fn kind(&self, job: String, backup_number: u64) -> Kind {
        let base = self.before.head().snapshot;
        let segments = self.segments.iter().copied().map(reference).collect();
        if self.slice {
            let last = self.before.state.progress.last().filter(|(_, slice)| slice.job == job);
            let previous = last.map_or(0, |(number, _)| *number);
            return Kind::Progress(Progress { base, previous, segments, job, ..Progress::default() });
        }
        let emails = self.emails.into();
        Kind::Snapshot(Snapshot { base, segments, emails, slot: job, backup_number, ..Snapshot::default() })
    }
}

/// A pack its writer uploaded before it lost; it may be used again unless an entry since then condemned it.
#[derive(Clone, Hash)]
pub(crate) struct Uploaded {
    pack: ObjectName,
    blobs: u8,
    since: u64,
}

impl Uploaded {
    pub(crate) fn by(plan: &Plan) -> Option<Uploaded> {
        let since = plan.before.number();
        plan.pack.map(|(pack, blobs)| Uploaded { pack, blobs, since })
    }

    pub(crate) fn pack(&self) -> (ObjectName, u8) {
        (self.pack, self.blobs)
    }

    pub(crate) fn doomed(&self, newest: &Seen, turn: &Turn<'_>) -> bool {
        let uses = BTreeSet::from([Object::Pack(self.pack)]);
        let mut since = (self.since + 1..=newest.number()).filter_map(|number| turn.world.read(number));
        !turn.rules.broken(Flaw::ReusesBlindly) && since.any(|seen| dooms(&seen.entry, &uses))
    }
}
