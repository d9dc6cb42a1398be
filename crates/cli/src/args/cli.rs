//! The command line. Nothing secret can be given here.

use clap::{Parser, Subcommand};

use crate::args::backup::BackupArgs;
use crate::args::export::ExportArgs;
use crate::args::find::{CatArgs, DiffArgs, FindArgs, ListArgs, ShowArgs};
#[cfg(feature = "fleet")]
use crate::args::fleet::FleetCommand;
use crate::args::restore::RestoreArgs;
use crate::args::shared::Talk;
use crate::args::upkeep::{CheckArgs, InitArgs, KeyCommand, ReindexArgs, RepairArgs, VerifyArgs};

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
