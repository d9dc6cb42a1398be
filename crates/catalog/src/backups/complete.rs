//! The end of a job that did what it was for, and the only place where a backup becomes visible to people. A backup that is not good
//! may be made visible without its job's end: the job then makes another one, under another number.
//!
//! One transaction: the job must still run under the claim, the mailbox must still have the claim's epoch, then the backup's
//! row, what the mailbox knows of its newest backup, and the job's end. A crash before the commit leaves the job running; the
//! reaper gives it to another worker, which finds the snapshot in the log, adopts it and comes here again with the same number.
//! A crash after the commit leaves a ticket for a job that is done.

use deadpool_postgres::GenericClient;
use model::{BackupNumber, BackupState, Date, Epoch, JobState, MailboxId};
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use crate::backups::backup::Facts;
use crate::catalog::{Catalog, changed, row};
use crate::columns::{Number, get, word};
use crate::error::{Error, Result};
use crate::jobs::claim::Claim;

/// A backup that was just committed to its store.
#[derive(Debug, Clone, PartialEq)]
pub struct NewBackup {
    /// The number that its log entry carries, drawn by the job.
    pub number: BackupNumber,
    /// What the snapshot says.
    pub facts: Facts,
    /// Something of it is known to be missing or damaged already.
    pub damaged: bool,
}

impl NewBackup {
    /// How good it is.
    pub fn state(&self) -> BackupState {
        if self.damaged { BackupState::Damaged } else { self.facts.state }
    }
}

impl Catalog {
    /// Ends a job, with the backup it made. Doing so twice is doing it once.
    ///
    /// # Errors
    /// [`Error::Fenced`], then nothing was written; [`Error::NumberTaken`] if the number is another snapshot's.
    pub async fn complete(&self, claim: &Claim, backup: Option<&NewBackup>) -> Result<()> {
        let end = "UPDATE jobs SET state = 'done', finished_at = now(), heartbeat_at = NULL, \
                       error_class = NULL, error = NULL WHERE id = $1";
        self.write_down(claim, backup, end).await
    }

    /// Writes down a backup that is not what the job is for. The job runs on without a number: it draws another one. Doing so twice is
    /// doing it once.
    ///
    /// # Errors
    /// Those of [`Catalog::complete`].
    pub async fn record(&self, claim: &Claim, backup: &NewBackup) -> Result<()> {
        self.write_down(claim, Some(backup), "UPDATE jobs SET number = NULL WHERE id = $1").await
    }

    async fn write_down(&self, claim: &Claim, backup: Option<&NewBackup>, then: &str) -> Result<()> {
        self.within(async {
            let mut client = self.client().await?;
            let transaction = client.transaction().await?;
            match look(&transaction, claim).await? {
                Standing::Held(job) => {
                    if let (Some(backup), Some(mailbox)) = (backup, claim.mailbox) {
                        insert(&transaction, claim, mailbox, &job, backup).await?;
                        remember(&transaction, claim, mailbox, backup).await?;
                    }
                    changed(&transaction, then, &[&claim.job.sql()]).await?;
                }
                Standing::Done => already_written(&transaction, claim, backup).await?,
                Standing::Lost => return Err(Error::Fenced),
            }
            transaction.commit().await?;
            Ok(())
        })
        .await
    }
}

enum Standing {
    /// The claim holds.
    Held(Row),
    /// The job was ended under this claim: an answer was lost on its way.
    Done,
    /// Somebody else has it.
    Lost,
}

async fn look(on: &impl GenericClient, claim: &Claim) -> Result<Standing> {
    let sql = "SELECT j.state, j.epoch, j.kind, j.slot_date, coalesce(m.epoch, j.epoch) AS newest_epoch \
               FROM jobs j LEFT JOIN mailboxes m ON m.id = j.mailbox WHERE j.id = $1 FOR UPDATE OF j";
    let Some(job) = row(on, sql, &[&claim.job.sql()]).await? else { return Ok(Standing::Lost) };
    let ours = Number::maybe(&job, "epoch")? == Some(claim.epoch);
    let newest = Epoch::of(&job, "newest_epoch").is_ok_and(|newest| newest == claim.epoch);
    Ok(match word(&job, "state")? {
        JobState::Running if ours && newest => Standing::Held(job),
        JobState::Done if ours => Standing::Done,
        _ => Standing::Lost,
    })
}

async fn insert(
    on: &impl GenericClient,
    claim: &Claim,
    mailbox: MailboxId,
    job: &Row,
    backup: &NewBackup,
) -> Result<()> {
    // A rebuild may have found the snapshot before we came.
    let sql = "INSERT INTO backups AS b (number, mailbox, snapshot, state, kind, slot_date, job, started_at, finished_at, \
                   store, zone, emails, bytes, stored_bytes, contents, digest, damaged_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, \
                   CASE WHEN $17 THEN now() END) \
               ON CONFLICT (number) DO UPDATE SET job = excluded.job, \
                   damaged_at = coalesce(b.damaged_at, excluded.damaged_at) \
               WHERE b.mailbox = excluded.mailbox AND b.snapshot = excluded.snapshot";
    let Facts {
        snapshot,
        state,
        started_at,
        finished_at,
        store,
        zone,
        emails,
        bytes,
        stored_bytes,
        contents,
        digest,
    } = &backup.facts;
    let (kind, slot_date) = (get::<&str>(job, "kind")?, get::<Option<Date>>(job, "slot_date")?);
    let written = changed(
        on,
        sql,
        &[
            &backup.number.sql(),
            &mailbox.sql(),
            &snapshot.sql(),
            &state.as_str(),
            &kind,
            &slot_date,
            &claim.job.sql(),
            started_at,
            finished_at,
            store,
            zone,
            &emails.cast_signed(),
            &bytes.cast_signed(),
            &stored_bytes.cast_signed(),
            &Json(contents),
            &digest.as_ref().map(|digest| digest.as_slice()),
            &backup.damaged,
        ],
    )
    .await?;
    if written == 1 { Ok(()) } else { Err(Error::NumberTaken(backup.number)) }
}

async fn remember(
    on: &impl GenericClient,
    claim: &Claim,
    mailbox: MailboxId,
    backup: &NewBackup,
) -> Result<()> {
    // A rebuild may have found the snapshot before, and that it is damaged.
    let sql = "UPDATE mailboxes SET first_backup_at = least(first_backup_at, $3), unknown_at = NULL, \
                   newest_good_at = CASE WHEN EXISTS (SELECT FROM backups \
                           WHERE number = $4 AND state = 'good' AND damaged_at IS NULL) \
                       THEN greatest(newest_good_at, $3) ELSE newest_good_at END \
               WHERE id = $1 AND epoch = $2";
    let started_at = &backup.facts.started_at;
    let remembered =
        changed(on, sql, &[&mailbox.sql(), &claim.epoch.sql(), started_at, &backup.number.sql()]).await?;
    if remembered == 1 { Ok(()) } else { Err(Error::Fenced) }
}

async fn already_written(on: &impl GenericClient, claim: &Claim, backup: Option<&NewBackup>) -> Result<()> {
    let Some(backup) = backup else { return Ok(()) };
    let sql = "SELECT FROM backups WHERE number = $1 AND mailbox IS NOT DISTINCT FROM $2 AND snapshot = $3";
    let mailbox = claim.mailbox.map(Number::sql);
    let found = row(on, sql, &[&backup.number.sql(), &mailbox, &backup.facts.snapshot.sql()]).await?;
    found.map(drop).ok_or(Error::Fenced)
}
