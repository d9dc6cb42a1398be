//! A backup in slices: it pauses while emails are being fetched, commits what it has, and another one goes on from there. It may
//! also commit now and then while it goes on, so that a process that is killed loses minutes of work and not all of it.
//!
//! What was fetched is not a state that the account ever had, so that the next slice lists everything again and fetches what
//! is not held yet. Only the slice that comes to an end makes a snapshot.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use repository::Slices;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::counts::Counts;
use crate::error::{Error, Result};

/// A slice that is over its time goes on until it has fetched this much: one that only lists would achieve nothing, and so
/// would all that follow.
pub(crate) const LEAST_EMAILS: u64 = 200;
pub(crate) const LEAST_BYTES: u64 = 16 << 20;
/// What is under way when it is told to stop may take so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

/// When a backup pauses.
#[derive(Debug, Clone)]
pub struct Slice {
    /// After so much time of fetching, if something was achieved in it.
    pub length: Duration,
    /// At once.
    pub stop: CancellationToken,
    /// Commits what came also while it goes on: first after this time, then less and less often, at most some 6 % of the work
    /// apart. As often it looks whether another writer has committed, and ends if so. `None`: only when it pauses.
    pub keep: Option<Duration>,
}

/// What a slice that paused has achieved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Paused {
    /// Emails fetched in it.
    pub emails: u64,
    /// Their raw bytes.
    pub fetched_bytes: u64,
}

impl Paused {
    /// Whether the next slice has less to do.
    pub fn has_progressed(&self) -> bool {
        self.emails > 0
    }
}

/// Tells the planning of a run when it is time.
#[derive(Debug, Clone)]
pub(crate) struct Alarm(Option<Arc<Ringing>>);

#[derive(Debug)]
struct Ringing {
    length: Duration,
    /// Since the first email was planned: listing achieves nothing by itself.
    since: OnceLock<Instant>,
    stop: CancellationToken,
    emails: AtomicU64,
    bytes: AtomicU64,
    rang: AtomicBool,
    ended: AtomicBool,
}

impl Alarm {
    pub(crate) fn of(slice: Option<&Slice>) -> Alarm {
        Alarm(slice.map(|slice| {
            Arc::new(Ringing {
                length: slice.length,
                since: OnceLock::new(),
                stop: slice.stop.clone(),
                emails: AtomicU64::new(0),
                bytes: AtomicU64::new(0),
                rang: AtomicBool::new(false),
                ended: AtomicBool::new(false),
            })
        }))
    }

    /// Nothing more may be planned. Asked before each email that would be fetched.
    pub(crate) fn rings(&self) -> bool {
        let Some(ringing) = &self.0 else { return false };
        let is_enough = ringing.emails.load(Ordering::Relaxed) >= LEAST_EMAILS
            || ringing.bytes.load(Ordering::Relaxed) >= LEAST_BYTES;
        let is_late = || ringing.since.get().is_some_and(|since| since.elapsed() >= ringing.length);
        let is_told = ringing.stop.is_cancelled() || ringing.ended.load(Ordering::Relaxed);
        let rings = is_told || is_enough && is_late();
        if rings {
            ringing.rang.store(true, Ordering::Relaxed);
        }
        rings
    }

    /// Nothing more is to be planned, because of an error. Returns false for a run that cannot pause.
    pub(crate) fn end(&self) -> bool {
        let Some(ringing) = &self.0 else { return false };
        ringing.ended.store(true, Ordering::Relaxed);
        true
    }

    /// Whether it was told to stop.
    pub(crate) fn is_told(&self) -> bool {
        self.0.as_ref().is_some_and(|ringing| ringing.stop.is_cancelled())
    }

    /// One more email was planned.
    pub(crate) fn count(&self, bytes: u64) {
        if let Some(ringing) = &self.0 {
            ringing.since.get_or_init(Instant::now);
            ringing.emails.fetch_add(1, Ordering::Relaxed);
            ringing.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// Returns when a backup that was told to stop, and has nothing that could be committed, need not be waited for any more.
    pub(crate) async fn is_over_without_gain(&self) {
        self.is_over().await;
        let Some(ringing) = &self.0 else { return };
        if ringing.emails.load(Ordering::Relaxed) > 0 {
            std::future::pending().await
        }
    }

    /// Returns when what is planned need not be waited for any more: some seconds after the request to stop. A server that wants
    /// to be left alone holds requests for longer than anybody who drains can wait.
    pub(crate) async fn is_over(&self) {
        match &self.0 {
            None => std::future::pending().await,
            Some(ringing) => {
                ringing.stop.cancelled().await;
                tokio::time::sleep(PATIENCE).await;
            }
        }
    }

    /// An error if something was left out because it rang.
    pub(crate) fn check(&self) -> Result<()> {
        if self.0.as_ref().is_some_and(|ringing| ringing.rang.load(Ordering::Relaxed)) {
            Err(Error::Paused)
        } else {
            Ok(())
        }
    }
}

/// What a slice leaves for the next one.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Cursor {
    emails: u64,
    bytes: u64,
    new: u64,
    removed: u64,
    fetched_bytes: u64,
}

impl Cursor {
    pub(crate) fn of(counts: &Counts) -> Bytes {
        let Counts { emails, bytes, new, removed, fetched_bytes, .. } = *counts;
        let cursor = Cursor { emails, bytes, new, removed, fetched_bytes };
        serde_json::to_vec(&cursor).expect("numbers").into()
    }

    pub(crate) fn read(slices: &Slices) -> Result<Counts> {
        let cursor = serde_json::from_slice(&slices.cursor).map_err(|_| {
            let what = "the newest slice of a backup says nothing of how far it came".to_owned();
            repository::Error::Corrupt { object: "log".to_owned(), what }
        })?;
        let Cursor { emails, bytes, new, removed, fetched_bytes } = cursor;
        Ok(Counts { emails, bytes, new, removed, fetched_bytes, ..Counts::default() })
    }
}
