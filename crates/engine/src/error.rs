use model::ErrorClass;

/// Why a backup could not be made or read. `Display` completes "failed to …".
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
    /// The server's listing never held together.
    #[error("list every {data_type} of the account: the pages do not add up to the server's own total")]
    Unlisted {
        /// JMAP's name of the type.
        data_type: &'static str,
    },
    /// The repository refused or failed.
    #[error(transparent)]
    Repository(#[from] repository::Error),
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
            Error::Server { source, .. } | Error::ManyFailures { source, .. } => class_of(source),
            Error::Repository(source) => source.class(),
            Error::Unlisted { .. } => ErrorClass::Corrupt,
            Error::NoFolder { .. } => ErrorClass::Permanent,
            Error::Stopped => ErrorClass::Cancelled,
        }
    }
}

fn class_of(error: &jmap::Error) -> ErrorClass {
    match error.class() {
        jmap::Class::Transient { retry_after } => ErrorClass::Transient { retry_after },
        jmap::Class::Auth => ErrorClass::Auth,
        jmap::Class::Permanent => ErrorClass::Permanent,
        jmap::Class::Corrupt => ErrorClass::Corrupt,
        jmap::Class::Cancelled => ErrorClass::Cancelled,
    }
}
