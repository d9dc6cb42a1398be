//! Finding a mailbox in the store without asking a mail server.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use futures::{StreamExt, stream};
use model::mail_address::to_ascii;
use model::{ErrorClass, LogPosition, MailboxIdentity, SnapshotNumber, SystemClock};
use repository::{
    Error, HistoryFault, KeyRing, Listing, MailboxDir, Object, Repository, Snapshot, SnapshotInfo, Store,
};

use crate::args::shared::{HistoryArgs, Which};
use crate::args::snapshot_name::SnapshotName;
use crate::mailboxes::numbers::Numbers;
use crate::mailboxes::snapshot_row::SnapshotRow;
use crate::store::memory::{Memory, Watch};
use crate::terminal::exit::Exit;
use crate::terminal::failure::{Failure, one_line};
use crate::terminal::output::remark;

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
    /// What they are called.
    pub(crate) numbers: Numbers,
    /// Those of them that refer to what is known to be missing or damaged.
    pub(crate) damaged: BTreeSet<SnapshotNumber>,
    /// Log entries that are missing or damaged; each may have been a snapshot.
    pub(crate) unreadable: BTreeSet<u64>,
    /// Writes down how far the log was seen.
    _watch: Watch,
}

impl Mailbox {
    /// The account's name at the newest snapshot: addresses change, mailboxes stay.
    pub(crate) fn name(&self) -> &str {
        self.snapshots.last().map_or(&self.first_name, |newest| &newest.summary.account_name)
    }

    /// A snapshot as it is printed; one that needs what is lost is never called good.
    pub(crate) fn row(&self, info: &SnapshotInfo) -> SnapshotRow {
        let row = SnapshotRow::of(info, &self.numbers);
        if self.damaged.contains(&info.number) { row.damaged() } else { row }
    }

    /// Opens the snapshot that is named, the newest if none is.
    pub(crate) async fn snapshot(&self, name: Option<SnapshotName>) -> Result<Snapshot> {
        let number = name.map(|name| self.find(name)).transpose()?;
        Ok(self.repository.snapshot(number).await?)
    }

    /// The same as far as its rows can be read; says so if that is not all of it.
    pub(crate) async fn readable(&self, snapshot: Snapshot) -> Result<Snapshot> {
        let snapshot = self.repository.readable(snapshot).await?;
        if snapshot.lacks_rows() {
            let damaged = snapshot.damage_met();
            let names: Vec<String> = damaged.iter().map(Object::relative).collect();
            note(&self.repository, damaged).await;
            let name = self.numbers.name(snapshot.info().number);
            remark(format_args!(
                "a part of the index of snapshot {name} is lost ({}): what that part named does not come back, and what it replaced or \
                 removed comes back as it was before; another snapshot may be whole (`malle list`)",
                one_line(&names.join(", "), 200)
            ));
        }
        Ok(snapshot)
    }

    /// The snapshot that is named. Where numbers are the log's own, whether it is there is for the repository to say.
    pub(crate) fn find(&self, name: SnapshotName) -> Result<SnapshotNumber, Failure> {
        let number = self.numbers.find(name);
        // An entry that cannot be read may be it.
        let is_there = |number: &SnapshotNumber| {
            !self.numbers.is_of_fleet()
                || self.snapshots.iter().any(|info| info.number == *number)
                || self.unreadable.contains(&number.0)
        };
        number.filter(is_there).ok_or_else(|| {
            let names: Vec<_> =
                self.snapshots.iter().rev().map(|info| self.numbers.name(info.number)).collect();
            let what = format!("find backup {name}: the mailbox has {}", one_line(&names.join(", "), 200));
            let hint =
                "`malle list --account …` shows the numbers; what the fleet gave none is called like s7";
            Failure::new(Exit::NotFound, what, hint)
        })
    }

    /// Names log entries that cannot be read, on standard error. Returns what that means for the exit code.
    pub(crate) fn name_unreadable(&self) -> Exit {
        let newest = self.snapshots.last().map_or(0, |newest| newest.number.0);
        for number in &self.unreadable {
            let name = one_line(self.name(), 200);
            let next = if *number > newest { "; the next `malle backup` begins behind it" } else { "" };
            remark(format_args!(
                "log entry {number} of {name} is missing or damaged; if it was a snapshot, that one cannot be restored any more, \
                 and the others are as they are listed{next}"
            ));
        }
        if self.unreadable.is_empty() { Exit::Good } else { Exit::Damage }
    }

