use model::{BackupNumber, MailboxId, Timestamp};
use serde_json::Value;
use tokio_postgres::types::Json;

use crate::catalog::Catalog;
use crate::columns::{Number, storable};
use crate::error::Result;

/// Who did what, to whom. Written down before it is done; nothing here changes or deletes an entry.
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
        let sql =
            "INSERT INTO audit (at, actor, action, mailbox, number, details) VALUES ($1, $2, $3, $4, $5, $6)";
        let AuditEntry { actor, action, mailbox, number, details } = entry;
        let (mailbox, number) = (mailbox.map(Number::sql), number.map(Number::sql));
        self.execute(sql, &[&now, &storable(actor), &storable(action), &mailbox, &number, &Json(details)])
            .await
            .map(drop)
    }
}
