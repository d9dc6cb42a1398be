//! Bytes of a snapshot on their way to the server: many short ones in one request, long ones streamed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures::{StreamExt, stream};
use jmap::{AccountId, Batch, JmapBlobId, Set, SetError, Upload};
use model::ErrorClass;
use repository::{Located, Snapshot};
use serde_json::json;

use crate::error::{Error, Result};
use crate::restore::emails::upload_target::UploadTarget;
use crate::restore::target::Target;

/// Raw bytes in one request: what the server has to hold at once for each.
pub(super) const MOST_BYTES: u64 = 1 << 20;
/// Pieces of a long blob that wait for the connection.
const PIECES_AHEAD: usize = 2;

/// Bytes to be uploaded.
pub(super) enum Content {
    Bytes(Bytes),
    Long(Located),
    /// The repository has them no more; why, for people.
    Lost(String),
}

impl Content {
    /// Reads what is short. `None`: the repository has lost it. Damage makes it lost, too; a store that does not answer is
    /// an error.
    pub(super) async fn read(snapshot: &Snapshot, blob: Option<Located>) -> Result<Content> {
        match blob {
            None => Ok(Content::Lost("its bytes are not in the repository any more".to_owned())),
            Some(blob) if blob.length() > MOST_BYTES => Ok(Content::Long(blob)),
            Some(blob) => match read(snapshot, blob).await {
                Ok(bytes) => Ok(Content::Bytes(bytes)),
                Err(error) if is_damage(&error) => Ok(Content::Lost(unreadable(&error))),
                Err(error) => Err(error.into()),
            },
        }
    }
}

/// Whether stored bytes are damaged or missing, as opposed to a store that cannot be reached.
pub(super) fn is_damage(error: &repository::Error) -> bool {
    error.class() == ErrorClass::Corrupt
}

/// What is told of something damaged.
pub(super) fn unreadable(error: &repository::Error) -> String {
    format!("its bytes cannot be read: failed to {error}")
}

/// What was wrong with a source, for whoever sees only that sending failed.
type Damage = Arc<Mutex<Option<String>>>;

/// Reads bytes as a whole.
pub(super) async fn read(snapshot: &Snapshot, blob: Located) -> repository::Result<Bytes> {
    let mut whole = Vec::with_capacity(usize::try_from(blob.length()).unwrap_or(0));
    let mut pieces = snapshot.read_located(blob).await?;
    while let Some(piece) = pieces.next().await? {
        whole.extend_from_slice(&piece);
    }
    Ok(whole.into())
}

/// The server's id of uploaded bytes, or its refusal; `None`: not uploaded yet.
pub(super) type Uploaded = Option<Result<String, SetError>>;

/// Uploads of one kind.
pub(super) struct Uploads<'a> {
    pub(super) target: Target<'a>,
    pub(super) upload_target: &'a UploadTarget,
    pub(super) snapshot: &'a Arc<Snapshot>,
    pub(super) media_type: &'static str,
    /// What it is, for people.
    pub(super) what: &'static str,
}

