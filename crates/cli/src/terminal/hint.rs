//! What each error of the libraries means to the person who ran the command: an exit code and what to do.
//! Where the error's own text already says what to do, the hint is empty.

use std::borrow::Cow;

use jmap::{Class, MethodErrorKind};
use repository::{HistoryFault, Trouble};

use crate::terminal::exit::Exit;

/// Where the settings of the command stand that failed: advice names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setup {
    /// In options and in variables of the environment.
    OneShot,
    /// In the fleet's configuration file.
    Fleet,
}

/// What to do about an error; empty where its own text says that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hint {
    one_shot: Cow<'static, str>,
    fleet: Cow<'static, str>,
}

impl Hint {
    /// Advice that names options to the one and keys of the configuration to the other.
    pub(crate) const fn two(one_shot: &'static str, fleet: &'static str) -> Hint {
        Hint { one_shot: Cow::Borrowed(one_shot), fleet: Cow::Borrowed(fleet) }
    }

    const fn same(text: &'static str) -> Hint {
        Hint::two(text, text)
    }

    /// The text for a person who set the command up in this way.
    pub(crate) fn told(&self, setup: Setup) -> &str {
        match setup {
            Setup::OneShot => &self.one_shot,
            Setup::Fleet => &self.fleet,
        }
    }
}

impl From<&'static str> for Hint {
    fn from(text: &'static str) -> Hint {
        Hint::same(text)
    }
}

impl From<String> for Hint {
    fn from(text: String) -> Hint {
        Hint { one_shot: Cow::Owned(text.clone()), fleet: Cow::Owned(text) }
    }
}

type Judgement = (Exit, Hint);

const NOTHING: Hint = Hint::same("");
const CREDENTIALS: Hint = Hint::two(
    "check the user name and the password (MALLE_USER, MALLE_PASSWORD) or the token (MALLE_TOKEN)",
    "check user and password, or token, of the server's [[servers]] in the configuration",
);
const NOT_ALLOWED: Hint = Hint::two(
    "sign in as the account itself, or grant the user `impersonate` and the permission of the refused method \
     (Blob/upload: jmapBlobUpload)",
    "grant the user of the server's [[servers]] `impersonate` and the permission of the refused method; \
     `malle config check` names those that are missing",
);
const NO_ACCOUNT: Hint = Hint::two(
    "check --account (the main address or account name; aliases are not found) and sign in as \
     that account or as a user with the server's `impersonate` permission",
    "check that the account exists on the mail server and that the user of its [[servers]] has the permission `impersonate`",
);
const LATER: Hint = Hint::same("run again later; nothing that was backed up before is lost");
const RESUME: Hint = Hint::two(
    "continue the restore later with --resume and its id alone; nothing is restored twice",
    "the restore continues at the job's next attempt; nothing is restored twice",
);
const SERVER_ADDRESS: Hint = Hint::two(
    "check --server and the network, then run again; nothing that was backed up before is lost",
    "check servers.url in the configuration and the network; nothing that was backed up before is lost",
);
const BLOCKED: Hint = Hint::two(
    "if a wrong password was used before, check on the mail server whether this address is blocked (Stalwart: blocked \
     IP addresses); otherwise check --server and the network, then run again",
    "if a wrong password was used before, check on the mail server whether this address is blocked (Stalwart: blocked \
     IP addresses); otherwise check servers.url in the configuration and the network",
);
const TLS: Hint = Hint::two(
    "check that --server is an https address with a valid certificate; if a private authority signed it, name \
     that authority's certificate with --ca-file or SSL_CERT_FILE",
    "check that servers.url is an https address with a valid certificate; if a private authority signed it, name \
     that authority's certificate in servers.ca_file",
);
const NO_JMAP: Hint = Hint::two(
    "check that --server is the address of the mail server's JMAP service",
    "check that servers.url is the address of the mail server's JMAP service",
);
const STORE_ADDRESS: Hint = Hint::two(
    "check --store and the network, then run again; nothing that was backed up before is lost",
    "check stores.url and stores.endpoint in the configuration and the network; nothing that was backed up before is lost",
);
const STORE_CREDENTIALS: Hint = Hint::two(
    "check the store's credentials in the environment (AWS_…, GOOGLE_… or AZURE_…): the access key is unknown, \
     or the secret does not belong to it",
    "check stores.key_id and stores.secret in the configuration, or AWS_…, GOOGLE_… or AZURE_… in the environment: the \
     access key is unknown, or the secret does not belong to it",
);
/// Nothing but a mistake in this program leads here.
pub(crate) const DEFECT: Hint = Hint::same("this is a defect of malle: report it with this line");
const BREAKS_PROTOCOL: Hint = Hint::same(
    "the answer breaks the protocol and nothing of it was used; run again, and if that does not help, tell the \
     administrator of the mail server",
);
const LONGER_LOG: Hint = Hint::two(
    "if this store is the right one, run again with --accept-history, which backup, restore, verify, check, repair and reindex have",
    "if this store is the right one, run `malle mailbox accept-history`",
);
const EMPTY_LOG: Hint = Hint::two(
    "if all backups of this mailbox are lost, `malle backup --accept-history` begins a new history with what the mail server has",
    "if all backups of this mailbox are lost, run `malle mailbox accept-history --new-history`: the next backup begins a new history",
);

