//! What a backup does to bytes besides fetching them, measured alone.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use model::{EmailId, EmailRecord, Envelope, SystemClock, Timestamp};
use object_store::memory::InMemory;
use repository::{KeyRing, Origin, Store, StoreOptions, Summary};
use tests::Message;

/// CPU time of what a backup does to bytes besides fetching them, by the repository itself, one thread.
pub(crate) async fn hashing_alone(messages: &[Message]) -> Result<Duration> {
    let store = Store::open_or_init(Arc::new(InMemory::new()), StoreOptions::default(), &SystemClock).await?;
    let identity = model::MailboxIdentity { server: "s".into(), account: "a".into(), incarnation: 0 };
    let repository = store.create_mailbox(&KeyRing::generate(), &identity, "a").await?;
    let mut writer = repository.begin_snapshot(&SystemClock).await?;
    let hasher = writer.hasher();
    let before = cpu_time()?;
    for (i, message) in messages.iter().enumerate() {
        let pieces = message.raw.chunks(256 << 10).map(|piece| message.raw.slice_ref(piece));
        let blobs: Vec<(model::BlobId, Bytes)> = pieces.map(|piece| (hasher.id(&piece), piece)).collect();
        let blob = blobs[0].0;
        writer.add_blobs(blobs).await?;
        let record = EmailRecord {
            id: EmailId::from(format!("{i}")),
            blob,
            source_hash: 0,
            received_at: 0,
            size: message.raw.len() as u64,
            folders: Vec::new(),
            keywords: Vec::new(),
            envelope: Envelope::default(),
        };
        writer.put_email(record).await?;
    }
    let summary = Summary {
        account_name: String::new(),
        types: Vec::new(),
        emails: messages.len() as u64,
        email_bytes: 0,
        new_emails: 0,
        removed_emails: 0,
        failures: 0,
        shrunk: false,
        since_listing: 0,
        started: Timestamp::UNIX_EPOCH,
        origin: Origin::default(),
    };
    writer.commit(summary, &SystemClock).await?;
    Ok(cpu_time()?.saturating_sub(before))
}

/// User and system time of this process; the kernel counts it in hundredths of a second.
fn cpu_time() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().context("a stat line")?.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(Duration::from_millis(ticks * 10))
}
