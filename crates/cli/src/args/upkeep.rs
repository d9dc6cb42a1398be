//! The command line of what makes, proves, mends and re-keys stores.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::args::shared::{HistoryArgs, KeyFile, ServerArgs, StoreArgs, Which};
use crate::args::snapshot_name::SnapshotName;

/// `malle init`
#[derive(Debug, Args)]
#[command(after_help = "\
Nothing else makes a store: one that is not there has vanished, or its URL is mistyped. A place that is a store already
stays as it is. A bucket must exist. The zone says where the store lies and never changes.

Examples:
  malle init --store file:///srv/backups --zone fr-par
  malle init --config malle.toml        # each store of the fleet")]
pub(crate) struct InitArgs {
    /// Where the backups are to lie: file:///…, s3://…, gs://… or az://…
    #[arg(long, value_name = "URL", env = "MALLE_STORE", hide_env_values = true)]
    pub(crate) store: Option<String>,
    /// The zone in which that is
    #[arg(long, env = "MALLE_ZONE")]
    pub(crate) zone: Option<String>,
    /// You promise that never two backups write to this store at once; lets stores without conditional create do
    #[arg(long)]
    pub(crate) single_writer: bool,
    /// Make another store where this machine has used one that is gone for good
    #[arg(long)]
    pub(crate) again: bool,
    /// Make each store of the fleet's configuration instead
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// `malle verify`
#[derive(Debug, Args)]
#[command(
    after_help = "Exit code 9 says that something is damaged; each problem is named. 6: nothing is backed up yet."
)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Only this snapshot; by default all of the mailbox
    #[arg(long, value_name = "N")]
    pub(crate) snapshot: Option<SnapshotName>,
    /// Read every byte and compare its hash, not only that everything is there
    #[arg(long)]
    pub(crate) read_data: bool,
    #[command(flatten)]
    pub(crate) history: HistoryArgs,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// `malle check`
#[derive(Debug, Args)]
#[command(
    after_help = "Exit code 9 says that something is damaged; each problem is named. 6: nothing is backed up yet."
)]
pub(crate) struct CheckArgs {
    /// Read every byte and compare its hash, not only that everything is there
    #[arg(long)]
    pub(crate) read_data: bool,
    #[command(flatten)]
    pub(crate) history: HistoryArgs,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// `malle repair`
#[derive(Debug, Args)]
#[command(after_help = "\
Reads every byte of one mailbox, or of all. Small objects that lie twice are written again from their second copy; what
is lost is noted in the log, and fetched again by a full backup if a mailbox and a mail server are named, else by the
next `malle backup`. Exit code 0 says that all is whole, 3 that the newest snapshot is as whole as it can be and something
else stays lost (older snapshots, log entries, what the mail server has not any more), 9 that a backup is needed.
Credentials are given as for `malle backup`.

Example:
  malle repair --account alice@example.org --server https://mail.example.org")]
pub(crate) struct RepairArgs {
    #[command(flatten)]
    pub(crate) which: Which,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(flatten)]
    pub(crate) history: HistoryArgs,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// `malle reindex`
#[derive(Debug, Args)]
#[command(after_help = "\
What `malle find` and selections look at (senders, subjects, dates, names of attachments) is read from an email once, when
it is backed up. Where an earlier malle read it otherwise than this one does, this command reads it again from the stored email
and makes a snapshot that differs from the newest one in nothing else. It asks no mail server. Each backup that lists everything does
the same for some emails. Of one mailbox, or of all; killed anywhere, it is run again. Older snapshots stay as they are.
Exit code 9 says that emails were skipped whose bytes are damaged or lost; 10 that a backup is under way or was cut off, which has to
come to its end first; 6 that nothing is backed up yet.

Example:
  malle reindex --account alice@example.org")]
pub(crate) struct ReindexArgs {
    #[command(flatten)]
    pub(crate) which: Which,
    #[command(flatten)]
    pub(crate) history: HistoryArgs,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// `malle key`
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a key ring: malle key new --output ring.key
    #[command(
        after_help = "The file is the secret itself: keep a copy somewhere safe, apart from the backups."
    )]
    New {
        /// Write to this file, which must not exist yet, instead of standard output
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Print the secret although standard output is a terminal
        #[arg(long)]
        force: bool,
    },
    /// Show the ids of the master keys in a ring; they tell nothing about the keys
    List(KeyFile),
    /// Put a new current master key into the ring file, in place; the older ones stay
    #[command(after_help = "\
New mailboxes use the new key at once. Run `malle key rewrap` to move the existing ones to it, and take a new safe copy
of the ring. The file is replaced as a whole: a crash leaves the old one.")]
    Rotate(KeyFile),
    /// Wrap the keys of all mailboxes in the store with the ring's current master key
    #[command(after_help = "\
The wraps with older master keys of this ring go, but for one: so that the ring as it was before still opens everything
until there is a safe copy of the new one. Emails are not written again: this takes a moment.")]
    Rewrap(RewrapArgs),
}

/// `malle key rewrap`
#[derive(Debug, Args)]
pub(crate) struct RewrapArgs {
    /// A safe copy of the ring as it is now exists: remove all wraps with older master keys
    #[arg(long)]
    pub(crate) safe_copy_exists: bool,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}
