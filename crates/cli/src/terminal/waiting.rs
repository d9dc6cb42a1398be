//! Says that a mail server or a store does not answer: on the terminal, or in a role's log. Without it a server that hangs looks
//! like a program that does.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::terminal::failure::one_line;
use crate::terminal::output::warn;

/// After this time without an answer it is said, and at most once in this time of each server.
const LONG: Duration = Duration::from_secs(30);

/// Bytes a second that a slow line sends: an upload may take that long besides.
const SLOW_LINE: u64 = 60_000;

/// Says of a server or a store what is waited for, and since how many seconds.
type Tell = fn(&str, &'static str, u64);

/// How it is said where roles run in this process: they write logs.
static IN_LOG: OnceLock<Tell> = OnceLock::new();

/// From now on it is said in the log.
#[cfg(feature = "fleet")]
pub(crate) fn tell_the_log(tell: Tell) {
    let _ = IN_LOG.set(tell);
}

/// For clients of this mail server.
pub(crate) fn for_mail_server(name: impl Into<String>) -> jmap::Waiting {
    let tell = |name: &str, what, since| tell(&format!("mail server {name}"), what, since);
    jmap::Waiting { after: LONG, server: name.into(), tell }
}

/// The same work with a store; it is said if no answer begins for long. `bytes` are sent with the request.
pub(crate) async fn for_store<T>(
    host: &str,
    what: &'static str,
    bytes: u64,
    mut work: Pin<Box<impl Future<Output = T>>>,
) -> T {
    let after = LONG + Duration::from_secs(bytes / SLOW_LINE);
    match tokio::time::timeout(after, &mut work).await {
        Ok(done) => done,
        Err(_) => {
            tell(&format!("store {host}"), what, after);
            work.await
        }
    }
}

/// When it was said last, by server: many requests may hang at once.
static TOLD: Mutex<Option<HashMap<String, Instant>>> = Mutex::new(None);

fn is_due(of: &str, now: Instant) -> bool {
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    let told = told.get_or_insert_default();
    let is_due = told.get(of).is_none_or(|told| now.duration_since(*told) >= LONG);
    if is_due {
        told.insert(of.to_owned(), now);
    }
    is_due
}

fn tell(of: &str, what: &'static str, since: Duration) {
    if !is_due(of, Instant::now()) {
        return;
    }
    let seconds = since.as_secs();
    match IN_LOG.get() {
        Some(tell) => tell(of, what, seconds),
        None => {
            warn(format_args!("{} has not answered for {seconds} s: waiting for {what}", one_line(of, 200)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_now_and_then_of_each_server() {
        let now = Instant::now();
        let due = |of, seconds| is_due(of, now + Duration::from_secs(seconds));
        assert_eq!(
            [0, 1, 29, 30, 31, 61].map(|seconds| due("one", seconds)),
            [true, false, false, true, false, true]
        );
        assert!(due("another", 61));
    }
}
