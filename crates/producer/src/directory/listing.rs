use async_trait::async_trait;
use model::ErrorClass;

use super::entry::Entry;

/// A server that can name its mailboxes.
#[async_trait]
pub trait Listing: Send + Sync {
    /// The page after the one that gave out this cursor; the first without one.
    async fn page(&self, after: Option<&str>) -> Result<Page, ListingError>;
}

/// A part of a server's mailboxes.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The mailboxes.
    pub entries: Vec<Entry>,
    /// For the next page; `None`: this was the last.
    pub next: Option<String>,
    /// How many mailboxes there are in all, if the server says so.
    pub total: Option<u64>,
    /// Which mailboxes the credentials can list.
    pub sight: Sight,
}

/// Which mailboxes of a server the credentials can list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Sight {
    /// All of them.
    #[default]
    All,
    /// Those of one tenant: the credentials are of a user inside it.
    Tenant(String),
    /// Those of people: the credentials may not list groups.
    WithoutGroups,
}

/// Why a server could not be listed. `Display` holds neither address nor credential.
#[derive(Debug, thiserror::Error)]
pub enum ListingError {
    /// The settings cannot be used.
    #[error("settings of the server's directory cannot be used: {reason}")]
    Settings {
        /// What is wrong.
        reason: &'static str,
    },
    /// No connection, or it broke.
    #[error("server's directory cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// The server does not accept who we are, or does not let us list.
    #[error("server's directory refuses the credentials ({status})")]
    Refused {
        /// 401 or 403.
        status: u16,
    },
    /// The server has too much to do, or is out of order.
    #[error("server's directory answered {status}")]
    Busy {
        /// 429 or 5xx.
        status: u16,
    },
    /// An answer that is not what it should be.
    #[error("server's directory gave an answer that cannot be used: {reason}")]
    Unusable {
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl ListingError {
    /// What the caller should do.
    pub fn class(&self) -> ErrorClass {
        match self {
            ListingError::Unreachable(_) | ListingError::Busy { .. } => {
                ErrorClass::Transient { retry_after: None }
            }
            ListingError::Refused { .. } => ErrorClass::Auth,
            ListingError::Settings { .. } | ListingError::Unusable { .. } => ErrorClass::Permanent,
        }
    }
}