/// Of an error of a backup, a restore or an export.
pub(crate) fn of_engine(error: &engine::Error) -> Judgement {
    use engine::Error as E;
    let (exit, text) = match error {
        E::Server { source, .. } | E::ManyFailures { source, .. } => return of_server(source),
        E::Write { source, .. } | E::Unsettled { source, .. } => {
            return match of_server(source) {
                (exit @ Exit::Server, _) => (exit, RESUME),
                other => other,
            };
        }
        E::Refused { .. } => return (Exit::Server, RESUME),
        E::Unfit { .. } => {
            let one_shot =
                "restore a good snapshot (`malle list` shows which are), or use --mode missing or beside";
            let fleet = "restore a good backup (`malle mailbox backups` shows which are), or use the mode missing or beside";
            return (Exit::Usage, Hint::two(one_shot, fleet));
        }
        E::Unsafe { .. } => {
            let one_shot = "nothing was changed; `malle show` says what could not be read: mend that, then continue with --resume \
                            and the id alone";
            let fleet = "nothing was changed; `malle mailbox backups` lists that backup: mend what it could not read; \
                         the restore continues at its next attempt";
            return (Exit::Server, Hint::two(one_shot, fleet));
        }
        E::OtherRestore { .. } => {
            let one_shot = "give --resume and the id alone, or begin a new restore without --resume";
            return (Exit::Usage, Hint::two(one_shot, "ask for a new restore"));
        }
        E::OtherSnapshot { .. } => (
            Exit::Damage,
            "nothing was changed; find out what happened to the store, then begin a new restore",
        ),
        E::GivenUp { .. } => {
            let one_shot = "what was restored so far stays in the account; begin a new restore (--mode missing brings only what is not there)";
            let fleet = "what was restored so far stays in the account; ask for a new restore (the mode missing brings only what is not there)";
            return (Exit::NotFound, Hint::two(one_shot, fleet));
        }
        E::SafetyLost { .. } => {
            let one_shot = "nothing was changed; remove the restore's folders with `malle restore --clean` and its id, then begin \
                            a new restore";
            return (Exit::Damage, Hint::two(one_shot, "nothing was changed; ask for a new restore"));
        }
        E::Record { .. } => (Exit::NewerFormat, "continue it with the malle that began it"),
        E::UnfinishedBackup => (
            Exit::LostRace,
            "nothing was changed: let that backup finish, or run `malle backup`, which continues it; then run this again",
        ),
        E::DamagedBase => {
            let one_shot = "nothing was changed: run `malle backup`, or `malle repair` with --account and --server, which fetch what \
                            is lost; then run this again";
            let fleet =
                "nothing was changed: the mailbox's next backup fetches what is lost; then run this again";
            return (Exit::Damage, Hint::two(one_shot, fleet));
        }
        E::Superseded => (Exit::LostRace, "let that one finish"),
        E::Repository(source) => return of_repository(source),
        E::Export(source) => return of_export(source),
        E::NoFolder { .. } => (
            Exit::NotFound,
            "write its path from the top, like folder:Archive/2025, or a name alone without folder:",
        ),
        E::Unlisted { .. } | E::Unfinished { .. } => return (Exit::Server, LATER),
        E::Register(_) => (Exit::Unexpected, "nothing was changed; run again later"),
        E::Stopped | E::Paused => return (Exit::Interrupted, NOTHING),
        _ => return (Exit::Unexpected, DEFECT),
    };
    (exit, text.into())
}

