//! Outdated rows in a repository that has lost or damaged something.

use engine::Error;
use model::{BackupState, DataType, SystemClock};
use object_store::ObjectStore;
use object_store::path::Path;
use repository::{Depth, Repository};
use tests::{envelopes, outdate};

use crate::heal::{Damage, SMALL, assert_whole, damage};
use crate::reindex::{reindex, repository, right};
use crate::{Home, alice};

const LOSSES: [Damage; 3] = [Damage::Deleted, Damage::Cut, Damage::Flipped];

async fn home() -> (Home, Repository) {
    let mut home = Home::of(alice(200)).await;
    home.bed = home.bed.with_sizes(SMALL);
    home.good_backup().await;
    let repository = repository(&home.bed, &home.url).await;
    outdate(&repository, |_| true).await;
    (home, repository)
}

/// The longest object of a kind.
async fn largest(store: &dyn ObjectStore, kind: &str) -> Path {
    use futures::TryStreamExt;
    let listed: Vec<_> = store.list(None).try_collect().await.expect("lists");
    let of_kind = listed.into_iter().filter(|meta| meta.location.as_ref().contains(kind));
    of_kind.max_by_key(|meta| meta.size).expect("there is one").location
}

/// Ids of the emails whose bytes cannot be read.
async fn unreadable(repository: &Repository) -> Vec<String> {
    let snapshot = repository.snapshot(None).await.expect("opens");
    let mut emails = snapshot.emails().await.expect("reads");
    let mut lost = Vec::new();
    while let Some(email) = emails.next().await.expect("reads") {
        if snapshot.blob(&email.blob).await.is_err() {
            lost.push(email.id.to_string());
        }
    }
    lost
}

/// A damaged pack × whether that is known: all emails outside of it are renewed, the others are named and come back with the next backup.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_pack_costs_only_the_emails_in_it() {
    for done in LOSSES {
        for is_known in [false, true] {
            let what = format!("{done:?}, known: {is_known}");
            let (home, repository) = home().await;
            let right = right(&home).await;
            let pack = largest(home.bed.objects.as_ref(), "/packs/").await;
            damage(home.bed.objects.as_ref(), &pack, &pack, done).await;
            let mut lost = unreadable(&repository).await;
            if is_known {
                let found = repository.check(None, Depth::Data).await.expect("checks").damaged;
                repository.note_damage(found, &SystemClock).await.expect("notes");
                // What is noted counts as lost as a whole.
                lost = in_lost_packs(&repository).await;
            }
            let before = home.simulator.counters();
            let done = reindex(&repository).await.expect(&what);
            assert_eq!(home.simulator.counters().since(&before).requests, 0, "{what}");
            let skipped = lost.len() as u64;
            assert!(skipped > 0 && skipped < 100, "{skipped}: {what}");
            assert_eq!((done.emails, done.renewed, done.damaged), (200, 200 - skipped, skipped), "{what}");
            let noted = repository.known_damage().await.expect("reads");
            assert!(noted.iter().any(|object| pack.as_ref().ends_with(&object.relative())), "{what}");
            assert!(is_known || done.damage == noted, "{what}: {done:?}");
            let (_, snapshot) = home.bed.newest(&home.url).await;
            for (id, envelope) in envelopes(&snapshot).await {
                assert_eq!(envelope == right[&id], !lost.contains(&id), "{what}: {id}");
            }
            let state = engine::state_of(snapshot.info());
            assert_eq!(state, if is_known { BackupState::Partial } else { BackupState::Good }, "{what}");
            let again = reindex(&repository).await.expect(&what);
            assert_eq!((again.renewed, again.damaged, again.snapshots.len()), (0, skipped, 0), "{what}");
            let healed = home.backup().await;
            assert_eq!(healed.state, BackupState::Good, "{what}: {healed:?}");
            assert_whole(&home, &what).await;
            assert_eq!(envelopes(&home.bed.newest(&home.url).await.1).await, right, "{what}");
        }
    }
}

