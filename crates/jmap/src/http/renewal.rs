//! Credentials that may change while a client lives: a token that expires is replaced in its file.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use reqwest::header::HeaderValue;

use crate::error::Error;
use crate::http::credentials::Credentials;

/// Knows newer credentials than those that a client began with. Asked after a 401, on a thread that may block.
pub trait Renewal: fmt::Debug + Send + Sync {
    /// Returns the credentials as they are now, or `None` if they cannot be read.
    fn renewed(&self) -> Option<Credentials>;
}

/// Refused credentials that are remembered; a token that is replaced each hour leaves one each time.
const MOST_REFUSED: usize = 8;

/// Credentials that a server refused. Clients that share this show the server none of them a second time, so that a changed
/// password costs as many refusals as requests were under way, whatever the clients do next.
#[derive(Default)]
pub struct RefusedCredentials(RwLock<Vec<HeaderValue>>);

impl RefusedCredentials {
    /// Whether these are among them.
    #[must_use]
    pub fn contains(&self, credentials: &Credentials) -> bool {
        credentials.header().is_ok_and(|value| self.has(&value))
    }

    fn has(&self, value: &HeaderValue) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(value)
    }

    /// Clients may show these again: what was refused was something else.
    pub fn forget(&self, credentials: &Credentials) {
        if let Ok(value) = credentials.header() {
            self.0.write().unwrap_or_else(PoisonError::into_inner).retain(|refused| *refused != value);
        }
    }

    fn add(&self, value: &HeaderValue) {
        let mut refused = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if !refused.contains(value) {
            if refused.len() == MOST_REFUSED {
                refused.remove(0);
            }
            refused.push(value.clone());
        }
    }
}

impl fmt::Debug for RefusedCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefusedCredentials(…)")
    }
}

/// The value of `Authorization`, and where a newer one comes from.
#[derive(Debug)]
pub(crate) struct Authorization {
    value: RwLock<HeaderValue>,
    renewal: Option<Arc<dyn Renewal>>,
    refused: Option<Arc<RefusedCredentials>>,
}

impl Authorization {
    pub(crate) fn new(
        credentials: &Credentials,
        renewal: Option<Arc<dyn Renewal>>,
        refused: Option<Arc<RefusedCredentials>>,
    ) -> Result<Self, Error> {
        Ok(Self { value: RwLock::new(credentials.header()?), renewal, refused })
    }

    /// Whether a client, this one or another, has been refused with this value.
    pub(crate) fn is_refused(&self, value: &HeaderValue) -> bool {
        self.refused.as_ref().is_some_and(|refused| refused.has(value))
    }

    pub(crate) fn refuse(&self, value: &HeaderValue) {
        if let Some(refused) = &self.refused {
            refused.add(value);
        }
    }

    pub(crate) fn value(&self) -> HeaderValue {
        self.value.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the value that the server refused. Returns false when there is no other one.
    pub(crate) async fn renew(&self, refused: &HeaderValue) -> bool {
        let Some(renewal) = self.renewal.clone() else { return false };
        if self.value() != *refused {
            // Another request was refused as well and has replaced it.
            return true;
        }
        let renewed = tokio::task::spawn_blocking(move || renewal.renewed()).await;
        let Some(value) = renewed.ok().flatten().and_then(|credentials| credentials.header().ok()) else {
            return false;
        };
        let is_new = value != *refused;
        *self.value.write().unwrap_or_else(PoisonError::into_inner) = value;
        is_new
    }
}
