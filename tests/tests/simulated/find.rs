//! What is found is what the simulator held, in one snapshot and over all of them, and costs segments only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use engine::{FolderTree, Found, Selection, find};
use model::EmailRecord;
use repository::{Repository, Snapshot, SnapshotInfo};
use sim_stalwart::{Kinds, Sizes};
use testkit::recording::{Recorder, Recording};
use testkit::{CallKind, Decorated, seeds};

use crate::{Home, alice};

const QUERIES: [&str; 14] = [
    "",
    "from:bob",
    "FROM:zoe",
    "from:Zoé -has:attachment",
    "to:alice after:2018 before:2020-06",
    "subject:reunion",
    "\"Réunion d'équipe\"",
    "example.jp",
    "has:attachment",
    "folder:inbox",
    "-folder:inbox -subject:re",
    "in:inbox after:2020",
    "churn@example.com",
    "message-id:nobody@nowhere",
];

fn selection(query: &str) -> Selection {
    query.parse().expect("the query is understood")
}

async fn records(snapshot: &Snapshot) -> Vec<EmailRecord> {
    let mut emails = snapshot.emails().await.expect("emails are read");
    let mut records = Vec::new();
    while let Some(email) = emails.next().await.expect("emails are read") {
        records.push(email);
    }
    records
}

/// By id: the record in the newest snapshot in which it is meant, and all snapshots in which it is. Every row of every
/// snapshot is decoded and asked.
async fn slowly(
    repository: &Repository,
    snapshots: &[SnapshotInfo],
    selection: &Selection,
) -> BTreeMap<String, (EmailRecord, BTreeSet<u64>)> {
    let mut found = BTreeMap::<String, (EmailRecord, BTreeSet<u64>)>::new();
    for info in snapshots {
        let snapshot = repository.snapshot(Some(info.number)).await.expect("opens");
        let predicate = selection.among(&FolderTree::read(&snapshot).await.expect("folders are read"));
        for email in records(&snapshot).await.into_iter().filter(|email| predicate.matches(email)) {
            let known = found.entry(email.id.to_string()).or_insert((email.clone(), BTreeSet::new()));
            known.0 = email;
            known.1.insert(info.number.0);
        }
    }
    found
}

/// The whole answer against the slow one, and a short answer against the whole.
async fn compared(repository: &Repository, snapshots: &[SnapshotInfo], query: &str) -> u64 {
    let selection = selection(query);
    let expected = slowly(repository, snapshots, &selection).await;
    let Found { hits, total } = find(repository, snapshots, &selection, usize::MAX).await.expect("finds");
    assert_eq!((hits.len(), total), (expected.len(), expected.len() as u64), "{query}");
    let numbers: Vec<u64> = snapshots.iter().map(|info| info.number.0).collect();
    for hit in &hits {
        let (email, meant_in) = &expected[hit.email.id.as_str()];
        assert_eq!(hit.email, *email, "{query}");
        let of = |number: &&u64| {
            hit.snapshots.iter().any(|range| (range.start().0..=range.end().0).contains(number))
        };
        let said: BTreeSet<u64> = numbers.iter().filter(of).copied().collect();
        assert_eq!(said, *meant_in, "{query}: {hit:?}");
    }
    let order = |hit: &engine::Hit| (hit.email.received_at, hit.email.id.clone());
    assert!(hits.is_sorted_by(|a, b| order(a) > order(b)), "{query}: not newest first");
    let few = find(repository, snapshots, &selection, 7).await.expect("finds");
    assert_eq!((few.total, few.hits.as_slice()), (total, &hits[..hits.len().min(7)]), "{query}");
    total
}

/// Nights with mail, moves, flags, deletions, folders renamed and removed.
async fn lived(seed: u64, emails: u32) -> (Home, Repository, Vec<SnapshotInfo>) {
    let home = Home::of(alice(emails)).await;
    home.backup().await;
    for night in 0..6 {
        home.alice.mutate(30, seed * 100 + night, Kinds::All);
        home.backup().await;
    }
    let (repository, _) = home.bed.newest(&home.url).await;
    let snapshots = repository.snapshots().await.expect("lists");
    (home, repository, snapshots)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_found_in_one_snapshot_and_in_all_is_what_asking_every_row_finds() {
    for seed in seeds() {
        let (home, repository, snapshots) = lived(seed, 200).await;
        println!("seed {seed}: {} snapshots", snapshots.len());
        let mut found = 0;
        for query in QUERIES {
            for some in [&snapshots[..], &snapshots[2..3], &snapshots[6..], &snapshots[1..6]] {
                found += compared(&repository, some, query).await;
            }
        }
        assert!(found > 1_000, "{found}: the queries find nothing");
        let newest = find(&repository, &snapshots[6..], &selection(""), 1).await.expect("finds");
        assert_eq!(newest.total, home.alice.email_count() as u64, "seed {seed}");
    }
}

/// An email, its folders, and the snapshots from the first on.
type Expected<'a> = (&'a str, &'a str, &'a [(u64, u64)]);

