//! A backup: attempts at a snapshot, until one stands on a base that has lost nothing and on changes that are true.

use futures::future::BoxFuture;
use jmap::{Account, Client};
use repository::Repository;

use super::doubts::Doubts;
use super::options::Backup;
use super::report::Report;
use super::slice::{Paused, Slice};
use super::spine::{Tried, try_once};
use crate::error::{Error, Result};

/// How a slice ended.
#[derive(Debug)]
pub enum Ended {
    /// With a snapshot.
    Done(Report),
    /// It paused; the next slice goes on.
    Paused(Paused),
}

/// Makes one snapshot of one account: everything the server offers of it, incrementally where states can be trusted.
///
/// What fails by itself (an email, a type) makes the snapshot *partial*; what would make it untrue ends the backup with
/// an error, and the repository is as it was. Goes on where slices of an unfinished backup ended.
pub fn backup<'a>(
    client: &'a Client,
    account: &'a Account,
    repository: &'a Repository,
    how: &'a Backup<'_>,
) -> BoxFuture<'a, Result<Report>> {
    Box::pin(async move {
        match run_slice(client, account, repository, how, None).await? {
            Ended::Done(report) => Ok(report),
            Ended::Paused(_) => unreachable!("nothing tells it to pause"),
        }
    })
}

/// The same, unless it is told to pause: then what was fetched is committed for the next one.
pub fn backup_slice<'a>(
    client: &'a Client,
    account: &'a Account,
    repository: &'a Repository,
    how: &'a Backup<'_>,
    slice: &'a Slice,
) -> BoxFuture<'a, Result<Ended>> {
    Box::pin(run_slice(client, account, repository, how, Some(slice)))
}

async fn run_slice(
    client: &Client,
    account: &Account,
    repository: &Repository,
    how: &Backup<'_>,
    slice: Option<&Slice>,
) -> Result<Ended> {
    let started = how.clock.now();
    let (mut trusts, mut doubts) = (true, Doubts::default());
    let (report, wants_checkpoint) = loop {
        let trying = try_once((client, account), repository, how, (slice, started), trusts, &mut doubts);
        match trying.await {
            Ok(Tried::Done(report, wants_checkpoint)) => {
                break (Report { found_damage: doubts.found, ..*report }, wants_checkpoint);
            }
            Ok(Tried::Paused(paused)) => return Ok(Ended::Paused(paused)),
            Ok(Tried::Again) => {}
            Ok(Tried::Distrusted) => trusts = false,
            Err(Error::Repository(error)) if doubts.of_what_failed(&error, repository, how).await? => {}
            Err(error) => return Err(error),
        }
    };
    if wants_checkpoint {
        // The snapshot stands already. A checkpoint that fails is made by a later backup.
        let _ = repository.checkpoint_if_due(how.clock).await;
    }
    Ok(Ended::Done(report))
}
