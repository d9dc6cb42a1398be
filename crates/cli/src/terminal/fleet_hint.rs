//! Errors of the fleet's services and roles.

use std::error::Error;

use coordination::CoordinationError;
use producer::{DirectoryError, ListingError, Refusal};
use queue::QueueError;

use crate::terminal::exit::Exit;
use crate::terminal::hint::{self, DEFECT, Hint};

type Judgement = (Exit, Hint);

const CONFIGURATION: &str = "docs/configuration.md has every key, what it means and what is allowed";
const CONNECTIONS: &str = "`malle config check` tries every connection";

/// The exit code and the hint of an error of the fleet.
pub(crate) fn judge(error: &(dyn Error + 'static)) -> Option<Judgement> {
    if error.is::<planning::Error>() || error.is::<telemetry::Error>() {
        return Some((Exit::Usage, CONFIGURATION.into()));
    }
    find(error, of_catalog)
        .or_else(|| find(error, of_queue))
        .or_else(|| find(error, of_coordination))
        .or_else(|| find(error, of_producer))
        .or_else(|| find(error, of_worker))
        .or_else(|| find(error, of_listing))
}

/// What fits before the text of an error of the fleet.
pub(crate) fn opening(error: &anyhow::Error) -> Option<&'static str> {
    match error.downcast_ref::<worker::Error>() {
        Some(worker::Error::Engine(_)) => Some("failed to "),
        _ => states_what_is_wrong(error).then_some(""),
    }
}

fn states_what_is_wrong(error: &anyhow::Error) -> bool {
    error.is::<catalog::Error>()
        || error.is::<QueueError>()
        || error.is::<CoordinationError>()
        || error.is::<planning::Error>()
        || error.is::<telemetry::Error>()
        || error.is::<producer::Error>()
        || error.is::<worker::Error>()
        || error.is::<DirectoryError>()
        || error.is::<ListingError>()
        || error.is::<Refusal>()
}

fn find<E: Error + 'static>(
    error: &(dyn Error + 'static),
    of: impl Fn(&E) -> Option<Judgement>,
) -> Option<Judgement> {
    of(error.downcast_ref()?)
}

fn of_catalog(error: &catalog::Error) -> Option<Judgement> {
    use catalog::Error as E;
    let (exit, text) = match error {
        E::Settings { .. } => (Exit::Usage, CONFIGURATION),
        E::Unreachable(_) | E::TimedOut => (Exit::Service, CONNECTIONS),
        E::Driver(_) => {
            (Exit::Service, "check postgres.url, its password and its certificates in the configuration")
        }
        E::Refused { .. } => (
            Exit::Service,
            "check user, password, database and rights: `malle config check` tries the connection",
        ),
        E::Unreadable { .. } => (
            Exit::Service,
            "use the newest malle; if it says the same, restore the database or run `malle catalog rebuild`",
        ),
        E::TooOld { .. } => (Exit::Service, "upgrade the Postgres server"),
        E::Edited { .. } => (Exit::Service, "use the malle that applied it, or a newer one"),
        // They say what to do themselves.
        E::Newer { .. } | E::NotMigrated { .. } => (Exit::Service, ""),
        E::Fenced => {
            (Exit::Service, "another worker continues the job, or it was cancelled; nothing was written")
        }
        E::UnknownMailbox(_) => {
            (Exit::Service, "name a mailbox that `malle mailbox import` or the mail server listed")
        }
        E::MailboxGone(_) => (Exit::Service, "its backups stay, and can be restored into another mailbox"),
        E::AccountTaken(_) => (Exit::Service, "list each account under one mailbox only"),
        E::PersonalPlan | E::NoPlan => {
            (Exit::Rules, "give the mailbox a plan with backups by hand, in the list or by producer.rules")
        }
        E::TooMany { .. } => (Exit::Rules, "ask again then"),
        E::Underway(_) => (Exit::Rules, "ask again when that job is done"),
        E::KeyReused(_) => (Exit::Service, "use a new key for a new request"),
        E::NumberTaken(_) => (
            Exit::Service,
            "the store was rolled back or exchanged: find out which, then run `malle catalog rebuild`",
        ),
    };
    Some((exit, text.into()))
}

