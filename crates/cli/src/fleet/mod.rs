//! The fleet's roles and what operators ask of them.

mod backups;
mod check;
mod config;
mod dlq;
mod enqueue;
mod expired;
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

pub(crate) use backups::backups;
pub(crate) use check::check;
pub(crate) use dlq::dlq;
pub(crate) use enqueue::enqueue;
pub(crate) use expired::expired;
pub(crate) use history::accept_history;
pub(crate) use import::import;
pub(crate) use init::init;
pub(crate) use job::job;
pub(crate) use migrate::migrate;
pub(crate) use rebuild::rebuild;
pub(crate) use role::{produce, work};
pub(crate) use top::top;
