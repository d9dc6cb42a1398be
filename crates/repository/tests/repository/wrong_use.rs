//! Each mistake has an error of its own that says what to do, and damages nothing.

use std::sync::Arc;

use bytes::Bytes;
use model::ErrorClass;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use repository::{Depth, Error, KeyRing, Store, StoreOptions};
use testkit::{Decorated, Failing, Fault, Lie, Moment, Span};

use crate::support::{SMALL, Site, assert_clean, backup, clock, mails, paths, read, who};

async fn init_on(lie: Lie, single_writer: bool) -> Result<Store, Error> {
    let inner = Arc::new(InMemory::new());
    let store = Decorated::new(inner, Arc::new(lie));
    let options = StoreOptions { single_writer, ..StoreOptions::default() };
    Store::open_or_init(store, options, &clock()).await
}

#[tokio::test]
async fn a_store_that_breaks_a_promise_is_refused() {
    for lie in [
        Lie::CreateOverwrites,
        Lie::CreateRefusesAndOverwrites,
        Lie::CreateLooksThenWrites,
        Lie::RangesFromTheStart,
        Lie::ListsNothing,
    ] {
        let error = init_on(lie, false).await.expect_err("is refused");
        assert!(matches!(error, Error::UnfitStore { .. }), "{lie:?}: {error}");
    }
    for lie in [Lie::RangesShort, Lie::ForgetsWrites, Lie::CreateAlwaysRefuses] {
        assert!(init_on(lie, false).await.is_err(), "{lie:?}");
    }
}

#[tokio::test]
async fn a_store_that_overwrites_is_good_enough_for_a_declared_single_writer() {
    let error = init_on(Lie::CreateOverwrites, false).await.expect_err("is refused");
    assert!(error.to_string().contains("--single-writer"), "{error}");
    init_on(Lie::CreateOverwrites, true).await.expect("opens");
}

#[tokio::test]
async fn a_single_writer_store_is_read_by_anyone_and_written_by_whoever_promises_to_be_alone() {
    let site = Site::new(SMALL);
    let alone = StoreOptions { single_writer: true, sizes: SMALL, ..StoreOptions::default() };
    let store = Store::open_or_init(site.inner.clone(), alone.clone(), &clock()).await.expect("opens");
    let repository = store.create_mailbox(&site.ring, &who(), "alice").await.expect("makes it");
    let mailbox = mails(0, 30);
    backup(&repository, &mailbox, &clock()).await.expect("commits");
    let before = paths(site.inner.as_ref()).await;

    for guest in [
        Store::open(site.inner.clone(), StoreOptions::default()).await.expect("opens"),
        Store::open_or_init(site.inner.clone(), StoreOptions::default(), &clock()).await.expect("opens"),
    ] {
        assert_eq!(guest.mailboxes().await.expect("lists"), [repository.dir()]);
        let guests = guest.mailbox(&site.ring, repository.dir()).await.expect("opens");
        assert_eq!(read(&guests, None).await.expect("reads"), mailbox);
        assert_clean(&guests, "a guest").await;
        let refused = |error: Error| {
            let says = error.to_string();
            assert!(matches!(error, Error::UnfitStore { .. }) && says.contains("--single-writer"), "{says}");
        };
        refused(guest.create_mailbox(&site.ring, &who(), "alice").await.expect_err("is refused"));
        refused(backup(&guests, &mails(0, 40), &clock()).await.expect_err("is refused"));
    }
    assert_eq!(paths(site.inner.as_ref()).await, before);
}

#[tokio::test]
async fn another_zone_is_refused() {
    let inner: Arc<InMemory> = Arc::default();
    let zone = |zone: &str| StoreOptions { zone: Some(zone.to_owned()), ..StoreOptions::default() };
    Store::open_or_init(inner.clone(), zone("paris"), &clock()).await.expect("opens");
    let error = Store::open_or_init(inner.clone(), zone("geneva"), &clock()).await.expect_err("is refused");
    assert!(
        matches!(&error, Error::WrongZone { found, wanted } if found == "paris" && wanted == "geneva"),
        "{error}"
    );
    let whatever = Store::open(inner, StoreOptions::default()).await.expect("opens");
    assert_eq!(whatever.zone(), "paris");
}

#[tokio::test]
async fn a_store_or_mailbox_that_is_not_there_is_told_so() {
    let inner: Arc<InMemory> = Arc::default();
    let none = Store::open(inner.clone(), StoreOptions::default()).await;
    assert!(matches!(none, Err(Error::UnfitStore { .. })), "{none:?}");
    let store = Store::open_or_init(inner, StoreOptions::default(), &clock()).await.expect("opens");
    let ring = KeyRing::generate();
    let none = store.mailbox(&ring, ring.directory(&who())).await;
    assert!(matches!(none, Err(Error::NoMailbox)), "{none:?}");
}