fn of_queue(error: &QueueError) -> Option<Judgement> {
    use QueueError as E;
    let (exit, text) = match error {
        E::InvalidUri => (Exit::Usage, CONFIGURATION),
        E::Unreachable(_) | E::TimedOut { .. } | E::GaveUp { .. } => (Exit::Service, CONNECTIONS),
        E::Refused(_) => (
            Exit::Service,
            "check user, password and virtual host in rabbitmq.url, and the user's rights to configure, write and read there",
        ),
        E::Precondition(_) => {
            (Exit::Service, "delete the queue that the cause names once it is empty; malle declares it again")
        }
        E::Blocked => {
            (Exit::Service, "free memory or disk space on the RabbitMQ server; malle continues by itself")
        }
        E::Unroutable { .. } => (Exit::Service, "run it again: the next attempt declares the queue"),
        E::NotStored => (Exit::Service, "look into RabbitMQ's log, then run it again"),
        E::ConsumerEnded { .. } => (
            Exit::Service,
            "look whether somebody deleted the queue or its RabbitMQ node is down; malle opens it again",
        ),
        E::DeliveryLost => (Exit::Service, "RabbitMQ delivers the message again"),
        E::NoOrigin => (Exit::Service, "remove it with RabbitMQ's own tools; malle did not write it"),
    };
    Some((exit, text.into()))
}

fn of_coordination(error: &CoordinationError) -> Option<Judgement> {
    use CoordinationError as E;
    let (exit, text) = match error {
        E::InvalidUrl | E::InvalidPrefix => (Exit::Usage, CONFIGURATION),
        E::TimedOut { .. } | E::Asleep | E::Failed(_) => (Exit::Service, CONNECTIONS),
    };
    Some((exit, text.into()))
}

fn of_producer(error: &producer::Error) -> Option<Judgement> {
    use producer::Error as E;
    match error {
        E::Plan(_) | E::NoToken | E::TokenName { .. } | E::WeakToken { .. } => {
            Some((Exit::Usage, CONFIGURATION.into()))
        }
        E::Listen { .. } => Some((
            Exit::Usage,
            "set producer.listen to a free address of this machine, or end what listens there".into(),
        )),
        E::Panicked(_) => Some((Exit::Unexpected, DEFECT)),
        // Its source says more.
        E::Requests(_) => None,
    }
}

fn of_worker(error: &worker::Error) -> Option<Judgement> {
    use worker::Error as E;
    let text = match error {
        E::Settings { .. } => return Some((Exit::Usage, CONFIGURATION.into())),
        E::Queue(_) => return None,
        E::Catalog(source) => return of_catalog(source),
        E::Server(source) => return Some(hint::of_server(source)),
        E::Repository(source) => return Some(hint::of_repository(source)),
        E::Engine(source) => return Some(hint::of_engine(source)),
        E::SignInRefused { .. } => {
            "check user and password, or token, of the server's [[servers]] in the configuration"
        }
        E::SignInPending { .. } => "the job is tried again by itself",
        E::UnknownAccount => {
            "check that the account exists on the mail server and that the user of its [[servers]] has the permission `impersonate`"
        }
        E::Unsupported | E::Parameters { .. } => "use the same version of malle for producers and workers",
        E::UnknownServer => "add the server to [[servers]] of every worker's configuration",
        E::UnknownStore => "add the store to [[stores]] of every worker's configuration",
        E::NoBackup => "`malle mailbox backups` lists the backups there are",
        E::OtherMailbox => "ask again with a backup of that mailbox; `malle mailbox backups` lists them",
        E::OtherSnapshot => {
            "find out what happened to the store; the mailbox's next backup makes a new snapshot"
        }
        E::Damaged { .. } => "run `malle repair` to fetch again what the mail server still has",
        // It says what to do itself.
        E::RepositoryMissing => "",
        _ => return Some((Exit::Unexpected, DEFECT)),
    };
    Some((Exit::Unexpected, text.into()))
}

fn of_listing(error: &ListingError) -> Option<Judgement> {
    let text = match error {
        ListingError::Settings { .. } => CONFIGURATION,
        ListingError::Unreachable(_) => "check servers.url in the configuration and the network",
        ListingError::Refused { .. } => {
            "check the credentials of the server's [[servers]], and that its user may list principals"
        }
        ListingError::Busy { .. } => "it is asked again by itself; the mailboxes that are known stay",
        ListingError::Unusable { .. } => {
            "check servers.discover.by: `rest` is for Stalwart up to 0.15, `jmap` from 0.16 on"
        }
    };
    Some((Exit::Unexpected, text.into()))
}
