//! Credentials that may change while a client lives: a token that expires is replaced in its file.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use reqwest::header::HeaderValue;

use crate::credentials::Credentials;
use crate::error::Error;

/// Knows newer credentials than those that a client began with. Asked after a 401, on a thread that may block.
pub trait Renewal: fmt::Debug + Send + Sync {
    /// Returns the credentials as they are now, or `None` if they cannot be read.
    fn renewed(&self) -> Option<Credentials>;
}

/// The value of `Authorization`, and where a newer one comes from.
#[derive(Debug)]
pub(crate) struct Authorization {
    value: RwLock<HeaderValue>,
    renewal: Option<Arc<dyn Renewal>>,
}

impl Authorization {
    pub(crate) fn new(credentials: &Credentials, renewal: Option<Arc<dyn Renewal>>) -> Result<Self, Error> {
        Ok(Self { value: RwLock::new(credentials.header()?), renewal })
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
