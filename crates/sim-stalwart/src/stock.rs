//! The generated mail of all accounts: bytes that come back by import are kept as a number, not as bytes.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::mail::Mails;

/// What the accounts of a server generate, by the key in their tags.
#[derive(Debug, Default)]
pub(crate) struct Stock(RwLock<HashMap<u64, Vec<Arc<Mails>>>>);

impl Stock {
    pub(crate) fn add(&self, mails: Arc<Mails>) {
        let mut stock = self.0.write().unwrap_or_else(PoisonError::into_inner);
        stock.entry(mails.key()).or_default().push(mails);
    }

    /// Whose generated content these bytes are, and its number.
    pub(crate) fn recognise(&self, raw: &[u8], tags: &[(u64, u32)]) -> Option<(Arc<Mails>, u32)> {
        let stock = self.0.read().unwrap_or_else(PoisonError::into_inner);
        tags.iter().find_map(|(key, number)| {
            let mails = stock.get(key)?.iter().find(|mails| mails.generates(*number, raw))?;
            Some((Arc::clone(mails), *number))
        })
    }
}
