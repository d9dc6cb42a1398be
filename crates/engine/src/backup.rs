//! One backup: which types changed, bringing each up to date, making emails and folders agree, committing.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures::future::BoxFuture;
use jmap::{Account, Client, State};
use model::{DataType, FolderId, Timestamp};
use repository::{Object, ObjectRecord, Repository, SnapshotWriter, Summary, TypeState, TypeStatus};

use crate::emails::Synced;
use crate::error::{Error, Result};
use crate::events::lacking;
use crate::options::Backup;
use crate::owner::{Owner, is_each_users};
use crate::probe::{Offer, Probe};
use crate::report::{Report, state_of_summary};
use crate::run::Run;
use crate::slice::{Paused, Slice};
use crate::witness::Look;

/// Every so many backups everything is listed, whatever the server's states say.
pub(crate) const LIST_EVERY: u32 = 7;
/// Types with more objects than this are brought up to date by `/changes`.
const LONG_TYPE: u64 = 400;
/// Rounds in which emails and folders are brought to agree.
const AGREEMENT_ROUNDS: usize = 8;

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

/// How one attempt at a snapshot ended.
enum Tried {
    /// The report, and whether a checkpoint is due.
    Done(Box<Report>, bool),
    Paused(Paused),
    /// The base has lost something that was not known to be lost.
    Again,
    /// The server's history was rolled back, or the server contradicts itself: its changes cannot be used.
    Distrusted,
}

async fn try_once(
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
    let mut run = Run::new(client, account, writer, how, trusts, slice).await?;
    let mut types = Types::default();
    match run.bring_up_to_date_unless_stopped(&mut types).await {
        // Whatever made it list everything, that is the time to compare with the store.
        Ok(true) if types.listed && run.base.is_some() && doubts.of_listing(repository, how).await? => {
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
            if slice.0.is_some() && run.counts.fetched > 0 && is_of_server(&error) {
                // Best effort: what came is not fetched again. Whoever watches the progress hears if it went well.
                let _ = run.keep_fetched().await;
            }
            Err(error)
        }
    }
}

/// Whether this backup lists everything, whatever the server's states say.
pub(crate) fn is_listing_due(writer: &SnapshotWriter, how: &Backup<'_>) -> bool {
    let base = writer.base().map(|base| base.info());
    base.is_some_and(|info| how.full_listing || info.summary.since_listing + 1 >= LIST_EVERY)
}

/// Objects found damaged one by one before a backup gives up.
const MOST_FOUND: usize = 64;

/// What the base refers to is claimed by rows, not proven: each question is asked of the store once.
#[derive(Default)]
struct Doubts {
    listed: bool,
    read: bool,
    /// What could not be read for renewing rows was noted.
    renewed: bool,
    /// Objects that could not be read, one an attempt.
    met: BTreeSet<Object>,
    /// Something was found missing or damaged that was not known to be.
    found: bool,
}

impl Doubts {
    /// Compares the base with a listing of the store. True if something is missing that was not known to be: begin again.
    async fn of_listing(&mut self, repository: &Repository, how: &Backup<'_>) -> Result<bool> {
        if std::mem::replace(&mut self.listed, true) {
            return Ok(false);
        }
        // Reading every row costs what the tables are long: for who asks for a full listing, not for each seventh night.
        let look = match how.full_listing {
            true => repository::Look::Rows,
            false => repository::Look::Listing,
        };
        let is_new = repository.examine(look, how.clock).await?;
        self.found |= is_new;
        Ok(is_new)
    }

    /// Notes what could not be read of the base while rows were renewed. True if that was not known: begin again without it, once.
    async fn of_renewal(&mut self, run: &Run<'_>, repository: &Repository) -> Result<bool> {
        let met = run.base.as_ref().filter(|_| !self.renewed).map(|base| base.damage_met());
        let Some(met) = met.filter(|met| !met.is_empty()) else { return Ok(false) };
        self.renewed = true;
        let is_new = repository.note_damage(met, run.how.clock).await?;
        self.found |= is_new;
        Ok(is_new)
    }

