//! Signing in at a mail server that may have refused our credentials: a server blocks clients that show it a wrong password
//! again and again.
//!
//! After a refusal the same credentials are shown to the server again after a while, by whoever comes first, and no job uses up
//! an attempt. Credentials that changed in their file are tried at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jmap::{Credentials, RefusedCredentials, Renewal};
use tokio::sync::OwnedMutexGuard;

use crate::error::{Error, Result};
use crate::job::Job;
use crate::settings::MailServer;

/// How long a job waits at most before it looks again: the file may have changed.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Credentials that were taken so lately are shown by any number of jobs at once; else one job goes first.
const LATELY: Duration = Duration::from_secs(5);

/// How long a job waits for the one that goes first.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether one server takes our credentials, as far as this worker knows.
#[derive(Debug, Default)]
struct SignInGate {
    /// One at a time finds out whether the credentials are still good.
    first: Arc<tokio::sync::Mutex<()>>,
    taken: Option<Instant>,
    /// Whether this worker met a refusal since.
    was_refused: bool,
    /// What clients of this worker were refused. Exchanged when it is time to try again: clients from before never do.
    shown: Arc<RefusedCredentials>,
}

/// The same for each server.
#[derive(Debug, Default)]
pub(crate) struct SignInGates(Mutex<HashMap<String, SignInGate>>);

impl SignInGates {
    fn gate<T>(&self, server: &str, look: impl FnOnce(&mut SignInGate) -> T) -> T {
        look(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(server.to_owned()).or_default())
    }

    /// Waits until nobody finds out whether the credentials are good, but not for a server that hangs; `None`: the caller need not
    /// be the only one.
    pub(crate) async fn first(&self, server: &str) -> Option<OwnedMutexGuard<()>> {
        let is_lately = |gate: &mut SignInGate| gate.taken.is_some_and(|taken| taken.elapsed() < LATELY);
        let first = self.gate(server, |gate| (!is_lately(gate)).then(|| Arc::clone(&gate.first)))?;
        let guard = tokio::time::timeout(PATIENCE, first.lock_owned()).await.ok()?;
        self.gate(server, |gate| (!is_lately(gate)).then_some(guard))
    }

    /// Somebody was refused in the middle of the work: one job at a time finds out why.
    fn doubt(&self, server: &str) {
        self.gate(server, |gate| gate.taken = None);
    }

    /// The server refused, or another worker says that it did.
    fn refused(&self, server: &str) {
        self.gate(server, |gate| (gate.taken, gate.was_refused) = (None, true));
    }

    /// What the server has refused to this worker's clients since it was last time to try.
    pub(crate) fn shown(&self, server: &str) -> Arc<RefusedCredentials> {
        self.gate(server, |gate| Arc::clone(&gate.shown))
    }

    /// No refusal of these is in force (any more): clients that connect from now on may show them.
    fn may_be_shown(&self, server: &str, credentials: &Credentials) {
        self.gate(server, |gate| {
            if gate.shown.contains(credentials) {
                gate.shown = Arc::default();
            }
        });
    }

    /// The server took the credentials. Returns whether it had refused some.
    fn taken(&self, server: &str) -> bool {
        self.gate(server, |gate| {
            gate.taken = Some(Instant::now());
            std::mem::take(&mut gate.was_refused)
        })
    }
}

impl Job<'_> {
    /// The credentials as they are now, unless the server has just refused these.
    ///
    /// # Errors
    /// [`Error::SignInRefused`]: it is tried again later.
    pub(crate) async fn credentials(&self, server: &MailServer) -> Result<Credentials> {
        let credentials = match server.client.renewal.clone() {
            Some(renewal) => as_they_are(renewal).await,
            None => None,
        };
        let credentials = credentials.unwrap_or_else(|| server.client.credentials.clone());
        let gates = &self.worker.gates;
        if let Some(refusal) = self.worker.services.sign_ins.refusal(&server.name).await {
            gates.refused(&server.name);
            if refusal.names(&self.fingerprint(&credentials)) {
                return Err(look_again(server, refusal.left));
            }
        }
        gates.may_be_shown(&server.name, &credentials);
        Ok(credentials)
    }

    fn fingerprint(&self, credentials: &Credentials) -> String {
        self.worker.settings.ring.current().fingerprint(credentials.expose().as_bytes())
    }

    /// What came of the credentials; the error is the job's if they were refused.
    pub(crate) async fn signed_in<T>(
        &self,
        server: &MailServer,
        credentials: &Credentials,
        answer: Result<T>,
    ) -> Result<T> {
        match answer {
            Err(error) if error.is_of_sign_in() => {
                let fingerprint = self.fingerprint(credentials);
                let refusal = self.worker.services.sign_ins.refused(&server.name, &fingerprint).await;
                self.worker.gates.refused(&server.name);
                tracing::error!(
                    server = server.name,
                    "mail server refuses our credentials: its jobs wait until they are mended in their file, or taken again"
                );
                Err(look_again(server, refusal.left))
            }
            Ok(value) => {
                if self.worker.gates.taken(&server.name) {
                    self.worker.services.sign_ins.accepted(&server.name).await;
                    tracing::info!(server = server.name, "mail server takes our credentials again");
                }
                Ok(value)
            }
            other => other,
        }
    }
}

impl Job<'_> {
    /// Tells credentials that were refused in the middle of the work from an account or a route that they do not open.
    pub(crate) async fn unless_shut_out<T>(&self, answer: Result<T>) -> Result<T> {
        let server = self.worker.settings.servers.iter().find(|server| server.name == self.mailbox.server);
        match (&answer, server) {
            (Err(error), Some(server)) if error.is_of_sign_in() => {
                self.worker.gates.doubt(&server.name);
                let _first = self.worker.gates.first(&server.name).await;
                let credentials = self.credentials(server).await?;
                let connected = self.connect_as(server, &credentials).await;
                match self.signed_in(server, &credentials, connected).await {
                    Err(refused @ Error::SignInRefused { .. }) => Err(refused),
                    _ => answer,
                }
            }
            _ => answer,
        }
    }
}

/// Where the credentials stand in a file, that may have changed before the refusal ends.
fn look_again(server: &MailServer, left: Duration) -> Error {
    let wait = if server.client.renewal.is_some() { left.min(LOOK_AGAIN) } else { left };
    Error::SignInRefused { wait }
}

async fn as_they_are(renewal: Arc<dyn Renewal>) -> Option<Credentials> {
    tokio::task::spawn_blocking(move || renewal.renewed()).await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_job_finds_out_and_the_others_follow() {
        let gates = Arc::new(SignInGates::default());
        let first = gates.first("s").await;
        assert!(first.is_some());
        let second = tokio::spawn({
            let gates = Arc::clone(&gates);
            async move { gates.first("s").await.is_none() }
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!second.is_finished());
        gates.taken("s");
        drop(first);
        assert!(second.await.expect("no panic"), "it need not find out again");
        assert!(gates.first("s").await.is_none() && gates.first("t").await.is_some());
    }

    #[test]
    fn the_end_of_a_refusal_is_told_once() {
        let gates = SignInGates::default();
        assert!(!gates.taken("s"));
        gates.refused("s");
        assert!(!gates.taken("t") && gates.taken("s") && !gates.taken("s"));
    }
}
