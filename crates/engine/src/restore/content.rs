//! The bytes that the account holds, as hashes.

use std::collections::BTreeMap;

use futures::StreamExt;
use jmap::{Batch, Download, Email, Id, Ids, JmapBlobId};
use model::BlobId;
use repository::BlobHasher;

use crate::error::Result;
use crate::restore::target::{Target, read};

/// Raw bytes asked for at once.
const BATCH_BYTES: u64 = 2 << 20;
/// Nothing is longer.
const MOST_BYTES: u64 = 1 << 30;

/// Hashes of the bytes of these emails; those that are gone are left out.
pub(super) async fn hash_all(
    target: Target<'_>,
    hasher: &BlobHasher,
    ids: &[Id],
) -> Result<BTreeMap<String, BlobId>> {
    let mut hashes = BTreeMap::new();
    let limits = target.client.session().limits;
    for piece in ids.chunks(limits.max_objects_in_get) {
        let mut rest = target.metadata(piece).await?;
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = |email: &&Email| {
                bytes += email.size;
                bytes <= BATCH_BYTES
            };
            let together = rest.iter().take_while(fits).count().max(1);
            let later = rest.split_off(together);
            hash_together(target, hasher, rest, &mut hashes).await?;
            rest = later;
        }
    }
    Ok(hashes)
}

async fn hash_together(
    target: Target<'_>,
    hasher: &BlobHasher,
    emails: Vec<Email>,
    hashes: &mut BTreeMap<String, BlobId>,
) -> Result<()> {
    let has_blob_get = target.client.session().offers(jmap::Capability::BLOB);
    let mut blobs = BTreeMap::new();
    if has_blob_get && emails.len() > 1 {
        let mut batch = Batch::new(&target.account.id);
        let call = batch.blobs(Ids::These(emails.iter().map(|email| email.blob_id.clone()).collect()));
        if let Ok(found) = target.client.call(&batch).await.and_then(|answer| answer.take(call)) {
            blobs.extend(found.list.into_iter().map(|blob| (blob.id, hasher.id(&blob.data))));
        }
    }
    for email in emails {
        let hash = match blobs.get(&email.blob_id) {
            Some(hash) => Some(*hash),
            None => hash_blob(target, hasher, &email.blob_id).await?,
        };
        hashes.extend(hash.map(|hash| (email.id.to_string(), hash)));
    }
    Ok(())
}

/// Bytes that the account holds, `None` if they are gone or longer than `most`.
pub(super) async fn bytes_of(target: Target<'_>, email: &Email, most: u64) -> Result<Option<Vec<u8>>> {
    let what = Download::new(&target.account.id, &email.blob_id, most);
    let mut pieces = Box::pin(target.client.download(what));
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(piece) => bytes.extend_from_slice(&piece),
            Err(jmap::Error::Status { status: 404, .. }) => return Ok(None),
            Err(error) => return Err(read("what the account holds", error)),
        }
    }
    Ok(Some(bytes))
}

/// The hash of some bytes that the account holds, `None` if they are gone.
pub(super) async fn hash_blob(
    target: Target<'_>,
    hasher: &BlobHasher,
    blob: &JmapBlobId,
) -> Result<Option<BlobId>> {
    let what = Download::new(&target.account.id, blob, MOST_BYTES);
    let mut pieces = Box::pin(target.client.download(what));
    let mut hash = hasher.stream();
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(piece) => drop(hash.update(&piece)),
            Err(jmap::Error::Status { status: 404, .. }) => return Ok(None),
            Err(error) => return Err(read("what the account holds", error)),
        }
    }
    Ok(Some(BlobId(*hash.finalize().as_bytes())))
}
