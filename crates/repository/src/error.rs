use model::{ErrorClass, LogPosition};

use crate::storage::layout::Object;

use crate::storage::trouble::Trouble;

/// What can go wrong with a repository. `Display` completes "failed to …"; the cause is in `source()`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The object store answered with an error other than "not found".
    #[error("reach the object store while {doing}: {}", Trouble::of(.source))]
    Store {
        /// What was being done, without secrets.
        doing: String,
        /// The store's own words; [`Trouble::of`] says what they mean.
        #[source]
        source: object_store::Error,
    },
    /// The store has no room left.
    #[error(
        "write to the object store: it is full or its quota is used up; free space or enlarge it, then run again (nothing that was \
         announced is lost)"
    )]
    StoreFull {
        /// The store's own words.
        #[source]
        source: object_store::Error,
    },
    /// The store breaks a promise the repository is built on.
    #[error("use this object store: {what}")]
    UnfitStore {
        /// Which promise, and what to do.
        what: String,
    },
    /// The store did not give back what it was given, several times in a row.
    #[error("store {object}: {what}, {tries} times in a row under fresh names")]
    NotKept {
        /// The object's name of the last try.
        object: String,
        /// What differed.
        what: &'static str,
        /// How often it was tried.
        tries: usize,
    },
    /// The store lies in another zone than the one configured.
    #[error("use this object store: it says that it lies in zone `{found}`, `{wanted}` was asked for")]
    WrongZone {
        /// From the store's descriptor.
        found: String,
        /// From the configuration.
        wanted: String,
    },
    /// No key in the ring opens this mailbox.
    #[error(
        "open the mailbox: none of the keys in the ring ({ring}) is one that it is wrapped with ({wrapped}); use the ring it was written with"
    )]
    WrongKey {
        /// Ids of the ring's master keys.
        ring: String,
        /// Ids of the master keys the mailbox's key is wrapped with.
        wrapped: String,
    },
    /// The key ring cannot be read.
    #[error("read the key ring: {what}")]
    BadRing {
        /// What is wrong in which line; never the key.
        what: String,
    },
    /// An object was written by a newer Malle.
    #[error("read {object}: it has format {found}, this malle knows up to {known}; use a newer malle")]
    NewerFormat {
        /// The object's name.
        object: String,
        /// Its format.
        found: u32,
        /// The newest known here.
        known: u32,
    },
    /// A log entry does something that only a newer Malle knows.
    #[error("read {object}: it is of a kind that this malle does not know; use a newer malle")]
    NewerKind {
        /// The object's name.
        object: String,
    },
    /// Stored bytes are not what was written.
    #[error("read {object}: {what}")]
    Corrupt {
        /// The object's name.
        object: String,
        /// What does not fit.
        what: String,
    },
    /// An object that must exist does not.
    #[error("read {object}: it is missing from the store")]
    Missing {
        /// The object's name.
        object: String,
    },
    /// The log on the store is not a continuation of what is known of it.
    #[error("{}", history(remembered.as_ref(), found, *fault))]
    History {
        /// What was remembered outside the store, if anything.
        remembered: Option<LogPosition>,
        /// The newest entry on the store, or the one that does not fit; number 0: the log is empty.
        found: LogPosition,
        /// What is wrong with it.
        fault: HistoryFault,
    },
    /// There are objects of a mailbox, and its log is empty.
    #[error(
        "open the mailbox: its log is gone from the store although packs or segments are there; put {log} back from a \
         mirror of the store (a new log is not begun over old backups)"
    )]
    LogGone {
        /// Where it should be.
        log: String,
    },
    /// There are mailboxes, and the store's descriptor is gone.
    #[error(
        "open the store: it holds mailboxes and has lost its descriptor; put `malle-store` back from a mirror of the store \
         (a new one is not made over old backups, because it says in which zone they lie)"
    )]
    DescriptorGone,
    /// Another writer committed first.
    #[error("commit: {winner} committed entry {number} first{}", leaves(*unused_bytes))]
    Lost {
        /// Who wrote the entry that won.
        winner: String,
        /// The entry's number.
        number: u64,
        /// Bytes that this writer stored and that no entry refers to.
        unused_bytes: u64,
    },
    /// The mailbox was erased.
    #[error("use the mailbox: it was erased by log entry {number}")]
    Erased {
        /// The entry that says so.
        number: u64,
    },
    /// The mailbox has a log, and no copy of its key.
    #[error(
        "open the mailbox: its key is gone from the store and nothing in it can be read any more; either it was erased, \
         or somebody deleted what lay in {keys} (a mirror of the store may still have it)"
    )]
    KeyGone {
        /// Where it should be.
        keys: String,
    },
    /// Something is longer than the format allows.
    #[error("store {what}: it is {length} bytes long and the limit is {limit}")]
    TooLarge {
        /// What it is.
        what: String,
        /// Its length.
        length: u64,
        /// What the format allows.
        limit: u64,
    },
    /// A log entry that may not stand where it was meant to stand.
    #[error("append log entry {number}: the log's rules do not allow it there")]
    Misplaced {
        /// The number it would have had.
        number: u64,
    },
    /// There is no such mailbox in the store.
    #[error("find the mailbox in this store: it has never been backed up here")]
    NoMailbox,
    /// There is no such snapshot.
    #[error("find {}: this mailbox has {has}", wanted(*number))]
    NoSnapshot {
        /// The number asked for.
        number: u64,
        /// The numbers there are, for people.
        has: String,
    },
    /// A snapshot whose writing was interrupted cannot be committed: something it was given may be missing.
    #[error("commit: an earlier step of this snapshot failed or was cut off; begin the snapshot again")]
    Interrupted,
    /// What was sealed did not come back as what went in: memory or processor fault, or a defect.
    #[error("verify {object} before upload: {what}; nothing was stored, check this machine's memory")]
    Unverified {
        /// The object's name.
        object: String,
        /// What differed.
        what: String,
    },
    /// A background computation was cut off.
    #[error("finish a computation: the runtime is shutting down")]
    Stopped,
}