    /// Notes what could not be read and looks for more of the kind. True if that was not known: begin again without it.
    async fn of_what_failed(
        &mut self,
        error: &repository::Error,
        repository: &Repository,
        how: &Backup<'_>,
    ) -> Result<bool> {
        if error.class() != model::ErrorClass::Corrupt || self.met.len() >= MOST_FOUND {
            return Ok(false);
        }
        // Another process may have noted it since this attempt began.
        let is_first = error.damaged().is_some_and(|object| self.met.insert(object));
        let mut is_new = repository.note_damage(error.damaged(), how.clock).await?;
        if !std::mem::replace(&mut self.read, true) {
            is_new |= repository.examine(repository::Look::Rows, how.clock).await?;
        }
        self.found |= is_new;
        Ok(is_new || is_first)
    }
}

/// The types of the snapshot as they come to be known.
#[derive(Default)]
struct Types {
    states: BTreeMap<DataType, TypeState>,
    listed: bool,
}

impl Types {
    fn set(&mut self, data_type: DataType, status: TypeStatus, state: &str, count: u64, reason: &str) {
        let (state, reason) = (state.to_owned(), reason.to_owned());
        self.states.insert(
            data_type,
            TypeState {
                data_type,
                status,
                state,
                count,
                reason,
                witness: 0,
                recent: Vec::new(),
                not_given: Vec::new(),
                of_owner: false,
            },
        );
    }

    /// Records that what was read is as its owner sees it.
    fn set_of_owner(&mut self, data_type: DataType, of_owner: bool) {
        if let Some(state) = self.states.get_mut(&data_type) {
            state.of_owner = of_owner;
        }
    }

    /// Records what objects of this type lack.
    fn set_not_given(&mut self, data_type: DataType, not_given: Vec<String>) {
        if let Some(state) = self.states.get_mut(&data_type) {
            state.not_given = not_given;
        }
    }

    /// Records the witness of this type.
    fn set_witness(&mut self, data_type: DataType, witness: u64) {
        if let Some(state) = self.states.get_mut(&data_type) {
            state.witness = witness;
        }
    }
}

