use model::SnapshotNumber;
use repository::{FailureRecord, SnapshotInfo, Summary, TypeState, TypeStatus};

/// How good a snapshot is, in one word; the first that applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Something could not be fetched; it is named in the snapshot and tried again next time.
    Partial,
    /// More than half of the emails of the snapshot before are gone: look before that one is forgotten.
    Shrunk,
    /// The mailbox never held still; the snapshot is close to what it was, and the next one will tell.
    Moving,
    /// Everything the server offers is in it.
    Good,
}

impl State {
    /// The state of a snapshot.
    pub fn of(info: &SnapshotInfo) -> State {
        State::of_summary(&info.summary)
    }

    pub(crate) fn of_summary(summary: &Summary) -> State {
        let any = |status| summary.types.iter().any(|t| t.status == status);
        if summary.failures > 0 || any(TypeStatus::Stale) {
            State::Partial
        } else if summary.shrunk {
            State::Shrunk
        } else if any(TypeStatus::Moving) {
            State::Moving
        } else {
            State::Good
        }
    }

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Partial => "partial",
            State::Shrunk => "shrunk",
            State::Moving => "moving",
            State::Good => "good",
        }
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
    pub state: State,
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
