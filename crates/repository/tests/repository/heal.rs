//! What is lost is noted, left out of what the next snapshot grows from, and stored again.

use bytes::Bytes;
use model::{EmailId, SnapshotNumber, Timestamp};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use repository::{Depth, Error, Look, Object, Origin, Repository};

use crate::support::{Mailbox, SMALL, Site, backup, clock, mails, paths, read, record, summary};

/// Takes a snapshot as the engine does: what the base has lost is stored again, everything else only if it is new.
async fn heal(repository: &Repository, mailbox: &Mailbox) -> Result<SnapshotNumber, Error> {
    let mut writer = repository.begin_snapshot(&clock()).await?;
    let hasher = writer.hasher();
    let damage = writer.damage().expect("something is lost");
    let lost = damage.emails.clone();
    let held: Vec<EmailId> = mailbox.keys().map(|id| EmailId::from(id.as_str())).collect();
    let base = writer.base().cloned().expect("there is a base");
    let there = base.find_emails(&held).await?;
    let mut before = base.emails().await?;
    while let Some(email) = before.next().await? {
        if !mailbox.contains_key(email.id.as_str()) {
            writer.remove_email(&email.id).await?;
        }
    }
    for (id, bytes) in mailbox {
        let email = record(id, bytes, &hasher);
        let is_held = there.iter().any(|known| known.id == email.id && known.blob == email.blob);
        if !is_held || lost.contains(&email.id) {
            writer.add_blobs(vec![(email.blob, bytes.clone())]).await?;
            writer.put_email(email).await?;
        }
    }
    Ok(writer.commit(summary(mailbox), &clock()).await?.number)
}

async fn site() -> (Site, Mailbox) {
    let site = Site::new(SMALL);
    let repository = site.open().await;
    for night in 0..4 {
        backup(&repository, &mails(night * 3, 30), &clock()).await.expect("commits");
    }
    (site, mails(9, 30))
}

async fn damage(site: &Site, path: &Path, how: usize) {
    let good = site.inner.get(path).await.expect("gets").bytes().await.expect("reads");
    let bad = match how {
        0 => return site.inner.delete(path).await.expect("deletes"),
        1 => good.slice(..good.len() / 2),
        2 => Bytes::new(),
        4 => [&good[..], b"x"].concat().into(),
        5 => good.slice(..good.len() - 1),
        _ => {
            let mut bad = good.to_vec();
            let middle = bad.len() / 2;
            bad[middle] ^= 1;
            bad.into()
        }
    };
    site.inner.put(path, bad.into()).await.expect("puts");
}

/// Each pack and each segment × missing, cut, empty, one bit flipped, a byte longer, a byte shorter.
#[tokio::test]
async fn whatever_is_lost_the_next_snapshot_is_whole_and_the_others_say_so() {
    let (model, _) = site().await;
    let objects = paths(model.inner.as_ref()).await;
    let mut damages = 0;
    let kinds = objects.iter().filter(|(path, _)| {
        let path = path.as_ref();
        path.contains("/packs/") || path.contains("/segments/")
    });
    for at in 0..kinds.count() {
        for how in 0..6 {
            // Names are random, so the same place in the order stands for an object of the same kind.
            let (site, mailbox) = site().await;
            let all = paths(site.inner.as_ref()).await;
            let mut of_kind = all
                .iter()
                .map(|(path, _)| path)
                .filter(|path| path.as_ref().contains("/packs/") || path.as_ref().contains("/segments/"));
            let Some(path) = of_kind.nth(at).cloned() else { continue };
            damage(&site, &path, how).await;
            let what = format!("{path}, {how}");
            let repository = site.open().await;
            let report = repository.check(None, Depth::Data).await.expect(&what);
            let object = Object::parse(
                path.as_ref().split_once('/').and_then(|(_, r)| r.split_once('/')).expect("a path").1,
            );
            if report.problems.is_empty() {
                // A segment that later ones were merged into: no snapshot needs it.
                continue;
            }
            damages += 1;
            assert!(report.damaged.contains(&object.expect("an object")), "{what}: {report:?}");
            assert!(repository.note_damage(report.damaged.clone(), &clock()).await.expect(&what), "{what}");
            assert!(!repository.note_damage(report.damaged, &clock()).await.expect(&what), "{what}: twice");

            let writer = repository.begin_snapshot(&clock()).await.expect(&what);
            let newest = writer.base().expect("has a base").info().number;
            drop(writer);
            let before = repository.listing().await.expect(&what);
            if !before.damaged.contains(&newest) {
                // The newest one did not need it.
                assert_eq!(read(&repository, Some(newest)).await.expect(&what), mailbox, "{what}");
            }
            let healed = heal(&repository, &mailbox).await.expect(&what);
            assert_eq!(read(&repository, Some(healed)).await.expect(&what), mailbox, "{what}");
            let after = repository.listing().await.expect(&what);
            assert!(!after.damaged.contains(&healed), "{what}");
            for info in &after.snapshots {
                let is_whole = read(&repository, Some(info.number)).await.is_ok();
                let is_named = after.damaged.contains(&info.number);
                assert!(is_whole || is_named, "{what}: {} lies", info.number);
                // A segment may be damaged where this reader does not look, and a pack at its end.
                let may_be_whole = path.as_ref().contains("/segments/") || how >= 4;
                assert!(!is_whole || !is_named || may_be_whole, "{what}: {}", info.number);
            }
            let writer = repository.begin_snapshot(&clock()).await.expect(&what);
            assert!(writer.damage().is_none(), "{what}: the next one has nothing to heal");
        }
    }
    assert!(damages > 24, "{damages}");
}

