//! The store loses and damages what it was given: what the mail server still has is fetched again, and *good* is said of
//! nothing else.

use model::BackupState;
use std::sync::Arc;

use bytes::Bytes;
use engine::Report;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use repository::{Depth, Repository, Sizes};
use serde_json::json;
use sim_stalwart::DataType;
use testkit::{Decorated, Lie, stride};
use tests::assert_is_now;

use crate::{Home, alice};

pub(crate) const SMALL: Sizes = Sizes {
    frame: 8 << 10,
    pack: 64 << 10,
    block: 2 << 10,
    segment: 16 << 10,
    full_segment: 8 << 10,
    spill: 16 << 10,
    checkpoint: 32,
};

#[derive(Debug, Clone, Copy)]
pub(crate) enum Damage {
    Deleted,
    Cut,
    Flipped,
    Swapped,
}

const DAMAGES: [Damage; 4] = [Damage::Deleted, Damage::Cut, Damage::Flipped, Damage::Swapped];

/// Three backups of a mailbox that lives on, a contact with a picture and a script among what it holds.
async fn home() -> Home {
    let mut home = Home::of(alice(300)).await;
    home.bed = home.bed.with_sizes(SMALL);
    let picture = "x".repeat(100_000);
    home.alice.insert(DataType::ContactCard, json!({ "name": { "full": "Bob" }, "notes": picture }));
    home.good_backup().await;
    for seed in 0..2 {
        home.alice.mutate(40, seed, sim_stalwart::Kinds::All);
        home.good_backup().await;
    }
    home
}

/// Every object of the mailbox and the store, in an order that does not depend on random names.
async fn objects(store: &dyn ObjectStore) -> Vec<(Path, u64)> {
    use futures::TryStreamExt;
    let listed: Vec<_> = store.list(None).try_collect().await.expect("lists");
    let mut objects: Vec<_> = listed.into_iter().map(|meta| (meta.location, meta.size)).collect();
    objects.sort_by_key(|(path, size)| (kind(path).to_owned(), std::cmp::Reverse(*size)));
    objects
}

fn kind(path: &Path) -> &str {
    let kinds = ["copies/keys", "copies/log", "keys", "log", "packs", "segments"];
    kinds.into_iter().find(|kind| path.as_ref().contains(&format!("/{kind}/"))).unwrap_or("malle-store")
}

/// `other`: what a swapped object becomes.
pub(crate) async fn damage(store: &dyn ObjectStore, path: &Path, other: &Path, damage: Damage) {
    let bytes = store.get(path).await.expect("gets").bytes().await.expect("reads");
    let damaged = match damage {
        Damage::Deleted => return store.delete(path).await.expect("deletes"),
        Damage::Cut => bytes.slice(..bytes.len() * 2 / 3),
        Damage::Flipped => {
            let mut bytes = bytes.to_vec();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 4;
            Bytes::from(bytes)
        }
        Damage::Swapped => store.get(other).await.expect("gets").bytes().await.expect("reads"),
    };
    store.put(path, damaged.into()).await.expect("puts");
}

async fn repository(home: &Home) -> Repository {
    home.bed.newest(&home.url).await.0
}

/// As `malle verify --read-data` and the fleet's verification: what is found is noted.
async fn verified(home: &Home) -> usize {
    let client = home.bed.client(&home.url).await.expect("connects");
    let account = home.bed.account(&client).await.expect("exists");
    let repository = home.bed.repository(&account, "verifier").await.expect("opens");
    let report = repository.check(None, Depth::Data).await.expect("checks");
    repository.note_damage(report.damaged, &model::SystemClock).await.expect("notes");
    report.problems.len()
}

async fn backup(home: &Home, full: bool, what: &str) -> Report {
    home.bed.backup_as(&home.url, "test", full).await.unwrap_or_else(|error| panic!("{what}: {error:?}"))
}

/// The newest snapshot is whole to its last byte and equals what the server has.
pub(crate) async fn assert_whole(home: &Home, what: &str) {
    let (repository, snapshot) = home.bed.newest(&home.url).await;
    let number = snapshot.info().number;
    let report = repository.check(Some(number), Depth::Data).await.expect(what);
    let of_it = report.problems.iter().filter(|problem| problem.snapshot == Some(number)).count();
    assert_eq!((of_it, report.damaged), (0, [].into()), "{what}");
    let listing = repository.listing().await.expect(what);
    assert!(!listing.damaged.contains(&number), "{what}");
    assert_is_now(&snapshot, &home.alice).await;
}

/// Each kind of object, the largest and the smallest of it × each damage: after a verification and three backups, the last
/// with a full listing, everything that the server has can be read.
#[tokio::test(flavor = "multi_thread")]
async fn three_backups_after_any_damage_everything_the_server_has_is_readable() {
    let kinds = ["copies/keys", "copies/log", "keys", "log", "malle-store", "packs", "segments"];
    for (row, wanted) in kinds.into_iter().enumerate() {
        for (column, damage_done) in DAMAGES.into_iter().enumerate() {
            for is_verified in [false, true] {
                // In the usual run one of the two.
                if (row + column + usize::from(is_verified)) % stride(2) > 0 {
                    continue;
                }
                let home = home().await;
                let store = home.bed.objects.clone();
                let of_kind: Vec<Path> = objects(store.as_ref())
                    .await
                    .into_iter()
                    .filter(|(path, _)| kind(path) == wanted)
                    .map(|(path, _)| path)
                    .collect();
                let (first, last) = (&of_kind[0], &of_kind[of_kind.len() - 1]);
                let what = format!("{wanted} {damage_done:?}, verified: {is_verified}");
                damage(store.as_ref(), first, last, damage_done).await;
                if is_verified {
                    verified(&home).await;
                }
                home.alice.mutate(10, 7, sim_stalwart::Kinds::All);
                backup(&home, false, &what).await;
                backup(&home, false, &what).await;
                let third = backup(&home, true, &what).await;
                // A bit that flipped in a pack shows only to whoever reads it.
                let is_hidden = wanted == "packs"
                    && !is_verified
                    && !matches!(damage_done, Damage::Deleted | Damage::Cut);
                if is_hidden {
                    continue;
                }
                assert_eq!(third.state, BackupState::Good, "{what}: {third:?}");
                assert_whole(&home, &what).await;
                let fourth = backup(&home, false, &what).await;
                assert_eq!((fourth.state, fourth.fetched_bytes), (BackupState::Good, 0), "{what}");
            }
        }
    }
}

