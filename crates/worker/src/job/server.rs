//! Reaching the mail server for one job.

use std::sync::Arc;

use coordination::BudgetRules;
use engine::SignIn;
use futures::future::BoxFuture;
use jmap::{Account, AccountId, AccountRef, Client, Credentials, RefusedCredentials};
use model::MailboxIdentity;
use planning::Budget;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::Instrument;

use crate::error::{Error, Result};
use crate::job::run::Job;
use crate::job::sign_in::as_they_are;
use crate::servers::throttle::Paced;
use crate::settings::MailServer;

/// What late work has by day, of the server's budget: a fourth.
const REDUCED: u32 = 4;

/// A client, and the mailbox's account there. Dropped, all its requests end.
pub(crate) struct Reached {
    pub(crate) client: Client,
    pub(crate) account: Account,
    /// Whose repository it is; a mailbox known by its address alone has learnt it now.
    pub(crate) identity: MailboxIdentity,
    cancel: CancellationToken,
    _cancelled_when_dropped: DropGuard,
}

/// Signs in as the owner of a mailbox.
pub(crate) struct OwnersSignIn<'a> {
    job: &'a Job<'a>,
    reached: &'a Reached,
}

impl SignIn for OwnersSignIn<'_> {
    fn sign_in(&self) -> BoxFuture<'_, std::result::Result<Option<Client>, jmap::Error>> {
        Box::pin(self.job.connect_as_owner(self.reached))
    }
}

