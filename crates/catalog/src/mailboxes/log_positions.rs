//! How far each mailbox's log had come: what is remembered of it outside the store.

use model::{LogPosition, MailboxId};

use crate::catalog::Catalog;
use crate::columns::{count, digest};
use crate::error::Result;

impl Catalog {
    /// The newest entry that a worker has seen of the mailbox's log in this store; `None`: none yet.
    pub async fn log_position(&self, mailbox: MailboxId, store: &str) -> Result<Option<LogPosition>> {
        let sql = "SELECT number, digest FROM log_positions WHERE mailbox = $1 AND store = $2";
        let Some(row) = self.maybe(sql, &[&mailbox.0.cast_signed(), &store]).await? else { return Ok(None) };
        Ok(Some(LogPosition { number: count(&row, "number")?, digest: digest(&row, "digest")? }))
    }

    /// Remembers an entry, unless a later one is remembered already: a worker that slept never takes the memory back.
    pub async fn remember_log(&self, mailbox: MailboxId, store: &str, position: &LogPosition) -> Result<()> {
        self.put_log_position(mailbox, store, position, "WHERE p.number < excluded.number").await
    }

    /// Remembers an entry although a later one may be remembered: an operator accepted the history that the store shows.
    pub async fn accept_log(&self, mailbox: MailboxId, store: &str, position: &LogPosition) -> Result<()> {
        self.put_log_position(mailbox, store, position, "").await
    }

    /// Forgets what is remembered: an operator accepted that the store has nothing of the mailbox any more.
    pub async fn forget_log(&self, mailbox: MailboxId, store: &str) -> Result<()> {
        let sql = "DELETE FROM log_positions WHERE mailbox = $1 AND store = $2";
        self.execute(sql, &[&mailbox.0.cast_signed(), &store]).await.map(drop)
    }

    async fn put_log_position(
        &self,
        mailbox: MailboxId,
        store: &str,
        position: &LogPosition,
        only: &str,
    ) -> Result<()> {
        let sql = format!(
            "INSERT INTO log_positions AS p (mailbox, store, number, digest) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (mailbox, store) DO UPDATE \
             SET number = excluded.number, digest = excluded.digest, noted_at = now() {only}"
        );
        let (mailbox, number) = (mailbox.0.cast_signed(), position.number.cast_signed());
        self.execute(&sql, &[&mailbox, &store, &number, &position.digest.as_slice()]).await.map(drop)
    }
}