/// Each pack and each segment, missing; the note of it is lost later.
#[tokio::test]
async fn a_lost_note_makes_no_snapshot_whole_that_lacks_something() {
    let mut named = 0;
    for at in 0..usize::MAX {
        let (site, mailbox) = site().await;
        let all = paths(site.inner.as_ref()).await;
        let is_of_kind = |path: &str| path.contains("/packs/") || path.contains("/segments/");
        let mut of_kind = all.iter().map(|(path, _)| path).filter(|path| is_of_kind(path.as_ref()));
        let Some(path) = of_kind.nth(at) else { break };
        damage(&site, path, 0).await;
        let repository = site.open().await;
        let report = repository.check(None, Depth::Data).await.expect("checks");
        if report.damaged.is_empty() {
            continue;
        }
        repository.note_damage(report.damaged, &clock()).await.expect("notes");
        let note = format!("/log/{:020}", repository.position().expect("it was looked at").number);
        heal(&repository, &mailbox).await.expect("heals");
        let all = paths(site.inner.as_ref()).await;
        let (note, _) = all.iter().find(|(path, _)| path.as_ref().ends_with(&note)).expect("it is there");
        site.inner.delete(note).await.expect("deletes");

        let repository = site.open().await;
        drop(repository.begin_snapshot(&clock()).await.expect("begins"));
        let listing = repository.listing().await.expect("lists");
        for info in &listing.snapshots {
            let is_whole = read(&repository, Some(info.number)).await.is_ok();
            assert_eq!(is_whole, !listing.damaged.contains(&info.number), "{path}: {}", info.number);
            named += usize::from(!is_whole);
        }
    }
    assert!(named > 6, "{named}");
}

#[tokio::test]
async fn a_listing_shows_what_is_missing_or_cut_off_and_nothing_else() {
    let (site, _) = site().await;
    let repository = site.open().await;
    assert!(!repository.examine(Look::Listing, &clock()).await.expect("looks"));
    assert!(!repository.examine(Look::Rows, &clock()).await.expect("looks"));
    let all = paths(site.inner.as_ref()).await;
    let pack =
        all.iter().rev().find(|(path, _)| path.as_ref().contains("/packs/")).expect("a pack").0.clone();
    let good = site.inner.get(&pack).await.expect("gets").bytes().await.expect("reads");
    damage(&site, &pack, 0).await;
    let is_named = repository.examine(Look::Listing, &clock()).await.expect("looks");
    let listing = repository.listing().await.expect("lists");
    // A pack that only an older snapshot refers to is none of the next one's concern.
    assert_eq!(is_named, !listing.damaged.is_empty());
    site.inner.put(&pack, good.into()).await.expect("puts");
    let object = Object::parse(pack.as_ref().splitn(3, '/').nth(2).expect("a path")).expect("an object");
    assert_eq!(repository.note_sound(&[object].into(), &clock()).await.expect("notes"), is_named);
    assert!(repository.listing().await.expect("lists").damaged.is_empty());
}

/// Each pack and each segment × missing, cut, empty, a byte longer, a byte shorter.
#[tokio::test]
async fn every_change_of_length_is_seen_in_a_listing() {
    let mut seen = 0;
    for (at, how) in (0..usize::MAX).flat_map(|at| [0, 1, 2, 4, 5].map(|how| (at, how))) {
        let (site, _) = site().await;
        let all = paths(site.inner.as_ref()).await;
        let is_of_kind =
            |path: &Path| ["/packs/", "/segments/"].iter().any(|dir| path.as_ref().contains(dir));
        let Some((path, _)) = all.iter().filter(|(path, _)| is_of_kind(path)).nth(at) else { break };
        let object = Object::parse(path.as_ref().splitn(3, '/').nth(2).expect("a path")).expect("an object");
        damage(&site, path, how).await;
        let repository = site.open().await;
        let snapshots = repository.snapshots().await.expect("lists");
        let newest = snapshots.last().expect("has one").number;
        let of_newest = repository.check(Some(newest), Depth::Structure).await.expect("checks");
        let of_all = repository.check(None, Depth::Structure).await.expect("checks");
        assert!(of_all.damaged.is_subset(&[object].into()), "{object:?} {how}: {of_all:?}");
        if !of_all.damaged.contains(&object) {
            // No snapshot needs it: later segments took its rows in.
            assert!(of_all.unreferenced > 0 || how == 0, "{object:?} {how}: {of_all:?}");
            continue;
        }
        seen += 1;
        repository.examine(Look::Listing, &clock()).await.expect("looks");
        let known = repository.known_damage().await.expect("reads");
        assert!(known.is_superset(&of_newest.damaged), "{object:?} {how}: {of_newest:?}");
        assert!(known.is_subset(&[object].into()), "{object:?} {how}: {known:?}");
    }
    assert!(seen > 40, "{seen}");
}

