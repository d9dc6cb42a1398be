//! One backup: which types changed, bringing each up to date, making emails and folders agree, committing.

use std::collections::BTreeMap;

use bytes::Bytes;
use jmap::{Account, Batch, Client, Ids, Objects, State};
use model::{DataType, FolderId};
use repository::{Look, ObjectRecord, Repository, SnapshotWriter, Summary, TypeState, TypeStatus};

use crate::emails::Synced;
use crate::error::{Error, Result};
use crate::objects::{has_state, state_tells_all};
use crate::options::Backup;
use crate::report::{Report, State as Quality};
use crate::run::Run;
use crate::slice::{Alarm, Cursor, Paused, Slice};
use crate::types::to_jmap;
use crate::witness::{self, Sample};

/// Every so many backups everything is listed, whatever the server's states say.
pub(crate) const LIST_EVERY: u32 = 7;
/// Types with more objects than this are brought up to date by `/changes`.
const LONG_TYPE: u64 = 400;
/// Method calls that ask for a sample of the emails.
const CALLS_OF_SAMPLE: usize = 2;
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
pub async fn backup(
    client: &Client,
    account: &Account,
    repository: &Repository,
    how: &Backup<'_>,
) -> Result<Report> {
    match run_slice(client, account, repository, how, None).await? {
        Ended::Done(report) => Ok(report),
        Ended::Paused(_) => unreachable!("nothing tells it to pause"),
    }
}

/// The same, unless it is told to pause: then what was fetched is committed for the next one.
pub async fn backup_slice(
    client: &Client,
    account: &Account,
    repository: &Repository,
    how: &Backup<'_>,
    slice: &Slice,
) -> Result<Ended> {
    run_slice(client, account, repository, how, Some(slice)).await
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
        let writer = repository.begin_snapshot(how.clock).await?;
        if is_listing_due(&writer, how) && doubts.of_listing(repository, how).await? {
            continue;
        }
        let mut run = Run::new(client, account, writer, how, trusts, Alarm::of(slice)).await?;
        let mut types = Types::default();
        match run.bring_up_to_date(&mut types).await {
            Ok(true) => {
                how.progress.phase("committing");
                break run.commit(types, started).await?;
            }
            // The server is at another past than the base, or contradicts itself: what it says of changes is worth nothing.
            Ok(false) => trusts = false,
            Err(Error::Paused) => {
                how.progress.phase("committing");
                return run.pause(started).await.map(Ended::Paused);
            }
            Err(Error::Repository(error)) if doubts.of_what_failed(&error, repository, how).await? => {}
            Err(error) => {
                let may_pass = matches!(error.class(), model::ErrorClass::Transient { .. });
                if slice.is_some() && may_pass && run.counts.fetched > 0 {
                    // Best effort: what came is not fetched again.
                    let _ = run.pause(started).await;
                }
                return Err(error);
            }
        }
    };
    if wants_checkpoint {
        repository.checkpoint_if_due(how.clock).await?;
    }
    Ok(Ended::Done(report))
}

/// Whether this backup lists everything, whatever the server's states say.
pub(crate) fn is_listing_due(writer: &SnapshotWriter, how: &Backup<'_>) -> bool {
    let base = writer.base().map(|base| base.info());
    base.is_some_and(|info| how.full_listing || info.summary.since_listing + 1 >= LIST_EVERY)
}

/// What the base refers to is claimed by rows, not proven: each question is asked of the store once.
#[derive(Default)]
struct Doubts {
    listed: bool,
    read: bool,
}

impl Doubts {
    /// Compares the base with a listing of the store. True if something is missing that was not known to be: begin again.
    async fn of_listing(&mut self, repository: &Repository, how: &Backup<'_>) -> Result<bool> {
        if std::mem::replace(&mut self.listed, true) {
            return Ok(false);
        }
        Ok(repository.examine(Look::Listing, how.clock).await?)
    }

    /// Notes what could not be read and looks for more of the kind. True if that was not known: begin again without it.
    async fn of_what_failed(
        &mut self,
        error: &repository::Error,
        repository: &Repository,
        how: &Backup<'_>,
    ) -> Result<bool> {
        let is_damage = error.class() == model::ErrorClass::Corrupt;
        if !is_damage || std::mem::replace(&mut self.read, true) {
            return Ok(false);
        }
        let is_new = repository.note_damage(error.damaged(), how.clock).await?;
        Ok(repository.examine(Look::Rows, how.clock).await? || is_new)
    }
}

