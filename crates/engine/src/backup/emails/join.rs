//! Joins a listing with the base snapshot, both in the order of ids: what is new is planned for fetching, what is gone or
//! lies elsewhere goes straight to the intake.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use jmap::Id;
use model::{EmailId, EmailRecord};
use repository::Snapshot;
use tokio_util::task::AbortOnDropHandle;

use super::renewal::is_renewable;
use super::rows::{folders_of, relabelled, source_hash, wanted_email};
use crate::backup::fetch::pump::Planner;
use crate::backup::fetch::step::Step;
use crate::backup::slice::Alarm;
use crate::error::{Error, Result};
use crate::server::listing::IdList;
use crate::server::metadata::{self, Metadata};

/// Metadata requests ahead of the planner.
const METADATA_AHEAD: usize = 2;

/// One listing on its way to the pipeline.
pub(crate) struct Join {
    pub(crate) client: jmap::Client,
    pub(crate) account: jmap::AccountId,
    pub(crate) most: usize,
    pub(crate) base: Option<Arc<Snapshot>>,
    pub(crate) hasher: repository::BlobHasher,
    pub(crate) ids: Arc<IdList>,
    pub(crate) planner: Planner,
    /// Emails that failed before, to be fetched again.
    pub(crate) failed: BTreeSet<String>,
    /// Emails whose bytes the store has lost, likewise.
    pub(crate) lost: BTreeSet<EmailId>,
    pub(crate) alarm: Alarm,
    /// Rows that may still be renewed.
    pub(crate) renewable: usize,
}

impl Join {
    pub(crate) async fn run(mut self) {
        match self.join().await {
            // What is planned still comes.
            Ok(()) | Err(Error::Paused) => {}
            Err(error) => self.planner.tell(Err(error)).await,
        }
        self.planner.finish().await;
    }

    async fn join(&mut self) -> Result<()> {
        let mut old = Old::open(self.base.as_deref()).await?;
        let mut starts = (0..self.ids.len()).step_by(self.most);
        let mut asked: VecDeque<_> =
            starts.by_ref().take(METADATA_AHEAD).map(|start| self.ask(start)).collect();
        while let Some(answer) = asked.pop_front() {
            let answer = answer.await.map_err(|_| Error::Stopped)??;
            asked.extend(starts.next().map(|start| self.ask(start)));
            self.compare_all(answer, &mut old).await?;
        }
        while let Some(record) = old.take_if(|_| true).await? {
            self.planner.tell(Ok(Step::Removed(Box::new(record)))).await;
        }
        Ok(())
    }

    /// Asks for the metadata of some ids, in a task of its own: an answer is read to its end although the planner may be
    /// waiting elsewhere.
    fn ask(&self, start: usize) -> AbortOnDropHandle<Result<BTreeMap<Id, Metadata>>> {
        let range = start..(start + self.most).min(self.ids.len());
        let ids = range.filter_map(|at| Id::new(self.ids.get(at)).ok()).collect();
        let (client, account) = (self.client.clone(), self.account.clone());
        AbortOnDropHandle::new(tokio::spawn(async move { metadata::get(&client, &account, ids).await }))
    }

    async fn compare_all(&mut self, answer: BTreeMap<Id, Metadata>, old: &mut Old) -> Result<()> {
        let (mut same, mut folders) = (0, BTreeSet::new());
        for (id, metadata) in answer {
            while let Some(record) = old.take_if(|record| record.id.as_str() < id.as_str()).await? {
                self.planner.tell(Ok(Step::Removed(Box::new(record)))).await;
            }
            let record = old.take_if(|record| record.id.as_str() == id.as_str()).await?;
            if let Metadata::Found(email) = &metadata {
                folders.extend(folders_of(email));
            }
            same += u64::from(self.compare(id, metadata, record).await? == Needs::Nothing);
        }
        self.planner.tell(Ok(Step::Compared(same, folders))).await;
        Ok(())
    }

    /// Plans what one email needs.
    async fn compare(&mut self, id: Id, metadata: Metadata, record: Option<EmailRecord>) -> Result<Needs> {
        let step = match (metadata, record) {
            (Metadata::Gone, _) => Step::Doubted(EmailId::from(id.as_str())),
            (Metadata::Unreadable(reason), _) => Step::Unreadable(EmailId::from(id.as_str()), reason),
            (Metadata::Found(email), Some(record))
                if record.source_hash == source_hash(&self.hasher, &email)
                    && !self.failed.contains(record.id.as_str())
                    && !self.lost.contains(&record.id) =>
            {
                match relabelled(&record, &email) {
                    None => {
                        self.name_outdated(record).await;
                        return Ok(Needs::Nothing);
                    }
                    Some(new) => Step::Relabelled(Box::new(new)),
                }
            }
            (Metadata::Found(email), record) => {
                if self.alarm.rings() {
                    return Err(Error::Paused);
                }
                let wanted = wanted_email(email, record.as_ref());
                // What fails each time is no progress.
                if !self.failed.contains(id.as_str()) {
                    self.alarm.count(wanted.weight());
                }
                self.planner.want(wanted).await;
                return Ok(Needs::Work);
            }
        };
        self.planner.tell(Ok(step)).await;
        Ok(Needs::Work)
    }

    /// Names a row that stays as it is, if it is one of those that are renewed.
    async fn name_outdated(&mut self, record: EmailRecord) {
        if self.renewable > 0 && is_renewable(&record) {
            self.renewable -= 1;
            self.planner.tell(Ok(Step::Outdated(record.id, record.blob))).await;
        }
    }
}

#[derive(PartialEq)]
enum Needs {
    Nothing,
    Work,
}

/// The base's emails in the order of ids.
struct Old {
    rows: Option<repository::Emails>,
    ahead: Option<EmailRecord>,
}

impl Old {
    async fn open(base: Option<&Snapshot>) -> Result<Old> {
        let rows = match base {
            Some(base) => Some(base.emails().await?),
            None => None,
        };
        let mut old = Old { rows, ahead: None };
        old.read().await?;
        Ok(old)
    }

    async fn read(&mut self) -> Result<()> {
        if let Some(rows) = &mut self.rows {
            self.ahead = rows.next().await?;
        }
        Ok(())
    }

    /// The next one, if it is wanted.
    async fn take_if(&mut self, wanted: impl Fn(&EmailRecord) -> bool) -> Result<Option<EmailRecord>> {
        let taken = self.ahead.take_if(|ahead| wanted(ahead));
        if taken.is_some() {
            self.read().await?;
        }
        Ok(taken)
    }
}
