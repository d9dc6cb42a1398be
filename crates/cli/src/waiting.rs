//! Says that a mail server or a store lets us wait: on the terminal, or in a role's log. Without it a server that hangs looks
//! like a program that does.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::output::warn;

/// After so long somebody is told, and so far apart at least.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// Whether roles run in this process: they tell their log.
static IN_LOG: AtomicBool = AtomicBool::new(false);

/// From now on the log is told.
pub(crate) fn tell_the_log() {
    IN_LOG.store(true, Relaxed);
}

/// For every client of a mail server.
pub(crate) const FOR_MAIL_SERVER: jmap::Waiting = jmap::Waiting {
    after: LONG,
    tell: |what, since| {
        static TOLD: Told = Told::new();
        tell(&TOLD, "mail server", what, since);
    },
};

/// The same work with a store; somebody is told if it takes long.
pub(crate) async fn for_store<T>(what: &'static str, work: impl Future<Output = T>) -> T {
    static TOLD: Told = Told::new();
    let mut work = pin!(work);
    match tokio::time::timeout(LONG, &mut work).await {
        Ok(done) => done,
        Err(_) => {
            tell(&TOLD, "store", what, LONG);
            work.await
        }
    }
}

/// When it was told last: many requests may hang at once.
struct Told(Mutex<Option<Instant>>);

impl Told {
    const fn new() -> Told {
        Told(Mutex::new(None))
    }

    fn is_due(&self, now: Instant) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = told.is_none_or(|told| now.duration_since(told) >= LONG);
        if is_due {
            *told = Some(now);
        }
        is_due
    }
}

fn tell(told: &Told, of: &'static str, what: &'static str, since: Duration) {
    if !told.is_due(Instant::now()) {
        return;
    }
    let seconds = since.as_secs();
    match IN_LOG.load(Relaxed) {
        true => telemetry::waits(of, what, seconds),
        false => warn(format_args!("the {of} has not answered for {seconds} s: waiting for {what}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_now_and_then() {
        let (told, now) = (Told::new(), Instant::now());
        let due = [0, 1, 29, 30, 31, 61].map(|seconds| told.is_due(now + Duration::from_secs(seconds)));
        assert_eq!(due, [true, false, false, true, false, true]);
    }
}
