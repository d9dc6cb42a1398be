use model::{ErrorClass, SnapshotNumber};

/// Why a backup could not be made, read, restored or exported. `Display` completes "failed to …".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server could not be read.
    #[error("read {what} from the mail server")]
    Server {
        /// What was being read.
        what: &'static str,
        /// The client's words.
        #[source]
        source: jmap::Error,
    },
    /// So many emails failed one after the other that it is not the emails' fault.
    #[error("read emails from the mail server: {count} failed one after the other")]
    ManyFailures {
        /// How many.
        count: u32,
        /// The last one's error.
        #[source]
        source: jmap::Error,
    },
    /// The server could not be written to, and did nothing.
    #[error("write {what} to the mail server")]
    Write {
        /// What was being written.
        what: &'static str,
        /// The client's words.
        #[source]
        source: jmap::Error,
    },
    /// A write was sent and its answer never came.
    #[error("learn whether {what} reached the mail server")]
    Unsettled {
        /// What was being written.
        what: &'static str,
        /// The client's words.
        #[source]
        source: jmap::Error,
    },
    /// The server refuses something without which the rest is useless.
    #[error("write {what} to the mail server: it refuses: {reason}")]
    Refused {
        /// What was being written.
        what: String,
        /// The server's words.
        reason: String,
    },
    /// The snapshot cannot be restored in this way.
    #[error("make the account exactly as the snapshot: {reason}")]
    Unfit {
        /// Why.
        reason: &'static str,
    },
    /// What the account holds could not be backed up completely before; this attempt changed nothing.
    #[error(
        "back up what the account holds before it is changed: snapshot {number} is not complete, {times} times in a row"
    )]
    Unsafe {
        /// The last try, which says what it lacks.
        number: SnapshotNumber,
        /// How often it was tried.
        times: u32,
    },
    /// The backup of what the account held before is damaged or lost, and with it what the restore has to compare with. This attempt
    /// changed nothing.
    #[error("go on with restore {id}: the backup of the account as it was before cannot be read")]
    SafetyLost {
        /// Its id.
        id: String,
        /// What is wrong with it.
        source: Box<repository::Error>,
    },
    /// The backup of what the account holds could not be entered where backups are listed; this attempt changed nothing.
    #[error("enter the backup of what the account holds")]
    Register(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A restore of this id is written down, and it is another one.
    #[error("go on with restore {id}: it was begun with another {difference} than this one")]
    OtherRestore {
        /// Its id.
        id: String,
        /// What is not the same.
        difference: &'static str,
    },
    /// A restore names a snapshot, and another one has its number now.
    #[error(
        "go on with the restore: snapshot {number} is not the one that it began with; the store was rolled back or replaced since"
    )]
    OtherSnapshot {
        /// The number.
        number: SnapshotNumber,
    },
    /// Somebody took the folder of the restore away: without it nobody knows which emails have come.
    #[error("go on with restore {id}: its folder in the account was taken away")]
    GivenUp {
        /// Its id.
        id: String,
    },
    /// What is written down of a restore cannot be understood.
    #[error("read what is written down of restore {id}: {reason}; a newer malle may have written it")]
    Record {
        /// Its id.
        id: String,
        /// What does not fit.
        reason: String,
    },
    /// Another process took this restore over.
    #[error("go on with the restore: another process has taken it over")]
    Superseded,
    /// The server's listing never held together.
    #[error("list every {data_type} of the account: the pages do not add up to the server's own total")]
    Unlisted {
        /// JMAP's name of the type.
        data_type: &'static str,
    },
    /// Slices of a backup hold emails of which the server now says nothing: with them a snapshot would be untrue.
    #[error("go on with the backup that slices began: {reason}")]
    Unfinished {
        /// What the server says.
        reason: String,
    },
    /// Behind slices of a backup no other snapshot may be made: their rows are no state that the account ever had.
    #[error("reindex the mailbox: a backup of it is under way, or was cut off")]
    UnfinishedBackup,
    /// A snapshot that grows from the newest one would lack what that has lost, and say nothing of it.
    #[error("reindex the mailbox: its newest snapshot has lost a part of its index")]
    DamagedBase,
    /// The slice is over. Never leaves a backup.
    #[error("finish the backup: it pauses")]
    Paused,
    /// The repository refused or failed.
    #[error(transparent)]
    Repository(#[from] repository::Error),
    /// The export could not be written.
    #[error(transparent)]
    Export(#[from] export::Error),
    /// A selection names a folder that is in none of the snapshots it is used on.
    #[error("find the folder {path:?}: the newest snapshot looked at has {has}")]
    NoFolder {
        /// As it was written.
        path: String,
        /// The folders there are, for people.
        has: String,
    },
    /// A background computation was cut off.
    #[error("finish a computation: the runtime is shutting down")]
    Stopped,
}

/// Shorthand of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// What a caller should do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Error::Server { source, .. }
            | Error::ManyFailures { source, .. }
            | Error::Write { source, .. }
            | Error::Unsettled { source, .. } => class_of(source),
            Error::Repository(source) => source.class(),
            Error::Export(source) => source.class(),
            Error::Unlisted { .. }
            | Error::Unfinished { .. }
            | Error::DamagedBase
            | Error::OtherSnapshot { .. }
            | Error::SafetyLost { .. }
            | Error::Record { .. } => ErrorClass::Corrupt,
            Error::Refused { .. }
            | Error::Unfit { .. }
            | Error::Unsafe { .. }
            | Error::OtherRestore { .. }
            | Error::GivenUp { .. }
            | Error::Register(_)
            | Error::NoFolder { .. } => ErrorClass::Permanent,
            Error::UnfinishedBackup => ErrorClass::Transient { retry_after: None },
            Error::Superseded => ErrorClass::Fenced,
            Error::Stopped | Error::Paused => ErrorClass::Cancelled,
        }
    }
}

/// What a caller should do about an error of the mail server's.
pub fn class_of(error: &jmap::Error) -> ErrorClass {
    match error.class() {
        jmap::Class::Transient { retry_after } => ErrorClass::Transient { retry_after },
        jmap::Class::Auth => ErrorClass::Auth,
        jmap::Class::Permanent => ErrorClass::Permanent,
        jmap::Class::Corrupt => ErrorClass::Corrupt,
        jmap::Class::Cancelled => ErrorClass::Cancelled,
    }
}
