//! Emails from the repository into the account: read, uploaded and imported in batches, a few at once.
//!
//! Uploading twice does no harm, importing twice does: an import whose answer is lost ends the attempt
//! ([`Error::Unsettled`]), and the next one finds out by the folder of the restore what came.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use futures::{StreamExt, TryStreamExt, stream};
use jmap::{Batch, Id, Set, SetError, Written};
use model::EmailRecord;
use repository::{Located, Snapshot};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::restore::emails::dates;
use crate::restore::emails::upload_target::UploadTarget;
use crate::restore::emails::wrapping;
use crate::restore::folders::mapping::Map;
use crate::restore::staging::Staging;
use crate::restore::target::{Target, written};
use crate::restore::uploads::{self, Content, MOST_BYTES, Uploads};
use crate::stored_emails::{StoredEmail, StoredEmails};

/// Emails in one request.
const MOST_EMAILS: usize = 100;
/// Requests in flight: importing is the heaviest thing a server is asked to do.
pub(in crate::restore) const IN_FLIGHT: usize = 4;

/// Where imported emails go.
pub(in crate::restore) struct Import<'a> {
    pub(in crate::restore) target: Target<'a>,
    pub(in crate::restore) upload_target: &'a UploadTarget,
    pub(in crate::restore) snapshot: &'a Arc<Snapshot>,
    pub(in crate::restore) map: &'a Map,
    pub(in crate::restore) staging: &'a Staging<'a>,
    /// By their positions, why the server refuses these emails: each comes as the attachment of another one.
    pub(in crate::restore) wraps: Option<&'a BTreeMap<usize, Arc<str>>>,
}

/// What became of one email.
pub(in crate::restore) struct Outcome {
    pub(in crate::restore) position: usize,
    pub(in crate::restore) email: EmailRecord,
    /// The server's refusal, or what is wrong with our bytes.
    pub(in crate::restore) refusal: Option<String>,
    /// The server does not take it for an email.
    pub(in crate::restore) is_no_email: bool,
}

/// An email on its way.
struct Parcel {
    position: usize,
    email: EmailRecord,
    content: Content,
}

