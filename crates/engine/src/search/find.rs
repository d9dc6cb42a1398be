//! Finds emails in one snapshot or in many at once.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::ops::RangeInclusive;

use futures::future::BoxFuture;
use model::{DataType, EmailRecord, SnapshotNumber};
use repository::{EmailVersion, History, Repository, SnapshotInfo};

use crate::error::Result;
use crate::search::folders::FolderTree;
use crate::search::selection::{Predicate, Selection};

/// An email that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// As it is in the newest snapshot in which it is meant.
    pub email: EmailRecord,
    /// Paths of its folders in that snapshot.
    pub folders: Vec<String>,
    /// The snapshots in which it is meant, oldest first; between the two ends of a range it is meant in all that were asked.
    pub snapshots: Vec<RangeInclusive<SnapshotNumber>>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The newest ones, newest first.
    pub hits: Vec<Hit>,
    /// How many there are in all.
    pub total: u64,
}

/// The emails that a selection means in any of these snapshots (of one mailbox, oldest first): the `limit` newest by
/// `receivedAt`, each once, and how many there are. Reads each segment once and no pack; memory follows `limit`.
pub fn find<'a>(
    repository: &'a Repository,
    snapshots: &'a [SnapshotInfo],
    selection: &'a Selection,
    limit: usize,
) -> BoxFuture<'a, Result<Found>> {
    Box::pin(find_in(repository, snapshots, selection, limit))
}

async fn find_in(
    repository: &Repository,
    snapshots: &[SnapshotInfo],
    selection: &Selection,
    limit: usize,
) -> Result<Found> {
    let history = repository.history(snapshots).await?;
    let views = Views::read(&history, snapshots.len()).await?;
    if let Some(path) = selection.missing_folder(&views.trees) {
        return Err(views.newest().lacks(path));
    }
    let exact = if selection.names_folders() && views.trees.len() > 1 {
        views.trees.iter().map(|tree| selection.among(tree)).collect()
    } else {
        Vec::new()
    };
    let wanted = selection.among_any(&views.trees);
    let mut emails = history.emails(move |email| wanted.matches_row(email));
    let mut newest = Newest { limit, heap: BinaryHeap::new(), total: 0 };
    while let Some(mut versions) = emails.next().await? {
        if !exact.is_empty() {
            versions = views.meant(versions, &exact)?;
        }
        newest.add(&versions)?;
    }
    let total = newest.total;
    let hit = |ranked: Ranked| views.hit(ranked, snapshots);
    Ok(Found { hits: newest.into_sorted().map(hit).collect(), total })
}

/// The folder trees of the snapshots, equal ones once.
struct Views {
    trees: Vec<FolderTree>,
    /// Per snapshot: its tree.
    of: Vec<usize>,
}

impl Views {
    async fn read(history: &History, snapshots: usize) -> Result<Views> {
        let folders = history.objects_of(DataType::Mailbox).await?;
        // Snapshots with the same rows have the same sum of these.
        let mut sums = vec![0_u64; snapshots];
        for (number, (_, places)) in (1_u64..).zip(&folders) {
            places.iter().for_each(|place| sums[*place] = sums[*place].wrapping_add(scrambled(number)));
        }
        let mut views = Views { trees: Vec::new(), of: Vec::new() };
        let mut known = HashMap::new();
        for (place, sum) in sums.into_iter().enumerate() {
            let tree = *known.entry(sum).or_insert_with(|| {
                let present = folders.iter().filter(|(_, places)| places.binary_search(&place).is_ok());
                views.trees.push(FolderTree::of(present.map(|(folder, _)| folder)));
                views.trees.len() - 1
            });
            views.of.push(tree);
        }
        Ok(views)
    }

    /// Of each version only the snapshots in whose folder tree it is meant.
    fn meant(&self, versions: Vec<EmailVersion>, exact: &[Predicate]) -> Result<Vec<EmailVersion>> {
        let mut meant = Vec::new();
        for mut version in versions {
            let row = version.row()?;
            let by_tree: Vec<bool> = exact.iter().map(|predicate| predicate.matches_row(&row)).collect();
            let places = version.snapshots.iter().copied().filter(|place| by_tree[self.of[*place]]);
            version.snapshots = places.collect();
            if !version.snapshots.is_empty() {
                meant.push(version);
            }
        }
        Ok(meant)
    }

    fn hit(&self, ranked: Ranked, snapshots: &[SnapshotInfo]) -> Hit {
        let Ranked { email, places, .. } = ranked;
        let tree = places.last().map(|place| &self.trees[self.of[*place]]);
        let path = |id| tree.and_then(|tree| tree.path(id)).unwrap_or_else(|| id.to_string());
        let runs = places.chunk_by(|a, b| a + 1 == *b);
        let number = |place: usize| snapshots[place].number;
        Hit {
            folders: email.folders.iter().map(path).collect(),
            email,
            snapshots: runs.map(|run| number(run[0])..=number(run[run.len() - 1])).collect(),
        }
    }

    fn newest(&self) -> FolderTree {
        self.of.last().map(|tree| self.trees[*tree].clone()).unwrap_or_default()
    }
}

/// Spreads numbers over all of `u64` (the finaliser of splitmix64).
fn scrambled(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The newest emails so far, the oldest of them on top.
struct Newest {
    limit: usize,
    heap: BinaryHeap<Reverse<Ranked>>,
    total: u64,
}

/// Ordered by date, then id.
struct Ranked {
    email: EmailRecord,
    /// Places of the snapshots in which it is meant, ascending.
    places: Vec<usize>,
}

impl Newest {
    /// One email; its versions may be none.
    fn add(&mut self, versions: &[EmailVersion]) -> Result<()> {
        let Some(version) = versions.iter().max_by_key(|version| version.snapshots.last()) else {
            return Ok(());
        };
        self.total += 1;
        let row = version.row()?;
        let full = self.heap.len() >= self.limit;
        if full && self.heap.peek().is_none_or(|Reverse(last)| (row.received_at, row.id) <= last.rank()) {
            return Ok(());
        }
        let mut places: Vec<usize> = versions.iter().flat_map(|one| one.snapshots.iter().copied()).collect();
        places.sort_unstable();
        self.heap.push(Reverse(Ranked { email: version.record()?, places }));
        if full {
            self.heap.pop();
        }
        Ok(())
    }

    /// Newest first.
    fn into_sorted(self) -> impl Iterator<Item = Ranked> {
        self.heap.into_sorted_vec().into_iter().map(|Reverse(ranked)| ranked)
    }
}

impl Ranked {
    fn rank(&self) -> (i64, &str) {
        (self.email.received_at, self.email.id.as_str())
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Ranked) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Ranked) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Ranked) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for Ranked {}
