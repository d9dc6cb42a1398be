//! Finding a mailbox in the store without asking a mail server.

use anyhow::{Context, Result};
use futures::{StreamExt, stream};
use model::MailboxIdentity;
use repository::{Error, KeyRing, MailboxDir, Repository, SnapshotInfo, Store};

use crate::args::Which;
use crate::exit::Exit;
use crate::failure::Failure;

/// Mailboxes opened at the same time.
const OPENING: usize = 8;
/// More mailboxes than this are not listed in an error.
const NAMED: usize = 5;

/// A mailbox that the ring opens.
#[derive(Debug)]
pub(crate) struct Mailbox {
    pub(crate) repository: Repository,
    pub(crate) identity: MailboxIdentity,
    /// The account's name when its backups began.
    pub(crate) first_name: String,
    pub(crate) snapshots: Vec<SnapshotInfo>,
}

impl Mailbox {
    /// The account's name at the newest snapshot: addresses change, mailboxes stay.
    pub(crate) fn name(&self) -> &str {
        self.snapshots.last().map_or(&self.first_name, |newest| &newest.summary.account_name)
    }

    fn describe(&self) -> String {
        let (name, server, dir) = (self.name(), &self.identity.server, self.repository.dir());
        format!("{name} on {server} ({dir})")
    }
}

/// A directory of the store and what the ring makes of it.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) dir: MailboxDir,
    /// `None`: a backup was cut off before it began, nothing is there yet.
    pub(crate) mailbox: repository::Result<Option<Mailbox>>,
}

/// Opens every mailbox of the store, ordered by directory.
pub(crate) async fn open_all(store: &Store, ring: &KeyRing) -> Result<Vec<Opened>> {
    let dirs = store.mailboxes().await.context("list the mailboxes")?;
    let opening = stream::iter(dirs).map(|dir| async move {
        let mailbox = open(store, ring, dir).await;
        Opened { dir, mailbox }
    });
    let mut opened: Vec<Opened> = opening.buffer_unordered(OPENING).collect().await;
    opened.sort_by_key(|opened| opened.dir);
    Ok(opened)
}

/// Opens one directory.
async fn open(store: &Store, ring: &KeyRing, dir: MailboxDir) -> repository::Result<Option<Mailbox>> {
    let repository = match store.mailbox(ring, dir).await {
        Ok(repository) => repository,
        Err(Error::NoMailbox) => return Ok(None),
        Err(error) => return Err(error),
    };
    let snapshots = match repository.snapshots().await {
        Ok(snapshots) => snapshots,
        Err(Error::NoMailbox) => return Ok(None),
        Err(error) => return Err(error),
    };
    let (identity, first_name) = repository.identity().await?;
    Ok(Some(Mailbox { repository, identity, first_name, snapshots }))
}

/// The one mailbox that is meant.
pub(crate) async fn find(store: &Store, ring: &KeyRing, which: &Which) -> Result<Mailbox> {
    if let Some(dir) = &which.mailbox {
        let dir = dir.parse().map_err(|()| {
            let hint = "`malle list` shows the directories, 32 hexadecimal digits each";
            Failure::usage("read --mailbox: it is no mailbox's directory", hint)
        })?;
        let found = open(store, ring, dir).await.context("open the mailbox")?;
        return Ok(found.ok_or(Error::NoMailbox)?);
    }
    let account = which.account.as_deref().ok_or_else(|| {
        let hint = "give --account; `malle list` shows all mailboxes of the store";
        Failure::usage("choose a mailbox: none is named", hint)
    })?;
    let mut mailboxes = Vec::new();
    let mut unopened = Vec::new();
    for opened in open_all(store, ring).await? {
        match opened.mailbox {
            Ok(mailbox) => mailboxes.extend(mailbox),
            Err(error) => unopened.push(error),
        }
    }
    if let Some(server) = &which.server_name {
        mailboxes.retain(|mailbox| mailbox.identity.server.eq_ignore_ascii_case(server));
    }
    let others = mailboxes.len();
    one(matching(mailboxes, account), account, others, unopened)
}

/// Those that carry the name now or have it as id; only if there are none, those that began under it.
fn matching(mailboxes: Vec<Mailbox>, account: &str) -> Vec<Mailbox> {
    let is = |name: &str| name.eq_ignore_ascii_case(account);
    let (now, rest): (Vec<_>, Vec<_>) = mailboxes
        .into_iter()
        .partition(|mailbox| is(mailbox.name()) || mailbox.identity.account.as_str() == account);
    if now.is_empty() { rest.into_iter().filter(|mailbox| is(&mailbox.first_name)).collect() } else { now }
}

fn one(mut found: Vec<Mailbox>, account: &str, others: usize, mut unopened: Vec<Error>) -> Result<Mailbox> {
    match (found.len(), unopened.len()) {
        (1, _) => Ok(found.remove(0)),
        (0, 0) => {
            let what =
                format!("find {account}: none of the store's mailboxes is called so ({others} looked at)");
            let hint = "`malle list` shows all mailboxes; check --account and --store";
            Err(Failure::new(Exit::NotFound, what, hint).into())
        }
        (0, failed) => {
            let context =
                format!("find {account}: {failed} of the store's mailboxes do not open; the first one");
            Err(anyhow::Error::from(unopened.remove(0)).context(context))
        }
        _ => {
            let names: Vec<String> = found.iter().take(NAMED).map(Mailbox::describe).collect();
            let what =
                format!("find {account}: {} mailboxes are called so: {}", found.len(), names.join(", "));
            Err(Failure::new(Exit::NotFound, what, "choose with --server-name or --mailbox").into())
        }
    }
}
