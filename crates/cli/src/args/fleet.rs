//! The command line of the fleet: roles that run for good, and what operators ask of them.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use model::{JobKind, RestoreMode};

use crate::args::restore::restore_mode;

/// What a fleet does, and what its operators ask of it.
#[derive(Debug, Subcommand)]
pub(crate) enum FleetCommand {
    /// Fleet: plan what is due, publish tickets, grant requests; runs until it is told to stop
    Produce(RoleArgs),
    /// Fleet: run jobs; runs until it is told to stop
    Work(RoleArgs),
    /// Fleet: bring the catalogue's schema up to date
    Migrate(RoleArgs),
    /// Fleet: make the catalogue again from the stores
    #[command(subcommand)]
    Catalog(CatalogCommand),
    /// Fleet: look at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Fleet: which mailboxes there are
    #[command(subcommand)]
    Mailbox(MailboxCommand),
    /// Fleet: ask for a backup of one mailbox now (professional plans)
    Enqueue(EnqueueArgs),
    /// Fleet: messages that nobody could use
    #[command(subcommand)]
    Dlq(DlqCommand),
    /// Fleet: jobs whose last attempt failed
    #[command(subcommand)]
    Job(JobCommand),
    /// Fleet: watch queues, workers and running jobs
    Top(TopArgs),
}

impl FleetCommand {
    /// Whether it runs until it is told to stop.
    pub(crate) fn is_role(&self) -> bool {
        matches!(self, FleetCommand::Produce(_) | FleetCommand::Work(_))
    }
}

/// Where the fleet's configuration is.
#[derive(Debug, Args)]
pub(crate) struct ConfigFile {
    /// The fleet's configuration (deploy/malle.toml is an example)
    #[arg(long, value_name = "FILE", env = "MALLE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
}

/// Only the configuration.
#[derive(Debug, Args)]
pub(crate) struct RoleArgs {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
}

/// What is done with a configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Read it, try every connection it names, and say what is wrong, a line each
    Check(RoleArgs),
}

/// The catalogue in Postgres.
#[derive(Debug, Subcommand)]
pub(crate) enum CatalogCommand {
    /// Write down again which backups there are, from the stores alone: after Postgres was lost, or came back old
    Rebuild(RebuildArgs),
}

/// A catalogue made anew.
#[derive(Debug, Args)]
#[command(after_help = "\
First `malle migrate`, then this, then `malle mailbox import` (plans are not in the stores), then producers and workers. Doing it
again, or on a catalogue that is whole, changes nothing; cut off, do it again.

Backups keep their numbers. Snapshots without one (made by `malle backup`) get one above all others. Of two snapshots of one number
the first keeps it; the other was made by a worker that had lost its claim, nobody has seen it, and it gets none.")]
pub(crate) struct RebuildArgs {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// Read the stores and say what is there; do not even connect to Postgres
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// The directory of mailboxes.
#[derive(Debug, Subcommand)]
pub(crate) enum MailboxCommand {
    /// Write down which mailboxes a server has, and on which plans
    Import(ImportArgs),
    /// List mailboxes that have been gone for longer than their backups are kept
    Expired(ExpiredList),
    /// List the backups of a mailbox, the newest first
    Backups(MailboxBackups),
    /// Accept a mailbox's log as the stores show it, after a store was put back or exchanged; marks backups that are lost as damaged
    AcceptHistory(HistoryAccept),
}

/// One mailbox.
#[derive(Debug, Args)]
pub(crate) struct MailboxBackups {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// The mailbox's address, or its number
    pub(crate) mailbox: String,
    /// At most so many
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: u32,
}

/// A mailbox whose store is not a continuation of what is remembered.
#[derive(Debug, Args)]
pub(crate) struct HistoryAccept {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// The mailbox's address, or its number
    pub(crate) mailbox: String,
    /// Also where a store has nothing of the mailbox any more: its next backup there starts a new history
    #[arg(long)]
    pub(crate) new_history: bool,
}

/// Mailboxes nobody keeps backups for any more.
#[derive(Debug, Args)]
pub(crate) struct ExpiredList {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
}

/// A list of mailboxes.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// CSV with a header line (address,account,plan,zone,time_zone,tenant,groups,kind) or JSON lines; - is standard input
    #[arg(required_unless_present = "accept_drop")]
    pub(crate) file: Option<PathBuf>,
    /// The server they are on, by its name in the configuration
    #[arg(long, value_name = "NAME")]
    pub(crate) server: String,
    /// How the list is written; by default what its name says, else CSV
    #[arg(long)]
    pub(crate) format: Option<ListFormat>,
    /// The list is whole: mailboxes of the server that it leaves out, and that another whole list an hour later leaves out too, are
    /// gone. Their backups stay
    #[arg(long)]
    pub(crate) whole: bool,
    /// With --whole: a list that would drop a larger share of the server's mailboxes is refused
    #[arg(long, value_name = "PERCENT", default_value_t = 5, requires = "whole", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(crate) drop_at_most: u8,
    /// However many mailboxes are left out, they may go: of a whole list, or without a file of what the server itself names
    /// (its `discover`)
    #[arg(long, conflicts_with = "drop_at_most")]
    pub(crate) accept_drop: bool,
    /// Write the good lines although others cannot be used
    #[arg(long)]
    pub(crate) skip_bad_lines: bool,
}

