use std::error::Error as StdError;
use std::time::Duration;

use model::ErrorClass;

/// What this crate's functions answer.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a job failed, or the worker. `Display` holds no address, no account name and no secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The settings cannot be used.
    #[error("settings of the worker cannot be used: {reason}")]
    Settings {
        /// What is wrong, for people.
        reason: &'static str,
    },
    /// The broker cannot be used any more: the role ends.
    #[error("tickets cannot be received")]
    Queue(#[from] queue::QueueError),
    /// The catalogue failed.
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
    /// The mail server failed before the work began.
    #[error("mail server cannot be used")]
    Server(#[source] jmap::Error),
    /// The mail server refuses our credentials; no job shows them to it for a while.
    #[error("mail server refuses our credentials")]
    SignInRefused {
        /// Until it is looked at again.
        wait: Duration,
    },
    /// Another job of this worker is finding out whether the mail server takes our credentials, and has no answer yet.
    #[error("mail server has not answered yet whether it takes our credentials")]
    SignInPending {
        /// Until it is looked at again.
        wait: Duration,
    },
    /// The mail server does not know the mailbox's account, or lets nobody ask for it.
    #[error("unknown mailbox: the mail server does not know its account, or does not tell us")]
    UnknownAccount,
    /// The repository failed before the work began, or after it.
    #[error("repository cannot be used")]
    Repository(#[from] repository::Error),
    /// The work failed.
    #[error(transparent)]
    Engine(#[from] engine::Error),
    /// A global job, or one of a kind that this worker cannot do.
    #[error("worker cannot do such a job")]
    Unsupported,
    /// The mailbox's server is not configured.
    #[error("mailbox's mail server is not configured")]
    UnknownServer,
    /// The mailbox's zone, or a backup's store, is not configured.
    #[error("no store is configured for the mailbox's zone, or the backup's is not")]
    UnknownStore,
    /// The catalogue knows backups of the mailbox in this store, and the ring finds none.
    #[error(
        "mailbox has backups in this store and its repository is not there: another key ring, or another store; if it is lost, \
         `malle mailbox accept-history --new-history` lets the next backup start again"
    )]
    RepositoryMissing,
    /// The job's parameters cannot be read.
    #[error("job's parameters cannot be used: {reason}")]
    Parameters {
        /// Why, without what they say.
        reason: &'static str,
    },
    /// The backup that is asked for is not in the catalogue.
    #[error("there is no such backup")]
    NoBackup,
    /// The backup is of another mailbox than the job's own, or than the one that the job names.
    #[error("backup is of another mailbox than the job says")]
    OtherMailbox,
    /// The snapshot that the store has under the backup's number is not the one that was made.
    #[error("store has another snapshot in the place of this backup's: it was rolled back or exchanged")]
    OtherSnapshot,
    /// A backup that was read again is not what was written.
    #[error("backup is damaged: {problems} problems")]
    Damaged {
        /// How many were found.
        problems: usize,
    },
}

impl From<jmap::Error> for Error {
    /// The client's own error names the account.
    fn from(error: jmap::Error) -> Error {
        match error {
            jmap::Error::UnknownAccount { source: Some(error), .. } if may_pass(&error) => {
                Error::Server(*error)
            }
            jmap::Error::UnknownAccount { .. } => Error::UnknownAccount,
            error => Error::Server(error),
        }
    }
}

/// Asked again the directory may answer. One that lets nobody ask knows the account no better tomorrow.
fn may_pass(error: &jmap::Error) -> bool {
    matches!(error, jmap::Error::Unauthorized | jmap::Error::Withheld)
        || matches!(error.class(), jmap::Class::Transient { .. } | jmap::Class::Cancelled)
}

impl Error {
    /// What the caller should do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Error::Queue(error) => error.class(),
            Error::Catalog(error) => error.class(),
            Error::Server(error) => engine::class_of(error),
            Error::Repository(error) => error.class(),
            Error::Engine(error) => error.class(),
            Error::SignInRefused { wait } | Error::SignInPending { wait } => {
                ErrorClass::Transient { retry_after: Some(*wait) }
            }
            // This worker's configuration may be older than the catalogue: another one knows it.
            Error::UnknownServer | Error::UnknownStore => ErrorClass::Transient { retry_after: None },
            Error::Damaged { .. } | Error::OtherSnapshot => ErrorClass::Corrupt,
            Error::Settings { .. }
            | Error::UnknownAccount
            | Error::Unsupported
            | Error::RepositoryMissing
            | Error::Parameters { .. }
            | Error::NoBackup
            | Error::OtherMailbox => ErrorClass::Permanent,
        }
    }

    /// Whether it is the mail server that wants to be asked for less (429, 503).
    pub fn is_throttle(&self) -> bool {
        self.of_server().is_some_and(jmap::Error::is_throttle)
    }

    /// Whether the mail server refused the credentials, to this job or to another one.
    pub(crate) fn is_of_sign_in(&self) -> bool {
        self.is_withheld() || matches!(self.of_server(), Some(jmap::Error::Unauthorized))
    }

    /// Whether they were refused to another job only.
    pub(crate) fn is_withheld(&self) -> bool {
        matches!(self.of_server(), Some(jmap::Error::Withheld))
    }

    fn of_server(&self) -> Option<&jmap::Error> {
        match self {
            Error::Server(source)
            | Error::Engine(
                engine::Error::Server { source, .. }
                | engine::Error::ManyFailures { source, .. }
                | engine::Error::Write { source, .. }
                | engine::Error::Unsettled { source, .. },
            ) => Some(source),
            _ => None,
        }
    }

    /// The whole chain in one line, for logs and the catalogue, with advice about a history that does not continue; what looks like an address is masked.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(error) = source {
            text = format!("{text}: {error}");
            source = error.source();
        }
        if let Error::Repository(repository) | Error::Engine(engine::Error::Repository(repository)) = self
            && matches!(repository, repository::Error::History { .. })
        {
            text.push_str("; if this store is the right one, run `malle mailbox accept-history`");
        }
        telemetry::mask(&text).into_owned()
    }
}
