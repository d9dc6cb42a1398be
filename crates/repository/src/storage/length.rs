//! How long an object on the store has to be.

use std::collections::BTreeMap;

use super::layout::ObjectName;

/// What is known of an object's length, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    Exactly(u64),
    /// Of a pack that a segment of format 1 names, or one merged from such segments.
    AtLeast(u64),
}

impl Length {
    pub(crate) fn admits(self, found: u64) -> bool {
        match self {
            Length::Exactly(length) => found == length,
            Length::AtLeast(length) => found >= length,
        }
    }

    /// So many bytes have to be there.
    pub(crate) fn least(self) -> u64 {
        match self {
            Length::Exactly(length) | Length::AtLeast(length) => length,
        }
    }
}

/// Packs and how long they are.
pub(crate) type PackLengths = BTreeMap<ObjectName, u64>;

/// Frames, packs and footers are cut far below 4 GiB.
pub(crate) fn narrow(length: usize) -> u32 {
    u32::try_from(length).expect("lengths inside a pack stay below 4 GiB")
}
