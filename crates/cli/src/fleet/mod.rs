//! The fleet's roles and what operators ask of them.

mod command;
pub(crate) mod commands;
#[cfg(test)]
mod manual;
#[cfg(test)]
mod mistakes;
pub(crate) mod roles;
pub(crate) mod settings;

pub(crate) use command::command;
pub(crate) use commands::init::init;
