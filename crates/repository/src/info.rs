//! What a snapshot says of itself, in the program's words.

use model::{BackupNumber, DataType, SnapshotNumber, Timestamp};
use prost::Message;
use proto::repository as disk;

use crate::sealing::seal::BlobHasher;

/// How well a snapshot knows one data type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypeStatus {
    /// It equals what the server had at `state`.
    Complete,
    /// The server does not know this type.
    NotOffered,
    /// The account never held still; `state` is the last one applied.
    Moving,
    /// It could not be read; the objects are those of the snapshot before.
    Stale,
}

/// One data type of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeState {
    /// Which.
    pub data_type: DataType,
    /// How well it is known.
    pub status: TypeStatus,
    /// JMAP state; empty when there is none.
    pub state: String,
    /// Objects in the snapshot.
    pub count: u64,
    /// Why it is stale, for people.
    pub reason: String,
    /// Keyed hash of a sample of what the server held at `state`, 0: none. The same state with another sample is another
    /// past: the server was restored from an old copy, or the account was made anew.
    pub witness: u64,
    /// Rows that changed last, as they were at `state`: what a server that was put back to an older copy cannot have.
    pub recent: Vec<RowDigest>,
    /// Properties of its objects that the server did not give, though it was asked for them by name.
    pub not_given: Vec<String>,
    /// What each user has of his own (subscriptions, colours) is the owner's, not that of somebody else who signed in.
    pub of_owner: bool,
}

/// What the server said of one object, as a keyed hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowDigest {
    /// The object's id.
    pub id: String,
    /// 0: the server had no object of this id.
    pub digest: u64,
}

/// What the writer of a snapshot says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The account's name (its address) at that time.
    pub account_name: String,
    /// Every known data type once.
    pub types: Vec<TypeState>,
    /// Emails in it.
    pub emails: u64,
    /// Raw bytes of all its emails.
    pub email_bytes: u64,
    /// Emails that its base did not have.
    pub new_emails: u64,
    /// Emails of its base that it does not have.
    pub removed_emails: u64,
    /// Rows in the table of failures.
    pub failures: u64,
    /// More than half of the base's emails are gone.
    pub shrunk: bool,
    /// Snapshots since everything was listed; 0: this one did.
    pub since_listing: u32,
    /// When the backup began.
    pub started: Timestamp,
    /// What asked for it.
    pub origin: Origin,
}

/// What asked for a backup; all empty when nobody but a person at a terminal did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// `manual`, `nightly`, `weekend`.
    pub kind: String,
    /// The fleet's job.
    pub job: String,
    /// The slot the job fills.
    pub slot: String,
    /// The fleet-wide number.
    pub backup_number: Option<BackupNumber>,
}

/// A snapshot as the log has it.
#[derive(Debug, Clone, PartialEq)]
pub struct SnapshotInfo {
    /// Its number in this mailbox.
    pub number: SnapshotNumber,
    /// The snapshot it grew from.
    pub base: Option<SnapshotNumber>,
    /// When it was committed.
    pub finished: Timestamp,
    /// Bytes it added to the store, log entry not counted.
    pub stored_bytes: u64,
    /// Zone of the store at that time.
    pub location: String,
    /// What its writer said.
    pub summary: Summary,
    pub(crate) segments: Vec<disk::SegmentRef>,
    /// Whose mailbox it is of.
    pub(crate) owner: Option<disk::Init>,
}

impl SnapshotInfo {
    /// Complete and structurally verified: the only state that satisfies a slot.
    pub fn is_good(&self) -> bool {
        let held = |t: &TypeState| matches!(t.status, TypeStatus::Complete | TypeStatus::NotOffered);
        self.summary.failures == 0 && self.summary.types.iter().all(held)
    }

    /// Tells the snapshot from any other that may come to have its number: a keyed hash of what the log says of it. Where
    /// its rows lie is not part of that, since a prune may move them, nor are rows that only the newest snapshot keeps.
    pub fn digest(&self, hasher: &BlobHasher) -> [u8; 32] {
        let mut said = self.to_disk();
        said.segments.clear();
        said.types.iter_mut().for_each(|known| known.recent.clear());
        let mut text = self.number.0.to_be_bytes().to_vec();
        text.extend(said.encode_to_vec());
        hasher.id(&text).0
    }

    /// Segments that its tables are spread over; compaction keeps it small.
    pub fn segment_count(&self) -> usize {
        self.segments.len()
    }

