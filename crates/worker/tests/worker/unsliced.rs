use engine::{Backup, Ended, Paused, Slice};
use futures::future::BoxFuture;
use jmap::{Account, Client};
use repository::Repository;

/// The engine as a whole: it knows no boundary, so its only slice is the backup, and a request to stop drops it.
pub(crate) fn unsliced<'a>(
    client: &'a Client,
    account: &'a Account,
    repository: &'a Repository,
    how: &'a Backup<'_>,
    slice: &'a Slice,
) -> BoxFuture<'a, engine::Result<Ended>> {
    Box::pin(async move {
        let backup = engine::backup(client, account, repository, how);
        match slice.stop.run_until_cancelled(backup).await {
            Some(report) => report.map(Ended::Done),
            None => Ok(Ended::Paused(Paused::default())),
        }
    })
}
