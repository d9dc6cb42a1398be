//! In which mailbox of the store an account of a mail server is backed up.
//!
//! A mailbox is named by the server's lasting name and the account's id. A server that changed its URL or its name is another
//! one by that rule, and every account of it would begin a second history. So an account whose id and name are those of a
//! mailbox under another server's name is taken for that one's: a backup asks what is meant, and is told once.

use anyhow::Result;
use jmap::Account;
use model::MailboxIdentity;
use repository::{Error, KeyRing, Repository, Store};

use crate::mailboxes::mailbox::{self, Mailbox, OtherHistory};
use crate::store::memory::{Memory, Watch};
use crate::terminal::failure::{Failure, one_line};

/// An account of a mail server, and the store with its backups.
pub(crate) struct AccountInStore<'a> {
    pub(crate) store: &'a Store,
    pub(crate) ring: &'a KeyRing,
    pub(crate) account: &'a Account,
    /// The mail server's host (and port).
    pub(crate) host: String,
    /// The server's lasting name, if it was said.
    pub(crate) named: Option<String>,
    memory: Memory,
}

/// The repository of a mailbox, whose log is watched.
pub(crate) struct Held {
    pub(crate) repository: Repository,
    _watch: Watch,
}

impl<'a> AccountInStore<'a> {
    pub(crate) fn new(
        (store, ring): (&'a Store, &'a KeyRing),
        account: &'a Account,
        host: String,
        named: Option<&str>,
    ) -> AccountInStore<'a> {
        let named = named.map(str::to_ascii_lowercase);
        AccountInStore { store, ring, account, host, named, memory: Memory::of(store) }
    }

    /// Who the mailbox is, and what the store has of it; `None`: nothing yet. The server has the name that was said, or its
    /// host, or the name that an earlier backup was told.
    pub(crate) async fn mailbox(&self, history: OtherHistory) -> Result<(MailboxIdentity, Option<Held>)> {
        let identity = self.identity(self.named.as_ref().unwrap_or(&self.host));
        let held = self.open(&identity, history).await?;
        if held.is_some() || self.named.is_some() {
            return Ok((identity, held));
        }
        let Some(name) = self.memory.server_name(&self.host)? else { return Ok((identity, None)) };
        let identity = self.identity(&name);
        let held = self.open(&identity, history).await?;
        Ok((identity, held))
    }

    /// Begins the mailbox.
    pub(crate) async fn begin(&self, identity: &MailboxIdentity) -> Result<Held> {
        let repository = self.store.create_mailbox(self.ring, identity, &self.account.name).await?;
        let watch = self.memory.replace(&repository, self.memory.position(repository.dir())?);
        Ok(Held { repository, _watch: watch })
    }

    /// Remembers the name that was said, for backups that do not say it.
    pub(crate) fn remember_name(&self) {
        if let Some(name) = self.named.as_ref().filter(|name| **name != self.host) {
            self.memory.name_server(&self.host, name);
        }
    }

    /// Mailboxes under other servers' names whose account has the same id and the same name.
    pub(crate) async fn elsewhere(&self, identity: &MailboxIdentity) -> Result<Vec<Mailbox>> {
        let opened = mailbox::open_all(self.store, self.ring).await?;
        let mut others = Vec::new();
        for opened in opened {
            // Another mailbox's history is not this account's concern.
            if matches!(opened.mailbox, Err(Error::History { .. })) {
                continue;
            }
            let mailbox = opened.of_ring()?;
            let is_meant = |mailbox: &Mailbox| self.has_names_of(mailbox) && mailbox.identity != *identity;
            others.extend(mailbox.filter(is_meant));
        }
        Ok(others)
    }

    /// Fails if a new mailbox would be the second history of the account.
    pub(crate) async fn refuse_second_history(&self, identity: &MailboxIdentity) -> Result<()> {
        let others = self.elsewhere(identity).await?;
        let Some(other) = others.first() else { return Ok(()) };
        let (account, server) = (one_line(&self.account.name, 200), &identity.server);
        let what = format!(
            "begin a second history of {account}: under the server name {server} it was never backed up here, and this store \
             has backups of an account with the same id and name: {}",
            other.describe()
        );
        let hint = format!(
            "if the mail server changed its address or name, say --server-name {} to go on with them (once is enough on this \
             machine); if it is another mail server, say --new-history",
            other.identity.server
        );
        Err(Failure::usage(what, hint).into())
    }

    /// Whether this mailbox is the one in which the account itself is backed up.
    pub(crate) async fn is_of(&self, mailbox: &Mailbox) -> Result<bool> {
        if self.named.is_none() && self.identity(&self.host) == mailbox.identity {
            return Ok(true);
        }
        let (own, held) = self.mailbox(OtherHistory::Refused).await?;
        Ok(own == mailbox.identity || (held.is_none() && self.has_names_of(mailbox)))
    }

    /// The mailbox in which the account itself is backed up; it is begun if there is none.
    pub(crate) async fn own(&self) -> Result<Held> {
        let (identity, held) = self.mailbox(OtherHistory::Refused).await?;
        match held {
            Some(held) => Ok(held),
            None => {
                self.refuse_second_history(&identity).await?;
                self.begin(&identity).await
            }
        }
    }

    fn has_names_of(&self, mailbox: &Mailbox) -> bool {
        mailbox.identity.account.as_str() == self.account.id.as_str()
            && mailbox.name().eq_ignore_ascii_case(&self.account.name)
    }

    fn identity(&self, server: &str) -> MailboxIdentity {
        MailboxIdentity {
            server: server.to_owned(),
            account: self.account.id.as_str().into(),
            incarnation: 0,
        }
    }

    async fn open(&self, identity: &MailboxIdentity, history: OtherHistory) -> Result<Option<Held>> {
        let dir = self.ring.directory(identity);
        let known = self.memory.position(dir)?;
        match (self.store.mailbox(self.ring, dir).await, known) {
            (Ok(repository), _) => {
                let watch = self.memory.watch(&repository, known);
                if history == OtherHistory::Accepted {
                    accept(&repository).await?;
                }
                Ok(Some(Held { repository, _watch: watch }))
            }
            (Err(Error::NoMailbox), Some(known)) if history == OtherHistory::Refused => {
                Err(mailbox::all_gone(Some(known)).into())
            }
            (Err(Error::NoMailbox), _) => Ok(None),
            (Err(error), _) => Err(error.into()),
        }
    }
}

/// Accepts another history than the remembered one, an empty one too.
async fn accept(repository: &Repository) -> repository::Result<()> {
    match mailbox::listed(repository, OtherHistory::Accepted).await {
        Err(Error::NoMailbox) => {
            repository.remember(None);
            Ok(())
        }
        listed => listed.map(drop),
    }
}
