//! The command line. Nothing secret can be given here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use model::DataType;

pub(crate) use crate::export_args::ExportArgs;
pub(crate) use crate::find_args::{CatArgs, DiffArgs, FindArgs};
use crate::fleet_args::{
    CatalogCommand, ConfigCommand, DlqCommand, EnqueueArgs, JobCommand, MailboxCommand, RoleArgs, TopArgs,
};

const ABOUT: &str = "Backs up mailboxes of a Stalwart mail server: incremental, encrypted, verified.

A backup copies one mailbox (emails, folders, filters, contacts, calendars, files: whatever the server
offers) into a store: a directory or a bucket. Each run adds a snapshot and fetches only what changed.
Everything is sealed with the keys in your key ring: keep that file safe and apart from the store;
without it no backup can be read, ever.";

/// The end of `malle --help`; the exit codes follow.
pub(crate) const MANUAL: &str = "Example:
  malle key new > ring.key
  export MALLE_KEY_FILE=ring.key MALLE_STORE=file:///srv/backups
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
  MALLE_USER            who signs in at the mail server; by default the account itself
  MALLE_PASSWORD        their password; or MALLE_PASSWORD_FILE, a file that holds it
  MALLE_TOKEN           a bearer token (API key, OAuth) instead; or MALLE_TOKEN_FILE
  AWS_…                 for s3:// (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL, …)
  GOOGLE_…              for gs:// (GOOGLE_SERVICE_ACCOUNT, …)
  AZURE_…               for az:// (AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY, …)
  SSL_CERT_FILE         CA certificates instead of the system's, for mail server and bucket

Stores:
  file:///srv/backups          a directory, made by the first backup
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
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
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
    /// Make, change and inspect key rings
    #[command(subcommand)]
    Key(KeyCommand),
    /// Fleet: plan what is due, publish tickets, grant requests; runs until it is told to stop
    Produce(RoleArgs),
    /// Fleet: run jobs; runs until it is told to stop
    Work(RoleArgs),
    /// Fleet: bring the catalogue's schema up to date
    Migrate(RoleArgs),
    /// Fleet: make the catalogue anew from the stores
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

/// Where the backups lie and what opens them.
#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    /// Where the backups lie: file:///…, s3://…, gs://…, az://… or memory:
    #[arg(long, value_name = "URL", env = "MALLE_STORE", hide_env_values = true)]
    pub(crate) store: Option<String>,
    #[command(flatten)]
    pub(crate) key: KeyFile,
    /// The zone the store must lie in; a new store is given it
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
    /// Most requests in flight; the server's own limit bounds it too
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) concurrency: u8,
}

/// Which mailbox of the store.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The mailbox: its account's name (address) or id on the mail server
    #[arg(long, short)]
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
    #[arg(long, short, value_name = "NAME")]
    pub(crate) account: Option<String>,
    /// The account, by its JMAP id
    #[arg(long, value_name = "ID", conflicts_with = "account")]
    pub(crate) account_id: Option<String>,
    /// The mail server's lasting name; never change it once backups were made. By default the host (and port) of --server
    #[arg(long, value_name = "NAME")]
    pub(crate) server_name: Option<String>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// List everything, although the server says what changed
    #[arg(long)]
    pub(crate) full: bool,
    /// Seconds until what came is first committed while the backup goes on; later it happens less often
    #[arg(long, value_name = "SECONDS", default_value_t = 10, hide = true, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) keep_every: u64,
    /// Begin with this key ring in a store whose mailboxes another ring opens
    #[arg(long)]
    pub(crate) new_ring: bool,
}

/// `malle restore`
#[derive(Debug, Args)]
#[command(after_help = "\
Cut off in the middle, it is gone on with by --resume and the id it printed: nothing comes twice. While it runs the
account has a folder `Malle restore …`; leave it alone, it goes at the end. Exit code 3 says that the server refused
some emails: they are named, and kept as files in --refused.
Credentials are given as for `malle backup`.

Example:
  malle restore --account alice@example.org --snapshot 41 --server https://mail.example.org")]
