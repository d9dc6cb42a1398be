use std::io;
use std::path::{Path, PathBuf};

use model::ErrorClass;

/// What can go wrong while an export is written or read. `Display` completes "failed to …"; the cause is in `source()`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system, or what the caller writes to or reads from, failed.
    #[error("{doing}")]
    Io {
        /// What was being done, with the path.
        doing: String,
        /// The system's own words.
        #[source]
        source: io::Error,
    },
    /// There is something in the place of the export.
    #[error("write {}: it exists already; name one that does not, or an empty directory", path.display())]
    Occupied {
        /// What was named.
        path: PathBuf,
    },
    /// The content of an item is not as long as announced.
    #[error("write {item}: {announced} bytes were announced and {found} came")]
    Length {
        /// Which item.
        item: String,
        /// The length announced.
        announced: u64,
        /// The length read, up to one byte too many.
        found: u64,
    },
    /// An object that is not a JSON object.
    #[error("write {item}: it is no JSON object")]
    NotJson {
        /// Which item.
        item: String,
        /// The parser's words.
        #[source]
        source: serde_json::Error,
    },
    /// The calls do not come in the order objects, emails, finish; or an earlier one failed.
    #[error("write {item}: {what}")]
    Misused {
        /// Which item.
        item: String,
        /// The rule that was broken.
        what: &'static str,
    },
    /// The database file of a Vandelay archive.
    #[error("{doing}")]
    Sqlite {
        /// What was being done.
        doing: &'static str,
        /// SQLite's own words.
        #[source]
        source: rusqlite::Error,
    },
    /// Nothing that looks like one of the formats.
    #[error(
        "recognise {}: it is no account directory, Vandelay archive, Maildir or mbox, and no .tar.zst or .zip of one",
        path.display()
    )]
    Unknown {
        /// What was to be read.
        path: PathBuf,
    },
    /// A file to be read is not what it must be.
    #[error("read {file}: {what}")]
    Corrupt {
        /// The file or entry.
        file: String,
        /// What does not fit.
        what: String,
    },
    /// A file to be read is larger than the caller allows.
    #[error(
        "read {file}: {what} exceeds the limit of {limit}; raise it only if you trust where this file comes from"
    )]
    TooLarge {
        /// The file or entry.
        file: String,
        /// What is too large.
        what: &'static str,
        /// What is allowed.
        limit: u64,
    },
    /// [`crate::Stopper::stop`] was called.
    #[error("finish the export: it was stopped")]
    Stopped,
    /// Whoever receives the items of a read export gave up.
    #[error("hand over what was read")]
    Receiver {
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Shorthand of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// What a caller should do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Error::Io { source, .. } => class_of_io(source),
            Error::Sqlite { .. } | Error::Length { .. } | Error::NotJson { .. } | Error::Corrupt { .. } => {
                ErrorClass::Corrupt
            }
            Error::Stopped => ErrorClass::Cancelled,
            Error::Occupied { .. }
            | Error::Misused { .. }
            | Error::Unknown { .. }
            | Error::TooLarge { .. }
            | Error::Receiver { .. } => ErrorClass::Permanent,
        }
    }

    /// Whether there is no room left where something was written.
    pub fn is_full(&self) -> bool {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        match self {
            Error::Io { source, .. } => matches!(source.kind(), StorageFull | QuotaExceeded | FileTooLarge),
            Error::Sqlite { source, .. } => source.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull),
            _ => false,
        }
    }

    pub(crate) fn corrupt(file: impl Into<String>, what: impl Into<String>) -> Error {
        Error::Corrupt { file: file.into(), what: what.into() }
    }
}

fn class_of_io(error: &io::Error) -> ErrorClass {
    match error.kind() {
        io::ErrorKind::Interrupted | io::ErrorKind::TimedOut => ErrorClass::Transient { retry_after: None },
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => ErrorClass::Corrupt,
        _ => ErrorClass::Permanent,
    }
}

/// Says what was being done when a file operation failed.
pub(crate) trait Doing<T> {
    fn doing(self, what: &'static str, path: &Path) -> Result<T>;
    fn doing_to(self, what: &'static str, name: &str) -> Result<T>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| Error::Io { doing: format!("{what} {}", path.display()), source })
    }

    fn doing_to(self, what: &'static str, name: &str) -> Result<T> {
        self.map_err(|source| Error::Io { doing: format!("{what} {name}"), source })
    }
}

/// The same for SQLite.
pub(crate) trait DoingSql<T> {
    fn doing(self, what: &'static str) -> Result<T>;
}

impl<T> DoingSql<T> for rusqlite::Result<T> {
    fn doing(self, what: &'static str) -> Result<T> {
        self.map_err(|source| Error::Sqlite { doing: what, source })
    }
}
