//! A mailbox as a map, a backup that makes the repository equal to it, and the comparison afterwards.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use model::{
    AccountId, Clock, DataType, EmailId, EmailRecord, Envelope, FolderId, LogPosition, MailboxIdentity,
    SnapshotNumber, Timestamp,
};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use repository::{
    BlobHasher, Committed, Depth, Error, KeyRing, ObjectRecord, Origin, Repository, Sizes, Store,
    StoreOptions, Summary,
};
use testkit::ManualClock;

/// What a mailbox holds: email id → raw bytes.
pub(crate) type Mailbox = BTreeMap<String, Bytes>;

/// Few bytes make many frames, packs and segments.
pub(crate) const SMALL: Sizes = Sizes {
    frame: 2 << 10,
    pack: 4 << 10,
    block: 512,
    segment: 4 << 10,
    full_segment: 2 << 10,
    spill: 4 << 10,
    checkpoint: 32,
};

pub(crate) fn who() -> MailboxIdentity {
    MailboxIdentity { server: "mail.example.org".to_owned(), account: AccountId::from("a"), incarnation: 0 }
}

pub(crate) fn clock() -> ManualClock {
    ManualClock::at_second(1_700_000_000)
}

pub(crate) fn options(writer: &str, sizes: Sizes) -> StoreOptions {
    StoreOptions { writer: writer.to_owned(), sizes, ..StoreOptions::default() }
}

/// A store in memory and the ring to its mailbox.
pub(crate) struct Site {
    pub(crate) inner: Arc<InMemory>,
    pub(crate) ring: KeyRing,
    pub(crate) sizes: Sizes,
    /// How far the log had come, if a test keeps that.
    pub(crate) remembered: Option<LogPosition>,
}

impl Site {
    pub(crate) fn new(sizes: Sizes) -> Site {
        Site { inner: Arc::new(InMemory::new()), ring: KeyRing::generate(), sizes, remembered: None }
    }

    pub(crate) async fn open(&self) -> Repository {
        self.open_through(self.inner.clone(), "w").await.expect("opens")
    }

    pub(crate) async fn open_through(
        &self,
        store: Arc<dyn ObjectStore>,
        writer: &str,
    ) -> Result<Repository, Error> {
        let store = Store::open_or_init(store, options(writer, self.sizes), &clock()).await?;
        store.create_mailbox(&self.ring, &who(), "alice").await
    }
}

/// Bytes that do not compress, the same for the same number.
pub(crate) fn noise(seed: u64, length: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()
    };
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&next());
    }
    bytes.truncate(length);
    bytes.into()
}

pub(crate) fn email_id(i: usize) -> String {
    format!("e{:07}", i * 7919 % 10_000_019)
}

/// `count` emails of 40 to 440 bytes from number `first` on.
pub(crate) fn mails(first: usize, count: usize) -> Mailbox {
    let mail = |i: usize| (email_id(i), noise(i as u64, 40 + i * 37 % 400));
    (first..first + count).map(mail).collect()
}

pub(crate) fn record(id: &str, bytes: &Bytes, hasher: &BlobHasher) -> EmailRecord {
    EmailRecord {
        id: EmailId::from(id),
        blob: hasher.id(bytes),
        source_hash: hasher.short(id),
        received_at: i64::try_from(bytes.len()).expect("short"),
        size: bytes.len() as u64,
        folders: vec![FolderId::from("inbox")],
        keywords: vec!["$seen".to_owned()],
        envelope: Envelope { subject: format!("about {id}"), ..Envelope::default() },
    }
}

pub(crate) fn folder(name: &str) -> ObjectRecord {
    ObjectRecord {
        data_type: DataType::Mailbox,
        id: name.to_owned(),
        json: Bytes::from(format!(r#"{{"id":"{name}","name":"Folder {name}"}}"#)),
        blob: None,
    }
}

pub(crate) fn summary(mailbox: &Mailbox) -> Summary {
    Summary {
        account_name: "alice".to_owned(),
        types: Vec::new(),
        emails: mailbox.len() as u64,
        email_bytes: mailbox.values().map(|bytes| bytes.len() as u64).sum(),
        new_emails: 0,
        removed_emails: 0,
        failures: 0,
        shrunk: false,
        since_listing: 0,
        started: Timestamp::UNIX_EPOCH,
        origin: Origin::default(),
    }
}

/// Takes a snapshot that equals `mailbox`, from whatever the newest one holds.
pub(crate) async fn backup(
    repository: &Repository,
    mailbox: &Mailbox,
    clock: &dyn Clock,
) -> Result<Committed, Error> {
    let mut writer = repository.begin_snapshot(clock).await?;
    let hasher = writer.hasher();
    let mut before = BTreeMap::new();
    if let Some(base) = writer.base().cloned() {
        let mut emails = base.emails().await?;
        while let Some(email) = emails.next().await? {
            before.insert(email.id.to_string(), email.blob);
        }
    } else {
        writer.put_object(folder("inbox")).await?;
    }
    for id in before.keys().filter(|id| !mailbox.contains_key(*id)) {
        writer.remove_email(&EmailId::from(id.as_str())).await?;
    }
    for (id, bytes) in mailbox {
        let email = record(id, bytes, &hasher);
        if before.get(id) != Some(&email.blob) {
            writer.add_blobs(vec![(email.blob, bytes.clone())]).await?;
            writer.put_email(email).await?;
        }
    }
    writer.commit(summary(mailbox), clock).await
}

/// Everything a snapshot holds, byte for byte.
pub(crate) async fn read(repository: &Repository, number: Option<SnapshotNumber>) -> Result<Mailbox, Error> {
    let snapshot = repository.snapshot(number).await?;
    let mut emails = snapshot.emails().await?;
    let mut mailbox = Mailbox::new();
    while let Some(email) = emails.next().await? {
        let bytes = snapshot.blob(&email.blob).await?;
        assert_eq!(bytes.len() as u64, email.size);
        mailbox.insert(email.id.to_string(), bytes);
    }
    Ok(mailbox)
}

/// `Depth::Data` finds nothing wrong.
pub(crate) async fn assert_clean(repository: &Repository, what: &str) {
    let report = repository.check(None, Depth::Data).await.expect("checks");
    assert_eq!(report.problems, vec![], "{what}");
}

pub(crate) async fn paths(store: &dyn ObjectStore) -> Vec<(object_store::path::Path, u64)> {
    use futures::TryStreamExt;
    let listed: Vec<_> = store.list(None).try_collect().await.expect("lists");
    let mut paths: Vec<_> = listed.into_iter().map(|meta| (meta.location, meta.size)).collect();
    paths.sort();
    paths
}
