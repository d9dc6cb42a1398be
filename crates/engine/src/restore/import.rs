//! Emails from the repository into the account: read, uploaded and imported in batches, a few at once.
//!
//! Uploading twice does no harm, importing twice does: an import whose answer is lost ends the attempt
//! ([`Error::Unsettled`]), and the next one finds out by the folder of the restore what came.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use jmap::{Batch, Id, Set, SetError, Upload, Written};
use model::EmailRecord;
use repository::{Located, Snapshot};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::letters::{Letter, Letters};
use crate::restore::dates;
use crate::restore::folders::Map;
use crate::restore::staging::Staging;
use crate::restore::target::{Target, written};

/// Emails in one request.
const MOST_EMAILS: usize = 100;
/// Their raw bytes: what the server has to hold at once for each request.
const MOST_BYTES: u64 = 1 << 20;
/// Requests in flight: importing is the heaviest thing a server is asked to do.
pub(super) const IN_FLIGHT: usize = 4;
const MEDIA_TYPE: &str = "message/rfc822";
/// Pieces of a long email that wait for the connection.
const PIECES_AHEAD: usize = 2;

/// Where imported emails go.
pub(super) struct Import<'a> {
    pub(super) target: Target<'a>,
    pub(super) snapshot: &'a Arc<Snapshot>,
    pub(super) map: &'a Map,
    pub(super) staging: &'a Staging<'a>,
}

/// What became of one email.
pub(super) struct Outcome {
    pub(super) position: usize,
    pub(super) email: EmailRecord,
    /// The server's refusal, or what is wrong with our bytes.
    pub(super) refusal: Option<String>,
}

/// The server's id of an email's bytes, or its refusal; `None`: not uploaded yet.
type Uploaded = Option<std::result::Result<String, SetError>>;

/// An email on its way.
struct Parcel {
    position: usize,
    email: EmailRecord,
    content: Content,
}

enum Content {
    Bytes(Bytes),
    Long(Located),
    Lost(String),
}

