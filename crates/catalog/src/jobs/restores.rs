use model::{BackupNumber, JobId, MailboxId, Timestamp};
use serde_json::Value;
use tokio_postgres::types::Json;

use crate::catalog::{Catalog, Parameters};
use crate::columns::{Number, get};
use crate::error::{Error, Result};
use crate::jobs::claim::Claim;

/// The job still runs under the claim.
const HELD: &str = "SELECT FROM jobs WHERE id = $1 AND epoch = $2 AND state = 'running' FOR UPDATE";

/// A restore that began and whose job nobody will run any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DroppedRestore {
    /// The job it was.
    pub job: JobId,
    /// The backup that was to come back.
    pub number: BackupNumber,
    /// The engine's id of it.
    pub restore: String,
}

impl Catalog {
    /// Restores to this mailbox that began, did not end, and whose job was cancelled or dropped: they may have left a folder
    /// in the account.
    pub async fn dropped_restores(&self, mailbox: MailboxId) -> Result<Vec<DroppedRestore>> {
        let sql = "SELECT job, number, restore FROM restores AS r WHERE mailbox = $1 AND report IS NULL AND NOT EXISTS \
                       (SELECT FROM jobs WHERE id = r.job AND state IN ('waiting', 'running', 'dead')) ORDER BY job";
        let rows = self.query(sql, &[&mailbox.sql()]).await?;
        let dropped = rows.iter().map(|row| {
            Ok(DroppedRestore {
                job: Number::of(row, "job")?,
                number: Number::of(row, "number")?,
                restore: get(row, "restore")?,
            })
        });
        dropped.collect()
    }

    /// Notes that nothing of it is left in the account.
    pub async fn give_up_restore(&self, job: JobId) -> Result<()> {
        let sql = "UPDATE restores SET report = '{\"given_up\": true}' WHERE job = $1 AND report IS NULL";
        self.execute(sql, &[&job.sql()]).await.map(drop)
    }

    /// Writes down, before anything is given back, under which id the engine does it, and answers the one that counts: an
    /// earlier attempt's, if there was one, by which this attempt resumes and brings nothing twice.
    pub async fn begin_restore(
        &self,
        claim: &Claim,
        number: BackupNumber,
        fresh: &str,
        now: Timestamp,
    ) -> Result<String> {
        let sql = format!(
            "WITH held AS ({HELD}) \
             INSERT INTO restores AS r (job, mailbox, number, restore, created_at) SELECT $1, $3, $4, $5, $6 \
             WHERE EXISTS (SELECT FROM held) ON CONFLICT (job) DO UPDATE SET restore = r.restore RETURNING restore"
        );
        let mailbox = claim.mailbox.map(Number::sql);
        let parameters: Parameters<'_> =
            &[&claim.job.sql(), &claim.epoch.sql(), &mailbox, &number.sql(), &fresh, &now];
        get(&self.maybe(&sql, parameters).await?.ok_or(Error::Fenced)?, "restore")
    }

    /// What that job gave back, as it was reported; `None`: it has not ended, or is no restore.
    pub async fn restore_report(&self, job: JobId) -> Result<Option<Value>> {
        let row = self.maybe("SELECT report FROM restores WHERE job = $1", &[&job.sql()]).await?;
        let report = row.as_ref().map(|row| get::<Option<Json<Value>>>(row, "report")).transpose()?;
        Ok(report.flatten().map(|Json(report)| report))
    }

    /// What was given back and what was not, for people; then complete the job.
    pub async fn report_restore(&self, claim: &Claim, report: &Value) -> Result<()> {
        let sql = format!(
            "WITH held AS ({HELD}) UPDATE restores SET report = $3 WHERE job = $1 AND EXISTS (SELECT FROM held)"
        );
        match self.execute(&sql, &[&claim.job.sql(), &claim.epoch.sql(), &Json(report)]).await? {
            0 => Err(Error::Fenced),
            _ => Ok(()),
        }
    }
}
