//! One attempt at a snapshot, from its beginning to the log: which types changed, emails, the other types, agreement, commit.

use std::collections::BTreeMap;

use jmap::{Account, Client};
use model::{DataType, Timestamp};
use repository::Repository;

use super::doubts::Doubts;
use super::draft::is_listing_due;
use super::emails::witness::Look;
use super::options::Backup;
use super::probe::{Offer, Probe};
use super::report::Report;
use super::run::Run;
use super::slice::{Paused, Slice};
use super::states::TypeStates;
use crate::error::{Error, Result};
use crate::server::account::RemoteAccount;

/// How one attempt at a snapshot ended.
pub(crate) enum Tried {
    /// The report, and whether a checkpoint is due.
    Done(Box<Report>, bool),
    Paused(Paused),
    /// The base has lost something that was not known to be lost.
    Again,
    /// The server's history was rolled back, or the server contradicts itself: its changes cannot be used.
    Distrusted,
}

/// Tries it. `trusts`: what the server says of changes may be believed.
pub(crate) async fn try_once(
    (client, account): (&Client, &Account),
    repository: &Repository,
    how: &Backup<'_>,
    slice: (Option<&Slice>, Timestamp),
    trusts: bool,
    doubts: &mut Doubts,
) -> Result<Tried> {
    let writer = repository.begin_snapshot(how.clock).await?;
    let compares = how.compares_store || is_listing_due(&writer, how);
    if compares && doubts.of_listing(repository, how).await? {
        return Ok(Tried::Again);
    }
    let server = RemoteAccount::new(client, account, how.owner);
    let mut run = Run::new(server, writer, how, trusts, slice).await?;
    let mut types = TypeStates::default();
    match run.bring_up_to_date_unless_stopped(&mut types).await {
        // Whatever made it list everything, that is the time to compare with the store.
        Ok(true)
            if types.listed && run.draft.base.is_some() && doubts.of_listing(repository, how).await? =>
        {
            Ok(Tried::Again)
        }
        Ok(true) => {
            run.renew_envelopes().await?;
            if doubts.of_renewal(&run, repository).await? {
                return Ok(Tried::Again);
            }
            how.progress.phase("committing");
            let (report, wants_checkpoint) = run.commit(types, slice.1).await?;
            Ok(Tried::Done(Box::new(report), wants_checkpoint))
        }
        Ok(false) => Ok(Tried::Distrusted),
        Err(Error::Paused) => {
            how.progress.phase("committing");
            run.keep_fetched().await.map(Tried::Paused)
        }
        Err(error) => {
            if slice.0.is_some() && run.draft.counts.fetched > 0 && is_of_server(&error) {
                // Best effort: what came is not fetched again. `Progress` is told if it went well.
                let _ = run.keep_fetched().await;
            }
            Err(error)
        }
    }
}

impl Run<'_> {
    async fn bring_up_to_date_unless_stopped(&mut self, types: &mut TypeStates) -> Result<bool> {
        let alarm = self.alarm.clone();
        tokio::select! {
            biased;
            ended = self.bring_up_to_date(types) => ended,
            // Nothing came that could be committed.
            () = alarm.is_over_without_gain() => Err(Error::Paused),
        }
    }

    /// False if what the server says of changes is not true.
    async fn bring_up_to_date(&mut self, types: &mut TypeStates) -> Result<bool> {
        let Probe { offers, look } = self.probe().await?;
        self.draft.trusts &= !look.as_ref().is_some_and(|look| self.history_was_rolled_back(look));
        if let Some(Look::Recent(seen)) = &look {
            self.emails.unexplained.clone_from(&seen.differing);
        }
        let have_emails_changed = self.sync(&offers, types).await?;
        self.set_witness_of_emails(types, have_emails_changed, look).await
    }

    /// Whether emails may have changed.
    async fn sync(&mut self, offers: &BTreeMap<DataType, Offer>, types: &mut TypeStates) -> Result<bool> {
        let mut have_changed = self.sync_emails(&offers[&DataType::Email], types).await?;
        self.how.progress.phase("objects");
        for (data_type, offer) in offers.iter().filter(|(data_type, _)| **data_type != DataType::Email) {
            self.sync_type(*data_type, offer, types).await?;
        }
        let folders = types.states.get(&DataType::Mailbox);
        have_changed |= folders.is_none() || folders != self.draft.base_state(DataType::Mailbox);
        if have_changed {
            self.agree(types).await?;
        }
        Ok(have_changed)
    }
}

/// Errors after which the repository can still be written to.
fn is_of_server(error: &Error) -> bool {
    matches!(error, Error::Server { .. } | Error::ManyFailures { .. } | Error::Unlisted { .. })
}
