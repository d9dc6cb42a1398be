//! The command line of `malle backup`.

use clap::Args;

use crate::args::shared::{HistoryArgs, ServerArgs, StoreArgs, account_name};

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
