//! What is asked of a restore.

use std::fmt;
use std::time::Duration;

use futures::future::BoxFuture;
use jmap::Client;
pub use model::RestoreMode as Mode;
use model::{BackupNumber, Clock, DataType, EmailRecord};
use repository::{Repository, RestoreName, SnapshotInfo};

use crate::backup::options::Progress;

/// Names a restore, so that it can be gone on with: 8 digits and lower-case letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreId(String);

impl RestoreId {
    const LENGTH: usize = 8;

    /// A new one.
    pub fn random() -> RestoreId {
        const ALPHABET: &[u8; 32] = b"abcdefghijkmnopqrstuvwxyz2345678";
        let mut bytes = [0; RestoreId::LENGTH];
        getrandom::fill(&mut bytes).expect("the system has randomness");
        RestoreId(bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect())
    }

    /// Reads one that was printed.
    pub fn parse(text: &str) -> Option<RestoreId> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        (text.len() == RestoreId::LENGTH && text.chars().all(fits)).then(|| RestoreId(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the store calls it.
    pub(super) fn name(&self) -> RestoreName {
        self.0.parse().expect("the store's names of restores are our ids")
    }
}

impl fmt::Display for RestoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How long a busy mail server was seen to work on one request: [`Restore::under_way`] for all but tests.
pub const UNDER_WAY: Duration = Duration::from_secs(3);

/// Is told what a dry run finds.
pub type Tell<'a> = dyn Fn(&Planned<'_>) + Send + Sync + 'a;

/// One thing that a restore would do.
#[derive(Debug, Clone, Copy)]
pub struct Planned<'a> {
    /// What would be done.
    pub act: Act,
    /// To what.
    pub data_type: DataType,
    /// Its id: of what is created the snapshot's (empty if only the restore itself needs it), of anything else the account's.
    pub id: &'a str,
    /// What people call it: subject, path or name; of an email that goes, when it came.
    pub name: &'a str,
}

/// What is done to one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// It comes back.
    Create,
    /// It is there and becomes what it was.
    Change,
    /// It is too much and goes.
    Remove,
}

impl Act {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Act::Create => "create",
            Act::Change => "change",
            Act::Remove => "remove",
        }
    }
}

/// Gives backups numbers of its own, and keeps a list of them.
pub trait Register: Send + Sync {
    /// The number that the next backup carries.
    fn number(&self) -> BoxFuture<'_, Result<BackupNumber, RegisterError>>;
    /// The backup that carries the number was committed. Nothing is destroyed before this is done.
    fn enter<'a>(&'a self, made: &'a SnapshotInfo) -> BoxFuture<'a, Result<(), RegisterError>>;
}

/// Why a register could not do it.
pub type RegisterError = Box<dyn std::error::Error + Send + Sync>;

/// What a restore needs to know besides where from and where to.
pub struct Restore<'a> {
    /// How it comes back.
    pub mode: Mode,
    /// A new id, or that of a restore to go on with.
    pub id: RestoreId,
    /// Signed in as the account's owner, where somebody else signs in otherwise: folders, calendars and address books that come back
    /// are then subscribed by their owner, and have their names. Without it the owner's subscriptions are left alone.
    pub owner: Option<&'a Client>,
    /// How long the mail server may go on with requests of a process that is gone: an attempt that takes a restore over ends no sooner.
    pub under_way: Duration,
    /// The snapshot is one of this very account, so that equal ids may name the same email.
    pub same_account: bool,
    /// Where it is written down what this restore is: the repository of the snapshot.
    pub records: &'a Repository,
    /// The name of the account's mail server.
    pub server: &'a str,
    /// The selection that `wanted` stands for, as it was written.
    pub select: Option<&'a str>,
    /// Where the account itself is backed up to, before anything is destroyed (mode *exact*).
    pub safety: Option<&'a Repository>,
    /// Where such backups are entered, if anywhere but in their log.
    pub register: Option<&'a dyn Register>,
    /// The types that come back; folders only together with emails.
    pub types: &'a [DataType],
    /// Share again what was shared with others. Only for the account that the snapshot is of.
    pub grant_shares: bool,
    /// What the server refuses because it is no email comes back as the attachment of one.
    pub wrap_refused: bool,
    /// Which emails are wanted; all of them in mode *exact*.
    pub wanted: &'a (dyn Fn(&EmailRecord) -> bool + Send + Sync),
    /// Do nothing, and tell each thing that would be done.
    pub dry_run: Option<&'a Tell<'a>>,
    /// Told what is going on.
    pub progress: &'a dyn Progress,
    /// The time.
    pub clock: &'a dyn Clock,
}
