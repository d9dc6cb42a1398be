use model::{BackupNumber, BackupState, Date, JobId, JobKind, MailboxId, SnapshotNumber, Timestamp};
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use crate::catalog::Catalog;
use crate::columns::{Number, count, get, maybe_digest, maybe_word, word};
use crate::error::Result;

/// What a snapshot says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// Its number in the mailbox's repository.
    pub snapshot: SnapshotNumber,
    /// How good it is. Where the catalogue knows of damage it reads as [`BackupState::Damaged`]; nobody writes that.
    pub state: BackupState,
    /// When the backup began.
    pub started_at: Timestamp,
    /// When it was committed.
    pub finished_at: Timestamp,
    /// The configured store it lies in.
    pub store: String,
    /// That store's zone.
    pub zone: String,
    /// Emails in it.
    pub emails: u64,
    /// Their raw bytes.
    pub bytes: u64,
    /// Bytes it added to the store.
    pub stored_bytes: u64,
    /// How many objects of each type, for people.
    pub contents: Value,
    /// Tells it from any other that may come to have its number (`repository::Snapshot::digest`); `None`: written before
    /// digests were.
    pub digest: Option<[u8; 32]>,
}

/// A backup as people see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Backup {
    /// What people call it.
    pub number: BackupNumber,
    /// Whose.
    pub mailbox: MailboxId,
    /// The kind of job that made it; `None`: a person at a terminal.
    pub kind: Option<JobKind>,
    /// The slot it fills.
    pub slot_date: Option<Date>,
    /// The job that made it, which may be deleted.
    pub job: Option<JobId>,
    /// What the snapshot says.
    pub facts: Facts,
}

const COLUMNS: &str = "number, mailbox, kind, slot_date, job, snapshot, \
                       CASE WHEN damaged_at IS NULL THEN state ELSE 'damaged' END AS state, started_at, finished_at, \
                       store, zone, emails, bytes, stored_bytes, contents, digest";

impl Backup {
    fn of(row: &Row) -> Result<Backup> {
        let facts = Facts {
            snapshot: Number::of(row, "snapshot")?,
            state: word(row, "state")?,
            started_at: get(row, "started_at")?,
            finished_at: get(row, "finished_at")?,
            store: get(row, "store")?,
            zone: get(row, "zone")?,
            emails: count(row, "emails")?,
            bytes: count(row, "bytes")?,
            stored_bytes: count(row, "stored_bytes")?,
            contents: get::<Json<Value>>(row, "contents")?.0,
            digest: maybe_digest(row, "digest")?,
        };
        Ok(Backup {
            number: Number::of(row, "number")?,
            mailbox: Number::of(row, "mailbox")?,
            kind: maybe_word(row, "kind")?,
            slot_date: get(row, "slot_date")?,
            job: Number::maybe(row, "job")?,
            facts,
        })
    }
}

impl Catalog {
    /// The backup that people call so.
    pub async fn backup(&self, number: BackupNumber) -> Result<Option<Backup>> {
        let sql = format!("SELECT {COLUMNS} FROM backups WHERE number = $1");
        self.maybe(&sql, &[&number.sql()]).await?.as_ref().map(Backup::of).transpose()
    }

    /// The mailbox's backup that people call so; `None` also if it is another mailbox's.
    pub async fn backup_of(&self, mailbox: MailboxId, number: BackupNumber) -> Result<Option<Backup>> {
        Ok(self.backup(number).await?.filter(|backup| backup.mailbox == mailbox))
    }

    /// The mailbox's backups, the newest first, those committed before the one of the number `before`. Numbers are no order: some
    /// were given at a rebuild; nor are snapshots: each store counts its own.
    pub async fn backups_of(
        &self,
        mailbox: MailboxId,
        before: Option<BackupNumber>,
        limit: u32,
    ) -> Result<Vec<Backup>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM backups b WHERE mailbox = $1 AND ($2::bigint IS NULL OR (finished_at, snapshot, number) < \
                 (SELECT finished_at, snapshot, number FROM backups WHERE number = $2 AND mailbox = $1)) \
             ORDER BY finished_at DESC, snapshot DESC, number DESC LIMIT $3"
        );
        let before = before.map(Number::sql);
        let rows = self.query(&sql, &[&mailbox.sql(), &before, &i64::from(limit)]).await?;
        rows.iter().map(Backup::of).collect()
    }
}
