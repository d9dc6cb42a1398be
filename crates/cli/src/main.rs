#![doc = include_str!("../README.md")]

mod allocator;
mod args;
mod commands;
#[cfg(feature = "fleet")]
mod fleet;
mod mailboxes;
mod run;
mod secrets;
mod server;
mod signals;
mod store;
mod terminal;

use std::process::ExitCode;

fn main() -> ExitCode {
    run::main()
}