/// How a list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListFormat {
    /// With a header line
    Csv,
    /// One JSON object a line
    JsonLines,
}

/// A job for one mailbox; without --restore or --verify a backup by hand.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  malle enqueue alice@example.org
  malle mailbox backups alice@example.org
  malle enqueue alice@example.org --restore 4711 --mode missing
  malle enqueue 12 --restore 4711 --mode missing --to-account bob@example.org")]
pub(crate) struct EnqueueArgs {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// The mailbox's address, or its number
    pub(crate) mailbox: String,
    /// List everything, whatever the mail server says of changes: after its database was put back to an older copy
    #[arg(long)]
    pub(crate) full: bool,
    /// Give this backup of the mailbox back
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["full", "verify"])]
    pub(crate) restore: Option<u64>,
    /// How it comes back; by default beside
    #[arg(long, value_parser = restore_mode(), requires = "restore")]
    pub(crate) mode: Option<RestoreMode>,
    /// Only emails that this finds, as in `malle find`; not with --mode exact
    #[arg(long, value_name = "QUERY", requires = "restore")]
    pub(crate) select: Option<String>,
    /// Bring what the mail server refuses because it is no email as the attachment of an email that says so
    #[arg(long, requires = "restore")]
    pub(crate) wrap_refused: bool,
    /// Give it to this mailbox instead, by address or number: the one that it is of is gone, or its owner has another one
    #[arg(long, value_name = "MAILBOX", requires = "restore")]
    pub(crate) to_account: Option<String>,
    /// That mailbox need not be known to be the same customer's (one tenant's on one server)
    #[arg(long, requires = "to_account")]
    pub(crate) any_customer: bool,
    /// Yes, remove what the backup does not have (--mode exact)
    #[arg(long, requires = "restore")]
    pub(crate) yes: bool,
    /// Read every byte of this backup of the mailbox again
    #[arg(long, value_name = "NUMBER", conflicts_with = "full")]
    pub(crate) verify: Option<u64>,
    /// Asking again with the same key answers the same job
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
}

/// Messages that nobody could use.
#[derive(Debug, Subcommand)]
pub(crate) enum DlqCommand {
    /// List them, oldest first
    List(DlqList),
    /// Show what one says
    Show(DlqPick),
    /// Put them back into the queues they came from
    Redrive(DlqPicks),
    /// Remove them for good
    Drop(DlqPicks),
}

/// How many.
#[derive(Debug, Args)]
pub(crate) struct DlqList {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// At most so many
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: usize,
}

/// One of them.
#[derive(Debug, Args)]
pub(crate) struct DlqPick {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// Its id, from `malle dlq list`
    pub(crate) id: String,
}

/// Some of them.
#[derive(Debug, Args)]
pub(crate) struct DlqPicks {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// Their ids, from `malle dlq list`
    #[arg(required_unless_present = "all")]
    pub(crate) ids: Vec<String>,
    /// Every one
    #[arg(long, conflicts_with = "ids")]
    pub(crate) all: bool,
}

/// Jobs whose last attempt failed.
#[derive(Debug, Subcommand)]
pub(crate) enum JobCommand {
    /// List them, by kind and number, with why and when
    Dead(DeadList),
    /// Give them all their attempts back; they are due at once
    Redrive(JobPicks),
    /// End them as cancelled, for good: nobody wants them any more. The audit log says so
    Drop(JobDrop),
}

/// Which dead jobs are shown.
#[derive(Debug, Args)]
pub(crate) struct DeadList {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// Only of this kind
    #[arg(long)]
    pub(crate) kind: Option<JobKind>,
    /// At most so many
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: usize,
}

/// Some dead jobs, or all.
#[derive(Debug, Args)]
pub(crate) struct JobPicks {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// Their numbers, from `malle job dead`
    #[arg(value_name = "JOB", required_unless_present = "all")]
    pub(crate) jobs: Vec<u64>,
    /// Every dead one
    #[arg(long, conflicts_with = "jobs")]
    pub(crate) all: bool,
    /// With --all: only of this kind
    #[arg(long, requires = "all")]
    pub(crate) kind: Option<JobKind>,
}

/// Some dead jobs.
#[derive(Debug, Args)]
pub(crate) struct JobDrop {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// Their numbers, from `malle job dead`
    #[arg(value_name = "JOB", required = true)]
    pub(crate) jobs: Vec<u64>,
}

/// A look at the fleet.
#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// Once, and not every two seconds
    #[arg(long)]
    pub(crate) once: bool,
}
