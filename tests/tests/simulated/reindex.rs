//! Rows that an earlier version wrote come right, by backups that list everything and by a reindex, without the mail server.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::{Error, Reindex, Reindexed, Report, Silent, Slice};
use model::{Envelope, ErrorClass, SystemClock};
use object_store::ObjectStore;
use repository::{Depth, Repository, Sizes as Lengths};
use sim_stalwart::{Kinds, Sizes};
use testkit::failing::{Fault, Moment, Span};
use testkit::{Decorated, Failing, Recording, Shaken, stride};
use tests::{Bed, assert_is_now, envelopes, outdate, seeds};
use tokio_util::sync::CancellationToken;

use crate::crash::{SMALL, copy};
use crate::{Home, alice};

pub(crate) async fn repository(bed: &Bed, url: &str) -> Repository {
    let client = bed.client(url).await.expect("connects");
    let account = bed.account(&client).await.expect("exists");
    bed.repository(&account, "reindexer").await.expect("opens")
}

pub(crate) async fn reindex(repository: &Repository) -> Result<Reindexed, Error> {
    reindex_in_pieces(repository, u64::MAX).await
}

async fn reindex_in_pieces(repository: &Repository, piece: u64) -> Result<Reindexed, Error> {
    engine::reindex(repository, &Reindex { piece, progress: &Silent, clock: &SystemClock }).await
}

/// What a first backup of the same mailbox reads.
pub(crate) async fn right(home: &Home) -> BTreeMap<String, Envelope> {
    let fresh = Bed::new(crate::ALICE, crate::PASSWORD);
    fresh.backup(&home.url).await.expect("backs up");
    envelopes(&fresh.newest(&home.url).await.1).await
}

async fn now(bed: &Bed, url: &str) -> BTreeMap<String, Envelope> {
    envelopes(&bed.newest(url).await.1).await
}

fn outdated(envelopes: &BTreeMap<String, Envelope>) -> u64 {
    envelopes.values().filter(|envelope| envelope.version == 0).count() as u64
}

async fn full(bed: &Bed, url: &str) -> Report {
    bed.backup_as(url, "test", true).await.expect("backs up")
}

/// Which rows are outdated × lengths of packs and segments × whether the mailbox changes meanwhile. Each case by backups first, then
/// by a reindex.
#[tokio::test(flavor = "multi_thread")]
async fn outdated_rows_come_right_by_either_way() {
    for every in [1, 2, 7] {
        for lengths in [Lengths::default(), SMALL] {
            for is_changing in [false, true] {
                let what = format!("each {every}. row, {lengths:?}, changing: {is_changing}");
                let mut home = Home::of(alice(150)).await;
                home.bed = home.bed.with_sizes(lengths);
                // Cut into chunks.
                home.alice.deliver_large(1_500_000);
                home.good_backup().await;
                by_backups(&home, every, is_changing, &what).await;
                by_reindex(&home, every, &what).await;
            }
        }
    }
}

async fn by_backups(home: &Home, every: usize, is_changing: bool, what: &str) {
    let repository = repository(&home.bed, &home.url).await;
    let old = outdate(&repository, |position| position % every == 0).await;
    assert!(old > 0 && outdated(&now(&home.bed, &home.url).await) == old, "{what}");
    assert_eq!(home.backup().await.renewed, 0, "a night without a listing renews nothing: {what}");
    if is_changing {
        home.alice.mutate(60, every as u64, Kinds::Emails);
    }
    let renewed = full(&home.bed, &home.url).await.renewed;
    assert!(renewed == old || (is_changing && renewed < old), "{renewed} of {old}: {what}");
    // Rows that changed that night are left to the next listing.
    full(&home.bed, &home.url).await;
    assert_eq!(now(&home.bed, &home.url).await, right(home).await, "{what}");
    let last = full(&home.bed, &home.url).await;
    assert_eq!((last.renewed, last.stored_bytes), (0, 0), "{what}");
    home.bed.checked(&home.url).await;
    home.good_backup().await;
}

