//! Packs and segments count as stored when the store has given a part of them back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use model::ErrorClass;
use object_store::path::Path;
use object_store::{ObjectStore, PutOptions, PutPayload, PutResult, Result};
use repository::{Error, Sizes};
use testkit::{Behaviour, CallKind, Decorated, Recording};

use crate::support::{Mailbox, SMALL, Site, assert_clean, backup, clock, mails, noise, read};

/// Stores the first few packs and segments with one bit changed.
#[derive(Debug)]
struct Flipping {
    left: AtomicUsize,
    of: &'static str,
}

#[async_trait]
impl Behaviour for Flipping {
    async fn put(
        &self,
        inner: &dyn ObjectStore,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let less = |left: usize| left.checked_sub(1);
        let is_meant = path.as_ref().contains(self.of);
        if !is_meant || self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_err() {
            return inner.put_opts(path, payload, options).await;
        }
        let mut bytes = BytesMut::new();
        payload.iter().for_each(|part| bytes.extend_from_slice(part));
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        inner.put_opts(path, bytes.freeze().into(), options).await
    }
}

/// Answers each PUT with a tag that looks like an MD5 and is none; changes log entries if it is told to.
#[derive(Debug)]
struct OtherTags {
    flips_entries: bool,
}

#[async_trait]
impl Behaviour for OtherTags {
    async fn put(
        &self,
        inner: &dyn ObjectStore,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let flips = usize::from(self.flips_entries);
        let flipping = Flipping { left: flips.into(), of: "/log/" };
        let written = flipping.put(inner, path, payload, options).await?;
        Ok(PutResult { e_tag: Some(format!("\"{}\"", "5a".repeat(16))), ..written })
    }
}

#[tokio::test]
async fn a_tag_that_is_not_the_md5_makes_the_writer_look_and_no_more() {
    for flips_entries in [false, true] {
        let site = Site::new(SMALL);
        let mailbox = mails(0, 30);
        backup(&site.open().await, &mailbox, &clock()).await.expect("commits");
        let store = Decorated::new(site.inner.clone(), Arc::new(OtherTags { flips_entries }));
        let repository = site.open_through(store, "w").await.expect("opens");
        // Nothing but a log entry is written, so the first tag this process sees is that of the entry.
        match backup(&repository, &mailbox, &clock()).await {
            Ok(_) => assert!(!flips_entries, "a changed entry was called good"),
            Err(error) => assert!(flips_entries && error.class() == ErrorClass::Corrupt, "{error}"),
        }
        if !flips_entries {
            let more = mails(0, 60);
            backup(&repository, &more, &clock()).await.expect("commits");
            assert_eq!(read(&site.open().await, None).await.expect("reads"), more);
        }
    }
}

#[tokio::test]
async fn what_the_store_changed_is_stored_again_under_another_name() {
    for of in ["/packs/", "/segments/"] {
        // Two tries of one object, or one each of two.
        for flips in [1, 2] {
            let site = Site::new(SMALL);
            let before = mails(0, 30);
            backup(&site.open().await, &before, &clock()).await.expect("commits");
            let flipping = Arc::new(Flipping { left: flips.into(), of });
            let store = Decorated::new(site.inner.clone(), flipping.clone());
            let repository = site.open_through(store, "w").await.expect("opens");
            let after = mails(0, 60);
            backup(&repository, &after, &clock()).await.expect("commits");
            assert_eq!(flipping.left.load(Ordering::Relaxed), 0, "nothing was changed");
            let repository = site.open().await;
            assert_eq!(read(&repository, None).await.expect("reads"), after);
            assert_clean(&repository, of).await;
        }
    }
}

#[tokio::test]
async fn nothing_is_committed_on_a_store_that_keeps_nothing() {
    for of in ["/packs/", "/segments/"] {
        let site = Site::new(SMALL);
        let before = mails(0, 30);
        backup(&site.open().await, &before, &clock()).await.expect("commits");
        let store = Decorated::new(site.inner.clone(), Arc::new(Flipping { left: usize::MAX.into(), of }));
        let repository = site.open_through(store, "w").await.expect("opens");
        let error = backup(&repository, &mails(0, 60), &clock()).await.expect_err("is noticed");
        assert!(matches!(error, Error::NotKept { tries: 3, .. }), "{error}");
        assert_eq!(error.class(), ErrorClass::Corrupt);
        let repository = site.open().await;
        assert_eq!(read(&repository, None).await.expect("reads"), before);
        assert_clean(&repository, of).await;
    }
}

/// What it costs: requests and bytes of a backup of 40 MiB that does not compress, and of a small one.
#[tokio::test]
async fn a_pack_is_read_back_with_three_requests_and_a_tenth_of_its_bytes() {
    let site = Site::new(Sizes::default());
    let recording = Arc::new(Recording::default());
    let store = Decorated::new(site.inner.clone(), recording.clone());
    let repository = site.open_through(store, "w").await.expect("opens");
    let large: Mailbox = (0..80).map(|i| (format!("a{i}"), noise(i, 512 << 10))).collect();
    recording.take();
    backup(&repository, &large, &clock()).await.expect("commits");
    let calls = recording.take();
    let packs = calls.on("/packs/");
    let (written, parts) = (packs.count(CallKind::Put), packs.count(CallKind::Range));
    assert_eq!(packs.requests(), written + parts, "{packs:?}");
    assert!((2..=4).contains(&written) && (written..=3 * written).contains(&parts), "{written} {parts}");
    let share = packs.received() * 100 / packs.sent();
    assert!((3..=25).contains(&share), "{share} % of the bytes were read back");
    let segments = calls.on("/segments/");
    assert_eq!((segments.count(CallKind::Put), segments.count(CallKind::Range)), (1, 1), "{segments:?}");

    let mut more = large.clone();
    more.insert("new".to_owned(), Bytes::from_static(b"Subject: new\r\n\r\nnew\r\n"));
    backup(&repository, &more, &clock()).await.expect("commits");
    let packs = recording.take().on("/packs/");
    assert_eq!((packs.count(CallKind::Put), packs.count(CallKind::Range)), (1, 1), "{packs:?}");
    assert_eq!(packs.sent(), packs.received());
}
