//! The arguments of `malle restore`.

use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use model::{DataType, RestoreMode};

use crate::args::shared::{HistoryArgs, ServerArgs, StoreArgs, Which, account_name};
use crate::args::snapshot_name::SnapshotName;

/// `malle restore`
#[derive(Debug, Args)]
#[command(after_help = "\
What a restore is is written down in the store when it begins. Cut off in the middle, it is gone on with by --resume and
the id it printed, and nothing else: nothing comes twice, and the report is that of the whole. While it runs the account
has a folder `Malle restore …`; leave it alone, it goes at the end. What a restore left that nobody will go on with is
taken away by --clean. Exit code 3 says that something did not come back, or was not removed because its backup cannot be
read: it is named, and what did not come back is kept as files in --refused.
Credentials are given as for `malle backup`.

Examples:
  malle restore --account alice@example.org --snapshot 41 --server https://mail.example.org
  malle restore --resume abcd2345 --server https://mail.example.org
  malle restore --account alice@example.org --clean --server https://mail.example.org")]
pub(crate) struct RestoreArgs {
    #[command(flatten)]
    pub(crate) which: Which,
    /// The number, as `malle list` shows it; by default the newest
    #[arg(long, value_name = "N")]
    pub(crate) snapshot: Option<SnapshotName>,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// The account that is given it, by its main address or name; by default --account
    #[arg(long, value_name = "NAME", value_parser = account_name)]
    pub(crate) to_account: Option<String>,
    /// The account that is given it, by its JMAP id
    #[arg(long, value_name = "ID", conflicts_with = "to_account")]
    pub(crate) to_account_id: Option<String>,
    /// How it comes back; by default beside
    #[arg(long, value_parser = restore_mode())]
    pub(crate) mode: Option<RestoreMode>,
    /// Only emails that this finds, as in `malle find`, and nothing but emails; not with --mode exact
    #[arg(long, value_name = "QUERY")]
    pub(crate) select: Option<String>,
    /// Only these parts, separated by commas; by default all
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PART,…")]
    pub(crate) only: Vec<Part>,
    /// Share folders, address books, calendars and files again with whom they were shared; only on the same mail server, into the
    /// account that the snapshot is of
    #[arg(long)]
    pub(crate) grant_shares: bool,
    /// Yes, remove what the snapshot does not have (--mode exact)
    #[arg(long)]
    pub(crate) yes: bool,
    /// Go on with the restore of this id, as it was begun; without --account it is looked for in the whole store
    #[arg(long, value_name = "ID")]
    pub(crate) resume: Option<String>,
    /// Take away what restores that are over left in the account; with an ID also what that one left, which then cannot be
    /// gone on with
    #[arg(long, value_name = "ID", num_args = 0..=1, default_missing_value = "", conflicts_with_all = ["resume", "dry_run"])]
    pub(crate) clean: Option<String>,
    /// Say what would be done, and do nothing
    #[arg(long, conflicts_with = "resume")]
    pub(crate) dry_run: bool,
    /// With --dry-run: name every email, folder and object that would be created, changed or removed; of an error also what
    /// the store's library says
    #[arg(long, short)]
    pub(crate) verbose: bool,
    /// Bring what the mail server refuses because it is no email (nothing that looks like a header) as the attachment of an email that
    /// says so, in the folder where it was; later restores know it again
    #[arg(long)]
    pub(crate) wrap_refused: bool,
    /// Where what the server refuses is kept as files; by default `malle-refused-ID` here
    #[arg(long, value_name = "DIR")]
    pub(crate) refused: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) history: HistoryArgs,
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

impl RestoreArgs {
    /// Returns the names of the given options that --resume takes from the record: --resume takes all of it from what is written down.
    pub(crate) fn words(&self) -> Vec<&'static str> {
        let said = [
            ("--snapshot", self.snapshot.is_some()),
            ("--mode", self.mode.is_some()),
            ("--select", self.select.is_some()),
            ("--only", !self.only.is_empty()),
            ("--grant-shares", self.grant_shares),
            ("--wrap-refused", self.wrap_refused),
            ("--to-account", self.to_account.is_some()),
            ("--to-account-id", self.to_account_id.is_some()),
        ];
        said.into_iter().filter_map(|(word, is_said)| is_said.then_some(word)).collect()
    }
}

/// Reads a mode of a restore; its help says what each does.
pub(crate) fn restore_mode() -> impl TypedValueParser<Value = RestoreMode> {
    let values = RestoreMode::ALL.iter().map(|mode| {
        PossibleValue::new(mode.as_str()).help(match mode {
            RestoreMode::Beside => "Into a folder `Restored …` of its own, beside what is there",
            RestoreMode::Missing => "Only what is not there any more, into its own folders",
            RestoreMode::Exact => {
                "The account becomes the snapshot: folders, keywords and deletions too; it is backed up first, and --yes is needed"
            }
        })
    });
    PossibleValuesParser::new(values).try_map(|word| word.parse::<RestoreMode>())
}