async fn by_reindex(home: &Home, every: usize, what: &str) {
    let repository = repository(&home.bed, &home.url).await;
    let old = outdate(&repository, |position| position % every == every - 1).await;
    let before = home.simulator.counters();
    let done = reindex(&repository).await.expect("reindexes");
    assert_eq!(home.simulator.counters().since(&before).requests, 0, "{what}");
    let emails = home.alice.email_count() as u64;
    assert_eq!(
        (done.emails, done.renewed, done.damaged, done.snapshots.len()),
        (emails, old, 0, 1),
        "{what}"
    );
    assert_eq!(now(&home.bed, &home.url).await, right(home).await, "{what}");
    let older = repository.snapshot(done.snapshots[0].0.checked_sub(1).map(model::SnapshotNumber)).await;
    assert_eq!(outdated(&envelopes(&older.expect("opens")).await), old, "older snapshots stay: {what}");
    let again = reindex(&repository).await.expect("reindexes");
    assert_eq!((again.renewed, again.snapshots.len()), (0, 0), "{what}");
    home.bed.checked(&home.url).await;
    home.good_backup().await;
}

/// A night without changes costs the same requests to both sides before rows were outdated, with them, and after they were renewed.
#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_night_costs_what_it_cost() {
    let home = Home::of(alice(2_000).sizes(Sizes::tiny())).await;
    home.good_backup().await;
    let cost = async || {
        let recording = Arc::new(Recording::default());
        let bed = home.bed.moved_to(Decorated::new(home.bed.objects.clone(), recording.clone()));
        let before = home.simulator.counters();
        bed.backup(&home.url).await.expect("backs up");
        let calls = recording.take();
        (home.simulator.counters().since(&before).requests, calls.requests(), calls.received() < 8_192)
    };
    let usual = cost().await;
    assert!(usual.2, "{usual:?}");
    let repository = repository(&home.bed, &home.url).await;
    outdate(&repository, |_| true).await;
    assert_eq!(cost().await, usual, "with outdated rows");
    assert_eq!(reindex(&repository).await.expect("reindexes").renewed, 2_000);
    assert_eq!(cost().await, usual, "after a reindex");
}

/// More rows than one backup renews, and than lie in one snapshot of a reindex.
#[tokio::test(flavor = "multi_thread")]
async fn many_rows_take_several_backups_or_several_snapshots() {
    let home = Home::of(alice(8_500).sizes(Sizes::tiny())).await;
    home.good_backup().await;
    let right = right(&home).await;
    let repository = repository(&home.bed, &home.url).await;
    outdate(&repository, |_| true).await;
    for expected in [8_192, 308, 0] {
        assert_eq!(full(&home.bed, &home.url).await.renewed, expected);
    }
    assert_eq!(now(&home.bed, &home.url).await, right);
    outdate(&repository, |_| true).await;
    let done = reindex_in_pieces(&repository, 1).await.expect("reindexes");
    assert_eq!((done.emails, done.renewed, done.snapshots.len()), (8_500, 8_500, 2), "{done:?}");
    assert_eq!(now(&home.bed, &home.url).await, right);
    home.bed.checked(&home.url).await;
}

/// Long emails: each backup reads at most 64 MiB and a frame from packs, and those of more than 8 MiB wait for a reindex.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_reads_a_bounded_number_of_bytes_for_renewing() {
    let home = Home::of(alice(10)).await;
    for _ in 0..24 {
        home.alice.deliver_large(6_000_000);
    }
    home.alice.deliver_large(9_000_000);
    home.good_backup().await;
    let right = right(&home).await;
    let repository = repository(&home.bed, &home.url).await;
    outdate(&repository, |_| true).await;
    let recording = Arc::new(Recording::default());
    let bed = home.bed.moved_to(Decorated::new(home.bed.objects.clone(), recording.clone()));
    let mut rounds = Vec::new();
    while outdated(&now(&home.bed, &home.url).await) > 1 {
        recording.take();
        let renewed = full(&bed, &home.url).await.renewed;
        let read = recording.take().on("/packs/").received();
        rounds.push((renewed, read));
        assert!(renewed > 0 && read < (64 + 8) << 20, "{rounds:?}");
    }
    assert!(rounds.len() > 1, "it was not bounded: {rounds:?}");
    println!("{rounds:?}");
    assert_eq!(full(&bed, &home.url).await.renewed, 0, "the longest one is left");
    assert_eq!(reindex(&repository).await.expect("reindexes").renewed, 1);
    assert_eq!(now(&home.bed, &home.url).await, right);
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Backup,
    Reindex,
}

