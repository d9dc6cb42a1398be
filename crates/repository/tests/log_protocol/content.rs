//! What packs and segments hold, reduced to bits: email *i* is bit *i*, its blob has the same number.

use std::collections::{BTreeMap, BTreeSet};

use proto::repository::SegmentRef;
use repository::ObjectName;
use repository::log::fold::segment_name;

use crate::world::World;

/// Rows of the tables of emails and blobs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Segment {
    pub(crate) emails: u8,
    pub(crate) gone: u8,
    /// Blob → pack.
    pub(crate) blobs: BTreeMap<u8, ObjectName>,
}

impl Segment {
    /// What the footer names.
    pub(crate) fn packs(&self) -> BTreeSet<ObjectName> {
        self.blobs.values().copied().collect()
    }

    /// One segment instead of this one and a newer one.
    pub(crate) fn merged(mut self, newer: &Segment) -> Segment {
        self.emails = (self.emails & !newer.gone) | newer.emails;
        self.gone = (self.gone | newer.gone) & !self.emails;
        self.blobs.extend(&newer.blobs);
        self
    }
}

/// The tables that segments, oldest first, add up to.
#[derive(Debug, Clone, Hash, Default)]
pub(crate) struct Tables {
    pub(crate) emails: u8,
    pub(crate) blobs: BTreeMap<u8, ObjectName>,
}

impl Tables {
    pub(crate) fn add(&mut self, segment: &Segment) {
        self.emails = (self.emails & !segment.gone) | segment.emails;
        self.blobs.extend(&segment.blobs);
    }

    /// `None` when a segment is missing.
    pub(crate) fn read(world: &World, segments: &[SegmentRef]) -> Option<Tables> {
        let mut tables = Tables::default();
        for segment in segments {
            tables.add(world.segments().get(&segment_name(segment)?)?);
        }
        Some(tables)
    }

    /// The emails that cannot be read: no row says where the blob is, or its pack is not there or does not hold it.
    pub(crate) fn unreadable(&self, packs: &BTreeMap<ObjectName, u8>) -> u8 {
        let readable = bits(self.emails).filter(|email| {
            let held = self.blobs.get(email).and_then(|pack| packs.get(pack));
            held.is_some_and(|held| held & (1 << email) != 0)
        });
        self.emails & !readable.fold(0, |all, email| all | 1 << email)
    }
}

pub(crate) fn bits(set: u8) -> impl Iterator<Item = u8> {
    (0..8).filter(move |bit| set & (1 << bit) != 0)
}

/// A name nobody else uses: by process, by its how-manieth upload.
pub(crate) fn name(process: u8, serial: u8) -> ObjectName {
    let mut name = [0; 16];
    name[..2].copy_from_slice(&[process, serial]);
    ObjectName(name)
}

pub(crate) fn reference(segment: ObjectName) -> SegmentRef {
    SegmentRef { name: segment.0.to_vec().into(), ..SegmentRef::default() }
}
