//! Which backups are known to be damaged or lost. They read as damaged and do not count as good, until one is read again as a
//! whole.

use deadpool_postgres::GenericClient;
use model::{BackupNumber, Epoch, MailboxId};

use crate::catalog::{Catalog, changed, row};
use crate::columns::Number;
use crate::error::{Error, Result};
use crate::jobs::claim::Claim;

/// When the newest good backup of the mailbox `m` began. A statement before the one that sets it
/// must lock the mailbox's row: a statement that waited for the row still sees the backups as they were.
pub(crate) const NEWEST_GOOD: &str = "(SELECT max(started_at) FROM backups b \
    WHERE b.mailbox = m.id AND b.state = 'good' AND b.damaged_at IS NULL)";

impl Catalog {
    /// Marks these backups of the mailbox as damaged. Returns how many were not marked before.
    pub async fn mark_damaged(&self, mailbox: MailboxId, damaged: &[BackupNumber]) -> Result<u64> {
        let sql = "UPDATE backups SET damaged_at = now() \
                   WHERE mailbox = $1 AND number = ANY($2) AND damaged_at IS NULL";
        self.mark(sql, mailbox, None, damaged).await
    }

    /// Takes the mark of this backup away: the claim's job read it again as a whole. Returns whether it had one.
    ///
    /// # Errors
    /// [`Error::Fenced`] if the mailbox was claimed by another job, which may know better.
    pub async fn mark_sound(&self, claim: &Claim, sound: BackupNumber) -> Result<bool> {
        let mailbox = claim.mailbox.ok_or(Error::Fenced)?;
        let sql = "UPDATE backups SET damaged_at = NULL \
                   WHERE mailbox = $1 AND number = ANY($2) AND damaged_at IS NOT NULL";
        Ok(self.mark(sql, mailbox, Some(claim.epoch), &[sound]).await? > 0)
    }

    async fn mark(
        &self,
        sql: &str,
        mailbox: MailboxId,
        epoch: Option<Epoch>,
        numbers: &[BackupNumber],
    ) -> Result<u64> {
        let numbers: Vec<i64> = numbers.iter().map(|number| number.sql()).collect();
        if numbers.is_empty() {
            return Ok(0);
        }
        self.within(async {
            let mut client = self.client().await?;
            let transaction = client.transaction().await?;
            lock(&transaction, mailbox, epoch).await?;
            let marked = changed(&transaction, sql, &[&mailbox.sql(), &numbers]).await?;
            if marked > 0 {
                let newest = format!("UPDATE mailboxes m SET newest_good_at = {NEWEST_GOOD} WHERE m.id = $1");
                changed(&transaction, &newest, &[&mailbox.sql()]).await?;
            }
            transaction.commit().await?;
            Ok(marked)
        })
        .await
    }
}

/// Locks the mailbox, which must still have this epoch if one is named.
async fn lock(on: &impl GenericClient, mailbox: MailboxId, epoch: Option<Epoch>) -> Result<()> {
    let sql = "SELECT FROM mailboxes WHERE id = $1 AND epoch = coalesce($2, epoch) FOR UPDATE";
    let locked = row(on, sql, &[&mailbox.sql(), &epoch.map(Number::sql)]).await?;
    locked.map(drop).ok_or(Error::Fenced)
}
