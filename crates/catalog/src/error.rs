use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use deadpool_postgres::{PoolError, TimeoutType};
use model::{BackupNumber, ErrorClass, JobId, MailboxId};
use tokio_postgres::{self, error::SqlState};

/// What the catalogue's methods answer.
pub type Result<T> = std::result::Result<T, Error>;

/// A failed call. `Display` holds no address and no secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings cannot be used.
    #[error("settings of the catalogue cannot be used: {reason}")]
    Settings {
        /// What is wrong, fit for people.
        reason: &'static str,
    },
    /// No connection, or it broke; what was under way may or may not have happened, and may be asked again.
    #[error("catalogue cannot be reached")]
    Unreachable(#[source] Box<dyn StdError + Send + Sync>),
    /// The driver cannot do what is asked: no password where the server wants one, no TLS, a value of the wrong type.
    #[error("catalogue's driver refused")]
    Driver(#[source] Box<dyn StdError + Send + Sync>),
    /// No answer within the limit; what was under way may or may not have happened.
    #[error("catalogue did not answer in time")]
    TimedOut,
    /// Postgres said no. Its details and hints are left out: they quote values.
    #[error("catalogue refused: {message} ({code})")]
    Refused {
        /// SQLSTATE.
        code: String,
        /// Postgres' primary message.
        message: String,
        /// The constraint that was hurt, if one was.
        constraint: Option<String>,
    },
    /// A row holds what this program does not know.
    #[error("catalogue holds a value that cannot be read, in column {column}")]
    Unreadable {
        /// The column.
        column: &'static str,
        /// Why.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The server is too old.
    #[error("Postgres {found} is too old; 15 or newer is needed")]
    TooOld {
        /// Its own version.
        found: String,
    },
    /// A migration that was applied is not the one that this program brings.
    #[error("migration {number} was applied as another text than this program's")]
    Edited {
        /// Which.
        number: i32,
    },
    /// The database was migrated by a newer program.
    #[error("catalogue has migration {number}, which this program does not know: use the newer one")]
    Newer {
        /// The newest applied.
        number: i32,
    },
    /// Migrations of this program are not applied yet.
    #[error("catalogue lacks migration {number}: run `malle migrate`")]
    NotMigrated {
        /// The first that is missing.
        number: i32,
    },
    /// The claim is not the newest any more: stop, write nothing.
    #[error("claim was taken over or ended")]
    Fenced,
    /// No such mailbox.
    #[error("there is no mailbox {0}")]
    UnknownMailbox(MailboxId),
    /// The mailbox does not exist any more.
    #[error("mailbox {0} is gone")]
    MailboxGone(MailboxId),
    /// Another mailbox is the account already, or this one is another account.
    #[error("account belongs to mailbox {0}")]
    AccountTaken(MailboxId),
    /// The mailbox's plan has no backups by hand.
    #[error("the personal plan has no backups by hand; it is backed up once each weekend")]
    PersonalPlan,
    /// The mailbox has no plan.
    #[error("mailbox has no plan")]
    NoPlan,
    /// Too many requests for this mailbox.
    #[error("too many requests for this mailbox; the next is possible in {} s", retry_after.as_secs())]
    TooMany {
        /// Until then.
        retry_after: Duration,
    },
    /// The mailbox's backup by hand runs, and what it was asked for is less than this request.
    #[error("backup by hand that runs, job {0}, was asked for less")]
    Underway(JobId),
    /// The key was another request's.
    #[error("key is that of another request, job {0}")]
    KeyReused(JobId),
    /// The number stands for another snapshot.
    #[error("number {0} belongs to another backup")]
    NumberTaken(BackupNumber),
}

impl Error {
    /// What the caller should do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Error::Unreachable(_) | Error::TimedOut => ErrorClass::Transient { retry_after: None },
            Error::Refused { code, .. } => class_of(code),
            Error::TooMany { retry_after } => ErrorClass::Transient { retry_after: Some(*retry_after) },
            Error::Unreadable { .. } | Error::Edited { .. } => ErrorClass::Corrupt,
            Error::Fenced => ErrorClass::Fenced,
            Error::Settings { .. }
            | Error::Driver(_)
            | Error::TooOld { .. }
            | Error::Newer { .. }
            | Error::NotMigrated { .. }
            | Error::UnknownMailbox(_)
            | Error::MailboxGone(_)
            | Error::AccountTaken(_)
            | Error::PersonalPlan
            | Error::NoPlan
            | Error::Underway(_)
            | Error::KeyReused(_)
            | Error::NumberTaken(_) => ErrorClass::Permanent,
        }
    }

    /// Postgres cannot hold a value that it was given: a NUL, a text too long for an index (SQLSTATE 22 and 54).
    pub fn is_of_a_value(&self) -> bool {
        matches!(self, Error::Refused { code, .. } if code.starts_with("22") || code.starts_with("54"))
    }

    pub(crate) fn hurts(&self, constraint: &str) -> bool {
        matches!(self, Error::Refused { constraint: Some(hurt), .. } if hurt == constraint)
    }
}

/// By SQLSTATE: lost connections, shutdown and recovery, full disk and memory, deadlocks, a standby that is not yet the primary.
fn class_of(code: &str) -> ErrorClass {
    let transient = ["08", "40", "53", "57", "58"].iter().any(|class| code.starts_with(class))
        || [SqlState::LOCK_NOT_AVAILABLE.code(), SqlState::READ_ONLY_SQL_TRANSACTION.code()].contains(&code);
    match code {
        _ if transient => ErrorClass::Transient { retry_after: None },
        _ if code.starts_with("28") || code == SqlState::INSUFFICIENT_PRIVILEGE.code() => ErrorClass::Auth,
        "XX001" | "XX002" => ErrorClass::Corrupt,
        _ => ErrorClass::Permanent,
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(refusal) => Error::Refused {
                code: refusal.code().code().to_owned(),
                message: refusal.message().to_owned(),
                constraint: refusal.constraint().map(str::to_owned),
            },
            None if error.is_closed() || error.source().is_some_and(|source| source.is::<io::Error>()) => {
                Error::Unreachable(error.into())
            }
            None => Error::Driver(error.into()),
        }
    }
}

impl From<PoolError> for Error {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => error.into(),
            PoolError::Timeout(TimeoutType::Wait | TimeoutType::Create | TimeoutType::Recycle) => {
                Error::TimedOut
            }
            other => Error::Unreachable(other.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_transient_and_what_will_not_is_permanent() {
        let transient = ErrorClass::Transient { retry_after: None };
        for (code, class) in [
            ("57P01", transient),
            ("57P03", transient),
            ("57014", transient),
            ("53300", transient),
            ("53100", transient),
            ("40P01", transient),
            ("55P03", transient),
            ("25006", transient),
            ("28P01", ErrorClass::Auth),
            ("42501", ErrorClass::Auth),
            ("XX001", ErrorClass::Corrupt),
            ("23505", ErrorClass::Permanent),
            ("42P01", ErrorClass::Permanent),
        ] {
            assert_eq!(class_of(code), class, "{code}");
        }
    }

    #[test]
    fn a_value_that_cannot_be_held_is_told_from_a_broken_catalogue() {
        for (code, of_a_value) in [("22021", true), ("22P05", true), ("54000", true), ("42P01", false)] {
            let error = Error::Refused { code: code.into(), message: String::new(), constraint: None };
            assert_eq!((error.is_of_a_value(), error.class()), (of_a_value, ErrorClass::Permanent), "{code}");
        }
    }
}
