//! A process dies, or a call fails, before or after any single storage call.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use model::SnapshotNumber;
use object_store::ObjectStore;
use repository::{Error, Sizes, Store};
use testkit::{CallKind, Decorated, Failing, Fault, Moment, Span};

use crate::support::{Mailbox, SMALL, Site, assert_clean, backup, clock, mails, options, paths, read, who};

/// A checkpoint is due after the second snapshot.
const SIZES: Sizes = Sizes { checkpoint: 3, ..SMALL };

fn first_night() -> Mailbox {
    mails(0, 40)
}

fn second_night() -> Mailbox {
    let mut mailbox = mails(10, 30);
    mailbox.extend(mails(100, 10));
    mailbox
}

/// What was told to somebody: these snapshots exist.
type Announced = Mutex<BTreeMap<SnapshotNumber, Mailbox>>;

async fn two_nights(site: &Site, store: Arc<dyn ObjectStore>, announced: &Announced) -> Result<(), Error> {
    let repository = site.open_through(store, "w").await?;
    for mailbox in [first_night(), second_night()] {
        let committed = backup(&repository, &mailbox, &clock()).await?;
        announced.lock().expect("not poisoned").insert(committed.number, mailbox);
    }
    repository.checkpoint_if_due(&clock()).await
}

/// What any later run finds: all that was announced, nothing broken; and it completes.
async fn assert_recovers(site: &Site, announced: &Announced, what: &str) {
    let store = Store::open(site.inner.clone(), options("later", site.sizes)).await;
    if let Ok(store) = store {
        match store.mailbox(&site.ring, site.ring.directory(&who())).await {
            Ok(repository) => match repository.snapshots().await {
                Ok(_) => assert_clean(&repository, what).await,
                Err(Error::NoMailbox) => {}
                Err(error) => panic!("{what}: {error}"),
            },
            Err(Error::NoMailbox) => {}
            Err(error) => panic!("{what}: {error}"),
        }
    }
    let repository = site.open().await;
    let told = announced.lock().expect("not poisoned").clone();
    for (number, mailbox) in told {
        assert_eq!(read(&repository, Some(number)).await.expect(what), mailbox, "{what}");
    }
    let after = Announced::default();
    two_nights(site, site.inner.clone(), &after).await.expect(what);
    assert_eq!(read(&repository, None).await.expect(what), second_night(), "{what}");
    assert_clean(&repository, what).await;
}

async fn calls_of_two_nights() -> u64 {
    let site = Site::new(SIZES);
    let counting = Arc::new(Failing::never());
    let store = Decorated::new(site.inner.clone(), counting.clone());
    two_nights(&site, store, &Announced::default()).await.expect("completes");
    let entries = paths(site.inner.as_ref()).await;
    let entries = entries.iter().filter(|(path, _)| path.as_ref().contains("/log/"));
    let entries = entries.filter(|(path, _)| !path.as_ref().contains("/copies/")).count();
    assert_eq!(entries, 4, "a beginning, two snapshots and a checkpoint");
    counting.calls()
}

#[tokio::test]
async fn a_process_killed_before_or_after_any_call_loses_nothing_that_was_announced() {
    let calls = calls_of_two_nights().await;
    assert!(calls > 30, "{calls}");
    for at in 1..=calls {
        for moment in [Moment::Before, Moment::AfterSuccess] {
            let what = format!("killed {moment:?} call {at}");
            let (site, announced) = (Site::new(SIZES), Announced::default());
            let killer = Arc::new(Failing::at(at, moment, Fault::Hang, Span::Once));
            let store = Decorated::new(site.inner.clone(), killer.clone());
            tokio::select! {
                end = two_nights(&site, store, &announced) => panic!("{what}: it was not: {end:?}"),
                () = killer.hung() => {}
            }
            assert_recovers(&site, &announced, &what).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_once_or_from_then_on_loses_nothing_either() {
    let calls = calls_of_two_nights().await;
    for at in 1..=calls {
        for (moment, fault, span) in [
            (Moment::Before, Fault::ServerError, Span::Once),
            (Moment::AfterSuccess, Fault::Timeout, Span::Once),
            (Moment::AfterSuccess, Fault::ServerError, Span::Forever),
        ] {
            let what = format!("{fault:?} {moment:?} call {at}, {span:?}");
            let (site, announced) = (Site::new(SIZES), Announced::default());
            let faulty = Arc::new(Failing::at(at, moment, fault, span));
            let store = Decorated::new(site.inner.clone(), faulty.clone());
            let end = two_nights(&site, store, &announced).await;
            assert!(faulty.struck(), "{what}");
            if end.is_ok() {
                assert_eq!(announced.lock().expect("not poisoned").len(), 2, "{what}");
            }
            assert_recovers(&site, &announced, &what).await;
        }
    }
}

/// The create of a log entry is the one call whose answer must never be misread.
#[tokio::test(start_paused = true)]
async fn an_ambiguous_answer_to_a_create_is_settled_and_makes_no_second_entry() {
    for at in 1..=4 {
        for (moment, fault) in [
            (Moment::AfterSuccess, Fault::ServerError),
            (Moment::AfterSuccess, Fault::Timeout),
            (Moment::AfterSuccess, Fault::AlreadyExists),
            (Moment::Before, Fault::ServerError),
            (Moment::Before, Fault::Timeout),
            (Moment::Before, Fault::AlreadyExists),
        ] {
            let what = format!("{fault:?} {moment:?} entry {at}");
            let (site, announced) = (Site::new(SIZES), Announced::default());
            let creates =
                |call: &testkit::Call| call.kind == CallKind::Create && call.path.as_ref().contains("/log/");
            let faulty = Arc::new(Failing::at_matching(at, moment, fault, Span::Once, creates));
            let store = Decorated::new(site.inner.clone(), faulty.clone());
            two_nights(&site, store, &announced).await.expect(&what);
            assert!(faulty.struck(), "{what}");
            let numbers: Vec<u64> = announced.lock().expect("not poisoned").keys().map(|n| n.0).collect();
            assert_eq!(numbers, [2, 3], "{what}");
            assert_recovers(&site, &announced, &what).await;
        }
    }
}

#[tokio::test]
async fn a_writer_that_went_on_after_an_error_may_not_commit() {
    let site = Site::new(SMALL);
    let packs = |call: &testkit::Call| call.path.as_ref().contains("/packs/");
    let faulty = Arc::new(Failing::at_matching(1, Moment::Before, Fault::ServerError, Span::Once, packs));
    let store = Decorated::new(site.inner.clone(), faulty.clone());
    let repository = site.open_through(store, "w").await.expect("opens");
    let mut writer = repository.begin_snapshot(&clock()).await.expect("begins");
    let hasher = writer.hasher();
    let mailbox = mails(0, 300);
    let mut failed = 0;
    for (id, bytes) in &mailbox {
        let email = crate::support::record(id, bytes, &hasher);
        failed += usize::from(writer.add_blobs(vec![(email.blob, bytes.clone())]).await.is_err());
        // This error too is passed over.
        let _ = writer.put_email(email).await;
    }
    assert!(failed > 0, "the fault must strike while blobs are added");
    let end = writer.commit(crate::support::summary(&mailbox), &clock()).await;
    assert!(matches!(end, Err(Error::Interrupted)), "{end:?}");
    assert_eq!(repository.snapshots().await.expect("lists"), vec![]);
}
