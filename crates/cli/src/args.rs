//! The command line. Nothing secret can be given here.

use std::convert::Infallible;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use model::mail_address::with_ascii_domain;

pub(crate) use crate::export_args::ExportArgs;
pub(crate) use crate::find_args::{CatArgs, DiffArgs, FindArgs};
#[cfg(feature = "fleet")]
use crate::fleet_args::FleetCommand;
use crate::numbers::SnapshotName;
pub(crate) use crate::restore_args::{Part, RestoreArgs};
pub(crate) use crate::upkeep_args::{HistoryArgs, InitArgs, KeyCommand, ReindexArgs, RepairArgs, RewrapArgs};

const ABOUT: &str = "Backs up mailboxes of a Stalwart mail server: incremental, encrypted, verified.

A backup copies one mailbox (emails, folders, filters, contacts, calendars, files: whatever the server
offers) into a store: a directory or a bucket. Each run adds a snapshot and fetches only what changed.
Everything is sealed with the keys in your key ring: keep that file safe and apart from the store;
without it no backup can be read, ever.";

/// The end of `malle --help`; the exit codes follow.
pub(crate) const MANUAL: &str = "Example:
  malle key new --output ring.key
  export MALLE_KEY_FILE=ring.key MALLE_STORE=file:///srv/backups
  malle init --zone here
  export MALLE_USER=alice@example.org MALLE_PASSWORD_FILE=/run/secrets/alice
  malle backup --server https://mail.example.org --account alice@example.org
  malle list   --account alice@example.org
  malle verify --account alice@example.org --read-data
  malle find   --account alice@example.org 'from:bob subject:invoice before:2026-01-01'

Environment:
  MALLE_STORE           the store's URL, as --store
  MALLE_KEY_FILE        the key ring, as --key-file
  MALLE_SERVER          the mail server, as --server
  MALLE_CA_FILE         PEM certificates of authorities to trust at the mail server, as --ca-file
  MALLE_ZONE            the zone the store must lie in, as --zone
  MALLE_CONFIG          the fleet's configuration, as --config
  MALLE_STATE_DIR       where this machine remembers how far it saw each mailbox's log, to notice a store that was
                        rolled back; by default malle in XDG_STATE_HOME, else ~/.local/state/malle
  MALLE_USER            who signs in at the mail server; by default the account itself
  MALLE_PASSWORD        their password; or MALLE_PASSWORD_FILE, a file that holds it
  MALLE_TOKEN           a bearer token (API key, OAuth) instead; or MALLE_TOKEN_FILE
  AWS_…                 for s3:// (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL, …)
  GOOGLE_…              for gs:// (GOOGLE_SERVICE_ACCOUNT, …)
  AZURE_…               for az:// (AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY, …)
  SSL_CERT_FILE         CA certificates instead of the system's, for mail server and bucket

Stores:
  file:///srv/backups          a directory, made by `malle init`
  s3://bucket/prefix           S3 and what speaks it (AWS_ENDPOINT_URL); the bucket must exist
  gs://bucket/prefix           Google Cloud Storage
  az://container/prefix        Azure Blob Storage
  memory:                      nowhere: for trying out
";

/// Everything on the command line.
#[derive(Debug, Parser)]
#[command(name = "malle", version, about = "Backs up mailboxes of a Stalwart mail server", long_about = ABOUT)]
#[command(propagate_version = true, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) talk: Talk,
}

/// How much is said, and to whom.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Talk {
    /// Print results as JSON, one object a line, and no progress
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Show no progress and no warnings
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Say more: of an error also what the store's library says
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a store: a directory or a bucket becomes a place for backups
    Init(InitArgs),
    /// Back up one mailbox: the first time all of it, then what changed
    Backup(BackupArgs),
    /// Give a snapshot back to an account
    Restore(RestoreArgs),
    /// Write a snapshot into files that other programs read: Maildir, mbox, Stalwart's own formats
    Export(ExportArgs),
    /// List the snapshots of a mailbox, or the mailboxes of the store
    List(ListArgs),
    /// Show one snapshot: what is in it, what is missing from it
    Show(ShowArgs),
    /// Find emails by sender, subject, date, folder, words: in all snapshots or in one
    Find(FindArgs),
    /// Show what differs between two snapshots: what came, went, moved, was flagged
    Diff(DiffArgs),
    /// Print one email, byte for byte as it was received
    Cat(CatArgs),
    /// Prove that the snapshots of one mailbox are complete and readable
    Verify(VerifyArgs),
    /// Prove it for every mailbox in the store
    Check(CheckArgs),
    /// Make whole again what is damaged, and fetch what is lost from the mail server
    Repair(RepairArgs),
    /// Read again what `malle find` looks at, where an earlier malle read it otherwise; asks no mail server
    Reindex(ReindexArgs),
    /// Make, change and inspect key rings
    #[command(subcommand)]
    Key(KeyCommand),
    #[cfg(feature = "fleet")]
    #[command(flatten)]
    Fleet(FleetCommand),
}