    /// What the snapshot knows of one type; `None` if it never heard of it.
    pub fn type_state(&self, data_type: DataType) -> Option<&TypeState> {
        self.summary.types.iter().find(|t| t.data_type == data_type)
    }

    /// Whether what users have of their own of this type is known as the owner has it.
    pub fn is_of_owner(&self, data_type: DataType) -> bool {
        self.type_state(data_type).is_some_and(|state| state.of_owner)
    }

    /// What a first snapshot grows from.
    pub(crate) fn empty() -> SnapshotInfo {
        SnapshotInfo::from_disk(0, &disk::Snapshot::default())
    }

    pub(crate) fn from_disk(number: u64, snapshot: &disk::Snapshot) -> SnapshotInfo {
        let s = snapshot.clone();
        SnapshotInfo {
            number: SnapshotNumber(number),
            base: (s.base > 0).then_some(SnapshotNumber(s.base)),
            finished: millis(s.finished_ms),
            stored_bytes: s.stored_bytes,
            location: s.location,
            summary: Summary {
                account_name: s.account_name,
                types: s.types.into_iter().filter_map(type_from_disk).collect(),
                emails: s.emails,
                email_bytes: s.email_bytes,
                new_emails: s.new_emails,
                removed_emails: s.removed_emails,
                failures: s.failures,
                shrunk: s.shrunk,
                since_listing: s.since_listing,
                started: millis(s.started_ms),
                origin: Origin {
                    kind: s.kind,
                    job: s.job,
                    slot: s.slot,
                    backup_number: (s.backup_number > 0).then_some(BackupNumber(s.backup_number)),
                },
            },
            segments: s.segments,
            owner: s.owner,
        }
    }

    pub(crate) fn to_disk(&self) -> disk::Snapshot {
        let s = self.summary.clone();
        disk::Snapshot {
            base: self.base.map_or(0, |n| n.0),
            account_name: s.account_name,
            segments: self.segments.clone(),
            types: s.types.into_iter().map(type_to_disk).collect(),
            emails: s.emails,
            email_bytes: s.email_bytes,
            stored_bytes: self.stored_bytes,
            started_ms: s.started.as_millisecond(),
            finished_ms: self.finished.as_millisecond(),
            failures: s.failures,
            shrunk: s.shrunk,
            since_listing: s.since_listing,
            kind: s.origin.kind,
            job: s.origin.job,
            slot: s.origin.slot,
            backup_number: s.origin.backup_number.map_or(0, |n| n.0),
            new_emails: s.new_emails,
            removed_emails: s.removed_emails,
            location: self.location.clone(),
            owner: self.owner.clone(),
        }
    }
}

/// Times out of the calendar's range (a damaged clock) become its ends.
pub(crate) fn millis(ms: i64) -> Timestamp {
    let end = if ms < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_millisecond(ms).unwrap_or(end)
}

fn type_from_disk(t: disk::TypeState) -> Option<TypeState> {
    let status = match t.status() {
        disk::type_state::Status::Complete => TypeStatus::Complete,
        disk::type_state::Status::NotOffered => TypeStatus::NotOffered,
        disk::type_state::Status::Moving => TypeStatus::Moving,
        disk::type_state::Status::Stale | disk::type_state::Status::Unknown => TypeStatus::Stale,
    };
    let data_type = DataType::from_number(t.r#type)?;
    Some(TypeState {
        data_type,
        status,
        state: t.state,
        count: t.count,
        reason: t.reason,
        witness: t.witness,
        recent: t.recent.into_iter().map(|row| RowDigest { id: row.id, digest: row.digest }).collect(),
        not_given: t.not_given,
        of_owner: t.of_owner,
    })
}

fn type_to_disk(t: TypeState) -> disk::TypeState {
    let status = match t.status {
        TypeStatus::Complete => disk::type_state::Status::Complete,
        TypeStatus::NotOffered => disk::type_state::Status::NotOffered,
        TypeStatus::Moving => disk::type_state::Status::Moving,
        TypeStatus::Stale => disk::type_state::Status::Stale,
    };
    disk::TypeState {
        r#type: t.data_type.number().into(),
        status: status.into(),
        state: t.state,
        count: t.count,
        reason: t.reason,
        witness: t.witness,
        recent: t.recent.into_iter().map(|row| disk::RowDigest { id: row.id, digest: row.digest }).collect(),
        not_given: t.not_given,
        of_owner: t.of_owner,
    }
}
