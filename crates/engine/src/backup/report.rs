use model::{BackupState, SnapshotNumber};
use repository::{FailureRecord, SnapshotInfo, Summary, TypeState, TypeStatus};

/// How good a snapshot was when it was made; the first that applies.
pub fn state_of(info: &SnapshotInfo) -> BackupState {
    state_of_summary(&info.summary)
}

pub(crate) fn state_of_summary(summary: &Summary) -> BackupState {
    let any = |status| summary.types.iter().any(|t| t.status == status);
    if summary.failures > 0 || any(TypeStatus::Stale) {
        BackupState::Partial
    } else if summary.shrunk {
        BackupState::Shrunk
    } else if any(TypeStatus::Moving) {
        BackupState::Moving
    } else {
        BackupState::Good
    }
}

/// What a backup did.
#[derive(Debug, Clone)]
pub struct Report {
    /// The snapshot it made.
    pub number: SnapshotNumber,
    /// Whether a fleet has numbered this snapshot or one before it.
    pub is_of_fleet: bool,
    /// How good it is.
    pub state: BackupState,
    /// Emails in the snapshot.
    pub emails: u64,
    /// Their raw bytes.
    pub email_bytes: u64,
    /// Emails the snapshot before did not have.
    pub new_emails: u64,
    /// Emails of the snapshot before that are gone.
    pub removed_emails: u64,
    /// Bytes added to the store.
    pub stored_bytes: u64,
    /// Raw bytes fetched from the server.
    pub fetched_bytes: u64,
    /// Emails that came in this run, or in its last slice, and were held already: the same bytes came under another id.
    pub held_emails: u64,
    /// Bytes that came in this run, or in its last slice, and were held already.
    pub held_bytes: u64,
    /// Emails and objects that the store had lost and that were stored again in this run, or in its last slice.
    pub healed: u64,
    /// Rows of emails that were there before and whose envelope an earlier version read: their envelopes were read again.
    pub renewed: u64,
    /// The store was found to have lost or damaged something that this snapshot would have grown from, and that was not known before. Told by the run that finds it,
    /// if that run ends with a snapshot.
    pub found_damage: bool,
    /// Every data type and how well it is known.
    pub types: Vec<TypeState>,
    /// What could not be fetched.
    pub failures: Vec<FailureRecord>,
}
