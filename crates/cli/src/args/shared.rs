//! Arguments that several commands share.

use std::convert::Infallible;
use std::path::PathBuf;

use clap::Args;
use model::mail_address::with_ascii_domain;

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

/// What to do about a store that was rolled back.
#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// Accept what the store shows of the mailbox's history, although this machine saw another one; the log says so from then on
    #[arg(long)]
    pub(crate) accept_history: bool,
}
