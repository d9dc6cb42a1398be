//! What a repair asks for: what is whole, what is known to be damaged, what was written again, what is lost for good.

use std::collections::BTreeSet;

use object_store::ObjectStoreExt;
use repository::{Depth, Error, Object};

use crate::support::{SMALL, Site, backup, clock, mails, paths};

async fn site() -> Site {
    let site = Site::new(SMALL);
    let repository = site.open().await;
    for night in 0..3 {
        backup(&repository, &mails(night * 3, 20), &clock()).await.expect("commits");
    }
    site
}

fn object(path: &object_store::path::Path) -> Option<Object> {
    Object::parse(path.as_ref().splitn(3, '/').nth(2)?)
}

#[tokio::test]
async fn what_is_read_to_its_end_is_whole_and_only_that() {
    let site = site().await;
    let repository = site.open().await;
    let all = paths(site.inner.as_ref()).await;
    let is_large = |object: &Object| matches!(object, Object::Pack(_) | Object::Segment(_));
    let large: BTreeSet<Object> = all.iter().filter_map(|(path, _)| object(path)).filter(is_large).collect();
    let report = repository.check(None, Depth::Data).await.expect("checks");
    assert_eq!(report.unreferenced, 0);
    assert_eq!(report.whole, large);
    let structure = repository.check(None, Depth::Structure).await.expect("checks");
    assert_eq!(structure.whole, BTreeSet::new(), "nothing was read");

    for (path, _) in all.iter().filter(|(path, _)| object(path).is_some_and(|object| is_large(&object))) {
        let lost = object(path).expect("an object");
        let good = site.inner.get(path).await.expect("gets").bytes().await.expect("reads");
        site.inner.delete(path).await.expect("deletes");
        let report = repository.check(None, Depth::Data).await.expect("checks");
        assert!(report.damaged.contains(&lost) && !report.whole.contains(&lost), "{path}: {report:?}");
        assert!(repository.note_damage([lost], &clock()).await.expect("notes"), "{path}");
        assert_eq!(repository.known_damage().await.expect("reads"), [lost].into(), "{path}");
        site.inner.put(path, good.into()).await.expect("puts");
        let whole = repository.check(None, Depth::Data).await.expect("checks").whole;
        assert!(repository.note_sound(&whole, &clock()).await.expect("notes"), "{path}");
        assert_eq!(repository.known_damage().await.expect("reads"), BTreeSet::new(), "{path}");
    }
}

#[tokio::test]
async fn what_is_written_again_from_a_copy_is_named() {
    let site = site().await;
    let repository = site.open().await;
    assert_eq!(repository.heal_copies().await.expect("looks"), []);
    let small = |object: &Object| {
        matches!(object, Object::Key(_) | Object::KeyCopy(_) | Object::Log(1) | Object::FirstEntryCopy)
    };
    let mut healed = 0;
    for (path, _) in paths(site.inner.as_ref()).await {
        let Some(lost) = object(&path).filter(small) else { continue };
        site.inner.delete(&path).await.expect("deletes");
        assert_eq!(repository.heal_copies().await.expect("heals"), [lost], "{path}");
        healed += 1;
    }
    assert_eq!(healed, 4);
}

/// Not only a writer is told: to a reader the mailbox would else look as if nothing had begun.
#[tokio::test]
async fn whoever_reads_a_mailbox_whose_log_is_gone_is_told() {
    let site = site().await;
    for (path, _) in paths(site.inner.as_ref()).await {
        if path.as_ref().contains("/log/") {
            site.inner.delete(&path).await.expect("deletes");
        }
    }
    let repository = site.open().await;
    let error = repository.snapshots().await.expect_err("is refused");
    assert!(matches!(error, Error::LogGone { .. }), "{error}");
}

/// As one that is cut off leaves it: a key without its copy, then entry 1 without its own.
#[tokio::test]
async fn a_beginning_that_was_cut_off_is_no_damage_and_the_next_writer_makes_the_copies() {
    for lost in ["copies/keys/", "copies/log/"] {
        let site = Site::new(SMALL);
        drop(site.open().await.begin_snapshot(&clock()).await.expect("begins the log"));
        for (path, _) in paths(site.inner.as_ref()).await {
            if path.as_ref().contains(lost) {
                site.inner.delete(&path).await.expect("deletes");
            }
        }
        let repository = site.open().await;
        let report = repository.check(None, Depth::Data).await.expect("checks");
        assert_eq!(report.problems, [], "{lost}");
        backup(&repository, &mails(0, 5), &clock()).await.expect("commits");
        let report = repository.check(None, Depth::Data).await.expect("checks");
        assert_eq!(report.problems, [], "{lost}");
        assert_eq!(repository.heal_copies().await.expect("looks"), [], "{lost}: nothing is left to heal");
    }
}