/// Ids of the emails that the next backup would fetch again.
async fn in_lost_packs(repository: &Repository) -> Vec<String> {
    let writer = repository.begin_snapshot(&SystemClock).await.expect("begins");
    let damage = writer.damage().expect("something is damaged");
    damage.emails.iter().map(ToString::to_string).collect()
}

/// A backup that meets damage while it renews rows notes it, and fetches what is lost at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_heals_what_it_meets_while_it_renews_rows() {
    for done in LOSSES {
        let (home, repository) = home().await;
        let right = right(&home).await;
        let pack = largest(home.bed.objects.as_ref(), "/packs/").await;
        damage(home.bed.objects.as_ref(), &pack, &pack, done).await;
        let report = home.bed.backup_as(&home.url, "test", true).await.expect("backs up");
        assert!(report.found_damage && report.healed > 0, "{done:?}: {report:?}");
        assert_eq!((report.state, report.renewed), (BackupState::Good, 200 - report.healed), "{done:?}");
        assert!(!repository.known_damage().await.expect("reads").is_empty(), "{done:?}");
        assert_whole(&home, &format!("{done:?}")).await;
        assert_eq!(envelopes(&home.bed.newest(&home.url).await.1).await, right, "{done:?}");
    }
}

/// A mailbox so small that its emails and what belongs to its other objects lie in one pack: with that all of them are named, and come back.
#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_other_objects_is_named_too() {
    for is_known in [false, true] {
        let home = Home::of(alice(20)).await;
        home.good_backup().await;
        // In a pack of its own.
        home.alice.deliver("Subject: one more\r\n\r\n", &[], &[]);
        home.good_backup().await;
        let repository = repository(&home.bed, &home.url).await;
        outdate(&repository, |_| true).await;
        let pack = largest(home.bed.objects.as_ref(), "/packs/").await;
        damage(home.bed.objects.as_ref(), &pack, &pack, Damage::Deleted).await;
        if is_known {
            let found = repository.check(None, Depth::Data).await.expect("checks").damaged;
            repository.note_damage(found, &SystemClock).await.expect("notes");
        }
        for renewed in [1, 0] {
            let done = reindex(&repository).await.expect("reindexes");
            assert_eq!((done.renewed, done.damaged), (renewed, 20), "known: {is_known}");
        }
        let failures = repository.snapshot(None).await.expect("opens").failures().await.expect("reads");
        let others = failures.iter().filter(|failure| failure.data_type != DataType::Email).count();
        assert_eq!((failures.len() >= 20, others > 0), (is_known, is_known), "{failures:?}");
        let healed = home.backup().await;
        assert_eq!(healed.state, BackupState::Good, "known: {is_known}: {healed:?}");
        assert_whole(&home, "healed").await;
        assert_eq!(envelopes(&home.bed.newest(&home.url).await.1).await, right(&home).await);
    }
}

/// Emails in a lost part of the index would be missing without a word.
#[tokio::test(flavor = "multi_thread")]
async fn where_a_part_of_the_index_is_lost_a_backup_has_to_come_first() {
    for done in LOSSES {
        let (home, repository) = home().await;
        let right = right(&home).await;
        let segment = largest(home.bed.objects.as_ref(), "/segments/").await;
        damage(home.bed.objects.as_ref(), &segment, &segment, done).await;
        let found = repository.check(None, Depth::Data).await.expect("checks").damaged;
        repository.note_damage(found, &SystemClock).await.expect("notes");
        let snapshots = repository.snapshots().await.expect("lists").len();
        let refused = reindex(&repository).await;
        assert!(matches!(refused, Err(Error::DamagedBase)), "{done:?}: {refused:?}");
        assert_eq!(repository.snapshots().await.expect("lists").len(), snapshots);
        home.backup().await;
        reindex(&repository).await.expect("reindexes");
        assert_whole(&home, &format!("{done:?}")).await;
        assert_eq!(envelopes(&home.bed.newest(&home.url).await.1).await, right, "{done:?}");
    }
}
