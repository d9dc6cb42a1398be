//! Fails, or hangs as a killed process does, at the n-th call: before the store hears of it, or after it did.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use object_store::{Error, Result};
use tokio::sync::Notify;

use crate::decorated::{Behaviour, Call};

/// On which side of the call the fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The store never hears of the call.
    Before,
    /// The call succeeds on the store, and the caller does not learn it.
    AfterSuccess,
}

/// What the caller meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// What a client makes of a 5xx when it has given up retrying.
    ServerError,
    /// What a client makes of an answer that never came.
    Timeout,
    /// After success: what the store says to the client's own retry.
    AlreadyExists,
    /// The disk is full.
    StorageFull,
    /// Wrong credentials.
    PermissionDenied,
    /// This call and every later one never return: what a process sees of the world once it is killed. Drop what waits.
    Hang,
}

/// How often the fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// Once.
    Once,
    /// From then on.
    Forever,
}

/// See the module. Only calls that `matches` accepts are counted, from 1 on.
pub struct Failing {
    at: u64,
    moment: Moment,
    fault: Fault,
    span: Span,
    matches: Box<dyn Fn(&Call) -> bool + Send + Sync>,
    calls: AtomicU64,
    /// The call whose answer will be lost. Others may come and go while it is on its way.
    struck: Mutex<Option<Call>>,
    hung: Notify,
}

impl Failing {
    /// Strikes at call `at`; 0 means never.
    pub fn at(at: u64, moment: Moment, fault: Fault, span: Span) -> Failing {
        Failing::at_matching(at, moment, fault, span, |_| true)
    }

    /// Strikes at the `at`-th of the calls that `matches` accepts.
    pub fn at_matching(
        at: u64,
        moment: Moment,
        fault: Fault,
        span: Span,
        matches: impl Fn(&Call) -> bool + Send + Sync + 'static,
    ) -> Failing {
        Failing {
            at,
            moment,
            fault,
            span,
            matches: Box::new(matches),
            calls: AtomicU64::new(0),
            struck: Mutex::default(),
            hung: Notify::new(),
        }
    }

    /// Never strikes and only counts.
    pub fn never() -> Failing {
        Failing::at(0, Moment::Before, Fault::Hang, Span::Once)
    }

    /// Calls so far, of those that count.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Has the fault struck?
    pub fn struck(&self) -> bool {
        self.at > 0 && self.calls() >= self.at
    }

    /// Returns once a call hangs. Race it against the operation, then drop the operation: that is the crash.
    pub async fn hung(&self) {
        self.hung.notified().await;
    }

    fn strikes(&self, number: u64) -> bool {
        self.at > 0 && (number == self.at || self.span == Span::Forever && number > self.at)
    }

    fn is_struck(&self, call: &Call) -> bool {
        let mut struck = self.struck.lock().unwrap_or_else(PoisonError::into_inner);
        match self.span {
            Span::Once => struck.take_if(|struck| struck == call).is_some(),
            Span::Forever => struck.is_some(),
        }
    }

    async fn strike(&self, call: &Call) -> Result<()> {
        if self.fault == Fault::Hang {
            self.hung.notify_one();
            std::future::pending::<()>().await;
        }
        Err(error(self.fault, call))
    }
}

impl std::fmt::Debug for Failing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {:?} at call {}", self.fault, self.moment, self.at)
    }
}

#[async_trait]
impl Behaviour for Failing {
    async fn before(&self, call: &Call) -> Result<()> {
        if !(self.matches)(call) {
            return Ok(());
        }
        let number = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let dead = self.fault == Fault::Hang && self.at > 0 && number > self.at;
        if dead || self.moment == Moment::Before && self.strikes(number) {
            return self.strike(call).await;
        }
        if number == self.at {
            *self.struck.lock().unwrap_or_else(PoisonError::into_inner) = Some(call.clone());
        }
        Ok(())
    }

    async fn after(&self, call: &Call, _received: u64) -> Result<()> {
        if self.moment == Moment::AfterSuccess && (self.matches)(call) && self.is_struck(call) {
            return self.strike(call).await;
        }
        Ok(())
    }
}

fn error(fault: Fault, call: &Call) -> Error {
    let path = call.path.to_string();
    let generic = |source: io::Error| Error::Generic { store: "failing", source: source.into() };
    match fault {
        Fault::ServerError => generic(io::Error::other("503 Service Unavailable")),
        Fault::Timeout => generic(io::Error::new(io::ErrorKind::TimedOut, "operation timed out")),
        Fault::StorageFull => generic(io::Error::from(io::ErrorKind::StorageFull)),
        Fault::AlreadyExists => Error::AlreadyExists { path, source: "412 Precondition Failed".into() },
        Fault::PermissionDenied => Error::PermissionDenied { path, source: "403 Forbidden".into() },
        Fault::Hang => unreachable!("a hanging call has no answer"),
    }
}
