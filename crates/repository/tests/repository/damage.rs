//! Objects that are missing, cut off or altered are found.

use bytes::Bytes;
use model::ErrorClass;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use repository::{Depth, Error, Sizes, Store};

use crate::support::{SMALL, Site, backup, clock, mails, options, paths, who};

/// Several packs, segments and entries, a checkpoint among them, a failure, a chunked blob.
async fn site() -> Site {
    let site = Site::new(Sizes { checkpoint: 3, ..SMALL });
    let repository = site.open().await;
    for mailbox in [mails(0, 20), mails(5, 22)] {
        backup(&repository, &mailbox, &clock()).await.expect("commits");
    }
    repository.checkpoint_if_due(&clock()).await.expect("writes");
    let mut writer = repository.begin_snapshot(&clock()).await.expect("begins");
    let failure = repository::FailureRecord {
        data_type: model::DataType::Email,
        id: "lost".to_owned(),
        reason: "the server answered 500".to_owned(),
        attempts: 1,
        first_ms: 0,
    };
    writer.put_failure(failure).await.expect("puts");
    let mut counted = crate::support::summary(&mails(5, 22));
    counted.failures = 1;
    let at = writer.commit(counted, &clock()).await.expect("commits").at;
    Site { remembered: Some(at), ..site }
}

/// Opens everything there is; an error or the number of problems found. Where the log had come is remembered: that its last
/// entry is missing cannot be seen otherwise.
async fn look(site: &Site, depth: Depth) -> Result<usize, Error> {
    let store = Store::open(site.inner.clone(), options("r", site.sizes)).await?;
    let repository = store.mailbox(&site.ring, site.ring.directory(&who())).await?;
    repository.remember(site.remembered);
    let of_the_store = store.check_copies().await?.len();
    Ok(repository.check(None, depth).await?.problems.len() + of_the_store)
}

async fn get(store: &dyn ObjectStore, path: &Path) -> Bytes {
    store.get(path).await.expect("gets").bytes().await.expect("reads")
}

#[tokio::test]
async fn one_flipped_bit_anywhere_is_found() {
    let site = site().await;
    assert_eq!(look(&site, Depth::Data).await.expect("opens"), 0);
    let mut flips = 0;
    for (path, size) in paths(site.inner.as_ref()).await {
        let good = get(site.inner.as_ref(), &path).await;
        let size = usize::try_from(size).expect("small");
        // Every byte of headers and ends, and about a hundred in between.
        let step = (size / 100).max(1);
        for at in (0..size).filter(|at| *at < 40 || at + 24 > size || at % step == 0) {
            let mut bad = good.to_vec();
            bad[at] ^= 1 << (at % 8);
            site.inner.put(&path, bad.into()).await.expect("puts");
            let found = look(&site, Depth::Data).await;
            assert!(!matches!(found, Ok(0)), "byte {at} of {path}");
            flips += 1;
        }
        site.inner.put(&path, good.into()).await.expect("puts");
    }
    assert!(flips > 1000, "{flips}");
    assert_eq!(look(&site, Depth::Data).await.expect("opens"), 0);
}

#[tokio::test]
async fn a_missing_or_cut_off_object_is_found_and_is_no_passing_failure() {
    let site = site().await;
    for (path, size) in paths(site.inner.as_ref()).await {
        let good = get(site.inner.as_ref(), &path).await;
        let size = usize::try_from(size).expect("small");
        let mut damages = vec![None];
        damages.extend([0, 1, 31, size / 2, size - 1].map(|length| Some(good.slice(..length))));
        for damage in damages {
            let what = format!("{path} cut to {:?}", damage.as_ref().map(Bytes::len));
            match damage {
                None => site.inner.delete(&path).await.expect("deletes"),
                Some(bytes) => drop(site.inner.put(&path, bytes.into()).await.expect("puts")),
            }
            match look(&site, Depth::Data).await {
                Ok(problems) => assert!(problems > 0, "{what}"),
                Err(error) => {
                    assert!(!matches!(error.class(), ErrorClass::Transient { .. }), "{what}: {error}")
                }
            }
        }
        site.inner.put(&path, good.into()).await.expect("puts");
    }
}

#[tokio::test]
async fn a_missing_or_cut_off_pack_is_found_without_reading_packs() {
    let site = site().await;
    for (path, size) in paths(site.inner.as_ref()).await {
        if !path.as_ref().contains("/packs/") {
            continue;
        }
        let good = get(site.inner.as_ref(), &path).await;
        site.inner.delete(&path).await.expect("deletes");
        assert!(look(&site, Depth::Structure).await.expect("checks") > 0, "{path}");
        let half = usize::try_from(size / 2).expect("small");
        site.inner.put(&path, good.slice(..half).into()).await.expect("puts");
        assert!(look(&site, Depth::Structure).await.expect("checks") > 0, "{path}");
        site.inner.put(&path, good.into()).await.expect("puts");
    }
}

/// What is moved to another name, number or mailbox is as good as damaged.
#[tokio::test]
async fn an_object_in_another_ones_place_does_not_open() {
    let site = site().await;
    let all = paths(site.inner.as_ref()).await;
    for part in ["/log/", "/packs/", "/segments/"] {
        let mut of_kind = all
            .iter()
            .map(|(path, _)| path)
            .filter(|path| path.as_ref().contains(part) && !path.as_ref().contains("/copies/"));
        let (Some(a), Some(b)) = (of_kind.next(), of_kind.next()) else {
            panic!("{part}: too few");
        };
        let (first, second) = (get(site.inner.as_ref(), a).await, get(site.inner.as_ref(), b).await);
        site.inner.put(a, second.into()).await.expect("puts");
        let found = look(&site, Depth::Data).await;
        assert!(!matches!(found, Ok(0)), "{part}: {found:?}");
        site.inner.put(a, first.into()).await.expect("puts");
    }
}