    pub(crate) fn describe(&self) -> String {
        let (name, server, dir) = (self.name(), &self.identity.server, self.repository.dir());
        let last =
            self.snapshots.last().map_or("never".to_owned(), |newest| format!("{:.0}", newest.finished));
        format!("{name} on {server} ({dir}, backed up last {last})")
    }
}

/// What to do with a log that is not a continuation of what is remembered of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OtherHistory {
    /// The command ends with `Error::History`.
    Refused,
    /// An entry that says so is appended, and the command goes on.
    Accepted,
}

impl From<&HistoryArgs> for OtherHistory {
    fn from(args: &HistoryArgs) -> OtherHistory {
        if args.accept_history { OtherHistory::Accepted } else { OtherHistory::Refused }
    }
}

/// A directory of the store and what the ring makes of it.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) dir: MailboxDir,
    /// `None`: a backup was cut off before it began, nothing is there yet.
    pub(crate) mailbox: repository::Result<Option<Mailbox>>,
}

impl Opened {
    /// Returns the mailbox, or `None` if it belongs to another ring or cannot be read. A store that does not answer is an error:
    /// what could not be looked at may be what is looked for. So is a history that nobody accepted.
    pub(crate) fn of_ring(self) -> repository::Result<Option<Mailbox>> {
        match self.mailbox {
            Err(Error::WrongKey { .. }) => Ok(None),
            Err(error @ Error::History { .. }) => Err(error),
            Err(error) if matches!(error.class(), ErrorClass::Transient { .. } | ErrorClass::Auth) => {
                Err(error)
            }
            opened => Ok(opened.ok().flatten()),
        }
    }
}

/// Opens every mailbox of the store, ordered by directory.
pub(crate) async fn open_all(store: &Store, ring: &KeyRing) -> Result<Vec<Opened>> {
    open_all_with(store, ring, OtherHistory::Refused).await
}

/// The same for who may accept another history of each.
pub(crate) async fn open_all_with(
    store: &Store,
    ring: &KeyRing,
    history: OtherHistory,
) -> Result<Vec<Opened>> {
    let mut dirs = store.mailboxes().await.context("list the mailboxes")?;
    let opener = Opener { store, ring, memory: Memory::of(store), history };
    // One that was seen here and of which nothing is left is no less than one whose log was rolled back.
    dirs.extend(opener.memory.mailboxes());
    dirs.sort_unstable();
    dirs.dedup();
    let mut known = Vec::new();
    for dir in dirs {
        known.push((dir, opener.memory.position(dir)?));
    }
    let opener = &opener;
    let opening = stream::iter(known).map(|(dir, known)| async move {
        let mailbox = opener.open(dir, known).await;
        Opened { dir, mailbox }
    });
    let mut opened: Vec<Opened> = opening.buffer_unordered(OPENING).collect().await;
    opened.sort_by_key(|opened| opened.dir);
    Ok(opened)
}

/// Opens mailboxes of one store.
struct Opener<'a> {
    store: &'a Store,
    ring: &'a KeyRing,
    memory: Memory,
    history: OtherHistory,
}

impl Opener<'_> {
    /// Opens one directory, of whose log this much is known.
    async fn open(&self, dir: MailboxDir, known: Option<LogPosition>) -> repository::Result<Option<Mailbox>> {
        match self.open_begun(dir, known).await {
            Err(Error::NoMailbox) if known.is_some() && self.history == OtherHistory::Refused => {
                Err(all_gone(known))
            }
            Err(Error::NoMailbox) => {
                self.memory.forget(dir);
                Ok(None)
            }
            opened => opened.map(Some),
        }
    }

    async fn open_begun(&self, dir: MailboxDir, known: Option<LogPosition>) -> repository::Result<Mailbox> {
        let repository = self.store.mailbox(self.ring, dir).await?;
        let watch = self.memory.watch(&repository, known);
        let Listing { snapshots, damaged, unreadable } = listed(&repository, self.history).await?;
        let (identity, first_name) = repository.identity().await?;
        let numbers = Numbers::of(&snapshots);
        Ok(Mailbox {
            repository,
            identity,
            first_name,
            snapshots,
            numbers,
            damaged,
            unreadable,
            _watch: watch,
        })
    }

    /// Whether the mailbox in a directory is the one that is meant, whatever its history. Remembers nothing of it.
    async fn is_meant(&self, dir: MailboxDir, which: &Which, account: &str) -> repository::Result<bool> {
        let repository = self.store.mailbox(self.ring, dir).await?;
        let (identity, first_name) = repository.identity().await?;
        let names = match repository.snapshots().await {
            Ok(snapshots) => snapshots.last().map(|newest| newest.summary.account_name.clone()),
            Err(Error::History { .. }) => None,
            Err(error) => return Err(error),
        };
        let name = names.as_deref().unwrap_or(&first_name);
        let is_called_so = to_ascii(name) == to_ascii(account) || identity.account.as_str() == account;
        let server = which.server_name.as_deref();
        Ok(is_called_so && server.is_none_or(|server| identity.server.eq_ignore_ascii_case(server)))
    }
}

