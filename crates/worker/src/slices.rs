//! The seam between a job and the engine that makes its snapshot.

use async_trait::async_trait;
use engine::{Backup, Ended, Report};
use jmap::{Account, Client};
use repository::Repository;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What a slice is made from.
pub struct SliceTask<'a> {
    /// The mail server.
    pub client: &'a Client,
    /// Whose mail.
    pub account: &'a Account,
    /// Where to.
    pub repository: &'a Repository,
    /// How.
    pub how: &'a Backup<'a>,
    /// The slice should end then, at the next boundary.
    pub until: Instant,
    /// Cancelled: it should end at the next boundary at once.
    pub stop: &'a CancellationToken,
}

/// How a slice ended.
#[derive(Debug)]
pub enum Slice {
    /// The snapshot is committed.
    Done(Report),
    /// There is more to do.
    Sliced {
        /// The log holds more than before.
        progressed: bool,
    },
}

/// Makes snapshots, slice by slice.
#[async_trait]
pub trait Backups: Send + Sync {
    /// Goes on with the mailbox's backup. Safe to drop: what was not committed never happened.
    async fn slice(&self, task: &SliceTask<'_>) -> Result<Slice, engine::Error>;
}

/// The engine's own slices.
#[derive(Debug, Clone, Copy, Default)]
pub struct InSlices;

#[async_trait]
impl Backups for InSlices {
    async fn slice(&self, task: &SliceTask<'_>) -> Result<Slice, engine::Error> {
        let SliceTask { client, account, repository, how, until, stop } = *task;
        let length = until.saturating_duration_since(Instant::now());
        let slice = engine::Slice { length, stop: stop.clone(), keep: None };
        match Box::pin(engine::backup_slice(client, account, repository, how, &slice)).await? {
            Ended::Done(report) => Ok(Slice::Done(report)),
            Ended::Paused(paused) => Ok(Slice::Sliced { progressed: paused.has_progressed() }),
        }
    }
}