/// The folder is called so in some of the snapshots only.
#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_folder_is_looked_for_by_the_name_it_had() {
    let home = Home::of(alice(50)).await;
    let folder = home.alice.create_folder("Plans/secret", None);
    let inside = home.alice.create_folder("2025", Some(&folder));
    let id = home.alice.deliver("Subject: the plan\r\n\r\n.", &[&inside], &[]);
    home.good_backup().await;
    home.alice.rename_folder(&folder, "Ideas");
    home.good_backup().await;
    let other = home.alice.deliver("Subject: the idea\r\n\r\n.", &[&inside], &[]);
    home.good_backup().await;
    home.alice.destroy(&other);
    home.good_backup().await;
    let (repository, _) = home.bed.newest(&home.url).await;
    let snapshots = repository.snapshots().await.expect("lists");
    let first = snapshots[0].number.0;
    let check = async |query: &str, expected: &[Expected<'_>]| {
        let found = find(&repository, &snapshots, &selection(query), 10).await.expect("finds");
        let mut said: Vec<_> = found
            .hits
            .iter()
            .map(|hit| {
                let ranges: Vec<_> = hit
                    .snapshots
                    .iter()
                    .map(|range| (range.start().0 - first, range.end().0 - first))
                    .collect();
                (hit.email.id.to_string(), hit.folders.join(", "), ranges)
            })
            .collect();
        said.sort();
        let mut expected: Vec<_> = expected
            .iter()
            .map(|(id, folder, ranges)| ((*id).to_owned(), (*folder).to_owned(), ranges.to_vec()))
            .collect();
        expected.sort();
        assert_eq!(said, expected, "{query}");
    };
    check("folder:Plans\\/secret", &[(&id, "Plans\\/secret/2025", &[(0, 0)])]).await;
    check("folder:ideas", &[(&id, "Ideas/2025", &[(1, 3)]), (&other, "Ideas/2025", &[(2, 2)])]).await;
    check("in:ideas", &[]).await;
    check("subject:\"the plan\" -folder:Ideas", &[(&id, "Plans\\/secret/2025", &[(0, 0)])]).await;
    check("subject:\"the plan\"", &[(&id, "Ideas/2025", &[(0, 3)])]).await;
    let error = find(&repository, &snapshots, &selection("folder:Nowhere"), 1).await.expect_err("is refused");
    assert!(error.to_string().contains("Ideas/2025"), "{error}");
}

/// The repository of this home seen through a store that writes every call down.
async fn recorded(home: &Home) -> (Repository, Arc<Recording>) {
    let recording = Arc::new(Recording::default());
    let bed = home.bed.moved_to(Decorated::new(home.bed.objects.clone(), recording.clone()));
    let (repository, _) = bed.newest(&home.url).await;
    (repository, recording)
}

fn only_segments(calls: &Recorder) {
    assert_eq!(calls.on("/segments/").count(CallKind::Range), calls.requests(), "{calls:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn finding_among_100_000_emails_reads_each_segment_once_and_no_pack() {
    let home = Home::of(alice(100_000).sizes(Sizes::tiny())).await;
    home.backup().await;
    for night in 0..3 {
        home.alice.mutate(200, night, Kinds::Emails);
        home.backup().await;
    }
    let (repository, recording) = recorded(&home).await;
    let snapshots = repository.snapshots().await.expect("lists");
    let mut costs = Vec::new();
    for some in [&snapshots[3..], &snapshots[..]] {
        recording.take();
        let started = std::time::Instant::now();
        let found =
            find(&repository, some, &selection("from:bob subject:e before:2020"), 50).await.expect("finds");
        assert!(found.total > 1_000 && found.hits.len() == 50, "{}", found.total);
        let calls = recording.take();
        println!(
            "{} of 100,000 in {} snapshots: {:?}, {} requests, {} bytes",
            found.total,
            some.len(),
            started.elapsed(),
            calls.requests(),
            calls.received()
        );
        only_segments(&calls);
        let stored: u64 = snapshots.iter().map(|info| info.stored_bytes).sum();
        assert!(calls.received() < stored, "{} of {stored} bytes", calls.received());
        costs.push((calls.requests() as u64, calls.received()));
    }
    let [one, all] = costs[..] else { panic!("two were measured") };
    assert!(all.0 <= one.0 + 30 && all.1 <= one.1 * 11 / 10, "all snapshots {all:?}, one {one:?}");
}
