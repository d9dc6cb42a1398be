//! The fleet's configuration, from its file and the environment.

pub(crate) mod config;
pub(crate) mod file;
pub(crate) mod mail_server;
pub(crate) mod places;
pub(crate) mod source;
pub(crate) mod values;
