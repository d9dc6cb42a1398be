//! A snapshot's place in the catalogue, and snapshots that an earlier try committed without getting one.

use std::collections::BTreeMap;

use catalog::{Backup, Claimed, Facts};
use model::BackupNumber;
use repository::{BlobHasher, Origin, Repository, Snapshot, SnapshotInfo, TypeStatus};
use serde_json::json;

use crate::error::{Error, Result};
use crate::settings::BackupStore;

/// What the log says of who asked.
pub(crate) fn origin(claimed: &Claimed, number: BackupNumber) -> Origin {
    Origin {
        kind: claimed.kind.to_string(),
        job: claimed.claim.job.to_string(),
        slot: claimed.slot_date.map(|date| date.to_string()).unwrap_or_default(),
        backup_number: Some(number),
    }
}

/// The snapshot that the job committed under an earlier claim. The number has to be right too: a catalogue that was lost gives
/// out the ids of jobs again, and never a number.
pub(crate) async fn committed_earlier(
    repository: &Repository,
    claimed: &Claimed,
    number: BackupNumber,
) -> Result<Option<SnapshotInfo>> {
    let ours = claimed.claim.job.to_string();
    let snapshots = match repository.snapshots().await {
        Err(repository::Error::NoMailbox) => return Ok(None),
        snapshots => snapshots?,
    };
    let is_ours = |origin: &Origin| origin.job == ours && origin.backup_number == Some(number);
    Ok(snapshots.into_iter().find(|info| is_ours(&info.summary.origin)))
}

/// Fails unless a snapshot is the one that the catalogue's backup was made as: a number never means another one.
pub(crate) fn assert_same(snapshot: &Snapshot, backup: &Backup) -> Result<()> {
    if is_same(snapshot.info(), &snapshot.hasher(), backup) { Ok(()) } else { Err(Error::OtherSnapshot) }
}

/// Whether this is the snapshot that the backup was made as. Rows from before digests tell it by number and time.
pub(crate) fn is_same(info: &SnapshotInfo, hasher: &BlobHasher, backup: &Backup) -> bool {
    let number = info.summary.origin.backup_number;
    // One that was made without a fleet got its number later.
    number.is_none_or(|number| number == backup.number)
        && info.finished == backup.facts.finished_at
        && backup.facts.digest.is_none_or(|digest| digest == info.digest(hasher))
}

/// What a snapshot's log entry says, as the catalogue keeps it: the same when the job ends and when the catalogue is made anew.
pub fn facts(info: &SnapshotInfo, hasher: &BlobHasher, store: &BackupStore) -> Facts {
    let known = info.summary.types.iter().filter(|known| known.status != TypeStatus::NotOffered);
    let contents: BTreeMap<&str, u64> = known.map(|known| (known.data_type.name(), known.count)).collect();
    Facts {
        snapshot: info.number,
        state: engine::state_of(info),
        started_at: info.summary.started,
        finished_at: info.finished,
        store: store.name.clone(),
        zone: store.zone.clone(),
        emails: info.summary.emails,
        bytes: info.summary.email_bytes,
        stored_bytes: info.stored_bytes,
        contents: json!(contents),
        digest: Some(info.digest(hasher)),
    }
}