/// Everything of a mailbox is gone, which is no beginning.
pub(crate) fn all_gone(remembered: Option<LogPosition>) -> Error {
    let found = LogPosition { number: 0, digest: [0; 32] };
    Error::History { remembered, found, fault: HistoryFault::RolledBack }
}

/// The snapshots of a mailbox; another history than the remembered one is accepted first if that may be.
pub(crate) async fn listed(repository: &Repository, history: OtherHistory) -> repository::Result<Listing> {
    match repository.listing().await {
        Err(Error::History { .. }) if history == OtherHistory::Accepted => {
            repository.accept_history(&SystemClock).await?;
            repository.listing().await
        }
        listed => listed,
    }
}

/// The one mailbox that is meant.
pub(crate) async fn find(store: &Store, ring: &KeyRing, which: &Which) -> Result<Mailbox> {
    find_with(store, ring, which, OtherHistory::Refused).await
}

/// The same for who may accept another history of it.
pub(crate) async fn find_with(
    store: &Store,
    ring: &KeyRing,
    which: &Which,
    history: OtherHistory,
) -> Result<Mailbox> {
    if let Some(dir) = &which.mailbox {
        let dir = dir.parse().map_err(|()| {
            let hint = "`malle list` shows the directories, 32 hexadecimal digits each";
            Failure::usage("read --mailbox: it is no mailbox's directory", hint)
        })?;
        let opener = Opener { store, ring, memory: Memory::of(store), history };
        let known = opener.memory.position(dir)?;
        return opener.open_begun(dir, known).await.context("open the mailbox");
    }
    let account = which.account.as_deref().ok_or_else(|| {
        let hint = "give --account; `malle list` shows all mailboxes of the store";
        Failure::usage("choose a mailbox: none is named", hint)
    })?;
    let mut mailboxes = Vec::new();
    let mut unopened = Vec::new();
    for Opened { dir, mailbox } in open_all(store, ring).await? {
        let mailbox = match mailbox {
            Err(error @ Error::History { .. }) if history == OtherHistory::Accepted => {
                accepted(store, ring, (dir, which, account), error).await?
            }
            mailbox => mailbox,
        };
        match mailbox {
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

/// Accepts the history of a mailbox if it is the one that is meant; others keep their error.
async fn accepted(
    store: &Store,
    ring: &KeyRing,
    (dir, which, account): (MailboxDir, &Which, &str),
    error: Error,
) -> Result<repository::Result<Option<Mailbox>>> {
    let opener = Opener { store, ring, memory: Memory::of(store), history: OtherHistory::Accepted };
    match opener.is_meant(dir, which, account).await {
        Ok(true) => {
            let known = opener.memory.position(dir)?;
            Ok(opener.open(dir, known).await)
        }
        _ => Ok(Err(error)),
    }
}

/// Those that carry the name now or have it as id; only if there are none, those that began under it.
fn matching(mailboxes: Vec<Mailbox>, account: &str) -> Vec<Mailbox> {
    let is = |name: &str| to_ascii(name) == to_ascii(account);
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

/// Does something with a mailbox. The pack or segment that an error names as damaged is noted in the log.
pub(crate) async fn noting<T>(repository: &Repository, work: impl Future<Output = Result<T>>) -> Result<T> {
    let ended = work.await;
    if let Err(error) = &ended {
        note(repository, damaged_by(error)).await;
    }
    ended
}

/// Notes in the log what is missing or damaged, so that the next backup fetches it again. Best effort: a store that may not
/// be written to is no failure.
pub(crate) async fn note(repository: &Repository, damaged: impl IntoIterator<Item = Object>) {
    let mut damaged = damaged.into_iter().peekable();
    if damaged.peek().is_some() {
        let _ = repository.note_damage(damaged, &SystemClock).await;
    }
}

fn damaged_by(error: &anyhow::Error) -> Option<Object> {
    error.chain().find_map(|cause| {
        let of_engine = match cause.downcast_ref::<engine::Error>() {
            Some(engine::Error::Repository(error)) => Some(error),
            _ => None,
        };
        cause.downcast_ref::<Error>().or(of_engine)?.damaged()
    })
}
