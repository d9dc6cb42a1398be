//! What each error of the libraries means to the person who ran the command: an exit code and what to do.
//! Where the error's own text already says what to do, the hint is empty.

use jmap::{Class, MethodErrorKind};
use model::ErrorClass;

use crate::exit::Exit;

type Judgement = (Exit, &'static str);

const CREDENTIALS: &str =
    "check the user name and the password (MALLE_USER, MALLE_PASSWORD) or the token (MALLE_TOKEN)";
const NOT_ALLOWED: &str =
    "sign in as the account itself, or as a user with the server's `impersonate` permission";
const NO_ACCOUNT: &str = "check --account (the main address or account name; aliases are not found) and sign in as \
    that account or as a user with the server's `impersonate` permission";
const LATER: &str = "run again later; nothing that was backed up before is lost";
const RESUME: &str = "go on with the restore later, by --resume and its id; nothing comes twice";
const SERVER_ADDRESS: &str =
    "check --server and the network, then run again; nothing that was backed up before is lost";
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
            "nothing was changed since; `malle show` says what could not be read: mend that, then go on with --resume",
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
        E::Store { source, .. } => (Exit::Store, of_store(source)),
        E::StoreFull { .. } => (Exit::StoreFull, ""),
        E::UnfitStore { .. } => (Exit::UnfitStore, ""),
        E::WrongZone { .. } => {
            (Exit::UnfitStore, "check --store and --zone: a store keeps the zone it was made with")
        }
        E::WrongKey { .. } => (Exit::Key, ""),
        E::BadRing { .. } => {
            (Exit::Key, "take the ring from where it is kept safe; without it no backup can be read")
        }
        E::NewerFormat { .. } | E::NewerKind { .. } => (Exit::NewerFormat, ""),
        E::Corrupt { .. } | E::Missing { .. } => (
            Exit::Damage,
            "run `malle check --read-data` to learn what else is damaged; whatever is not named is intact",
        ),
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

fn of_store(source: &object_store::Error) -> &'static str {
    use object_store::Error as E;
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    match source {
        E::PermissionDenied { .. } | E::Unauthenticated { .. } => {
            "check the store's credentials in the environment (AWS_…, GOOGLE_… or AZURE_…) and what they may do"
        }
        _ if matches!(io_kind(source), Some(PermissionDenied | ReadOnlyFilesystem)) => {
            "make the directory writable for this user, or choose another one"
        }
        _ => STORE_ADDRESS,
    }
}

fn io_kind(error: &(dyn std::error::Error + 'static)) -> Option<std::io::ErrorKind> {
    std::iter::successors(Some(error), |error| error.source())
        .find_map(|error| error.downcast_ref::<std::io::Error>())
        .map(std::io::Error::kind)
}
