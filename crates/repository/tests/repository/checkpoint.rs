//! A checkpoint stands for everything before it.

use object_store::ObjectStoreExt;
use object_store::path::Path;
use repository::{Depth, Repository, Sizes};
use testkit::{CallKind, Decorated, Recording};

use crate::support::{SMALL, Site, assert_clean, backup, clock, mails};

const SIZES: Sizes = Sizes { checkpoint: 8, ..SMALL };

async fn nights(site: &Site, count: usize) -> Repository {
    let repository = site.open().await;
    for night in 0..count {
        let committed = backup(&repository, &mails(night, 4), &clock()).await.expect("commits");
        if committed.checkpoint_due {
            repository.checkpoint_if_due(&clock()).await.expect("writes");
        }
    }
    repository
}

/// `check` with `Depth::Data` folds all entries and compares each checkpoint; here over more than a hundred of them.
#[tokio::test]
async fn over_a_hundred_entries_the_state_by_checkpoint_is_the_full_fold() {
    let site = Site::new(SIZES);
    let repository = nights(&site, 100).await;
    let by_checkpoint = repository.snapshots().await.expect("lists");
    assert_eq!(by_checkpoint.len(), 100);
    assert_eq!(by_checkpoint.last().map(|info| info.number.0), Some(113));
    assert_clean(&repository, "checkpoints").await;
}

#[tokio::test]
async fn a_reader_starts_at_the_checkpoint() {
    let site = Site::new(SIZES);
    let remembered = nights(&site, 100).await.position();
    let recording = std::sync::Arc::new(Recording::default());
    let store = Decorated::new(site.inner.clone(), recording.clone());
    let repository = site.open_through(store, "r").await.expect("opens");
    repository.remember(remembered);
    recording.take();
    assert_eq!(repository.snapshots().await.expect("lists").len(), 100);
    let calls = recording.take();
    assert!(calls.requests() <= 13, "{calls:?}");
    assert_eq!(calls.count(CallKind::List), 0);
}

/// The one thing a checkpoint could hide: an entry before it that is gone.
#[tokio::test]
async fn an_old_entry_that_is_gone_is_found_although_no_reader_needs_it() {
    let site = Site::new(SIZES);
    let repository = nights(&site, 20).await;
    let entry = Path::from(format!("mailboxes/{}/log/{:020}", repository.dir(), 3));
    site.inner.delete(&entry).await.expect("deletes");
    assert_eq!(repository.snapshots().await.expect("lists").len(), 20);
    for depth in [Depth::Structure, Depth::Data] {
        let report = repository.check(None, depth).await.expect("checks");
        let [problem] = report.problems.as_slice() else {
            panic!("the checkpoints behind it are right: {report:?}")
        };
        assert!(problem.what.contains("log entry 3 is missing"), "{problem:?}");
        assert!(report.lacks_entries() && !report.is_harmful(), "{report:?}");
    }
}

#[tokio::test]
async fn the_backup_after_a_checkpoint_grows_from_the_snapshot_in_it() {
    let site = Site::new(SIZES);
    let repository = nights(&site, 7).await;
    let writer = repository.begin_snapshot(&clock()).await.expect("begins");
    assert_eq!(writer.base().expect("has a base").info().number.0, 8);
    backup(&repository, &mails(3, 9), &clock()).await.expect("commits");
    assert_eq!(crate::support::read(&repository, None).await.expect("reads"), mails(3, 9));
}
