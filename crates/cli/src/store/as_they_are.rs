//! Backups on every kind of store that `testkit` knows, through the clients and the words of this program.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use futures::StreamExt as _;
use model::{AccountId, EmailId, EmailRecord, Envelope, FolderId, MailboxIdentity, SystemClock, Timestamp};
use repository::{Depth, KeyRing, Origin, Repository, Store, StoreOptions, Summary};
use testkit::quirk::{self, End, Row};
use testkit::seaweedfs::{self, SeaweedFs};
use testkit::{Quirk, S3, s3};
use zeroize::Zeroizing;

use crate::store::client::{Access, Keys};
use crate::terminal::failure;
use crate::terminal::hint::Setup;

/// Emails that each backup adds.
const NEW: u64 = 5;

/// A bucket and the ring of its only mailbox.
struct Bucket {
    endpoint: String,
    name: &'static str,
    keys: (&'static str, &'static str),
    ring: KeyRing,
}

impl Bucket {
    fn of(s3: &S3) -> Bucket {
        let endpoint = s3.endpoint().to_owned();
        Bucket { endpoint, name: s3::BUCKET, keys: ("an id", "a secret"), ring: KeyRing::generate() }
    }

    /// As a new process opens it.
    async fn open(&self) -> Result<(Store, Repository)> {
        let secret = |text: &str| Zeroizing::new(text.to_owned());
        let access = Access {
            region: Some("us-east-1".to_owned()),
            endpoint: Some(self.endpoint.clone()),
            keys: Some(Keys { id: Some(secret(self.keys.0)), secret: secret(self.keys.1) }),
            plain_http: false,
        };
        let objects = Arc::new(crate::store::client::s3(self.name, &access)?);
        let store = Store::open_or_init(objects, StoreOptions::default(), &SystemClock).await;
        let store = store.context("open the store")?;
        let who = MailboxIdentity {
            server: "mail.example.org".to_owned(),
            account: AccountId::from("a"),
            incarnation: 0,
        };
        let mailbox = store.create_mailbox(&self.ring, &who, "alice").await?;
        Ok((store, mailbox))
    }

    /// Adds emails to those of the backup before, and returns how many the store then gives back.
    async fn back_up(&self, lists_all: bool) -> Result<u64> {
        let (_, mailbox) = self.open().await?;
        let mut writer = mailbox.begin_snapshot(&SystemClock).await?;
        let before = writer.base().map_or(0, |base| base.info().summary.emails);
        let hasher = writer.hasher();
        for number in before..before + NEW {
            let bytes = content(number);
            let email = EmailRecord {
                id: EmailId::from(format!("e{number}")),
                blob: hasher.id(&bytes),
                source_hash: 0,
                received_at: 0,
                size: bytes.len() as u64,
                folders: vec![FolderId::from("inbox")],
                keywords: Vec::new(),
                envelope: Envelope::default(),
            };
            writer.add_blobs(vec![(email.blob, bytes.into())]).await?;
            writer.put_email(email).await?;
        }
        let emails = before + NEW;
        let email_bytes = (0..emails).map(|number| content(number).len() as u64).sum();
        writer.commit(summary(emails, email_bytes), &SystemClock).await?;
        let (store, mailbox) = self.open().await?;
        let listed = store.mailboxes().await?;
        ensure!(!lists_all || listed == [mailbox.dir()], "the mailbox is not listed");
        read(&mailbox, emails).await
    }
}

/// Long enough that a pack of them is not read back whole because it is short.
fn content(number: u64) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        Some(state.to_be_bytes())
    };
    std::iter::from_fn(next).flatten().take(20_000).collect()
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

async fn read(mailbox: &Repository, emails: u64) -> Result<u64> {
    let snapshot = mailbox.snapshot(None).await?;
    let mut rows = snapshot.emails().await?;
    let mut found = 0;
    while let Some(email) = rows.next().await? {
        let bytes = snapshot.blob(&email.blob).await?;
        ensure!((0..emails).any(|number| content(number) == bytes), "{:?} has other bytes", email.id);
        found += 1;
    }
    Ok(found)
}

/// What became of a backup, held against what the row says.
fn judged(ended: Result<u64>, end: End, emails: u64) -> Result<(), String> {
    match (ended, end) {
        (Ok(found), End::Works) if found == emails => Ok(()),
        (Ok(found), _) => Err(format!("it was called good with {found} of {emails} emails")),
        (Err(error), End::Works) => Err(failure::explain(&error, Setup::OneShot).1),
        (Err(error), End::Fails(code, says)) => {
            let (exit, line) = failure::explain(&error, Setup::OneShot);
            let is_plain = !line.contains("Generic") && !line.contains("Error performing");
            match exit.code() == code && line.contains(says) && is_plain {
                true => Ok(()),
                false => Err(format!("exit {} instead of {code} ({says}): {line}", exit.code())),
            }
        }
    }
}