impl Run<'_> {
    async fn bring_up_to_date_unless_stopped(&mut self, types: &mut Types) -> Result<bool> {
        let alarm = self.alarm.clone();
        tokio::select! {
            biased;
            ended = self.bring_up_to_date(types) => ended,
            // Nothing came that could be committed.
            () = alarm.is_over_without_gain() => Err(Error::Paused),
        }
    }

    /// False if what the server says of changes is not true.
    async fn bring_up_to_date(&mut self, types: &mut Types) -> Result<bool> {
        let Probe { offers, look } = self.probe().await?;
        self.trusts &= !look.as_ref().is_some_and(|look| self.is_another_past(look));
        if let Some(Look::Recent(seen)) = &look {
            self.unexplained.clone_from(&seen.differing);
        }
        let emails_changed = self.sync(&offers, types).await?;
        self.set_witness_of_emails(types, emails_changed, look).await
    }

    /// Whether emails may have changed.
    async fn sync(&mut self, now: &BTreeMap<DataType, Offer>, types: &mut Types) -> Result<bool> {
        let emails_changed = self.sync_type_of_emails(&now[&DataType::Email], types).await?;
        self.how.progress.phase("objects");
        let mut known = None;
        for (data_type, offer) in now.iter().filter(|(t, _)| **t != DataType::Email) {
            self.sync_type(*data_type, offer, types, &mut known).await?;
        }
        let folders_changed = self.same_as_base(types, DataType::Mailbox).is_none();
        if emails_changed || folders_changed {
            self.agree(types, &mut known).await?;
        }
        Ok(emails_changed || folders_changed)
    }

    /// Records beside the state of emails what the next backup compares. Returns false if the server shows other emails than
    /// this run has by the server's changes, or these changes were not true.
    async fn set_witness_of_emails(
        &self,
        types: &mut Types,
        changed: bool,
        look: Option<Look>,
    ) -> Result<bool> {
        let is_listed = types.listed;
        if self.contradicted && !is_listed {
            return Ok(false);
        }
        let Some(emails) = types.states.get_mut(&DataType::Email) else { return Ok(true) };
        if emails.status != TypeStatus::Complete {
            return Ok(true);
        }
        if let Some(base) = self.emails_of_base().filter(|base| self.trusts && base.state == emails.state) {
            emails.witness = base.witness;
            emails.recent.clone_from(&base.recent);
        }
        let is_compared = !changed && look.is_some();
        let sample = match look {
            Some(Look::Recent(_)) if is_compared => return Ok(true),
            Some(Look::Sample(sample)) if is_compared => Some(sample),
            _ => self.sample().await?,
        };
        let sample = sample.filter(|sample| sample.state.as_str() == emails.state);
        let has_failed = |id: &str| self.failures.contains_key(&(DataType::Email, id.to_owned()));
        emails.recent = self.recent.list(&self.late, sample.as_ref(), &self.hasher, has_failed);
        let Some(sample) = sample else { return Ok(true) };
        emails.witness = sample.witness(&self.hasher);
        Ok(is_compared || is_listed || self.agrees_with(&sample).await?)
    }

    /// Whether anything about emails may have changed.
    async fn sync_type_of_emails(&mut self, offer: &Offer, types: &mut Types) -> Result<bool> {
        const STATELESS: &str = "the server names no state for it";
        let t = DataType::Email;
        if self.writer.slices().is_some() {
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
            Offer::State(None, _) => return self.keep(t, STATELESS, types).map(|()| false),
            Offer::No => return self.not_offered(t, types).map(|()| false),
            Offer::Broken(reason) => return self.keep(t, reason, types).map(|()| false),
        };
        if self.trusted_state(t).as_ref() == Some(state) && !self.has_failed_emails() {
            types.set(t, TypeStatus::Complete, state.as_str(), self.counts.emails, "");
            return Ok(false);
        }
        match self.sync_emails(state.clone()).await {
            Ok(Synced { state, status, listed }) => {
                types.listed = listed;
                types.set(t, status, state.as_str(), self.counts.emails, "");
                Ok(true)
            }
            // Nothing of emails was written yet, so the rows of the base can stay.
            Err(error) if self.is_untouched() && is_about_type(&error) => {
                self.keep(t, &root_cause(&error), types).map(|()| false)
            }
            Err(error) => Err(error),
        }
    }

    async fn sync_type(
        &mut self,
        t: DataType,
        offer: &Offer,
        types: &mut Types,
        known: &mut Option<Known>,
    ) -> Result<()> {
        let state = match offer {
            Offer::No => return self.not_offered(t, types),
            Offer::Broken(reason) => return self.keep(t, reason, types),
            Offer::State(Some(state), _) => state.as_str(),
            Offer::State(None, Some(fingerprint)) => fingerprint.as_str(),
            Offer::State(None, None) => "",
        };
        let witness = match offer {
            Offer::State(Some(_), Some(fingerprint)) => self.hasher.short(fingerprint).max(1),
            _ => 0,
        };
        let base = self.base.as_ref().and_then(|b| b.info().type_state(t)).cloned();
        let same_flags = base.as_ref().is_some_and(|base| base.witness == witness);
        let trusted = self.trusted_state(t).filter(|_| same_flags);
        let has_failed = self.failures.keys().any(|(failed, _)| *failed == t);
        // Fewer are read as a whole: one request, of one moment, and no history to trust.
        let is_long = base.as_ref().is_some_and(|base| base.count > LONG_TYPE);
        let unchanged = trusted.as_ref().is_some_and(|trusted| trusted.as_str() == state) && !has_failed;
        let was_of_owner = base.as_ref().is_some_and(|base| base.of_owner);
        let shows_more = self.shows_more_now(t, base.as_ref(), unchanged).await;
        let (trusted, unchanged) = (trusted.filter(|_| !shows_more), unchanged && !shows_more);
        let counted = match &trusted {
            Some(since) if !unchanged && !has_failed => self.counted_since(t, since).await,
            _ => None,
        };
        let state = counted.as_ref().map_or(state, State::as_str);
        if let (true, Some(base)) = (unchanged || counted.is_some(), base) {
            types.set(t, TypeStatus::Complete, state, base.count, "");
            types.set_witness(t, witness);
            types.set_not_given(t, base.not_given);
            types.set_of_owner(t, base.of_owner);
            return Ok(());
        }
        let not_given = self.not_given_before(t);
        let rows = self.known(known).await?.entry(t).or_default();
        let since = trusted.filter(|_| is_long && !has_failed);
        let is_difference = since.is_some();
        match self.sync_objects(t, since, rows).await? {
            Ok(synced) => {
                // Rows that stay are as the user who made the base saw them.
                let of_owner = self.is_owners(t).await && (!is_difference || was_of_owner);
                types.set(t, synced.status, &synced.state, synced.count, "");
                types.set_witness(t, witness);
                let lacks = synced.not_given.unwrap_or_else(|| not_given.clone());
                let lacks = if is_difference { lacking(lacks, &not_given) } else { lacks };
                types.set_not_given(t, lacks);
                types.set_of_owner(t, of_owner);
            }
            Err(error) => self.keep(t, &error.to_string(), types)?,
        }
        Ok(())
    }

    /// Whether all of a type has to be read because the server shows more of it than the base holds: the owner's view instead of somebody
    /// else's, or texts of events. Nobody signs in as the owner for what did not change.
    async fn shows_more_now(&self, t: DataType, base: Option<&TypeState>, unchanged: bool) -> bool {
        let is_others = is_each_users(t) && !base.is_some_and(|base| base.of_owner);
        let is_reached = self.account.is_personal || self.how.owner.is_some_and(Owner::is_signed_in);
        let may_ask = is_others && (is_reached || !unchanged);
        may_ask && self.is_owners(t).await || self.shows_texts_now(base).await
    }

    /// Whether objects of this type are read as the account's owner sees them.
    async fn is_owners(&self, data_type: DataType) -> bool {
        self.account.is_personal || matches!(self.owner_of(data_type).await, Ok(Some(_)))
    }

    /// What the objects of the base lack.
    fn not_given_before(&self, data_type: DataType) -> Vec<String> {
        let state = self.base.as_ref().and_then(|base| base.info().type_state(data_type));
        state.map(|state| state.not_given.clone()).unwrap_or_default()
    }

    /// Brings emails and folders to agree: after the folders were read, emails are brought up to date once more, and when
    /// one then lies in a folder that is not known yet, so are the folders. Where nothing has changed since these were listed and the
    /// server, asked for the folder by its id, does not know it, the email lies in it as the server has it: Stalwart 0.16
    /// takes a request that names a folder which another one is destroying.
    async fn agree(&mut self, types: &mut Types, known: &mut Option<Known>) -> Result<()> {
        let mut listed = None;
        for _ in 0..AGREEMENT_ROUNDS {
            let Some(emails) = complete_state(types, DataType::Email) else { return Ok(()) };
            if complete_state(types, DataType::Mailbox).is_none() {
                return Ok(());
            }
            let synced = self.bring_up(emails).await?;
            types.set(DataType::Email, synced.status, synced.state.as_str(), self.counts.emails, "");
            let rows = self.known(known).await?.entry(DataType::Mailbox).or_default();
            let is_known = |id: &FolderId| rows.contains_key(id.as_str());
            let is_settled = listed.as_ref().is_some_and(|state: &String| state == synced.state.as_str());
            let unknown = self.unknown_folders(is_known);
            if synced.status != TypeStatus::Complete || unknown.is_empty() {
                return Ok(());
            }
            if is_settled && self.are_gone(&unknown).await {
                return Ok(());
            }
            listed = Some(synced.state.as_str().to_owned());
            match self.sync_objects(DataType::Mailbox, None, rows).await? {
                Ok(synced) => {
                    types.set(DataType::Mailbox, synced.status, &synced.state, synced.count, "");
                    types.set_not_given(DataType::Mailbox, synced.not_given.unwrap_or_default());
                    types.set_of_owner(DataType::Mailbox, self.is_owners(DataType::Mailbox).await);
                }
                Err(error) => return self.keep(DataType::Mailbox, &error.to_string(), types),
            }
        }
        if let Some(emails) = types.states.get_mut(&DataType::Email) {
            emails.status = TypeStatus::Moving;
        }
        Ok(())
    }

    /// The objects of the base by type and id, read when first needed.
    async fn known<'k>(&self, known: &'k mut Option<Known>) -> Result<&'k mut Known> {
        if known.is_none() {
            let mut all = Known::new();
            if let Some(base) = &self.base {
                let mut objects = base.each_object().await?;
                while let Some(found) = objects.next().await? {
                    // One that has lost its JSON differs from whatever the server has.
                    let lost = |data_type, id: &str| ObjectRecord {
                        data_type,
                        id: id.to_owned(),
                        json: Bytes::new(),
                        blob: None,
                    };
                    let is_lost = self.lost_objects.contains(&(found.data_type, found.id.clone()));
                    let object = match found.object {
                        Ok(object) if !is_lost => object,
                        Ok(_) => lost(found.data_type, &found.id),
                        Err(_) if is_lost => lost(found.data_type, &found.id),
                        Err(error) => return Err(error.into()),
                    };
                    all.entry(found.data_type).or_default().insert(found.id, object);
                }
            }
            *known = Some(all);
        }
        Ok(known.get_or_insert_default())
    }

    /// A type whose objects stay those of the base, because it could not be read.
    fn keep(&self, t: DataType, reason: &str, types: &mut Types) -> Result<()> {
        let count = self.base.as_ref().and_then(|b| b.info().type_state(t)).map_or(0, |known| known.count);
        types.set(t, TypeStatus::Stale, "", count, reason);
        Ok(())
    }

    fn not_offered(&self, t: DataType, types: &mut Types) -> Result<()> {
        let before = self.base.as_ref().and_then(|b| b.info().type_state(t));
        match before.map(|known| known.status) {
            None | Some(TypeStatus::NotOffered) => types.set(t, TypeStatus::NotOffered, "", 0, ""),
            Some(_) => self.keep(t, "the server offered it before and does not now", types)?,
        }
        Ok(())
    }

    fn same_as_base(&self, types: &Types, t: DataType) -> Option<()> {
        let base = self.base.as_ref()?.info().type_state(t)?;
        (types.states.get(&t)? == base).then_some(())
    }

    async fn commit(mut self, types: Types, started: model::Timestamp) -> Result<(Report, bool)> {
        self.give_up_lost().await?;
        let base = self.base.as_ref().map(|base| base.info()).filter(|info| info.number.0 > 0);
        let base = base.map(|info| &info.summary);
        let had = base.map_or(0, |base| base.emails);
        // Rows that the store has lost say of no email that it is gone; the number of all does.
        let least = had.saturating_sub(self.counts.emails);
        let removed = self.counts.removed.max(least);
        let gone = match self.writer.slices() {
            // What is there under another id is not gone.
            None => self.counts.removed.saturating_sub(std::mem::take(&mut self.renumbered).count()),
            // Emails that a slice brought may be among them: then the alarm comes too early rather than never.
            Some(_) => self.counts.removed.min(had),
        };
        let summary = Summary {
            account_name: self.account.name.clone(),
            types: types.states.into_values().collect(),
            emails: self.counts.emails,
            email_bytes: self.counts.bytes,
            new_emails: self.counts.new,
            removed_emails: removed,
            failures: self.failures.len() as u64,
            shrunk: gone.max(least) * 2 > had,
            since_listing: if types.listed { 0 } else { base.map_or(0, |base| base.since_listing + 1) },
            started,
            origin: self.how.origin.clone(),
        };
        let held_bytes = self.writer.held_bytes();
        let committed = self.writer.commit(summary.clone(), self.how.clock).await?;
        let report = Report {
            number: committed.number,
            is_of_fleet: committed.is_of_fleet,
            state: state_of_summary(&summary),
            emails: summary.emails,
            email_bytes: summary.email_bytes,
            new_emails: summary.new_emails,
            removed_emails: summary.removed_emails,
            stored_bytes: committed.stored_bytes,
            fetched_bytes: self.counts.fetched_bytes,
            held_emails: self.counts.held,
            held_bytes,
            healed: self.counts.healed,
            renewed: self.counts.renewed,
            found_damage: false,
            types: summary.types,
            failures: self.failures.into_values().collect(),
        };
        Ok((report, committed.checkpoint_due))
    }
}

/// Objects by type and id.
type Known = BTreeMap<DataType, BTreeMap<String, ObjectRecord>>;

fn complete_state(types: &Types, data_type: DataType) -> Option<State> {
    let known = types.states.get(&data_type).filter(|t| t.status == TypeStatus::Complete)?;
    State::new(&known.state).ok()
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

/// Errors after which the repository can still be written to.
fn is_of_server(error: &Error) -> bool {
    matches!(error, Error::Server { .. } | Error::ManyFailures { .. } | Error::Unlisted { .. })
}

fn root_cause(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => source.to_string(),
        None => error.to_string(),
    }
}
