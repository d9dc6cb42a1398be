//! The hint is a place to start looking; nothing depends on it.

use bytes::Bytes;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::support::{Mailbox, SMALL, Site, backup, clock, mails};

/// Thirty nights, then the hint says something else, or nothing.
#[tokio::test]
async fn whatever_the_hint_says_the_newest_entry_is_found() {
    let site = Site::new(SMALL);
    let repository = site.open().await;
    let mut last = Mailbox::new();
    for night in 0..30 {
        last = mails(night, 3);
        backup(&repository, &last, &clock()).await.expect("commits");
    }
    let hint = Path::from(format!("mailboxes/{}/hint", repository.dir()));
    let endless = "9".repeat(1000);
    for text in [
        None,
        Some("1"),
        Some("14"),
        Some("30"),
        Some("31"),
        Some("32"),
        Some("99"),
        Some("0"),
        Some("-1"),
        Some("18446744073709551615"),
        Some("18446744073709551616"),
        Some(endless.as_str()),
        Some(""),
        Some("\u{0}\u{ffff}"),
    ] {
        match text {
            None => site.inner.delete(&hint).await.expect("deletes"),
            Some(text) => {
                let bytes = Bytes::copy_from_slice(text.as_bytes());
                site.inner.put(&hint, bytes.into()).await.expect("puts");
            }
        }
        let repository = site.open().await;
        let snapshots = repository.snapshots().await.expect("lists");
        assert_eq!(snapshots.len(), 30, "{text:?}");
        let writer = repository.begin_snapshot(&clock()).await.expect("begins");
        let base = writer.base().expect("has a base");
        assert_eq!(base.info().number.0, 31, "{text:?}");
        assert_eq!(base.info().summary.emails, last.len() as u64);
    }
}