impl Import<'_> {
    /// Imports what the letters hold and tells what became of each.
    pub(super) async fn run<W: FnMut(usize, &EmailRecord) -> bool>(
        &self,
        letters: Letters<'_, W>,
        mut tell: impl FnMut(Outcome),
    ) -> Result<()> {
        let limits = self.target.client.session().limits;
        let in_flight = IN_FLIGHT.min(limits.max_concurrent_upload);
        let has_failed = &AtomicBool::new(false);
        let batches = stream::try_unfold((letters, None), move |(mut letters, mut over)| async move {
            if has_failed.load(Relaxed) {
                return Ok(None);
            }
            let batch = self.next_batch(&mut letters, &mut over).await?;
            Ok::<_, Error>((!batch.is_empty()).then_some((batch, (letters, over))))
        });
        let mut outcomes = Box::pin(batches.map_ok(|batch| self.send(batch)).try_buffer_unordered(in_flight));
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
        letters: &mut Letters<'_, W>,
        over: &mut Option<Letter>,
    ) -> Result<Vec<Parcel>> {
        let limits = self.target.client.session().limits;
        let most = MOST_EMAILS.min(limits.max_objects_in_set);
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < most
            && let Some(letter) = match over.take() {
                Some(letter) => Some(letter),
                None => letters.next().await?,
            }
        {
            bytes += letter.email.size;
            if bytes > MOST_BYTES && !batch.is_empty() {
                *over = Some(letter);
                break;
            }
            batch.push(self.parcel(letter).await);
        }
        Ok(batch)
    }

    async fn parcel(&self, letter: Letter) -> Parcel {
        let Letter { position, email, blob } = letter;
        let content = match blob {
            None => Content::Lost("its bytes are not in the repository any more".to_owned()),
            Some(blob) if blob.length() > MOST_BYTES => Content::Long(blob),
            Some(blob) => match self.read(blob).await {
                Ok(bytes) => Content::Bytes(bytes),
                Err(error) => Content::Lost(format!("its bytes cannot be read: {error}")),
            },
        };
        Parcel { position, email, content }
    }

    async fn read(&self, blob: Located) -> repository::Result<Bytes> {
        let mut whole = Vec::with_capacity(usize::try_from(blob.length()).unwrap_or(0));
        let mut pieces = self.snapshot.read_located(blob).await?;
        while let Some(piece) = pieces.next().await? {
            whole.extend_from_slice(&piece);
        }
        Ok(whole.into())
    }

    async fn send(&self, batch: Vec<Parcel>) -> Result<Vec<Outcome>> {
        let (blobs, failure) = self.upload(&batch).await?;
        let mut set = Set::new();
        for (n, (parcel, blob)) in batch.iter().zip(&blobs).enumerate() {
            if let Some(Ok(blob)) = blob {
                set.create(n.to_string(), self.creation(&parcel.email, blob));
            }
        }
        let mut written = match set.is_empty() {
            true => None,
            false => Some(self.import(set).await?),
        };
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
            let refusal = refusal.map(|refusal| refusal.to_string());
            outcomes.push(Outcome { position: parcel.position, email: parcel.email, refusal });
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
        let set = |names: Vec<String>| names.into_iter().map(|name| (name, json!(true))).collect::<Value>();
        let mut creation = json!({
            "blobId": blob,
            "mailboxIds": set(folders.iter().map(Id::to_string).collect()),
            "keywords": set(email.keywords.clone()),
        });
        if let Some(date) = dates::writable(email.received_at) {
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

    /// The server's ids of the uploaded bytes, each in its place, and why there are none in the last places.
    async fn upload(&self, batch: &[Parcel]) -> Result<(Vec<Uploaded>, Option<Error>)> {
        let mut blobs = self.upload_together(batch).await?;
        for (parcel, blob) in batch.iter().zip(&mut blobs) {
            if blob.is_none() {
                match self.upload_alone(parcel).await {
                    Ok(uploaded) => *blob = Some(uploaded),
                    Err(error) => return Ok((blobs, Some(error))),
                }
            }
        }
        Ok((blobs, None))
    }

    /// `None` in the place of what has to be uploaded by itself.
    async fn upload_together(&self, batch: &[Parcel]) -> Result<Vec<Uploaded>> {
        let mut set = Set::new();
        for (n, parcel) in batch.iter().enumerate() {
            if let Content::Bytes(bytes) = &parcel.content {
                let data = json!([{ "data:asBase64": BASE64.encode(bytes) }]);
                set.create(n.to_string(), json!({ "data": data, "type": MEDIA_TYPE }));
            }
        }
        if set.len() < 2 || !self.target.client.session().offers(jmap::Capability::BLOB) {
            return Ok(batch.iter().map(|_| None).collect());
        }
        let mut request = Batch::new(&self.target.account.id);
        let call = request.upload(set);
        let answer = self.target.client.call(&request).await.and_then(|answer| answer.take(call));
        let mut created = match answer {
            Ok(written) => written.created,
            Err(error) if matches!(error.class(), jmap::Class::Permanent) => Default::default(),
            Err(source) => return Err(Error::Write { what: "emails", source }),
        };
        Ok((0..batch.len()).map(|n| Some(Ok(created.remove(&n.to_string())?.id.to_string()))).collect())
    }

    async fn upload_alone(&self, parcel: &Parcel) -> Result<Result<String, SetError>> {
        let upload = match &parcel.content {
            Content::Lost(reason) => return Ok(Err(refusal("lost", reason.clone()))),
            Content::Bytes(bytes) => {
                let bytes = bytes.clone();
                Upload::new(MEDIA_TYPE, bytes.len() as u64, move || {
                    let bytes = bytes.clone();
                    stream::once(async move { Ok(bytes) }).boxed()
                })
            }
            Content::Long(blob) => {
                let (snapshot, blob) = (Arc::clone(self.snapshot), blob.clone());
                Upload::new(MEDIA_TYPE, blob.length(), move || pieces(Arc::clone(&snapshot), blob.clone()))
            }
        };
        match self.target.client.upload(&self.target.account.id, &upload).await {
            Ok(blob) => Ok(Ok(blob.to_string())),
            Err(error @ (jmap::Error::OverLimit { .. } | jmap::Error::Status { status: 413, .. })) => {
                Ok(Err(refusal("tooLarge", error.to_string())))
            }
            // Stalwart: 1,000 files or 50 MB an hour, administrators excepted.
            Err(error @ jmap::Error::Status { status: 403, .. }) => Err(Error::Refused {
                what: "an email".to_owned(),
                reason: format!(
                    "{error}; the account's upload quota may be used up: sign in as an administrator"
                ),
            }),
            Err(source) => Err(Error::Write { what: "an email", source }),
        }
    }
}

fn refusal(kind: &str, description: String) -> SetError {
    SetError { kind: kind.to_owned(), description: Some(description), existing: None }
}

/// The bytes of a long blob as they are read, by a task of its own that ends when nobody listens any more.
fn pieces(snapshot: Arc<Snapshot>, blob: Located) -> stream::BoxStream<'static, std::io::Result<Bytes>> {
    let (sender, receiver) = tokio::sync::mpsc::channel(PIECES_AHEAD);
    tokio::spawn(async move {
        let mut reader = match snapshot.read_located(blob).await {
            Ok(reader) => reader,
            Err(error) => return drop(sender.send(Err(std::io::Error::other(error))).await),
        };
        loop {
            let piece = match reader.next().await {
                Ok(Some(piece)) => Ok(piece),
                Ok(None) => return,
                Err(error) => Err(std::io::Error::other(error)),
            };
            if sender.send(piece).await.is_err() {
                return;
            }
        }
    });
    stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) }).boxed()
}
