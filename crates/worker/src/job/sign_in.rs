//! Signing in at a mail server that may have refused our credentials: a server blocks clients that show it a wrong password
//! again and again.
//!
//! After a refusal the same credentials are shown to the server again after a while, by the job that comes first, and no job uses up
//! an attempt. Credentials that changed in their file are tried at once.

use std::sync::Arc;
use std::time::Duration;

use jmap::{Credentials, Renewal};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::job::run::Job;
use crate::servers::sign_in_gates::SOON;
use crate::settings::MailServer;

/// How long a job waits at most before it looks again: the file may have changed.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

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
        let fingerprint = self.fingerprint(&credentials);
        if refusal.names(&fingerprint) {
            self.worker.gates.refused(&server.name, fingerprint);
            return Err(look_again(server, refusal.left));
        }
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
                self.worker.gates.refused(&server.name, fingerprint);
                tracing::error!(
                    server = server.name,
                    "mail server refuses our credentials: its jobs wait until they are mended in their file, or taken again"
                );
                Err(look_again(server, refusal.left))
            }
            Ok(value) => {
                let refused = self.worker.gates.taken(&server.name);
                if !refused.is_empty() {
                    self.worker.services.sign_ins.accepted(&server.name, &refused).await;
                    tracing::info!(server = server.name, "mail server takes our credentials again");
                }
                Ok(value)
            }
            other => other,
        }
    }

    /// Signs in by a client of its own, whatever others were refused; if that works, they may go on.
    ///
    /// # Errors
    /// [`Error::SignInRefused`], or what else kept it from signing in.
    pub(crate) async fn try_sign_in(&self, server: &MailServer, credentials: &Credentials) -> Result<()> {
        let connected = self.connect_as(server, credentials, Arc::default(), &CancellationToken::new()).await;
        self.signed_in(server, credentials, connected.map_err(Error::Server)).await?;
        self.worker.gates.refused_to_clients(&server.name).forget(credentials);
        Ok(())
    }

    /// Tells credentials that were refused in the middle of the work from an account or a route that they do not open.
    pub(crate) async fn unless_shut_out<T>(&self, answer: Result<T>) -> Result<T> {
        let server = self.worker.settings.servers.iter().find(|server| server.name == self.mailbox.server);
        let (Err(error), Some(server)) = (&answer, server) else { return answer };
        if !error.is_of_sign_in() {
            return answer;
        }
        self.worker.gates.doubt(&server.name);
        let first = self.worker.gates.first(&server.name).await?;
        let credentials = self.credentials(server).await?;
        if first.is_some() {
            self.try_sign_in(server, &credentials).await?;
        }
        // They are good. This job was refused others, or none at all.
        let is_other = self.signed_in_with.get().is_some_and(|with| *with != credentials);
        if error.is_withheld() || is_other {
            return Err(Error::SignInRefused { wait: SOON });
        }
        answer
    }
}

/// Where the credentials stand in a file, that may have changed before the refusal ends.
fn look_again(server: &MailServer, left: Duration) -> Error {
    let wait = if server.client.renewal.is_some() { left.min(LOOK_AGAIN) } else { left };
    Error::SignInRefused { wait }
}

/// The credentials in their file, if they stand in one.
pub(crate) async fn as_they_are(renewal: Arc<dyn Renewal>) -> Option<Credentials> {
    tokio::task::spawn_blocking(move || renewal.renewed()).await.ok().flatten()
}
