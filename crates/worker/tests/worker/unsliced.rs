use async_trait::async_trait;
use worker::{Backups, Slice, SliceTask};

/// The engine as a whole: it knows no boundary, so its only slice is the backup, and a request to stop drops it.
pub(crate) struct Unsliced;

#[async_trait]
impl Backups for Unsliced {
    async fn slice(&self, task: &SliceTask<'_>) -> Result<Slice, engine::Error> {
        let SliceTask { client, account, repository, how, stop, .. } = *task;
        let backup = Box::pin(engine::backup(client, account, repository, how));
        match stop.run_until_cancelled(backup).await {
            Some(report) => report.map(Slice::Done),
            None => Ok(Slice::Sliced { progressed: false }),
        }
    }
}
