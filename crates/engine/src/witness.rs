//! A sample of the mailbox that is kept with its state. A server that names the same state and shows another sample was
//! restored from an old copy, or the account was made anew: its states say nothing about what changed since the last backup.

use jmap::{Answer, Batch, Call, Email, Emails, Ids, Query, QueryPage, State};
use model::{DataType, EmailId, FolderId};
use repository::BlobHasher;

use crate::emails::server_blob;
use crate::error::{Error, Result};
use crate::run::{Run, folders_of, relabelled};

/// The last emails of the server's own order, on Stalwart the newest.
const SAMPLE: usize = 16;
/// Most bytes of the answer.
const MOST_BYTES: u64 = 1 << 20;

/// A sample that was asked for.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    query: Call<QueryPage>,
    emails: Call<Emails>,
}

/// The last emails, and how many there are in all.
pub(crate) struct Sample {
    pub(crate) state: State,
    total: u64,
    emails: Vec<Email>,
}

/// Adds two calls to a batch.
pub(crate) fn ask(batch: &mut Batch) -> Asked {
    let query = batch.query(jmap::DataType::Email, &Query::last(SAMPLE).with_total());
    Asked { query, emails: batch.emails(Ids::Of(query.ids())) }
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
}

impl Sample {
    /// Equal samples, equal hashes; never 0.
    pub(crate) fn witness(&self, hasher: &BlobHasher) -> u64 {
        let mut text = self.total.to_string();
        for email in &self.emails {
            let blob = server_blob(hasher, email);
            text += &format!("\n{} {blob} {:?} {:?}", email.id, folders_of(email), email.keywords);
        }
        hasher.short(&text).max(1)
    }
}

impl Run<'_> {
    /// Whether the server is at the state of the base's emails and yet shows others.
    pub(crate) fn is_another_past(&self, sample: &Sample) -> bool {
        let base = self.base.as_ref().and_then(|base| base.info().type_state(DataType::Email));
        base.is_some_and(|base| {
            base.state == sample.state.as_str()
                && base.witness > 0
                && base.witness != sample.witness(&self.hasher)
        })
    }

    /// A sample of now.
    pub(crate) async fn sample(&self) -> Result<Option<Sample>> {
        let mut batch = Batch::new(&self.account.id);
        let asked = ask(&mut batch);
        match self.client.call(&batch.limit_answer(MOST_BYTES)).await {
            Ok(answer) => Ok(asked.take(&answer)),
            Err(jmap::Error::AnswerTooLarge { .. } | jmap::Error::Malformed { .. }) => Ok(None),
            Err(source) => Err(Error::Server { what: "the newest emails", source }),
        }
    }

    /// Whether what this run has is what the sample shows.
    pub(crate) async fn agrees_with(&self, sample: &Sample) -> Result<bool> {
        let failed =
            |email: &Email| self.failures.contains_key(&(DataType::Email, email.id.as_str().to_owned()));
        let any_failed = self.failures.keys().any(|(data_type, _)| *data_type == DataType::Email);
        if !any_failed && sample.total != self.counts.emails {
            return Ok(false);
        }
        let ids = sample.emails.iter().map(|email| EmailId::from(email.id.as_str())).collect();
        let records = self.records(ids).await?;
        Ok(sample.emails.iter().filter(|email| !failed(email)).all(|email| {
            let record = records.get(&EmailId::from(email.id.as_str()));
            record.is_some_and(|record| {
                record.server_blob == server_blob(&self.hasher, email) && relabelled(record, email).is_none()
            })
        }))
    }

    /// Whether every folder that an email lies in, as far as this run looked at it, is among these. A folder that was
    /// destroyed after its emails were listed is missed needlessly: the next backup finds everything in order.
    pub(crate) fn has_all_folders(&self, is_known: impl Fn(&FolderId) -> bool) -> bool {
        let late = self.late.values().flatten().flat_map(|record| &record.folders);
        late.chain(&self.listed_folders).all(is_known)
    }
}
