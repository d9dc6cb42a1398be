//! Errors of the crates that every command uses.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use jmap::{MethodError, MethodErrorKind, ObjectError, Problem, ProblemKind, Wait};
use model::{LogPosition, SnapshotNumber};
use object_store::Error as StoreError;
use repository::{HistoryFault, StoreAnswer};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::sample::{Samples, variant};
use crate::commands::find::selection;
use crate::terminal::hint::Setup;

pub(super) async fn add(all: &mut Samples) {
    of_jmap(all).await;
    of_repository(all);
    of_engine(all).await;
    of_queries(all);
    of_export(all);
}

fn text(text: &str) -> String {
    text.to_owned()
}

/// Nothing listens on this port.
pub(super) async fn refused() -> reqwest::Error {
    reqwest::get("http://127.0.0.1:1/").await.expect_err("nothing listens there").without_url()
}

/// The error of a request that is answered with these bytes.
async fn answered(scheme: &str, bytes: &'static [u8]) -> reqwest::Error {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("{scheme}://{}", listener.local_addr().expect("bound"));
    let answering = async {
        let (mut client, _) = listener.accept().await.expect("a client");
        client.write_all(bytes).await.expect("it listens");
        let mut head = vec![0; 4096];
        let _ = tokio::io::AsyncReadExt::read(&mut client, &mut head).await;
    };
    let (answer, ()) = tokio::join!(reqwest::get(url), answering);
    answer.expect_err("no answer").without_url()
}

async fn of_jmap(all: &mut Samples) {
    use jmap::Error as E;
    let of = "jmap::Error";
    let problem = |kind, detail: &str| Some(Problem { kind, limit: None, detail: Some(text(detail)) });
    let status = |status, problem| E::Status { status, problem, retry_after: None };
    let method = |method, kind, description: Option<&str>| E::Method {
        method,
        error: MethodError { kind, description: description.map(text) },
    };
    for error in [
        E::InvalidUrl { reason: "it has no host" },
        E::InvalidCredentials,
        E::Setup(refused().await),
        E::Unreachable(refused().await),
        E::Tls(answered("https", b"HTTP/1.1 400 Bad Request\r\n\r\n").await),
        E::Interrupted(refused().await),
        E::ClosedAtOnce(answered("http", b"").await),
        E::TimedOut { wait: Wait::Request, after: Duration::from_secs(60) },
        E::TimedOut { wait: Wait::Stall, after: Duration::from_secs(30) },
        E::Unauthorized,
        E::Withheld,
        status(403, None),
        status(404, None),
        status(429, problem(ProblemKind::Limit, "too many requests")),
        status(400, problem(ProblemKind::UnknownCapability, "urn:example")),
        status(503, None),
        E::ForeignRedirect { to: text("https://other.example.org") },
        E::BadRedirect,
        E::NoSession(Box::new(status(404, None))),
        E::NoSession(Box::new(E::Unauthorized)),
        method("Email/get", MethodErrorKind::Forbidden, Some("You do not have access")),
        method("Email/get", MethodErrorKind::AccountNotFound, None),
        method("Email/get", MethodErrorKind::InvalidArguments, Some("ids")),
        method("Email/get", MethodErrorKind::ServerFail, None),
        method("Blob/upload", MethodErrorKind::Other(text("blobLost")), None),
        E::Malformed { what: "session", why: text("no JSON at line 1, column 1") },
        E::Untrue { method: "Email/get", reason: "it holds emails that were not asked for" },
        E::AnswerTooLarge { limit: 64 << 20 },
        E::WrongLength { expected: 1_204, got: 800 },
        E::OverLimit { limit: "maxObjectsInGet", allowed: 500, asked: 501 },
        E::NoUpload,
        E::InvalidId(jmap::InvalidId),
        E::UnknownAccount { name: text("alice@example.org"), source: None },
        E::UnknownAccount { name: text("alice@example.org"), source: Some(Box::new(status(503, None))) },
        E::AmbiguousAccount { name: text("alice"), count: 2 },
        E::Cancelled,
    ] {
        all.both(of, error);
    }
    let wrapped = E::InvalidId(jmap::InvalidId).into();
    all.add("jmap::InvalidId", "InvalidId", &wrapped, &[Setup::OneShot, Setup::Fleet]);
    use ObjectError as O;
    for error in [
        O::Malformed,
        O::TooDeep,
        O::Unanswered,
        O::TwoVersions,
        O::NoData,
        O::AlteredText,
        O::Truncated,
        O::BadBase64,
        O::NoSize,
        O::WrongSize { said: 12, got: 11 },
    ] {
        // A backup notes it beside the object and goes on.
        let noted = anyhow::anyhow!("back up email e7: {error}; run again later");
        all.add("jmap::ObjectError", &variant(&error), &noted, &[Setup::OneShot]);
    }
}