#[tokio::test]
async fn another_ring_is_refused_and_changes_nothing() {
    let site = Site::new(SMALL);
    let repository = site.open().await;
    backup(&repository, &mails(0, 5), &clock()).await.expect("commits");
    let before = paths(site.inner.as_ref()).await;
    let store = Store::open(site.inner.clone(), StoreOptions::default()).await.expect("opens");
    let error = store.mailbox(&KeyRing::generate(), repository.dir()).await.expect_err("is refused");
    assert_eq!(error.class(), ErrorClass::Auth, "{error}");
    assert_eq!(paths(site.inner.as_ref()).await, before);
}

/// Bytes 6 and 7 of every sealed object are its format. Sealing covers them: what was not sealed with them is damaged, and
/// nobody is told to look for a newer program.
#[tokio::test]
async fn a_format_that_was_altered_is_damage() {
    for part in ["/log/", "/keys/"] {
        let site = Site::new(SMALL);
        let repository = site.open().await;
        backup(&repository, &mails(0, 5), &clock()).await.expect("commits");
        for (path, _) in paths(site.inner.as_ref()).await {
            if path.as_ref().contains(part) {
                set_byte(site.inner.as_ref(), &path, 7, 3).await;
            }
        }
        let end = match site.open_through(site.inner.clone(), "w").await {
            Ok(repository) => backup(&repository, &mails(0, 6), &clock()).await.map(drop),
            Err(error) => Err(error),
        };
        assert!(matches!(end, Err(Error::Corrupt { .. })), "{part}: {end:?}");
    }
}

async fn set_byte(store: &InMemory, path: &Path, at: usize, value: u8) {
    let mut bytes = store.get(path).await.expect("gets").bytes().await.expect("reads").to_vec();
    bytes[at] = value;
    store.put(path, Bytes::from(bytes).into()).await.expect("puts");
}

#[tokio::test]
async fn a_mailbox_whose_key_is_gone_gets_no_new_one() {
    let site = Site::new(SMALL);
    let repository = site.open().await;
    backup(&repository, &mails(0, 5), &clock()).await.expect("commits");
    for (path, _) in paths(site.inner.as_ref()).await {
        if path.as_ref().contains("/keys/") {
            site.inner.delete(&path).await.expect("deletes");
        }
    }
    let before = paths(site.inner.as_ref()).await;
    let error = site.open_through(site.inner.clone(), "w").await.expect_err("is refused");
    assert!(matches!(error, Error::KeyGone { .. }), "{error}");
    assert_eq!(paths(site.inner.as_ref()).await, before);
}

#[tokio::test]
async fn a_full_disk_is_told_so_and_does_no_damage() {
    let site = Site::new(SMALL);
    let repository = site.open().await;
    backup(&repository, &mails(0, 20), &clock()).await.expect("commits");
    for (at, part) in [(1, "/packs/"), (2, "/packs/"), (1, "/segments/"), (1, "/log/")] {
        let writes = move |call: &testkit::Call| call.sent > 0 && call.path.as_ref().contains(part);
        let full =
            Arc::new(Failing::at_matching(at, Moment::Before, Fault::StorageFull, Span::Forever, writes));
        let store: Arc<dyn ObjectStore> = Decorated::new(site.inner.clone(), full.clone());
        let through = site.open_through(store, "w").await.expect("opens");
        let error = backup(&through, &mails(10, 40), &clock()).await.expect_err("fails");
        assert!(matches!(error, Error::StoreFull { .. }), "{part}: {error}");
        assert_clean(&repository, part).await;
        assert_eq!(read(&repository, None).await.expect("reads"), mails(0, 20));
    }
    backup(&repository, &mails(10, 40), &clock()).await.expect("commits");
    assert_eq!(read(&repository, None).await.expect("reads"), mails(10, 40));
}

#[tokio::test]
async fn an_unknown_snapshot_is_told_so() {
    let site = Site::new(SMALL);
    let repository = site.open().await;
    backup(&repository, &mails(0, 5), &clock()).await.expect("commits");
    let number = Some(model::SnapshotNumber(77));
    let error = repository.snapshot(number).await.err().expect("is refused");
    assert!(matches!(error, Error::NoSnapshot { number: 77, .. }), "{error}");
    let error = repository.check(number, Depth::Structure).await.expect_err("is refused");
    assert!(matches!(error, Error::NoSnapshot { number: 77, .. }), "{error}");
}