#[tokio::test]
async fn one_of_two_copies_is_enough_and_is_made_two_again() {
    let (site, mailbox) = site().await;
    let doubled = ["/keys/", "/log/00000000000000000001", "malle-store"];
    let mut tried = 0;
    for (path, _) in paths(site.inner.as_ref()).await {
        if !doubled.iter().any(|part| path.as_ref().contains(part)) {
            continue;
        }
        for how in 0..4 {
            let good = site.inner.get(&path).await.expect("gets").bytes().await.expect("reads");
            damage(&site, &path, how).await;
            let what = format!("{path}, {how}");
            let store = repository::Store::open(site.inner.clone(), crate::support::options("w", SMALL))
                .await
                .expect(&what);
            let repository = site.open().await;
            assert_eq!(read(&repository, None).await.expect(&what), mailbox, "{what}");
            store.heal_copies().await.expect(&what);
            repository.heal_copies().await.expect(&what);
            let back = site.inner.get(&path).await.expect(&what).bytes().await.expect("reads");
            assert_eq!(back, good, "{what}");
            tried += 1;
        }
    }
    assert_eq!(tried, 6 * 4);
}

#[tokio::test]
async fn absence_of_what_should_be_there_is_not_a_beginning() {
    for part in ["/log/", "/keys/", "malle-store"] {
        let (site, _) = site().await;
        for (path, _) in paths(site.inner.as_ref()).await {
            if path.as_ref().contains(part) {
                site.inner.delete(&path).await.expect("deletes");
            }
        }
        let opened = site.open_through(site.inner.clone(), "w").await;
        let error = match opened {
            Ok(repository) => repository.begin_snapshot(&clock()).await.err().expect("is refused"),
            Err(error) => error,
        };
        let is_named = match part {
            "/log/" => matches!(error, Error::LogGone { .. }),
            "/keys/" => matches!(error, Error::KeyGone { .. }),
            _ => matches!(error, Error::DescriptorGone),
        };
        assert!(is_named, "{part}: {error}");
    }
}

/// What a cut-off backup kept is needed by the next one, whether or not there is a snapshot.
#[tokio::test]
async fn a_check_looks_at_what_an_unfinished_backup_needs() {
    for (has_snapshot, how) in [(false, 0), (false, 3), (true, 0), (true, 3), (true, 4), (true, 5)] {
        let site = Site::new(SMALL);
        let repository = site.open().await;
        if has_snapshot {
            backup(&repository, &mails(0, 10), &clock()).await.expect("commits");
        }
        let before: Vec<Path> = paths(site.inner.as_ref()).await.into_iter().map(|(path, _)| path).collect();
        let mut writer = repository.begin_snapshot(&clock()).await.expect("begins");
        for (id, bytes) in &mails(100, 10) {
            let email = record(id, bytes, &writer.hasher());
            writer.add_blobs(vec![(email.blob, bytes.clone())]).await.expect("stores");
            writer.put_email(email).await.expect("writes");
        }
        let kept =
            writer.commit_slice(Bytes::new(), &Origin::default(), Timestamp::UNIX_EPOCH, &clock()).await;
        kept.expect("commits").expect("has something");
        drop(writer);
        let fresh: Vec<Path> = paths(site.inner.as_ref()).await.into_iter().map(|(path, _)| path).collect();
        let is_fresh = |path: &&Path| !before.contains(path) && path.as_ref().contains("/packs/");
        for path in fresh.iter().filter(is_fresh) {
            damage(&site, path, how).await;
            let object = Object::parse(path.as_ref().splitn(3, '/').nth(2).expect("a path"));
            let depth = if how == 3 { Depth::Data } else { Depth::Structure };
            let report = site.open().await.check(None, depth).await.expect("checks");
            assert!(report.harms_slices() && report.is_harmful(), "{has_snapshot} {how}: {report:?}");
            assert!(report.damaged.contains(&object.expect("an object")), "{has_snapshot} {how}: {report:?}");
        }
    }
}