fn answer(status: u16, code: &str) -> StoreError {
    let body = format!("<Error><Code>{code}</Code><Region>eu-west-1</Region></Error>");
    generic(StoreAnswer::new(status, None, body.as_bytes()))
}

fn generic(source: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Generic { store: "S3", source: Box::new(source) }
}

pub(super) fn missing() -> repository::Error {
    repository::Error::Missing { object: text("mailboxes/ab/packs/12") }
}

fn of_repository(all: &mut Samples) {
    use repository::Error as E;
    let of = "repository::Error";
    let page = generic(StoreAnswer::new(200, None, b"<html>Sign in"));
    for source in [
        generic(io::Error::from(io::ErrorKind::ConnectionRefused)),
        answer(404, "NoSuchBucket"),
        answer(403, "InvalidAccessKeyId"),
        answer(400, "ExpiredToken"),
        answer(403, "RequestTimeTooSkewed"),
        answer(301, "PermanentRedirect"),
        answer(403, "AccessDenied"),
        generic(io::Error::from(io::ErrorKind::PermissionDenied)),
        page,
        answer(501, "NotImplemented"),
        answer(400, "BadDigest"),
        answer(400, "InvalidRequest"),
    ] {
        all.both(of, E::Store { doing: text("listing packs"), source });
    }
    let at = |number| LogPosition { number, digest: [7; 32] };
    let history =
        |remembered, found, fault| E::History { remembered: Some(at(remembered)), found: at(found), fault };
    let object = || text("mailboxes/ab/packs/12");
    for error in [
        E::StoreFull { source: answer(507, "") },
        E::UnfitStore { what: text("it replaces objects that must not be replaced; choose another store") },
        E::NotKept { object: object(), what: "it holds other bytes than were sent", tries: 3 },
        E::WrongZone { found: text("eu-west"), wanted: text("eu-north") },
        E::WrongKey { ring: text("1f2e"), wrapped: text("9a8b") },
        E::BadRing { what: text("it holds no key") },
        E::NewerFormat { object: object(), found: 9, known: 2 },
        E::NewerKind { object: text("mailboxes/ab/log/12") },
        E::Corrupt { object: object(), what: text("its bytes do not match its seal") },
        missing(),
        history(12, 0, HistoryFault::RolledBack),
        history(12, 9, HistoryFault::RolledBack),
        history(12, 12, HistoryFault::Forked),
        history(12, 13, HistoryFault::Merged),
        E::LogGone { log: text("mailboxes/ab/log") },
        E::DescriptorGone,
        E::Lost { winner: text("host:12"), number: 7, unused_bytes: 0 },
        E::Lost { winner: text("host:12"), number: 7, unused_bytes: 4_096 },
        E::Erased { number: 7 },
        E::KeyGone { keys: text("mailboxes/ab/keys") },
        E::TooLarge { what: text("an email"), length: 12, limit: 10 },
        E::Misplaced { number: 7 },
        E::NoMailbox,
        E::NoSnapshot { number: 7, has: text("1, 2 and 3") },
        E::NoSnapshot { number: 0, has: text("none") },
        E::Interrupted,
        E::Unverified { object: object(), what: text("it opens to other bytes") },
        E::Stopped,
    ] {
        all.both(of, error);
    }
}

