//! Which backups are known to be damaged: they are called so, and do not count as good. Only reading one again takes that away.

use std::collections::BTreeSet;

use model::{MailboxId, SnapshotNumber};

use crate::catalog::{Catalog, changed};
use crate::columns::Number;
use crate::error::Result;

/// When the newest backup that is good began.
pub(crate) const NEWEST_GOOD: &str = "(SELECT max(started_at) FROM backups b \
    WHERE b.mailbox = m.id AND b.state = 'good' AND b.damaged_at IS NULL)";

impl Catalog {
    /// These backups of the mailbox in this store are damaged; of others nothing is said. Answers for how many that is news.
    pub async fn mark_damaged(
        &self,
        mailbox: MailboxId,
        store: &str,
        damaged: &BTreeSet<SnapshotNumber>,
    ) -> Result<u64> {
        if damaged.is_empty() {
            return Ok(0);
        }
        let sql = "UPDATE backups SET damaged_at = now() \
                   WHERE mailbox = $1 AND store = $2 AND snapshot = ANY($3) AND damaged_at IS NULL";
        self.mark(sql, mailbox, store, damaged).await
    }

    /// A backup of the mailbox in this store was read again, and is whole. Answers whether that is news.
    pub async fn mark_sound(
        &self,
        mailbox: MailboxId,
        store: &str,
        snapshot: SnapshotNumber,
    ) -> Result<bool> {
        let sql = "UPDATE backups SET damaged_at = NULL \
                   WHERE mailbox = $1 AND store = $2 AND snapshot = ANY($3) AND damaged_at IS NOT NULL";
        Ok(self.mark(sql, mailbox, store, &BTreeSet::from([snapshot])).await? > 0)
    }

    async fn mark(
        &self,
        sql: &str,
        mailbox: MailboxId,
        store: &str,
        snapshots: &BTreeSet<SnapshotNumber>,
    ) -> Result<u64> {
        let snapshots: Vec<i64> = snapshots.iter().map(|number| number.sql()).collect();
        self.within(async {
            let mut client = self.client().await?;
            let transaction = client.transaction().await?;
            let news = changed(&transaction, sql, &[&mailbox.sql(), &store, &snapshots]).await?;
            if news > 0 {
                let newest = format!("UPDATE mailboxes m SET newest_good_at = {NEWEST_GOOD} WHERE m.id = $1");
                changed(&transaction, &newest, &[&mailbox.sql()]).await?;
            }
            transaction.commit().await?;
            Ok(news)
        })
        .await
    }
}
