//! Brings the table of emails from the base snapshot to a state the server really had.
//!
//! Listing reads every email's metadata while the mailbox may change under it; `/changes` since before the listing then
//! names what may be wrong, and those are read again, until a round touches nothing that the next one names. Rows then
//! equal the server's at the state between these two rounds: what changed later was not read too late.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jmap::{Batch, Changes, Id, MethodErrorKind, State};
use model::{DataType, EmailId, EmailRecord};
use repository::TypeStatus;
use tokio_util::task::AbortOnDropHandle;

use crate::error::{Error, Result};
use crate::fetch::{Subject, Wanted};
use crate::join::Join;
use crate::listed::Listed;
use crate::listing::list_ids;
use crate::metadata::{self, Metadata};
use crate::renewal::MOST_ROWS;
use crate::run::{Run, relabelled};

/// Rounds of changes before a mailbox counts as moving.
const ROUNDS: usize = 12;
/// Changes asked for at once.
const CHANGES_PAGE: usize = 5_000;
/// Pages after which the server means no good.
pub(crate) const CHANGES_PAGES: usize = 1_000;
/// Changed emails after which listing is as short a way, and one that needs no memory for each of them.
const MOST_CHANGES: usize = 50_000;

/// How the table of emails ended up.
pub(crate) struct Synced {
    pub(crate) state: State,
    pub(crate) status: TypeStatus,
    /// Everything was listed.
    pub(crate) listed: bool,
}

/// All changes between two states.
struct Delta {
    to: State,
    changed: BTreeSet<Id>,
    gone: BTreeSet<Id>,
}

impl Delta {
    fn touches(&self, ids: &BTreeSet<Id>) -> bool {
        self.changed.iter().chain(&self.gone).any(|id| ids.contains(id))
    }

    fn names(&self, id: &Id) -> bool {
        self.changed.contains(id) || self.gone.contains(id)
    }

    fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.gone.is_empty()
    }
}

