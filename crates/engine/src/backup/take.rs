//! What comes from the pipeline becomes rows.

use std::sync::Arc;

use futures::StreamExt;
use jmap::{Download, Id, JmapBlobId};
use model::{DataType, EmailId, EmailRecord};
use tokio::time::Instant;

use super::emails::recent::digest_of_row;
use super::emails::rows::record_of;
use super::fetch::fetcher::Fetcher;
use super::fetch::pump::{Intake, Planner, pipeline};
use super::fetch::step::{Arrived, Content, Fetched, Miss, Step, Subject, Wanted};
use super::keep::{Keeping, at};
use super::run::Run;
use super::slice::PATIENCE;
use crate::error::{Error, Result};
use crate::server::metadata::{self, Metadata};

/// After so many failures without a success between them it may not be the emails' fault.
const FAILURES_IN_A_ROW: u32 = 8;

/// Emails of the base one of which must still be there.
const CONTROLS: usize = 20;
const CONTROL_BYTES: u64 = 1 << 30;

impl Run<'_> {
    pub(crate) fn pipeline(&self) -> (Planner, Intake) {
        let session = self.server.client.session();
        let fetcher = |out| Fetcher {
            client: self.server.client.clone(),
            account: self.server.account.id.clone(),
            hasher: self.draft.hasher.clone(),
            has_blob_get: session.offers(jmap::Capability::BLOB),
            failed_batches: Arc::default(),
            out,
        };
        pipeline(fetcher, self.server.client.concurrency(), session.limits.max_objects_in_get)
    }

    /// Fetches these and makes rows of them.
    pub(crate) async fn fetch(&mut self, wanted: Vec<Wanted>) -> Result<()> {
        if wanted.is_empty() {
            return Ok(());
        }
        let (mut planner, mut intake) = self.pipeline();
        let alarm = self.alarm.clone();
        let planning = async move {
            for one in wanted {
                if alarm.rings() {
                    break;
                }
                alarm.count(one.weight());
                planner.want(one).await;
            }
            planner.finish().await;
            Ok::<_, Error>(())
        };
        let taking = self.take_all(&mut intake);
        let ((), ()) = futures::try_join!(planning, taking)?;
        self.alarm.check()
    }

    /// Makes rows of all steps to come.
    pub(crate) async fn take_all(&mut self, intake: &mut Intake) -> Result<()> {
        let alarm = self.alarm.clone();
        let mut is_over = Box::pin(alarm.is_over());
        loop {
            let next_look = self.keeping.as_ref().map(Keeping::next_look);
            let step = tokio::select! {
                biased;
                step = intake.next() => step,
                () = &mut is_over => return Err(Error::Paused),
                () = at(next_look) => Ok(Some(Step::Idle)),
            };
            match step {
                Ok(Some(step)) => self.take(step).await?,
                Ok(None) => return Ok(()),
                Err(error) => {
                    self.take_rest(intake).await;
                    return Err(error);
                }
            }
            self.keep_if_due().await?;
        }
    }

    /// After an error of the server: takes what is under way, so that it can be committed.
    pub(crate) async fn take_rest(&mut self, intake: &mut Intake) {
        if !self.alarm.end() {
            return;
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            match tokio::time::timeout_at(deadline, intake.next()).await {
                Ok(Ok(Some(step))) => {
                    if self.take(step).await.is_err() {
                        return;
                    }
                }
                // Of many requests under way many may fail alike.
                Ok(Err(error)) if !matches!(error, Error::Stopped) => {}
                _ => return,
            }
        }
    }

    /// Makes rows of one step.
    pub(crate) async fn take(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Arrived(Arrived::Chunks(chunks)) => {
                self.draft.writer.add_blobs(chunks).await?;
            }
            Step::Arrived(Arrived::Whole(fetched)) => self.take_whole(fetched).await?,
            Step::Arrived(Arrived::Missing(wanted, miss)) => self.take_missing(wanted, miss).await?,
            Step::Relabelled(record) => {
                self.how.progress.advance(1, 0);
                self.emails.has_relabelled = true;
                self.emails.recent.note(&record.id, Some(digest_of_row(&self.draft.hasher, &record)));
                self.draft.writer.put_email(*record).await?;
            }
            Step::Idle => {}
            Step::Removed(record) => {
                self.emails.renumbered.went(&record.blob);
                self.emails.recent.note(&record.id, None);
                self.draft.remove_email(&record.id, record.size, true).await?;
            }
            Step::Outdated(id, blob) => self.emails.outdated.push((id, blob)),
            Step::Doubted(id) => drop(self.emails.doubted.insert(id)),
            Step::Unreadable(id, reason) => self.draft.fail(DataType::Email, id.into(), reason).await?,
            Step::Compared(unchanged, folders) => {
                self.how.progress.advance(unchanged, 0);
                self.emails.listed_folders.extend(folders);
            }
        }
        Ok(())
    }

    async fn take_whole(&mut self, fetched: Vec<Fetched>) -> Result<()> {
        self.health.failed_in_a_row = 0;
        self.health.fetched = fetched.last().and_then(|one| one.server_blob()).or(self.health.fetched.take());
        let mut rows = Vec::with_capacity(fetched.len());
        let mut blobs = Vec::with_capacity(fetched.len());
        for one in fetched {
            // What is doubted is fetched again by the next one.
            self.draft.counts.fetched += u64::from(one.doubt.is_none());
            self.draft.counts.fetched_bytes += one.length;
            match one.content {
                Content::Bytes(bytes) => blobs.push((one.blob, bytes)),
                Content::Chunks(chunks) => {
                    self.draft.writer.add_chunked(one.blob, chunks, one.length).await?
                }
            }
            rows.push((one.subject, one.blob, one.length, one.envelope, one.doubt));
        }
        let came = blobs.len();
        let new = self.draft.writer.add_blobs(blobs).await?;
        self.draft.counts.held += (came - new) as u64;
        for (subject, blob, length, envelope, doubt) in rows {
            let (data_type, id) = subject.name();
            match doubt {
                Some(reason) => self.draft.fail(data_type, id, reason).await?,
                None => self.draft.forgive(data_type, &id).await?,
            }
            match subject {
                Subject::Email { email, replaces } => {
                    let record = record_of(&self.draft.hasher, &email, blob, length, envelope);
                    self.how.progress.advance(1, length);
                    self.put_fetched(record, replaces).await?;
                }
                Subject::Object(mut object) => {
                    object.blob = Some(blob);
                    self.draft.put_object(object).await?;
                }
            }
        }
        Ok(())
    }

    async fn put_fetched(&mut self, record: EmailRecord, replaces: Option<u64>) -> Result<()> {
        self.emails.vanished.remove(&record.id);
        self.draft.counts.healed += u64::from(self.draft.lost.remove(&record.id));
        match self.emails.length_of(&record.id).or(replaces) {
            Some(length) => self.draft.counts.bytes = self.draft.counts.bytes - length + record.size,
            None => {
                self.draft.counts.emails += 1;
                self.draft.counts.bytes += record.size;
                self.draft.counts.new += 1;
                if self.draft.base.is_some() {
                    self.emails.renumbered.came(&record.blob);
                }
            }
        }
        match &mut self.emails.listed {
            Some(listed) if self.emails.is_listing => {
                self.emails.recent.note(&record.id, Some(digest_of_row(&self.draft.hasher, &record)));
                listed.note(&record.id, record.size);
            }
            _ => {
                self.emails.late.insert(record.id.clone(), Some(Box::new(record.clone())));
            }
        }
        self.draft.writer.put_email(record).await?;
        Ok(())
    }

    async fn take_missing(&mut self, wanted: Wanted, miss: Miss) -> Result<()> {
        let (data_type, id) = wanted.subject.name();
        let reason = match miss {
            Miss::Gone if data_type == DataType::Email => {
                self.emails.vanished.insert(EmailId::from(id));
                return Ok(());
            }
            Miss::Gone => "its content is gone".to_owned(),
            Miss::Wrong(reason) => reason,
            Miss::Failed(source) if asks_for_less(&source) => {
                return Err(Error::Server { what: "emails", source });
            }
            Miss::Failed(source) => {
                self.health.failed_in_a_row += 1;
                if self.health.failed_in_a_row >= FAILURES_IN_A_ROW {
                    if !self.can_fetch_another().await? {
                        return Err(Error::ManyFailures { count: self.health.failed_in_a_row, source });
                    }
                    self.health.failed_in_a_row = 0;
                }
                source.to_string()
            }
        };
        self.draft.fail(data_type, id, reason).await
    }

    /// Whether an email that could be fetched before can be fetched now: the failing ones are at fault, not the server.
    async fn can_fetch_another(&self) -> Result<bool> {
        let blob = match &self.health.fetched {
            Some(blob) => blob.clone(),
            None => match self.blob_of_base().await? {
                Some(blob) => blob,
                None => return Ok(false),
            },
        };
        let mut pieces = Box::pin(self.server.client.download(Download::new(
            &self.server.account.id,
            &blob,
            CONTROL_BYTES,
        )));
        Ok(matches!(pieces.next().await, Some(Ok(_))))
    }

    /// The server's blob of some email of the base.
    async fn blob_of_base(&self) -> Result<Option<JmapBlobId>> {
        let Some(base) = &self.draft.base else { return Ok(None) };
        let mut emails = base.emails().await?;
        let mut ids = Vec::new();
        while ids.len() < CONTROLS {
            let Some(email) = emails.next().await? else { break };
            ids.extend(Id::new(email.id.as_str()));
        }
        let known = metadata::get(self.server.client, &self.server.account.id, ids).await?;
        Ok(known.into_values().find_map(|email| match email {
            Metadata::Found(email) => Some(email.blob_id),
            _ => None,
        }))
    }
}

/// The server counts our requests: that says nothing of the email which was asked for. A 503 may well be about that one.
fn asks_for_less(error: &jmap::Error) -> bool {
    error.is_throttle() && !matches!(error, jmap::Error::Status { status: 503, .. })
}
