//! Which blobs a running backup need not store again.

use std::collections::{BTreeSet, HashSet};

use model::BlobId;

use crate::error::Result;
use crate::rows::Table;
use crate::snapshot::Snapshot;

/// Fingerprints gathered before they are sorted in with the others.
const RECENT: usize = 1 << 16;
/// After this many blobs were found in the base one by one, its whole index is read instead.
const LOOKUPS: usize = 2_000;

/// Half of a blob id: 128 bits of a keyed hash, so that a million of them take 16 MB.
type Fingerprint = [u8; 16];

/// The blobs of this run and of the base snapshot.
#[derive(Default)]
pub(crate) struct KnownBlobs {
    recent: HashSet<Fingerprint>,
    sorted: Vec<Fingerprint>,
    found_in_base: usize,
    base_loaded: bool,
}

impl KnownBlobs {
    /// Of these ids the ones that neither this run nor the base has; they count as known from now on.
    pub(crate) async fn claim(
        &mut self,
        ids: impl Iterator<Item = BlobId>,
        base: Option<&Snapshot>,
    ) -> Result<BTreeSet<BlobId>> {
        let mut unknown: BTreeSet<BlobId> = ids.filter(|id| !self.contains(id)).collect();
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
            self.insert(id);
        }
        Ok(unknown)
    }

    fn contains(&self, id: &BlobId) -> bool {
        let fingerprint = fingerprint(id);
        self.recent.contains(&fingerprint) || self.sorted.binary_search(&fingerprint).is_ok()
    }

    fn insert(&mut self, id: &BlobId) {
        self.recent.insert(fingerprint(id));
        if self.recent.len() >= RECENT {
            self.sorted.reserve_exact(self.recent.len());
            self.sorted.extend(self.recent.drain());
            self.sorted.sort_unstable();
        }
    }

    async fn load(&mut self, base: &Snapshot) -> Result<()> {
        let mut blobs = base.table(Table::Blobs).await?;
        while let Some(found) = blobs.next_present().await? {
            if let Ok(id) = found.row.key.as_ref().try_into() {
                self.insert(&BlobId(id));
            }
        }
        self.base_loaded = true;
        Ok(())
    }
}

fn fingerprint(id: &BlobId) -> Fingerprint {
    let mut half = [0; 16];
    half.copy_from_slice(&id.0[..16]);
    half
}
