//! The command line of the commands that look into snapshots.

use clap::Args;

use crate::args::shared::{StoreArgs, Which};
use crate::args::snapshot_name::SnapshotName;

/// `malle list`
#[derive(Debug, Args)]
#[command(after_help = "\
With --account: one line (with --json one object) a snapshot, oldest first. Without: one a mailbox. A snapshot that needs
something which is known to be lost is `damaged`. Exit code 9 says that a part of the log cannot be read.
Where a fleet makes the backups, numbers are the fleet's, here and wherever a command takes one; a snapshot that the fleet gave
none is called by its own: s7. Numbers that `malle catalog rebuild` gave are known to the catalogue alone.
In JSON, sizes are bytes, `duration` is seconds, `time` is when the snapshot was finished; `snapshot` is its own number, which every
command takes with an s before it.")]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) which: Which,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// `malle show`
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    pub(crate) which: Which,
    /// The number, as `malle list` shows it; by default the newest
    #[arg(long, value_name = "N")]
    pub(crate) snapshot: Option<SnapshotName>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// `malle find`
#[derive(Debug, Args)]
#[command(after_help = "\
A query is made of terms, and an email is found when all of them are true of it:
  invoice                   the word is in the subject, a sender, a recipient, the Message-ID or an attachment's name
  \"annual report\"           these words, one behind the other
  from:bob                  in a sender's name or address
  to:alice@example.org      in a recipient's (To, Cc)
  subject:\"annual report\"   in the subject
  message-id:<1@x.org>      the Message-ID is this one
  after:2025 before:2026-02-15
                            received from then on, before then; dates are UTC and mean their first moment: 2025, 2025-06,
                            2025-06-30 or 2025-06-30T18:00:00Z
  has:attachment            it has an attachment with a name
  folder:Archive/2025       in this folder or one inside it; in:Archive/2025 is this folder alone; inbox, sent, drafts, junk,
                            trash mean the folder with that role; a slash in a name is written \\/
  -from:bob                 a minus before any term: it must not be true
Upper and lower case and accents do not matter. Bodies are not searched. Put the query in single quotes for the shell, behind all options.

Each email is listed once, newest first, as it is in the newest snapshot that has it; SNAPSHOTS says in which ones it is.
`malle cat` prints it. That nothing is found is an answer: exit code 0 and an empty list.
In JSON, `received` is UTC, `size` bytes, `snapshots` a list of [first, last], `total` how many emails were found in all.

Example:
  malle find --account alice@example.org 'from:bob subject:invoice before:2026-01-01'
  malle find --account alice@example.org --snapshot 41 --json 'folder:Projects has:attachment'")]
pub(crate) struct FindArgs {
    /// What to look for, see below; several are taken together. Nothing: every email
    #[arg(value_name = "QUERY", allow_hyphen_values = true)]
    pub(crate) query: Vec<String>,
    #[command(flatten)]
    pub(crate) which: Which,
    /// Only in this snapshot; by default in all of them
    #[arg(long, value_name = "N")]
    pub(crate) snapshot: Option<SnapshotName>,
    /// How many emails are listed at most, the newest ones; all are counted
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// `malle diff`
#[derive(Debug, Args)]
#[command(after_help = "\
Without --verbose: how many emails came, went, lie in other folders, have other flags; what became of folders and other
objects. With it also every one of them. An email is the same one as long as the mail server gives it the same id:
  renumbered  came and went at once: the same bytes under a new id (copied and deleted, imported again, the account made anew)
  replaced    other bytes under the same id (the server went back to an old copy, or the account was made anew)
In JSON: with --verbose one object a change, `what` says which; in any case the counts as the last object, `what` is
\"counts\".

Example:
  malle diff 41 42 --account alice@example.org --verbose")]
pub(crate) struct DiffArgs {
    /// The number of the earlier snapshot, as `malle list` shows it
    #[arg(value_name = "FROM")]
    pub(crate) from: SnapshotName,
    /// The number of the later one
    #[arg(value_name = "TO")]
    pub(crate) to: SnapshotName,
    #[command(flatten)]
    pub(crate) which: Which,
    /// Name every change, not only how many there are; of an error also what the store's library says
    #[arg(long, short)]
    pub(crate) verbose: bool,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// `malle cat`
#[derive(Debug, Args)]
#[command(after_help = "\
Prints the bytes as they are, header and body, attachments encoded: redirect them to a file, which mail programs open.
`malle find` shows the ids. When the bytes turn out to be damaged half way the exit code is 9; do not use what was printed.

Example:
  malle cat --account alice@example.org --snapshot 41 eaaaaab > invoice.eml
  malle cat --account alice@example.org --message-id '<123@example.org>' > invoice.eml")]
pub(crate) struct CatArgs {
    /// The email's id, as `malle find` shows it
    #[arg(value_name = "EMAIL_ID", required_unless_present = "message_id")]
    pub(crate) email: Option<String>,
    /// The email by its Message-ID instead
    #[arg(long, value_name = "ID", conflicts_with = "email")]
    pub(crate) message_id: Option<String>,
    #[command(flatten)]
    pub(crate) which: Which,
    /// The number, as `malle list` shows it; by default the newest
    #[arg(long, value_name = "N")]
    pub(crate) snapshot: Option<SnapshotName>,
    /// Print to a terminal all the same: an email may hold bytes that change how it behaves
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}
