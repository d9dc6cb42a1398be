use std::time::Duration;

use deadpool_postgres::GenericClient;
use model::{BackupNumber, MailboxId, SignedDuration, Timestamp};
use serde_json::Value;
use tokio_postgres::types::Json;

use crate::catalog::{Catalog, Parameters, changed};
use crate::columns::{Number, storable};
use crate::error::Result;

/// Who did what, to whom. Written down before it is done, or with it; nothing here changes an entry.
#[derive(Debug, Clone)]
pub struct AuditEntry<'a> {
    /// A person or a role, such as `support:42` or `producer`.
    pub actor: &'a str,
    /// A word for what, such as `restore.requested`.
    pub action: &'a str,
    /// Whose mailbox.
    pub mailbox: Option<MailboxId>,
    /// Which backup.
    pub number: Option<BackupNumber>,
    /// Whatever else tells what happened; nothing secret.
    pub details: &'a Value,
}

impl Catalog {
    /// Adds an entry to the audit log.
    pub async fn append_audit(&self, entry: &AuditEntry<'_>, now: Timestamp) -> Result<()> {
        self.within(async { append(&self.client().await?, entry, now).await }).await
    }

    /// The same, unless this actor did the same to this mailbox less than `apart` ago: however often somebody is refused, the log
    /// does not fill with it.
    pub async fn append_audit_now_and_then(
        &self,
        entry: &AuditEntry<'_>,
        now: Timestamp,
        apart: SignedDuration,
    ) -> Result<()> {
        let sql = "INSERT INTO audit (at, actor, action, mailbox, number, details) SELECT $1, $2, $3, $4, $5, $6 \
                   WHERE NOT EXISTS (SELECT FROM audit WHERE at > $7 AND actor = $2 AND action = $3 \
                       AND mailbox IS NOT DISTINCT FROM $4)";
        let AuditEntry { actor, action, mailbox, number, details } = entry;
        let (mailbox, number) = (mailbox.map(Number::sql), number.map(Number::sql));
        let (actor, action) = (storable(actor), storable(action));
        let parameters: Parameters<'_> =
            &[&now, &actor, &action, &mailbox, &number, &Json(details), &(now - apart)];
        self.execute(sql, parameters).await.map(drop)
    }

    /// Deletes entries that are older, the oldest first, at most `limit`; answers how many.
    pub async fn delete_audit(&self, age: Duration, limit: u32) -> Result<u64> {
        let sql = "DELETE FROM audit WHERE id = ANY (ARRAY(SELECT id FROM audit \
                       WHERE at < now() - make_interval(secs => $1) ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED))";
        self.execute(sql, &[&age.as_secs_f64(), &i64::from(limit)]).await
    }
}

pub(crate) async fn append(on: &impl GenericClient, entry: &AuditEntry<'_>, now: Timestamp) -> Result<()> {
    let sql =
        "INSERT INTO audit (at, actor, action, mailbox, number, details) VALUES ($1, $2, $3, $4, $5, $6)";
    let AuditEntry { actor, action, mailbox, number, details } = entry;
    let (mailbox, number) = (mailbox.map(Number::sql), number.map(Number::sql));
    let (actor, action) = (storable(actor), storable(action));
    changed(on, sql, &[&now, &actor, &action, &mailbox, &number, &Json(details)]).await.map(drop)
}
