//! The command line of `malle export`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use url::Url;

use crate::args::shared::{StoreArgs, Which};
use crate::args::snapshot_name::SnapshotName;

/// `malle export`
#[derive(Debug, Args)]
#[command(after_help = "\
Everything in the snapshot is written: emails byte for byte, folders, filter scripts, contacts (.vcf), events (.ics), files. What a
format has no place for lies beside (directory `malle/`, in a Vandelay archive two more tables), and REPORT.txt says what could not
be carried as it was. With --select only the emails it finds are written, and the folders that hold them.

Nothing that is there is overwritten: --to must not exist yet, or be an empty directory. The export appears when it is whole; a
signal leaves nothing behind; after kill -9 or a power cut remove what lies beside it (names with `.partial-`, `malle-export-`). It is NOT encrypted: only you may read the files, keep them like that. `mbox` and `vandelay` need room
beside it for the mailbox once more while they are made.
Exit code 3 says that the backup itself lacks or has lost something: it is named, and the rest is written; or that the format cannot carry an email (too large)
or a photo or attachment that the mail server alone has.

Example:
  malle export --account alice@example.org --format maildir --to alice.tar.zst
  malle export --account alice@example.org --format mbox --to invoices --snapshot 41 --select 'subject:invoice after:2025'")]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    pub(crate) which: Which,
    /// The number, as `malle list` shows it; by default the newest
    #[arg(long, value_name = "N")]
    pub(crate) snapshot: Option<SnapshotName>,
    /// What it looks like inside
    #[arg(long, value_enum)]
    pub(crate) format: ExportFormat,
    /// Where it goes: an archive if the name ends in .tar.zst or .zip, else a directory
    #[arg(long, value_name = "PATH")]
    pub(crate) to: PathBuf,
    /// Only the emails that this finds, as in `malle find`
    #[arg(long, value_name = "QUERY", allow_hyphen_values = true)]
    pub(crate) select: Option<String>,
    /// mbox: begin another file before one becomes longer, as in 4G (FAT holds no longer ones) or 500M
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) split: Option<u64>,
    /// mbox: a tree that Thunderbird takes into its directory "Local Folders" (`A`, `A.sbd`), instead of `A.mbox` and `A`
    #[arg(long)]
    pub(crate) thunderbird: bool,
    /// File names that FAT, exFAT, NTFS and Windows take, too; a directory on such a file system gets them anyway
    #[arg(long)]
    pub(crate) portable_names: bool,
    /// vandelay: what you will give to `vandelay import --url`, which then goes on from here; by default https:// and the name under
    /// which the mail server was backed up, if that is a host
    #[arg(long, value_name = "URL", value_parser = source_url)]
    pub(crate) source_url: Option<String>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// Bytes: a number and perhaps `k`, `M`, `G` or `T` (thousands).
fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "" => Some(1),
        "k" | "K" => Some(1_000),
        "M" => Some(1_000_000),
        "G" => Some(1_000_000_000),
        "T" => Some(1_000_000_000_000),
        _ => None,
    };
    let bytes =
        factor.zip(digits.parse::<u64>().ok()).and_then(|(factor, number)| number.checked_mul(factor));
    bytes.filter(|bytes| *bytes > 0).ok_or_else(|| "say how many bytes, as in 500M or 4G".to_owned())
}

/// What an export looks like inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// For `stalwart-cli import account` (Stalwart up to 0.15)
    AccountDirectory,
    /// For `vandelay export` (Stalwart 0.16 and later): one SQLite file
    Vandelay,
    /// A file per email, for Dovecot, Courier, mutt and many others
    Maildir,
    /// A file per folder, for nearly every mail program
    Mbox,
}

impl From<ExportFormat> for export::Format {
    fn from(format: ExportFormat) -> export::Format {
        match format {
            ExportFormat::AccountDirectory => export::Format::AccountDirectory,
            ExportFormat::Vandelay => export::Format::Vandelay,
            ExportFormat::Maildir => export::Format::Maildir,
            ExportFormat::Mbox => export::Format::Mbox,
        }
    }
}

/// Checks the address of a mail server that goes into an archive, which everybody who gets it may read. It stays as it is written: that is
/// how `vandelay import` knows it again.
fn source_url(text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it holds a user name or a password; leave them out".to_owned());
    }
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err("write it like https://mail.example.org".to_owned());
    }
    Ok(text.to_owned())
}
