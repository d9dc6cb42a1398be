#![doc = include_str!("../README.md")]

mod allocator;
mod args;
mod commands;
mod exit;
mod export_args;
mod failure;
mod find_args;
mod fleet;
mod fleet_args;
mod hint;
mod mailbox;
mod output;
mod progress;
mod run;
mod secrets;
mod server;
mod signals;
mod store_client;
mod store_url;

use std::process::ExitCode;

fn main() -> ExitCode {
    run::main()
}
