//! Which command of the fleet is run.

use super::commands::backups::backups;
use super::commands::check::check;
use super::commands::dlq::dlq;
use super::commands::enqueue::enqueue;
use super::commands::expired::expired;
use super::commands::history::accept_history;
use super::commands::import::import;
use super::commands::job::job;
use super::commands::migrate::migrate;
use super::commands::rebuild::rebuild;
use super::commands::top::top;
use super::roles::role::{produce, work};
use crate::args::fleet::{CatalogCommand, ConfigCommand, FleetCommand, MailboxCommand};
use crate::terminal::exit::Work;
use crate::terminal::output::Out;

/// Asks for everything it needs.
pub(crate) fn command<'a>(command: &'a FleetCommand, out: &'a Out) -> Work<'a> {
    match command {
        FleetCommand::Produce(args) => Box::pin(produce(args)),
        FleetCommand::Work(args) => Box::pin(work(args, out)),
        FleetCommand::Migrate(args) => Box::pin(migrate(args, out)),
        FleetCommand::Catalog(CatalogCommand::Rebuild(args)) => Box::pin(rebuild(args, out)),
        FleetCommand::Config(ConfigCommand::Check(args)) => Box::pin(check(args, out)),
        FleetCommand::Mailbox(MailboxCommand::Import(args)) => Box::pin(import(args, out)),
        FleetCommand::Mailbox(MailboxCommand::Expired(args)) => Box::pin(expired(args, out)),
        FleetCommand::Mailbox(MailboxCommand::Backups(args)) => Box::pin(backups(args, out)),
        FleetCommand::Mailbox(MailboxCommand::AcceptHistory(args)) => Box::pin(accept_history(args, out)),
        FleetCommand::Enqueue(args) => Box::pin(enqueue(args, out)),
        FleetCommand::Dlq(command) => Box::pin(dlq(command, out)),
        FleetCommand::Job(command) => Box::pin(job(command, out)),
        FleetCommand::Top(args) => Box::pin(top(args, out)),
    }
}
