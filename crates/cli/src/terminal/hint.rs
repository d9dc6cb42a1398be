//! What each error of the libraries means to the person who ran the command: an exit code and what to do.
//! Where the error's own text already says what to do, the hint is empty.

use jmap::{Class, MethodErrorKind};
use model::ErrorClass;
use repository::Trouble;

use crate::terminal::exit::Exit;

type Judgement = (Exit, &'static str);

const CREDENTIALS: &str =
    "check the user name and the password (MALLE_USER, MALLE_PASSWORD) or the token (MALLE_TOKEN)";
const NOT_ALLOWED: &str = "sign in as the account itself, or grant the user `impersonate` and the permission of the refused method \
    (Blob/upload: jmapBlobUpload)";
const NO_ACCOUNT: &str = "check --account (the main address or account name; aliases are not found) and sign in as \
    that account or as a user with the server's `impersonate` permission";
const LATER: &str = "run again later; nothing that was backed up before is lost";
const RESUME: &str = "go on with the restore later, by --resume and its id alone; nothing comes twice";
const SERVER_ADDRESS: &str =
    "check --server and the network, then run again; nothing that was backed up before is lost";
const BLOCKED: &str = "if a wrong password was used before, look on the mail server whether this address is blocked (Stalwart: blocked \
                       IP addresses); else check --server and the network, then run again";
const STORE_ADDRESS: &str =
    "check --store and the way to it, then run again; nothing that was backed up before is lost";

/// Of an error of a backup, a restore or an export.
pub(crate) fn of_engine(error: &engine::Error) -> Judgement {
    match error {
        engine::Error::Server { source, .. } | engine::Error::ManyFailures { source, .. } => {
            of_server(source)
        }
        engine::Error::Write { source, .. } | engine::Error::Unsettled { source, .. } => {
            match of_server(source) {
                (exit @ Exit::Server, _) => (exit, RESUME),
                other => other,
            }
        }
        engine::Error::Refused { .. } => (Exit::Server, RESUME),
        engine::Error::Unfit { .. } => (
            Exit::Usage,
            "restore a good snapshot (`malle list` shows which are), or use --mode missing or beside",
        ),
        engine::Error::Unsafe { .. } => (
            Exit::Server,
            "nothing was changed since; `malle show` says what could not be read: mend that, then go on by --resume and \
             the id alone",
        ),
        engine::Error::OtherRestore { .. } => {
            (Exit::Usage, "say --resume and the id alone, or begin a new restore without --resume")
        }
        engine::Error::OtherSnapshot { .. } => (
            Exit::Damage,
            "nothing was changed by this run; find out what happened to the store, then begin a new restore",
        ),
        engine::Error::GivenUp { .. } => (
            Exit::NotFound,
            "what had come is where it was put; begin a new restore (--mode missing brings only what is not there)",
        ),
        engine::Error::SafetyLost { .. } => (
            Exit::Damage,
            "this attempt changed nothing: `malle restore --clean ID` with its id takes its folders away, then begin a new restore",
        ),
        engine::Error::Record { .. } => (Exit::NewerFormat, "use the malle that began it"),
        engine::Error::UnfinishedBackup => (
            Exit::LostRace,
            "nothing was changed: let it come to its end, or run `malle backup`, which goes on with it; then run this again",
        ),
        engine::Error::DamagedBase => (
            Exit::Damage,
            "nothing was changed: run `malle backup`, or `malle repair` with --account and --server, which fetch what is lost; then run \
             this again",
        ),
        engine::Error::Superseded => (Exit::LostRace, "let that one finish"),
        engine::Error::Repository(source) => of_repository(source),
        engine::Error::Export(source) => of_export(source),
        engine::Error::NoFolder { .. } => (
            Exit::NotFound,
            "write its path from the top, like folder:Archive/2025, or a name alone without folder:",
        ),
        engine::Error::Unlisted { .. } | engine::Error::Unfinished { .. } => (Exit::Server, LATER),
        _ => match error.class() {
            ErrorClass::Cancelled => (Exit::Interrupted, ""),
            _ => (Exit::Unexpected, ""),
        },
    }
}

fn of_export(error: &export::Error) -> Judgement {
    match error {
        export::Error::Occupied { .. } => (Exit::Usage, ""),
        full if full.is_full() => (
            Exit::Target,
            "make room there or name another place with --to (mbox and vandelay need room for two copies); nothing of \
             this export is left there",
        ),
        export::Error::Io { .. } => (
            Exit::Target,
            "check that this user may write there, or name another place with --to; nothing of this export is left there",
        ),
        _ => (Exit::Unexpected, ""),
    }
}

/// Of an error of the mail server or on the way to it.
pub(crate) fn of_server(error: &jmap::Error) -> Judgement {
    use jmap::Error as E;
    match error {
        E::InvalidUrl { .. } => (Exit::Usage, "write --server like https://mail.example.org"),
        E::InvalidCredentials => {
            (Exit::Usage, "user names hold no colon, passwords and tokens no line breaks")
        }
        E::Unauthorized => (Exit::Refused, CREDENTIALS),
        E::UnknownAccount { source: None, .. } => (Exit::NotFound, NO_ACCOUNT),
        E::UnknownAccount { source: Some(source), .. } => match source.class() {
            Class::Transient { .. } => (Exit::Server, LATER),
            _ => (Exit::NotFound, NO_ACCOUNT),
        },
        E::AmbiguousAccount { .. } => (Exit::NotFound, "name one of them with --account-id"),
        E::Method { error, .. } if error.kind == MethodErrorKind::AccountNotFound => {
            (Exit::NotFound, NO_ACCOUNT)
        }
        E::Unreachable(_) | E::Interrupted(_) | E::TimedOut { .. } => (Exit::Server, SERVER_ADDRESS),
        E::ClosedAtOnce(_) => (Exit::Server, BLOCKED),
        E::Tls(_) => (
            Exit::Server,
            "check that --server is an https address with a valid certificate; for a private authority name \
             its certificate with --ca-file or SSL_CERT_FILE",
        ),
        E::NoSession(source) => match of_server(source) {
            refused @ (Exit::Refused, _) => refused,
            _ => (Exit::Server, "check that --server is the address of the mail server's JMAP service"),
        },
        E::Setup(_) => {
            (Exit::Unexpected, "check that the machine has CA certificates (Debian: ca-certificates)")
        }
        E::Cancelled => (Exit::Interrupted, ""),
        other => by_class(other.class()),
    }
}

fn by_class(class: Class) -> Judgement {
    match class {
        Class::Auth => (Exit::Refused, NOT_ALLOWED),
        Class::Transient { .. } => (Exit::Server, LATER),
        Class::Corrupt => (
            Exit::Server,
            "the server breaks the protocol, nothing of its answer was used; run again, and if it stays so ask \
             whoever runs the server",
        ),
        Class::Permanent => {
            (Exit::Server, "ask whoever runs the server; nothing that was backed up before is lost")
        }
        Class::Cancelled => (Exit::Interrupted, ""),
    }
}

/// Of an error of the store or of what lies in it.
pub(crate) fn of_repository(error: &repository::Error) -> Judgement {
    use repository::Error as E;
    match error {
        E::Store { source, .. } => (Exit::Store, of_store(&Trouble::of(source))),
        E::NotKept { .. } => (
            Exit::Damage,
            "what lies between here and the store's disks (a proxy, the network, the store itself) changes or loses data: find \
             it, then run again; this backup is not called good, and those before are untouched",
        ),
        E::StoreFull { .. } => (Exit::StoreFull, ""),
        E::UnfitStore { .. } => (Exit::UnfitStore, ""),
        E::WrongZone { .. } => {
            (Exit::UnfitStore, "check --store and --zone: a store keeps the zone it was made with")
        }
        E::WrongKey { .. } => (Exit::Key, ""),
        E::BadRing { .. } => (
            Exit::Key,
            "take the ring from where its copy is kept safe; without it no backup can be read, and a new one opens none",
        ),
        E::NewerFormat { .. } | E::NewerKind { .. } => (Exit::NewerFormat, ""),
        E::Corrupt { .. } | E::Missing { .. } => (
            Exit::Damage,
            "run `malle repair` to learn what else is damaged and to fetch it again; whatever is not named is intact",
        ),
        // They say what to do themselves.
        E::LogGone { .. } | E::DescriptorGone => (Exit::Damage, ""),
        E::History { found, .. } if found.number == 0 => (
            Exit::Damage,
            "if everything of this mailbox is lost, `malle backup --accept-history` begins a new history with what the mail server has \
             (of a fleet: `malle mailbox accept-history --new-history`)",
        ),
        E::History { .. } => (
            Exit::Damage,
            "backup, restore, verify, check, repair and reindex have that option, and the log says so from then on",
        ),
        E::KeyGone { .. } => (Exit::KeyGone, ""),
        E::Unverified { .. } => (Exit::Unexpected, ""),
        E::Lost { .. } => (
            Exit::LostRace,
            "that one stands or goes on, so this one ended; run again later to catch what changed since (`malle check` counts \
             bytes that nothing uses)",
        ),
        E::Erased { .. } => (Exit::Erased, "no backup of it can be read or made any more"),
        E::NoMailbox => (Exit::NotFound, "check --account and --store; `malle list` shows all mailboxes"),
        E::NoSnapshot { .. } => (Exit::NotFound, "`malle list --account …` shows the numbers"),
        E::Stopped => (Exit::Interrupted, ""),
        _ => (Exit::Unexpected, ""),
    }
}

fn of_store(trouble: &Trouble) -> &'static str {
    match trouble {
        Trouble::Unreachable => STORE_ADDRESS,
        Trouble::NoBucket => "create it, or check its name in --store and the endpoint (AWS_ENDPOINT_URL)",
        Trouble::Credentials => {
            "check the store's credentials in the environment (AWS_…, GOOGLE_… or AZURE_…): it does not know them, or the \
             secret does not belong to them"
        }
        Trouble::Expired => {
            "get new credentials (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN together), then run again"
        }
        Trouble::ClockSkew => {
            "set this machine's clock (`timedatectl` shows whether it is synchronised), then run again"
        }
        Trouble::WrongRegion(_) => {
            "set AWS_REGION to the bucket's region, and AWS_ENDPOINT_URL to an endpoint there"
        }
        Trouble::Denied => {
            "check the store's credentials in the environment (AWS_…, GOOGLE_… or AZURE_…) and what they may do: reading, \
             writing and listing (s3:GetObject, s3:PutObject, s3:ListBucket) are needed"
        }
        Trouble::NotPermitted => {
            "make the directory and everything in it readable for this user, and writable for backups and repairs"
        }
        Trouble::Stranger => {
            "nothing was read or written: sign in to this network if it asks for it, check proxies and the endpoint \
             (AWS_ENDPOINT_URL), then run again"
        }
        Trouble::NotImplemented => "choose another store: malle cannot work with this one",
        Trouble::Damaged => {
            "find what changes data on the way there (a proxy, the network, this machine's memory), then run again"
        }
        Trouble::Full => "free space or enlarge it, then run again",
        Trouble::Refused(_) => {
            "check --store and the endpoint; with --verbose the store's own words are shown; nothing that was backed up \
             before is lost"
        }
    }
}
