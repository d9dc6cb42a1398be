//! Brings the table of emails from the base snapshot to a state the server really had.
//!
//! Listing reads every email's metadata while the mailbox may change under it; `/changes` since before the listing then
//! names what may be wrong, and those are read again, until a round touches nothing that the next one names. Rows then
//! equal the server's at the state between these two rounds: what changed later was not read too late.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jmap::{Id, State};
use model::{DataType, EmailId, EmailRecord};
use repository::TypeStatus;
use tokio_util::task::AbortOnDropHandle;

use super::join::Join;
use super::listed::Listed;
use super::renewal::MOST_ROWS;
use super::rows::{relabelled, source_hash, wanted_email};
use crate::backup::fetch::step::Wanted;
use crate::backup::probe::Offer;
use crate::backup::run::Run;
use crate::backup::settle::{Follow, Followed, follow};
use crate::backup::states::TypeStates;
use crate::error::{Error, Result};
use crate::server::account::Delta;
use crate::server::metadata::{self, Metadata};

/// How the table of emails ended up.
pub(crate) struct SyncedEmails {
    pub(crate) state: State,
    pub(crate) status: TypeStatus,
    /// Everything was listed.
    pub(crate) listed: bool,
}

impl Run<'_> {
    /// Whether anything about emails may have changed.
    pub(crate) async fn sync_emails(&mut self, offer: &Offer, types: &mut TypeStates) -> Result<bool> {
        const STATELESS: &str = "the server names no state for it";
        let t = DataType::Email;
        if self.draft.writer.slices().is_some() {
            // Rows of slices are no state that the account had: only a listing makes one of them.
            let unfinished = |reason: &str| Err(Error::Unfinished { reason: reason.to_owned() });
            match offer {
                Offer::State(Some(_), _) => {}
                Offer::State(None, _) => return unfinished(STATELESS),
                Offer::No => return unfinished("the server offers no emails any more"),
                Offer::Broken(reason) => return unfinished(reason),
            }
        }
        let state = match offer {
            Offer::State(Some(state), _) => state,
            Offer::State(None, _) => {
                self.keep(t, STATELESS, types);
                return Ok(false);
            }
            Offer::No => {
                self.not_offered(t, types);
                return Ok(false);
            }
            Offer::Broken(reason) => {
                self.keep(t, reason, types);
                return Ok(false);
            }
        };
        if self.draft.trusted_state(t).as_ref() == Some(state) && !self.draft.has_failures_of(t) {
            types.set(t, TypeStatus::Complete, state.as_str(), self.draft.counts.emails, "");
            return Ok(false);
        }
        match self.sync_to(state.clone()).await {
            Ok(SyncedEmails { state, status, listed }) => {
                types.listed = listed;
                types.set(t, status, state.as_str(), self.draft.counts.emails, "");
                Ok(true)
            }
            // Nothing of emails was written yet, so the rows of the base can stay.
            Err(error) if self.is_untouched() && is_about_type(&error) => {
                self.keep(t, &root_cause(&error), types);
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// `now` is the server's state of emails before anything was read.
    async fn sync_to(&mut self, now: State) -> Result<SyncedEmails> {
        if let Some(since) = self.draft.trusted_state(DataType::Email) {
            let first = self.changes(&since).await?;
            if let Some(first) =
                first.filter(|first| self.emails.unexplained.iter().all(|id| first.names(id)))
            {
                let failed = self.draft.failed_of(DataType::Email);
                let failed = failed.filter_map(|(id, _)| Id::new(id).ok()).collect();
                let read = self.read_changed(&first, failed).await?;
                return self.bring_up(first.to, Some(read)).await;
            }
            // Rows that differ without a change of the server's: its history was rolled back. That of other types was, too.
            self.draft.trusts &= self.emails.unexplained.is_empty();
        }
        let listed = self.list().await?;
        self.emails.listed_under_way = listed != now;
        self.catch_up_after_listing(now, listed).await
    }

    /// A listing may have read anything too late, so it stands only if nothing changed since before it (`since`).
    ///
    /// Changes between two states say nothing of an email that came and went between them, and the listing may have met
    /// one. It was still there when the list of ids was complete (`listed`), so the changes since then name it.
    async fn catch_up_after_listing(&mut self, since: State, listed: State) -> Result<SyncedEmails> {
        let synced = match self.changes(&since).await? {
            None if self.state_of_emails().await? != since => self.unsettled(since).await?,
            None => self.settled(since).await?,
            Some(first) if first.to == since => self.settled(since).await?,
            Some(mut first) => match self.changes(&listed).await? {
                None => self.unsettled(since).await?,
                Some(meanwhile) => {
                    first.gone.extend(meanwhile.gone);
                    first.changed.retain(|id| !first.gone.contains(id));
                    let read = self.read_changed(&first, BTreeSet::new()).await?;
                    self.bring_up(first.to, Some(read)).await?
                }
            },
        };
        Ok(SyncedEmails { listed: true, ..synced })
    }

    /// Applies everything that changed since `since`. `read`: emails that may have been read too late for it; `None`: none was.
    pub(crate) async fn bring_up(
        &mut self,
        since: State,
        read: Option<BTreeSet<Id>>,
    ) -> Result<SyncedEmails> {
        match follow(self, since, read).await? {
            Followed::Settled(state) => self.settled(state).await,
            Followed::Moving(state) | Followed::Untold(state) => self.unsettled(state).await,
        }
    }

    async fn settled(&mut self, state: State) -> Result<SyncedEmails> {
        self.give_up_vanished().await?;
        if self.emails.doubted.is_empty() {
            return Ok(SyncedEmails { state, status: TypeStatus::Complete, listed: false });
        }
        // The next backup lists everything.
        if self.emails.listed_under_way {
            return self.unsettled(state).await;
        }
        self.emails.contradicted = true;
        for id in std::mem::take(&mut self.emails.doubted) {
            let reason = "the server lists it and then says that there is no such email".to_owned();
            self.draft.fail(DataType::Email, id.into(), reason).await?;
        }
        Ok(SyncedEmails { state, status: TypeStatus::Moving, listed: false })
    }

    /// The next backup does not trust this state and lists everything.
    async fn unsettled(&mut self, state: State) -> Result<SyncedEmails> {
        self.give_up_vanished().await?;
        let gone: Vec<EmailId> = std::mem::take(&mut self.emails.doubted).into_iter().collect();
        self.remove(&gone).await?;
        Ok(SyncedEmails { state, status: TypeStatus::Moving, listed: false })
    }

    /// Emails the server still lists although it says that their bytes are gone.
    async fn give_up_vanished(&mut self) -> Result<()> {
        for id in std::mem::take(&mut self.emails.vanished) {
            let reason = "the server lists it but says that its bytes are gone".to_owned();
            self.draft.fail(DataType::Email, id.into(), reason).await?;
        }
        Ok(())
    }

    async fn state_of_emails(&self) -> Result<State> {
        let state = self.server.state(DataType::Email).await;
        let state = state.map_err(|source| Error::Server { what: "the state of emails", source })?;
        state.ok_or(Error::Unlisted { data_type: "Email" })
    }

    /// Reads what changed and makes rows of it; the ids that were looked at.
    async fn read_changed(&mut self, delta: &Delta, also: BTreeSet<Id>) -> Result<BTreeSet<Id>> {
        let gone: Vec<EmailId> = delta.gone.iter().map(|id| EmailId::from(id.as_str())).collect();
        for chunk in gone.chunks(1_000) {
            self.remove(chunk).await?;
        }
        let read: BTreeSet<Id> =
            delta.changed.union(&also).filter(|id| !delta.gone.contains(*id)).cloned().collect();
        self.how.progress.expect(read.len() as u64);
        let all: Vec<Id> = read.iter().cloned().collect();
        let mut wanted = Vec::new();
        for chunk in all.chunks(self.server.most_in_get()) {
            self.relabel(chunk, &mut wanted).await?;
        }
        self.fetch(wanted).await?;
        Ok(read.into_iter().chain(delta.gone.iter().cloned()).collect())
    }

    /// Brings folders and keywords up to date; what has to be fetched goes into `wanted`.
    async fn relabel(&mut self, ids: &[Id], wanted: &mut Vec<Wanted>) -> Result<()> {
        let metadata = metadata::get(self.server.client, &self.server.account.id, ids.to_vec()).await?;
        let records = self.records(metadata.keys().map(|id| EmailId::from(id.as_str())).collect()).await?;
        for (id, metadata) in metadata {
            let id = EmailId::from(id.as_str());
            let record = records.get(&id);
            match metadata {
                Metadata::Gone => drop(self.emails.doubted.insert(id)),
                Metadata::Unreadable(reason) => self.draft.fail(DataType::Email, id.into(), reason).await?,
                Metadata::Found(email) => {
                    let failed = self.draft.has_failed(DataType::Email, id.as_str());
                    let is_same = |r: &&EmailRecord| {
                        !failed
                            && !self.draft.lost.contains(&id)
                            && r.source_hash == source_hash(&self.draft.hasher, &email)
                    };
                    match record.filter(is_same) {
                        None => wanted.push(wanted_email(email, record)),
                        Some(record) => {
                            let new = relabelled(record, &email).unwrap_or_else(|| record.clone());
                            self.emails.changed_rows.insert(id, Some(Box::new(new.clone())));
                            self.draft.writer.put_email(new).await?;
                            self.how.progress.advance(1, 0);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The rows of these emails as they are now, as far as they need not be read back: those of a listing's own fetching
    /// are not among them.
    pub(crate) async fn records(&self, ids: Vec<EmailId>) -> Result<BTreeMap<EmailId, EmailRecord>> {
        let (late, other): (Vec<_>, Vec<_>) =
            ids.into_iter().partition(|id| self.emails.changed_rows.contains_key(id));
        let mut records: BTreeMap<EmailId, EmailRecord> = late
            .iter()
            .filter_map(|id| Some((id.clone(), (**self.emails.changed_rows.get(id)?.as_ref()?).clone())))
            .collect();
        let other = other.into_iter().filter(|id| self.emails.length_of(id).is_none());
        records.extend(self.draft.emails_of_base(&other.collect::<Vec<_>>()).await?);
        Ok(records)
    }

    async fn remove(&mut self, ids: &[EmailId]) -> Result<()> {
        let there: Vec<EmailId> = ids.iter().filter(|id| !self.emails.is_removed(id)).cloned().collect();
        let in_base = self.draft.emails_of_base(&there).await?;
        for id in there {
            self.emails.vanished.remove(&id);
            self.emails.doubted.remove(&id);
            self.draft.forgive(DataType::Email, id.as_str()).await?;
            let record = in_base.get(&id);
            if let Some(size) = self.emails.size_now(&id, record) {
                if let Some(record) = record {
                    self.emails.renumbered.went(&record.blob);
                }
                self.draft.remove_email(&id, size, record.is_some()).await?;
            }
            self.emails.changed_rows.insert(id, None);
        }
        Ok(())
    }

    /// Lists everything and joins it with the base, both in the order of ids, while the bytes are being fetched.
    /// The state when all ids were known.
    async fn list(&mut self) -> Result<State> {
        self.how.progress.phase("listing");
        let ids = Arc::new(self.server.ids(DataType::Email).await?);
        let listed = self.state_of_emails().await?;
        self.how.progress.expect(ids.len() as u64);
        self.how.progress.phase("fetching");
        let failed_before = self.failed_attempts();
        self.emails.listed = Some(Listed::new(ids.clone()));
        self.emails.is_listing = true;
        let (planner, mut intake) = self.pipeline();
        let join = Join {
            client: self.server.client.clone(),
            account: self.server.account.id.clone(),
            most: self.server.most_in_get(),
            base: self.draft.base.clone(),
            hasher: self.draft.hasher.clone(),
            ids,
            planner,
            failed: failed_before.keys().cloned().collect(),
            lost: self.draft.lost.clone(),
            alarm: self.alarm.clone(),
            renewable: MOST_ROWS,
        };
        self.emails.outdated.clear();
        let planning = AbortOnDropHandle::new(tokio::spawn(join.run()));
        self.take_all(&mut intake).await?;
        self.emails.is_listing = false;
        planning.await.map_err(|_| Error::Stopped)?;
        self.alarm.check()?;
        for (id, attempts) in failed_before {
            let is_tried_again = self.failed_attempts().get(&id).is_none_or(|now| *now != attempts);
            if !is_tried_again && !self.emails.vanished.contains(&EmailId::from(id.as_str())) {
                self.draft.forgive(DataType::Email, &id).await?;
            }
        }
        Ok(listed)
    }

    /// Emails that failed, and how often.
    fn failed_attempts(&self) -> BTreeMap<String, u32> {
        let failed = self.draft.failed_of(DataType::Email);
        failed.map(|(id, failure)| (id.to_owned(), failure.attempts)).collect()
    }
}

impl Follow for Run<'_> {
    type Error = Error;

    async fn changes(&mut self, since: &State) -> Result<Option<Delta>> {
        let recent = &mut self.emails.recent;
        let delta = self.server.changes(DataType::Email, since, |page| recent.name(page)).await;
        delta.map_err(|source| Error::Server { what: "the changes of emails", source })
    }

    async fn apply(&mut self, delta: &Delta) -> Result<BTreeSet<Id>> {
        self.read_changed(delta, BTreeSet::new()).await
    }

    fn is_open(&self) -> bool {
        !self.emails.vanished.is_empty() || !self.emails.doubted.is_empty()
    }
}

/// Errors of a method or an answer, as opposed to those of the connection or the repository.
fn is_about_type(error: &Error) -> bool {
    match error {
        Error::Server { source, .. } => {
            matches!(source.class(), jmap::Class::Corrupt) || source.method_error().is_some()
        }
        Error::Unlisted { .. } => true,
        _ => false,
    }
}

fn root_cause(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => source.to_string(),
        None => error.to_string(),
    }
}