impl Job<'_> {
    pub(crate) async fn reach_server(&self) -> Result<Reached> {
        let span = tracing::info_span!("reach server", server = self.mailbox.server);
        let reached = self.stop.run_until_cancelled(Box::pin(self.connect().instrument(span))).await;
        reached.unwrap_or(Err(Error::Server(jmap::Error::Cancelled)))
    }

    async fn connect(&self) -> Result<Reached> {
        let servers = &self.worker.settings.servers;
        let server = servers.iter().find(|server| server.name == self.mailbox.server);
        let server = server.ok_or(Error::UnknownServer)?;
        let first = self.worker.gates.first(&server.name).await?;
        let credentials = self.credentials(server).await?;
        let refused = self.worker.gates.refused_to_clients(&server.name);
        if refused.contains(&credentials) {
            // Not refused any more as far as anyone knows: this job alone finds out.
            self.try_sign_in(server, &credentials).await?;
        }
        let cancel = CancellationToken::new();
        let guard = cancel.clone().drop_guard();
        let connected = self.connect_as(server, &credentials, refused, &cancel).await;
        let client = self.signed_in(server, &credentials, connected.map_err(Error::Server)).await?;
        drop(first);
        // A job connects once.
        let _ = self.signed_in_with.set(credentials);
        let wanted = match &self.mailbox.account {
            Some(id) => AccountRef::Id(AccountId::new(id.as_str()).map_err(|_| Error::UnknownAccount)?),
            None => AccountRef::Named(self.mailbox.address.as_str().to_owned()),
        };
        let mut account = client.resolve_account(&wanted).await?;
        // Servers write one id in several ways; a mailbox is the account that is called exactly so.
        if self.mailbox.account.as_ref().is_some_and(|known| known.as_str() != account.id.as_str()) {
            return Err(Error::UnknownAccount);
        }
        // A server may let us read accounts and not the directory. The name goes into the log, for a catalogue made anew.
        if account.name == account.id.as_str() {
            self.mailbox.address.as_str().clone_into(&mut account.name);
        }
        let identity = match self.mailbox.identity() {
            Some(identity) => identity,
            None => self.catalog().learn_account(self.mailbox.id, &account.id.as_str().into()).await?,
        };
        Ok(Reached { client, account, identity, cancel, _cancelled_when_dropped: guard })
    }

    pub(crate) fn as_owner<'a>(&'a self, reached: &'a Reached) -> OwnersSignIn<'a> {
        OwnersSignIn { job: self, reached }
    }

    /// Signs in as the account's owner, where our settings, our credentials and the server allow it.
    pub(crate) async fn connect_as_owner(
        &self,
        reached: &Reached,
    ) -> std::result::Result<Option<Client>, jmap::Error> {
        let (account, gates) = (&reached.account, &self.worker.gates);
        let server = self.worker.settings.servers.iter().find(|server| server.name == self.mailbox.server);
        let Some(server) = server.filter(|server| server.acts_as_owner && !account.is_personal) else {
            return Ok(None);
        };
        if !engine::may_act_as_owners(&reached.client) || !gates.may_act_as_owners(&server.name) {
            return Ok(None);
        }
        // A long backup may have outlived the password that it began with.
        let renewed = match server.client.renewal.clone() {
            Some(renewal) => as_they_are(renewal).await,
            None => None,
        };
        let ours = renewed.or_else(|| self.signed_in_with.get().cloned());
        let Some(credentials) = ours.and_then(|ours| ours.acting_as(&account.name)) else { return Ok(None) };
        let mut as_owner = server.clone();
        as_owner.client.renewal = None;
        let cancel = reached.cancel.child_token();
        let connected = match self.connect_as(&as_owner, &credentials, Arc::default(), &cancel).await {
            Ok(client) => client.session().owns(&account.id).then_some(client),
            Err(error) if matches!(error.class(), jmap::Class::Transient { .. }) => return Err(error),
            Err(error) => {
                if matches!(error, jmap::Error::Unauthorized) {
                    gates.refused_as_owner(&server.name);
                }
                None
            }
        };
        if connected.is_some() {
            gates.acted_as_owner(&server.name)
        } else {
            tracing::warn!(
                server = server.name,
                "we may not sign in as the owner of the mailbox: subscriptions, and names of calendars and address books, are ours"
            )
        }
        Ok(connected)
    }

    pub(crate) async fn connect_as(
        &self,
        server: &MailServer,
        credentials: &Credentials,
        refused: Arc<RefusedCredentials>,
        cancel: &CancellationToken,
    ) -> std::result::Result<Client, jmap::Error> {
        let mut config = server.client.clone();
        config.credentials = credentials.clone();
        config.refused = Some(refused);
        config.cancel = cancel.clone();
        let paced = self.paced(server);
        let line = Arc::clone(&paced.line);
        config.throttle = Some(Arc::new(paced));
        let client = Client::connect(config).await?;
        line.grants(client.session().limits.max_concurrent_requests);
        Ok(client)
    }

    fn paced(&self, server: &MailServer) -> Paced {
        let services = &self.worker.services;
        let (name, rules) = match self.budget {
            Budget::Full => (server.name.clone(), server.budget),
            // Its own name: the keeper bounds what it remembers of a name by the rules it is asked with.
            Budget::Reduced => (format!("{}/reduced", server.name), reduced(server.budget)),
        };
        Paced {
            budget: Arc::clone(&services.budget),
            line: self.worker.lines.of(&name),
            name,
            rules,
            series: services.metrics.servers.of(&server.name).clone(),
            reports: self.worker.reports.clone(),
            patience: self.worker.settings.times.patience,
            spent: Arc::clone(self.spent),
        }
    }
}

fn reduced(rules: BudgetRules) -> BudgetRules {
    BudgetRules {
        floor: rules.floor.min((rules.ceiling / REDUCED).max(1)),
        ceiling: (rules.ceiling / REDUCED).max(1),
        per_minute: (rules.per_minute / REDUCED).max(20),
        local: (rules.local / REDUCED).max(1),
        local_per_minute: (rules.local_per_minute / REDUCED).max(20),
        ..rules
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_day_a_fourth_is_left_and_never_nothing() {
        let rules = reduced(BudgetRules { floor: 4, ..BudgetRules::new(16, 1000) });
        assert_eq!((rules.floor, rules.ceiling, rules.per_minute), (4, 4, 250));
        let least = reduced(BudgetRules::new(1, 20));
        assert_eq!((least.floor, least.ceiling, least.per_minute, least.local), (1, 1, 20, 1));
    }
}
