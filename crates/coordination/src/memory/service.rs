use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::LeaseTerms;
use crate::memory::budget::Servers;
use crate::memory::leases::Holders;
use crate::memory::progress::Entries;
use crate::memory::sign_ins::Refused;

/// Coordination within one process: for a single worker without Redis, for tests, and for shares while Redis is away.
#[derive(Debug, Clone)]
pub struct Memory {
    pub(crate) terms: LeaseTerms,
    pub(crate) progress_ttl: Duration,
    /// Its clock starts here.
    pub(crate) origin: Instant,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) holders: Holders,
    pub(crate) servers: Servers,
    pub(crate) entries: Entries,
    pub(crate) refused: Refused,
}

impl Memory {
    /// Empty.
    pub fn new(terms: LeaseTerms, progress_ttl: Duration) -> Self {
        Self { terms, progress_ttl, origin: Instant::now(), state: Arc::default() }
    }

    /// Never held across an `await`.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
