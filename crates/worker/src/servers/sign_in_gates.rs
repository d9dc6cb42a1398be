//! Whether mail servers take our credentials, as far as this worker knows, for all of its jobs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jmap::RefusedCredentials;
use tokio::sync::OwnedMutexGuard;

use crate::error::{Error, Result};

/// Credentials that were taken so lately are shown by any number of jobs at once; else one job goes first.
const LATELY: Duration = Duration::from_secs(5);

/// How long a job waits for the one that goes first, before it gives its slot to others.
const PATIENCE: Duration = Duration::from_secs(30);

/// When a job looks again that another one kept waiting, or whose credentials changed while it worked.
pub(crate) const SOON: Duration = Duration::from_secs(5);

/// After so many owners as whom a server that knows no such thing refused us, it is not tried for a while: Stalwart blocks an address for
/// good after a hundred wrong passwords a day, and workers share one.
const MOST_OWNERS_REFUSED: u32 = 3;
/// How long.
const OWNERS_AGAIN: Duration = Duration::from_secs(24 * 3600);

/// Whether one server takes our credentials, as far as this worker knows.
#[derive(Debug, Default)]
struct SignInGate {
    /// One job at a time finds out whether the credentials are still good.
    first: Arc<tokio::sync::Mutex<()>>,
    /// When some were taken, unless any were refused since.
    taken: Option<Instant>,
    /// Fingerprints of what this worker was refused, or would have been, since some were taken.
    refused: Vec<String>,
    /// What the server refused to clients of this worker: they show it nothing of that again.
    refused_to_clients: Arc<RefusedCredentials>,
    /// Owners as whom the server took our password for wrong, since it let us last sign in as one, and when it refused the last of them.
    owners_refused: (u32, Option<Instant>),
}

/// The same for each server.
#[derive(Debug, Default)]
pub(crate) struct SignInGates(Mutex<HashMap<String, SignInGate>>);

impl SignInGates {
    fn gate<T>(&self, server: &str, look: impl FnOnce(&mut SignInGate) -> T) -> T {
        look(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(server.to_owned()).or_default())
    }

    /// Waits until no other job finds out whether the credentials are good; `None`: they are, the caller need not be the only one.
    ///
    /// # Errors
    /// [`Error::SignInPending`]: the other job has been waiting for the server for long.
    pub(crate) async fn first(&self, server: &str) -> Result<Option<OwnedMutexGuard<()>>> {
        let is_lately = |gate: &mut SignInGate| gate.taken.is_some_and(|taken| taken.elapsed() < LATELY);
        let Some(first) = self.gate(server, |gate| (!is_lately(gate)).then(|| Arc::clone(&gate.first)))
        else {
            return Ok(None);
        };
        let guard = tokio::time::timeout(PATIENCE, first.lock_owned()).await;
        let guard = guard.map_err(|_| Error::SignInPending { wait: SOON })?;
        Ok(self.gate(server, |gate| (!is_lately(gate)).then_some(guard)))
    }

    /// A job was refused in the middle of its work: one job at a time finds out why.
    pub(crate) fn doubt(&self, server: &str) {
        self.gate(server, |gate| gate.taken = None);
    }

    /// The server refused these, or another worker says that it did.
    pub(crate) fn refused(&self, server: &str, fingerprint: String) {
        self.gate(server, |gate| {
            gate.taken = None;
            if !gate.refused.contains(&fingerprint) {
                gate.refused.push(fingerprint);
            }
        });
    }

    /// Whether we may try to sign in as an owner: a server that refuses is not asked for each of them.
    pub(crate) fn may_act_as_owners(&self, server: &str) -> bool {
        let is_long_ago = |at: Option<Instant>| at.is_none_or(|at| at.elapsed() > OWNERS_AGAIN);
        self.gate(server, |gate| {
            let (count, last) = gate.owners_refused;
            count < MOST_OWNERS_REFUSED || is_long_ago(last)
        })
    }

    /// Records that the server let us sign in as an owner.
    pub(crate) fn acted_as_owner(&self, server: &str) {
        self.gate(server, |gate| gate.owners_refused = (0, None));
    }

    /// Records that the server took a sign-in as an owner for a wrong password. One as whom nobody may sign in (a group, or a user who
    /// is locked out) is another matter: 403, which blocks nobody.
    pub(crate) fn refused_as_owner(&self, server: &str) {
        self.gate(server, |gate| gate.owners_refused = (gate.owners_refused.0 + 1, Some(Instant::now())));
    }

    /// What clients of this worker share.
    pub(crate) fn refused_to_clients(&self, server: &str) -> Arc<RefusedCredentials> {
        self.gate(server, |gate| Arc::clone(&gate.refused_to_clients))
    }

    /// The server took some. Returns the fingerprints of those that it had refused to this worker before.
    pub(crate) fn taken(&self, server: &str) -> Vec<String> {
        self.gate(server, |gate| {
            gate.taken = Some(Instant::now());
            std::mem::take(&mut gate.refused)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_job_finds_out_and_the_others_follow() {
        let gates = Arc::new(SignInGates::default());
        let first = gates.first("s").await.expect("nobody else");
        assert!(first.is_some());
        let second = tokio::spawn({
            let gates = Arc::clone(&gates);
            async move { gates.first("s").await.expect("soon").is_none() }
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!second.is_finished());
        gates.taken("s");
        drop(first);
        assert!(second.await.expect("no panic"), "it need not find out again");
        assert!(gates.first("s").await.expect("lately").is_none());
        assert!(gates.first("t").await.expect("another server").is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_holds_a_slot_for_a_server_that_hangs() {
        let gates = SignInGates::default();
        let first = gates.first("s").await.expect("nobody else");
        assert!(matches!(gates.first("s").await, Err(Error::SignInPending { .. })));
        drop(first);
        assert!(gates.first("s").await.expect("free again").is_some());
    }

    #[test]
    fn what_this_worker_was_refused_is_told_once_when_some_are_taken() {
        let gates = SignInGates::default();
        assert!(gates.taken("s").is_empty());
        for fingerprint in ["one", "one", "two"] {
            gates.refused("s", fingerprint.to_owned());
        }
        assert!(gates.taken("t").is_empty());
        assert_eq!(gates.taken("s"), ["one", "two"]);
        assert!(gates.taken("s").is_empty());
    }
}