async fn of_engine(all: &mut Samples) {
    use engine::Error as E;
    let of = "engine::Error";
    let id = || text("a1b2c3d4");
    for error in [
        E::Server { what: "emails", source: jmap::Error::Unauthorized },
        E::Server { what: "emails", source: jmap::Error::Unreachable(refused().await) },
        E::ManyFailures { count: 50, source: jmap::Error::Interrupted(refused().await) },
        E::Write { what: "emails", source: jmap::Error::Unreachable(refused().await) },
        E::Unsettled {
            what: "emails",
            source: jmap::Error::TimedOut { wait: Wait::Request, after: Duration::from_secs(60) },
        },
        E::Refused { what: text("the restore's folder"), reason: text("overQuota") },
        E::Unfit { reason: "the snapshot is partial, so what it lacks would be removed" },
        E::Unsafe { number: SnapshotNumber(7), times: 3 },
        E::SafetyLost { id: id(), source: Box::new(missing()) },
        E::Register(Box::new(io::Error::other("catalogue cannot be reached"))),
        E::OtherRestore { id: id(), difference: "mode" },
        E::OtherSnapshot { number: SnapshotNumber(7) },
        E::GivenUp { id: id() },
        E::Record { id: id(), reason: text("an unknown field") },
        E::Superseded,
        E::Unlisted { data_type: "Email" },
        E::Unfinished { reason: text("12 emails of the slices are not in its listing") },
        E::UnfinishedBackup,
        E::DamagedBase,
        E::Paused,
        E::NoFolder { path: text("Archive/2025"), has: text("Inbox, Sent and Trash") },
        E::Stopped,
    ] {
        all.both(of, error);
    }
    // They are told with their source's own words.
    for (name, error) in
        [("Repository", E::Repository(missing())), ("Export", E::Export(export::Error::Stopped))]
    {
        all.add(of, name, &error.into(), &[Setup::OneShot]);
    }
}

fn of_queries(all: &mut Samples) {
    for query in
        ["re: hello", "subject: invoice", "after:june", "has:wings", "\"open", "a - b", "bob --limt 5"]
    {
        let words = [text(query)];
        let error = query.parse::<engine::Selection>().expect_err(query);
        let failure = selection(&words).expect_err(query).into();
        all.add("engine::QueryError", &variant(&error), &failure, &[Setup::OneShot]);
    }
}

fn of_export(all: &mut Samples) {
    use export::Error as E;
    let of = "export::Error";
    let disk = |kind| E::Io { doing: text("write /tmp/out/a.eml"), source: io::Error::from(kind) };
    let full = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL);
    let item = || text("email e7");
    for error in [
        disk(io::ErrorKind::StorageFull),
        disk(io::ErrorKind::PermissionDenied),
        disk(io::ErrorKind::NotFound),
        E::Occupied { path: PathBuf::from("/tmp/out") },
        E::Length { item: item(), announced: 12, found: 11 },
        E::NotJson { item: item(), source: serde_json::from_str::<u8>("x").expect_err("no number") },
        E::Misused { item: item(), what: "objects come before emails" },
        E::Sqlite { doing: "write the archive", source: rusqlite::Error::SqliteFailure(full, None) },
        E::Sqlite { doing: "write the archive", source: rusqlite::Error::QueryReturnedNoRows },
        E::Unknown { path: PathBuf::from("/tmp/out") },
        E::Corrupt { file: text("account.json"), what: text("it ends too early") },
        E::TooLarge { file: text("a.zip"), what: "an entry", limit: 1 << 30 },
        E::Stopped,
        E::Receiver { source: Box::new(io::Error::other("the reader is gone")) },
    ] {
        // An export's errors reach commands through the engine.
        let name = variant(&error);
        all.add(of, &name, &engine::Error::from(error).into(), &[Setup::OneShot]);
    }
    let unknown = "Maildir++".parse::<export::Format>().expect_err("no such format");
    all.one_shot("export::NoSuchFormat", unknown);
}
