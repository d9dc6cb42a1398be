//! The fleet's roles and what operators ask of them.

mod backups;
mod check;
mod command;
mod config;
mod dlq;
mod enqueue;
mod expired;
mod failures;
mod history;
mod import;
mod init;
mod job;
mod listing;
mod mail_server;
#[cfg(test)]
mod manual;
mod migrate;
#[cfg(test)]
mod mistakes;
mod named;
mod parts;
mod places;
mod rebuild;
mod rights;
mod ring;
mod role;
mod settings_file;
mod source;
mod top;
mod values;

use backups::backups;
use check::check;
use dlq::dlq;
use enqueue::enqueue;
use expired::expired;
use history::accept_history;
use import::import;
use job::job;
use migrate::migrate;
use rebuild::rebuild;
use role::{produce, work};
use top::top;

pub(crate) use command::command;
pub(crate) use failures::{judge, states_what_is_wrong};
pub(crate) use init::init;
