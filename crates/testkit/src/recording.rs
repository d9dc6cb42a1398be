//! Writes down every call, so that a test can say how many requests and bytes an operation makes.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use object_store::Result;
use object_store::path::Path;

use crate::decorated::{Behaviour, Call, CallKind};

/// One call that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// What it asked.
    pub kind: CallKind,
    /// Of which object, or below which prefix.
    pub path: Path,
    /// Bytes of objects it sent.
    pub sent: u64,
    /// Bytes of objects it brought back.
    pub received: u64,
    /// The store's answer was no error ("not found" is one).
    pub succeeded: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Recording {
    calls: Mutex<Vec<Recorded>>,
}

impl Recording {
    /// Everything since the last time this was asked.
    pub fn take(&self) -> Recorder {
        Recorder(std::mem::take(&mut *self.lock()))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Recorded>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, call: &Call, received: u64, succeeded: bool) {
        self.lock().push(Recorded {
            kind: call.kind,
            path: call.path.clone(),
            sent: call.sent,
            received,
            succeeded,
        });
    }
}

#[async_trait]
impl Behaviour for Recording {
    async fn after(&self, call: &Call, received: u64) -> Result<()> {
        self.note(call, received, true);
        Ok(())
    }

    fn failed(&self, call: &Call) {
        self.note(call, 0, false);
    }
}

/// What was recorded.
#[derive(Debug, Clone, Default)]
pub struct Recorder(pub Vec<Recorded>);

impl Recorder {
    /// All requests.
    pub fn requests(&self) -> usize {
        self.0.len()
    }

    /// Requests of one kind.
    pub fn count(&self, kind: CallKind) -> usize {
        self.0.iter().filter(|call| call.kind == kind).count()
    }

    /// Bytes of objects that were written.
    pub fn sent(&self) -> u64 {
        self.0.iter().map(|call| call.sent).sum()
    }

    /// Bytes of objects that were read.
    pub fn received(&self) -> u64 {
        self.0.iter().map(|call| call.received).sum()
    }

    /// Only the calls whose path holds `part`.
    pub fn on(&self, part: &str) -> Recorder {
        let on = |call: &&Recorded| call.path.as_ref().contains(part);
        Recorder(self.0.iter().filter(on).cloned().collect())
    }
}