impl Import<'_> {
    /// Imports stored emails and tells what became of each.
    pub(in crate::restore) async fn run<W: FnMut(usize, &EmailRecord) -> bool + Send>(
        &self,
        stored: StoredEmails<'_, W>,
        mut tell: impl FnMut(Outcome),
    ) -> Result<()> {
        let limits = self.target.client.session().limits;
        let in_flight = IN_FLIGHT.min(limits.max_concurrent_upload);
        let has_failed = &AtomicBool::new(false);
        let batches = stream::try_unfold((stored, None), move |(mut stored, mut over)| async move {
            if has_failed.load(Relaxed) {
                return Ok(None);
            }
            let batch = self.next_batch(&mut stored, &mut over).await?;
            Ok::<_, Error>((!batch.is_empty()).then_some((batch, (stored, over))))
        });
        let mut outcomes = batches.map_ok(|batch| self.send(batch)).try_buffer_unordered(in_flight).boxed();
        // What is under way when one fails is brought to its end: it may be all that gets through.
        let mut failure = None;
        while let Some(batch) = outcomes.next().await {
            match batch {
                Ok(batch) => batch.into_iter().for_each(&mut tell),
                Err(error) => {
                    has_failed.store(true, Relaxed);
                    failure.get_or_insert(error);
                }
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Emails that go together; `over` is one that did not fit any more. Empty at the end.
    async fn next_batch<W: FnMut(usize, &EmailRecord) -> bool>(
        &self,
        stored: &mut StoredEmails<'_, W>,
        over: &mut Option<StoredEmail>,
    ) -> Result<Vec<Parcel>> {
        let limits = self.target.client.session().limits;
        let most = MOST_EMAILS.min(limits.max_objects_in_set);
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < most
            && let Some(stored_email) = match over.take() {
                Some(stored_email) => Some(stored_email),
                None => stored.next().await?,
            }
        {
            bytes += stored_email.email.size;
            if bytes > MOST_BYTES && !batch.is_empty() {
                *over = Some(stored_email);
                break;
            }
            batch.push(self.parcel(stored_email).await?);
        }
        Ok(batch)
    }

    async fn parcel(&self, stored_email: StoredEmail) -> Result<Parcel> {
        let StoredEmail { position, email, blob } = stored_email;
        let content = match self.wraps.and_then(|wraps| wraps.get(&position)) {
            None => Content::read(self.snapshot, blob).await?,
            Some(reason) => self.wrapped(&email, blob, reason).await?,
        };
        Ok(Parcel { position, email, content })
    }

    /// What brings an email as an attachment.
    async fn wrapped(&self, email: &EmailRecord, blob: Option<Located>, reason: &str) -> Result<Content> {
        Ok(match Content::read(self.snapshot, blob).await? {
            Content::Bytes(original) => Content::Bytes(wrapping::wrapped(email, &original, reason).into()),
            Content::Long(blob) => match uploads::read(self.snapshot, blob).await {
                Ok(original) => Content::Bytes(wrapping::wrapped(email, &original, reason).into()),
                Err(error) if uploads::is_damage(&error) => Content::Lost(uploads::unreadable(&error)),
                Err(error) => return Err(error.into()),
            },
            Content::Lost(reason) => Content::Lost(reason),
        })
    }

    async fn send(&self, batch: Vec<Parcel>) -> Result<Vec<Outcome>> {
        let Import { target, upload_target, snapshot, .. } = *self;
        let uploads =
            Uploads { target, upload_target, snapshot, media_type: "message/rfc822", what: "emails" };
        let contents: Vec<&Content> = batch.iter().map(|parcel| &parcel.content).collect();
        let (blobs, failure) = uploads.send(&contents).await?;
        let mut set = Set::new();
        for (n, (parcel, blob)) in batch.iter().zip(&blobs).enumerate() {
            if let Some(Ok(blob)) = blob {
                set.create(n.to_string(), self.creation(&parcel.email, blob));
            }
        }
        let mut written = if set.is_empty() { None } else { Some(self.import(set).await?) };
        let mut outcomes = Vec::with_capacity(batch.len());
        for (n, (parcel, blob)) in batch.into_iter().zip(blobs).enumerate() {
            let refusal = match (blob, &mut written) {
                (None, _) => continue,
                (Some(Err(refusal)), _) => Some(refusal),
                (Some(Ok(_)), Some(written)) => written.not_created.remove(&n.to_string()),
                (Some(Ok(_)), None) => None,
            };
            if let Some(refusal) = &refusal {
                self.judge(refusal).await?;
            }
            let is_no_email = refusal.as_ref().is_some_and(|refusal| refusal.kind == wrapping::NO_EMAIL);
            let refusal = refusal.map(|refusal| refusal.to_string());
            outcomes.push(Outcome { position: parcel.position, email: parcel.email, refusal, is_no_email });
        }
        failure.map_or(Ok(outcomes), Err)
    }

    async fn import(&self, set: Set) -> Result<Written> {
        let mut batch = Batch::new(&self.target.account.id);
        let call = batch.import(set);
        let answer = self.target.client.change(&batch).await.and_then(|answer| answer.take(call));
        answer.map_err(|source| written("emails", source))
    }

    fn creation(&self, email: &EmailRecord, blob: &str) -> Value {
        let mut folders = self.map.of(email.folders.iter().map(|id| id.as_str()));
        folders.push(self.staging.folder.clone());
        let mut keywords = email.keywords.clone();
        if self.wraps.is_some() {
            wrapping::mark(&mut keywords);
        }
        let set = |names: Vec<String>| names.into_iter().map(|name| (name, json!(true))).collect::<Value>();
        let mut creation = json!({
            "blobId": blob,
            "mailboxIds": set(folders.iter().map(Id::to_string).collect()),
            "keywords": set(keywords),
        });
        if let Some(date) = dates::sent(email.received_at) {
            creation["receivedAt"] = json!(date);
        }
        creation
    }

    /// Whether a refusal is about more than one email.
    async fn judge(&self, refusal: &SetError) -> Result<()> {
        match refusal.kind.as_str() {
            "overQuota" => Err(Error::Refused {
                what: "emails".to_owned(),
                reason: format!("{refusal}: make room in the account, then resume"),
            }),
            // An upload that the server has forgotten, a folder that is gone: look again.
            "blobNotFound" | "notFound" | "rateLimit" => {
                self.upload_target.give_up();
                let reason = "it has forgotten what it was sent, or is in a hurry";
                Err(Error::Unsettled {
                    what: "emails",
                    source: jmap::Error::Untrue { method: "Email/import", reason },
                })
            }
            "invalidProperties" => self.staging.assert_alive().await,
            _ => Ok(()),
        }
    }
}
