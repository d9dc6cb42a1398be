//! What goes into a repository comes out again, over several snapshots.

use std::sync::Arc;

use bytes::Bytes;
use model::{
    AccountId, DataType, EmailId, EmailRecord, Envelope, FolderId, MailboxIdentity, SystemClock, Timestamp,
};
use object_store::memory::InMemory;
use repository::{Depth, Error, KeyRing, ObjectRecord, Origin, Repository, Store, StoreOptions, Summary};

fn who() -> MailboxIdentity {
    MailboxIdentity { server: "mail.example.org".to_owned(), account: AccountId::from("a"), incarnation: 0 }
}

async fn repository(inner: Arc<InMemory>, ring: &KeyRing, writer: &str) -> Repository {
    let options = StoreOptions { writer: writer.to_owned(), ..StoreOptions::default() };
    let store = Store::open_or_init(inner, options, &SystemClock).await.expect("store opens");
    store.create_mailbox(ring, &who(), "alice").await.expect("mailbox opens")
}

fn bytes_of(i: usize) -> Bytes {
    Bytes::from(format!("Subject: {i}\r\n\r\n{}", "hello world ".repeat(i % 700)))
}

fn email(i: usize, hasher: &repository::BlobHasher) -> (EmailRecord, Bytes) {
    let bytes = bytes_of(i);
    let record = EmailRecord {
        id: EmailId::from(format!("e{:06}", i * 7919 % 1_000_003)),
        blob: hasher.id(&bytes),
        source_hash: i as u64,
        received_at: i as i64,
        size: bytes.len() as u64,
        folders: vec![FolderId::from("a")],
        keywords: vec!["$seen".to_owned()],
        envelope: Envelope { subject: i.to_string(), ..Envelope::default() },
    };
    (record, bytes)
}

fn summary(emails: u64, email_bytes: u64) -> Summary {
    Summary {
        account_name: "alice".to_owned(),
        types: Vec::new(),
        emails,
        email_bytes,
        new_emails: 0,
        removed_emails: 0,
        failures: 0,
        shrunk: false,
        since_listing: 0,
        started: Timestamp::UNIX_EPOCH,
        origin: Origin::default(),
    }
}

async fn add(repository: &Repository, range: std::ops::Range<usize>) -> Result<repository::Committed, Error> {
    let mut writer = repository.begin_snapshot(&SystemClock).await?;
    let (mut count, mut bytes) =
        writer.base().map_or((0, 0), |b| (b.info().summary.emails, b.info().summary.email_bytes));
    let hasher = writer.hasher();
    for i in range {
        let (record, raw) = email(i, &hasher);
        count += 1;
        bytes += record.size;
        writer.add_blobs(vec![(record.blob, raw)]).await?;
        writer.put_email(record).await?;
    }
    let json = Bytes::from_static(br#"{"id":"x","name":"Inbox"}"#);
    let object = ObjectRecord { data_type: DataType::Mailbox, id: "x".to_owned(), json, blob: None };
    writer.put_object(object).await?;
    writer.commit(summary(count, bytes), &SystemClock).await
}

#[tokio::test]
async fn nights_add_up_and_every_byte_comes_back() {
    let (inner, ring) = (Arc::new(InMemory::new()), KeyRing::generate());
    let repository = repository(inner, &ring, "w").await;
    for night in 0..12 {
        add(&repository, night * 500..(night + 1) * 500).await.expect("commits");
    }
    let snapshots = repository.snapshots().await.expect("lists");
    assert_eq!(snapshots.len(), 12);
    let snapshot = repository.snapshot(None).await.expect("opens");
    let mut emails = snapshot.emails().await.expect("reads");
    let mut seen = Vec::new();
    while let Some(email) = emails.next().await.expect("reads") {
        let i = usize::try_from(email.source_hash).expect("small");
        seen.push(i);
        assert_eq!(snapshot.blob(&email.blob).await.expect("reads"), bytes_of(i));
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..6000).collect::<Vec<_>>());
    assert_eq!(snapshot.objects().await.expect("reads").len(), 1);
    let report = repository.check(None, Depth::Data).await.expect("checks");
    assert_eq!(report.problems, vec![]);
    assert_eq!((report.snapshots, report.emails), (12, 6000 * 13 / 2));
}

#[tokio::test]
async fn a_removed_email_is_gone_and_stays_in_the_older_snapshot() {
    let (inner, ring) = (Arc::new(InMemory::new()), KeyRing::generate());
    let repository = repository(inner, &ring, "w").await;
    add(&repository, 0..10).await.expect("commits");
    let mut writer = repository.begin_snapshot(&SystemClock).await.expect("begins");
    let (gone, bytes) = email(3, &writer.hasher());
    writer.remove_email(&gone.id).await.expect("removes");
    let left = writer.base().expect("has a base").info().summary.email_bytes - bytes.len() as u64;
    writer.commit(summary(9, left), &SystemClock).await.expect("commits");
    let now = repository.snapshot(None).await.expect("opens");
    assert_eq!(now.find_emails(std::slice::from_ref(&gone.id)).await.expect("looks"), vec![]);
    let before = repository.snapshot(now.info().base).await.expect("opens");
    assert_eq!(before.find_emails(std::slice::from_ref(&gone.id)).await.expect("looks"), vec![gone]);
    assert_eq!(repository.check(None, Depth::Data).await.expect("checks").problems, vec![]);
}

#[tokio::test]
async fn of_two_writers_one_wins_and_the_other_learns_who() {
    let (inner, ring) = (Arc::new(InMemory::new()), KeyRing::generate());
    let first = repository(inner.clone(), &ring, "first").await;
    let second = repository(inner, &ring, "second").await;
    let slow = second.begin_snapshot(&SystemClock).await.expect("begins");
    add(&first, 0..10).await.expect("commits");
    let lost = slow.commit(summary(0, 0), &SystemClock).await.expect_err("loses");
    assert!(matches!(&lost, Error::Lost { winner, number: 2, .. } if winner == "first"), "{lost}");
    assert_eq!(first.snapshots().await.expect("lists").len(), 1);
}

#[tokio::test]
async fn another_ring_is_told_so() {
    let inner = Arc::new(InMemory::new());
    let ring = KeyRing::generate();
    let dir = repository(inner.clone(), &ring, "w").await.dir();
    let store = Store::open(inner, StoreOptions::default()).await.expect("opens");
    let error = store.mailbox(&KeyRing::generate(), dir).await.expect_err("is refused");
    assert!(matches!(error, Error::WrongKey { .. }), "{error}");
}
