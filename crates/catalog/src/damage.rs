//! Which backups are known to be damaged or lost. They read as damaged and do not count as good, until one is read again as a
//! whole.

use deadpool_postgres::GenericClient;
use model::{BackupNumber, MailboxId};

use crate::catalog::{Catalog, changed, rows};
use crate::columns::Number;
use crate::error::Result;

/// When the newest good backup of the mailbox `m` began. Whoever sets that locks the mailbox's row in a statement before: a
/// statement that waited for the row would still see the backups as they were.
pub(crate) const NEWEST_GOOD: &str = "(SELECT max(started_at) FROM backups b \
    WHERE b.mailbox = m.id AND b.state = 'good' AND b.damaged_at IS NULL)";

impl Catalog {
    /// Marks these backups of the mailbox as damaged. Returns how many were not marked before.
    pub async fn mark_damaged(&self, mailbox: MailboxId, damaged: &[BackupNumber]) -> Result<u64> {
        let sql = "UPDATE backups SET damaged_at = now() \
                   WHERE mailbox = $1 AND number = ANY($2) AND damaged_at IS NULL";
        self.mark(sql, mailbox, damaged).await
    }

    /// Takes the mark of this backup away: it was read again as a whole. Returns whether it had one.
    pub async fn mark_sound(&self, mailbox: MailboxId, sound: BackupNumber) -> Result<bool> {
        let sql = "UPDATE backups SET damaged_at = NULL \
                   WHERE mailbox = $1 AND number = ANY($2) AND damaged_at IS NOT NULL";
        Ok(self.mark(sql, mailbox, &[sound]).await? > 0)
    }

    async fn mark(&self, sql: &str, mailbox: MailboxId, numbers: &[BackupNumber]) -> Result<u64> {
        let numbers: Vec<i64> = numbers.iter().map(|number| number.sql()).collect();
        if numbers.is_empty() {
            return Ok(0);
        }
        self.within(async {
            let mut client = self.client().await?;
            let transaction = client.transaction().await?;
            lock(&transaction, mailbox).await?;
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

async fn lock(on: &impl GenericClient, mailbox: MailboxId) -> Result<()> {
    rows(on, "SELECT FROM mailboxes WHERE id = $1 FOR UPDATE", &[&mailbox.sql()]).await.map(drop)
}