/// Where the backups lie and what opens them.
#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    /// Where the backups lie: file:///…, s3://…, gs://…, az://… or memory:
    #[arg(long, value_name = "URL", env = "MALLE_STORE", hide_env_values = true)]
    pub(crate) store: Option<String>,
    #[command(flatten)]
    pub(crate) key: KeyFile,
    /// The zone the store must lie in
    #[arg(long, env = "MALLE_ZONE")]
    pub(crate) zone: Option<String>,
    /// You promise that never two backups write to this store at once; lets stores without conditional create do
    #[arg(long)]
    pub(crate) single_writer: bool,
}

/// The key ring's place.
#[derive(Debug, Args)]
pub(crate) struct KeyFile {
    /// The key ring, made by `malle key new`
    #[arg(long, value_name = "FILE", env = "MALLE_KEY_FILE")]
    pub(crate) key_file: Option<PathBuf>,
}

/// The mail server and who signs in there.
#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    /// The mail server's address, or that of its JMAP session
    #[arg(long, value_name = "URL", env = "MALLE_SERVER", hide_env_values = true)]
    pub(crate) server: Option<String>,
    /// PEM file with certificates of authorities that the mail server's may come from, beside the system's
    #[arg(long, value_name = "FILE", env = "MALLE_CA_FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Who signs in; by default the account itself
    #[arg(long, value_name = "NAME", env = "MALLE_USER", hide_env_values = true)]
    pub(crate) user: Option<String>,
    /// Do not sign in as the owner of the account, too; subscriptions, and names of calendars and address books, are then those of
    /// who signs in
    #[arg(long)]
    pub(crate) not_as_owner: bool,
    /// Most requests in flight; the server's own limit bounds it too
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) concurrency: u8,
}

/// Reads the name of an account: of an address the domain is taken in the form in which mail servers store it.
pub(crate) fn account_name(text: &str) -> Result<String, Infallible> {
    Ok(with_ascii_domain(text))
}

/// Which mailbox of the store.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The mailbox: its account's name (address) or id on the mail server
    #[arg(long, short, value_parser = account_name)]
    pub(crate) account: Option<String>,
    /// Only mailboxes of the mail server that was backed up under this name
    #[arg(long, value_name = "NAME")]
    pub(crate) server_name: Option<String>,
    /// The mailbox by its directory in the store, as `malle list` shows it
    #[arg(long, value_name = "DIR", conflicts_with_all = ["account", "server_name"])]
    pub(crate) mailbox: Option<String>,
}

/// `malle backup`
#[derive(Debug, Args)]
#[command(after_help = "\
The result names what could not be fetched; exit code 3 says that there was something. It is tried again next time.
Credentials come from MALLE_USER with MALLE_PASSWORD or MALLE_PASSWORD_FILE, from MALLE_TOKEN or MALLE_TOKEN_FILE, or
a prompt on a terminal; never from the command line. An administrator with the server's `impersonate` permission may
back up any account.

Example:
  malle backup --server https://mail.example.org --account alice@example.org --store file:///srv/backups \\
      --key-file ring.key")]
pub(crate) struct BackupArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// The account, by its main address or name; by default the one that signs in
    #[arg(long, short, value_name = "NAME", value_parser = account_name)]
    pub(crate) account: Option<String>,
    /// The account, by its JMAP id
    #[arg(long, value_name = "ID", conflicts_with = "account")]
    pub(crate) account_id: Option<String>,
    /// The mail server's lasting name; never change it once backups were made. By default the host (and port) of --server, or
    /// what this machine was told to call that host
    #[arg(long, value_name = "NAME")]
    pub(crate) server_name: Option<String>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// List everything, although the server says what changed
    #[arg(long)]
    pub(crate) full: bool,
    /// Seconds until what came is first committed while the backup goes on; later it happens less often
    #[arg(long, value_name = "SECONDS", default_value_t = 10, hide = true, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) keep_every: u64,
    /// Begin with this key ring in a store whose mailboxes another ring opens
    #[arg(long)]
    pub(crate) new_ring: bool,
    /// Begin a history of an account although the store has one of the same id and name under another server's name
    #[arg(long)]
    pub(crate) new_history: bool,
    #[command(flatten)]
    pub(crate) history: HistoryArgs,
}

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
