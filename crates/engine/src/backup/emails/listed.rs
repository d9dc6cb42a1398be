//! What a full listing remembers of each email: its id and how long the bytes were that came for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::EmailId;

use crate::server::listing::IdList;

/// Ids of a listing with lengths beside them.
pub(crate) struct Listed {
    pub(crate) ids: Arc<IdList>,
    lengths: Vec<u32>,
    /// Lengths that do not fit.
    long: BTreeMap<usize, u64>,
}

/// Nothing was stored for this email in this run.
const ABSENT: u32 = u32::MAX;
/// It is among the long ones.
const LONG: u32 = u32::MAX - 1;

impl Listed {
    pub(crate) fn new(ids: Arc<IdList>) -> Listed {
        Listed { lengths: vec![ABSENT; ids.len()], ids, long: BTreeMap::new() }
    }

    pub(crate) fn note(&mut self, id: &EmailId, length: u64) {
        let Some(at) = self.ids.position(id.as_str()) else { return };
        self.lengths[at] = match u32::try_from(length) {
            Ok(length) if length < LONG => length,
            _ => {
                self.long.insert(at, length);
                LONG
            }
        };
    }

    /// Length of what was stored for an email in this run.
    pub(crate) fn length_at(&self, at: usize) -> Option<u64> {
        match self.lengths[at] {
            ABSENT => None,
            LONG => self.long.get(&at).copied(),
            length => Some(length.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_any_size_are_kept() {
        let mut ids = IdList::default();
        ["a", "b", "c", "d"].into_iter().for_each(|id| ids.push(id));
        let mut listed = Listed::new(Arc::new(ids));
        let lengths = [("a", 7), ("b", u64::from(u32::MAX) - 1), ("c", 1 << 40), ("nobody", 1)];
        lengths.iter().for_each(|(id, length)| listed.note(&EmailId::from(*id), *length));
        let found: Vec<Option<u64>> = (0..4).map(|at| listed.length_at(at)).collect();
        assert_eq!(found, [Some(7), Some(u64::from(u32::MAX) - 1), Some(1 << 40), None]);
    }
}