async fn run(way: Way, bed: &Bed, url: &str) -> bool {
    match way {
        Way::Backup => bed.backup_as(url, "test", true).await.is_ok(),
        Way::Reindex => {
            let client = bed.client(url).await.expect("connects");
            let account = bed.account(&client).await.expect("exists");
            match bed.repository(&account, "reindexer").await {
                Ok(repository) => reindex(&repository).await.is_ok(),
                Err(_) => false,
            }
        }
    }
}

/// Cut off as `failing` says: everything stays readable, and a second run ends the work. False when it was over before.
async fn cut_off(
    (home, right): (&Home, &BTreeMap<String, Envelope>),
    before: &Arc<dyn ObjectStore>,
    way: Way,
    failing: Failing,
) -> bool {
    let objects = copy(before).await;
    let bed = home.bed.moved_to(objects.clone()).with_sizes(SMALL);
    let old = now(&bed, &home.url).await;
    let failing = Arc::new(failing);
    let cut = bed.moved_to(Decorated::new(objects, failing.clone()));
    let ended = tokio::select! {
        ended = run(way, &cut, &home.url) => ended,
        () = failing.hung() => false,
    };
    if !failing.struck() {
        return false;
    }
    bed.checked(&home.url).await;
    let now_there = now(&bed, &home.url).await;
    assert!(now_there == *right || (!ended && now_there == old), "{way:?} {failing:?}");
    assert!(run(way, &bed, &home.url).await, "{way:?} after {failing:?}");
    let (_, snapshot) = bed.newest(&home.url).await;
    assert_eq!(envelopes(&snapshot).await, *right, "{way:?} after {failing:?}");
    assert_is_now(&snapshot, &home.alice).await;
    bed.checked(&home.url).await;
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_renews_killed_at_every_call_on_the_store() {
    killed_at_every_call(Way::Backup).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reindex_killed_at_every_call_on_the_store() {
    killed_at_every_call(Way::Reindex).await;
}

async fn killed_at_every_call(way: Way) {
    let home = Home::of(alice(40)).await;
    let bed = home.bed.clone().with_sizes(SMALL);
    bed.backup(&home.url).await.expect("backs up");
    home.alice.mutate(25, 1, Kinds::All);
    bed.backup(&home.url).await.expect("backs up");
    let right = right(&home).await;
    outdate(&repository(&bed, &home.url).await, |_| true).await;
    for (moment, fault, span) in [
        (Moment::Before, Fault::Hang, Span::Once),
        (Moment::AfterSuccess, Fault::Hang, Span::Once),
        (Moment::Before, Fault::ServerError, Span::Once),
        (Moment::AfterSuccess, Fault::Timeout, Span::Once),
        (Moment::Before, Fault::StorageFull, Span::Forever),
    ] {
        let mut at = 1 + fault as u64 % 2;
        let known = (&home, &right);
        while cut_off(known, &bed.objects, way, Failing::at(at, moment, fault, span)).await {
            at += stride(3) as u64;
        }
        println!("{way:?}: {fault:?} {moment:?} at each of {} calls", at - 1);
        assert!(at > 10, "only {at} calls");
    }
}

/// A backup and two reindexes at once, on a store that shuffles them: who comes too late is told so, and nothing is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn beside_a_backup_one_is_first_and_nothing_is_lost() {
    let mut late = 0;
    for seed in seeds() {
        println!("MALLE_SEED={seed}");
        let home = Home::of(alice(60)).await;
        let bed = home.bed.clone().with_sizes(SMALL);
        bed.backup(&home.url).await.expect("backs up");
        outdate(&repository(&bed, &home.url).await, |_| true).await;
        home.alice.mutate(20, seed, Kinds::All);
        let shaken = Arc::new(Shaken::new(seed, 40));
        let beside = bed.moved_to(Decorated::new(bed.objects.clone(), shaken));
        let opened = [repository(&beside, &home.url).await, repository(&beside, &home.url).await];
        let backup = beside.backup_as(&home.url, "backup", seed % 2 == 0);
        let [one, two] = &opened;
        let (backup, one, two) = tokio::join!(backup, reindex(one), reindex(two));
        for error in [backup.err(), one.err(), two.err()].into_iter().flatten() {
            assert_eq!(error.class(), ErrorClass::Fenced, "{error}");
            late += 1;
        }
        bed.checked(&home.url).await;
        bed.backup(&home.url).await.expect("backs up");
        reindex(&repository(&bed, &home.url).await).await.expect("reindexes");
        let (_, snapshot) = bed.newest(&home.url).await;
        assert_eq!(envelopes(&snapshot).await, right(&home).await);
        assert_is_now(&snapshot, &home.alice).await;
    }
    println!("{late} came too late");
}

/// Rows of slices are no state of the account: nothing is made of them.
#[tokio::test(flavor = "multi_thread")]
async fn behind_an_unfinished_backup_nothing_is_reindexed() {
    let home = Home::of(alice(1_000).sizes(Sizes::tiny())).await;
    home.good_backup().await;
    let repository = repository(&home.bed, &home.url).await;
    outdate(&repository, |_| true).await;
    home.alice.mutate(1_500, 1, Kinds::Emails);
    let slice = Slice { length: std::time::Duration::ZERO, stop: CancellationToken::new(), keep: None };
    let paused = home.bed.slice(&home.url, &slice).await.expect("pauses");
    assert!(matches!(paused, engine::Ended::Paused(_)), "{paused:?}");
    let before = home.bed.checked(&home.url).await;
    let refused = reindex(&repository).await;
    assert!(matches!(refused, Err(Error::UnfinishedBackup)), "{refused:?}");
    assert_eq!(home.bed.checked(&home.url).await, before);
    home.good_backup().await;
    reindex(&repository).await.expect("reindexes");
    assert_eq!(now(&home.bed, &home.url).await, right(&home).await);
}

/// Repositories of format 1 go on behind an *upgrade* entry.
#[tokio::test]
async fn a_repository_of_format_1_is_reindexed() {
    use object_store::local::LocalFileSystem;
    use repository::{KeyRing, Store, StoreOptions};
    let from = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../crates/repository/testdata/format-1/nights");
    let dir = tempfile::tempdir().expect("a directory");
    let copied = std::process::Command::new("cp").arg("-a").arg(from.join("store")).arg(dir.path()).status();
    assert!(copied.expect("cp runs").success());
    let ring: KeyRing =
        std::fs::read_to_string(from.join("ring.key")).expect("reads").parse().expect("parses");
    let objects = LocalFileSystem::new_with_prefix(dir.path().join("store")).expect("opens");
    let store = Store::open(Arc::new(objects), StoreOptions::default()).await.expect("opens");
    for mailbox in store.mailboxes().await.expect("lists") {
        let repository = store.mailbox(&ring, mailbox).await.expect("opens");
        let old = envelopes(&repository.snapshot(None).await.expect("opens")).await;
        assert_eq!(outdated(&old), old.len() as u64);
        let done = reindex(&repository).await.expect("reindexes");
        assert_eq!((done.renewed, done.damaged), (old.len() as u64, 0));
        let new = envelopes(&repository.snapshot(None).await.expect("opens")).await;
        assert_eq!((outdated(&new), new.len()), (0, old.len()));
        assert_eq!(repository.check(None, Depth::Data).await.expect("checks").problems, vec![]);
    }
}
