use model::ErrorClass;

/// What can go wrong with a repository. `Display` completes "failed to …"; the cause is in `source()`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The object store answered with an error other than "not found".
    #[error("reach the object store while {doing}")]
    Store {
        /// What was being done, without secrets.
        doing: String,
        /// The store's own words.
        #[source]
        source: object_store::Error,
    },
    /// The store has no room left.
    #[error(
        "write to the object store: it is full; free space or enlarge it, then run again (nothing that was announced is lost)"
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
    #[error("find snapshot {number}: this mailbox has {has}")]
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

/// Shorthand of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// What a caller should do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Error::Store { source, .. } => class_of_store(source),
            Error::StoreFull { .. }
            | Error::UnfitStore { .. }
            | Error::WrongZone { .. }
            | Error::BadRing { .. }
            | Error::NewerFormat { .. }
            | Error::NewerKind { .. }
            | Error::KeyGone { .. }
            | Error::TooLarge { .. }
            | Error::Misplaced { .. }
            | Error::NoMailbox
            | Error::NoSnapshot { .. } => ErrorClass::Permanent,
            Error::Interrupted => ErrorClass::Transient { retry_after: None },
            Error::WrongKey { .. } => ErrorClass::Auth,
            Error::Corrupt { .. } | Error::Missing { .. } | Error::Unverified { .. } => ErrorClass::Corrupt,
            Error::Lost { .. } | Error::Erased { .. } => ErrorClass::Fenced,
            Error::Stopped => ErrorClass::Cancelled,
        }
    }

    pub(crate) fn corrupt(object: impl Into<String>, what: impl Into<String>) -> Error {
        Error::Corrupt { object: object.into(), what: what.into() }
    }

    pub(crate) fn store(doing: impl Into<String>, source: object_store::Error) -> Error {
        if is_full(&source) {
            Error::StoreFull { source }
        } else {
            Error::Store { doing: doing.into(), source }
        }
    }
}

fn leaves(unused_bytes: u64) -> String {
    match unused_bytes {
        0 => String::new(),
        bytes => format!("; {bytes} bytes that this one had stored are not used by any snapshot"),
    }
}

fn class_of_store(error: &object_store::Error) -> ErrorClass {
    use object_store::Error as E;
    match error {
        E::PermissionDenied { .. } | E::Unauthenticated { .. } => ErrorClass::Auth,
        E::NotSupported { .. } | E::NotImplemented { .. } | E::InvalidPath { .. } => ErrorClass::Permanent,
        E::UnknownConfigurationKey { .. } => ErrorClass::Permanent,
        _ => ErrorClass::Transient { retry_after: None },
    }
}

fn is_full(error: &object_store::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(this) = cause {
        if let Some(io) = this.downcast_ref::<std::io::Error>() {
            return matches!(io.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded);
        }
        cause = this.source();
    }
    false
}
