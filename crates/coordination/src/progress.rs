use async_trait::async_trait;
use model::{JobId, JobKind, MailboxId, Timestamp};

use crate::CoordinationError;

/// How far one running job is, for people who watch. Nothing is decided by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Which job.
    pub job: JobId,
    /// What it does.
    pub kind: JobKind,
    /// For whom.
    pub mailbox: MailboxId,
    /// What it is at, in a word; longer than 64 bytes it is cut.
    pub phase: String,
    /// Emails it is through with.
    pub emails_done: u64,
    /// Emails there are to do, once that is known.
    pub emails_expected: Option<u64>,
    /// Bytes read from the mail server or the store.
    pub bytes: u64,
    /// Which worker has it; longer than 64 bytes it is cut.
    pub worker: String,
    /// When its first slice began.
    pub started: Timestamp,
}

/// What every worker is at.
#[async_trait]
pub trait ProgressBoard: Send + Sync {
    /// Shows it, in place of what was shown of this job before. An error is worth a metric, not a failed job.
    async fn show(&self, progress: &Progress) -> Result<(), CoordinationError>;
    /// Takes it off the board; forgotten, it goes by itself after a while.
    async fn clear(&self, job: JobId) -> Result<(), CoordinationError>;
    /// Everything on the board (at most 10,000 entries), by job.
    async fn all(&self) -> Result<Vec<Progress>, CoordinationError>;
}