/// What the server said of a type before anything else was asked.
enum Offer {
    /// Its state, and for a type without states a fingerprint of its content.
    State(Option<State>, Option<String>),
    No,
    Broken(String),
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
        self.states.insert(data_type, TypeState { data_type, status, state, count, reason, witness: 0 });
    }

    /// What the type showed besides its state.
    fn bear(&mut self, data_type: DataType, witness: u64) {
        if let Some(state) = self.states.get_mut(&data_type) {
            state.witness = witness;
        }
    }
}

impl Run<'_> {
    /// False if the server is at another past than it says.
    async fn bring_up_to_date(&mut self, types: &mut Types) -> Result<bool> {
        let (now, sample) = self.probe_types().await?;
        self.trusts &= !sample.as_ref().is_some_and(|sample| self.is_another_past(sample));
        let emails_changed = self.sync(&now, types).await?;
        self.bear_witness(types, sample.filter(|_| !emails_changed)).await
    }

    /// The states of all types and a sample of the emails in one request.
    async fn probe_types(&self) -> Result<(BTreeMap<DataType, Offer>, Option<Sample>)> {
        let offered = DataType::ALL.into_iter().filter(|t| self.account.offers(to_jmap(*t)));
        let offered: Vec<DataType> = offered.collect();
        let mut offers: BTreeMap<_, _> = DataType::ALL.into_iter().map(|t| (t, Offer::No)).collect();
        let most_calls = self.client.session().limits.max_calls_in_request;
        let (mut sample, mut is_open, mut refusal) = (None, false, None);
        for types in offered.chunks(most_calls.saturating_sub(CALLS_OF_SAMPLE).max(1)) {
            let mut batch = Batch::new(&self.account.id);
            let asked = types.contains(&DataType::Email).then(|| witness::ask(&mut batch));
            let asked = asked.filter(|_| most_calls > CALLS_OF_SAMPLE);
            let calls: Vec<_> = types
                .iter()
                .map(|t| {
                    let ids = if state_tells_all(*t) { Ids::These(Vec::new()) } else { Ids::All };
                    (*t, batch.get(to_jmap(*t), ids))
                })
                .collect();
            let answer = self.client.call(&batch).await;
            let answer =
                answer.map_err(|source| Error::Server { what: "the states of the account", source })?;
            for (data_type, call) in calls {
                let answer = answer.take(call);
                is_open |= answer.is_ok();
                offers.insert(data_type, self.offer(data_type, &answer));
                refusal = refusal.or(answer.err().filter(is_refusal));
            }
            sample = sample.or(asked.and_then(|asked| asked.take(&answer)));
        }
        match refusal.filter(|_| !is_open) {
            Some(source) => Err(Error::Server { what: "the account", source }),
            None => Ok((offers, sample)),
        }
    }

    fn offer(&self, data_type: DataType, answer: &Result<Objects, jmap::Error>) -> Offer {
        match answer {
            Ok(objects) => {
                let state = objects.state.clone().filter(|_| has_state(data_type));
                match state_tells_all(data_type) {
                    true => Offer::State(state, None),
                    false => Offer::State(state, self.fingerprint_of(data_type, objects)),
                }
            }
            Err(error)
                if error.method_error().is_some_and(|e| e.kind == jmap::MethodErrorKind::UnknownMethod) =>
            {
                Offer::No
            }
            Err(error) => Offer::Broken(error.to_string()),
        }
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

    /// Puts a sample beside the state of emails. False if it shows other emails than this run has by the server's changes, or
    /// these changes were not true.
    async fn bear_witness(&self, types: &mut Types, sample: Option<Sample>) -> Result<bool> {
        let is_listed = types.listed;
        if self.contradicted && !is_listed {
            return Ok(false);
        }
        let Some(emails) = types.states.get_mut(&DataType::Email) else { return Ok(true) };
        if emails.status != TypeStatus::Complete {
            return Ok(true);
        }
        let is_unchanged = sample.is_some();
        let base = self.base.as_ref().and_then(|base| base.info().type_state(DataType::Email));
        emails.witness = base.filter(|base| base.state == emails.state).map_or(0, |base| base.witness);
        let sample = match sample {
            Some(sample) => Some(sample),
            None => self.sample().await?,
        };
        let Some(sample) = sample.filter(|sample| sample.state.as_str() == emails.state) else {
            return Ok(true);
        };
        emails.witness = sample.witness(&self.hasher);
        Ok(is_unchanged || is_listed || self.agrees_with(&sample).await?)
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
        let has_failed = self.failures.keys().any(|(failed, _)| *failed == t);
        if self.trusted_state(t).as_ref() == Some(state) && !has_failed {
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
        if let (true, Some(base)) = (unchanged, base) {
            types.set(t, TypeStatus::Complete, state, base.count, "");
            types.bear(t, witness);
            return Ok(());
        }
        let rows = self.known(known).await?.entry(t).or_default();
        match self.sync_objects(t, trusted.filter(|_| is_long && !has_failed), rows).await? {
            Ok(synced) => {
                types.set(t, synced.status, &synced.state, synced.count, "");
                types.bear(t, witness);
            }
            Err(error) => self.keep(t, &error.to_string(), types)?,
        }
        Ok(())
    }

    /// Brings emails and folders to agree: after the folders were read, emails are brought up to date once more, and when
    /// one then lies in a folder that is not known yet, so are the folders.
    async fn agree(&mut self, types: &mut Types, known: &mut Option<Known>) -> Result<()> {
        for _ in 0..AGREEMENT_ROUNDS {
            let Some(emails) = complete_state(types, DataType::Email) else { return Ok(()) };
            if complete_state(types, DataType::Mailbox).is_none() {
                return Ok(());
            }
            let synced = self.bring_up(emails).await?;
            types.set(DataType::Email, synced.status, synced.state.as_str(), self.counts.emails, "");
            let rows = self.known(known).await?.entry(DataType::Mailbox).or_default();
            let is_known = |id: &FolderId| rows.contains_key(id.as_str());
            if synced.status != TypeStatus::Complete || self.has_all_folders(is_known) {
                return Ok(());
            }
            match self.sync_objects(DataType::Mailbox, None, rows).await? {
                Ok(synced) => types.set(DataType::Mailbox, synced.status, &synced.state, synced.count, ""),
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

    /// Commits what was fetched.
    async fn pause(self, started: model::Timestamp) -> Result<Paused> {
        let paused = Paused {
            emails: self.counts.fetched,
            fetched_bytes: self.counts.fetched_bytes - self.fetched_before,
        };
        let (cursor, how) = (Cursor::of(&self.counts), self.how);
        self.writer.commit_slice(cursor, &how.origin, started, how.clock).await?;
        Ok(paused)
    }

    async fn commit(mut self, types: Types, started: model::Timestamp) -> Result<(Report, bool)> {
        self.give_up_lost().await?;
        let base = self.base.as_ref().map(|base| base.info()).filter(|info| info.number.0 > 0);
        let base = base.map(|info| &info.summary);
        let had = base.map_or(0, |base| base.emails);
        let gone = match self.writer.slices() {
            // What is there under another id is not gone.
            None => self.counts.removed.saturating_sub(std::mem::take(&mut self.renumbered).count()),
            // Of the emails that a slice brought some may be gone as well.
            Some(_) => had.saturating_sub(self.counts.emails),
        };
        let summary = Summary {
            account_name: self.account.name.clone(),
            types: types.states.into_values().collect(),
            emails: self.counts.emails,
            email_bytes: self.counts.bytes,
            new_emails: self.counts.new,
            removed_emails: self.counts.removed,
            failures: self.failures.len() as u64,
            shrunk: gone * 2 > had,
            since_listing: if types.listed { 0 } else { base.map_or(0, |base| base.since_listing + 1) },
            started,
            origin: self.how.origin.clone(),
        };
        let held_bytes = self.writer.held_bytes();
        let committed = self.writer.commit(summary.clone(), self.how.clock).await?;
        let report = Report {
            number: committed.number,
            state: Quality::of_summary(&summary),
            emails: summary.emails,
            email_bytes: summary.email_bytes,
            new_emails: summary.new_emails,
            removed_emails: summary.removed_emails,
            stored_bytes: committed.stored_bytes,
            fetched_bytes: self.counts.fetched_bytes,
            held_emails: self.counts.held,
            held_bytes,
            types: summary.types,
            failures: self.failures.into_values().collect(),
        };
        Ok((report, committed.checkpoint_due))
    }
}

/// The user may not read this account; when that is so of every type, there is nothing to make a snapshot of.
fn is_refusal(error: &jmap::Error) -> bool {
    use jmap::MethodErrorKind::{AccountNotFound, Forbidden};
    error.method_error().is_some_and(|error| matches!(error.kind, Forbidden | AccountNotFound))
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

fn root_cause(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => source.to_string(),
        None => error.to_string(),
    }
}