/// In which way a log is not a continuation of what is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryFault {
    /// The remembered entry and all behind it are gone.
    RolledBack,
    /// Another entry stands at the remembered number.
    Forked,
    /// An entry was written behind another one than the one that stands before it.
    Merged,
}

/// 0: the newest one was asked for.
fn wanted(number: u64) -> String {
    if number == 0 { "a snapshot".to_owned() } else { format!("snapshot {number}") }
}

fn history(remembered: Option<&LogPosition>, found: &LogPosition, fault: HistoryFault) -> String {
    let name = |position: &LogPosition| {
        let digest = hex::encode(&position.digest[..8]);
        format!("log entry {} ({digest})", position.number)
    };
    let expected = remembered.map_or_else(|| "nothing".to_owned(), name);
    let what = match (fault, found.number) {
        (HistoryFault::RolledBack, 0) => "its log is empty".to_owned(),
        (HistoryFault::RolledBack, _) => format!("its log ends with {}", name(found)),
        (HistoryFault::Forked, _) => format!("{} stands there instead", name(found)),
        (HistoryFault::Merged, _) => {
            format!("{} was written behind another entry than the one before it", name(found))
        }
    };
    format!(
        "go on with this mailbox's history: {expected} was remembered, and in the store {what}; the store was rolled back, \
         exchanged, or put together of two"
    )
}

/// Shorthand of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// What a caller should do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Error::Store { source, .. } => Trouble::of(source).class(),
            Error::StoreFull { .. }
            | Error::UnfitStore { .. }
            | Error::WrongZone { .. }
            | Error::BadRing { .. }
            | Error::NewerFormat { .. }
            | Error::NewerKind { .. }
            | Error::KeyGone { .. }
            | Error::LogGone { .. }
            | Error::DescriptorGone
            | Error::TooLarge { .. }
            | Error::Misplaced { .. }
            | Error::NoMailbox
            | Error::NoSnapshot { .. } => ErrorClass::Permanent,
            Error::Interrupted => ErrorClass::Transient { retry_after: None },
            Error::WrongKey { .. } => ErrorClass::Auth,
            Error::Corrupt { .. }
            | Error::Missing { .. }
            | Error::Unverified { .. }
            | Error::History { .. }
            | Error::NotKept { .. } => ErrorClass::Corrupt,
            Error::Lost { .. } | Error::Erased { .. } => ErrorClass::Fenced,
            Error::Stopped => ErrorClass::Cancelled,
        }
    }

    /// The pack or segment that this error says is missing or damaged.
    pub fn damaged(&self) -> Option<Object> {
        let (Error::Corrupt { object, .. } | Error::Missing { object }) = self else { return None };
        // Some name it below the store's root, some below the mailbox's directory.
        let start = object.rfind("packs/").or_else(|| object.rfind("segments/"))?;
        Object::parse(&object[start..])
    }

    pub(crate) fn corrupt(object: impl Into<String>, what: impl Into<String>) -> Error {
        Error::Corrupt { object: object.into(), what: what.into() }
    }

    pub(crate) fn store(doing: impl Into<String>, source: object_store::Error) -> Error {
        match Trouble::of(&source) {
            Trouble::Full => Error::StoreFull { source },
            _ => Error::Store { doing: doing.into(), source },
        }
    }

    /// The store cannot be trusted with two writers at once, for this reason.
    pub(crate) fn unfit_create(what: &str) -> Error {
        Error::UnfitStore {
            what: format!(
                "{what}, so two backups at once could destroy each other; choose another store, or make sure yourself \
                 that there is never more than one writer and say so with --single-writer"
            ),
        }
    }
}

fn leaves(unused_bytes: u64) -> String {
    match unused_bytes {
        0 => String::new(),
        bytes => format!("; {bytes} bytes that this one had stored are not used by any snapshot"),
    }
}

/// Returns `None` for damaged or missing data; passes other errors on.
pub(crate) fn unless_damaged<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::Corrupt { .. } | Error::Missing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
