//! Signing in at a mail server that may have refused our credentials: a server shuts out whoever shows it a wrong password
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

/// What this worker knows of one server's doors.
#[derive(Debug, Default)]
struct Door {
    /// One at a time finds out whether the credentials are still good.
    first: Arc<tokio::sync::Mutex<()>>,
    taken: Option<Instant>,
    /// The refusal's id, and the credentials as they were when this worker first heard of it.
    refused: Option<(String, Credentials)>,
}

/// The same of each.
#[derive(Debug, Default)]
pub(crate) struct Doors(Mutex<HashMap<String, Door>>);

impl Doors {
    fn door<T>(&self, server: &str, look: impl FnOnce(&mut Door) -> T) -> T {
        look(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(server.to_owned()).or_default())
    }

    /// Waits until nobody finds out whether the credentials are good; `None`: they were taken a moment ago.
    pub(crate) async fn first(&self, server: &str) -> Option<OwnedMutexGuard<()>> {
        let is_lately = |door: &mut Door| door.taken.is_some_and(|taken| taken.elapsed() < LATELY);
        let first = self.door(server, |door| (!is_lately(door)).then(|| Arc::clone(&door.first)))?;
        let guard = first.lock_owned().await;
        self.door(server, |door| (!is_lately(door)).then_some(guard))
    }

    /// Whether the credentials are those that were refused, as far as this worker can tell: as they were when it first heard of it.
    fn concerns(&self, server: &str, id: &str, credentials: &Credentials) -> bool {
        self.door(server, |door| match &door.refused {
            Some((known, then)) if known == id => then == credentials,
            _ => {
                (door.refused, door.taken) = (Some((id.to_owned(), credentials.clone())), None);
                true
            }
        })
    }

    /// The server took the credentials. Returns whether it had refused some.
    fn taken(&self, server: &str) -> bool {
        self.door(server, |door| {
            door.taken = Some(Instant::now());
            door.refused.take().is_some()
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
        match self.worker.doors.concerns(&server.name, &refusal.id, &credentials) {
            true => Err(Error::SignInRefused { wait: refusal.left.min(LOOK_AGAIN) }),
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
        let series = self.worker.services.metrics.servers.of(&server.name);
        match answer {
            Err(error) if error.is_of_sign_in() => {
                series.sign_in_refused.set(1);
                let refusal = self.worker.services.sign_ins.refused(&server.name).await;
                self.worker.doors.concerns(&server.name, &refusal.id, credentials);
                tracing::error!(
                    server = server.name,
                    "mail server refuses our credentials: its jobs wait until they are mended in their file, or taken again"
                );
                Err(Error::SignInRefused { wait: refusal.left.min(LOOK_AGAIN) })
            }
            Ok(value) => {
                if self.worker.doors.taken(&server.name) {
                    series.sign_in_refused.set(0);
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
    /// Credentials that were refused in the middle of the work.
    pub(crate) async fn unless_shut_out<T>(&self, answer: Result<T>) -> Result<T> {
        let server = self.worker.settings.servers.iter().find(|server| server.name == self.mailbox.server);
        match (&answer, server) {
            (Err(error), Some(server)) if error.is_of_sign_in() => {
                let credentials = self.credentials(server).await?;
                self.signed_in(server, &credentials, answer).await
            }
            _ => answer,
        }
    }
}

async fn as_they_are(renewal: Arc<dyn Renewal>) -> Option<Credentials> {
    tokio::task::spawn_blocking(move || renewal.renewed()).await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_job_finds_out_and_the_others_follow() {
        let doors = Arc::new(Doors::default());
        let first = doors.first("s").await;
        assert!(first.is_some());
        let second = tokio::spawn({
            let doors = Arc::clone(&doors);
            async move { doors.first("s").await.is_none() }
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!second.is_finished());
        doors.taken("s");
        drop(first);
        assert!(second.await.expect("no panic"), "it need not find out again");
        assert!(doors.first("s").await.is_none() && doors.first("t").await.is_some());
    }

    #[test]
    fn only_other_credentials_than_were_refused_are_tried() {
        let known = Doors::default();
        let (old, new) = (Credentials::bearer("old".to_owned()), Credentials::bearer("new".to_owned()));
        assert!(known.concerns("s", "1", &old) && known.concerns("s", "1", &old));
        assert!(!known.concerns("s", "1", &new), "mended");
        assert!(known.concerns("s", "2", &new), "refused as well");
        assert!(!known.concerns("s", "2", &old), "put back");
        assert!(known.taken("s") && !known.taken("s"));
        assert!(known.concerns("s", "2", &old), "heard of it only now");
    }
}
