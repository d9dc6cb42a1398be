//! Reaching the mail server for one job.

use std::sync::Arc;

use coordination::BudgetRules;
use jmap::{Account, AccountId, AccountRef, Client, Credentials, RefusedCredentials};
use model::{ErrorClass, MailboxIdentity};
use planning::Budget;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::Instrument;

use crate::error::{Error, Result};
use crate::job::Job;
use crate::settings::MailServer;
use crate::throttle::Paced;

/// What late work has by day, of the server's budget: a fourth.
const REDUCED: u32 = 4;

/// A client, and the mailbox's account there. Dropped, all its requests end.
pub(crate) struct Reached {
    pub(crate) client: Client,
    pub(crate) account: Account,
    /// Whose repository it is; a mailbox known by its address alone has learnt it now.
    pub(crate) identity: MailboxIdentity,
    _cancelled_when_dropped: DropGuard,
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
        let connected = self.connect_as(server, &credentials, refused).await;
        let (client, guard) = self.signed_in(server, &credentials, connected).await?;
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
        Ok(Reached { client, account, identity, _cancelled_when_dropped: guard })
    }

    /// Signs in as the account's owner, where our credentials and the server allow it.
    pub(crate) async fn connect_as_owner(&self, reached: &Reached) -> Result<Option<(Client, DropGuard)>> {
        let (account, gates) = (&reached.account, &self.worker.gates);
        let server = self.worker.settings.servers.iter().find(|server| server.name == self.mailbox.server);
        let credentials = self.signed_in_with.get().and_then(|ours| ours.acting_as(&account.name));
        let (Some(server), Some(credentials)) = (server, credentials) else { return Ok(None) };
        if account.is_personal {
            return Ok(None);
        }
        let why = "folders that come back are not subscribed by their owner: we may not sign in as him";
        if !gates.may_act_as_owners(&server.name) {
            tracing::warn!(server = server.name, why);
            return Ok(None);
        }
        let mut as_owner = server.clone();
        as_owner.client.renewal = None;
        let connected = match self.connect_as(&as_owner, &credentials, Arc::default()).await {
            Ok((client, guard)) => client.session().owns(&account.id).then_some((client, guard)),
            Err(error) if matches!(error.class(), ErrorClass::Transient { .. }) => return Err(error),
            // Restores do without it.
            Err(_) => None,
        };
        gates.acted_as_owner(&server.name, connected.is_some());
        if connected.is_none() {
            tracing::warn!(server = server.name, why);
        }
        Ok(connected)
    }

    pub(crate) async fn connect_as(
        &self,
        server: &MailServer,
        credentials: &Credentials,
        refused: Arc<RefusedCredentials>,
    ) -> Result<(Client, DropGuard)> {
        let mut config = server.client.clone();
        config.credentials = credentials.clone();
        config.refused = Some(refused);
        config.cancel = CancellationToken::new();
        let paced = self.paced(server);
        let line = Arc::clone(&paced.line);
        config.throttle = Some(Arc::new(paced));
        let guard = config.cancel.clone().drop_guard();
        let client = Client::connect(config).await?;
        line.grants(client.session().limits.max_concurrent_requests);
        Ok((client, guard))
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
