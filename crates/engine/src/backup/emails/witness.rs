//! What a snapshot keeps of emails beside their state, so that the next backup sees when the server's history was rolled back or
//! the account was made anew. The states of such a server say nothing about what changed since the last backup.
//!
//! Two things are kept: rows that changed last (`recent.rs`), which the next backup asks for in the request for the states, and
//! a hash over the last emails of the server's own order, for snapshots that have no such rows.

use std::collections::BTreeSet;

use jmap::{Answer, Batch, Call, Email, Emails, Id, Ids, Query, QueryPage, State};
use model::{DataType, EmailId};
use repository::{BlobHasher, RowDigest, TypeStatus};

use super::recent;
use super::rows::{folders_of, relabelled, source_hash};
use crate::backup::run::Run;
use crate::backup::states::TypeStates;
use crate::error::{Error, Result};

/// The last emails of the server's own order, on Stalwart the newest.
const SAMPLE: usize = 16;
/// Most bytes of the answer.
const MOST_BYTES: u64 = 1 << 20;

/// Method calls that [`ask`] and [`ask_recent`] add to a batch.
pub(crate) const CALLS: usize = 2;

/// Two calls whose answers are compared with the base.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    query: Call<QueryPage>,
    emails: Call<Emails>,
}

/// The last emails, and how many there are in all.
pub(crate) struct Sample {
    pub(crate) state: State,
    total: u64,
    pub(crate) emails: Vec<Email>,
}

/// What became of the rows that the base kept.
pub(crate) struct Seen {
    state: State,
    total: u64,
    /// Those that are other ones now.
    pub(crate) differing: BTreeSet<Id>,
}

/// What the first request of a backup shows of emails, besides their state.
pub(crate) enum Look {
    /// The base has rows to compare with.
    Recent(Seen),
    /// It has none.
    Sample(Sample),
}

/// Adds the calls for a sample to a batch.
pub(crate) fn ask(batch: &mut Batch) -> Asked {
    let query = batch.query(jmap::DataType::Email, &Query::last(SAMPLE).with_total());
    Asked { query, emails: batch.emails(Ids::Of(query.ids())) }
}

/// Adds the calls for these rows to a batch, at most `most` of them.
pub(crate) fn ask_recent(batch: &mut Batch, rows: &[RowDigest], most: usize) -> Asked {
    let query = batch.query(jmap::DataType::Email, &Query::last(1).with_total());
    let ids = rows.iter().take(most).filter_map(|row| Id::new(&row.id).ok()).collect();
    Asked { query, emails: batch.emails(Ids::These(ids)) }
}

impl Asked {
    /// `None` when the server cannot say, or not clearly: then there is nothing to compare.
    pub(crate) fn take(self, answer: &Answer) -> Option<Sample> {
        let total = answer.take(self.query).ok()?.total?;
        let Emails { state, mut list, not_found, failures } = answer.take(self.emails).ok()?;
        let is_clear = not_found.is_empty() && failures.is_empty();
        list.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        Some(Sample { state: state.filter(|_| is_clear)?, total, emails: list })
    }

    /// The answer to [`ask_recent`].
    pub(crate) fn take_recent(
        self,
        answer: &Answer,
        rows: &[RowDigest],
        hasher: &BlobHasher,
    ) -> Option<Seen> {
        let total = answer.take(self.query).ok()?.total?;
        let emails = answer.take(self.emails).ok()?;
        let differing = recent::differing(rows, &emails, hasher);
        Some(Seen { state: emails.state?, total, differing })
    }
}

impl Sample {
    /// Equal samples, equal hashes; never 0.
    pub(crate) fn witness(&self, hasher: &BlobHasher) -> u64 {
        let mut text = self.total.to_string();
        for email in &self.emails {
            let blob = source_hash(hasher, email);
            text += &format!("\n{} {blob} {:?} {:?}", email.id, folders_of(email), email.keywords);
        }
        hasher.short(&text).max(1)
    }
}

impl Run<'_> {
    /// Whether the server is at the state of the base's emails and yet shows others.
    pub(crate) fn history_was_rolled_back(&self, look: &Look) -> bool {
        let Some(base) = self.draft.base_state(DataType::Email) else { return false };
        match look {
            Look::Sample(sample) => {
                let is_comparable = base.state == sample.state.as_str() && base.witness > 0;
                is_comparable && base.witness != sample.witness(&self.draft.hasher)
            }
            Look::Recent(seen) => {
                let is_other_count = !self.draft.has_failures_of(DataType::Email) && seen.total != base.count;
                base.state == seen.state.as_str() && (is_other_count || !seen.differing.is_empty())
            }
        }
    }

    /// A sample of now.
    pub(crate) async fn sample(&self) -> Result<Option<Sample>> {
        let mut batch = Batch::new(&self.server.account.id);
        let asked = ask(&mut batch);
        match self.server.client.call(&batch.limit_answer(MOST_BYTES)).await {
            Ok(answer) => Ok(asked.take(&answer)),
            Err(jmap::Error::AnswerTooLarge { .. } | jmap::Error::Malformed { .. }) => Ok(None),
            Err(source) => Err(Error::Server { what: "the newest emails", source }),
        }
    }

    /// Whether what this run has is what the sample shows.
    pub(crate) async fn agrees_with(&self, sample: &Sample) -> Result<bool> {
        let failed = |email: &Email| self.draft.has_failed(DataType::Email, email.id.as_str());
        if !self.draft.has_failures_of(DataType::Email) && sample.total != self.draft.counts.emails {
            return Ok(false);
        }
        let ids = sample.emails.iter().map(|email| EmailId::from(email.id.as_str())).collect();
        let records = self.records(ids).await?;
        Ok(sample.emails.iter().filter(|email| !failed(email)).all(|email| {
            let record = records.get(&EmailId::from(email.id.as_str()));
            record.is_some_and(|record| {
                record.source_hash == source_hash(&self.draft.hasher, email)
                    && relabelled(record, email).is_none()
            })
        }))
    }

    /// Records beside the state of emails what the next backup compares. Returns false if the server shows other emails than
    /// this run has by the server's changes, or these changes were not true.
    pub(crate) async fn set_witness_of_emails(
        &self,
        types: &mut TypeStates,
        changed: bool,
        look: Option<Look>,
    ) -> Result<bool> {
        let is_listed = types.listed;
        if self.emails.contradicted && !is_listed {
            return Ok(false);
        }
        let Some(emails) = types.states.get_mut(&DataType::Email) else { return Ok(true) };
        if emails.status != TypeStatus::Complete {
            return Ok(true);
        }
        if let Some(base) = self
            .draft
            .base_state(DataType::Email)
            .filter(|base| self.draft.trusts && base.state == emails.state)
        {
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
        let has_failed = |id: &str| self.draft.has_failed(DataType::Email, id);
        let sampled = sample.as_ref().map_or(&[][..], |sample| &sample.emails);
        emails.recent =
            self.emails.recent.list(&self.emails.changed_rows, sampled, &self.draft.hasher, has_failed);
        let Some(sample) = sample else { return Ok(true) };
        emails.witness = sample.witness(&self.draft.hasher);
        Ok(is_compared || is_listed || self.agrees_with(&sample).await?)
    }
}