impl Run<'_> {
    /// `now` is the server's state of emails before anything was read.
    pub(crate) async fn sync_emails(&mut self, now: State) -> Result<Synced> {
        if let Some(since) = self.trusted_state(DataType::Email) {
            let first = self.changes(&since).await?;
            if let Some(first) = first.filter(|first| self.unexplained.iter().all(|id| first.names(id))) {
                let touched = self.apply(&first, self.failed_emails()).await?;
                return self.catch_up(first.to, touched).await;
            }
            // Rows that differ without a change of the server's: its history was rolled back. That of other types was, too.
            self.trusts &= self.unexplained.is_empty();
        }
        let listed = self.list().await?;
        self.listed_under_way = listed != now;
        self.catch_up_after_listing(now, listed).await
    }

    /// Emails that failed last time and have to be tried again.
    fn failed_emails(&self) -> BTreeSet<Id> {
        let failed = self.failures.keys().filter(|(t, _)| *t == DataType::Email);
        failed.filter_map(|(_, id)| Id::new(id).ok()).collect()
    }

    /// A listing may have read anything too late, so it stands only if nothing changed since before it (`since`).
    ///
    /// Changes between two states say nothing of an email that came and went between them, and the listing may have met
    /// one. It was still there when the list of ids was complete (`listed`), so the changes since then name it.
    async fn catch_up_after_listing(&mut self, since: State, listed: State) -> Result<Synced> {
        let synced = match self.changes(&since).await? {
            None if self.state_of_emails().await? != since => self.unsettled(since).await?,
            None => self.settled(since).await?,
            Some(first) if first.to == since => self.settled(since).await?,
            Some(mut first) => match self.changes(&listed).await? {
                None => self.unsettled(since).await?,
                Some(meanwhile) => {
                    first.gone.extend(meanwhile.gone);
                    first.changed.retain(|id| !first.gone.contains(id));
                    let touched = self.apply(&first, BTreeSet::new()).await?;
                    self.catch_up(first.to, touched).await?
                }
            },
        };
        Ok(Synced { listed: true, ..synced })
    }

    /// Applies everything that changed since `since`, then goes on.
    pub(crate) async fn bring_up(&mut self, since: State) -> Result<Synced> {
        let Some(delta) = self.changes(&since).await? else { return self.unsettled(since).await };
        if delta.is_empty() {
            return self.settled(since).await;
        }
        let touched = self.apply(&delta, BTreeSet::new()).await?;
        self.catch_up(delta.to, touched).await
    }

    /// Goes on from `since`, where only the emails `touched` may have been read too late.
    async fn catch_up(&mut self, mut since: State, mut touched: BTreeSet<Id>) -> Result<Synced> {
        for _ in 0..ROUNDS {
            let Some(delta) = self.changes(&since).await? else { return self.unsettled(since).await };
            let nothing_open = self.vanished.is_empty() && self.doubted.is_empty();
            let nothing_late = nothing_open && !delta.touches(&touched);
            if nothing_late || delta.is_empty() {
                return self.settled(since).await;
            }
            touched = self.apply(&delta, BTreeSet::new()).await?;
            since = delta.to;
        }
        self.unsettled(since).await
    }

    async fn settled(&mut self, state: State) -> Result<Synced> {
        self.give_up_vanished().await?;
        if self.doubted.is_empty() {
            return Ok(Synced { state, status: TypeStatus::Complete, listed: false });
        }
        // The next backup lists everything.
        if self.listed_under_way {
            return self.unsettled(state).await;
        }
        self.contradicted = true;
        for id in std::mem::take(&mut self.doubted) {
            let reason = "the server lists it and then says that there is no such email".to_owned();
            self.fail(DataType::Email, id.into(), reason).await?;
        }
        Ok(Synced { state, status: TypeStatus::Moving, listed: false })
    }

    /// The next backup does not trust this state and lists everything.
    async fn unsettled(&mut self, state: State) -> Result<Synced> {
        self.give_up_vanished().await?;
        let gone: Vec<EmailId> = std::mem::take(&mut self.doubted).into_iter().collect();
        self.remove(&gone).await?;
        Ok(Synced { state, status: TypeStatus::Moving, listed: false })
    }

    /// Emails the server still lists although it says that their bytes are gone.
    async fn give_up_vanished(&mut self) -> Result<()> {
        for id in std::mem::take(&mut self.vanished) {
            let reason = "the server lists it but says that its bytes are gone".to_owned();
            self.fail(DataType::Email, id.into(), reason).await?;
        }
        Ok(())
    }

    /// Everything between `since` and now; `None` when the server does not know, or it is too much.
    async fn changes(&mut self, since: &State) -> Result<Option<Delta>> {
        let mut delta = Delta { to: since.clone(), changed: BTreeSet::new(), gone: BTreeSet::new() };
        for _ in 0..CHANGES_PAGES {
            let mut batch = Batch::new(&self.account.id);
            let call = batch.changes(jmap::DataType::Email, &delta.to, CHANGES_PAGE);
            let answer = self.client.call(&batch).await.and_then(|answer| answer.take(call));
            let page: Changes = match answer {
                Ok(page) => page,
                Err(error) if cannot_tell(&error) => return Ok(None),
                Err(source) => return Err(Error::Server { what: "the changes of emails", source }),
            };
            self.recent.name(&page);
            for id in page.created.into_iter().chain(page.updated) {
                delta.gone.remove(&id);
                delta.changed.insert(id);
            }
            for id in page.destroyed {
                delta.changed.remove(&id);
                delta.gone.insert(id);
            }
            delta.to = page.new_state;
            if delta.changed.len() + delta.gone.len() > MOST_CHANGES {
                return Ok(None);
            }
            if !page.has_more_changes {
                return Ok(Some(delta));
            }
        }
        Ok(None)
    }

    async fn state_of_emails(&self) -> Result<State> {
        let mut batch = Batch::new(&self.account.id);
        let call = batch.state(jmap::DataType::Email);
        let answer = self.client.call(&batch).await.and_then(|answer| answer.take(call));
        let objects = answer.map_err(|source| Error::Server { what: "the state of emails", source })?;
        objects.state.ok_or(Error::Unlisted { data_type: "Email" })
    }

    /// Reads what changed and makes rows of it; the ids that were looked at.
    async fn apply(&mut self, delta: &Delta, also: BTreeSet<Id>) -> Result<BTreeSet<Id>> {
        let gone: Vec<EmailId> = delta.gone.iter().map(|id| EmailId::from(id.as_str())).collect();
        for chunk in gone.chunks(1_000) {
            self.remove(chunk).await?;
        }
        let read: BTreeSet<Id> =
            delta.changed.union(&also).filter(|id| !delta.gone.contains(*id)).cloned().collect();
        self.how.progress.expect(read.len() as u64);
        let all: Vec<Id> = read.iter().cloned().collect();
        let mut wanted = Vec::new();
        for chunk in all.chunks(self.client.session().limits.max_objects_in_get) {
            self.relabel(chunk, &mut wanted).await?;
        }
        self.fetch(wanted).await?;
        Ok(read.into_iter().chain(delta.gone.iter().cloned()).collect())
    }

    /// Brings folders and keywords up to date; what has to be fetched goes into `wanted`.
    async fn relabel(&mut self, ids: &[Id], wanted: &mut Vec<Wanted>) -> Result<()> {
        let metadata = metadata::get(self.client, &self.account.id, ids.to_vec()).await?;
        let records = self.records(metadata.keys().map(|id| EmailId::from(id.as_str())).collect()).await?;
        for (id, metadata) in metadata {
            let id = EmailId::from(id.as_str());
            let record = records.get(&id);
            match metadata {
                Metadata::Gone => drop(self.doubted.insert(id)),
                Metadata::Unreadable(reason) => self.fail(DataType::Email, id.into(), reason).await?,
                Metadata::Found(email) => {
                    let failed = self.failures.contains_key(&(DataType::Email, id.as_str().to_owned()));
                    let is_same = |r: &&EmailRecord| {
                        !failed
                            && !self.lost.contains(&id)
                            && r.server_blob == server_blob(&self.hasher, &email)
                    };
                    match record.filter(is_same) {
                        None => wanted.push(wanted_email(email, record)),
                        Some(record) => {
                            let new = relabelled(record, &email).unwrap_or_else(|| record.clone());
                            self.late.insert(id, Some(Box::new(new.clone())));
                            self.writer.put_email(new).await?;
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
        let (late, other): (Vec<_>, Vec<_>) = ids.into_iter().partition(|id| self.late.contains_key(id));
        let mut records: BTreeMap<EmailId, EmailRecord> = late
            .iter()
            .filter_map(|id| Some((id.clone(), (**self.late.get(id)?.as_ref()?).clone())))
            .collect();
        let other: Vec<EmailId> = other.into_iter().filter(|id| !self.is_fetched(id)).collect();
        if let Some(base) = self.base.as_ref().filter(|_| !other.is_empty()) {
            records.extend(base.find_emails(&other).await?.into_iter().map(|r| (r.id.clone(), r)));
        }
        Ok(records)
    }

    fn is_fetched(&self, id: &EmailId) -> bool {
        self.length_of(id).is_some()
    }

    async fn remove(&mut self, ids: &[EmailId]) -> Result<()> {
        let unknown: Vec<EmailId> = ids.iter().filter(|id| !self.late_gone(id)).cloned().collect();
        let in_base = match &self.base {
            Some(base) if !unknown.is_empty() => base.find_emails(&unknown).await?,
            _ => Vec::new(),
        };
        let in_base: BTreeMap<EmailId, EmailRecord> =
            in_base.into_iter().map(|r| (r.id.clone(), r)).collect();
        for id in unknown {
            self.vanished.remove(&id);
            self.doubted.remove(&id);
            self.forgive(DataType::Email, id.as_str()).await?;
            let size = self.size_now(&id, in_base.get(&id));
            if let Some(record) = in_base.get(&id).filter(|_| size.is_some()) {
                self.renumbered.went(&record.blob);
            }
            if let Some(size) = size {
                self.count_removed(&id, size, in_base.contains_key(&id)).await?;
            }
            self.late.insert(id, None);
        }
        Ok(())
    }

    fn late_gone(&self, id: &EmailId) -> bool {
        matches!(self.late.get(id), Some(None))
    }

    /// Length of an email that is in the snapshot now.
    fn size_now(&self, id: &EmailId, in_base: Option<&EmailRecord>) -> Option<u64> {
        let untouched = match &self.listed {
            None => true,
            Some(listed) => listed.ids.position(id.as_str()).is_some_and(|at| listed.length_at(at).is_none()),
        };
        self.length_of(id).or_else(|| in_base.filter(|_| untouched).map(|record| record.size))
    }

    /// Lists everything and joins it with the base, both in the order of ids, while the bytes are being fetched.
    /// The state when all ids were known.
    async fn list(&mut self) -> Result<State> {
        self.how.progress.phase("listing");
        let ids = Arc::new(list_ids(self.client, &self.account.id, jmap::DataType::Email).await?);
        let listed = self.state_of_emails().await?;
        self.how.progress.expect(ids.len() as u64);
        self.how.progress.phase("fetching");
        let failed_before = self.failed_attempts();
        self.listed = Some(Listed::new(ids.clone()));
        self.listing = true;
        let (planner, mut intake) = self.pipeline();
        let join = Join {
            client: self.client.clone(),
            account: self.account.id.clone(),
            most: self.client.session().limits.max_objects_in_get,
            base: self.base.clone(),
            hasher: self.hasher.clone(),
            ids,
            planner,
            failed: failed_before.keys().cloned().collect(),
            lost: self.lost.clone(),
            alarm: self.alarm.clone(),
            renewable: MOST_ROWS,
        };
        self.outdated.clear();
        let planning = AbortOnDropHandle::new(tokio::spawn(join.run()));
        self.take_all(&mut intake).await?;
        self.listing = false;
        planning.await.map_err(|_| Error::Stopped)?;
        self.alarm.check()?;
        for (id, attempts) in failed_before {
            let is_tried_again = self.failed_attempts().get(&id).is_none_or(|now| *now != attempts);
            if !is_tried_again && !self.vanished.contains(&EmailId::from(id.as_str())) {
                self.forgive(DataType::Email, &id).await?;
            }
        }
        Ok(listed)
    }

    /// Emails that failed, and how often.
    fn failed_attempts(&self) -> BTreeMap<String, u32> {
        let failed = self.failures.iter().filter(|((data_type, _), _)| *data_type == DataType::Email);
        failed.map(|((_, id), failure)| (id.clone(), failure.attempts)).collect()
    }
}

/// By which an email's bytes are known to be those we have. Ids alone do not prove it: a server that was restored from an
/// old copy gives them out again.
pub(crate) fn server_blob(hasher: &repository::BlobHasher, email: &jmap::Email) -> u64 {
    hasher.short(&format!("{} {} {}", email.blob_id, email.size, email.received_at.unix_seconds()))
}

pub(crate) fn wanted_email(email: jmap::Email, replaces: Option<&EmailRecord>) -> Wanted {
    let subject =
        Subject::Email { replaces: replaces.map(|record| record.size), email: Box::new(email.clone()) };
    Wanted { blob: email.blob_id, size: Some(email.size), subject }
}

/// The server has no history that far back, or none at all.
pub(crate) fn cannot_tell(error: &jmap::Error) -> bool {
    use MethodErrorKind as K;
    error
        .method_error()
        .is_some_and(|e| matches!(e.kind, K::CannotCalculateChanges | K::UnknownMethod | K::InvalidArguments))
}
