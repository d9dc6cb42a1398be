//! Errors of the fleet's services and roles.

use std::io;
use std::time::Duration;

use catalog::Error as C;
use coordination::CoordinationError as R;
use model::{BackupNumber, JobId, MailboxId, Schedule};
use producer::{BadLine, DirectoryError, ListingError, Refusal};
use queue::QueueError as Q;
use telemetry::{LogFormat, Otlp, Registry};

use super::libraries::{missing, refused};
use super::sample::{Samples, variant};
use crate::fleet::commands::enqueue::refused as request_refused;
use crate::fleet::commands::import::refused as import_refused;
use crate::terminal::hint::Setup;

pub(super) async fn add(all: &mut Samples) {
    of_catalog(all);
    of_queue(all);
    of_coordination(all);
    of_planning(all);
    of_producer(all).await;
    of_telemetry(all).await;
    of_worker(all).await;
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn broken() -> io::Error {
    io::Error::from(io::ErrorKind::ConnectionRefused)
}

fn of_catalog(all: &mut Samples) {
    let refused =
        |code: &str, message: &str| C::Refused { code: text(code), message: text(message), constraint: None };
    for error in [
        C::Settings { reason: "the pool needs one connection at least" },
        C::Unreachable(Box::new(broken())),
        C::Driver(Box::new(io::Error::other("password missing"))),
        C::TimedOut,
        refused("28P01", "password authentication failed for user \"malle\""),
        refused("42P01", "relation \"jobs\" does not exist"),
        C::Unreadable { column: "state", source: Box::new(io::Error::other("unknown word")) },
        C::TooOld { found: text("14.2") },
        C::Edited { number: 3 },
        C::Newer { number: 99 },
        C::NotMigrated { number: 4 },
        C::Fenced,
        C::UnknownMailbox(MailboxId(7)),
        C::MailboxGone(MailboxId(7)),
        C::AccountTaken(MailboxId(7)),
        C::PersonalPlan,
        C::NoPlan,
        C::TooMany { retry_after: Duration::from_secs(60) },
        C::Underway(JobId(12)),
        C::KeyReused(JobId(12)),
        C::NumberTaken(BackupNumber(40)),
    ] {
        all.fleet("catalog::Error", error);
    }
}

fn amqp() -> lapin::Error {
    lapin::ErrorKind::IOError(std::sync::Arc::new(broken())).into()
}

fn of_queue(all: &mut Samples) {
    for error in [
        Q::InvalidUri,
        Q::Unreachable(amqp()),
        Q::Refused(amqp()),
        Q::Precondition(amqp()),
        Q::TimedOut { after: Duration::from_secs(30) },
        Q::Blocked,
        Q::Unroutable { queue: text("malle.backup") },
        Q::NotStored,
        Q::ConsumerEnded { queue: text("malle.backup") },
        Q::DeliveryLost,
        Q::GaveUp { attempts: 10, last: Box::new(Q::Unreachable(amqp())) },
        Q::NoOrigin,
    ] {
        all.fleet("queue::QueueError", error);
    }
}

fn of_coordination(all: &mut Samples) {
    let failed = redis::RedisError::from((redis::ErrorKind::AuthenticationFailed, "WRONGPASS"));
    for error in [
        R::InvalidUrl,
        R::InvalidPrefix,
        R::TimedOut { after: Duration::from_secs(2) },
        R::Asleep,
        R::Failed(failed),
    ] {
        all.fleet("coordination::CoordinationError", error);
    }
}

fn of_planning(all: &mut Samples) {
    use planning::Error as E;
    for error in [
        E::Window { text: text("22:00"), why: "it has no end" },
        E::OtherSchedule { schedule: Schedule::Nightly, window: text("sat 00:00 - sun 24:00") },
        E::Tail { percent: 95 },
        E::UnknownZone { name: text("Europe/Atlantis") },
    ] {
        all.fleet("planning::Error", error);
    }
}

fn refusals() -> Vec<Refusal> {
    vec![
        Refusal::UnknownMailbox,
        Refusal::Ambiguous { mailboxes: text("12 (gone since 2026-11-02), 40") },
        Refusal::Gone,
        Refusal::GoneFromServer,
        Refusal::OtherCustomer,
        Refusal::Recipient(Box::new(Refusal::UnknownMailbox)),
        Refusal::PersonalPlan,
        Refusal::NoPlan,
        Refusal::TooMany { retry_after: Duration::from_secs(59) },
        Refusal::Underway,
        Refusal::UnknownBackup,
        Refusal::KeyReused,
        Refusal::Selection(text("a quote (\") is opened and not closed")),
        Refusal::ExactSelection,
        Refusal::Catalog(C::TimedOut),
    ]
}

async fn of_producer(all: &mut Samples) {
    use producer::Error as E;
    let address = "10.0.0.1:8080".parse().expect("an address");
    let panicked = tokio::spawn(std::future::pending::<()>());
    panicked.abort();
    let panicked = panicked.await.expect_err("it was aborted");
    for error in [
        E::Plan(planning::Error::Tail { percent: 95 }),
        E::TokenName { name: text("panel") },
        E::NoToken,
        E::WeakToken { name: text("panel"), least: 32 },
        E::Listen { address, source: io::Error::from(io::ErrorKind::AddrInUse) },
        E::Requests(Q::Refused(amqp())),
        E::Panicked(panicked),
    ] {
        all.fleet("producer::Error", error);
    }
    let last = all.0.last_mut().and_then(|sample| sample.lines.last_mut()).expect("was added");
    // Tasks are numbered by the runtime.
    last.2 = last
        .2
        .split(' ')
        .map(|word| if word.parse::<u64>().is_ok() { "12" } else { word })
        .collect::<Vec<_>>()
        .join(" ");
    for refusal in refusals() {
        let name = variant(&refusal);
        let error = request_refused("a backup", "alice@example.org", refusal);
        all.add("producer::Refusal", &name, &error, &[Setup::Fleet]);
    }
    for error in [
        DirectoryError::BadLines(vec![BadLine { line: 3, reason: text("no address") }]),
        DirectoryError::TooManyGone { active: 100, unlisted: 40, at_most_percent: 5 },
        DirectoryError::Catalog(C::TimedOut),
        DirectoryError::Listing(ListingError::Refused { status: 401 }),
    ] {
        let name = variant(&error);
        all.add("producer::DirectoryError", &name, &import_refused(error), &[Setup::Fleet]);
    }
    for error in [
        ListingError::Settings { reason: "its URL has no host" },
        ListingError::Unreachable(refused().await),
        ListingError::Refused { status: 403 },
        ListingError::Busy { status: 503 },
        ListingError::Unusable { reason: "no JSON" },
    ] {
        all.fleet("producer::ListingError", error);
    }
}

async fn of_telemetry(all: &mut Samples) {
    use telemetry::Error as E;
    let prepared = |filter: &str, otlp: Option<&str>| {
        let settings = telemetry::Settings {
            role: text("worker"),
            version: text("1"),
            instance: text("host:12"),
            filter: text(filter),
            format: LogFormat::of_stderr(),
            otlp: otlp.map(Otlp::new),
        };
        telemetry::prepare(&settings, &Registry::new("worker", "1", "r"), io::sink).err()
    };
    let filter = prepared("info,engine=loud", None).expect("no such level");
    let otlp = prepared("info", Some("no address")).expect("no such endpoint");
    let address = "10.0.0.1:9100".parse().expect("an address");
    for error in [
        filter,
        otlp,
        E::Client(refused().await),
        E::Twice,
        E::Bind { address, source: io::Error::from(io::ErrorKind::AddrNotAvailable) },
    ] {
        all.fleet("telemetry::Error", error);
    }
}

async fn of_worker(all: &mut Samples) {
    use worker::Error as E;
    let of = "worker::Error";
    let wait = Duration::from_secs(60);
    for error in [
        E::Settings { reason: "no slots are configured" },
        E::Queue(Q::GaveUp { attempts: 10, last: Box::new(Q::Unreachable(amqp())) }),
        E::Server(jmap::Error::Unreachable(refused().await)),
        E::SignInRefused { wait },
        E::SignInPending { wait },
        E::UnknownAccount,
        E::Repository(missing()),
        E::Unsupported,
        E::UnknownServer,
        E::UnknownStore,
        E::RepositoryMissing,
        E::Parameters { reason: "a field is unknown" },
        E::NoBackup,
        E::OtherMailbox,
        E::OtherSnapshot,
        E::Damaged { problems: 2 },
        E::Catalog(C::Fenced),
        E::Engine(engine::Error::Unsafe { number: model::SnapshotNumber(7), times: 3 }),
    ] {
        all.fleet(of, error);
    }
}
