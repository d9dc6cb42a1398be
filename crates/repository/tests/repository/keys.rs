//! Rotating the ring, wrapping anew, and writers that began with different rings.

use std::sync::Arc;

use bytes::Bytes;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use repository::{Error, KeyRing, OlderWraps, Repository, Store, StoreOptions};
use testkit::{Decorated, Failing, Fault, Moment, Span};

use crate::support::{SMALL, Site, backup, clock, mails, paths, read, who};

async fn open_with(site: &Site, ring: &KeyRing) -> Result<Repository, Error> {
    let store = Store::open(site.inner.clone(), StoreOptions::default()).await?;
    store.mailbox(ring, ring.directory(&who())).await
}

async fn copies(site: &Site) -> usize {
    let all = paths(site.inner.as_ref()).await;
    all.iter()
        .filter(|(path, _)| path.as_ref().contains("/keys/") && !path.as_ref().contains("/copies/"))
        .count()
}

#[tokio::test]
async fn after_wrapping_anew_the_new_ring_opens_and_the_old_one_is_refused() {
    let site = Site::new(SMALL);
    backup(&site.open().await, &mails(0, 5), &clock()).await.expect("commits");
    let rotated = site.ring.rotated();
    let repository = open_with(&site, &rotated).await.expect("the old key still opens");
    assert_eq!(repository.rewrap(&rotated, OlderWraps::Remove).await.expect("wraps"), site.ring.ids());
    assert_eq!(copies(&site).await, 1);
    let repository = open_with(&site, &rotated).await.expect("opens");
    assert_eq!(read(&repository, None).await.expect("reads"), mails(0, 5));
    let error = open_with(&site, &site.ring).await.expect_err("is refused");
    assert!(matches!(error, Error::WrongKey { .. }), "{error}");
    assert_eq!(repository.rewrap(&rotated, OlderWraps::Remove).await.expect("again"), Vec::<String>::new());
}

#[tokio::test]
async fn a_crash_at_any_step_of_wrapping_anew_leaves_a_copy_that_opens() {
    for at in 1..=12 {
        for moment in [Moment::Before, Moment::AfterSuccess] {
            let what = format!("killed {moment:?} call {at}");
            let site = Site::new(SMALL);
            backup(&site.open().await, &mails(0, 5), &clock()).await.expect("commits");
            let rotated = site.ring.rotated();
            let killer = Arc::new(Failing::at(at, moment, Fault::Hang, Span::Once));
            let through = Decorated::new(site.inner.clone(), killer.clone());
            let wrap = async {
                let store = Store::open(through, StoreOptions::default()).await?;
                let repository = store.mailbox(&rotated, rotated.directory(&who())).await?;
                repository.rewrap(&rotated, OlderWraps::Remove).await
            };
            tokio::select! {
                end = wrap => { end.expect(&what); }
                () = killer.hung() => {}
            }
            let repository = open_with(&site, &rotated).await.expect(&what);
            assert_eq!(read(&repository, None).await.expect(&what), mails(0, 5), "{what}");
            repository.rewrap(&rotated, OlderWraps::Remove).await.expect(&what);
            assert_eq!(copies(&site).await, 1, "{what}");
        }
    }
}

#[tokio::test]
async fn one_damaged_copy_does_no_harm_while_another_opens() {
    let site = Site::new(SMALL);
    backup(&site.open().await, &mails(0, 5), &clock()).await.expect("commits");
    let rotated = site.ring.rotated();
    let copy = format!("mailboxes/{}/keys/{}", rotated.directory(&who()), rotated.ids()[0]);
    let damaged = Bytes::from_static(b"MALLEK");
    site.inner.put(&Path::from(copy), damaged.into()).await.expect("puts");
    let repository = open_with(&site, &rotated).await.expect("the other copy opens");
    assert_eq!(read(&repository, None).await.expect("reads"), mails(0, 5));
    repository.rewrap(&rotated, OlderWraps::Remove).await.expect("wraps over the damaged one");
    assert_eq!(copies(&site).await, 1);
    open_with(&site, &rotated).await.expect("opens");
}

/// One writer has the rotated ring, one the old one, and the mailbox is new: both create a key, entry 1 settles whose counts.
#[tokio::test]
async fn entry_1_settles_which_of_two_keys_is_the_mailboxs() {
    for old_first in [true, false] {
        let site = Site::new(SMALL);
        let rotated = Site { inner: site.inner.clone(), ring: site.ring.rotated(), ..Site::new(SMALL) };
        // Both looked for a key before either created one: what the slower finds when it looks is taken away and put back.
        let slow = if old_first { &rotated } else { &site };
        let fast = if old_first { &site } else { &rotated };
        let slow_repository = slow.open().await;
        let hidden = take_keys(&site).await;
        let repository = fast.open().await;
        backup(&repository, &mails(0, 5), &clock()).await.expect("commits");
        for (path, bytes) in hidden {
            site.inner.put(&path, bytes.into()).await.expect("puts");
        }
        assert_eq!(copies(&site).await, 2);

        let lost = backup(&slow_repository, &mails(0, 6), &clock()).await;
        assert!(lost.is_err(), "its key is not the mailbox's");
        let both = open_with(&site, &rotated.ring).await.expect("opens");
        assert_eq!(read(&both, None).await.expect("reads"), mails(0, 5), "{old_first}");
        both.rewrap(&rotated.ring, OlderWraps::Remove).await.expect("puts it right");
        assert_eq!(copies(&site).await, 1);
        let again = rotated.open().await;
        backup(&again, &mails(0, 6), &clock()).await.expect("commits");
        assert_eq!(read(&again, None).await.expect("reads"), mails(0, 6));
    }
}

async fn take_keys(site: &Site) -> Vec<(Path, Bytes)> {
    let mut taken = Vec::new();
    for (path, _) in paths(site.inner.as_ref()).await {
        if path.as_ref().contains("/keys/") {
            let bytes = site.inner.get(&path).await.expect("gets").bytes().await.expect("reads");
            site.inner.delete(&path).await.expect("deletes");
            taken.push((path, bytes));
        }
    }
    taken
}
