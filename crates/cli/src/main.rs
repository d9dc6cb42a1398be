#![doc = include_str!("../README.md")]

mod allocator;
mod args;
mod commands;
mod exit;
mod export_args;
mod failure;
mod find_args;
#[cfg(feature = "fleet")]
mod fleet;
#[cfg(feature = "fleet")]
mod fleet_args;
mod hint;
mod mailbox;
mod memory;
mod numbers;
mod output;
mod owner;
mod progress;
mod restore_args;
mod run;
mod secrets;
mod server;
mod signals;
mod store_checksums;
mod store_client;
mod store_http;
mod store_url;
#[cfg(test)]
mod stores_as_they_are;
mod temporaries;
mod upkeep_args;
mod waiting;

use std::process::ExitCode;

fn main() -> ExitCode {
    run::main()
}
