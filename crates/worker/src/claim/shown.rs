//! How far a job is: told by the engine often, shown to people seldom.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// The newest that is known.
#[derive(Debug)]
pub(crate) struct Shown {
    phase: Mutex<&'static str>,
    done: AtomicU64,
    expected: AtomicU64,
    bytes: AtomicU64,
}

/// What of it people see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) phase: &'static str,
    pub(crate) done: u64,
    pub(crate) expected: Option<u64>,
    pub(crate) bytes: u64,
}

impl Default for Shown {
    fn default() -> Shown {
        let zero = AtomicU64::default;
        Shown { phase: Mutex::new("starting"), done: zero(), expected: zero(), bytes: zero() }
    }
}

impl Shown {
    pub(crate) fn look(&self) -> Look {
        let expected = self.expected.load(Relaxed);
        Look {
            phase: *self.phase.lock().unwrap_or_else(PoisonError::into_inner),
            done: self.done.load(Relaxed),
            expected: (expected > 0).then_some(expected),
            bytes: self.bytes.load(Relaxed),
        }
    }
}

impl engine::Progress for Shown {
    fn phase(&self, name: &'static str) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = name;
    }

    fn expect(&self, emails: u64) {
        self.expected.store(emails, Relaxed);
    }

    fn advance(&self, emails: u64, bytes: u64) {
        self.done.fetch_add(emails, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
    }
}