/// Nobody verifies, and nobody asks for a full listing: the seventh backup compares with the store by itself, and so does one that
/// lists everything because the server does not tell any more what changed.
#[tokio::test(flavor = "multi_thread")]
async fn backups_find_by_themselves_what_is_lost() {
    for is_forgetful in [false, true] {
        let home = home().await;
        let store = home.bed.objects.clone();
        let all = objects(store.as_ref()).await;
        let (pack, _) = all.iter().find(|(path, _)| kind(path) == "packs").expect("a pack").clone();
        store.delete(&pack).await.expect("deletes");
        for night in 0..if is_forgetful { 1 } else { 7 } {
            home.alice.mutate(5, night, sim_stalwart::Kinds::Emails);
            if is_forgetful {
                home.alice.truncate_history();
            }
            backup(&home, false, "a usual night").await;
        }
        assert_whole(&home, if is_forgetful { "listed" } else { "after seven nights" }).await;
    }
}

/// A listing that shows nothing is no proof that nothing is there.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_listing_leaves_out_is_asked_for_before_it_is_called_lost() {
    let home = home().await;
    let blind = Decorated::new(home.bed.objects.clone(), Arc::new(Lie::ListsNothing));
    let before = home.simulator.counters();
    let report = home.bed.moved_to(blind).backup_as(&home.url, "test", true).await.expect("backs up");
    assert_eq!((report.state, report.fetched_bytes), (BackupState::Good, 0), "{report:?}");
    assert_eq!(home.simulator.counters().since(&before).blobs, 0);
    assert_eq!(repository(&home).await.listing().await.expect("lists").damaged, [].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_pack_is_lost_and_only_what_lay_in_it_is_fetched_again() {
    let home = home().await;
    let store = home.bed.objects.clone();
    let all = objects(store.as_ref()).await;
    let (pack, size) = all.iter().find(|(path, _)| kind(path) == "packs").expect("a pack").clone();
    store.delete(&pack).await.expect("deletes");
    let before = home.simulator.counters();
    let healed = backup(&home, true, "healing").await;
    assert_eq!(healed.state, BackupState::Good, "{healed:?}");
    assert!(healed.fetched_bytes > 0, "{healed:?}");
    let fetched = home.simulator.counters().since(&before).bytes_out;
    assert!(fetched < 40 * size, "{fetched} bytes for a pack of {size}");
    assert_whole(&home, "healed").await;
    // The snapshots before say what they are.
    let listing = repository(&home).await.listing().await.expect("lists");
    assert!(!listing.damaged.is_empty() && listing.damaged.iter().all(|number| *number != healed.number));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_does_not_give_again_keeps_the_backup_partial_and_is_named() {
    let home = home().await;
    let store = home.bed.objects.clone();
    for (path, _) in objects(store.as_ref()).await {
        if kind(&path) == "packs" {
            store.delete(&path).await.expect("deletes");
        }
    }
    let lost: Vec<String> = home.alice.emails().iter().take(5).map(|email| email.id.to_string()).collect();
    for email in home.alice.emails().iter().take(5) {
        home.alice.vanish_blob(&email.blob_id);
    }
    for attempt in 0..2 {
        let report = backup(&home, true, "all packs are lost").await;
        assert_eq!(report.state, BackupState::Partial, "{report:?}");
        let named: Vec<&str> = report.failures.iter().map(|failure| failure.id.as_str()).collect();
        assert!(lost.iter().all(|id| named.contains(&id.as_str())), "attempt {attempt}: {named:?}");
        assert_eq!(report.failures.len(), lost.len(), "{:?}", report.failures);
    }
}

/// Slices go on in a damaged repository too, and fetch nothing twice.
#[tokio::test(flavor = "multi_thread")]
async fn healing_in_slices_comes_to_its_end() {
    use engine::{Ended, Slice};
    use tokio_util::sync::CancellationToken;
    let home = home().await;
    let store = home.bed.objects.clone();
    for (path, _) in objects(store.as_ref()).await {
        if kind(&path) == "packs" {
            store.delete(&path).await.expect("deletes");
        }
    }
    let (repository, _) = home.bed.newest(&home.url).await;
    repository.examine(repository::Look::Listing, &model::SystemClock).await.expect("looks");
    let before = home.simulator.counters();
    let mut slices = 0;
    loop {
        let slice = Slice { length: std::time::Duration::ZERO, stop: CancellationToken::new(), keep: None };
        match home.bed.slice(&home.url, &slice).await.expect("runs") {
            Ended::Paused(_) => slices += 1,
            Ended::Done(report) => {
                assert_eq!(report.state, BackupState::Good, "{report:?}");
                break;
            }
        }
        assert!(slices < 20, "it does not come to an end");
    }
    assert!(slices > 0, "nothing was sliced");
    let blobs = home.simulator.counters().since(&before);
    assert!(blobs.blobs <= 2 * home.alice.emails().len() as u64, "{blobs:?}");
    assert_whole(&home, "healed in slices").await;
}
