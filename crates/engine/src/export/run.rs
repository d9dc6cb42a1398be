//! One export: what is read from the repository goes, in batches through a bounded channel, to a thread that writes.
//!
//! Batches of a mebibyte, two of them waiting, are what is held at once, whatever the emails are like. The thread believes
//! the export to be whole only when it is told so: a channel that closes before, because reading failed or because this
//! future was dropped, makes it remove what it wrote.

use std::collections::BTreeSet;

use ::export::{Origin, Stopper, Writer};
use bytes::Bytes;
use futures::future::BoxFuture;
use model::{BlobId, DataType, EmailRecord, ErrorClass};
use repository::{
    FailureRecord, Located, Object, ObjectFound, ObjectRecord, Snapshot, TypeState, TypeStatus,
};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use crate::backup::objects::found::OWN_STATE;
use crate::error::{Error, Result};
use crate::export::request::{Export, Exported, Loss, Source};
use crate::export::wanted::Wanted;
use crate::export::writing::{Step, write};
use crate::stored_emails::{StoredEmail, StoredEmails};

/// A batch is sent when it is that long.
const BATCH_BYTES: usize = 1 << 20;
/// What a step takes besides content, about.
const STEP_BYTES: usize = 512;
/// Batches that wait for the thread.
const BATCHES_AHEAD: usize = 2;

const NOT_INDEXED: &str = "its bytes are not in the repository any more";

/// Writes a snapshot, or what a selection means of it, into files that other programs read.
///
/// What the repository has lost is named in the result and the rest is written. On any other error, and when this is dropped,
/// nothing of the export stays; the thread that writes may still be busy removing it for a moment.
pub fn export<'a>(snapshot: &'a Snapshot, how: Export<'a>) -> BoxFuture<'a, Result<Exported>> {
    Box::pin(export_all(snapshot, how))
}

async fn export_all(snapshot: &Snapshot, how: Export<'_>) -> Result<Exported> {
    let Export { format, target, options, spool, selection, source, about, progress } = how;
    let spool = spool.to_owned();
    let origin = origin(snapshot, source, selection.is_some()).await?;
    let create = move || Writer::create(format, target, &spool, &origin);
    let mut writer = spawn_blocking(create).await.map_err(|_| Error::Stopped)??;
    writer.set_options(options);
    about.into_iter().for_each(|line| writer.about(line));
    let _stopped_when_dropped = StopWhenDropped(writer.stopper());
    progress.phase("choosing");
    let wanted = Wanted::read(snapshot, selection).await?;
    let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
    let writing = spawn_blocking(move || write(writer, receiver));
    let mut feed = Feed { snapshot, sender, batch: Vec::new(), bytes: 0, damaged: BTreeSet::new() };
    progress.phase("exporting");
    progress.expect(wanted.emails);
    let fed = feed.all(&wanted, |email| progress.advance(1, email.size)).await;
    let damaged = std::mem::take(&mut feed.damaged);
    drop(feed);
    progress.phase("finishing");
    let written = writing.await.map_err(|_| Error::Stopped)?;
    match (fed, written) {
        (Ok(()), written) => Ok(Exported { damaged, ..written? }),
        (Err(Error::Stopped), Err(why_it_hung_up)) => Err(why_it_hung_up),
        (Err(error), _) => Err(error),
    }
}

/// What the snapshot knows of where it comes from. Who signed in is not written down anywhere. A selection has no state: what goes on from
/// one would never ask for the rest.
async fn origin(snapshot: &Snapshot, source: Option<Source>, is_selection: bool) -> Result<Origin> {
    let Some(Source { url, account_id }) = source else { return Ok(Origin::default()) };
    let summary = &snapshot.info().summary;
    let failures = snapshot.failures().await?;
    let is_whole = |known: &&TypeState| {
        let has_failed = failures.iter().any(|failure| failure.data_type == known.data_type);
        let is_servers = !known.state.is_empty() && !known.state.starts_with(OWN_STATE);
        known.status == TypeStatus::Complete && is_servers && !has_failed
    };
    let states = if snapshot.lacks_rows() || is_selection {
        Vec::new()
    } else {
        summary.types.iter().filter(is_whole).map(|known| (known.data_type, known.state.clone())).collect()
    };
    let (session_url, account_id) = (Some(url), Some(account_id));
    let account_name = Some(summary.account_name.clone()).filter(|name| !name.is_empty());
    Ok(Origin { session_url, account_id, account_name, user_name: None, states })
}

/// The thread is told even when it does not listen to the channel any more.
struct StopWhenDropped(Stopper);