impl Uploads<'_> {
    /// The server's ids of the uploaded bytes, each in its place, and why there are none in the last places.
    pub(super) async fn send(&self, batch: &[&Content]) -> Result<(Vec<Uploaded>, Option<Error>)> {
        let mut blobs = self.send_together(batch).await?;
        for (content, blob) in batch.iter().zip(&mut blobs) {
            if blob.is_none() {
                match self.send_alone(content).await {
                    Ok(uploaded) => *blob = Some(uploaded),
                    Err(error) => return Ok((blobs, Some(error))),
                }
            }
        }
        Ok((blobs, None))
    }

    /// `None` in the place of what has to be uploaded by itself.
    async fn send_together(&self, batch: &[&Content]) -> Result<Vec<Uploaded>> {
        let mut created = loop {
            let (set, length) = self.creations(batch);
            if set.len() < 2 || !self.target.client.session().offers(jmap::Capability::BLOB) {
                break BTreeMap::new();
            }
            let account = self.upload_target.account(set.len(), length);
            let mut request = Batch::new(&account);
            let call = request.upload(set);
            match self.target.client.call(&request).await.and_then(|answer| answer.take(call)) {
                Ok(written) => break written.created,
                Err(error) if error.method_error().is_some() && self.is_refused(&account, &error) => {}
                Err(error) if is_permanent(&error) => break BTreeMap::new(),
                Err(source) => return Err(Error::Write { what: self.what, source }),
            }
        };
        Ok((0..batch.len()).map(|n| Some(Ok(created.remove(&n.to_string())?.id.to_string()))).collect())
    }

    /// What is short enough, and its length.
    fn creations(&self, batch: &[&Content]) -> (Set, u64) {
        let (mut set, mut length) = (Set::new(), 0);
        for (n, content) in batch.iter().enumerate() {
            if let Content::Bytes(bytes) = content {
                let data = json!([{ "data:asBase64": BASE64.encode(bytes) }]);
                set.create(n.to_string(), json!({ "data": data, "type": self.media_type }));
                length += bytes.len() as u64;
            }
        }
        (set, length)
    }

    /// Whether it may go through when it is sent again, to the account itself.
    fn is_refused(&self, account: &AccountId, error: &jmap::Error) -> bool {
        is_permanent(error) && !is_too_large(error) && self.upload_target.is_refused(account)
    }

    async fn send_alone(&self, content: &Content) -> Result<Result<String, SetError>> {
        let damage = Damage::default();
        let upload = match content {
            Content::Lost(reason) => return Ok(Err(refusal("lost", reason.clone()))),
            Content::Bytes(bytes) => {
                let bytes = bytes.clone();
                Upload::new(self.media_type, bytes.len() as u64, move || {
                    let bytes = bytes.clone();
                    stream::once(async move { Ok(bytes) }).boxed()
                })
            }
            Content::Long(blob) => {
                let (snapshot, blob, damage) = (Arc::clone(self.snapshot), blob.clone(), Arc::clone(&damage));
                Upload::new(self.media_type, blob.length(), move || {
                    pieces(Arc::clone(&snapshot), blob.clone(), Arc::clone(&damage))
                })
            }
        };
        let answer = loop {
            let account = self.upload_target.account(1, upload.length());
            match self.target.client.upload(&account, &upload).await {
                Err(error) if self.is_refused(&account, &error) => {}
                answer => break answer,
            }
        };
        let damage = damage.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (answer, damage) {
            (Err(_), Some(damage)) => Ok(Err(refusal("lost", damage))),
            (answer, _) => self.judge(answer),
        }
    }

    fn judge(&self, answer: Result<JmapBlobId, jmap::Error>) -> Result<Result<String, SetError>> {
        match answer {
            Ok(blob) => Ok(Ok(blob.to_string())),
            Err(error) if is_too_large(&error) => Ok(Err(refusal("tooLarge", error.to_string()))),
            // Stalwart: 1,000 files or 50 MB an hour, administrators excepted.
            Err(error @ jmap::Error::Status { status: 403, .. }) => Err(Error::Refused {
                what: self.what.to_owned(),
                reason: format!(
                    "{error}; the account's upload quota may be used up: sign in as one who may impersonate"
                ),
            }),
            Err(source) => Err(Error::Write { what: self.what, source }),
        }
    }
}

fn is_permanent(error: &jmap::Error) -> bool {
    matches!(error.class(), jmap::Class::Permanent)
}

fn is_too_large(error: &jmap::Error) -> bool {
    matches!(error, jmap::Error::OverLimit { .. } | jmap::Error::Status { status: 413, .. })
}

fn refusal(kind: &str, description: String) -> SetError {
    SetError { kind: kind.to_owned(), description: Some(description), existing: None, properties: Vec::new() }
}

/// The bytes of a long blob as they are read, by a task of its own that ends when nobody listens any more.
fn pieces(
    snapshot: Arc<Snapshot>,
    blob: Located,
    damage: Damage,
) -> stream::BoxStream<'static, std::io::Result<Bytes>> {
    let (sender, receiver) = tokio::sync::mpsc::channel(PIECES_AHEAD);
    tokio::spawn(async move {
        let mut reader = match snapshot.read_located(blob).await {
            Ok(reader) => reader,
            Err(error) => return drop(sender.send(Err(broken(error, &damage))).await),
        };
        loop {
            let piece = match reader.next().await {
                Ok(Some(piece)) => Ok(piece),
                Ok(None) => return,
                Err(error) => Err(broken(error, &damage)),
            };
            let is_over = piece.is_err();
            if sender.send(piece).await.is_err() || is_over {
                return;
            }
        }
    });
    stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) }).boxed()
}

/// Damage is noted; sending what is damaged again is useless.
fn broken(error: repository::Error, damage: &Damage) -> std::io::Error {
    if is_damage(&error) {
        *damage.lock().unwrap_or_else(PoisonError::into_inner) = Some(unreadable(&error));
        std::io::Error::new(std::io::ErrorKind::InvalidData, error)
    } else {
        std::io::Error::other(error)
    }
}
