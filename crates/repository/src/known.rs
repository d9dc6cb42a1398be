//! Which blobs a running backup need not store again.

use std::collections::BTreeSet;

use model::BlobId;

use crate::error::Result;
use crate::rows::Table;
use crate::snapshot::Snapshot;

/// After this many blobs were found in the base one by one, its whole index is read instead.
const LOOKUPS: usize = 2_000;

/// The first 96 bits of a keyed hash, so that a million of them take 12 MB. That two of a million are equal has a chance of
/// one in 10^17, and nobody without the key can look for such a pair.
type Fingerprint = [u8; 12];

/// A set in many short sorted lists: it grows a little at a time and is never copied as a whole.
pub(crate) struct Fingerprints(Vec<Vec<Fingerprint>>);

/// The blobs of this run and of the base snapshot.
#[derive(Default)]
pub(crate) struct KnownBlobs {
    fingerprints: Fingerprints,
    found_in_base: usize,
    base_loaded: bool,
}

impl KnownBlobs {
    /// Of the base just these are held.
    pub(crate) fn with(held: Fingerprints) -> KnownBlobs {
        KnownBlobs { fingerprints: held, found_in_base: 0, base_loaded: true }
    }

    /// Of these ids the ones that neither this run nor the base has; they count as known from now on.
    pub(crate) async fn claim(
        &mut self,
        ids: impl Iterator<Item = BlobId>,
        base: Option<&Snapshot>,
    ) -> Result<BTreeSet<BlobId>> {
        let mut unknown: BTreeSet<BlobId> =
            ids.filter(|id| !self.fingerprints.contains(&fingerprint(id))).collect();
        if let Some(base) = base.filter(|_| !self.base_loaded && !unknown.is_empty()) {
            let asked: Vec<BlobId> = unknown.iter().copied().collect();
            let found = base.places(&asked).await?;
            self.found_in_base += found.len();
            unknown.retain(|id| !found.contains_key(id));
            if self.found_in_base > LOOKUPS {
                self.load(base).await?;
            }
        }
        for id in &unknown {
            self.fingerprints.insert(fingerprint(id));
        }
        Ok(unknown)
    }

    async fn load(&mut self, base: &Snapshot) -> Result<()> {
        let mut blobs = base.table(Table::Blobs).await?;
        while let Some(found) = blobs.next_present().await? {
            if let Ok(id) = found.row.key.as_ref().try_into() {
                self.fingerprints.insert(fingerprint(&BlobId(id)));
            }
        }
        self.base_loaded = true;
        Ok(())
    }
}

fn fingerprint(id: &BlobId) -> Fingerprint {
    *id.0.first_chunk().expect("an id is longer")
}

impl Default for Fingerprints {
    fn default() -> Fingerprints {
        Fingerprints(vec![Vec::new(); 1 << 12])
    }
}

impl Fingerprints {
    /// The first twelve bits name the list.
    fn list_of(of: &Fingerprint) -> usize {
        usize::from(u16::from_be_bytes([of[0], of[1]]) >> 4)
    }

    fn contains(&self, of: &Fingerprint) -> bool {
        self.0[Fingerprints::list_of(of)].binary_search(of).is_ok()
    }

    pub(crate) fn has(&self, id: &BlobId) -> bool {
        self.contains(&fingerprint(id))
    }

    pub(crate) fn add(&mut self, id: &BlobId) {
        self.insert(fingerprint(id));
    }

    fn insert(&mut self, of: Fingerprint) {
        let list = &mut self.0[Fingerprints::list_of(&of)];
        if let Err(at) = list.binary_search(&of) {
            if list.len() == list.capacity() {
                // Doubling would leave half of it empty.
                list.reserve_exact(list.len() / 4 + 8);
            }
            list.insert(at, of);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_inserted_is_contained_and_nothing_else() {
        let all: Vec<Fingerprint> = (0..20_000u32)
            .map(|i| fingerprint(&BlobId(*blake3::hash(&i.to_be_bytes()).as_bytes())))
            .collect();
        let (present, absent) = all.split_at(10_000);
        let mut set = Fingerprints::default();
        present.iter().chain(present).for_each(|one| set.insert(*one));
        assert!(present.iter().all(|one| set.contains(one)));
        assert!(!absent.iter().any(|one| set.contains(one)));
        assert_eq!(set.0.iter().map(Vec::len).sum::<usize>(), present.len());
    }
}