fn of_export(error: &export::Error) -> Judgement {
    use export::Error as E;
    let (exit, text) = match error {
        E::Occupied { .. } | E::TooLarge { .. } => {
            (if matches!(error, E::Occupied { .. }) { Exit::Usage } else { Exit::Unexpected }, "")
        }
        full if full.is_full() => (
            Exit::Target,
            "make room there or name another place with --to (mbox and vandelay need room for two copies); nothing of \
             this export is left there",
        ),
        E::Io { .. } => (
            Exit::Target,
            "check that this user may write there, or name another place with --to; nothing of this export is left there",
        ),
        E::Sqlite { .. } => (
            Exit::Unexpected,
            "check the disk that it lies on, or name another place with --to; nothing of this export is left there",
        ),
        E::Length { .. } | E::NotJson { .. } => {
            (Exit::Unexpected, "run `malle verify` to learn whether the backup is damaged")
        }
        E::Corrupt { .. } | E::Unknown { .. } | E::Receiver { .. } => {
            (Exit::Unexpected, "name an export that malle or vandelay has written completely")
        }
        E::Stopped => (Exit::Unexpected, "run it again; nothing of this export is left there"),
        _ => return (Exit::Unexpected, DEFECT),
    };
    (exit, text.into())
}

/// Of an error of the mail server or on the way to it.
pub(crate) fn of_server(error: &jmap::Error) -> Judgement {
    use jmap::Error as E;
    match error {
        E::InvalidUrl { .. } => {
            let one_shot = "write --server like https://mail.example.org";
            (Exit::Usage, Hint::two(one_shot, "write servers.url like https://mail.example.org"))
        }
        E::InvalidCredentials => {
            (Exit::Usage, "user names hold no colon, passwords and tokens no line breaks".into())
        }
        E::Unauthorized | E::Withheld => (Exit::Refused, CREDENTIALS),
        E::UnknownAccount { source: None, .. } => (Exit::NotFound, NO_ACCOUNT),
        E::UnknownAccount { source: Some(source), .. } => match source.class() {
            Class::Transient { .. } => (Exit::Server, LATER),
            _ => (Exit::NotFound, NO_ACCOUNT),
        },
        E::AmbiguousAccount { .. } => (
            Exit::NotFound,
            Hint::two("name one of them with --account-id", "list the mailbox with its account id"),
        ),
        E::Method { error, .. } if error.kind == MethodErrorKind::AccountNotFound => {
            (Exit::NotFound, NO_ACCOUNT)
        }
        E::Unreachable(_) | E::Interrupted(_) | E::TimedOut { .. } => (Exit::Server, SERVER_ADDRESS),
        E::ClosedAtOnce(_) => (Exit::Server, BLOCKED),
        E::Tls(_) => (Exit::Server, TLS),
        E::NoSession(source) => match of_server(source) {
            refused @ (Exit::Refused, _) => refused,
            _ => (Exit::Server, NO_JMAP),
        },
        E::ForeignRedirect { .. } | E::BadRedirect => (Exit::Server, NO_JMAP),
        E::OverLimit { .. } | E::InvalidId(_) => (Exit::Server, DEFECT),
        E::Setup(_) => {
            (Exit::Unexpected, "check that the machine has CA certificates (Debian: ca-certificates)".into())
        }
        E::Cancelled => (Exit::Interrupted, NOTHING),
        other => by_class(other.class()),
    }
}

fn by_class(class: Class) -> Judgement {
    match class {
        Class::Auth => (Exit::Refused, NOT_ALLOWED),
        Class::Transient { .. } => (Exit::Server, LATER),
        Class::Corrupt => (Exit::Server, BREAKS_PROTOCOL),
        Class::Permanent => {
            let text = "ask the administrator of the mail server; nothing that was backed up before is lost";
            (Exit::Server, text.into())
        }
        Class::Cancelled => (Exit::Interrupted, NOTHING),
    }
}

