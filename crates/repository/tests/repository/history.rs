//! Many snapshots read at once say what each of them says alone, and each segment is read once.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{DataType, EmailRecord};
use proptest::prelude::*;
use repository::{Repository, Sizes, SnapshotInfo};
use testkit::{Decorated, Recording};

use crate::support::{Mailbox, SMALL, Site, backup, clock, folder, mails, noise};

/// By place of the snapshot and id.
type Rows = BTreeMap<(usize, String), EmailRecord>;

async fn one_by_one(repository: &Repository, snapshots: &[SnapshotInfo]) -> Rows {
    let mut rows = Rows::new();
    for (place, info) in snapshots.iter().enumerate() {
        let snapshot = repository.snapshot(Some(info.number)).await.expect("opens");
        let mut emails = snapshot.emails().await.expect("reads");
        while let Some(email) = emails.next().await.expect("reads") {
            rows.insert((place, email.id.to_string()), email);
        }
    }
    rows
}

async fn at_once(
    repository: &Repository,
    snapshots: &[SnapshotInfo],
    wanted: impl Fn(&str) -> bool + Send + Sync + 'static,
) -> Rows {
    let history = repository.history(snapshots).await.expect("opens");
    let mut emails = history.emails(move |email| wanted(email.subject));
    let (mut rows, mut last) = (Rows::new(), String::new());
    while let Some(versions) = emails.next().await.expect("reads") {
        let id = versions[0].row().expect("a row").id.to_owned();
        assert!(last < id, "{last} before {id}");
        for version in &versions {
            assert!(version.snapshots.is_sorted() && !version.snapshots.is_empty());
            for place in version.snapshots.iter() {
                let record = version.record().expect("a record");
                assert_eq!(rows.insert((*place, id.clone()), record), None, "{id} twice in {place}");
            }
        }
        last = id;
    }
    rows
}

/// Every night some emails are gone, some have other bytes, some are new.
fn night(mailbox: &mut Mailbox, number: usize, changes: usize) {
    mailbox.extend(mails(20_000 + number, 1));
    let ids: Vec<String> = mailbox.keys().cloned().collect();
    for change in 0..changes {
        let seed = number * 1_000 + change;
        let id = &ids[seed * 7_919 % ids.len()];
        match seed % 3 {
            0 => drop(mailbox.remove(id)),
            1 => drop(mailbox.insert(id.clone(), noise(seed as u64, 50 + seed % 90))),
            _ => mailbox.extend(mails(10_000 + seed, 1)),
        }
    }
}

async fn nights(site: &Site, emails: usize, changes: &[usize]) -> (Repository, Vec<SnapshotInfo>) {
    let repository = site.open().await;
    let mut mailbox = mails(0, emails);
    backup(&repository, &mailbox, &clock()).await.expect("commits");
    for (number, changes) in changes.iter().enumerate() {
        night(&mut mailbox, number, *changes);
        backup(&repository, &mailbox, &clock()).await.expect("commits");
    }
    let snapshots = repository.snapshots().await.expect("lists");
    (repository, snapshots)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn all_snapshots_at_once_are_all_snapshots_one_by_one(
        emails in 1usize..200,
        changes in proptest::collection::vec(0usize..60, 1..12),
        from in 0usize..4,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let (repository, snapshots) = nights(&Site::new(SMALL), emails, &changes).await;
            let some = &snapshots[from.min(snapshots.len() - 1)..];
            let expected = one_by_one(&repository, some).await;
            assert_eq!(at_once(&repository, some, |_| true).await, expected);
            let odd = |subject: &str| subject.ends_with(['1', '3', '5', '7', '9']);
            let expected: Rows =
                expected.into_iter().filter(|(_, email)| odd(&email.envelope.subject)).collect();
            assert_eq!(at_once(&repository, some, odd).await, expected);
        });
    }
}

#[tokio::test]
async fn objects_of_a_type_come_with_their_snapshots() {
    let (repository, snapshots) = nights(&Site::new(SMALL), 100, &[20, 0, 30]).await;
    let history = repository.history(&snapshots).await.expect("opens");
    let folders = history.objects_of(DataType::Mailbox).await.expect("reads");
    let [(object, places)] = folders.as_slice() else { panic!("{folders:?}") };
    assert_eq!((object, &places[..]), (&folder("inbox"), &[0, 1, 2, 3][..]));
    assert!(history.objects_of(DataType::Identity).await.expect("reads").is_empty());
}

#[tokio::test]
async fn each_segment_is_read_once_however_many_snapshots_have_it() {
    let site = Site::new(Sizes { block: 512, ..Sizes::default() });
    nights(&site, 2_000, &[30; 20]).await;
    let recording = Arc::new(Recording::default());
    let store = Decorated::new(site.inner.clone(), recording.clone());
    let repository = site.open_through(store, "r").await.expect("opens");
    let snapshots = repository.snapshots().await.expect("lists");
    recording.take();
    let rows = at_once(&repository, &snapshots, |_| true).await;
    let calls = recording.take();
    assert!(rows.len() > 20 * 1_900);
    let paths: std::collections::BTreeSet<_> = calls.0.iter().map(|call| &call.path).collect();
    assert!(paths.iter().all(|path| path.as_ref().contains("/segments/")), "{paths:?}");
    assert_eq!(calls.requests(), paths.len(), "these segments are short: one request each");
}

#[tokio::test]
async fn only_what_two_snapshots_do_not_share_may_differ() {
    let (repository, snapshots) = nights(&Site::new(SMALL), 300, &[25, 40, 10]).await;
    for (a, b) in [(0, 1), (1, 2), (0, 3), (3, 0)] {
        let differing = repository.differing(&snapshots[a], &snapshots[b]).await.expect("opens");
        let mut keys = differing.emails();
        let mut ids = Vec::new();
        loop {
            let more = keys.next_emails(10).await.expect("reads");
            if more.is_empty() {
                break;
            }
            ids.extend(more.into_iter().map(String::from));
        }
        assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
        let rows = [a, b].map(|at| std::slice::from_ref(&snapshots[at]));
        let [was, now] = [one_by_one(&repository, rows[0]).await, one_by_one(&repository, rows[1]).await];
        let all = was.keys().chain(now.keys());
        for key in all.filter(|key| was.get(*key) != now.get(*key)) {
            assert!(ids.binary_search(&key.1).is_ok(), "{key:?} differs between {a} and {b}");
        }
    }
    let same = repository.differing(&snapshots[1], &snapshots[1]).await.expect("opens");
    assert!(same.emails().next_emails(10).await.expect("reads").is_empty());
}
