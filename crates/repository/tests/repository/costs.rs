//! How many requests and bytes an operation takes.

use std::sync::Arc;

use model::{EmailId, LogPosition};
use object_store::local::LocalFileSystem;
use repository::{KeyRing, Sizes, Store};
use testkit::{CallKind, Decorated, Recorder, Recording};

use crate::support::{Mailbox, Site, backup, clock, mails, noise, options, record, summary, who};

/// One process: opens the store and the mailbox, takes a snapshot to which nothing is added, ends.
async fn unchanged_night(site: &Site, mailbox: &Mailbox, remembered: Option<LogPosition>) -> Recorder {
    let recording = Arc::new(Recording::default());
    let store = Decorated::new(site.inner.clone(), recording.clone());
    let repository = site.open_through(store, "w").await.expect("opens");
    repository.remember(remembered);
    let writer = repository.begin_snapshot(&clock()).await.expect("begins");
    assert!(writer.base().is_some());
    let committed = writer.commit(summary(mailbox), &clock()).await.expect("commits");
    assert!(!committed.checkpoint_due);
    assert_eq!(committed.stored_bytes, 0);
    recording.take()
}

#[tokio::test]
async fn an_unchanged_night_takes_one_put_five_gets_and_a_kilobyte() {
    use CallKind::{Create, Get, List};
    let site = Site::new(Sizes::default());
    let mailbox = mails(0, 3000);
    let committed = backup(&site.open().await, &mailbox, &clock()).await.expect("commits");
    // Descriptor, key, the entry that is remembered, "none behind it", "nor behind that"; the entry.
    let remembered = [Get, Get, Get, Get, Get, Create].as_slice();
    // What nobody remembers is listed.
    let listed = [Get, Get, List, Get, Get, Get, Create].as_slice();
    for (position, expected) in [(Some(committed.at), remembered), (None, listed)] {
        let calls = unchanged_night(&site, &mailbox, position).await;
        let kinds: Vec<CallKind> = calls.0.iter().map(|call| call.kind).collect();
        assert_eq!(kinds, expected, "{calls:?}");
        assert!(calls.sent() < 1024, "{} bytes", calls.sent());
        assert!(calls.received() < 2048, "{} bytes", calls.received());
    }
}

#[tokio::test]
async fn what_is_stored_already_is_not_stored_again() {
    let site = Site::new(Sizes::default());
    let recording = Arc::new(Recording::default());
    let store = Decorated::new(site.inner.clone(), recording.clone());
    let repository = site.open_through(store, "w").await.expect("opens");
    let bytes = noise(1, 100_000);
    let packs = |calls: Recorder| calls.on("/packs/").sent();

    // Fifty emails with one content, in one run.
    let same: Mailbox = (0..50).map(|i| (format!("a{i}"), bytes.clone())).collect();
    backup(&repository, &same, &clock()).await.expect("commits");
    let once = packs(recording.take());
    assert!((100_000..101_000).contains(&once), "{once} bytes of packs");

    // Fifty more in the next one, beside news.
    let mut more: Mailbox = (0..100).map(|i| (format!("a{i}"), bytes.clone())).collect();
    more.insert("news".to_owned(), noise(2, 5_000));
    backup(&repository, &more, &clock()).await.expect("commits");
    let news = packs(recording.take());
    assert!((5_000..5_500).contains(&news), "{news} bytes of packs");

    // An email that was deleted comes back.
    let without: Mailbox =
        more.iter().filter(|(id, _)| *id != "news").map(|(i, b)| (i.clone(), b.clone())).collect();
    backup(&repository, &without, &clock()).await.expect("commits");
    backup(&repository, &more, &clock()).await.expect("commits");
    assert_eq!(packs(recording.take()), 0);
}

/// Highest resident memory of this process so far; one test is one process under nextest.
fn memory_peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("is Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kilobytes.expect("the kernel says so") * 1024
}

#[tokio::test]
async fn a_hundred_thousand_emails_take_bounded_memory() {
    let dir = tempfile::tempdir().expect("makes a directory");
    let inner = Arc::new(LocalFileSystem::new_with_prefix(dir.path()).expect("opens"));
    let ring = KeyRing::generate();
    let open = || async {
        let store = Store::open_or_init(inner.clone(), options("w", Sizes::default()), &clock()).await;
        let opened = store.expect("opens").create_mailbox(&ring, &who(), "alice").await;
        opened.expect("opens")
    };
    let start = memory_peak();
    let mut writer = open().await.begin_snapshot(&clock()).await.expect("begins");
    let hasher = writer.hasher();
    let mut counted = summary(&Mailbox::new());
    for batch in 0..200 {
        let mut blobs = Vec::new();
        for i in batch * 500..(batch + 1) * 500 {
            let bytes = noise(i, 64);
            let email = record(&format!("e{:08}", i * 7919 % 100_000_007), &bytes, &hasher);
            counted.emails += 1;
            counted.email_bytes += email.size;
            blobs.push((email.blob, bytes));
            writer.put_email(email).await.expect("puts");
        }
        writer.add_blobs(blobs).await.expect("adds");
    }
    writer.commit(counted.clone(), &clock()).await.expect("commits");
    let full = memory_peak() - start;

    let repository = open().await;
    let mut writer = repository.begin_snapshot(&clock()).await.expect("begins");
    for i in 0..100u64 {
        let id = format!("e{:08}", i * 7919 % 100_000_007);
        let gone = noise(i, 64).len() as u64;
        writer.remove_email(&EmailId::from(id)).await.expect("removes");
        counted.emails -= 1;
        counted.email_bytes -= gone;
    }
    let committed = writer.commit(counted, &clock()).await.expect("commits");
    assert!(committed.stored_bytes < 100_000, "{committed:?}");
    let report = repository.check(None, repository::Depth::Data).await.expect("checks");
    assert_eq!(report.problems, vec![]);
    let after = memory_peak() - start;
    assert!(full < 100 << 20, "{} MiB for the first backup", full >> 20);
    assert!(after < 128 << 20, "{} MiB with the second and a check", after >> 20);
}