pub(crate) struct RestoreArgs {
    #[command(flatten)]
    pub(crate) which: Which,
    /// The snapshot's number; by default the newest
    #[arg(long, value_name = "N")]
    pub(crate) snapshot: Option<u64>,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// The account that is given it, by its main address or name; by default --account
    #[arg(long, value_name = "NAME")]
    pub(crate) to_account: Option<String>,
    /// The account that is given it, by its JMAP id
    #[arg(long, value_name = "ID", conflicts_with = "to_account")]
    pub(crate) to_account_id: Option<String>,
    /// How it comes back
    #[arg(long, value_enum, default_value_t = RestoreMode::Beside)]
    pub(crate) mode: RestoreMode,
    /// Only emails that this finds, as in `malle find`, and nothing but emails; not with --mode exact
    #[arg(long, value_name = "QUERY")]
    pub(crate) select: Option<String>,
    /// Only these parts, separated by commas; by default all
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PART,…")]
    pub(crate) only: Vec<Part>,
    /// Yes, remove what the snapshot does not have (--mode exact)
    #[arg(long)]
    pub(crate) yes: bool,
    /// Go on with the restore of this id
    #[arg(long, value_name = "ID")]
    pub(crate) resume: Option<String>,
    /// Say what would be done, and do nothing
    #[arg(long, conflicts_with = "resume")]
    pub(crate) dry_run: bool,
    /// With --dry-run: name every email, folder and object that would be created, changed or removed
    #[arg(long, short, requires = "dry_run")]
    pub(crate) verbose: bool,
    /// Where what the server refuses is kept as files; by default `malle-refused-ID` here
    #[arg(long, value_name = "DIR")]
    pub(crate) refused: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// What of a mailbox comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Emails and their folders
    Emails,
    /// Sieve scripts and the vacation response
    Filters,
    /// Sender identities, and who the owner is in events
    Identities,
    /// Address books and contacts
    Contacts,
    /// Calendars and events
    Calendars,
    /// Files and directories
    Files,
}

impl Part {
    /// The data types of it.
    pub(crate) fn types(self) -> &'static [DataType] {
        match self {
            Part::Emails => &[DataType::Mailbox, DataType::Email],
            Part::Filters => &[DataType::SieveScript, DataType::VacationResponse],
            Part::Identities => &[DataType::Identity, DataType::ParticipantIdentity],
            Part::Contacts => &[DataType::AddressBook, DataType::ContactCard],
            Part::Calendars => &[DataType::Calendar, DataType::CalendarEvent],
            Part::Files => &[DataType::FileNode],
        }
    }
}

/// How a snapshot comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RestoreMode {
    /// Into a folder `Restored …` of its own, beside what is there
    Beside,
    /// Only what is not there any more, into its own folders
    Missing,
    /// The account becomes the snapshot: folders, keywords and deletions too; it is backed up first, and --yes is needed
    Exact,
}

/// `malle list`
#[derive(Debug, Args)]
#[command(after_help = "\
With --account: one line (with --json one object) a snapshot, oldest first. Without: one a mailbox.
In JSON, sizes are bytes, `duration` is seconds, `time` is when the snapshot was finished.")]
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
    /// The snapshot's number; by default the newest
    #[arg(long, value_name = "N")]
    pub(crate) snapshot: Option<u64>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// `malle verify`
#[derive(Debug, Args)]
#[command(after_help = "Exit code 9 says that something is damaged; each problem is named.")]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Only this snapshot; by default all of the mailbox
    #[arg(long, value_name = "N")]
    pub(crate) snapshot: Option<u64>,
    /// Read every byte and compare its hash, not only that everything is there
    #[arg(long)]
    pub(crate) read_data: bool,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// `malle check`
#[derive(Debug, Args)]
#[command(after_help = "Exit code 9 says that something is damaged; each problem is named.")]
pub(crate) struct CheckArgs {
    /// Read every byte and compare its hash, not only that everything is there
    #[arg(long)]
    pub(crate) read_data: bool,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// `malle key`
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a key ring and print it: malle key new > ring.key
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
Removes the copies wrapped with older master keys of this ring. Emails are not written again: this takes a moment.")]
    Rewrap(StoreArgs),
}
