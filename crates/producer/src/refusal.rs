use std::time::Duration;

use model::{ErrorClass, InvalidParameters};

/// Why a request is refused; the texts are for who asked.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No mailbox has this number or address.
    #[error("there is no such mailbox")]
    UnknownMailbox,
    /// Several servers have a mailbox of this address, or several that had it are gone.
    #[error("several mailboxes have or had this address: name one by its number: {mailboxes}")]
    Ambiguous {
        /// Their numbers, and which of them are gone: `12 (gone since 2026-11-02), 40`.
        mailboxes: String,
    },
    /// The mailbox was deleted.
    #[error(
        "the mailbox is gone: it cannot be backed up; its backups can be given to another mailbox of the customer \
         (`malle enqueue --to-account`, `to_address` or `to_mailbox` of the API)"
    )]
    Gone,
    /// The mailbox was deleted, and nothing can be put into it.
    #[error(
        "the mailbox is gone, so nothing can be given back to it: name another mailbox of the customer to give the backup to \
         (`malle enqueue --to-account`, `to_address` or `to_mailbox` of the API)"
    )]
    GoneFromServer,
    /// What one customer had is given to another only by who may operate the service.
    #[error(
        "the two mailboxes are not known to be one customer's (one tenant's on one server): a token with the scope operate, or \
         `malle enqueue --any-customer`, may give a backup to any mailbox"
    )]
    OtherCustomer,
    /// The mailbox that was to get the backup cannot.
    #[error("the mailbox that is to get it: {0}")]
    Recipient(#[source] Box<Refusal>),
    /// The plan has no backups by hand.
    #[error("the personal plan has no backups by hand: the mailbox is backed up once each weekend")]
    PersonalPlan,
    /// The mailbox has no plan.
    #[error("the mailbox has no plan: list it with one first")]
    NoPlan,
    /// Too many requests for this mailbox.
    #[error("too many requests for this mailbox: the next one is possible in {} s", retry_after.as_secs() + 1)]
    TooMany {
        /// Until then.
        retry_after: Duration,
    },
    /// A backup by hand runs that does not list everything.
    #[error("a backup by hand that does not list everything is running: ask again when it is done")]
    Underway,
    /// No backup of this mailbox has this number, whatever another mailbox's backup is called.
    #[error("the mailbox has no backup of this number")]
    UnknownBackup,
    /// The key was another request's.
    #[error("this key was used for another request: take a new one")]
    KeyReused,
    /// It selects no emails that anybody could tell.
    #[error("the selection cannot be read: {0}")]
    Selection(String),
    /// It would remove all that was not selected.
    #[error("an exact restore of a selection would remove all the rest")]
    ExactSelection,
    /// The catalogue does not answer, or something is wrong with it.
    #[error("the request could not be recorded")]
    Catalog(#[source] catalog::Error),
}

impl From<InvalidParameters> for Refusal {
    fn from(invalid: InvalidParameters) -> Refusal {
        match invalid {
            InvalidParameters::ExactSelection => Refusal::ExactSelection,
            invalid => Refusal::Selection(invalid.to_string()),
        }
    }
}

impl Refusal {
    /// What who asked should do.
    pub fn class(&self) -> ErrorClass {
        match self {
            Refusal::Catalog(error) => error.class(),
            Refusal::Recipient(refusal) => refusal.class(),
            Refusal::TooMany { retry_after } => ErrorClass::Transient { retry_after: Some(*retry_after) },
            _ => ErrorClass::Permanent,
        }
    }
}

impl From<catalog::Error> for Refusal {
    fn from(error: catalog::Error) -> Self {
        match error {
            catalog::Error::UnknownMailbox(_) => Refusal::UnknownMailbox,
            catalog::Error::MailboxGone(_) => Refusal::Gone,
            catalog::Error::PersonalPlan => Refusal::PersonalPlan,
            catalog::Error::NoPlan => Refusal::NoPlan,
            catalog::Error::Underway(_) => Refusal::Underway,
            catalog::Error::KeyReused(_) => Refusal::KeyReused,
            catalog::Error::TooMany { retry_after } => Refusal::TooMany { retry_after },
            other => Refusal::Catalog(other),
        }
    }
}
