//! Finding the end of the log: with what is remembered and without, around damage, and never over another history.

use std::sync::Arc;

use bytes::Bytes;
use model::LogPosition;
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use repository::{Error, HistoryFault, Repository};

use crate::support::{SMALL, Site, backup, clock, mails, paths, read};

/// Nights, and where the log stood after each of them.
async fn nights(site: &Site, from: usize, to: usize) -> Vec<LogPosition> {
    let repository = site.open().await;
    let mut positions = Vec::new();
    for night in from..to {
        positions.push(backup(&repository, &mails(night, 3), &clock()).await.expect("commits").at);
    }
    positions
}

/// Another store with the same objects.
async fn copied(site: &Site) -> Site {
    let inner = Arc::new(InMemory::new());
    for (path, _) in paths(site.inner.as_ref()).await {
        let bytes = site.inner.get(&path).await.expect("gets").bytes().await.expect("reads");
        inner.put(&path, bytes.into()).await.expect("puts");
    }
    Site { inner, ring: site.ring.clone(), sizes: site.sizes, remembered: None }
}

fn entry(repository: &Repository, number: u64) -> Path {
    Path::from(format!("mailboxes/{}/log/{number:020}", repository.dir()))
}

fn fault(error: &Error) -> Option<HistoryFault> {
    match error {
        Error::History { fault, .. } => Some(*fault),
        _ => None,
    }
}

#[tokio::test]
async fn whatever_is_remembered_of_it_the_newest_entry_is_found() {
    let site = Site::new(SMALL);
    let positions = nights(&site, 0, 30).await;
    for remembered in positions.iter().copied().map(Some).chain([None]) {
        let repository = site.open().await;
        repository.remember(remembered);
        let writer = repository.begin_snapshot(&clock()).await.expect("begins");
        assert_eq!(writer.base().map(|base| base.info().number.0), Some(31), "{remembered:?}");
        assert_eq!(repository.position(), positions.last().copied());
    }
}

#[tokio::test]
async fn a_store_that_was_rolled_back_forked_or_merged_is_noticed_until_it_is_accepted() {
    let site = Site::new(SMALL);
    let early = nights(&site, 0, 5).await;
    let old = copied(&site).await;
    let late = nights(&site, 5, 9).await;
    let fork = copied(&old).await;
    nights(&fork, 20, 24).await;
    // Two forks put together: the first entry of one, the others of the other.
    let merged = copied(&fork).await;
    let repository = site.open().await;
    let first = entry(&repository, early[4].number + 1);
    let bytes = site.inner.get(&first).await.expect("gets").bytes().await.expect("reads");
    merged.inner.put(&first, bytes.into()).await.expect("puts");

    let empty = Site { ring: site.ring.clone(), ..Site::new(SMALL) };
    let cases = [
        (&old, Some(late[3]), HistoryFault::RolledBack),
        (&fork, Some(late[3]), HistoryFault::Forked),
        (&fork, Some(late[0]), HistoryFault::Forked),
        (&merged, Some(early[4]), HistoryFault::Merged),
        (&merged, None, HistoryFault::Merged),
        (&empty, Some(early[4]), HistoryFault::RolledBack),
    ];
    for (site, remembered, expected) in cases {
        let repository = site.open().await;
        repository.remember(remembered);
        let what = format!("{expected:?} behind {remembered:?}");
        // Without anything remembered only whoever reads the whole log can tell.
        if remembered.is_some() {
            let begun = repository.begin_snapshot(&clock()).await.err();
            assert_eq!(begun.as_ref().and_then(fault), Some(expected), "{what}");
        }
        let listed = repository.listing().await.expect_err(&what);
        assert_eq!(fault(&listed), Some(expected), "{what}");
        assert!(listed.to_string().contains("the store was rolled back"), "{listed}");
        if paths(site.inner.as_ref()).await.len() < 5 {
            continue;
        }
        let site = copied(site).await;
        let repository = site.open().await;
        repository.remember(remembered);
        let accepted = repository.accept_history(&clock()).await.expect(&what);
        assert_eq!(repository.position(), Some(accepted), "{what}");
        backup(&repository, &mails(40, 3), &clock()).await.expect(&what);
        assert_eq!(read(&repository, None).await.expect(&what), mails(40, 3), "{what}");
        let again = site.open().await;
        again.remember(Some(accepted));
        again.listing().await.expect(&what);
    }
}

#[tokio::test]
async fn an_entry_that_is_lost_or_damaged_takes_no_other_snapshot_along() {
    for damage in [None, Some(Bytes::from_static(b"MALLEL")), Some(Bytes::from(vec![7; 400]))] {
        for number in 1..=8 {
            let site = Site::new(SMALL);
            let positions = nights(&site, 0, 7).await;
            let repository = site.open().await;
            let path = entry(&repository, number);
            match &damage {
                None => site.inner.delete(&path).await.expect("deletes"),
                Some(bytes) => drop(site.inner.put(&path, bytes.clone().into()).await.expect("puts")),
            }
            let what = format!("entry {number}, {damage:?}");
            let repository = site.open().await;
            // Whoever remembers the last entry takes its absence for what it is.
            if number < 8 {
                repository.remember(positions.last().copied());
            }
            let listing = repository.listing().await.expect(&what);
            let kept: Vec<u64> = listing.snapshots.iter().map(|info| info.number.0).collect();
            let expected: Vec<u64> = (2..=8).filter(|n| *n != number).collect();
            assert_eq!(kept, expected, "{what}");
            // Entry 1 lies twice. The last one alone cannot be missed by who remembers nothing.
            let is_seen = number > 1 && !(number == 8 && damage.is_none());
            assert_eq!(listing.unreadable.contains(&number), is_seen, "{what}");
            for info in &listing.snapshots {
                let night = usize::try_from(info.number.0 - 2).expect("a small number");
                assert_eq!(
                    read(&repository, Some(info.number)).await.expect(&what),
                    mails(night, 3),
                    "{what}"
                );
            }
            backup(&repository, &mails(50, 4), &clock()).await.expect(&what);
            assert_eq!(read(&repository, None).await.expect(&what), mails(50, 4), "{what}");
        }
    }
}

/// A writer that remembers an entry before a hole goes on behind the end of the log, not in the hole.
#[tokio::test]
async fn one_lost_entry_is_a_hole_and_not_the_end() {
    let site = Site::new(SMALL);
    let positions = nights(&site, 0, 4).await;
    let repository = site.open().await;
    site.inner.delete(&entry(&repository, 4)).await.expect("deletes");
    repository.remember(Some(positions[1]));
    let committed = backup(&repository, &mails(30, 3), &clock()).await.expect("commits");
    assert_eq!(committed.number.0, 6);
    let listing = repository.listing().await.expect("lists");
    assert_eq!(listing.unreadable, [4].into());
    assert_eq!(read(&repository, None).await.expect("reads"), mails(30, 3));
}