impl Drop for StopWhenDropped {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Reads, and hands over.
struct Feed<'a> {
    snapshot: &'a Snapshot,
    sender: mpsc::Sender<Vec<Step>>,
    batch: Vec<Step>,
    bytes: usize,
    /// What was met missing or damaged.
    damaged: BTreeSet<Object>,
}

impl Feed<'_> {
    async fn all(&mut self, wanted: &Wanted, mut told: impl FnMut(&EmailRecord)) -> Result<()> {
        self.lacks(wanted).await?;
        let mut objects = self.snapshot.each_object().await?;
        while let Some(ObjectFound { data_type, id, object }) = objects.next().await? {
            if wanted.object(data_type, &id) {
                self.object(data_type, id, object).await?;
            }
        }
        let mut stored = StoredEmails::new(self.snapshot, |_, email| wanted.email(email)).await?;
        while let Some(stored_email) = stored.next().await? {
            told(&stored_email.email);
            self.email(stored_email).await?;
        }
        self.push(Step::End).await?;
        self.flush().await
    }

    /// What the snapshot itself says that it has not. Of a selection nobody knows which of the emails it lacks would be chosen.
    async fn lacks(&mut self, wanted: &Wanted) -> Result<()> {
        for state in self.snapshot.info().summary.types.iter().filter(|state| wanted.is_of(state.data_type)) {
            let what = match state.status {
                TypeStatus::Stale => "as they were in the backup before",
                TypeStatus::Moving => "changed while they were read",
                TypeStatus::Complete | TypeStatus::NotOffered => continue,
            };
            self.push(Step::Lacking(format!("{}: {what}", state.data_type))).await?;
        }
        for failure in self.snapshot.failures().await? {
            if wanted.is_of(failure.data_type) {
                let FailureRecord { data_type, id, reason, .. } = failure;
                self.push(Step::Lacking(format!("{data_type} {id}: {reason}"))).await?;
            }
        }
        Ok(())
    }

    async fn object(
        &mut self,
        data_type: DataType,
        id: String,
        object: repository::Result<ObjectRecord>,
    ) -> Result<()> {
        let object = match object {
            Ok(object) => object,
            Err(error) => {
                let reason = self.damage(error)?;
                return self.push(Step::Lost(Loss { data_type, id, name: String::new(), reason })).await;
            }
        };
        match object.blob {
            None => self.push(Step::Object(object, None)).await,
            Some(blob) => self.object_with_content(object, blob).await,
        }
    }

    async fn object_with_content(&mut self, object: ObjectRecord, blob: BlobId) -> Result<()> {
        match self.snapshot.locate(&[blob]).await?.remove(&blob) {
            Some(located) => {
                self.push(Step::Object(object, Some(located.length()))).await?;
                self.content(located).await
            }
            None => self.push(Step::Bare(object, NOT_INDEXED.to_owned())).await,
        }
    }

    async fn email(&mut self, stored_email: StoredEmail) -> Result<()> {
        let StoredEmail { email, blob, .. } = stored_email;
        match blob {
            Some(located) => {
                self.push(Step::Email(email, located.length())).await?;
                self.content(located).await
            }
            None => self.push(Step::Lost(Loss::of_email(&email, NOT_INDEXED.to_owned()))).await,
        }
    }

    async fn content(&mut self, blob: Located) -> Result<()> {
        let end = match self.pieces(blob).await? {
            Ok(()) => Step::Whole,
            Err(error) => Step::Broken(self.damage(error)?),
        };
        self.push(end).await
    }

    async fn pieces(&mut self, blob: Located) -> Result<repository::Result<()>> {
        let mut pieces = match self.snapshot.read_located(blob).await {
            Ok(pieces) => pieces,
            Err(error) => return Ok(Err(error)),
        };
        loop {
            match pieces.next().await {
                // A copy, so that a short email does not keep the whole frame in memory that it was read with.
                Ok(Some(piece)) => self.push(Step::Piece(Bytes::copy_from_slice(&piece))).await?,
                Ok(None) => return Ok(Ok(())),
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    /// What an error says of the bytes, if it is about them; else it ends the export.
    fn damage(&mut self, error: repository::Error) -> Result<String> {
        self.damaged.extend(error.damaged());
        match error.class() {
            ErrorClass::Corrupt => Ok(format!("its bytes cannot be read: {error}")),
            _ => Err(error.into()),
        }
    }

    async fn push(&mut self, step: Step) -> Result<()> {
        self.bytes += STEP_BYTES + step.length();
        self.batch.push(step);
        if self.bytes >= BATCH_BYTES { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<()> {
        self.bytes = 0;
        let batch = std::mem::take(&mut self.batch);
        self.sender.send(batch).await.map_err(|_| Error::Stopped)
    }
}
