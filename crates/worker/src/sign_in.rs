//! Signing in at a mail server that may have refused our credentials: a server blocks clients that show it a wrong password
//! again and again.
//!
//! After a refusal the same credentials are shown to the server again after a while, by whoever comes first, and no job uses up
//! an attempt. Credentials that changed in their file are tried at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jmap::{Credentials, Renewal};
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
    /// The refusal's id, and what the server is not shown while it stands: the credentials as they were when this worker first heard
    /// of it, and those that were refused since.
    refused: Option<(String, Vec<Credentials>)>,
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

    /// Whether the credentials are among those that were refused, as far as this worker can tell.
    fn concerns(&self, server: &str, id: &str, credentials: &Credentials) -> bool {
        self.gate(server, |gate| match &gate.refused {
            Some((known, refused)) if known == id => refused.contains(credentials),
            _ => {
                (gate.refused, gate.taken) = (Some((id.to_owned(), vec![credentials.clone()])), None);
                true
            }
        })
    }

    /// These were refused; the refusal may be one that stood already, of others.
    fn refuse(&self, server: &str, id: &str, credentials: &Credentials) {
        if !self.concerns(server, id, credentials) {
            self.gate(server, |gate| {
                gate.taken = None;
                gate.refused.get_or_insert_with(|| (id.to_owned(), Vec::new())).1.push(credentials.clone());
            });
        }
    }

    /// The server took the credentials. Returns whether it had refused some.
    fn taken(&self, server: &str) -> bool {
        self.gate(server, |gate| {
            gate.taken = Some(Instant::now());
            gate.refused.take().is_some()
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
        let Some(refusal) = self.worker.services.sign_ins.refusal(&server.name).await else {
            return Ok(credentials);
        };
        match self.worker.gates.concerns(&server.name, &refusal.id, &credentials) {
            true => Err(look_again(server, refusal.left)),
            false => Ok(credentials),
        }
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
                let refusal = self.worker.services.sign_ins.refused(&server.name).await;
                self.worker.gates.refuse(&server.name, &refusal.id, credentials);
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
                let credentials = self.credentials(server).await?;
                match self.connect_as(server, &credentials).await {
                    Err(error) if error.is_of_sign_in() => {
                        self.signed_in(server, &credentials, Err(error)).await
                    }
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
    fn only_other_credentials_than_were_refused_are_tried() {
        let known = SignInGates::default();
        let (old, new) = (Credentials::bearer("old".to_owned()), Credentials::bearer("new".to_owned()));
        assert!(known.concerns("s", "1", &old) && known.concerns("s", "1", &old));
        assert!(!known.concerns("s", "1", &new), "mended");
        known.refuse("s", "1", &new);
        assert!(known.concerns("s", "1", &new) && known.concerns("s", "1", &old), "mended wrongly");
        assert!(known.concerns("s", "2", &new), "refused as well");
        assert!(!known.concerns("s", "2", &old), "put back");
        assert!(known.taken("s") && !known.taken("s"));
        assert!(known.concerns("s", "2", &old), "heard of it only now");
    }
}