/// With the quirk gone, all that was called good is there: `backups` of them.
async fn whole(bucket: &Bucket, backups: u64) -> Result<(), String> {
    let (_, mailbox) = bucket.open().await.map_err(|error| failure::explain(&error, Setup::OneShot).1)?;
    let report = match mailbox.check(None, Depth::Data).await {
        Err(repository::Error::NoMailbox) if backups == 0 => return Ok(()),
        checked => checked.map_err(|error| error.to_string())?,
    };
    let found = match read(&mailbox, backups * NEW).await {
        // A mailbox whose first backup failed.
        Err(error) if backups == 0 && is_of_none(&error) => 0,
        found => found.map_err(|error| error.to_string())?,
    };
    if found != backups * NEW {
        return Err(format!("{found} emails are left of {backups} backups"));
    }
    match report.problems.is_empty() {
        true => Ok(()),
        false => Err(format!("damage was left: {:?}", report.problems)),
    }
}

fn is_of_none(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(repository::Error::NoSnapshot { .. }))
}

/// On a store that has the quirk from the start (`is_new`), or gets it after a backup.
async fn run(row: Row, is_new: bool) -> Result<(), String> {
    let s3 = S3::start(Quirk::Honest).await.expect("listens");
    let bucket = Bucket::of(&s3);
    let (end, emails) = if is_new { (row.first, NEW) } else { (row.later, 2 * NEW) };
    if !is_new {
        bucket.back_up(true).await.expect("an honest store works");
    }
    s3.set(row.quirk);
    judged(bucket.back_up(row.quirk.lists_all()).await, end, emails)?;
    if s3.hits() == 0 && row.quirk != Quirk::Honest {
        return Err("the quirk never showed".to_owned());
    }
    s3.set(Quirk::Honest);
    let backups = u64::from(!is_new) + u64::from(end == End::Works);
    whole(&bucket, backups).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_quirk_ends_as_its_row_says() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cases = quirk::rows().into_iter().flat_map(|row| [(row, true), (row, false)]);
    let ended = futures::stream::iter(cases).map(|(row, is_new)| async move {
        let when = if is_new { "a new store" } else { "a store with a backup" };
        run(row, is_new).await.map_err(|why| format!("{:?} on {when}: {why}", row.quirk)).err()
    });
    let wrong: Vec<String> = ended.buffer_unordered(16).filter_map(async |wrong| wrong).collect().await;
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// A refusal that will be repeated is believed at once: ten seconds of retries are a few dozen requests.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_final_is_not_asked_for_again() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    use quirk::Refusal::{Bare, Code};
    for (quirk, most) in [
        // Each create with and without a checksum.
        (Quirk::NoConditions, 2),
        (Quirk::RefusesWrites(Code(501, "NotImplemented")), 2),
        (Quirk::RefusesWrites(Code(400, "InvalidRequest")), 2),
        (Quirk::RefusesWrites(Code(507, "XMinioStorageFull")), 1),
        (Quirk::RefusesWrites(Bare(507)), 1),
        (Quirk::RefusesWrites(Code(403, "QuotaExceeded")), 1),
        (Quirk::Refuses(Code(400, "ExpiredToken")), 1),
        (Quirk::Refuses(Code(403, "AccessDenied")), 1),
    ] {
        let s3 = S3::start(Quirk::Honest).await.expect("listens");
        let bucket = Bucket::of(&s3);
        bucket.back_up(true).await.expect("an honest store works");
        s3.set(quirk);
        bucket.back_up(true).await.expect_err("is refused");
        assert!((1..=most).contains(&s3.hits()), "{quirk:?}: {} requests", s3.hits());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_refuses_checksums_is_asked_once() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    for quirk in [Quirk::RefusesChecksums, Quirk::KnowsNoChecksums] {
        let s3 = S3::start(Quirk::Honest).await.expect("listens");
        let bucket = Bucket::of(&s3);
        bucket.back_up(true).await.expect("an honest store works");
        s3.set(quirk);
        bucket.back_up(true).await.expect("works without them");
        assert_eq!(s3.hits(), 1, "{quirk:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_store_is_an_honest_one() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let weed = SeaweedFs::start().await.expect("SeaweedFS starts");
    for row in quirk::honest() {
        let bucket = Bucket {
            endpoint: weed.endpoint().to_owned(),
            name: seaweedfs::BUCKET,
            keys: (seaweedfs::ACCESS_KEY, seaweedfs::SECRET_KEY),
            ring: KeyRing::generate(),
        };
        judged(bucket.back_up(true).await, row.first, NEW).expect("works");
        judged(bucket.back_up(true).await, row.later, 2 * NEW).expect("works");
        whole(&bucket, 2).await.expect("is whole");
    }
}