/// Of an error of the store or of what lies in it.
pub(crate) fn of_repository(error: &repository::Error) -> Judgement {
    use repository::Error as E;
    let (exit, text) = match error {
        E::Store { source, .. } => return (Exit::Store, of_store(&Trouble::of(source))),
        E::NotKept { .. } => (
            Exit::Damage,
            "a proxy, the network or the store itself changes or loses data: find which, then run again; this backup is not \
             called good, and those before are untouched",
        ),
        // They say what to do themselves.
        E::StoreFull { .. } => (Exit::StoreFull, ""),
        E::UnfitStore { .. } => (Exit::UnfitStore, ""),
        E::WrongKey { .. } => (Exit::Key, ""),
        E::NewerFormat { .. } | E::NewerKind { .. } => (Exit::NewerFormat, ""),
        E::LogGone { .. } | E::DescriptorGone => (Exit::Damage, ""),
        E::KeyGone { .. } => (Exit::KeyGone, ""),
        E::Unverified { .. } | E::Interrupted => (Exit::Unexpected, ""),
        E::WrongZone { .. } => {
            let one_shot = "check --store and --zone: a store keeps the zone it was made with";
            let fleet = "check stores.url and stores.zone in the configuration: a store keeps the zone it was made with";
            return (Exit::UnfitStore, Hint::two(one_shot, fleet));
        }
        E::BadRing { .. } => (
            Exit::Key,
            "put the ring back from its safe copy; no backup can be read without it, and a new ring opens none of them",
        ),
        E::Corrupt { .. } | E::Missing { .. } => (
            Exit::Damage,
            "run `malle repair` to learn what else is damaged and to fetch it again; whatever is not named is intact",
        ),
        E::History { fault: HistoryFault::RolledBack, found, .. } if found.number == 0 => {
            return (Exit::Damage, EMPTY_LOG);
        }
        E::History { .. } => return (Exit::Damage, LONGER_LOG),
        E::Lost { .. } => (
            Exit::LostRace,
            "the other one continues and this one ended; run again later to catch what changed since (`malle check` counts \
             bytes that nothing uses)",
        ),
        E::Erased { .. } => (Exit::Erased, "no backup of it can be read or made any more"),
        E::NoMailbox => {
            let one_shot = "check --account and --store; `malle list` shows all mailboxes";
            let fleet = "check stores.url in the configuration; `malle mailbox backups` shows what the catalogue knows";
            return (Exit::NotFound, Hint::two(one_shot, fleet));
        }
        E::NoSnapshot { .. } => {
            let one_shot = "`malle list --account …` shows the numbers";
            return (Exit::NotFound, Hint::two(one_shot, "`malle mailbox backups` shows the numbers"));
        }
        E::TooLarge { .. } => (Exit::Unexpected, "leave it out of the backup, or ask for a newer malle"),
        E::Stopped => return (Exit::Interrupted, NOTHING),
        _ => return (Exit::Unexpected, DEFECT),
    };
    (exit, text.into())
}

fn of_store(trouble: &Trouble) -> Hint {
    let text = match trouble {
        Trouble::Unreachable => return STORE_ADDRESS,
        Trouble::NoBucket => {
            let one_shot = "create it, or check its name in --store and the endpoint (AWS_ENDPOINT_URL)";
            let fleet = "create it, or check its name in stores.url and stores.endpoint in the configuration";
            return Hint::two(one_shot, fleet);
        }
        Trouble::Credentials => return STORE_CREDENTIALS,
        Trouble::Expired => {
            "get new credentials (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN together), then run again"
        }
        Trouble::ClockSkew => {
            "set this machine's clock (`timedatectl` shows whether it is synchronised), then run again"
        }
        Trouble::WrongRegion(_) => {
            let one_shot = "set AWS_REGION to the bucket's region, and AWS_ENDPOINT_URL to an endpoint there";
            let fleet = "set stores.region to the bucket's region, and stores.endpoint to an endpoint there";
            return Hint::two(one_shot, fleet);
        }
        Trouble::Denied => {
            "check the store's credentials and what they may do: reading, writing and listing (s3:GetObject, s3:PutObject, \
             s3:ListBucket) are needed"
        }
        Trouble::NotPermitted => {
            "make the directory and everything in it readable for this user, and writable for backups and repairs"
        }
        Trouble::Stranger => {
            let one_shot = "nothing was read or written: sign in to this network if it asks for that, check proxies and the \
                            endpoint (AWS_ENDPOINT_URL), then run again";
            let fleet = "nothing was read or written: check proxies and stores.endpoint in the configuration";
            return Hint::two(one_shot, fleet);
        }
        Trouble::NotImplemented => "choose another store: malle cannot work with this one",
        Trouble::Damaged => {
            "find what changes data on the way there (a proxy, the network, this machine's memory), then run again"
        }
        Trouble::Full => "free space or enlarge it, then run again",
        Trouble::Refused(_) => {
            let one_shot = "check --store and the endpoint; with --verbose the store's own words are shown; nothing that was \
                            backed up before is lost";
            let fleet = "check stores.url and stores.endpoint in the configuration; nothing that was backed up before is lost";
            return Hint::two(one_shot, fleet);
        }
    };
    text.into()
}
